"""A batch's rows: what a cell may hold, what is refused and with which words, and that amounts stay exact."""

from __future__ import annotations

import re
from decimal import Decimal
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pandas.testing import assert_frame_equal, assert_index_equal

from hercle_nb._columns import TEXT_DTYPE
from hercle_nb.amounts import MAX_SAT
from hercle_nb.batch.rows import Rows, read_rows, refused, totals_text
from hercle_nb.errors import InvalidRequest
from hercle_nb.invoice_request import InvoiceRequest

SATS = st.integers(1, MAX_SAT)


def read(rows: Any, key: str | None = None) -> Rows:
    """Read the rows of the batch "b"."""
    return read_rows(rows, "b", key)


def one(**cells: Any) -> InvoiceRequest:
    """Return the request of a single row, which asks for 5 sat unless it says otherwise."""
    asked = cells if {"amount_btc", "amount_sat"} & cells.keys() else {"amount_sat": 5, **cells}
    return read([asked]).requests[0]


def refusal(rows: Any, key: str | None = None) -> str:
    """Return the report on rows that are refused."""
    with pytest.raises(InvalidRequest) as caught:
        read(rows, key)
    return str(caught.value)


def in_btc(sat: int) -> str:
    """Write an amount in BTC with all of its eight places."""
    return f"{sat // 10**8}.{sat % 10**8:08d}"


@pytest.mark.parametrize(
    ("cells", "msat"),
    [
        ({"amount_btc": 0.001}, 100_000_000),
        ({"amount_btc": "0.001"}, 100_000_000),
        ({"amount_btc": " 0.001\u00a0"}, 100_000_000),
        ({"amount_btc": Decimal("0.00100")}, 100_000_000),
        ({"amount_btc": np.float64(1e-8)}, 1_000),
        ({"amount_btc": 1}, 10**11),
        ({"amount_sat": 100_000}, 100_000_000),
        ({"amount_sat": "100000"}, 100_000_000),
        ({"amount_sat": " 100000.0 "}, 100_000_000),
        ({"amount_sat": "100000.00"}, 100_000_000),
        ({"amount_sat": 100_000.0}, 100_000_000),
        ({"amount_sat": np.int64(7)}, 7_000),
        ({"amount_sat": Decimal("7")}, 7_000),
        ({"amount_sat": "2099999999999999"}, 2_099_999_999_999_999_000),
        ({"amount_sat": "2099999999999999.0"}, 2_099_999_999_999_999_000),
        ({"amount_btc": "0.001", "amount_sat": 100_000}, 100_000_000),
        ({"amount_btc": None, "amount_sat": 5}, 5_000),
        ({"amount_btc": 0.001, "amount_sat": float("nan")}, 100_000_000),
    ],
)
def test_amounts_are_understood(cells: dict[str, Any], msat: int) -> None:
    """An amount counts in whatever type a table holds it, exactly, and both may stand if they are equal."""
    assert one(**cells).amount_msat == msat
    frame = pd.DataFrame({name: pd.Series([cell], dtype=object) for name, cell in cells.items()})
    assert read(frame).requests[0].amount_msat == msat


@pytest.mark.parametrize("missing", [None, float("nan"), pd.NA, pd.NaT, np.float64("nan"), "", "  ", "\t"])
def test_missing_is_none(missing: Any) -> None:
    """A missing or blank memo, expiry or client_id is None, and the other amount is what counts."""
    request = one(amount_btc=missing, amount_sat=5, memo=missing, expiry_hours=missing, client_id=missing)
    assert (request.amount_msat, request.memo, request.expiry_hours) == (5_000, None, None)
    assert request.client_id == one().client_id


@pytest.mark.parametrize(
    "hours", [24, 24.0, "24", " 24 ", "24.0", np.int8(24), np.float32(24), Decimal("24.0")]
)
def test_expiry_is_understood(hours: Any) -> None:
    """An expiry counts as the whole number that it equals."""
    assert one(expiry_hours=hours).expiry_hours == 24


def test_texts_are_kept() -> None:
    """White space around a memo is the user's; around a ClientId it is not part of it."""
    request = one(memo="  two  words ", client_id=" order-17 ")
    assert (request.memo, request.client_id) == ("  two  words ", "order-17")
    assert type(one(memo=np.str_("x")).memo) is str


