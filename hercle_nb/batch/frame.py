"""What became of a batch's rows, as a DataFrame."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pandas as pd

from hercle_nb._columns import TEXT_DTYPE
from hercle_nb.invoice_frame import DTYPES, amount_cells, row_of, row_without_invoice
from hercle_nb.invoices import Invoice
from hercle_nb.states import STATES

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hercle_nb.batch.rows import Rows
    from hercle_nb.calls import Call
    from hercle_nb.invoice_request import InvoiceRequest

NOT_SENT = "not sent"

_PREFIX = "invoice_"
_DTYPES: dict[str, Any] = {
    "client_id": TEXT_DTYPE,
    "status": pd.CategoricalDtype([*STATES, NOT_SENT]),
    "error": TEXT_DTYPE,
    "note": TEXT_DTYPE,
    **{name: dtype for name, dtype in DTYPES.items() if name != "status"},
    "environment": TEXT_DTYPE,
}


@dataclass(frozen=True)
class Outcome:
    """What is known of one row.

    Attributes:
        record: Its invoice, or the call that came to none (rejected or unknown); None if it was not sent.
        error: What the row's failure says.
        note: What there is to say of a row that did not fail.
    """

    record: Invoice | Call | None = None
    error: str | None = None
    note: str | None = None


def batch_frame(rows: Rows, outcomes: Sequence[Outcome], environment: str) -> pd.DataFrame:
    """The rows with what became of them: their own index, order and columns, then ours.

    Ours are ``client_id`` str, ``status`` category (also ``not sent``), ``error`` and ``note`` str and the
    columns of `Face.invoices` with their dtypes, at last ``environment`` str; one whose name the rows have
    already is prefixed with ``invoice_``. Amounts and memo of a row without invoice are those asked for.
    ``attrs`` names ``batch_id`` and ``environment``.

    Args:
        rows: What `read_rows` made of them.
        outcomes: One for each row, in their order; empty while nothing is known of any.
        environment: The hub's.
    """
    known = outcomes or [Outcome()] * len(rows.requests)
    cells = [
        _row(request, outcome) | {"environment": environment}
        for request, outcome in zip(rows.requests, known, strict=True)
    ]
    taken = set(rows.table.columns)
    columns: dict[str, Any] = {}
    for name, dtype in _DTYPES.items():
        column = name
        while column in taken:
            column = f"{_PREFIX}{column}"
        taken.add(column)
        columns[column] = pd.Series([row.get(name) for row in cells], dtype=dtype).array
    frame = rows.table.assign(**columns)
    frame.attrs |= {"batch_id": rows.batch_id, "environment": environment}
    return frame


def _row(request: InvoiceRequest, outcome: Outcome) -> dict[str, Any]:
    if isinstance(outcome.record, Invoice):
        row = row_of(outcome.record)
    else:
        row = {"status": NOT_SENT} if outcome.record is None else row_without_invoice(outcome.record)
        row |= {**amount_cells(request.amount_msat), "memo": request.memo}
    return row | {"client_id": request.client_id, "error": outcome.error, "note": outcome.note}
