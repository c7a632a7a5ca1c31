"""Time creations in bulk, what the journal costs, and a start with a full one.

    python benchmarks/bench_journal.py --rows 300 --full 20000

bulk     create_invoices against the same rows one by one, on the simulator as a program that takes 100 ms to
         answer; at least 6 × faster
journal  create_invoices with 16 in flight, with a journal (SQLite; PostgreSQL where it is installed) against
         none, in turn; at least 0.7 of the throughput. At 100 ms an answer, and flat out
start    a new interpreter until it is connected with 100,000 invoices in its journal; under a second
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import hercle_nb as hercle
from tests.postgres import Postgres
from tests.servers import KEY, HubProcess

if TYPE_CHECKING:
    from collections.abc import Callable

ROOT = Path(__file__).resolve().parent.parent
DELAY_MS = 100
TIMES_FASTER = 6.0
SHARE = 0.7
START = 1.0  # seconds

STARTING = """
import time
began = time.perf_counter()
import json, sys
import hercle_nb as hercle
url, key, journal = sys.argv[1:]
hub = hercle.connect(url=url, api_key=key, journal=False if journal == "-" else journal)
connected = time.perf_counter() - began
began = time.perf_counter()
rows = len(hub.invoices)
print(json.dumps({"connected": connected, "frame": time.perf_counter() - began, "rows": rows}))
hub.close()
"""


def say(text: str) -> None:
    """Print a line at once."""
    print(text, flush=True)


def rows(count: int) -> list[dict[str, Any]]:
    """The rows of a batch."""
    return [{"amount_sat": 1_000 + number, "memo": f"Row {number}"} for number in range(count)]


def in_bulk(server: HubProcess, count: int, journal: Any) -> float:
    """Seconds for a batch of so many rows."""
    with hercle.connect(url=server.url, api_key=KEY, journal=journal) as hub:
        hub.create_invoice(amount_sat=1)  # what is imported and opened at the first
        began = time.perf_counter()
        frame = hub.create_invoices(rows(count), batch_id=os.urandom(8).hex(), progress=False)
        seconds = time.perf_counter() - began
        assert (frame["status"] == "open").all()  # noqa: S101  # a benchmark of failures is none
    server.reset()
    return seconds


def one_by_one(server: HubProcess, count: int) -> float:
    """Seconds for the same rows in a loop."""
    with hercle.connect(url=server.url, api_key=KEY, journal=False) as hub:
        began = time.perf_counter()
        for row in rows(count):
            hub.create_invoice(**row)
        seconds = time.perf_counter() - began
    server.reset()
    return seconds


def bulk(server: HubProcess, count: int) -> bool:
    """Compare a batch with the loop."""
    server.mode(replyDelayMs=DELAY_MS)
    batch = in_bulk(server, count, journal=False)
    server.mode(replyDelayMs=DELAY_MS)
    loop = one_by_one(server, count)
    faster = loop / batch
    target = f"(target ≥ {TIMES_FASTER:g})"
    say(f"bulk     {count:,} rows: {batch:.1f} s, one by one {loop:.1f} s: {faster:.1f} × {target}")
    return faster >= TIMES_FASTER


def journal(server: HubProcess, count: int, rounds: int, new: Callable[[], Any], name: str) -> bool:
    """Compare a batch with a journal to one without, at the hub's two speeds."""
    good = True
    for delay in (DELAY_MS, 0):
        shares = []
        for _ in range(rounds):
            server.mode(replyDelayMs=delay)
            without = in_bulk(server, count, journal=False)
            server.mode(replyDelayMs=delay)
            shares.append(without / in_bulk(server, count, journal=new()))
        share = statistics.median(shares)
        judged = f"(target ≥ {SHARE})" if delay else "(flat out, no target)"
        span = f"{min(shares):.2f}–{max(shares):.2f}"
        say(f"journal  {name}, {delay} ms an answer: {share:.2f} of the throughput ({span}) {judged}")
        good = good and (share >= SHARE or not delay)
    return good


def filled(server: HubProcess, path: Path, count: int) -> None:
    """Make a journal of so many invoices: a few that were created, and their rows again and again."""
    import sqlite3

    in_bulk(server, 50, journal=path)
    with sqlite3.connect(path) as database:
        for table, own in (
            ("hercle_commands", ("intent", "client_id")),
            ("hercle_invoices", ("digest", "client_id")),
        ):
            database.row_factory = sqlite3.Row
            some = [dict(row) for row in database.execute(f"SELECT * FROM {table} ORDER BY client_id")]  # noqa: S608
            names = list(some[0])
            marks = ", ".join("?" * len(names))
            values = (
                [f"{row[name]}{copy}"[-60:] if name in own else row[name] for name in names]
                for copy in range(1, count // len(some) + 1)
                for row in some
            )
            database.executemany(f"INSERT INTO {table} ({', '.join(names)}) VALUES ({marks})", values)  # noqa: S608
    database.close()


def start(server: HubProcess, folder: Path, count: int, rounds: int) -> bool:
    """Time new interpreters, with a full journal and with none in turn."""
    path = folder / "full.sqlite3"
    filled(server, path, count)
    full, none = [], []
    for _ in range(rounds):
        for place, found in ((str(path), full), ("-", none)):
            command = [sys.executable, "-c", STARTING, server.url, KEY, place]
            done = subprocess.run(command, check=True, capture_output=True, text=True, cwd=ROOT)
            found.append(json.loads(done.stdout))
    seconds, without = (statistics.median(one["connected"] for one in found) for found in (full, none))
    frame = statistics.median(one["frame"] for one in full)
    say(
        f"start    {full[0]['rows']:,} invoices: connected after {seconds:.2f} s (target < {START:g}), "
        f"{seconds / without:.1f} × without a journal; the first hub.invoices after {frame:.2f} s more"
    )
    return seconds < START


def main() -> int:
    """Measure everything."""
    parser = argparse.ArgumentParser(description="Time batches and the journal.")
    parser.add_argument("--rows", type=int, default=1_000, help="of a batch (1000)")
    parser.add_argument("--full", type=int, default=100_000, help="invoices in a full journal (100000)")
    parser.add_argument("--rounds", type=int, default=3, help="of each comparison (3)")
    options = parser.parse_args()
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        server = stack.enter_context(HubProcess.simulator())
        good = bulk(server, options.rows)
        new = lambda: folder / f"{os.urandom(4).hex()}.sqlite3"  # noqa: E731
        good &= journal(server, options.rows, options.rounds, new, "SQLite")
        if (programs := Postgres.installed()) is None:
            say("journal  PostgreSQL is not installed")
        else:
            postgres = stack.enter_context(Postgres(programs))
            good &= journal(server, options.rows, options.rounds, postgres.database, "PostgreSQL")
        good &= start(server, folder, options.full, options.rounds)
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
