"""The first frame by hand: `json.loads` with exact numbers, then `DataFrame.from_records`.

    python -m benchmarks.peers.frames_with_json COUNT

The same texts and columns as ours, the garbage collector off.
"""

from __future__ import annotations

import gc
import json
import sys
import time
from decimal import Decimal
from typing import Any

import pandas as pd

from benchmarks.blast import texts

COLUMNS = (
    *("received_at", "kind", "connection", "target", "subject", "client_id"),
    *("data", "channel", "topic", "type", "raw"),
)


def record(received_us: int, raw: str) -> tuple[Any, ...]:
    """A row."""
    message = json.loads(raw, parse_float=Decimal)
    envelope = message["arguments"][0]
    return (
        *(received_us, "event", 1, message["target"], envelope["subject"], envelope["clientId"]),
        *(envelope["data"], envelope["channel"], envelope["topic"], envelope["type"], raw),
    )


def main() -> None:
    """Print the seconds as JSON."""
    rows = list(enumerate(texts(int(sys.argv[1])), start=time.time_ns() // 1_000))
    gc.disable()
    began = time.perf_counter()
    records = [record(*row) for row in rows]
    frame = pd.DataFrame.from_records(records, columns=COLUMNS)
    seconds = time.perf_counter() - began
    print(json.dumps({"count": len(frame), "seconds": seconds}))


if __name__ == "__main__":
    main()
