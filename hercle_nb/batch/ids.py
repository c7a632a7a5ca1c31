"""The ClientIds of a batch's rows: their own, or made so that running the batch again resumes it."""

from __future__ import annotations

import datetime as dt
import re
import uuid
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from hercle_nb import amounts
from hercle_nb.batch.columns import listed, repeats, squashed
from hercle_nb.batch.table import present
from hercle_nb.client_ids import made, part_text
from hercle_nb.errors import InvalidRequest

if TYPE_CHECKING:
    import pandas as pd

_WHOLE_FLOAT = re.compile(r"(0|-?[1-9][0-9]*)\.0")  # how a float of a whole number is written
_TWO_BEFORE = " (0.1 told these two apart: if this row has an invoice, another key makes a second one)"


def client_ids(
    table: pd.DataFrame, given: list[Any], batch_id: str, key: str | None
) -> tuple[list[Any], list[str], dict[int, list[str]]]:
    """The ClientId of each row, its key or number, and what is wrong with keys and repeated ids.

    Args:
        table: The rows.
        given: The rows' own ClientIds, not checked yet; None for those to be made.
        batch_id: What they are made from, together with the row's number or key.
        key: The column of keys; None for numbers, from 0 by position.

    Returns:
        The ids, None where one could not be made; the keys, empty where there is none; and the problems by
        number of the row.

    Raises:
        InvalidRequest: There is no such column.
    """
    problems: dict[int, list[str]] = {}
    batch, before = ["batch", part_text(batch_id)], ["batch", batch_id]
    if key is None:
        numbers = list(map(str, range(len(given))))
        keys = numbers
        others: list[str | None] = [made([*batch, number], [*before, number]) for number in numbers]
    else:
        pairs = _keys(table, key, problems)
        keys = ["" if found is None else found[0] for found in pairs]
        others = [
            None if found is None else made([*batch, "key", found[0]], [*before, "key", found[1]])
            for found in pairs
        ]
    ids = [other if own is None else own for own, other in zip(given, others, strict=True)]
    first: dict[str, int] = {}
    for number, one in enumerate(ids):
        if isinstance(one, str) and (earlier := first.setdefault(one, number)) != number:
            problems.setdefault(number, []).append(
                f"It has the client_id {amounts.shown(one)} of row {earlier}; give it one of its own, or "
                "leave it empty to have one made."
            )
    return ids, keys, problems


def _keys(table: pd.DataFrame, key: str, problems: dict[int, list[str]]) -> list[tuple[str, str] | None]:
    """The keys of the rows as texts, and as 0.1 took them; None, and a problem, where one is missing."""
    first: dict[str, tuple[int, str]] = {}
    keys: list[tuple[str, str] | None] = []
    for number, cell in enumerate(table.iloc[:, key_place(list(table.columns), key)].tolist()):
        try:
            text, before = _key_text(cell, key), _key_text_of_0_1(present(cell))
            earlier, other = first.setdefault(text, (number, before))
            if earlier != number:
                raise InvalidRequest(
                    f"It has the key {amounts.shown(text)} of row {earlier} in the column {key!r}; "
                    f"each row needs a key of its own{'' if before == other else _TWO_BEFORE}."
                )
            keys.append((text, before))
        except InvalidRequest as error:
            problems.setdefault(number, []).append(str(error))
            keys.append(None)
    return keys


def key_place(names: list[Any], key: str) -> int:
    """Where the column of that name is, or else the one whose name people would take for it.

    Raises:
        InvalidRequest: There is none, or more than one.
    """
    texts = {number: name for number, name in enumerate(names) if isinstance(name, str)}
    found = [number for number, name in texts.items() if name == key]
    if not found and isinstance(key, str):
        found = [number for number, name in texts.items() if squashed(name) == squashed(key)]
    again = [name for name in texts.values() if found and repeats(name, names[found[0]])]
    if again:
        raise InvalidRequest(
            f"The columns {names[found[0]]!r} and {again[0]!r} may both be {key!r}, since pandas writes the "
            "second of two equal names so; drop or rename one of them."
        )
    if len(found) != 1:
        raise InvalidRequest(
            f"{'More than one' if found else 'No'} column is named {key!r}; write key= with the name of one "
            f"of these: {listed(names)}."
        )
    return found[0]


def _key_text(cell: Any, column: str) -> str:
    """A key as text, the same for 17, 17.0 and "17": one missing cell makes a column of integers float."""
    value = present(cell)
    if value is None:
        raise InvalidRequest(f"It has no key in the column {column!r}; write one.")
    if not isinstance(value, str | int | float | Decimal | dt.date | uuid.UUID):
        raise InvalidRequest(
            f"Its key in the column {column!r} is {type(value).__name__}; write a text or a number."
        )
    try:
        return part_text(cell)
    except InvalidRequest as error:
        raise InvalidRequest(f"Its key in the column {column!r} {error}") from None


def _key_text_of_0_1(cell: Any) -> str:
    """What version 0.1 took for the key."""
    whole = None if isinstance(cell, bool | str) else amounts.whole(cell)
    text = str(cell if whole is None else whole).strip()
    match = _WHOLE_FLOAT.fullmatch(text)
    return match[1] if match else text
