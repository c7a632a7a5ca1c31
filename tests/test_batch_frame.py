"""What became of a batch's rows, as a frame beside what came in."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pandas as pd
import pytest
from pandas.testing import assert_frame_equal, assert_index_equal

from hercle_nb.batch.frame import Outcome, batch_frame
from hercle_nb.batch.rows import Rows, read_rows
from hercle_nb.calls import Call
from hercle_nb.commands import CREATE
from hercle_nb.errors import CommandRejected
from hercle_nb.invoice_frame import invoices_frame
from tests.answers import NOW, answer, pay_to

if TYPE_CHECKING:
    from hercle_nb.invoice_request import InvoiceRequest
    from hercle_nb.invoices import Invoice

OURS = [
    "client_id",
    "status",
    "error",
    "note",
    "amount_sat",
    "memo",
    "created_at",
    "expires_at",
    "updated_at",
    "id",
    "amount_msat",
    "amount_btc",
    "asked_msat",
    "payment_hash",
    "preimage",
    "payment_request",
    "http_status",
    "message",
    "environment",
]


def call(request: InvoiceRequest, rejection: CommandRejected | None = None) -> Call:
    """Return a creation that was sent and came to no invoice."""

    async def make() -> Call:
        return Call(CREATE, request.client_id, request, sent_at=NOW, rejection=rejection)

    return asyncio.run(make())


def made(request: InvoiceRequest) -> Invoice:
    """Return the invoice of a request."""
    changes = {"amount_msat": request.amount_msat, "description": request.memo or ""}
    return replace(answer(request, encodedPaymentRequest=pay_to(**changes)), id="inv_7", reused=True)


def outcomes(rows: Rows) -> list[Outcome]:
    """Return an invoice, a rejection, an unknown outcome and nothing, for four rows."""
    first, second, third, _ = rows.requests
    rejection = CommandRejected("no", message="No liquidity.", http_status=422)
    return [
        Outcome(made(first)),
        Outcome(call(second, rejection), "The hub refused it."),
        Outcome(call(third), "Nobody knows."),
        Outcome(error="Not sent: the hub is closed."),
    ]


@pytest.fixture
def rows() -> Rows:
    """Four rows in a frame with repeated labels."""
    frame = pd.DataFrame(
        {"Order": [1, 2, 3, 4], "amount_btc": ["0.001", "0.2", "0.3", "20999999.99999999"]},
        index=pd.Index(["x", "y", "x", "x"], name="label"),
    )
    return read_rows(frame.assign(memo=["tea", "", None, "milk"]), "b", None)


def test_outcomes_are_shown(rows: Rows) -> None:
    """An invoice, a rejection, an unknown outcome and a row not sent are each told in the row's own place."""
    frame = batch_frame(rows, outcomes(rows), "sandbox")
    assert frame["status"].tolist() == ["open", "rejected", "unknown", "not sent"]
    assert frame["client_id"].tolist() == [request.client_id for request in rows.requests]
    assert frame["error"].tolist()[1:] == [
        "The hub refused it.",
        "Nobody knows.",
        "Not sent: the hub is closed.",
    ]
    assert frame["error"].isna().tolist() == [True, False, False, False]
    assert frame["id"].tolist()[0] == "inv_7"
    assert frame["http_status"].tolist() == [201, 422, pd.NA, pd.NA]
    assert frame["message"].tolist()[1] == "No liquidity."
    assert "hub.resolve(" in frame["message"].tolist()[2]
    assert frame["amount_msat"].tolist() == [request.amount_msat for request in rows.requests]
    assert frame["amount_sat"].tolist() == [100_000, 20_000_000, 30_000_000, 2_099_999_999_999_999]
    assert frame["invoice_memo"].isna().tolist() == [False, True, True, False]
    assert frame["invoice_memo"].tolist()[3] == "milk"