@pytest.mark.parametrize(
    ("cells", "words"),
    [
        ({"amount_btc": "0,001"}, 'with at most one point between them, such as "0.001"'),
        ({"amount_btc": "1e-5"}, "without sign, exponent, spaces or separators"),
        ({"amount_btc": "-1"}, "is not a plain decimal number"),
        ({"amount_btc": 0.1 + 0.2}, 'write Decimal("0.3")'),
        ({"amount_btc": np.float32(0.001)}, "finer than one millisatoshi"),
        (
            {"amount_btc": "0.000000015"},
            'finer than one satoshi; write Decimal("0.00000002"), or pass a list of rows with '
            "InvoiceRequest(…, allow_msat=True) in it if you mean the fraction.",
        ),
        ({"amount_btc": float("inf")}, "is not an amount"),
        ({"amount_btc": 0}, "more than 0 BTC"),
        ({"amount_btc": 100_000_000}, "amount_sat=100000000"),
        ({"amount_btc": True}, "True is not a number"),
        ({"amount_btc": [1]}, "must be a number, not list"),
        ({"amount_btc": np.array([1, 2])}, "must be a number, not ndarray"),
        ({"amount_sat": True}, "True is not a number"),
        # while nothing else decides; a column that is read as a whole will
        ({"amount_sat": "25.000"}, "amount_sat '25.000' is 25 or 25 thousand; write 25 or 25000."),
        ({"amount_sat": "1,000"}, "amount_sat '1,000' is 1 or 1 thousand; write 1 or 1000."),
        (
            {"amount_sat": "1.250.000"},
            "amount_sat '1.250.000' holds marks between its digits; write 1250000.",
        ),
        ({"expiry_hours": "24.000"}, "expiry_hours '24.000' is 24 or 24 thousand; write 24 or 24000."),
        ({"amount_btc": "1,000"}, "'1,000' is 1 or 1 thousand; write 1 or 1000."),
        ({"amount_sat": "25.0000"}, "whole number of satoshis, not '25.0000'"),
        ({"amount_sat": "25,00"}, "whole number of satoshis, not '25,00'"),
        ({"amount_sat": "1e5"}, "whole number of satoshis, not '1e5'"),
        ({"amount_sat": 0.5}, "whole number of satoshis, not 0.5"),
        ({"amount_sat": "0.5"}, "whole number of satoshis, not '0.5'"),
        ({"amount_sat": "0"}, "at least 1 sat"),
        ({"amount_sat": "1" * 5_000}, "whole number of satoshis"),
        ({"amount_sat": "2100000000000001"}, "more than the 21,000,000 BTC"),
        ({"amount_sat": None}, "It has no amount; write one into amount_btc or amount_sat."),
        ({"amount_btc": 1, "amount_sat": 1}, "100\u202f000\u202f000 sat, not 1 sat; correct one of them"),
        ({"amount_btc": 1, "amount_sat": "x"}, "whole number of satoshis, not 'x'"),
        ({"memo": "a\nb"}, "memo holds a control character, U+000A at position 1"),
        ({"memo": "é" * 320}, "shorten it by 1 byte"),
        ({"memo": 17}, "memo must be a text"),
        ({"expiry_hours": 0}, "from 1 to 720"),
        ({"expiry_hours": "24h"}, "from 1 to 720"),
        ({"expiry_hours": 1.5}, "from 1 to 720"),
        ({"expiry_hours": True}, "True is not a number"),
        ({"client_id": "two words"}, "without spaces"),
        ({"client_id": "x" * 37}, "has 37 characters"),
        ({"client_id": 17}, "client_id must be a text"),
        ({"client_id": []}, "client_id must be a text"),
    ],
)
def test_bad_cells_are_refused(cells: dict[str, Any], words: str) -> None:
    """A cell that breaks a rule is a problem of its row, with the words of `InvoiceRequest`."""
    bad = (
        {"amount_btc": None, **cells}
        if cells.keys() & {"amount_btc", "amount_sat"}
        else {"amount_sat": 5, **cells}
    )
    report = refusal([{"amount_sat": 5}, bad])
    assert report.startswith("1 of 2 rows cannot be sent, and nothing was;")
    assert re.search(f"^row 1: .*{re.escape(words)}", report, re.MULTILINE)
    assert len(report.splitlines()) == 2


