"""The frame of invoices as a file for others: CSV, Excel or Parquet, by the file's suffix.

Memos and messages are other people's words, and a spreadsheet runs a cell that begins with ``=``: no text is
written so that it would be run (OWASP, "CSV Injection").
"""

from __future__ import annotations

import csv
import io
import re
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from hercle_nb._columns import TEXT_DTYPE
from hercle_nb._log_table import arrow
from hercle_nb._whole_file import explained, whole_file
from hercle_nb.amounts import msat_to_btc
from hercle_nb.errors import ConfigurationError, InvalidRequest

if TYPE_CHECKING:
    import os

    import pandas as pd

_Cell: TypeAlias = str | int | Decimal | datetime | None

_HALF_CHARACTER = re.compile("[\ud800-\udfff]")  # UTF-8 refuses it

# a spreadsheet set to semicolons, as in much of Europe, begins a cell behind each of them
_FORMULA = re.compile(r"(^|[;\t\r\n])(?=[\t\r\n']|[^\w;\t\r\n]*?[=+\-@＝＋－＠])")

_EXCEL_ROWS = 1_048_576  # the header is one
_EXCEL_CHARACTERS = 32_767  # in a cell, in UTF-16
_EXCEL_DIGITS = 15  # of a number; further ones become zeros
_EXCEL_FIRST_YEAR = 1900
_EXCEL_FORMATS = {
    **dict.fromkeys(("amount_msat", "amount_sat", "asked_msat"), "0"),
    "amount_btc": "0.00000000###",
}
_NOT_IN_XML = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff]")
_LIKE_AN_ESCAPE = re.compile("_(?=x[0-9A-Fa-f]{4}_)")  # Excel would show the character of that number


def write_invoices(frame: pd.DataFrame, path: str | os.PathLike[str], environment: str) -> None:
    r"""Write every row of a frame of invoices; a file that is there is replaced.

    The last column, ``environment``, says for each invoice where it came from: a list that was made on the
    simulator must not look like one of real invoices.

    ``.csv`` is UTF-8 with a byte order mark, which Excel needs; amounts are exact and without exponent,
    ``amount_btc`` too; times are ISO 8601, UTC. ``pandas.read_csv(path, dtype=str, keep_default_na=False)``
    reads every cell as it stands. Where a spreadsheet might see a formula in a text there is an apostrophe,
    and one more where there was one already: ``column.str.replace(r"(^|[;\t\r\n])'", r"\1", regex=True)``
    takes them away.

    ``.xlsx`` holds texts as texts, never as formulas. Excel keeps 15 digits of a number: an amount of more is
    a text. It knows no zones: times are UTC, to the millisecond; one before 1900 is a text. A character that
    it refuses is shown by its number, such as U+0000.

    ``.parquet`` is the frame itself with that column, which ``pandas.read_parquet`` gives back. It alone
    tells an empty text from a missing one. Half a surrogate pair is U+FFFD in all three.

    Args:
        frame: The invoices: the documented columns, with ``client_id`` as the index.
        path: The file, in a folder that exists.
        environment: The hub's.

    Raises:
        InvalidRequest: Another suffix, or more rows or a longer text than Excel takes.
        ConfigurationError: openpyxl or pyarrow is not installed.
        OSError: It cannot be written; what was there is as it was.
    """
    path = Path(path).expanduser()
    writers = {".csv": _csv, ".xlsx": _excel, ".parquet": _parquet}
    write = writers.get(path.suffix.lower())
    if write is None:
        raise InvalidRequest(f"{path} must end in .csv, .xlsx or .parquet, which says what is written.")
    with explained(path, "Nothing was changed."):
        content = write(_encodable(frame, environment))  # all of it, before there is a file
        with whole_file(path) as file:
            file.write(content)


def _encodable(frame: pd.DataFrame, environment: str) -> pd.DataFrame:
    """The frame with its index before and the environment behind all columns, and texts that UTF-8 takes."""
    table = frame.reset_index().assign(environment=environment)
    table["environment"] = table["environment"].astype(TEXT_DTYPE)  # without rows it was an object
    for name, dtype in table.dtypes.items():
        if dtype == "str":
            whole = table[name].map(lambda text: _HALF_CHARACTER.sub("\ufffd", text), na_action="ignore")
            table[name] = whole.astype(dtype)
    return table


