"""What counts as rows: frames, CSV files, dicts and requests, and what is said of anything else."""

from __future__ import annotations

import types
from decimal import Decimal
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pandas.testing import assert_frame_equal

from hercle_nb._columns import TEXT_DTYPE
from hercle_nb.batch.columns import COLUMNS
from hercle_nb.batch.table import read_table
from hercle_nb.errors import InvalidRequest
from hercle_nb.invoice_request import InvoiceRequest

if TYPE_CHECKING:
    from collections.abc import Callable


@pytest.fixture
def csv_file(tmp_path: Path) -> Callable[[str | bytes], Path]:
    """Write a text or bytes to a file."""

    def write(content: str | bytes) -> Path:
        path = tmp_path / "rows.csv"
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    return write


def refusal(rows: Any) -> str:
    """Return what is said of rows that cannot be read."""
    with pytest.raises(InvalidRequest) as caught:
        read_table(rows)
    return str(caught.value)


@pytest.mark.parametrize("separator", ["_", " ", "-", ".", "", " _ "])
@pytest.mark.parametrize("write", [str.lower, str.upper, str.title, str.capitalize, " {}\t".format])
@pytest.mark.parametrize("known", COLUMNS)
def test_names_are_forgiven(known: str, write: Callable[[str], str], separator: str) -> None:
    """A known column is found whatever the case, the separators and the white space in its name."""
    written = write(known).replace("_", separator)
    other = "amount_btc" if known == "amount_sat" else "amount_sat"
    for rows in (
        [{written: "1", "note": "x", other: "1"}],
        pd.DataFrame({written: ["1"], "note": "x", other: "1"}),
    ):
        assert list(read_table(rows)[0]) == [known, "note", other]


def test_unknown_columns_are_carried_through() -> None:
    """Columns that are not known keep their names, values and types, whatever the names are."""
    frame = pd.DataFrame(
        {
            "memmo": pd.Categorical(["a", "b"]),
            0: [1, 2],
            ("a", "b"): pd.date_range("2026-11-24", periods=2),
            pd.NA: [1.5, None],
            " Total ": pd.array([1, None], dtype="Int64"),
            "Amount Sat": [5, 6],
        }
    )
    expected = frame.set_axis([*frame.columns[:-1], "amount_sat"], axis="columns")
    assert_frame_equal(read_table(frame)[0], expected)
    twice = pd.DataFrame([[1, "x", "y"]], columns=["amount_sat", "note", "note"])
    assert_frame_equal(read_table(twice)[0], twice)


def test_columns_of_the_same_name_are_refused() -> None:
    """Two columns that would come to the same name are named, and none of them is chosen."""
    text = refusal(pd.DataFrame([[1, 2]], columns=["amount_sat", "Amount Sat"]))
    assert text == (
        "The columns 'amount_sat', 'Amount Sat' all mean amount_sat; keep one, and drop or rename the others."
    )
    assert "all mean memo" in refusal(pd.DataFrame([[1, "x", "y"]], columns=["amount_sat", "memo", "memo"]))
    assert refusal([{"amount_sat": 1}, {"memo": "x", "Memo": "y"}]) == (
        "row 1 names memo more than once; keep one of them."
    )


@pytest.mark.parametrize(
    ("names", "known"),
    [
        (["amount_sat", "Memo", "Memo.1"], "memo"),
        (["Amount BTC", "Amount BTC.1"], "amount_btc"),
        (["amount_sat", "client.id", "client.id.2"], "client_id"),
        (["amount_sat", "memo", "x", "Memo.1"], "memo"),
    ],
)
def test_columns_that_pandas_renamed_are_refused(
    csv_file: Callable[[str | bytes], Path], names: list[str], known: str
) -> None:
    """The second of two equal headers is refused under the name that pandas gives it, however rows come."""
    frame = pd.DataFrame([["1"] * len(names)], columns=names)
    path = csv_file(frame.to_csv(index=False))
    for rows in (frame, frame.to_dict("records"), path, pd.read_csv(path, dtype=str)):
        text = refusal(rows)
        assert text.endswith(f" all mean {known}; keep one, and drop or rename the others.")
        assert repr(names[-1]) in text


