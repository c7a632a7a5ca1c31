"""A script that creates invoices, killed 100 times with its journal on SQLite and 100 times on PostgreSQL.

    python benchmarks/soak_kills.py --kills 100 --seed 5

Ends with status 1 if anything was lost, doubled or made up: see `tests/killing.py`. Without PostgreSQL's
server programs it does the other half; without the reference hub it runs on the simulator's program.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from tests.conftest import REFERENCE_HUB  # noqa: E402  # after the path
from tests.killing import Tally, kill_and_look  # noqa: E402
from tests.postgres import Postgres  # noqa: E402
from tests.servers import HubProcess  # noqa: E402

if TYPE_CHECKING:
    from collections.abc import Iterator

STORES = ("SQLite", "PostgreSQL")


@contextmanager
def journal(store: str) -> Iterator[str | None]:
    """An empty journal; None where there is no PostgreSQL."""
    if store == "SQLite":
        with tempfile.TemporaryDirectory() as folder:
            yield str(Path(folder) / "journal.sqlite")
    elif (programs := Postgres.installed()) is None:
        yield None
    else:
        with Postgres(programs) as server:
            yield server.database()


def killed(store: str, kills: int, seed: int) -> Tally | None:
    """Kill the script so many times; None where the store is not installed."""
    reference = REFERENCE_HUB.exists()
    with (
        journal(store) as place,
        HubProcess.reference(REFERENCE_HUB) if reference else HubProcess.simulator() as server,
    ):
        return None if place is None else kill_and_look(server, place, kills=kills, seed=seed)


def figures(tally: Tally) -> str:
    """What came of it, in a line."""
    kinds = ", ".join(f"{times} × {kind}" for kind, times in tally.kinds.items())
    return (
        f"{tally.kills} kills ({kinds}); {tally.invoices:,} invoices at the hub, {tally.known:,} known; "
        f"{tally.adopted + tally.not_found:,} questions, {tally.adopted:,} adopted, "
        f"{tally.not_found:,} not found; {len(tally.broken)} violations"
    )


def main() -> int:
    """Run it."""
    parser = argparse.ArgumentParser(description="Kill a script at random; nothing may get lost or doubled.")
    parser.add_argument("--kills", type=int, default=100, help="how many on each store (100)")
    parser.add_argument("--seed", type=int, default=5, help="another seed, other moments (5)")
    options = parser.parse_args()
    if not REFERENCE_HUB.exists():
        print(f"the reference hub is not at {REFERENCE_HUB}: this runs on the simulator's program")
    print(f"{options.kills} kills on each store, seed {options.seed}", flush=True)
    broken = []
    for store in STORES:
        began = time.monotonic()
        tally = killed(store, options.kills, options.seed)
        if tally is None:
            print(f"{store:12}left out: its server programs are not here (apt-get install postgresql)")
            continue
        print(f"{store:12}{figures(tally)}, {time.monotonic() - began:.0f} s", flush=True)
        broken += [f"{store}, {line}" for line in tally.broken]
    for line in broken[:30]:
        print(f"  {line}")
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