def _columns(table: pd.DataFrame) -> dict[str, list[_Cell]]:
    """The columns as Python's own values; None where one is missing."""
    columns: dict[str, list[_Cell]] = {}
    for name, values in table.items():
        cells = zip(values.tolist(), values.isna(), strict=True)
        columns[str(name)] = [None if missing else cell for cell, missing in cells]
    columns["amount_btc"] = [  # the frame's is the nearest double
        msat_to_btc(msat) if isinstance(msat, int) else None for msat in columns["amount_msat"]
    ]
    return columns


def _parquet(table: pd.DataFrame) -> bytes:
    pa = arrow()
    file = io.BytesIO()
    pa.parquet.write_table(pa.Table.from_pandas(table.set_index("client_id")), file, compression="zstd")
    return file.getvalue()


def _csv(table: pd.DataFrame) -> bytes:
    columns = _columns(table)
    text = io.StringIO(newline="")
    writer = csv.writer(text)
    writer.writerow(columns)
    writer.writerows([_csv_text(cell) for cell in row] for row in zip(*columns.values(), strict=True))
    return text.getvalue().encode("utf-8-sig")


def _csv_text(cell: _Cell) -> str:
    if cell is None:
        return ""
    if isinstance(cell, str):
        return _FORMULA.sub(r"\1'", cell)
    return cell.isoformat(timespec="microseconds") if isinstance(cell, datetime) else _digits(cell)


def _digits(number: int | Decimal) -> str:
    return f"{Decimal(number):f}"  # never an exponent


def _excel(table: pd.DataFrame) -> bytes:
    try:
        import openpyxl
        from openpyxl.cell import WriteOnlyCell
        from openpyxl.utils import get_column_letter
    except ImportError as error:
        raise ConfigurationError("Excel needs openpyxl: pip install 'hercle_nb[excel]'") from error
    if len(table) >= _EXCEL_ROWS:
        raise InvalidRequest(
            f"{len(table):,} invoices are more than the {_EXCEL_ROWS - 1:,} that Excel takes; "
            "write .csv or .parquet."
        )
    columns = {name: [_excel_value(cell) for cell in cells] for name, cells in _columns(table).items()}
    _refuse_long_texts(columns)
    workbook = openpyxl.Workbook(write_only=True)
    sheet = workbook.create_sheet("invoices")

    def cell(name: str, value: _Cell) -> Any:
        cell = WriteOnlyCell(sheet, value)
        if isinstance(value, str):
            cell.data_type = "s"  # openpyxl takes "=…" for a formula, "#N/A" for an error
            cell.quotePrefix = True  # nor does Excel when the cell is edited
        elif name in _EXCEL_FORMATS:
            cell.number_format = _EXCEL_FORMATS[name]
        return cell

    for number in range(1, len(columns) + 1):
        sheet.column_dimensions[get_column_letter(number)].width = 20  # a time does not fit the usual width
    times = table.select_dtypes("datetimetz").columns
    sheet.append([f"{name} (UTC)" if name in times else name for name in columns])
    for row in zip(*columns.values(), strict=True):
        sheet.append([cell(name, value) for name, value in zip(columns, row, strict=True)])
    file = io.BytesIO()
    workbook.save(file)
    return file.getvalue()


def _excel_value(cell: _Cell) -> _Cell:
    """A cell as Excel keeps it."""
    if isinstance(cell, str):
        text = re.sub("\r\n?", "\n", cell)  # which is what XML makes of them
        text = _NOT_IN_XML.sub(lambda match: f"U+{ord(match[0]):04X}", text)
        return _LIKE_AN_ESCAPE.sub("_x005F_", text)
    if isinstance(cell, datetime):
        if cell.year < _EXCEL_FIRST_YEAR:
            return cell.isoformat()
        return cell.replace(microsecond=cell.microsecond // 1000 * 1000, tzinfo=None)
    if cell is not None and len(Decimal(cell).as_tuple().digits) > _EXCEL_DIGITS:
        return _digits(cell)
    return cell


def _refuse_long_texts(columns: dict[str, list[_Cell]]) -> None:
    for name, cells in columns.items():
        for client_id, cell in zip(columns["client_id"], cells, strict=True):
            if isinstance(cell, str) and (length := len(cell.encode("utf-16-le")) // 2) > _EXCEL_CHARACTERS:
                raise InvalidRequest(
                    f"{name} of the invoice {str(client_id)[:40]} has {length:,} characters, and a cell of "
                    f"Excel takes {_EXCEL_CHARACTERS:,}; write .csv or .parquet."
                )