def test_columns_and_dtypes(rows: Rows) -> None:
    """The rows' own columns come first, then ours with the dtypes of `invoices`; "not sent" is a status."""
    expected = invoices_frame([made(rows.requests[0])]).dtypes
    for known in (outcomes(rows), [Outcome()] * 4, []):
        frame = batch_frame(rows, known, "sandbox")
        own = ["Order", "amount_btc", "memo"]
        assert list(frame) == [*own, *(f"invoice_{name}" if name in own else name for name in OURS)]
        assert_frame_equal(frame[own], rows.table)
        assert frame["status"].cat.categories.tolist() == [*expected["status"].categories, "not sent"]
        assert {frame[name].dtype for name in ("client_id", "error", "note", "environment")} == {
            expected["id"]
        }
        for name in OURS[4:-1]:
            assert frame[f"invoice_{name}" if name in own else name].dtype == expected[name]
        assert frame.attrs == {"batch_id": "b", "environment": "sandbox"}
    assert "invoice_client_id" in batch_frame(read_rows(rows.requests, "b", None), [], "sandbox")


def test_nothing_known_is_not_sent(rows: Rows) -> None:
    """Before anything is sent, each row shows what it asks for, and of which environment."""
    frame = batch_frame(rows, [], "sandbox")
    assert_frame_equal(frame, batch_frame(rows, [Outcome()] * 4, "sandbox"))
    assert set(frame["status"]) == {"not sent"}
    assert set(frame["environment"]) == {"sandbox"}
    assert frame["amount_msat"].tolist() == [request.amount_msat for request in rows.requests]
    assert frame["invoice_amount_btc"].tolist() == rows.table["amount_btc"].tolist()
    told = {"client_id", "status", "amount_sat", "memo", "amount_msat", "amount_btc", "environment"}
    missing = [name for name in OURS if name not in told]
    assert frame[missing].isna().all(axis=None)


def test_a_missing_outcome_is_a_mistake(rows: Rows) -> None:
    """Outcomes of some rows only would be shown in the wrong places."""
    with pytest.raises(ValueError, match="argument 2 is shorter"):
        batch_frame(rows, [Outcome()], "sandbox")


def test_clashing_names_are_prefixed() -> None:
    """Ours give way to the rows' names, as often as it takes."""
    cells = {"amount_sat": 5, "status": "x", "id": 1, "invoice_id": 2, "message": 3, "client_id": "mine"}
    frame = batch_frame(read_rows([cells], "b", None), [], "sandbox")
    assert frame.loc[0, list(cells)].tolist() == list(cells.values())
    renamed = {"amount_sat", "status", "id", "message", "client_id"}
    expected = [f"invoice_{name}" if name in renamed else name for name in OURS]
    expected[expected.index("invoice_id")] = "invoice_invoice_id"
    assert list(frame) == [*cells, *expected]
    assert frame.loc[0, "invoice_status"] == "not sent"


@pytest.mark.parametrize(
    "index",
    [[0, 0], [None, None], pd.MultiIndex.from_tuples([("a", 1), ("a", 1)], names=["x", "y"])],
)
def test_indexes_of_any_kind(index: Any) -> None:
    """Repeated labels and several levels are kept as they came, each row beside its own outcome."""
    frame = pd.DataFrame([[5, "a", 1], [6, "b", 2]], columns=["amount_sat", "note", "note"], index=index)
    rows = read_rows(frame, "b", None)
    result = batch_frame(rows, [Outcome(), Outcome(error="x")], "sandbox")
    assert_index_equal(result.index, frame.index)
    assert result["amount_msat"].tolist() == [5_000, 6_000]
    assert result["error"].tolist()[1] == "x"
    assert_frame_equal(result["note"], frame["note"])


def test_frames_are_independent(rows: Rows) -> None:
    """Neither the rows nor another frame of them changes with a frame."""
    rows.table.attrs["source"] = ["bank"]
    before = rows.table.copy()
    frame = batch_frame(rows, [], "sandbox")
    frame["Order"] = 0
    frame.attrs["source"].append("me")
    assert_frame_equal(rows.table, before)
    assert rows.table.attrs == {"source": ["bank"]}


def test_results_can_be_sent_again(rows: Rows) -> None:
    """A result is itself a table of rows that asks for the same, with the same ClientIds under any batch."""
    result = batch_frame(rows, outcomes(rows), "sandbox")
    assert read_rows(result, "another", None).requests == rows.requests
