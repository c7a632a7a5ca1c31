"""Whatever rows a user has, as one table: a DataFrame, a CSV file, dicts or requests. No I/O with the hub."""

from __future__ import annotations

import csv
import io
import os
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from hercle_nb._columns import TEXT_DTYPE
from hercle_nb.batch.columns import COLUMNS, listed, repeats, squashed
from hercle_nb.errors import InvalidRequest
from hercle_nb.invoice_request import InvoiceRequest

_WANTED = (
    "pass a pandas.DataFrame, the path of a CSV file, or a list of dicts or InvoiceRequests "
    "with amount_btc or amount_sat in each"
)
# a cell of Excel keeps its type: as text, 0.00001 would be 1e-05, and as a number, 00123 would be 123
_EXCEL = "pandas.read_excel(path, dtype=object, keep_default_na=False)"
_READERS = {
    **dict.fromkeys((".xlsx", ".xlsm", ".xlsb", ".xls", ".ods"), _EXCEL),
    **dict.fromkeys((".parquet", ".pq"), "pandas.read_parquet(path)"),
    ".feather": "pandas.read_feather(path)",
}


def read_table(rows: Any) -> tuple[pd.DataFrame, dict[int, InvoiceRequest], dict[str, Any]]:
    """The rows as a table whose known columns have their names in `COLUMNS`, at least one row of it.

    Returns:
        The table, the rows that were requests already, by number, and the names that the known columns had.

    Raises:
        InvalidRequest: No rows, or nothing that can be read as rows; no column of amounts, or two columns
            of the same name.
    """
    ready: dict[int, InvoiceRequest] = {}
    written: dict[str, Any] = {}
    if isinstance(rows, pd.DataFrame):
        if isinstance(rows.columns, pd.MultiIndex):
            raise InvalidRequest("The rows have columns of several levels; set rows.columns to plain names.")
        table = rows
    elif isinstance(rows, str | os.PathLike):
        table = _read_csv(rows)
    else:
        table, ready, written = _read_records(rows)
    if not len(table):
        raise InvalidRequest(f"There are no rows; {_WANTED}.")
    table, had = _named(table)
    return table, ready, had | written


def present(cell: Any) -> Any:
    """A cell as Python's own value; None where it is missing, NaN or blank."""
    if isinstance(cell, np.generic):
        cell = cell.item()
    if isinstance(cell, str):
        return str(cell) if cell.strip() else None
    return None if pd.api.types.is_scalar(cell) and pd.isna(cell) else cell


_KNOWN = {squashed(name): name for name in COLUMNS}


def _canonical(name: Any) -> Any:
    return _KNOWN.get(squashed(name), name) if isinstance(name, str) else name


def _named(table: pd.DataFrame) -> tuple[pd.DataFrame, dict[str, Any]]:
    """The table with its known columns renamed, itself where there is nothing to, and their names before."""
    found: dict[str, list[Any]] = {known: [] for known in COLUMNS}
    for name in table.columns:
        if isinstance(name, str) and (known := _canonical(name)) in found:
            found[known].append(name)
    for known, names in found.items():
        again = [name for name in table.columns if names and repeats(name, known)]
        if len(names) + len(again) > 1:
            raise InvalidRequest(
                f"The columns {listed(names + again)} all mean {known}; keep one, and drop or rename the "
                "others."
            )
    if not found["amount_btc"] and not found["amount_sat"]:
        raise _without_amounts(list(table.columns))
    had = {known: names[0] for known, names in found.items() if names}
    renamed = {name: known for known, name in had.items() if name != known}
    return table.rename(columns=renamed) if renamed else table, had


def _without_amounts(names: list[Any]) -> InvalidRequest:
    alike = [name for name in names if isinstance(name, str) and re.search("amount|btc|sat", squashed(name))]
    advice = "name the column of amounts amount_btc or amount_sat"
    if alike:
        advice = f"if {alike[0]!r} holds BTC, name it amount_btc; if it holds satoshis, amount_sat"
    return InvalidRequest(
        f"There is no column amount_btc or amount_sat; {advice}. The columns are: {listed(names)}. Only "
        f"{', '.join(COLUMNS)} are read; all others are carried through."
    )