def test_all_problems_are_told_at_once() -> None:
    """Every row that cannot be sent is in the report by its number from 0, with all that is wrong with it."""
    rows = pd.DataFrame(
        {
            "amount_sat": ["5", "0", "5", "x"],
            "memo": ["tea", "a\nb", "tea", "tea"],
            "expiry_hours": ["", "999", "", ""],
            "client_id": ["a", "b c", "a", ""],
        },
        index=["w", "x", "y", "z"],
    )
    head, *lines = refusal(rows).splitlines()
    assert head == (
        "3 of 4 rows cannot be sent, and nothing was; correct what is listed and call again "
        "(the first row is row 0):"
    )
    assert [line.partition(":")[0] for line in lines] == ["row 1", "row 2", "row 3"]
    for words in ("at least 1 sat", "memo holds", "expiry_hours must", "client_id must"):
        assert words in lines[0]
    assert lines[1] == (
        "row 2: It has the client_id 'a' of row 0; "
        "give it one of its own, or leave it empty to have one made."
    )


def test_reports_are_short() -> None:
    """A report lists the first twenty rows in order and counts the others, and speaks of one as of one."""
    text = str(refused(dict.fromkeys(range(999, -1, -1), "Bad."), 1_000))
    lines = text.splitlines()
    assert lines[0].startswith("1,000 of 1,000 rows cannot be sent, and nothing was;")
    assert lines[1:] == [*(f"row {number}: Bad." for number in range(20)), "and 980 others"]
    assert str(refused(dict.fromkeys(range(21), "Bad."), 30)).endswith("\nand 1 other")
    assert str(refused(dict.fromkeys(range(20), "Bad."), 30)).endswith("\nrow 19: Bad.")
    assert str(refused({0: "Bad."}, 1)).startswith("1 of 1 row cannot")


@given(st.lists(SATS, min_size=1, max_size=5))
def test_amounts_stay_exact(sats: list[int]) -> None:
    """An amount is the same to the satoshi in a CSV file, a frame of texts or floats, and dicts."""
    frame = pd.DataFrame(
        {"Amount BTC": [in_btc(sat) for sat in sats], "Amount sat": [str(sat) for sat in sats]}
    )
    expected = [sat * 1_000 for sat in sats]
    with TemporaryDirectory() as folder:
        path = Path(folder, "rows.csv")
        for columns in (["Amount BTC"], ["Amount sat"], ["Amount BTC", "Amount sat"]):
            frame[columns].to_csv(path, index=False)
            for rows in (path, str(path), frame[columns], frame[columns].to_dict("records")):
                assert [request.amount_msat for request in read(rows).requests] == expected
    floats = pd.DataFrame({"amount_btc": [float(in_btc(sat)) for sat in sats]})
    assert [request.amount_msat for request in read(floats).requests] == expected


@given(st.lists(st.none() | SATS, min_size=1, max_size=5).filter(any))
def test_tables_read_again(sats: list[int | None]) -> None:
    """A normalised table, read again, asks for the same."""
    rows = read([{"amount_sat": sat, "amount_btc": None if sat else "0.1", "memo": "é"} for sat in sats])
    again = read(rows.table)
    assert again.requests == rows.requests
    assert_frame_equal(again.table, rows.table)


