"""The state of an invoice: one table."""

from __future__ import annotations

import pytest

from hercle_nb.states import STATES, is_documented, state_of, state_of_creation

TABLE = [
    # proven, the hub's word, late, state
    (False, None, False, "open"),
    (False, None, True, "expired"),
    (False, "OPEN", False, "open"),
    (False, "OPEN", True, "expired"),
    (False, "CLOSED", False, "closed"),
    (False, "CLOSED", True, "closed"),
    (False, "closed", False, "closed"),
    (False, "ARCHIVED", False, "open"),  # not documented: decides nothing
    (False, "ARCHIVED", True, "expired"),
    (False, "", True, "expired"),
    (True, None, False, "paid"),
    (True, None, True, "paid"),  # a valid preimage beats the clock
    (True, "OPEN", False, "paid"),
    (True, "OPEN", True, "paid"),
    (True, "CLOSED", False, "paid"),
    (True, "CLOSED", True, "paid"),
    (True, "ARCHIVED", True, "paid"),
]


@pytest.mark.parametrize(("proven", "hub_status", "late", "state"), TABLE)
def test_the_state_of_an_invoice(proven: bool, hub_status: str | None, late: bool, state: str) -> None:
    """A proof of payment first, then the hub's word, then the clock."""
    assert state_of(proven=proven, hub_status=hub_status, late=late) == state


@pytest.mark.parametrize(("refused", "state"), [(True, "rejected"), (False, "unknown")])
def test_the_state_of_a_creation(refused: bool, state: str) -> None:
    """A creation without an invoice was refused, or nobody knows."""
    assert state_of_creation(refused=refused) == state


def test_every_state_is_reached() -> None:
    """The table and the two ends of a creation are all the states there are."""
    assert {row[3] for row in TABLE} | {"rejected", "unknown"} == set(STATES)


@pytest.mark.parametrize(
    ("word", "known"), [("OPEN", True), ("Closed", True), ("ARCHIVED", False), ("", False)]
)
def test_the_documented_words(word: str, known: bool) -> None:
    """OPEN and CLOSED, in any case of letters."""
    assert is_documented(word) is known
