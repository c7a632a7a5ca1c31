"""Invoices, and commands of unknown outcome, as DataFrames of fixed dtypes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pandas as pd

from hercle_nb import amounts
from hercle_nb._columns import TEXT_DTYPE, TIME_DTYPE
from hercle_nb.states import STATES, state_of_creation

if TYPE_CHECKING:
    from collections.abc import Iterable

    from hercle_nb.calls import Call
    from hercle_nb.invoices import Invoice

DTYPES: dict[str, Any] = {
    "status": pd.CategoricalDtype(list(STATES)),
    "amount_sat": "Int64",
    "memo": TEXT_DTYPE,
    "created_at": TIME_DTYPE,
    "expires_at": TIME_DTYPE,
    "updated_at": TIME_DTYPE,
    "id": TEXT_DTYPE,
    "amount_msat": "Int64",
    "amount_btc": "float64",
    "asked_msat": "Int64",
    "payment_hash": TEXT_DTYPE,
    "preimage": TEXT_DTYPE,
    "payment_request": TEXT_DTYPE,
    "http_status": "Int64",
    "message": TEXT_DTYPE,
}


def invoices_frame(invoices: Iterable[Invoice], without: Iterable[Call] = ()) -> pd.DataFrame:
    """Invoices, and creations that came to none, in the order of their time; see `Face.invoices`."""
    rows = [(invoice.created_at, row_of(invoice)) for invoice in invoices]
    rows += [(call.sent_at, row_without_invoice(call)) for call in without if call.sent_at is not None]
    rows.sort(key=lambda row: row[0])
    columns = {
        name: pd.Series([row.get(name) for _, row in rows], dtype=dtype) for name, dtype in DTYPES.items()
    }
    return _indexed(columns, [row["client_id"] for _, row in rows])


def unresolved_frame(calls: Iterable[Call]) -> pd.DataFrame:
    """Commands of unknown outcome; see `Face.unresolved`."""
    calls = list(calls)
    asked = [call.request for call in calls]
    columns = {
        "method": pd.Series([call.method for call in calls], dtype=TEXT_DTYPE),
        "sent_at": pd.Series([call.sent_at for call in calls], dtype=TIME_DTYPE),
        "amount_msat": pd.Series([request and request.amount_msat for request in asked], dtype="Int64"),
        "memo": pd.Series([request and request.memo for request in asked], dtype=TEXT_DTYPE),
        "expiry_hours": pd.Series([request and request.expiry_hours for request in asked], dtype="Int64"),
    }
    return _indexed(columns, [call.client_id for call in calls])


def _indexed(columns: dict[str, pd.Series[Any]], client_ids: list[str | None]) -> pd.DataFrame:
    return pd.DataFrame(columns).set_axis(pd.Index(client_ids, dtype=TEXT_DTYPE, name="client_id"))


def row_of(invoice: Invoice) -> dict[str, Any]:
    """The cells of an invoice by column, ``client_id`` among them."""
    return {
        "client_id": invoice.client_id or invoice.id,
        "id": invoice.id,
        "status": invoice.status,
        **amount_cells(invoice.amount_msat),
        "asked_msat": invoice.asked_msat,
        "memo": invoice.memo,
        "created_at": invoice.created_at,
        "expires_at": invoice.expires_at,
        "updated_at": invoice.updated_at,
        "payment_hash": invoice.payment_hash,
        "preimage": invoice.preimage,
        "payment_request": invoice.payment_request,
        "http_status": invoice.http_status,
        "message": "; ".join(invoice.warnings) or invoice.message,
    }


def row_without_invoice(call: Call) -> dict[str, Any]:
    """The cells of a creation that came to no invoice by column; what nobody knows is left out."""
    rejection, request = call.rejection, call.request
    unknown = "it may or may not have been carried out; " + (
        "dismissed" if call.dismissed else f"hub.resolve({call.client_id!r}) looks again"
    )
    return {
        "client_id": call.client_id,
        "status": state_of_creation(refused=rejection is not None),
        **amount_cells(request.amount_msat if request is not None else None),
        "memo": request.memo if request is not None else None,
        "http_status": rejection.http_status if rejection is not None else None,
        "message": rejection.message if rejection is not None else unknown,
    }


def amount_cells(amount_msat: int | None) -> dict[str, Any]:
    """The cells of an amount by column; none where the payer chooses it."""
    if amount_msat is None:
        return {}
    return {
        "amount_msat": amount_msat,
        "amount_sat": amounts.msat_to_sat(amount_msat),
        "amount_btc": amount_msat / amounts.MSAT_PER_BTC,  # of integers: the nearest double
    }