def test_numbered_columns_alone_are_carried_through() -> None:
    """A number behind a name means nothing where the name is not there without it."""
    frame = pd.DataFrame([[1, "x", "y"]], columns=["amount_sat", "memo.1", "order.1"])
    assert_frame_equal(read_table(frame)[0], frame)


@pytest.mark.parametrize(
    ("names", "words"),
    [
        (
            ["memo", "price"],
            "name the column of amounts amount_btc or amount_sat. The columns are: 'memo', 'price'.",
        ),
        (["Amount", "memo"], "if 'Amount' holds BTC, name it amount_btc; if it holds satoshis, amount_sat"),
        (["amount (BTC)"], "if 'amount (BTC)' holds BTC"),
        ([0, 1], "The columns are: 0, 1."),
    ],
)
def test_tables_without_amounts_are_refused(names: list[Any], words: str) -> None:
    """Where there is no column of amounts, the refusal names those there are and those that are wanted."""
    text = refusal(pd.DataFrame([range(len(names))], columns=names))
    assert text.startswith("There is no column amount_btc or amount_sat; ")
    assert words in text


def test_several_levels_are_refused() -> None:
    """Columns of several levels have no plain names."""
    columns = pd.MultiIndex.from_tuples([("amount_sat", "x")])
    assert "set rows.columns to plain names" in refusal(pd.DataFrame([[1]], columns=columns))


@pytest.mark.parametrize(
    "rows",
    [
        None,
        5,
        {},
        {"amount_sat": [1]},
        InvoiceRequest(1),
        [1],
        ["amount_sat"],
        [None],
        [["amount_sat", 1]],
        b"x",
    ],
)
def test_anything_else_is_refused(rows: Any) -> None:
    """What holds no rows is refused with what to pass instead."""
    text = refusal(rows)
    assert "pass a pandas.DataFrame, the path of a CSV file, or a list of dicts or InvoiceRequests" in text


def test_wrong_elements_are_named() -> None:
    """An element that is no row is named by its number and type."""
    assert refusal([{"amount_sat": 1}, 5]).startswith(
        "row 1 (the first is row 0) is neither a dict nor an InvoiceRequest but int; pass"
    )


@pytest.mark.parametrize("rows", [[], pd.DataFrame(), pd.DataFrame({"amount_sat": []}), iter([])])
def test_no_rows_are_refused(rows: Any) -> None:
    """An empty table is a mistake, not a batch of nothing."""
    assert refusal(rows).startswith("There are no rows; pass")


def test_records_of_any_kind() -> None:
    """Any mapping is a row and any iterable gives rows; columns are in the order of first appearance."""
    ready = InvoiceRequest(amount_sat=5, client_id="c")
    rows = ({"b": 1, "Amount Sat": 5}, types.MappingProxyType({"a": "\ud800", ("x", "y"): 2}), ready)
    table, requests, had = read_table(row for row in rows)
    assert had == {name: "Amount Sat" if name == "amount_sat" else name for name in COLUMNS}
    assert list(table) == [
        "b",
        "amount_sat",
        "a",
        ("x", "y"),
        "amount_btc",
        "memo",
        "expiry_hours",
        "client_id",
    ]
    assert table["amount_btc"].tolist() == [None, None, Decimal("0.00000005")]
    assert table.index.equals(pd.RangeIndex(3))
    assert requests == {2: ready}


def test_cells_of_records_keep_their_values() -> None:
    """A number stays the integer that it is where other rows lack one, and a full column has its own type."""
    table, *_ = read_table([{"amount_sat": 2**60 + 1, "n": 1}, {"n": 2, "m": 2**60 + 1}])
    assert table["amount_sat"].tolist() == [2**60 + 1, None]
    assert table["m"].tolist() == [None, 2**60 + 1]
    assert table["n"].dtype == np.int64


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("separator", [",", ";", "\t"])
@pytest.mark.parametrize("mark", ["", "\ufeff"])
def test_csv_files_are_text(
    csv_file: Callable[[str | bytes], Path], mark: str, separator: str, end: str
) -> None:
    """Every cell of a CSV file is its text, with commas, semicolons or tabs, a byte order mark or none."""
    lines = [["Amount BTC", "account", "memo"], ["0.00001", "00123", "NA"], ["1.0", "", "é"], ["2"]]
    path = csv_file(mark + end.join(separator.join(line) for line in lines) + end + end)
    expected = pd.DataFrame(
        {"amount_btc": ["0.00001", "1.0", "2"], "account": ["00123", "", ""], "memo": ["NA", "é", ""]},
        dtype=TEXT_DTYPE,
    )
    for given_path in (path, str(path)):
        assert_frame_equal(read_table(given_path)[0], expected)


