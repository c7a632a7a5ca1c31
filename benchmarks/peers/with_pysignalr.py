"""pysignalr with a handler that only counts.

    python -m benchmarks.peers.with_pysignalr URL COUNT PER_FRAME

Prints, as JSON, the seconds from the first event to the last.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from typing import Any

from pysignalr.client import SignalRClient


async def receive(url: str, count: int, per_frame: int) -> float:
    """Seconds from the first event to the last."""
    client = SignalRClient(url, headers={"Authorization": "Bearer bench"})
    connected, complete = asyncio.Event(), asyncio.Event()
    began = ended = 0.0
    seen = 0

    async def handler(arguments: list[Any]) -> None:
        nonlocal began, ended, seen
        began = began or time.perf_counter()
        seen += 1
        if seen == count:
            ended = time.perf_counter()
            complete.set()

    async def opened() -> None:
        connected.set()

    client.on("subscriptions", handler)
    client.on_open(opened)
    async with asyncio.TaskGroup() as group:  # which ends with an error if the client does
        running = group.create_task(client.run())
        await connected.wait()
        await client.send("Blast", [count, per_frame, 0])  # type: ignore[list-item]  # declared as dicts
        await complete.wait()
        running.cancel()
    return ended - began


def main() -> None:
    """Print the seconds as JSON."""
    url, count, per_frame = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    print(json.dumps({"count": count, "seconds": asyncio.run(receive(url, count, per_frame))}))


if __name__ == "__main__":
    main()
