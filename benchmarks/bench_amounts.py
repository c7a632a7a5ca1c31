"""Follow random amounts from the cell to the wire, and through the simulator to the invoice.

    python benchmarks/bench_amounts.py --count 1000000 --through 10000

Each must mean the same millisatoshis everywhere; ends with status 1 at the first changed digit.
`tests/cells.py` draws the amounts and reads them back, without the code under test.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import multiprocessing
import os
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import hercle_nb as hercle
from hercle_nb._signalr.protocol import invocation_text
from hercle_nb.commands import CREATE
from tests.cells import changed, random_cells, wire_msat

CHUNK = 10_000
GROUP = 1_000


def run_chunk(job: tuple[int, int]) -> tuple[int, float, str]:
    """Write a chunk of cells as messages; return how many, our seconds, and the first change or nothing."""
    seed, count = job
    seconds = 0.0
    for done, cell in enumerate(random_cells(seed, count)):
        begin = time.perf_counter()
        request = hercle.InvoiceRequest(**cell.arguments)
        message = invocation_text("1", CREATE, request.arguments)
        seconds += time.perf_counter() - begin
        if not wire_msat(message) == request.amount_msat == cell.msat:
            return done, seconds, f"{cell} became {request.amount_msat} msat and {message}"
    return count, seconds, ""


def to_the_wire(count: int, processes: int, seed: int) -> str:
    """Write messages by all cores; return the first change or nothing."""
    jobs = [
        (seed * 1_000_003 + number, min(CHUNK, count - start))
        for number, start in enumerate(range(0, count, CHUNK))
    ]
    total, ours, begin, wrong = 0, 0.0, time.perf_counter(), ""
    with multiprocessing.get_context("spawn").Pool(processes) as pool:
        for number, seconds, wrong in pool.imap_unordered(run_chunk, jobs):
            total += number
            ours += seconds
            if wrong:
                break
    elapsed = time.perf_counter() - begin
    print(f"{total:,} amounts from the cell to the wire and back in {elapsed:.1f} s by {processes} processes")
    print(f"  {ours / max(total, 1) * 1e6:.1f} µs each for InvoiceRequest and message", flush=True)
    return wrong


def through_the_simulator(count: int, seed: int) -> str:
    """Create invoices; return the first change or nothing."""
    cells, total, begin, wrong = random_cells(seed, count), 0, time.perf_counter(), ""
    with hercle.connect("simulator", max_btc=None) as hub:
        while not wrong and (group := list(itertools.islice(cells, GROUP))):
            wrong = next(iter(asyncio.run(changed(hub, group))), "")
            total += len(group)
    elapsed = time.perf_counter() - begin
    print(f"{total:,} amounts through the simulator in {elapsed:.1f} s, {total / elapsed:,.0f} a second")
    return wrong


def main() -> int:
    """Run both parts."""
    parser = argparse.ArgumentParser(description="Follow random amounts from the cell to the invoice.")
    parser.add_argument("--count", type=int, default=1_000_000, help="amounts to the wire (1000000)")
    parser.add_argument("--through", type=int, default=10_000, help="amounts through the simulator (10000)")
    parser.add_argument("--processes", type=int, default=os.cpu_count() or 1, help="all cores by default")
    parser.add_argument("--seed", type=int, default=6, help="another seed, other amounts (6)")
    options = parser.parse_args()
    wrong = to_the_wire(options.count, options.processes, options.seed)
    wrong = wrong or through_the_simulator(options.through, options.seed)
    print(f"a digit changed: {wrong}" if wrong else "changed digits: 0")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
