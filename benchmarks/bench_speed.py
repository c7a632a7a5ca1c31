"""Measure speed and memory against other SignalR clients, each in a process of its own, in the same run.

    python benchmarks/bench_speed.py
    python benchmarks/bench_speed.py --rounds 1 --events 50000 --rows 100000 --only ingest,frames

Prints a table and writes it to build/bench.md and build/bench.json. Ends with status 1 if a hard target is
missed, anything was lost, or a figure could not be measured though all it needs is here. The rounds are
interleaved, so that a noisy neighbour hits all alike, and each ratio is of one round. README.md says what
each figure means.
"""

from __future__ import annotations

import argparse
import os
import platform
import statistics
import sys
import time
from collections import defaultdict
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks.processes import ROOT, NotHere, NotMeasured, blast_server, importing, official, peer
from benchmarks.report import Figure, Target, table, write
from tests.conftest import REFERENCE_HUB
from tests.servers import HubProcess

if TYPE_CHECKING:
    from collections.abc import Callable

    Result: TypeAlias = dict[str, Any]  # what a program printed
    Program: TypeAlias = Callable[..., Result]
    Value: TypeAlias = Callable[[Result], float]

OURS = "hercle_nb"
MANY = 11  # rounds at least where one takes a second or less
INVOICES = 100  # calls; each takes milliseconds

INGEST_TARGETS = {
    (1, "pysignalr"): Target("≥", 1.5),
    (1, "official JavaScript client"): Target("≥", 1.0, hard=False),
    (32, "official JavaScript client"): Target("≥", 2.0),
}


class Runs:
    """What each program printed, round by round; one that failed is not asked again, and says why."""

    def __init__(self) -> None:
        self.results: dict[str, list[Result]] = defaultdict(list)
        self.failures: dict[str, NotMeasured] = {}

    def run(self, name: str, program: Program, *arguments: object) -> None:
        """Run a program once."""
        if name in self.failures:
            return
        began = time.monotonic()
        try:
            self.results[name].append(program(*arguments))
        except NotMeasured as error:
            self.failures[name] = error
        said = self.failures.get(name, f"{time.monotonic() - began:.1f} s")
        sys.stderr.write(f"  {name}: {said}\n")

    def values(self, name: str, value: Value) -> list[float]:
        """A value of each round."""
        return [value(result) for result in self.results[name]]

    def figure(
        self,
        title: str,
        ours: tuple[str, Value],
        theirs: tuple[str, Value] | None,
        **rest: Any,
    ) -> Figure:
        """A figure from a value of ours and one of a peer's, or why there is none."""
        names = [ours[0]] if theirs is None else [ours[0], theirs[0]]
        failures = {name: self.failures[name] for name in names if name in self.failures}
        figure = Figure(title, **({"peer": names[-1]} | rest))
        figure.missing = "; ".join(f"{name}: {failure}" for name, failure in failures.items())
        figure.excused = bool(failures) and all(isinstance(why, NotHere) for why in failures.values())
        figure.problems = [problem for run in self.results[ours[0]] for problem in run.get("problems", [])]
        if not failures:
            figure.ours = self.values(*ours)
            figure.theirs = [] if theirs is None else self.values(*theirs)
        return figure


def rate(result: Result) -> float:
    """Events a second."""
    events_a_second: float = result["count"] / result["seconds"]
    return events_a_second


def milliseconds(key: str) -> Value:
    """A time in milliseconds; the median of several."""

    def value(result: Result) -> float:
        times = result[key]
        seconds: float = statistics.median(times) if isinstance(times, list) else times
        return seconds * 1_000

    return value


def ingest(options: argparse.Namespace) -> list[Figure]:
    """Receive events with every client in turn."""
    figures = []
    with blast_server() as url:
        for per_frame in (1, 32):
            what = (url, options.events, per_frame)
            programs: dict[str, tuple[Program, *tuple[object, ...]]] = {
                OURS: (peer, "with_hercle", "ingest", *what),
                "pysignalr": (peer, "with_pysignalr", *what),
                "official JavaScript client": (official, *what),
                "signalrcore": (peer, "with_signalrcore", *what),
                "websockets + orjson": (peer, "with_websockets", *what),
            }
            runs = Runs()
            for _ in range(options.rounds):
                for name, program in programs.items():
                    runs.run(name, *program)
            figures += [
                runs.figure(
                    f"ingest, {per_frame} a frame",
                    (OURS, rate),
                    (name, rate),
                    unit="events/s",
                    target=INGEST_TARGETS.get((per_frame, name)),
                )
                for name in list(programs)[1:]
            ]
    return figures


def busy(options: argparse.Namespace) -> list[Figure]:
    """Receive events while the main thread computes."""
    figures = []
    with blast_server() as url:
        for per_frame in (1, 32):
            runs = Runs()
            for _ in range(options.rounds):
                runs.run(OURS, peer, "with_hercle", "busy", url, options.events, per_frame)
            figure = runs.figure(
                f"ingest, {per_frame} a frame, while a cell computes",
                (OURS, rate),
                (OURS, lambda run: run["count"] / run["quiet_seconds"] / 2),
                unit="events/s",
                peer="half of the quiet rate (ideal)",
                promise="no loss",
            )
            if not figure.missing:
                share = statistics.median(runs.values(OURS, lambda run: run["cell_share"]))
                figure.remark = f"the cell computed at {share:.0%} of its own speed (ideal: 50%)"
            figures.append(figure)
    return figures


