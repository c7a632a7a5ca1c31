"""Ten minutes of a hub that is cut, frozen, killed and restarted, while events and invoices go through it.

    python benchmarks/soak.py --minutes 10 --seed 5

Ends with status 1 unless every event that the hub wrote to our connection is in the frame or inside a marked
gap, no creation reached the hub twice, every outcome was right, and memory, threads and files stayed flat.
The delays between attempts are a twentieth of the real ones, the watchdogs about a tenth.
"""

from __future__ import annotations

import argparse
import collections
import json
import os
import queue
import random
import signal
import statistics
import sys
import threading
import time
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

import hercle_nb as hercle  # noqa: E402  # after the path
from tests.conftest import REFERENCE_HUB  # noqa: E402
from tests.fast import fast_hub, until  # noqa: E402
from tests.servers import HubProcess  # noqa: E402

if TYPE_CHECKING:
    from collections.abc import Callable

    from hercle_nb import Hub

TIMINGS = {
    "pace": 0.05,
    "negotiate": 2.0,
    "upgrade": 2.0,
    "handshake": 2.0,
    "ping": 1.0,
    "server_silence": 3.0,
    "goodbye": 0.5,
    "tick": 1.0,
}
PUSHERS, PUSHES = 4, 5.0  # threads, and events a second of each
CREATORS = 16
PATIENCE = 8.0  # seconds for a creation
TOLERANCE = 1.0  # seconds for what was in flight when the connection was lost
FAULTS = {"cut": 8, "freeze": 5, "kill": 4, "term, then kill": 3}
ROW_BYTES, CREATION_BYTES, PUSH_BYTES, NOISE = 1_024, 8_192, 256, 4 << 20  # allowed growth of memory


@dataclass
class Life:
    """What one process of the hub was seen to do.

    Attributes:
        received: The invocations it received, by ClientId.
        invoices: Memos of its invoices by the hub's id.
    """

    received: collections.Counter[str] = field(default_factory=collections.Counter)
    invoices: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Push:
    """An event that the hub said it had written, and between which times."""

    number: int
    began: float
    ended: float


@dataclass(frozen=True)
class Sample:
    """What this process used at some moment."""

    rss: int
    threads: int
    files: int
    rows: int
    text: int
    creations: int
    pushes: int