def test_tables_are_normalised() -> None:
    """The table has the rows' own index, order and columns, the known ones with their names and dtypes."""
    days = pd.to_datetime(["2026-11-24", "2026-11-25", "2026-11-24"])
    frame = pd.DataFrame(
        {
            "Order No": [17, 18, 19],
            "ClientId": ["a", None, "c "],
            " memo ": ["tea", "", "e\u0301"],
            "amount.sat": ["5", None, "100000"],
            "kind": pd.Categorical(["x", "y", "x"]),
            "amountBtc": [None, "0.1", " 0.00100"],
            "EXPIRY-HOURS": [24.0, None, 1.0],
        }
    ).set_index(pd.Index(days, name="day"))
    before = frame.copy()
    table = read(frame).table
    assert_frame_equal(frame, before)
    assert_index_equal(table.index, frame.index)
    names = ["Order No", "client_id", "memo", "amount_sat", "kind", "amount_btc", "expiry_hours"]
    expected = pd.DataFrame(
        {
            "Order No": [17, 18, 19],
            "client_id": pd.array(["a", None, "c"], dtype=TEXT_DTYPE),
            "memo": pd.array(["tea", None, "é"], dtype=TEXT_DTYPE),
            "amount_sat": pd.array([5, None, 100_000], dtype="Int64"),
            "kind": pd.Categorical(["x", "y", "x"]),
            "amount_btc": [None, 0.1, 0.001],
            "expiry_hours": pd.array([24, None, 1], dtype="Int64"),
        },
        index=frame.index,
    )
    assert list(table) == names
    assert_frame_equal(table, expected)


def test_what_came_in_is_not_shared() -> None:
    """Writing into the table changes neither the frame nor the dicts that it was made from."""
    frame = pd.DataFrame({"amount_sat": [5], "note": ["x"]})
    dicts = [{"amount_sat": 5, "note": "x"}]
    for rows in (frame, dicts):
        table = read(rows).table
        table.loc[0, "note"] = "y"
        table.attrs["batch_id"] = "b"
    assert frame.loc[0, "note"] == "x"
    assert frame.attrs == {}
    assert dicts == [{"amount_sat": 5, "note": "x"}]


def test_indexes_of_any_kind() -> None:
    """Repeated labels, several levels and no order do not matter: rows count by position."""
    plain = read([{"amount_sat": 5}, {"amount_sat": 6}]).requests
    for index in ([0, 0], [9, 3], [None, None], pd.MultiIndex.from_tuples([("a", 1), ("a", 1)])):
        rows = read(pd.DataFrame({"amount_sat": [5, 6]}, index=index))
        assert rows.requests == plain
        assert_index_equal(rows.table.index, pd.DataFrame(index=index).index)


def test_requests_are_taken_as_they_are() -> None:
    """An `InvoiceRequest` is sent as it was checked: its id, an empty memo, and a fraction that it allows."""
    ready = InvoiceRequest("0.000000015", "", 2, "mine", allow_msat=True)
    rows = read([{"amount_sat": 5, "memo": "tea", "note": 1}, ready])
    assert rows.requests[1] is ready
    assert list(rows.table) == ["amount_sat", "memo", "note", "amount_btc", "expiry_hours", "client_id"]
    assert rows.table.loc[1, ["memo", "amount_btc", "expiry_hours", "client_id"]].tolist() == [
        "",
        1.5e-8,
        2,
        "mine",
    ]
    assert rows.table["amount_sat"].tolist() == [5, pd.NA]
    assert list(read([ready]).table) == ["amount_btc", "memo", "expiry_hours", "client_id"]
    assert "It has the client_id 'mine' of row 0" in refusal([ready, ready])


@pytest.mark.parametrize("batch_id", ["", " \u200b", None, 17])
def test_batch_ids_are_texts(batch_id: Any) -> None:
    """A batch is named by a text that is not empty."""
    with pytest.raises(InvalidRequest, match="batch_id must be a text such as"):
        read_rows([{"amount_sat": 5}], batch_id, None)


def test_totals_are_exact() -> None:
    """The totals are of integers, name the first of the largest rows, and one invoice is no invoices."""
    rows = read([{"amount_btc": "20999999.99999999"}, {"amount_sat": 2}])
    text = totals_text(rows).replace("\u202f", " ")
    assert text == (
        "2 invoices, 21 000 000.00000001 BTC = 2 100 000 000 000 001 sat in total; "
        "the largest is row 0: 20 999 999.99999999 BTC = 2 099 999 999 999 999 sat"
    )
    assert totals_text(read([{"amount_sat": 5}])) == "1 invoice, 0.00000005 BTC = 5 sat in total"
    many = totals_text(read([{"amount_sat": 5}, *[{"amount_sat": 6}] * 999]))
    assert many.startswith("1,000 invoices, ")
    assert many.endswith("; the largest is row 1: 0.00000006 BTC = 6 sat")