def _read_records(rows: Any) -> tuple[pd.DataFrame, dict[int, InvoiceRequest], dict[str, Any]]:
    """Dicts and requests as a table with the columns in order of first appearance, and their names before."""
    if isinstance(rows, Mapping) or not isinstance(rows, Iterable):
        raise InvalidRequest(f"{type(rows).__name__} is no table of rows; {_WANTED}.")
    ready: dict[int, InvoiceRequest] = {}
    records: list[dict[Any, Any]] = []
    written: dict[Any, Any] = {}
    for number, row in enumerate(rows):
        record: dict[Any, Any] = {}
        if isinstance(row, InvoiceRequest):
            ready[number] = row
            record = {name: getattr(row, name) for name in COLUMNS if name != "amount_sat"}
        elif isinstance(row, Mapping):
            for name, cell in row.items():
                if (column := _canonical(name)) in record:
                    raise InvalidRequest(f"row {number} names {column} more than once; keep one of them.")
                record[column] = cell
                written.setdefault(column, name)
        else:
            raise InvalidRequest(
                f"row {number} (the first is row 0) is neither a dict nor an InvoiceRequest but "
                f"{type(row).__name__}; {_WANTED}."
            )
        records.append(record)
    names = dict.fromkeys(name for record in records for name in record)
    columns = {number: _column([record.get(name) for record in records]) for number, name in enumerate(names)}
    table = pd.DataFrame(columns, index=pd.RangeIndex(len(records)))
    table = table.set_axis(pd.Index(list(names), tupleize_cols=False), axis="columns")
    return table, ready, {known: written[known] for known in COLUMNS if known in written}


def _column(cells: list[Any]) -> pd.Series[Any]:
    """Cells as a column of the type that they have in common, none of them changed by it."""
    if all(cell is None or isinstance(cell, str) for cell in cells):
        return pd.Series(cells, dtype=TEXT_DTYPE)
    column = pd.Series(cells, dtype=object)
    return column if any(cell is None for cell in cells) else column.infer_objects()  # 17 would be 17.0


def _read_csv(path: str | os.PathLike[str]) -> pd.DataFrame:
    """A CSV file as a table of text: amounts stay exact, and an account number such as 00123 stays."""
    reader = _READERS.get(Path(path).suffix.lower())
    if reader is not None:
        raise InvalidRequest(f"{path} is no CSV file; read it with {reader} and pass the frame.")
    try:
        text = Path(path).expanduser().read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InvalidRequest(
            f'{path} is not UTF-8; save it as "CSV UTF-8", or read it with pandas.read_csv(path, dtype=str, '
            "keep_default_na=False, encoding=…) and pass the frame."
        ) from error
    except (OSError, ValueError, RuntimeError) as error:  # a null character in the path, an unknown ~user
        why = getattr(error, "strerror", None) or error
        raise InvalidRequest(
            f"{str(path)[:200]!r} cannot be read ({why}); pass the path of a CSV file, from the root or from "
            f"{Path.cwd()}."
        ) from error
    names, records = _csv_records(path, text)
    columns = {
        number: pd.Series([record[number] for record in records], dtype=TEXT_DTYPE)
        for number in range(len(names))
    }
    return pd.DataFrame(columns, index=pd.RangeIndex(len(records))).set_axis(names, axis="columns")


def _csv_records(path: str | os.PathLike[str], text: str) -> tuple[list[str], list[list[str]]]:
    """The header of a CSV text, and its other lines, each with as many fields.

    Python's own reader, since pandas' takes the fields of longer lines for an index and shifts the others.
    """
    header = next((line for line in io.StringIO(text, newline="") if line.strip()), "")
    separator = next((mark for mark in ",;\t" if mark in header), ",")
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=True)
    names: list[str] = []
    records: list[list[str]] = []
    try:
        for fields in filter(None, reader):  # without blank lines
            if not names:
                names = fields
            elif len(fields) > len(names):
                raise InvalidRequest(
                    f"{path}, line {reader.line_num}: {len(fields)} fields, but the header names "
                    f"{len(names)} columns; put a text that holds {separator!r} between quotation marks, "
                    "and write amounts with a point, such as 0.001."
                )
            else:
                records.append(fields + [""] * (len(names) - len(fields)))
    except csv.Error as error:
        raise InvalidRequest(
            f"{path}, line {reader.line_num}: {error}; write a quotation mark within quotation marks twice, "
            "and end each text that begins with one."
        ) from error
    return names, records