def burst(options: argparse.Namespace) -> list[Figure]:
    """Receive a burst while a cell computes and is interrupted."""
    runs = Runs()
    with blast_server() as url:
        for _ in range(options.rounds):
            runs.run(OURS, peer, "with_hercle", "burst", url, options.burst, 1)
    return [
        runs.figure(
            f"burst of {options.burst:,} while a cell computes: until its interrupt",
            (OURS, milliseconds("interrupt_seconds")),
            None,
            unit="ms",
            peer="",
            promise="no loss, no disconnect, ≤ 1,000 ms",
        )
    ]


def frames(options: argparse.Namespace) -> list[Figure]:
    """Read frames, and weigh the log."""
    runs, by_hand = Runs(), "json, Decimal, from_records; collector off"
    with blast_server() as url:
        for _ in range(options.rounds):
            runs.run(OURS, peer, "frames_with_hercle", url, options.rows)
            runs.run(by_hand, peer, "frames_with_json", options.rows)

    def weight(when: str, key: str, most: float) -> Figure:
        return runs.figure(
            f"memory a logged event, {when} its frame was read",
            (OURS, lambda run: run[key]),
            (OURS, lambda run: run["text_bytes"]),
            unit="bytes",
            peer="its raw text",
            target=Target("≤", most),
        )

    return [
        runs.figure(
            f"first `hub.events` of {options.rows:,}",
            (OURS, milliseconds("first_seconds")),
            (by_hand, milliseconds("seconds")),
            unit="ms",
            target=Target("≤", 0.6),
        ),
        runs.figure(
            f"`hub.events` after 1,000 new rows on {options.rows:,}",
            (OURS, milliseconds("new_seconds")),
            (OURS, milliseconds("concat_seconds")),
            unit="ms",
            peer="`pd.concat` of the same",
            target=Target("≤", 0.1),
        ),
        weight("before", "logged_bytes", 2),
        weight("after", "read_bytes", 5),
    ]


def trips(options: argparse.Namespace) -> list[Figure]:
    """Send commands and wait for their answers."""
    runs, creation, bare = Runs(), "create_invoice", "bare pysignalr"
    with HubProcess.simulator() as hub:
        for _ in range(options.rounds):
            runs.run(creation, peer, "trips_with_hercle", "invoices", hub.url, hub.key, INVOICES)
    if REFERENCE_HUB.exists():
        with HubProcess.reference(REFERENCE_HUB) as hub:
            for _ in range(max(MANY, options.rounds)):
                runs.run(OURS, peer, "trips_with_hercle", "balances", hub.url, hub.key, options.calls)
                runs.run(bare, peer, "trips_with_pysignalr", hub.url, hub.key, options.calls)
    else:
        runs.failures[OURS] = NotHere("the reference hub is not here; set HERCLE_REFERENCE_HUB")
    return [
        runs.figure(
            'round trip, p50: `hub.command("GetBalances")`',
            (OURS, milliseconds("seconds")),
            (bare, milliseconds("seconds")),
            unit="ms",
            target=Target("≤", 1.6),
        ),
        runs.figure(
            "round trip, p50: `create_invoice` on the simulator",
            (creation, milliseconds("seconds")),
            (creation, milliseconds("decoding_seconds")),
            unit="ms",
            peer="of it decoding the payment request",
        ),
    ]


def imports(options: argparse.Namespace) -> list[Figure]:
    """Import ours and pandas in new interpreters."""
    warm_up, runs = Runs(), Runs()  # the first import writes the bytecode
    for number in range(1 + max(MANY, options.rounds)):
        for module in (OURS, "pandas"):
            (runs if number else warm_up).run(module, importing, module)
    seconds = milliseconds("seconds")
    target = Target("≤", 0.22)
    return [runs.figure("`import hercle_nb`", (OURS, seconds), ("pandas", seconds), unit="ms", target=target)]


SECTIONS = {section.__name__: section for section in (ingest, busy, frames, trips, imports, burst)}


def main() -> int:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(description="Measure speed and memory against other clients.")
    parser.add_argument("--rounds", type=int, default=3, help="of each figure (3)")
    parser.add_argument("--events", type=int, default=500_000, help="that each client receives (500000)")
    parser.add_argument("--rows", type=int, default=1_000_000, help="of the frame that is read (1000000)")
    parser.add_argument("--burst", type=int, default=200_000, help="events at once (200000)")
    parser.add_argument("--calls", type=int, default=500, help="round trips (500)")
    parser.add_argument("--only", default=",".join(SECTIONS), help=f"some of {','.join(SECTIONS)}")
    options = parser.parse_args()
    if unknown := set(options.only.split(",")) - set(SECTIONS):
        parser.error(f"no such section: {', '.join(sorted(unknown))}")
    figures = []
    for name in options.only.split(","):
        sys.stderr.write(f"{name}\n")
        figures += SECTIONS[name](options)
    machine = {
        "Python": platform.python_version(),
        "pandas": version("pandas"),
        "pysignalr": version("pysignalr"),
        "cores": os.cpu_count(),
        "rounds": options.rounds,
        "events": f"{options.events:,}",
        "load": " ".join(f"{load:.1f}" for load in os.getloadavg()),
    }
    print(table(figures, machine), end="")
    write(ROOT / "build", figures, machine)
    return 1 if any(figure.failed for figure in figures) else 0


if __name__ == "__main__":
    sys.exit(main())
