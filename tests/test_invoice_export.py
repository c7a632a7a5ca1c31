"""Invoices as CSV, Excel and Parquet, as pandas, openpyxl and pyarrow read them back."""

from __future__ import annotations

import csv
import errno
import io
import os
import re
import sys
import time
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import openpyxl
import pandas as pd
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from pandas.testing import assert_frame_equal

from hercle_nb._columns import TEXT_DTYPE, TIME_DTYPE
from hercle_nb.amounts import msat_to_btc, msat_to_sat
from hercle_nb.errors import ConfigurationError, InvalidRequest
from hercle_nb.invoice_export import write_invoices
from hercle_nb.states import STATES
from tests.rows import fill, noise, small_disk, visible

if TYPE_CHECKING:
    from openpyxl.cell import Cell

DTYPES: dict[str, Any] = {
    "client_id": TEXT_DTYPE,
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
TEXTS = [name for name, dtype in DTYPES.items() if dtype is TEXT_DTYPE]
TIMES = [name for name, dtype in DTYPES.items() if dtype is TIME_DTYPE]
CREATED = datetime(2026, 11, 24, 12, 0, 1, 250_000, tzinfo=UTC)
EXPIRES = datetime(2026, 11, 25, 12, 0, 1, tzinfo=UTC)
AMOUNTS = [1, 999, 1_000, 1_500, 100_000_000, 10**15 - 1, 10**15, 123_456_789_012_345_678, 21 * 10**17]
SUFFIXES = [".csv", ".xlsx", ".parquet"]
every_suffix = pytest.mark.parametrize("suffix", SUFFIXES)

FORMULAS = [
    "=1+1",
    "+1",
    "-1",
    "@SUM(A1)",
    "\t=1",
    "\r=1",
    "\n=1",
    "＝1",
    "＋1",
    "－1",
    "＠x",
    "  =1",
    '"=1"',
    "'=1",
    "\u200b\ufeff=1",
    "\x00=1",
    "\u00a0“=1",
    "a;=1",
    "a\t=1",
    "a\r\n-1",
    'a;"=1',
    ";;=1",
    "=cmd|' /C calc'!A0",
    '=HYPERLINK("http://127.0.0.1/?"&A1,"Pay")',
]
HARMLESS = [
    "a=1",
    "a, b",
    'she said "hi"',
    "two\nlines",
    "é😀 עברית",
    "007",
    "1E5",
    "NA",
    "TRUE",
    " spaces ",
    "it's",
    "x;y",
    "#N/A",
    "2026-11-24",
    "<script>",
    "_x0041_ _x",
]
CONTROLS = ["nul \x00", "\x1b[2J", "bell\x07", "\x7f\x85", "\ufffe\uffff", "half \ud800"]
MEMOS = [*FORMULAS, *HARMLESS, *CONTROLS, "'", "''", "\t'", "a;'b"]


def invoices(*rows: dict[str, Any]) -> pd.DataFrame:
    """The documented frame, of rows by name of column; what a row leaves out is missing."""
    columns = {
        name: pd.Series([row.get(name) for row in rows], dtype=dtype) for name, dtype in DTYPES.items()
    }
    return pd.DataFrame(columns).set_index("client_id")


def row(number: int = 0, msat: int | None = 100_000_000, **other: Any) -> dict[str, Any]:
    """A row in which nothing is missing unless ``other`` says so."""
    amount = {"amount_msat": msat}
    if msat is not None:
        amount |= {"amount_sat": msat_to_sat(msat), "amount_btc": float(msat_to_btc(msat))}  # type: ignore[dict-item]
    return {
        "client_id": f"c-{number}",
        "id": f"inv_{number}",
        "status": "paid",
        **amount,
        "memo": "Coffee",
        "created_at": CREATED,
        "expires_at": EXPIRES,
        "updated_at": CREATED,
        "payment_hash": "ab" * 32,
        "preimage": "0" * 64,
        "payment_request": "lnbcrt1x",
        "http_status": 201,
        "message": "created",
    } | other


def written(frame: pd.DataFrame, path: Path) -> Path:
    """The path, after the frame was written there."""
    write_invoices(frame, path, "sandbox")
    return path


def read_csv(path: Path) -> pd.DataFrame:
    """A CSV as it stands, every cell a text, by pandas."""
    return pd.read_csv(path, dtype=str, keep_default_na=False)


def names_of_dtypes(frame: pd.DataFrame) -> dict[str, str]:
    """The dtype of the index and of each column, by name, whoever holds the texts."""
    return {str(name): str(dtype) for name, dtype in frame.reset_index().dtypes.items()}


def without_guard(column: pd.Series[str]) -> pd.Series[str]:
    """What the docstring says undoes the apostrophes."""
    return column.str.replace(r"(^|[;\t\r\n])'", r"\1", regex=True)


def formulas(path: Path) -> list[str]:
    """The cells of a CSV in which a sign stands before any letter, digit or apostrophe.

    Read with commas as it is meant, and with semicolons and tabs as a spreadsheet does that is set to them.
    """
    text = path.read_bytes().decode("utf-8-sig")
    cells = [cell for line in csv.reader(io.StringIO(text, newline="")) for cell in line]
    cells += re.split("[;\t\r\n]", text)
    return [cell for cell in cells if re.sub(r"[^\w'=+\-@＝＋－＠]", "", cell)[:1] in {*"=+-@＝＋－＠"}]


def sheet(path: Path) -> list[dict[str, Cell]]:
    """The rows of a workbook by the names in its header, each cell as openpyxl has it."""
    header, *rows = openpyxl.load_workbook(path).active.iter_rows()
    names = [cell.value for cell in header]
    return [dict(zip(names, row, strict=True)) for row in rows]


def test_csv_looks_so(tmp_path: Path) -> None:
    """A byte order mark, a header, a line an invoice; exact amounts, ISO times, nothing where one lacks."""
    frame = invoices(row(msat=1), {"client_id": "c-1", "status": "unknown"})
    assert written(frame, tmp_path / "a.csv").read_bytes().decode() == (
        "\ufeffclient_id,status,amount_sat,memo,created_at,expires_at,updated_at,id,amount_msat,amount_btc,"
        "asked_msat,payment_hash,preimage,payment_request,http_status,message,environment\r\n"
        "c-0,paid,,Coffee,2026-11-24T12:00:01.250000+00:00,2026-11-25T12:00:01.000000+00:00,"
        f"2026-11-24T12:00:01.250000+00:00,inv_0,1,0.00000000001,,{'ab' * 32},{'0' * 64},"
        "lnbcrt1x,201,created,sandbox\r\n"
        "c-1,unknown,,,,,,,,,,,,,,,sandbox\r\n"
    )


def test_csv_as_pandas_guesses(tmp_path: Path) -> None:
    """Without any option pandas.read_csv finds the names, numbers and times."""
    frame = pd.read_csv(
        written(invoices(row(), row(1)), tmp_path / "a.csv"), index_col="client_id", parse_dates=TIMES
    )
    assert frame["amount_msat"].tolist() == [100_000_000] * 2
    assert frame["amount_btc"].tolist() == [0.001] * 2
    assert frame["created_at"].tolist() == [CREATED] * 2
    assert frame.index.tolist() == ["c-0", "c-1"]


@pytest.mark.parametrize("memo", FORMULAS)
def test_no_formula_begins_a_cell(memo: str, tmp_path: Path) -> None:
    """In every column of text an apostrophe comes before what a spreadsheet might run."""
    path = written(invoices(row(**dict.fromkeys(TEXTS, memo))), tmp_path / "a.csv")
    assert formulas(path) == []
    frame = read_csv(path)
    assert [without_guard(frame[name]).tolist() for name in TEXTS] == [[memo]] * len(TEXTS)


@pytest.mark.parametrize("memo", HARMLESS)
def test_harmless_texts_stay(memo: str, tmp_path: Path) -> None:
    """A text that no spreadsheet runs is in the CSV as it was."""
    assert read_csv(written(invoices(row(memo=memo)), tmp_path / "a.csv"))["memo"].tolist() == [memo]


@given(memos=st.lists(st.text(st.sampled_from("=+-@'\";,\t\r\n a0é\x00＝\u200b")), min_size=1, max_size=4))
@example(memos=[memo.replace("\ud800", "\ufffd") for memo in MEMOS])
@settings(max_examples=300, deadline=None, suppress_health_check=list(HealthCheck))
def test_the_guard_can_be_undone(memos: list[str]) -> None:
    """No text is a formula, and any comes back, line ends and quotes too, as the docstring says."""
    with TemporaryDirectory() as folder:
        path = written(invoices(*[row(memo=memo) for memo in memos]), Path(folder, "a.csv"))
        assert formulas(path) == []
        assert without_guard(read_csv(path)["memo"]).tolist() == memos


@pytest.mark.parametrize("memo", ["\t" * 500_000, "; " * 250_000, " " * 500_000, "'" * 500_000])
def test_the_guard_is_quick(memo: str, tmp_path: Path) -> None:
    """Half a megabyte made to be slow to look through is written at once."""
    begun = time.process_time()
    written(invoices(row(message=memo)), tmp_path / "a.csv")
    assert time.process_time() - begun < 5


@pytest.mark.parametrize("msat", AMOUNTS)
def test_amounts_are_exact(msat: int, tmp_path: Path) -> None:
    """Every amount comes back to the millisatoshi from CSV, Excel and Parquet, never with an exponent."""
    frame = invoices(row(msat=msat))
    sat = msat_to_sat(msat)
    cells = read_csv(written(frame, tmp_path / "a.csv")).iloc[0]
    assert cells["amount_msat"] == str(msat)
    assert cells["amount_sat"] == ("" if sat is None else str(sat))
    assert re.fullmatch(r"\d+(\.\d+)?", cells["amount_btc"])
    assert Decimal(cells["amount_btc"]) == msat_to_btc(msat)
    [shown] = sheet(written(frame, tmp_path / "a.xlsx"))
    assert int(shown["amount_msat"].value) == msat
    assert (sat is None) == (shown["amount_sat"].value is None)
    assert sat is None or int(shown["amount_sat"].value) == sat
    assert Decimal(str(shown["amount_btc"].value)) == msat_to_btc(msat)
    assert pd.read_parquet(written(frame, tmp_path / "a.parquet"))["amount_msat"].tolist() == [msat]


def test_amounts_in_excel(tmp_path: Path) -> None:
    """An amount of at most 15 digits is a number that Excel can add up, a longer one a text."""
    small, large = sheet(written(invoices(row(msat=10**15 - 1), row(1, 10**15 + 1)), tmp_path / "a.xlsx"))
    assert [small[name].data_type for name in ("amount_msat", "amount_btc")] == ["n", "n"]
    assert [large[name].data_type for name in ("amount_msat", "amount_btc")] == ["s", "s"]
    assert large["amount_btc"].value == "10000.00000000001"
    assert (small["amount_msat"].number_format, small["amount_btc"].number_format) == ("0", "0.00000000###")


@pytest.mark.parametrize("memo", [*FORMULAS, *HARMLESS, *CONTROLS])
def test_texts_in_excel(memo: str, tmp_path: Path) -> None:
    """Every text is a text, also when the cell is edited; what Excel refuses is shown by its number."""
    [shown] = sheet(written(invoices(row(**dict.fromkeys(TEXTS, memo))), tmp_path / "a.xlsx"))
    assert [shown[name].data_type for name in TEXTS] == ["s"] * len(TEXTS)
    assert [shown[name].quotePrefix for name in TEXTS] == [True] * len(TEXTS)
    expected = re.sub("\r\n?", "\n", memo).replace("\ud800", "\ufffd").replace("_x0041_", "_x005F_x0041_")
    for character in "\x00\x07\x1b\ufffe\uffff":
        expected = expected.replace(character, f"U+{ord(character):04X}")
    assert {shown[name].value for name in TEXTS} == {expected}


def test_times_in_excel(tmp_path: Path) -> None:
    """Times are UTC without zone, the header says so and they fit; what Excel cannot count is a text."""
    late, early = datetime.max.replace(tzinfo=UTC), datetime(1899, 12, 31, tzinfo=UTC)
    path = written(invoices(row(expires_at=late, updated_at=early)), tmp_path / "a.xlsx")
    [shown] = sheet(path)
    widths = openpyxl.load_workbook(path).active.column_dimensions
    assert widths[shown["created_at (UTC)"].column_letter].width > len("2026-11-24 12:00:01")
    assert shown["created_at (UTC)"].value == CREATED.replace(tzinfo=None)
    assert shown["created_at (UTC)"].is_date
    assert shown["expires_at (UTC)"].value == datetime(9999, 12, 31, 23, 59, 59, 999_000)  # noqa: DTZ001  # Excel's
    assert shown["updated_at (UTC)"].value == "1899-12-31T00:00:00+00:00"


def test_excel_as_pandas_reads_it(tmp_path: Path) -> None:
    """pandas.read_excel finds the same texts, numbers and times, and nothing where something is missing."""
    frame = invoices(row(), row(1, None, memo=None, created_at=None, http_status=None))
    back = pd.read_excel(written(frame, tmp_path / "a.xlsx"), index_col="client_id", keep_default_na=False)
    assert back.columns.tolist() == [
        f"{name} (UTC)" if name in TIMES else name for name in [*frame, "environment"]
    ]
    assert back["environment"].tolist() == ["sandbox"] * 2
    assert back.loc["c-0", "amount_msat"] == 100_000_000
    assert back.loc["c-0", "expires_at (UTC)"] == pd.Timestamp(EXPIRES).tz_localize(None)
    assert back.loc["c-0", "payment_hash"] == "ab" * 32
    missing = ["amount_msat", "amount_sat", "amount_btc", "memo", "created_at (UTC)", "http_status"]
    assert [value for value in back.loc["c-1", missing] if not pd.isna(value) and value != ""] == []


@pytest.mark.parametrize("rows", [1, 3])
def test_parquet_is_the_frame(rows: int, tmp_path: Path) -> None:
    """pandas.read_parquet gives the same frame with its environment, states and missing values too."""
    frame = invoices(*[row(number, memo=None if number else "=1") for number in range(rows)], {"id": "x"})
    before = frame.copy(deep=True)
    path = written(frame, tmp_path / "a.parquet")
    back = pd.read_parquet(path)
    assert back.pop("environment").tolist() == ["sandbox"] * len(frame)
    assert_frame_equal(
        back.astype(object), frame.astype(object), check_index_type=False, check_column_type=False
    )
    assert names_of_dtypes(back) == names_of_dtypes(frame)
    assert back["status"].cat.categories.tolist() == list(STATES)
    assert_frame_equal(frame, before, check_exact=True)
    assert pq.read_schema(path).field("created_at").type.tz == "UTC"
    assert "client_id" in pq.read_table(path).column_names


def test_half_characters(tmp_path: Path) -> None:
    """What UTF-8 refuses is U+FFFD, in CSV and Parquet as in Excel, in the index too."""
    frame = invoices(row(client_id="\udc80", memo="a\ud800b"))
    rows = [
        read_csv(written(frame, tmp_path / "a.csv")).iloc[0],
        pd.read_parquet(written(frame, tmp_path / "a.parquet")).reset_index().iloc[0],
    ]
    assert [(cells["client_id"], cells["memo"]) for cells in rows] == [("\ufffd", "a\ufffdb")] * 2


def test_an_empty_frame(tmp_path: Path) -> None:
    """Without invoices there is a file with the names of the columns, and with their dtypes in Parquet."""
    frame = invoices()
    assert read_csv(written(frame, tmp_path / "a.csv")).columns.tolist() == [*DTYPES, "environment"]
    workbook = openpyxl.load_workbook(written(frame, tmp_path / "a.xlsx"))
    assert [len(line) for line in workbook.active.iter_rows()] == [len(DTYPES) + 1]
    back = pd.read_parquet(written(frame, tmp_path / "a.parquet"))
    assert back.pop("environment").dtype == "str"
    assert names_of_dtypes(back) == names_of_dtypes(frame)


def test_more_than_excel_takes(tmp_path: Path) -> None:
    """Too many rows and too long a text are refused with their number, before anything is written."""
    many = invoices(row()).iloc[[0] * 1_048_576]
    with pytest.raises(InvalidRequest, match=r"1,048,576 invoices are more than the 1,048,575 .*write \.csv"):
        write_invoices(many, tmp_path / "a.xlsx", "sandbox")
    with pytest.raises(InvalidRequest, match=r"message of the invoice c-0 has 32,768 characters.*\.parquet"):
        write_invoices(invoices(row(message="😀" * 16_384)), tmp_path / "a.xlsx", "sandbox")
    assert visible(tmp_path) == []
    [shown] = sheet(written(invoices(row(message="x" * 32_767)), tmp_path / "a.xlsx"))
    assert len(shown["message"].value) == 32_767


@pytest.mark.parametrize("name", ["a.CSV", "a.XlsX", "a.Parquet"])
def test_suffixes_in_any_case(name: str, tmp_path: Path) -> None:
    """The suffix decides in any case of letters, in a path of text too."""
    write_invoices(invoices(row()), str(tmp_path / name), "sandbox")
    begins = {"a.CSV": b"\xef\xbb\xbfclient_id", "a.XlsX": b"PK", "a.Parquet": b"PAR1"}
    assert (tmp_path / name).read_bytes().startswith(begins[name])


@pytest.mark.parametrize("name", ["a", "a.xls", "a.csv.gz", ".csv", "csv"])
def test_other_suffixes(name: str, tmp_path: Path) -> None:
    """Any other suffix is refused, and the three are named."""
    with pytest.raises(InvalidRequest, match=r"must end in \.csv, \.xlsx or \.parquet"):
        write_invoices(invoices(row()), tmp_path / name, "sandbox")
    assert visible(tmp_path) == []


@pytest.mark.parametrize(("module", "suffix"), [("openpyxl", ".xlsx"), ("pyarrow", ".parquet")])
def test_without_the_package(
    module: str, suffix: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without the package a format needs the extra to install is named, and nothing is made."""
    monkeypatch.setitem(sys.modules, module, None)
    extra = {"openpyxl": "excel", "pyarrow": "parquet"}[module]
    with pytest.raises(ConfigurationError, match=rf"pip install 'hercle_nb\[{extra}\]'"):
        write_invoices(invoices(row()), tmp_path / f"a{suffix}", "sandbox")
    assert visible(tmp_path) == []


@every_suffix
def test_places_that_cannot_be(suffix: str, tmp_path: Path) -> None:
    """A folder in its place, a file in place of a folder, a missing folder: what to do is said."""
    (tmp_path / f"a{suffix}").mkdir()
    (tmp_path / "file").write_text("mine")
    refused: list[tuple[type[OSError], str, str]] = [
        (IsADirectoryError, f"a{suffix}", "it is a folder; name a file in it"),
        (NotADirectoryError, f"file/a{suffix}", "a part of the path is a file; write elsewhere"),
        (FileNotFoundError, f"missing/a{suffix}", "the folder does not exist; make it first"),
    ]
    for kind, name, what in refused:
        with pytest.raises(
            kind, match=rf"a\{suffix} could not be written: {what}.*\. Nothing was changed\.$"
        ):
            write_invoices(invoices(row()), tmp_path / name, "sandbox")
    assert visible(tmp_path) == ["file"]


@every_suffix
def test_read_only_disk(suffix: str) -> None:
    """A read-only file system is an OSError of its own kind that says where else to write."""
    with small_disk(read_only=True) as disk, pytest.raises(OSError, match="read-only; write else") as caught:
        write_invoices(invoices(row()), disk / f"a{suffix}", "sandbox")
    assert caught.value.errno == errno.EROFS


@every_suffix
def test_full_disk(suffix: str) -> None:
    """On a full disk the old file is as it was, and nothing else is left."""
    with small_disk() as disk:
        path = written(invoices(row()), disk / f"a{suffix}")
        before = path.read_bytes()
        fill(disk)
        frame = invoices(*[row(number, message=noise(1_000)) for number in range(1_000)])
        with pytest.raises(
            OSError, match=r"the disk is full; free some space.*Nothing was changed"
        ) as caught:
            write_invoices(frame, path, "sandbox")
        assert caught.value.errno == errno.ENOSPC
        assert path.read_bytes() == before
        assert visible(disk) == [path.name, "filler"]


@every_suffix
def test_interrupted_writing(suffix: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An interrupt just before the end leaves the old file and nothing else."""
    path = written(invoices(row()), tmp_path / f"a{suffix}")
    before = path.read_bytes()

    def interrupt(_: int) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "fsync", interrupt)
    with pytest.raises(KeyboardInterrupt):
        write_invoices(invoices(row(), row(1)), path, "sandbox")
    assert path.read_bytes() == before
    assert visible(tmp_path) == [path.name]
