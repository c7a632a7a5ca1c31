"""Kill a script that creates invoices, again and again, and look each time what was lost or doubled.

The tests do it twenty times, `benchmarks/soak_kills.py` two hundred times.
"""

from __future__ import annotations

import collections
import os
import random
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import hercle_nb as hercle
from tests.fast import until
from tests.killed_child import MATCHED, Made, Step, run, steps

if TYPE_CHECKING:
    from hercle_nb import Hub
    from tests.servers import HubProcess

ROOT = Path(__file__).resolve().parent.parent
IN_FLIGHT = 16
# what is killed, how often, and how long after which of its lines at most (seconds)
KINDS = {
    "a new script": (6, "connected", 2.0),
    "the same again": (2, "connected", 1.5),
    "while it connects": (2, "connecting", 0.35),
}


@dataclass
class Tally:
    """What came of so many kills.

    Attributes:
        kills: How many.
        kinds: How many of each of `KINDS`.
        invoices: How many the hub has.
        known: How many are known here without a question.
        adopted: Questions that the hub's list answered.
        not_found: Questions whose creation the hub never carried out.
        broken: What should not have happened, a line each.
    """

    kills: int = 0
    kinds: collections.Counter[str] = field(default_factory=collections.Counter)
    invoices: int = 0
    known: int = 0
    adopted: int = 0
    not_found: int = 0
    broken: list[str] = field(default_factory=list)


def kill_and_look(server: HubProcess, journal: str, *, kills: int, seed: int) -> Tally:
    """Kill the script so many times and look after it.

    Args:
        server: The reference hub, as good as new and used by nobody else.
        journal: A file's path or a URL, empty so far.
        kills: How many.
        seed: Another seed, other moments.
    """
    return _Killing(server, journal, seed).run(kills)


