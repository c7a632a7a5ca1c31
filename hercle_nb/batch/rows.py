"""The rows of a batch, checked and normalised before anything is sent. No I/O with the hub.

Every problem of every row goes into one report, and each row has a ClientId that is the same when the batch
is run again.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pandas as pd

from hercle_nb import amounts
from hercle_nb._columns import TEXT_DTYPE
from hercle_nb.batch.columns import COLUMNS, like_fields, read_and_carried
from hercle_nb.batch.ids import client_ids, key_place
from hercle_nb.batch.table import present, read_table
from hercle_nb.client_ids import cleaned
from hercle_nb.errors import InvalidRequest
from hercle_nb.invoice_request import InvoiceRequest, check_client_id, check_expiry, check_memo

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

_MOST_LISTED = 20  # problems in a report
_FRACTION = "pass a list of rows with InvoiceRequest(…, allow_msat=True) in it"


@dataclass(frozen=True, eq=False)
class Rows:
    """The rows of a batch, checked and normalised.

    Attributes:
        batch_id: What the ClientIds are made from.
        requests: A request for each row, in the rows' order, each with its ClientId.
        keys: What tells each row from the others in the batch: its key, or its number.
        keyed: There is a column of keys.
        unnamed: The requests of rows that brought no ClientId of their own; one that was made for an
            `InvoiceRequest` is none.
        table: The rows' own index, order and columns; the columns that are read have their documented names
            and dtypes: ``amount_btc`` float64, ``amount_sat`` and ``expiry_hours`` Int64, ``memo`` and
            ``client_id`` str. What was not given is missing.
        columns: What each column was read as, and which are carried along.
        lacking: What to do about columns that look like a field which the table lacks, a line each.
        beside: What is said of columns that look like a field which it has.
    """

    batch_id: str
    requests: list[InvoiceRequest]
    keys: list[str]
    keyed: bool
    unnamed: list[InvoiceRequest]
    table: pd.DataFrame
    columns: str
    lacking: list[str]
    beside: list[str]


def read_rows(rows: Any, batch_id: str, key: str | None, *, repeated: str = "") -> Rows:
    """Check and normalise the rows of a batch; what comes in is never modified.

    Args:
        rows: A DataFrame, the path of a CSV file, or an iterable of dicts and `InvoiceRequest`s.
        batch_id: Any text; the same again gives the same ClientIds.
        key: The column whose values the ClientIds are made from, instead of the rows' numbers.
        repeated: What else there is to say where a ClientId stands in two rows.

    Raises:
        InvalidRequest: These are no rows, or some of them cannot be sent; then all of these are named.
    """
    if not isinstance(batch_id, str) or not cleaned(batch_id):
        raise InvalidRequest('batch_id must be a text such as "payroll-2026-11", or None for a new one.')
    table, ready, written = read_table(rows)
    columns = {name: _cells(table, name) for name in COLUMNS}
    ids, keys, problems = client_ids(table, columns["client_id"], batch_id, key)
    requests: list[InvoiceRequest] = []
    for number, cells in enumerate(zip(*(columns | {"client_id": ids}).values(), strict=True)):
        try:
            requests.append(ready.get(number) or _request(*cells))
        except InvalidRequest as error:
            problems.setdefault(number, []).append(str(error))
    if problems:
        told = {number: " ".join(found) for number, found in problems.items()}
        twice = len(set(map(str, ids))) < len(ids)
        raise refused(told, len(table), repeated if twice else "")
    names = list(table.columns)
    keyed = None if key is None else names[key_place(names, key)]
    others = [name for name in names if name not in COLUMNS]
    about = (written, others, keyed)
    return Rows(
        batch_id,
        requests,
        keys,
        key is not None,
        [
            one
            for number, (one, own) in enumerate(zip(requests, columns["client_id"], strict=True))
            if own is None or (number in ready and not one._is_named)
        ],
        _normalised(table, columns, requests),
        read_and_carried(*about),
        *like_fields(*about),
    )


def refused(problems: Mapping[int, str], total: int, advice: str = "") -> InvalidRequest:
    """The one report of all rows that cannot be sent.

    Args:
        problems: What is wrong with a row, by its number.
        total: How many rows there are.
        advice: What else there is to say.
    """
    lines = [f"row {number}: {problems[number]}" for number in sorted(problems)[:_MOST_LISTED]]
    if (others := len(problems) - len(lines)) > 0:
        lines.append(f"and {others:,} other{'s' if others > 1 else ''}")
    head = (
        f"{len(problems):,} of {total:,} row{'s' if total > 1 else ''} cannot be sent, and nothing was; "
        "correct what is listed and call again (the first row is row 0):"
    )
    return InvalidRequest("\n".join([head, *lines, *filter(None, [advice])]))


def totals_text(rows: Rows) -> str:
    """How many invoices the rows ask for, how much in all, and which asks for the most, in one line."""
    asked = [request.amount_msat for request in rows.requests]
    count, most = len(asked), max(asked)
    if count == 1:
        return f"1 invoice, {_both(most)} in total"
    largest = f"the largest is row {asked.index(most)}: {_both(most)}"
    return f"{count:,} invoices, {_both(sum(asked))} in total; {largest}"


def _both(msat: int) -> str:
    return f"{amounts.format_btc(msat)} = {amounts.format_sat(msat)}"


def _request(btc: Any, sat: Any, memo: Any, hours: Any, client_id: Any) -> InvoiceRequest:
    """The request of a row; all that is wrong with the row is one error."""
    problems: list[str] = []

    def checked(check: Callable[..., Any], *cells: Any) -> Any:
        try:
            return check(*cells)
        except InvalidRequest as error:
            problems.append(str(error))
            return None

    msat = checked(_amount_msat, btc, sat)
    memo, hours = checked(check_memo, memo), checked(check_expiry, hours)
    client_id = checked(check_client_id, client_id)
    if problems:
        raise InvalidRequest(" ".join(problems))
    if sat is None:  # as written: what a hub's limit says of it depends on that
        return InvoiceRequest(btc, memo, hours, client_id)
    return InvoiceRequest(None, memo, hours, client_id, amount_sat=amounts.msat_to_sat(msat))


def _amount_msat(btc: Any, sat: Any) -> int:
    """The amount of a row; both may stand if they are equal."""
    if btc is None and sat is None:
        raise InvalidRequest("It has no amount; write one into amount_btc or amount_sat.")
    if btc is None:
        return amounts.sat_to_msat(sat)
    try:
        msat = amounts.btc_to_msat(btc)
    except InvalidRequest as error:  # a cell has no switch
        raise InvalidRequest(str(error).replace(amounts.FRACTION, _FRACTION)) from None
    if sat is not None and (other := amounts.sat_to_msat(sat)) != msat:
        raise InvalidRequest(
            f"amount_btc and amount_sat differ: {amounts.format_btc(msat)} is {amounts.format_sat(msat)}, "
            f"not {amounts.format_sat(other)}; correct one of them or leave it empty."
        )
    return msat


def _cells(table: pd.DataFrame, name: str) -> list[Any]:
    """A column's cells as they are checked; None where one is missing."""
    if name not in table.columns:
        return [None] * len(table)
    cells = [present(cell) for cell in table[name].tolist()]
    if name != "memo":  # where white space is the user's
        cells = [cell.strip() if isinstance(cell, str) else cell for cell in cells]
    return [_whole(cell) for cell in cells] if name in ("amount_sat", "expiry_hours") else cells