class Soak:
    """One run.

    Attributes:
        broken: What should not have happened, a line each.
    """

    def __init__(self, seconds: float, seed: int) -> None:
        self.seconds = seconds
        self.broken: list[str] = []
        self.lives: list[Life] = []
        self.pushes: list[Push] = []
        self.refused_pushes = 0
        self.watched: list[tuple[float, int, int, int]] = []  # time, life, connections now, ever
        self.outcomes: dict[int, object] = {}
        self.samples: list[Sample] = []
        self.faults: collections.Counter[str] = collections.Counter()
        self._chance = random.Random(seed)
        self._prefix = f"soak-{os.getpid()}"
        self._numbers = iter(range(1 << 40))
        self._wanted: queue.SimpleQueue[int | None] = queue.SimpleQueue()
        self._over = threading.Event()
        self._running = ExitStack()
        self._server: HubProcess
        self._port = 0

    # -- the hub's process -------------------------------------------------------------------------------

    def start_server(self) -> None:
        """Start the hub, from the second time on where it was before."""
        for attempt in range(20):
            try:
                if REFERENCE_HUB.exists():
                    options = ("--keepalive-seconds", "1")
                    context = HubProcess.reference(REFERENCE_HUB, *options, port=self._port)
                else:
                    context = HubProcess.simulator(port=self._port)
                self._server = self._running.enter_context(context)
                break
            except AssertionError:  # the port is not free yet
                if attempt == 19:
                    raise
                time.sleep(0.2)
        self._port = int(self._server.url.split(":")[2].partition("/")[0])
        self.lives.append(Life())

    def harm(self, how: str) -> None:
        """Do one of `FAULTS` to the hub."""
        self.faults[how] += 1
        process = self._server.process
        if how == "cut":
            self._server.post("cut")
            return
        if how == "freeze":
            process.send_signal(signal.SIGSTOP)
            self._over.wait(self._chance.choice((0.5, 1.5, 4.0, 7.0)))
            process.send_signal(signal.SIGCONT)
            return
        self.look()  # a killed hub forgets
        if how != "kill":
            process.terminate()
            time.sleep(1.0)
        process.kill()
        process.wait()
        self._running.close()
        self._over.wait(self._chance.choice((0.0, 0.5, 2.0, 5.0, 12.0)))
        self.start_server()

    def look(self) -> None:
        """Note what the hub has seen so far."""
        life = self.lives[-1]
        stats = self._server.stats()
        self.watched.append((time.time(), len(self.lives), stats["connections"], stats["connectionsEver"]))
        received: collections.Counter[str] = collections.Counter()
        for text in stats["received"]:
            message = json.loads(text.strip("\x1e␞"))
            if message.get("target") == "CreateLightningInvoice":
                received[message["arguments"][0]] += 1
        life.received |= received
        life.invoices |= {
            invoice["id"]: hercle.decode_payment_request(invoice["encodedPaymentRequest"]).description or ""
            for invoice in stats["invoices"]
            if invoice["id"] not in life.invoices
        }

    # -- what goes on all the while, a thread each -------------------------------------------------------

    def push(self) -> None:
        """Push events, each with a number of its own."""
        while not self._over.wait(1 / PUSHES):
            number, began = next(self._numbers), time.time()
            argument = {"subject": "soak.tick", "data": {"n": number}}
            try:
                self._server.post("push", {"arguments": [argument]})
            except OSError:
                self.refused_pushes += 1
            else:
                self.pushes.append(Push(number, began, time.time()))

    def create(self, hub: Hub) -> None:
        """Create invoices, each with an amount and a memo of its own, and note what comes of it."""
        while (number := self._wanted.get()) is not None:
            self.outcomes[number] = self._created(hub, number)

    def _created(self, hub: Hub, number: int) -> object:
        try:
            return hub.create_invoice(
                amount_sat=1_000 + number,
                memo=self._memo(number),
                expiry_hours=24,
                client_id=self._memo(number),
                timeout=PATIENCE,
            )
        except Exception as error:  # noqa: BLE001  # judged at the end
            return error

    def _memo(self, number: int) -> str:
        return f"{self._prefix}-{number}"

    def sample(self, hub: Hub) -> None:
        """Note once a second what this process uses and what the hub has seen, and ask for an invoice."""
        number = 0
        while not self._over.wait(1.0):
            self._wanted.put(number)
            number += 1
            pages = int(Path("/proc/self/statm").read_text().split()[1])
            self.samples.append(
                Sample(
                    pages * os.sysconf("SC_PAGE_SIZE"),
                    threading.active_count(),
                    len(os.listdir("/proc/self/fd")),
                    len(hub.log),
                    hub.log._bytes,
                    number,
                    len(self.pushes),
                )
            )

    # -- the run -----------------------------------------------------------------------------------------

    def run(self) -> None:
        """Run it, then judge it and print the figures."""
        with self._running:
            self.start_server()
            with fast_hub(self._server.url, timeout=30, **TIMINGS) as hub:
                work: list[Callable[[], None]] = [
                    *[self.push] * PUSHERS,
                    *[lambda: self.create(hub)] * CREATORS,
                    lambda: self.sample(hub),
                ]
                threads = [threading.Thread(target=target, daemon=True) for target in work]
                for thread in threads:
                    thread.start()
                try:
                    self._harm_for_a_while()
                finally:
                    self._over.set()
                    for _ in range(CREATORS):
                        self._wanted.put(None)
                    for thread in threads:
                        thread.join(30)
                self._settle(hub)
                self._judge(hub)

    def _harm_for_a_while(self) -> None:
        end = time.monotonic() + self.seconds
        names, weights = list(FAULTS), list(FAULTS.values())
        while time.monotonic() < end:
            due = min(end, time.monotonic() + self._chance.uniform(1.0, 10.0))
            while time.monotonic() < due:
                time.sleep(min(1.0, max(0.0, due - time.monotonic())))
                self.look()
            self.harm(self._chance.choices(names, weights)[0])

    def _settle(self, hub: Hub) -> None:
        """Cut once more, for the list that settles what is unknown, and ask for that again."""
        until(lambda: hub.state == "connected", 20)
        hub.invoke("GetBalances", self._prefix, timeout=20)  # what the hub wrote before is received by now
        losses = hub.stats["gaps"]
        self._server.lose("cut")
        until(lambda: hub.stats["gaps"] > losses and hub.state == "connected", 20)
        hub.command("GetLightningInvoices", timeout=20)  # the answer to the one before is in by now
        for number, outcome in self.outcomes.items():
            if isinstance(outcome, hercle.OutcomeUnknown):
                again = self._created(hub, number)
                if not isinstance(again, hercle.OutcomeUnknown):
                    self.outcomes[number] = again
        self.look()
        if not isinstance(self._created(hub, 1 << 20), hercle.Invoice):
            self.broken.append("no invoice could be created at the end")

    # -- the judgement -----------------------------------------------------------------------------------

    def _judge(self, hub: Hub) -> None:
        frame, gaps = hub.events, hub.log.gaps
        say(f"\n{'faults':24}{', '.join(f'{n} × {name}' for name, n in self.faults.items())}")
        lasted = (gaps["back_at"] - gaps["lost_at"]).dt.total_seconds()
        say(f"{'hub processes':24}{len(self.lives)}")
        say(f"{'gaps':24}{len(gaps)}, {lasted.sum():.0f} s in all, the longest {lasted.max():.1f} s")
        reasons = gaps["reason"].value_counts()
        say(f"{'':24}{', '.join(f'{count} × {reason}' for reason, count in reasons.items())}")
        if hub.state != "connected" or gaps["back_at"].isna().any():
            self.broken.append(f"the hub is {hub.state} at the end: {hub.stats['last_error']}")
        self._judge_events(frame, gaps)
        self._judge_creations(frame)
        self._judge_use()

    def _judge_events(self, frame: Any, gaps: Any) -> None:
        numbers = [data["n"] for data in frame["data"][frame["subject"] == "soak.tick"]]
        seen = set(numbers)
        if len(seen) != len(numbers):
            self.broken.append(f"{len(numbers) - len(seen)} events are in the frame twice")
        spans = [
            (gap.lost_at.timestamp() - TOLERANCE, gap.back_at.timestamp() + TOLERANCE)
            for gap in gaps.itertuples()
        ]
        missing = [push for push in self.pushes if push.number not in seen]
        for push in missing:
            if not any(lost <= push.ended and push.began <= back for lost, back in spans):
                self.broken.append(f"event {push.number}, pushed at {push.began:.3f}, is gone without a gap")
        sure = self._surely_taken()
        say(
            f"{'events':24}{len(self.pushes):,} pushed ({len(sure):,} of them between two looks at one and "
            "the same connection),"
        )
        say(f"{'':24}{len(seen):,} in the frame, {len(missing):,} missing")
        for push in sure:
            if push.number not in seen:
                say(f"{'':24}  of those between two looks: {push.number}, near a gap")
        say(f"{'pushes refused':24}{self.refused_pushes:,}: the hub was down")

    def _surely_taken(self) -> list[Push]:
        """The pushes between two looks that saw one connection, and the same."""
        same = [
            (before[0], after[0])
            for before, after in zip(self.watched, self.watched[1:], strict=False)
            if before[1:] == after[1:] and before[2] == 1
        ]
        return [push for push in self.pushes if any(a <= push.began and push.ended <= b for a, b in same)]

    def _judge_creations(self, frame: Any) -> None:
        sent = collections.Counter(frame["client_id"][frame["target"] == "CreateLightningInvoice"])
        received = sum((life.received for life in self.lives), collections.Counter())
        memos = collections.Counter(memo for life in self.lives for memo in life.invoices.values())
        for name, counted in (("sent", sent), ("received by the hub", received), ("on the hub", memos)):
            self.broken += [f"{memo} was {n} times {name}" for memo, n in counted.items() if n > 1]
        ends: collections.Counter[str] = collections.Counter()
        for number, outcome in self.outcomes.items():
            memo = self._memo(number)
            if isinstance(outcome, hercle.Invoice):
                how = outcome.warnings[0] if outcome.warnings else "answered"
                ends[f"invoice, {'adopted later, ' if outcome.reused else ''}{how}"] += 1
                asked = (memo, 1_000 + number)
                if (outcome.decoded.description, outcome.amount_sat) != asked or not sent[memo]:
                    self.broken.append(f"{memo} got another invoice: {outcome.decoded.description}")
            elif isinstance(outcome, hercle.OutcomeUnknown):
                ends["unknown"] += 1
                if not sent[memo]:
                    self.broken.append(f"{memo} is unknown but was not sent")
                elif memo in self.lives[-1].invoices.values():
                    self.broken.append(f"{memo} is unknown but on the hub's list")
            elif isinstance(outcome, hercle.HubTimeout | hercle.CommandRejected):
                ends["not sent in time" if isinstance(outcome, hercle.HubTimeout) else "rejected"] += 1
                if received[memo] or sent[memo] or isinstance(outcome, hercle.CommandRejected):
                    self.broken.append(f"{memo}: {outcome}, but the hub received it {received[memo]} times")
            else:
                ends[type(outcome).__name__] += 1
                self.broken.append(f"{memo}: {outcome!r}")
        say(f"{'creations':24}{len(self.outcomes):,}, on the hubs {memos.total():,} invoices")
        for end, count in ends.most_common():
            say(f"{'':24}{count:,} × {end}")

    def _judge_use(self) -> None:
        quarter = len(self.samples) // 4
        if not quarter:
            return
        second, last = self.samples[quarter : 2 * quarter], self.samples[-quarter:]

        def medians(name: str) -> tuple[float, float]:
            return tuple(statistics.median(getattr(s, name) for s in part) for part in (second, last))  # type: ignore[return-value]

        (rss, rss_last), mib = medians("rss"), 1 << 20
        grown = {n: b - a for n in ("rows", "text", "creations", "pushes") for a, b in [medians(n)]}
        allowed = (
            grown["rows"] * ROW_BYTES
            + grown["text"]
            + grown["creations"] * CREATION_BYTES
            + grown["pushes"] * PUSH_BYTES
        )
        say(f"{'resident memory':24}{rss / mib:.1f} MiB in the 2nd quarter, {rss_last / mib:.1f} in the last")
        say(
            f"{'':24}the log grew by {grown['rows']:,.0f} rows with {grown['text'] / mib:.1f} MiB of text, "
            f"and {grown['creations']:,.0f} invoices: {allowed / mib:.1f} MiB of its own"
        )
        if rss_last - rss > allowed + NOISE:
            self.broken.append(f"memory grew by {(rss_last - rss) / mib:.1f} MiB")
        for name in ("threads", "files"):
            before, after = medians(name)
            say(f"{name:24}{before:.0f} in the 2nd quarter, {after:.0f} in the last")
            if after > before + (0 if name == "threads" else 4):
                self.broken.append(f"{name} grew from {before:.0f} to {after:.0f}")


def say(line: str) -> None:
    """Print a line at once."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def main() -> int:
    """Run it."""
    parser = argparse.ArgumentParser(description="Harm the hub at random; nothing may get lost or doubled.")
    parser.add_argument("--minutes", type=float, default=10.0, help="how long (10)")
    parser.add_argument("--seed", type=int, default=5, help="another seed, other faults (5)")
    options = parser.parse_args()
    if not REFERENCE_HUB.exists():
        say(f"the reference hub is not at {REFERENCE_HUB}: this runs on the simulator's program")
    soak = Soak(options.minutes * 60, options.seed)
    say(f"{options.minutes:g} minutes, seed {options.seed}")
    soak.run()
    say(f"{'violations':24}{len(soak.broken)}")
    for line in soak.broken[:30]:
        say(f"  {line}")
    return 1 if soak.broken else 0


if __name__ == "__main__":
    sys.exit(main())
