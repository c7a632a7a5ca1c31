"""The floor: websockets and orjson, with nothing of SignalR but its record separator.

    python -m benchmarks.peers.with_websockets URL COUNT PER_FRAME

Prints, as JSON, the seconds from the first event to the last.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time

import orjson
from websockets.asyncio.client import connect


async def receive(url: str, count: int, per_frame: int) -> float:
    """Seconds from the first event to the last."""
    invocation = {"type": 1, "target": "Blast", "arguments": [count, per_frame, 0]}
    async with connect(url.replace("http:", "ws:")) as connection:
        await connection.send('{"protocol":"json","version":1}\x1e')
        await connection.recv()
        await connection.send(json.dumps(invocation) + "\x1e")
        began, seen = 0.0, 0
        while seen < count:
            for message in (await connection.recv(decode=False)).split(b"\x1e")[:-1]:
                if orjson.loads(message)["type"] == 1:
                    began = began or time.perf_counter()
                    seen += 1
        return time.perf_counter() - began


def main() -> None:
    """Print the seconds as JSON."""
    url, count, per_frame = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    print(json.dumps({"count": count, "seconds": asyncio.run(receive(url, count, per_frame))}))


if __name__ == "__main__":
    main()
