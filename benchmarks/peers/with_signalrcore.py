"""signalrcore with a handler that only counts.

    python -m benchmarks.peers.with_signalrcore URL COUNT PER_FRAME

Prints, as JSON, the seconds from the first event to the last.
"""

from __future__ import annotations

import json
import sys
import threading
import time
from typing import Any

from signalrcore.hub_connection_builder import HubConnectionBuilder

PATIENCE = 240  # seconds; it says nothing of a connection that is lost


def receive(url: str, count: int, per_frame: int) -> float:
    """Seconds from the first event to the last."""
    connection = HubConnectionBuilder().with_url(url).build()
    connected, complete = threading.Event(), threading.Event()
    began = ended = 0.0
    seen = 0

    def handler(arguments: list[Any]) -> None:
        nonlocal began, ended, seen
        began = began or time.perf_counter()
        seen += 1
        if seen == count:
            ended = time.perf_counter()
            complete.set()

    connection.on("subscriptions", handler)
    connection.on_open(connected.set)
    connection.start()
    if not connected.wait(PATIENCE):
        raise TimeoutError("signalrcore did not connect")
    connection.send("Blast", [count, per_frame, 0])
    if not complete.wait(PATIENCE):
        raise TimeoutError(f"signalrcore saw {seen:,} of {count:,} events")
    return ended - began  # without stop(), which would wait for the server's next message


def main() -> None:
    """Print the seconds as JSON."""
    url, count, per_frame = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    print(json.dumps({"count": count, "seconds": receive(url, count, per_frame)}))


if __name__ == "__main__":
    main()
