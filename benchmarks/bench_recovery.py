"""Time how soon the connection is up again once the hub is back and the delay is due.

    python benchmarks/bench_recovery.py --cuts 30

cut   the TCP connection is torn down while the hub accepts: from the loss to `connected`
away  negotiate answers 503 until the hub is back: from just before it is told to, to `connected`
bare  negotiate, WebSocket and handshake by aiohttp alone, in the same run

The target is under 100 ms.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import sys
import time
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import aiohttp

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from tests.conftest import REFERENCE_HUB
from tests.fast import fast_hub, healed, until
from tests.servers import KEY, HubProcess

if TYPE_CHECKING:
    from hercle_nb import Hub

PACE = 1e-4  # an attempt is always due: delays of 0, 0.2, 1, 3 ms, then up to 6
TARGET_MS = 100


async def bare(url: str) -> float:
    """One connection by aiohttp alone; return the seconds it took."""
    headers = {"Authorization": f"Bearer {KEY}"}
    began = time.perf_counter()
    async with aiohttp.ClientSession(headers=headers) as session:
        async with session.post(f"{url}/negotiate?negotiateVersion=1") as response:
            token = (await response.json())["connectionToken"]
        async with session.ws_connect(url, params={"id": token}) as socket:
            await socket.send_str('{"protocol":"json","version":1}\x1e')
            await socket.receive()
            return time.perf_counter() - began


def cut(hub: Hub, server: HubProcess) -> float:
    """Seconds without a connection after a cut."""
    losses = hub.stats["gaps"] + 1
    server.lose("cut")
    healed(hub, losses)
    gap = hub.log.gaps.iloc[-1]
    return float((gap["back_at"] - gap["lost_at"]).total_seconds())


def away(hub: Hub, server: HubProcess) -> float:
    """Seconds from the hub's return to a connection."""
    server.mode(negotiateStatus=503, negotiateFailures=10**6)
    attempts = hub.stats["attempts"]
    server.lose("cut")
    until(lambda: hub.stats["attempts"] > attempts + 5)
    began = time.time()
    server.mode()
    until(lambda: hub.state == "connected")
    return float(hub.log.gaps["back_at"].iloc[-1].timestamp() - began)


def report(name: str, seconds: list[float], unit: float) -> None:
    """Print a line of the table."""
    middle, worst = statistics.median(seconds) * 1000, max(seconds) * 1000
    verdict = "" if name.endswith("bare") else "ok" if worst < TARGET_MS else f"over {TARGET_MS} ms"
    sys.stdout.write(f"{name:24}{middle:9.1f} ms{worst:9.1f} ms{middle / unit / 1000:9.2f}  {verdict}\n")
    sys.stdout.flush()


def run(name: str, server: HubProcess, cuts: int) -> None:
    """Measure one hub, the three ways in turn."""
    times: dict[str, list[float]] = {"bare": [], "cut": [], "away": []}
    with fast_hub(server.url, timeout=30, pace=PACE) as hub:
        for number in range(cuts + 1):
            measured = {"cut": cut(hub, server), "away": away(hub, server)}
            measured["bare"] = asyncio.run(bare(server.url))
            for way, seconds in measured.items():
                if number:  # the first round imports and warms up
                    times[way].append(seconds)
    for way, seconds in times.items():
        report(f"{name}, {way}", seconds, statistics.median(times["bare"]))


def main() -> int:
    """Measure both hubs."""
    parser = argparse.ArgumentParser(description="Time the way back after a loss.")
    parser.add_argument("--cuts", type=int, default=30, help="losses of each kind (30)")
    options = parser.parse_args()
    sys.stdout.write(f"{'hub':24}{'median':>12}{'worst':>12}{'× bare':>9}\n")
    with ExitStack() as stack:
        run("simulator", stack.enter_context(HubProcess.simulator()), options.cuts)
        if REFERENCE_HUB.exists():
            run("reference", stack.enter_context(HubProcess.reference(REFERENCE_HUB)), options.cuts)
        else:
            sys.stdout.write(f"the reference hub is not at {REFERENCE_HUB}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