def _whole(cell: Any) -> Any:
    """The integer that a cell stands for, never by way of a float; any other cell as it is."""
    number = amounts.whole(cell)
    return cell if number is None else number


def _normalised(
    table: pd.DataFrame, columns: dict[str, list[Any]], requests: list[InvoiceRequest]
) -> pd.DataFrame:
    """The table with its known columns as they were understood; what was not given stays missing."""

    def given(name: str, cells: list[Any]) -> list[Any]:
        return [None if raw is None else cell for raw, cell in zip(columns[name], cells, strict=True)]

    btc = [request.amount_msat / amounts.MSAT_PER_BTC for request in requests]  # the nearest double
    known: dict[str, tuple[list[Any], Any]] = {
        "amount_btc": (given("amount_btc", btc), "float64"),
        "amount_sat": (given("amount_sat", [request.amount_sat for request in requests]), "Int64"),
        "memo": ([request.memo for request in requests], TEXT_DTYPE),
        "expiry_hours": ([request.expiry_hours for request in requests], "Int64"),
        "client_id": (given("client_id", [request.client_id for request in requests]), TEXT_DTYPE),
    }
    return table.assign(
        **{
            name: pd.Series(cells, dtype=dtype).array
            for name, (cells, dtype) in known.items()
            if name in table.columns
        }
    )
