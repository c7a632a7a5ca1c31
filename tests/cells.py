"""Random amounts as a cell may hold them, and how they came through: shared by tests and `bench_amounts.py`.

What an amount is in millisatoshis is known here from its digits alone, by integer arithmetic, not by the code
under test.
"""

from __future__ import annotations

import asyncio
import random
import re
from decimal import Decimal
from fractions import Fraction
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator

    import hercle_nb as hercle

PLACES = 11  # of a bitcoin in millisatoshis
MAX_MSAT = 21_000_000 * 10**PLACES
GRAINS = (1, 1_000, 10**PLACES)  # a millisatoshi, a satoshi, a bitcoin

_WIRE = re.compile(r'"target":"CreateLightningInvoice","arguments":\["[^"]*",([^,]*),')
_PLAIN = re.compile(r"([0-9]+)(?:\.([0-9]{1,11}))?")


class Cell(NamedTuple):
    """An amount as a cell may hold it.

    Attributes:
        arguments: What is written in the cell: ``amount_btc`` or ``amount_sat``, and the switch.
        msat: What it means.
    """

    arguments: dict[str, Any]
    msat: int


def random_cells(seed: int, count: int) -> Iterator[Cell]:
    """Draw amounts of every size, grain and type."""
    chance = random.Random(seed)
    for _ in range(count):
        grain = chance.choice(GRAINS)
        most = MAX_MSAT // grain
        # as many of few digits as of many, and the ends of the range
        number = min(chance.randint(1, 10 ** chance.randint(1, len(str(most)))), most)
        msat = number * grain
        kind, value = chance.choice(_ways_to_write(chance, msat))
        yield Cell({kind: value} | ({"allow_msat": True} if msat % 1_000 else {}), msat)


def written_msat(digits: str) -> int:
    """The millisatoshis that a plain decimal number of bitcoin means, read digit by digit.

    Raises:
        ValueError: It is no plain decimal number, or has more places than a millisatoshi.
    """
    found = _PLAIN.fullmatch(digits)
    if found is None:
        raise ValueError(f"{digits} is no plain decimal number of at most {PLACES} places")
    whole, places = found[1], found[2] or ""
    return int(whole + places.ljust(PLACES, "0"))


def wire_msat(message: str) -> int:
    """The millisatoshis that a creation's message asks for.

    Raises:
        ValueError: It is no creation, or its amount is no plain decimal number.
    """
    found = _WIRE.search(message)
    if found is None:
        raise ValueError(f"{message} is no creation")
    return written_msat(found[1])


async def changed(hub: hercle.Hub, cells: list[Cell], in_flight: int = 50) -> list[str]:
    """Create an invoice of each cell, some at the same time; return a line for each amount that changed."""
    found = []
    asked: dict[str | None, Cell] = {}
    for start in range(0, len(cells), in_flight):
        group = cells[start : start + in_flight]
        seq = hub.log.next_seq
        made = await asyncio.gather(*(hub.aio.create_invoice(**cell.arguments) for cell in group))
        commands = hub.log.frame(kind="command", since=seq).set_index("client_id")["raw"]
        for cell, invoice in zip(group, made, strict=True):
            assert invoice.decoded is not None
            asked[invoice.client_id] = cell
            amounts = (
                wire_msat(commands[invoice.client_id]),
                invoice.decoded.amount_msat,
                invoice.amount_msat,
            )
            if set(amounts) != {cell.msat} or invoice.warnings:
                found.append(f"{cell}: wire, payment request and invoice say {amounts}, {invoice.warnings}")
    frame = await hub.aio.refresh_invoices(timeout=120)  # the hub's own list agrees, or there is a warning
    rows = frame.loc[list(asked), "amount_msat"]
    found += [f"{asked[key]}: the frame says {msat}" for key, msat in rows.items() if msat != asked[key].msat]
    found += [f"{key}: {hub.invoice(key).warnings}" for key in asked if key and hub.invoice(key).warnings]
    return found


def _ways_to_write(chance: random.Random, msat: int) -> list[tuple[str, Any]]:
    """Every way to write an amount in a cell that means exactly it."""
    whole, places = divmod(msat, 10**PLACES)
    padded = f"{whole}.{places:0{PLACES}d}"
    short = padded.rstrip("0").removesuffix(".")
    exponent = chance.randint(0, 30)
    values: list[Any] = [
        padded,
        f"00{short}",
        np.str_(short),
        Decimal(short),
        Decimal(padded + "0" * chance.randint(0, 9)),
        Decimal(f"{msat * 10**exponent}E-{PLACES + exponent}"),
    ]
    number = float(short)
    if Fraction(repr(number)) == Fraction(msat, 10**PLACES):
        values += [number, np.float64(number), np.array(number)]
    if not places:
        values += [whole, np.int64(whole), np.uint32(whole)]
    ways = [("amount_btc", value) for value in values]
    if msat % 1_000 == 0:
        ways += [("amount_sat", kind(msat // 1_000)) for kind in (int, np.int64, np.uint64)]
    return ways
