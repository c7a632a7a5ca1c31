"""A batch that is run again: what was made before, and rows that differ from it. No I/O."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from hercle_nb import _json
from hercle_nb.creating import end_of, summary

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from datetime import datetime

    from hercle_nb.calls import Call
    from hercle_nb.invoice_request import InvoiceRequest

_MOST_NAMED = 10  # rows in a line
_MOST_LISTED = 20  # rows in a report


@dataclass(frozen=True)
class Made:
    """A batch that was begun.

    Attributes:
        batch_id: What its ClientIds are made from.
        named: Whoever made it gave it its batch_id.
        made_at: When it was begun (UTC).
        digest: What its rows ask for, from `digest`.
    """

    batch_id: str
    named: bool
    made_at: datetime
    digest: str

    def as_refusal(self, total: int, *, keyed: bool) -> str:
        """Why rows that ask for the same are not sent, and what may be done.

        Args:
            total: How many rows there are.
            keyed: Their ids are made from keys, not from their places.
        """
        order = "" if keyed else " with the rows in the order of then"
        rows = "This row asks" if total == 1 else f"These {total:,} rows ask"
        return (
            f"{rows} for the same as the batch {self.batch_id!r} of {self.made_at:%Y-%m-%d %H:%M} UTC, which "
            "was made without a batch_id; nothing was sent. To see that one, or to go on where it was "
            f"interrupted, write batch_id={self.batch_id!r}{order}; for a list that recurs, give it a name "
            'of its own such as batch_id="rent-2026-12". again=True makes each invoice a second time.'
        )


def digest(requests: Iterable[InvoiceRequest]) -> str:
    """What tells rows from others, whatever their order: amount as asked, memo and expiry of each."""
    asked = sorted(_json.encode(list(_asking(one))) for one in requests)
    return hashlib.sha256("\n".join(asked).encode(errors="surrogatepass")).hexdigest() if asked else ""


def difference(asked: InvoiceRequest, known: Call) -> str:
    """What there is of a row that asks for something else than was sent for it, and what it asks now."""
    before = known.method if known.request is None else summary(known.request)
    return f"it was {before}, {end_of(known)}; now it asks for {summary(asked)}"


def differing(differences: Mapping[int, str], total: int, name: Callable[[int], str], advice: str) -> str:
    """Why rows are not sent that ask for something else than was sent for them.

    Args:
        differences: From `difference`, by number of the row.
        total: How many rows there are.
        name: The name of a row.
        advice: From `way_on`.
    """
    count = len(differences)
    head = (
        f"{count:,} of {total:,} row{'s' if total > 1 else ''} ask{'s' if count == 1 else ''} for something "
        "else than what was sent for them, and nothing was sent now:"
    )
    lines = [f"{name(number)}: {differences[number]}" for number in list(differences)[:_MOST_LISTED]]
    if (others := count - len(lines)) > 0:
        lines.append(f"and {others:,} other{'s' if others > 1 else ''}")
    return "\n".join([head, *lines, advice])


def way_on(new: list[str]) -> str:
    """What may be done about rows that differ.

    Args:
        new: The names of the rows that were never sent.
    """
    more = f" and {len(new) - _MOST_NAMED:,} more" if len(new) > _MOST_NAMED else ""
    waiting = f"Never sent: {', '.join(new[:_MOST_NAMED])}{more}. " if new else "All rows were sent before. "
    keep = "sends those alone and returns" if new else "returns"
    return (
        f'{waiting}existing="keep" {keep} what there is for the rows above; another batch_id or client_id '
        "makes a second invoice for each order that has one or may have one."
    )


def moved(asked: Mapping[int, InvoiceRequest], was: Mapping[int, InvoiceRequest]) -> dict[int, int]:
    """Rows that ask for what was sent as another row: the list is in another order, and ids follow places.

    Args:
        asked: What each row asks that is new or asks for something else than was sent for it, by number.
        was: What was sent for rows that ask for something else now, by number.

    Returns:
        The number of then, by the number of now.
    """
    before = {_asking(request): number for number, request in was.items()}
    places = {number: before.get(_asking(request)) for number, request in asked.items()}
    return {now: then for now, then in places.items() if then is not None and then != now}


def out_of_order(places: Mapping[int, int]) -> str:
    """Why a list in another order is not sent."""
    some = [f"row {now} asks for what was sent as row {then}" for now, then in list(places.items())[:3]]
    more = " and so on" if len(places) > len(some) else ""
    return (
        f"The rows of this batch are in another order than they were sent in ({', '.join(some)}{more}), and "
        "their ids are made from their places; nothing was sent. Put them back in the order of then, with "
        "new rows behind them. For lists that are sorted, name a column with key= from the first time on."
    )


def _asking(request: InvoiceRequest) -> tuple[int, str | None, int | None]:
    return request.amount_msat, request.memo, request.expiry_hours


def kept(asked: InvoiceRequest, known: Call) -> str:
    """What there is to say of a row that was kept as it was."""
    return f"kept: this row asks for {summary(asked)}" + (
        "" if known.invoice is not None else f"; it was {summary(known.request)}" if known.request else ""
    )
