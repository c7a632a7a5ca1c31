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

    def as_refusal(self, total: int) -> str:
        """Why rows that ask for the same are not sent, and what may be done.

        Args:
            total: How many rows there are.
        """
        rows = "This row asks" if total == 1 else f"These {total:,} rows ask"
        return (
            f"{rows} for the same as the batch {self.batch_id!r} of {self.made_at:%Y-%m-%d %H:%M} UTC, which "
            f"was made without a batch_id; nothing was sent. To see that one, or to go on where it was "
            f"interrupted, write batch_id={self.batch_id!r}; for a list that recurs, give it a name of its "
            'own such as batch_id="rent-2026-12". again=True makes each invoice a second time.'
        )


def digest(requests: Iterable[InvoiceRequest]) -> str:
    """What tells rows from others, whatever their order: amount as asked, memo and expiry of each."""
    asked = sorted(_json.encode([one.amount_msat, one.memo, one.expiry_hours]) for one in requests)
    return hashlib.sha256("\n".join(asked).encode(errors="surrogatepass")).hexdigest() if asked else ""


def differing(
    rows: Mapping[int, tuple[InvoiceRequest, Call]], new: list[int], total: int, names: Callable[[int], str]
) -> str:
    """Why rows are not sent whose ids were used for something else: what there is, and what they ask now.

    Args:
        rows: What such a row asks, and what its id was used for, by its number.
        new: The rows that were never sent.
        total: How many rows there are.
        names: The name of a row.
    """
    head = (
        f"{len(rows):,} of {total:,} row{'s' if total > 1 else ''} ask{'s' if len(rows) == 1 else ''} for "
        "something else than what was sent for them, and nothing was sent now:"
    )
    lines = [
        f"{names(number)}: it was {summary(known.request)}, {end_of(known)}; now it asks for {summary(asked)}"
        for number, (asked, known) in list(rows.items())[:_MOST_LISTED]
        if known.request is not None
    ]
    if (others := len(rows) - len(lines)) > 0:
        lines.append(f"and {others:,} other{'s' if others > 1 else ''}")
    never = [names(number) for number in new[:_MOST_NAMED]]
    more = f" and {len(new) - len(never):,} more" if len(new) > len(never) else ""
    waiting = f"Never sent: {', '.join(never)}{more}. " if never else "No row is left to be sent. "
    return "\n".join(
        [
            head,
            *lines,
            f'{waiting}existing="keep" sends those alone and returns what there is for the rows above; '
            "another batch_id or client_id makes a second invoice for each order that has one.",
        ]
    )


def kept(asked: InvoiceRequest, known: Call) -> str:
    """What there is to say of a row that was kept as it was."""
    return f"kept: this row asks for {summary(asked)}" + (
        "" if known.invoice is not None else f"; it was {summary(known.request)}" if known.request else ""
    )
