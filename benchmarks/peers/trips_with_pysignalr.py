"""The round trip of a command by pysignalr alone: invoke, and wait for the event with the ClientId.

    python -m benchmarks.peers.trips_with_pysignalr URL KEY CALLS

Prints, as JSON, the median of the seconds.
"""

from __future__ import annotations

import asyncio
import json
import statistics
import sys
import time
import uuid
from typing import Any

from pysignalr.client import SignalRClient

WARM_UP = 50  # calls


async def median_seconds(url: str, key: str, calls: int) -> float:
    """The median time of a call."""
    client = SignalRClient(url, headers={"Authorization": f"Bearer {key}"})
    connected = asyncio.Event()
    answers: dict[str, asyncio.Future[None]] = {}

    async def handler(arguments: list[Any]) -> None:
        answers.pop(arguments[0]["clientId"]).set_result(None)

    async def opened() -> None:
        connected.set()

    async def completed(message: Any) -> None:
        """Take the completion."""

    async def call() -> float:
        began = time.perf_counter()
        client_id = str(uuid.uuid4())
        answers[client_id] = answer = asyncio.get_running_loop().create_future()
        await client.send("GetBalances", [client_id], on_invocation=completed)  # type: ignore[list-item]
        await answer
        return time.perf_counter() - began

    client.on("executionEvents", handler)
    client.on_open(opened)
    async with asyncio.TaskGroup() as group:  # which ends with an error if the client does
        running = group.create_task(client.run())
        await connected.wait()
        times = [await call() for _ in range(WARM_UP + calls)]
        running.cancel()
    return statistics.median(times[WARM_UP:])


def main() -> None:
    """Print the median as JSON."""
    url, key, calls = sys.argv[1], sys.argv[2], int(sys.argv[3])
    print(json.dumps({"seconds": asyncio.run(median_seconds(url, key, calls))}))


if __name__ == "__main__":
    main()
