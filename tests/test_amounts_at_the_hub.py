"""Amounts from the cell to the hub and back: the same millisatoshis on every way, whoever the hub is."""

from __future__ import annotations

import asyncio
from decimal import Decimal
from typing import TYPE_CHECKING

import numpy as np
import pytest

import hercle_nb as hercle
from tests.cells import GRAINS, MAX_MSAT, changed, random_cells, wire_msat, written_msat

if TYPE_CHECKING:
    from tests.servers import HubProcess


def test_a_thousand_amounts_at_the_simulator() -> None:
    """What a cell holds is on the wire, in payment request, invoice and frame, digit for digit."""
    with hercle.connect("simulator", max_btc=None) as hub:
        assert asyncio.run(changed(hub, list(random_cells(17, 1_000)))) == []
        assert hub.stats["events"] == 1_001


def test_a_hundred_amounts_at_the_reference_hub(reference_process: HubProcess) -> None:
    """ASP.NET Core SignalR reads and signs the very amount that the cell holds."""
    reference_process.reset()
    place = {"url": reference_process.url, "api_key": reference_process.key, "journal": False}
    with hercle.connect(**place, max_btc=None) as hub:
        assert asyncio.run(changed(hub, list(random_cells(18, 100)), in_flight=10)) == []
    assert reference_process.created() == 100


def test_the_cells_are_of_every_kind() -> None:
    """The random cells hold every type and grain, and amounts from one millisatoshi to all bitcoin."""
    cells = list(random_cells(17, 1_000))
    values = [value for cell in cells for name, value in cell.arguments.items() if name != "allow_msat"]
    kinds = {str, np.str_, Decimal, float, np.float64, np.ndarray, int, np.int64, np.uint32, np.uint64}
    assert {type(value) for value in values} == kinds
    assert all(any(cell.msat % grain == 0 for cell in cells) for grain in GRAINS)
    assert sum("allow_msat" in cell.arguments for cell in cells) > 100
    assert sum("amount_sat" in cell.arguments for cell in cells) > 50
    assert min(cell.msat for cell in cells) < 10
    assert max(cell.msat for cell in cells) == MAX_MSAT


@pytest.mark.parametrize(
    ("digits", "msat"),
    [("0.00000000001", 1), ("1", 10**11), ("0.1", 10**10), ("20999999.99999999999", MAX_MSAT - 1)],
)
def test_the_reader_of_the_wire(digits: str, msat: int) -> None:
    """The amount is read from a message's own digits."""
    message = f'{{"type":1,"target":"CreateLightningInvoice","arguments":["a",{digits},null,null]}}'
    assert written_msat(digits) == wire_msat(message) == msat


@pytest.mark.parametrize("digits", ["1e-8", "0.000000000001", "1.", ".5", "-1", "null", '"1"'])
def test_the_reader_of_the_wire_takes_no_other_number(digits: str) -> None:
    """An exponent, a text or a twelfth place on the wire would be noticed."""
    with pytest.raises(ValueError, match="no plain decimal number"):
        wire_msat(f'"target":"CreateLightningInvoice","arguments":["a",{digits},null,null]')


def test_a_change_is_noticed() -> None:
    """An amount that is not the one asked for is told, so that the tests above can fail."""
    cell = next(random_cells(17, 1))
    with hercle.connect("simulator", max_btc=None) as hub:
        told = asyncio.run(changed(hub, [cell._replace(msat=cell.msat + 1)]))
    assert len(told) == 2
    assert all(str(cell.msat) in line for line in told)
