"""A script that is killed at any moment loses no invoice, doubles none, and forgets no open question."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.killing import kill_and_look

if TYPE_CHECKING:
    from tests.servers import HubProcess

KILLS, SEED = 10, 7  # a store; `make soak` kills 100 times


def test_killed_at_random(reference_process: HubProcess, journal: str) -> None:
    """After each of ten kills every invoice of the hub's is known or adopted, once; what was not found is
    not there, and the same cells run again make only what was never sent.
    """
    reference_process.reset()
    tally = kill_and_look(reference_process, journal, kills=KILLS, seed=SEED)
    assert not tally.broken, f"seed {SEED}: {tally}"
    assert tally.kills == KILLS, tally
    assert tally.known + tally.adopted == tally.invoices > KILLS, tally
    assert tally.adopted, tally  # else no kill fell between the hub's doing and its answer