class _Killing:
    def __init__(self, server: HubProcess, journal: str, seed: int) -> None:
        self.tally = Tally()
        self._server = server
        self._journal = journal
        self._chance = random.Random(seed)
        self._number = 0
        self._begun: dict[str, Step] = {}  # since the last look
        self._seen: dict[int, tuple[str, bool]] = {}  # what cells got to see: payment hash, matched
        self._known: dict[int, bool] = {}  # the same as of the last look: whether matched
        self._not_found: dict[str, int] = {}  # questions that no list answers: amount by ClientId
        self._looked = 0  # after how many kills
        self._now = ""

    def run(self, kills: int) -> Tally:
        weights = [weight for weight, _, _ in KINDS.values()]
        # the first time the journal is empty, and its tables are made
        kinds = ["while it connects", *self._chance.choices(list(KINDS), weights, k=kills)][:kills]
        for kind, following in zip(kinds, [*kinds[1:], None], strict=True):
            self.tally.kills += 1
            self.tally.kinds[kind] += 1
            self._now = f"kill {self.tally.kills} ({kind})"
            self._kill(kind)
            if following == "while it connects":  # that one has to find open questions
                continue
            try:
                self._judge()
            except hercle.HercleError as error:
                self._broken(f"{type(error).__name__}: {error}")
        return self.tally

    # -- the killing -------------------------------------------------------------------------------------

    def _kill(self, kind: str) -> None:
        """Start the script, and kill it at some moment after one of its lines."""
        _, line, longest = KINDS[kind]
        if kind == "a new script":
            self._number += 1
        self._server.mode(replyDelayMs=self._chance.choice((0, 0, self._chance.randint(50, 300))))
        arguments = (self._server.url, self._server.key, self._journal, str(self._number))
        environment = {name: value for name, value in os.environ.items() if not name.startswith("HERCLE_")}
        with subprocess.Popen(
            [sys.executable, "-W", "error", "-m", "tests.killed_child", *arguments],
            cwd=ROOT,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        ) as child:
            said = []
            try:
                assert child.stdout is not None
                for text in child.stdout:
                    said.append(text.split())
                    if said[-1] == [line]:
                        time.sleep(self._chance.uniform(0, longest))
                        break
            finally:
                child.kill()
            rest, errors = child.communicate()
        said += [text.split() for text in rest.splitlines()]
        if child.returncode != -9 or errors:
            self._broken(f"it ended by itself with {child.returncode}: {errors}")
        self._note(said)

    def _note(self, said: list[list[str]]) -> None:
        """Take in what the script said before its end."""
        names = [words[1] for words in said if words[0] == "step"]
        self._begun |= dict(zip(names, steps(self._number), strict=False))
        for words in said:
            if words[0] == "made":
                self._saw(int(words[1]), words[2], matched=words[3] == "True")

    def _saw(self, amount: int, payment_hash: str, *, matched: bool) -> None:
        """A cell has got an invoice; from now on it must be known, as it was."""
        before = self._seen.setdefault(amount, (payment_hash, matched))
        if before != (payment_hash, matched):
            self._broken(f"{amount} sat was {before} and is now {(payment_hash, matched)}")

    # -- the judgement -----------------------------------------------------------------------------------

    def _judge(self) -> None:
        """Look what is left, run the killed cells again, and look once more."""
        self._server.mode()
        self._settle()
        questions = self._questions()
        with hercle.connect(url=self._server.url, api_key=self._server.key, journal=self._journal) as hub:
            self._look(hub)
            if self._questions() - questions > IN_FLIGHT * (self.tally.kills - self._looked):
                self._broken(f"{self._questions() - questions} questions are more than were in flight")
            self._resume(hub)
            self._look(hub)
        self._begun.clear()
        self._looked = self.tally.kills

    def _questions(self) -> int:
        """How many creations were of unknown outcome, answered since or not."""
        return len(self._not_found) + sum(self._known.values())

    def _settle(self) -> None:
        """Wait until the hub has done all that it read."""
        counts: list[int] = []

        def still() -> bool:
            stats = self._server.stats()
            counts.append(-1 if stats["connections"] else len(stats["invoices"]))
            time.sleep(0.05)
            return len(counts) > 6 and counts[-1] >= 0 and len(set(counts[-6:])) == 1

        until(still)

    def _look(self, hub: Hub) -> None:
        """Compare what is known here with what the hub has."""
        at_hub = self._at_hub()
        self._ask(hub, at_hub)
        frame = hub.invoices
        with_invoice = frame[frame["payment_hash"].notna()]
        for amount, hashes in with_invoice.groupby("amount_sat")["payment_hash"]:
            if len(hashes) > 1:
                self._broken(f"{amount} sat has {len(hashes)} rows: {list(hashes.index)}")
        if with_invoice["payment_hash"].duplicated().any():
            self._broken("a payment hash has two rows")
        ours = with_invoice[with_invoice.index != with_invoice["id"]]  # the hub's id: only the hub knows it
        rows = {int(row.amount_sat): row for row in ours.itertuples()}
        for amount, payment_hash in at_hub.items():
            if amount not in rows:
                self._broken(f"{amount} sat is at the hub, and not known here")
            elif (rows[amount].payment_hash, rows[amount].status) != (payment_hash, "open"):
                self._broken(f"{amount} sat is {payment_hash} at the hub, here {rows[amount]}")
        for amount, row in rows.items():
            if amount not in at_hub:
                self._broken(f"{amount} sat is {row.status} here, and not at the hub")
        for amount in (self._seen | self._known).keys() - rows.keys():
            self._broken(f"{amount} sat was known, and is no more")
        for amount in rows.keys() - self._known.keys():
            self._known[amount] = MATCHED in hub.invoice(rows[amount].Index).warnings
        self._compare_with_cells(rows)
        self.tally.invoices = len(at_hub)
        self.tally.adopted = sum(self._known.values())
        self.tally.known = len(self._known) - self.tally.adopted
        self.tally.not_found = len(self._not_found)

    def _ask(self, hub: Hub, at_hub: dict[int, str]) -> None:
        """Ask what became of each question that is open, those aside that no list answered before."""
        unresolved = hub.unresolved
        for client_id, amount_msat in unresolved["amount_msat"].items():
            amount = amount_msat // 1_000
            if client_id in self._not_found:
                continue
            found = hub.resolve(client_id)
            if found.outcome == "not found":
                self._not_found[client_id] = amount
            elif found.outcome != "adopted" or found.invoice.payment_hash != at_hub.get(amount):
                self._broken(f"{client_id}: {found.outcome}, {found.invoice}")
        for client_id, amount in self._not_found.items():
            if amount in at_hub:
                self._broken(f"{client_id} was not found, but {amount} sat is at the hub")
            if client_id not in unresolved.index:
                self._broken(f"the question {client_id} was forgotten")

    def _compare_with_cells(self, rows: dict[int, Any]) -> None:
        """What a cell saw was durable: it is the same, and did not have to be looked up."""
        for amount, (payment_hash, matched) in self._seen.items():
            if amount in rows and (rows[amount].payment_hash, self._known[amount]) != (payment_hash, matched):
                self._broken(
                    f"{amount} sat was {payment_hash} for a cell, matched: {matched}; {rows[amount]}"
                )

    def _resume(self, hub: Hub) -> None:
        """Run the killed cells again: what is known is reused, what is unknown stays so, the rest is made."""
        known = dict(self._known)
        for step in self._begun.values():
            for made in run(hub, step):
                self._judge_made(made, known)

    def _judge_made(self, made: Made, known: dict[int, bool]) -> None:
        if made.status == "open":
            self._saw(made.amount, made.payment_hash, matched=made.matched)
            if made.client_id in self._not_found:
                self._broken(f"{made} was an open question")
        elif made.status != "unknown" or made.amount in known or made.client_id not in self._not_found:
            self._broken(f"run again: {made}")

    def _at_hub(self) -> dict[int, str]:
        """The hub's invoices: the payment hash by the amount in satoshis."""
        invoices = self._server.stats()["invoices"]
        for name in ("amountOriginalValue", "memo", "paymentHash"):
            counted = collections.Counter(invoice[name] for invoice in invoices)
            for value, times in counted.items():
                if times > 1:
                    self._broken(f"the hub has {times} invoices with the {name} {value}")
        return {int(invoice["amountOriginalValue"]): invoice["paymentHash"] for invoice in invoices}

    def _broken(self, what: str) -> None:
        self.tally.broken.append(f"{self._now}: {what}")
