"""Ours: what the log takes in memory, and what reading it as a frame takes in time.

    python -m benchmarks.peers.frames_with_hercle URL COUNT

The events come over a socket, 32 a frame, so that the log holds what it really holds. Memory is the growth
of the resident set, after a collection and `malloc_trim`: what the allocator only keeps for later does not
count. pandas is imported before, as it is in any notebook that reads a second frame.
"""

from __future__ import annotations

import ctypes
import gc
import json
import sys
import time
from typing import TYPE_CHECKING

import pandas as pd
import psutil

from benchmarks.blast import SUBJECT
from benchmarks.peers.with_hercle import connected, inspected, receive

if TYPE_CHECKING:
    import hercle_nb as hercle

NEW = 1_000  # rows of a reading after the first
REPEATS = 7


def resident() -> int:
    """Bytes of this process in memory."""
    gc.collect()
    if sys.platform == "linux":
        ctypes.CDLL(None).malloc_trim(0)
    size: int = psutil.Process().memory_info().rss
    return size


def readings(hub: hercle.Hub, count: int) -> tuple[list[float], list[float]]:
    """Seconds of reading the frame after new rows, and of `pd.concat` of the same, in turn."""
    ours, concat = [], []
    frame = hub.events
    for repeat in range(REPEATS):
        before = len(frame)
        receive(hub, NEW, 32, first=count + repeat * NEW)
        began = time.perf_counter()
        newest = hub.events
        ours.append(time.perf_counter() - began)
        frame = newest  # only now does the one before go: freeing is in neither time
        parts = [frame.iloc[:before].copy(), frame.iloc[before:].copy()]
        began = time.perf_counter()
        both = pd.concat(parts)
        concat.append(time.perf_counter() - began)
        del both
    return ours, concat


def main() -> None:
    """Print what was measured as JSON."""
    url, count = sys.argv[1], int(sys.argv[2])
    with connected(url, 2 * count) as hub:
        empty = resident()
        blast = receive(hub, count, 32)
        logged = resident()
        began = time.perf_counter()
        frame = hub.events
        first = time.perf_counter() - began
        text_bytes = frame.loc[frame["subject"] == SUBJECT, "raw"].str.len().mean()  # ASCII
        del frame
        read = resident()
        ours, concat = readings(hub, count)
        result = {
            "first_seconds": first,
            "new_seconds": ours,
            "concat_seconds": concat,
            "logged_bytes": (logged - empty) / count,
            "read_bytes": (read - empty) / count,
            "text_bytes": float(text_bytes),
            "problems": inspected(hub, blast)["problems"],
        }
    print(json.dumps(result))


if __name__ == "__main__":
    main()
