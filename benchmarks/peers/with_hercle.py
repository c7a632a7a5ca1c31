"""Ours: receive a blast, everything logged and one command waiting, and see that nothing was lost.

    python -m benchmarks.peers.with_hercle ingest|busy|burst URL COUNT PER_FRAME

ingest  nothing else happens in the process
busy    once like that, then once more while the main thread computes in pure Python
burst   while the main thread computes, and is interrupted in the middle

The seconds run from the `received_at` of the first event to the moment when the blast's completion, which
the server sends behind the last event, has come back to the caller and the log has its rows: a little longer
than the peers' from the first call of the handler to the last.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from bisect import bisect
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import hercle_nb as hercle
from benchmarks.blast import SUBJECT, digest

PATIENCE = 240.0  # seconds for a blast
PROMPT = 1.0  # seconds in which an interrupt reaches the cell
_UNIT = 1_000  # turns of the loop between two looks at the clock: some 50 µs


@dataclass(frozen=True)
class Received:
    """A blast that came in.

    Attributes:
        since: The log's first row of it.
        count: Events that were asked for.
        rows: Rows that the log had more at the end.
        ended: When it was complete, in seconds since 1970.
        digest: As the server has it.
        answer: Subject of the answer to the command that waited.
    """

    since: int
    count: int
    rows: int
    ended: float
    digest: str
    answer: str | None


def connected(url: str, rows: int) -> hercle.Hub:
    """A hub whose log keeps that many rows."""
    return hercle.connect(url=url, api_key="bench", journal=False, max_events=rows, timeout=PATIENCE)


def receive(hub: hercle.Hub, count: int, per_frame: int, first: int = 0) -> Received:
    """Ask for a blast and wait for its end, while a command waits for its answer."""
    since = len(hub.log)
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(hub.command, "GetBalances")
        while len(hub.log) == since and not waiting.done():  # a command is logged when it is sent
            time.sleep(0.001)
        try:
            told = hub.invoke("Blast", count, per_frame, first)
        except hercle.HercleError:
            hub.close()  # which ends the waiting as well
            raise
        rows, ended = len(hub.log) - since, time.time()
        return Received(since, count, rows, ended, told["digest"], waiting.result().subject)


def inspected(hub: hercle.Hub, blast: Received) -> dict[str, Any]:
    """How long a blast took, when it began, and all that is wrong with it."""
    frame = hub.events.iloc[blast.since : blast.since + blast.rows]
    events = frame[frame["subject"] == SUBJECT]
    stamps = events["received_at"].astype("int64")
    began, last = stamps.iloc[0] / 1e6, stamps.iloc[-1] / 1e6
    problems = [f"{name}: {hub.stats[name]}" for name in ("gaps", "reconnects") if hub.stats[name]]
    if hub.stats["events_dropped"]:
        problems.append(f"evicted: {hub.stats['events_dropped']:,}")
    if blast.rows < blast.count:
        problems.append(f"{blast.rows:,} rows after {blast.count:,} events")
    if digest(events["raw"].tolist()) != blast.digest:
        problems.append(f"{len(events):,} of {blast.count:,} events, and not as they were sent")
    if blast.answer != "account.balances.snapshot":
        problems.append(f"the command that waited was answered by {blast.answer}")
    return {
        "count": blast.count,
        "seconds": blast.ended - began,
        "seconds_by_stamps": last - began,
        "began": began,
        "problems": problems,
    }


def compute(until: Future[Any]) -> list[float]:
    """Compute as a cell does, in pure Python, until something has happened; the time after each unit."""
    ticks, total = [], 0
    while not until.done():
        for number in range(_UNIT):
            total += number * number
        ticks.append(time.time())
    return ticks


def ingest(hub: hercle.Hub, count: int, per_frame: int) -> dict[str, Any]:
    """Receive, and do nothing else."""
    return inspected(hub, receive(hub, count, per_frame))


def busy(hub: hercle.Hub, count: int, per_frame: int) -> dict[str, Any]:
    """Receive twice, the second time while the main thread computes; add what that did to either."""
    quiet = receive(hub, count, per_frame)
    with ThreadPoolExecutor(1) as pool:
        alone = len(compute(pool.submit(time.sleep, 1.0)))
        receiving = pool.submit(receive, hub, count, per_frame)
        ticks = compute(receiving)
    result, before = inspected(hub, receiving.result()), inspected(hub, quiet)
    during = bisect(ticks, result["began"] + result["seconds"]) - bisect(ticks, result["began"])
    return result | {
        "problems": before["problems"] + result["problems"],
        "quiet_seconds": before["seconds"],
        "cell_share": during / result["seconds"] / alone,
    }


def burst(hub: hercle.Hub, count: int, per_frame: int) -> dict[str, Any]:
    """Receive while the main thread computes until it is interrupted; add how long that took."""

    def interrupt(receiving: Future[Received]) -> float:
        while len(hub.log) < count / 2 and not receiving.done():
            time.sleep(0.001)
        sent = time.monotonic()
        os.kill(os.getpid(), signal.SIGINT)
        return sent

    with ThreadPoolExecutor(2) as pool:
        receiving = pool.submit(receive, hub, count, per_frame)
        interrupting = pool.submit(interrupt, receiving)
        try:
            compute(receiving)
            interrupted, delay = False, time.monotonic() - interrupting.result()
        except KeyboardInterrupt:
            interrupted, delay = True, time.monotonic() - interrupting.result()
        result = inspected(hub, receiving.result())
    if not interrupted or delay > PROMPT:
        result["problems"].append(
            f"the interrupt came after {delay:.3f} s" if interrupted else "no interrupt"
        )
    return result | {"interrupt_seconds": delay}


def main() -> None:
    """Print what was measured as JSON."""
    measure = {"ingest": ingest, "busy": busy, "burst": burst}[sys.argv[1]]
    count, per_frame = int(sys.argv[3]), int(sys.argv[4])
    with connected(sys.argv[2], max(1_000_000, 3 * count)) as hub:
        print(json.dumps(measure(hub, count, per_frame)))


if __name__ == "__main__":
    main()