@given(
    st.lists(
        st.lists(
            st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\r"), max_size=5),
            min_size=2,
            max_size=2,
        ),
        min_size=1,
        max_size=4,
    )
)
def test_csv_cells_survive(cells: list[list[str]]) -> None:
    """What pandas writes as CSV is read as it was: quotation marks, separators and line ends in texts."""
    frame = pd.DataFrame(
        {"amount_sat": "5", "a": [a for a, _ in cells], "b": [b for _, b in cells]}, dtype=TEXT_DTYPE
    )
    with TemporaryDirectory() as folder:
        path = Path(folder, "rows.csv")
        frame.to_csv(path, index=False)
        assert_frame_equal(read_table(path)[0], frame)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (
            "amount_btc,memo\n1,x\n0,001,x\n",
            "line 3: 3 fields, but the header names 2 columns; put a text that holds",
        ),
        (
            "amount_btc;memo\n1;a;b\n",
            "line 2: 3 fields, but the header names 2 columns; put a text that holds ';'",
        ),
        ("amount_sat\n1,\n", "line 2: 2 fields, but the header names 1 column"),
        ('amount_sat,memo\n1,"a\nb"\n2,x,y\n', "line 4: 3 fields"),
        ('amount_sat,memo\n1,"a\n2,b\n', "line 3: unexpected end of data; write a quotation mark"),
        ('amount_sat,memo\n1,"a"b\n', "line 2: ',' expected after '\"'"),
        ("amount_sat,memo\n1,é\n".encode("cp1252"), 'is not UTF-8; save it as "CSV UTF-8"'),
        ("amount_sat\n1\n".encode("utf-16"), "is not UTF-8"),
        ("", "There are no rows"),
        ("\n\n", "There are no rows"),
        ("amount_sat,memo\n", "There are no rows"),
        ("1,x\n2,y\n", "There is no column amount_btc or amount_sat"),
        ("amount_sat,Amount-Sat\n1,1\n", "all mean amount_sat"),
    ],
)
def test_bad_csv_files_are_refused(
    csv_file: Callable[[str | bytes], Path], content: str | bytes, words: str
) -> None:
    """A file that cannot be read without a doubt is refused, with the line and what to do."""
    assert words in refusal(csv_file(content))


@pytest.mark.parametrize(
    ("name", "advice"),
    [
        ("rows.xlsx", "pandas.read_excel(path, dtype=object, keep_default_na=False) and pass the frame"),
        ("Rows.XLS", "pandas.read_excel"),
        ("rows.parquet", "pandas.read_parquet(path) and pass the frame"),
        ("rows.feather", "pandas.read_feather(path)"),
    ],
)
def test_other_files_are_for_pandas(name: str, advice: str) -> None:
    """A file of another kind is refused by its suffix, with the call that reads it."""
    assert advice in refusal(name)
    assert advice in refusal(Path(name))


def test_excel_is_read_as_advised(tmp_path: Path) -> None:
    """The advice for Excel keeps small amounts, account numbers and texts such as NA as they are."""
    path = tmp_path / "rows.xlsx"
    accounts = ["00123", 7, "NA"]
    pd.DataFrame({"amount_btc": [0.00001, 1, 0.1], "account": accounts}).to_excel(path, index=False)
    table, *_ = read_table(pd.read_excel(path, dtype=object, keep_default_na=False))
    assert table["account"].tolist() == accounts
    assert table["amount_btc"].tolist() == [1e-5, 1, 0.1]


@pytest.mark.parametrize(
    "path", ["nowhere.csv", Path("nowhere.csv"), "~no-such-user/x.csv", "a\0b", "amount_sat\n1"]
)
def test_missing_files_are_named(path: Any) -> None:
    """A path that leads to no file is named, with where it was looked for."""
    text = refusal(path)
    assert text.startswith(f"{str(path)!r} cannot be read (")
    assert str(Path.cwd()) in text


def test_folders_are_no_files(tmp_path: Path) -> None:
    """A folder is named as what cannot be read."""
    assert "cannot be read (" in refusal(tmp_path)
