"""The ClientIds of a batch's rows: their own, or made so that running the batch again resumes it."""

from __future__ import annotations

import datetime as dt
import re
import uuid
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from hercle_nb import amounts
from hercle_nb.batch.table import listed, present, squashed
from hercle_nb.errors import InvalidRequest
from hercle_nb.invoice_request import client_id

if TYPE_CHECKING:
    import pandas as pd

_WHOLE_FLOAT = re.compile(r"(0|-?[1-9][0-9]*)\.0")  # how a float of a whole number is written
_EXACT_FLOAT = 2**53  # beyond it, not every whole number is a float


def client_ids(
    table: pd.DataFrame, given: list[Any], batch_id: str, key: str | None
) -> tuple[list[Any], dict[int, list[str]]]:
    """The ClientId of each row, and what is wrong with keys and repeated ids, by number of the row.

    Args:
        table: The rows.
        given: The rows' own ClientIds, not checked yet; None for those to be made.
        batch_id: What they are made from, together with the row's number or key.
        key: The column of keys; None for numbers, from 0 by position.

    Returns:
        The ids, None where one could not be made, and the problems.

    Raises:
        InvalidRequest: There is no such column.
    """
    problems: dict[int, list[str]] = {}
    if key is None:
        made: list[str | None] = [client_id("batch", batch_id, number) for number in range(len(given))]
    else:
        keys = _keys(table, key, problems)
        made = [None if text is None else client_id("batch", batch_id, "key", text) for text in keys]
    ids = [other if own is None else own for own, other in zip(given, made, strict=True)]
    first: dict[str, int] = {}
    for number, one in enumerate(ids):
        if isinstance(one, str) and (earlier := first.setdefault(one, number)) != number:
            problems.setdefault(number, []).append(
                f"It has the client_id {amounts.shown(one)} of row {earlier}; give it one of its own, or "
                "leave it empty to have one made."
            )
    return ids, problems


def _keys(table: pd.DataFrame, key: str, problems: dict[int, list[str]]) -> list[str | None]:
    """The keys of the rows as texts; None, and a problem, where there is none that is the row's alone."""
    first: dict[str, int] = {}
    keys: list[str | None] = []
    for number, cell in enumerate(table.iloc[:, _place(list(table.columns), key)].tolist()):
        try:
            text = _key_text(present(cell), key)
            if (earlier := first.setdefault(text, number)) != number:
                raise InvalidRequest(
                    f"It has the key {amounts.shown(text)} of row {earlier} in the column {key!r}; "
                    "each row needs a key of its own."
                )
            keys.append(text)
        except InvalidRequest as error:
            problems.setdefault(number, []).append(str(error))
            keys.append(None)
    return keys


def _place(names: list[Any], key: str) -> int:
    """Where the column of that name is, or else the one whose name people would take for it."""
    texts = {number: name for number, name in enumerate(names) if isinstance(name, str)}
    found = [number for number, name in texts.items() if name == key]
    if not found and isinstance(key, str):
        found = [number for number, name in texts.items() if squashed(name) == squashed(key)]
    if len(found) != 1:
        raise InvalidRequest(
            f"{'More than one' if found else 'No'} column is named {key!r}; write key= with the name of one "
            f"of these: {listed(names)}."
        )
    return found[0]


def _key_text(cell: Any, column: str) -> str:
    """A key as text, the same for 17, 17.0 and "17": one missing cell makes a column of integers float."""
    if cell is None:
        raise InvalidRequest(f"It has no key in the column {column!r}; write one.")
    if isinstance(cell, float) and abs(cell) > _EXACT_FLOAT:
        raise InvalidRequest(
            f"Its key {amounts.shown(cell)} in the column {column!r} is a float, and floats of this size are "
            "not exact; read the column as text (dtype=str)."
        )
    if not isinstance(cell, str | int | float | Decimal | dt.date | uuid.UUID):
        raise InvalidRequest(
            f"Its key in the column {column!r} is {type(cell).__name__}; write a text or a number."
        )
    whole = None if isinstance(cell, bool) else amounts.whole(cell)
    text = str(cell if whole is None else whole).strip()
    match = _WHOLE_FLOAT.fullmatch(text)
    return match[1] if match else text
