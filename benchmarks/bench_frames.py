"""Feed a connection with random frames: hub messages cut at random places and mutated at random bytes.

    python benchmarks/bench_frames.py --count 1000000

Every complete message that is not a ping, a completion or a goodbye must be exactly one row, and nothing may
raise; ends with status 1 otherwise. `tests/frames.py` makes the frames.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from tests.frames import run_chunk

CHUNK = 5_000


def main() -> int:
    """Feed them by all cores."""
    parser = argparse.ArgumentParser(description="Feed a connection with random frames.")
    parser.add_argument("--count", type=int, default=1_000_000, help="frames (1000000)")
    parser.add_argument("--processes", type=int, default=os.cpu_count() or 1, help="all cores by default")
    parser.add_argument("--seed", type=int, default=5, help="another seed, other frames (5)")
    options = parser.parse_args()
    jobs = [
        (options.seed * 1_000_003 + number, min(CHUNK, options.count - start))
        for number, start in enumerate(range(0, options.count, CHUNK))
    ]
    frames = rows = 0
    wrong: list[str] = []
    begin = time.perf_counter()
    with multiprocessing.get_context("spawn").Pool(options.processes) as pool:
        for chunk_frames, chunk_rows, chunk_wrong in pool.imap_unordered(run_chunk, jobs):
            frames += chunk_frames
            rows += chunk_rows
            wrong += chunk_wrong
    elapsed = time.perf_counter() - begin
    print(f"{frames:,} random frames, {rows:,} rows in {elapsed:.1f} s by {options.processes} processes")
    print(f"exceptions, and rows too few, too many or different: {len(wrong)}")
    for line in wrong[:20]:
        print(f"  {line}")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
