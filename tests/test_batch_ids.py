"""A batch's ClientIds: the same when it is run again, by number or by key, and never twice."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import Any
from uuid import UUID

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hercle_nb.batch.rows import read_rows
from hercle_nb.client_ids import client_id, spellings
from hercle_nb.errors import InvalidRequest
from tests.answers import id_of_0_1


def ids(rows: Any, key: str | None = None, batch_id: str = "b") -> list[str]:
    """Return the ClientIds of the rows."""
    return [request.client_id for request in read_rows(rows, batch_id, key).requests]


def keyed(keys: Any, key: str = "order") -> list[str]:
    """Return the ClientIds of rows with those keys."""
    return ids(pd.DataFrame({"amount_sat": 5, "order": keys}), key)


def refusal(keys: list[Any], key: str = "order") -> list[str]:
    """Return the lines about rows whose keys are refused."""
    with pytest.raises(InvalidRequest) as caught:
        ids([{"amount_sat": 5, "order": one} for one in keys], key)
    return str(caught.value).splitlines()[1:] or [str(caught.value)]


def test_ids_are_made_from_numbers() -> None:
    """Without a key, an id is made from the batch and the row's position, or is the row's own."""
    frame = pd.DataFrame({"amount_sat": [5, 6, 7], "client_id": [None, "mine", ""]}, index=[7, 7, 7])
    expected = [client_id("batch", "b", 0), "mine", client_id("batch", "b", 2)]
    assert ids(frame) == expected
    assert ids(frame) == expected
    assert not set(ids(frame, batch_id="c")) & set(expected) - {"mine"}


def test_ids_are_made_from_keys() -> None:
    """With a key, an id is made from the batch and the row's key, and a row's own id still comes first."""
    frame = pd.DataFrame({"amount_sat": [5, 6], "order": ["A-1", "é"], "client_id": ["mine", None]})
    assert ids(frame, "order") == ["mine", client_id("batch", "b", "key", "é")]


@pytest.mark.parametrize(
    "same",
    [
        17,
        np.int64(17),
        17.0,
        np.float32(17),
        "17",
        " 17 ",
        "17.0",
        "1\u200b7",
        Decimal("17"),
        Decimal("17.0"),
    ],
)
def test_keys_do_not_depend_on_types(same: Any) -> None:
    """A key is the same as an integer, as the float that a missing cell makes of it, and as text."""
    assert keyed(pd.Series([same], dtype=object)) == [client_id("batch", "b", "key", "17")]


@pytest.mark.parametrize(
    ("key", "before"),
    [
        ("A  1", "A  1"),
        ("Mu\u0308ller", "Mu\u0308ller"),
        (pd.Timestamp("2026-11-30"), "2026-11-30 00:00:00"),
        ("2026-11-30T00:00:00", "2026-11-30T00:00:00"),
    ],
)
def test_keys_carry_their_ids_of_0_1(key: Any, before: str) -> None:
    """A key that 0.1 took for another text is found under the id that 0.1 made of it, before its own."""
    (found,) = keyed(pd.Series([key], dtype=object))
    assert spellings(found)[0] == id_of_0_1("batch", "b", "key", before) != found
    assert spellings(found)[-1] == found


def test_batches_carry_their_ids_of_0_1() -> None:
    """The name of a batch counts as a part does, and its rows carry what 0.1 made of the name as written."""
    rows = [{"amount_sat": 5}, {"amount_sat": 6}]
    found = ids(rows, batch_id=" rent  2026 ")
    assert found == ids(rows, batch_id="rent 2026")
    for number, one in enumerate(found):
        assert spellings(one) == (id_of_0_1("batch", " rent  2026 ", number), one)
    assert spellings(ids(rows, batch_id="rent 2027")[1]) == (id_of_0_1("batch", "rent 2027", 1),)


def test_keys_that_0_1_told_apart() -> None:
    """Two keys that were two orders to 0.1 are one now, and are told what another key would do."""
    (line,) = refusal(["A 1", "A  1"])
    assert line == (
        "row 1: It has the key 'A 1' of row 0 in the column 'order'; each row needs a key of its own "
        "(0.1 told these two apart: if this row has an invoice, another key makes a second one)."
    )


@pytest.mark.parametrize("names", [["Order", "Order.1"], ["order", "Order.2"], ["Order no", "Order no.1"]])
def test_key_columns_that_pandas_renamed(names: list[str]) -> None:
    """A column of keys beside what pandas makes of its name is refused; that one can be named itself."""
    frame = pd.DataFrame([[5, "A", "B"]], columns=["amount_sat", *names])
    with pytest.raises(
        InvalidRequest, match="pandas writes the second of two equal names so; drop or rename"
    ):
        ids(frame, names[0].casefold())
    assert ids(frame, names[1]) == [client_id("batch", "b", "key", "B")]
    alone = frame.drop(columns=names[0])
    assert ids(alone, names[1]) == [client_id("batch", "b", "key", "B")]


def test_keys_as_columns_of_any_type() -> None:
    """A column of keys gives the same ids as integers, floats, nullable integers and text."""
    expected = keyed([17, 18])
    for dtype in ("int32", "float64", "Int64", "str", "category", object):
        assert keyed(pd.Series([17, 18]).astype(dtype)) == expected


@pytest.mark.parametrize(
    ("one", "other"), [("00123", "123"), ("00123", 123), ("1.50", "1.5"), ("007.0", 7), ("a", "A"), (1, -1)]
)
def test_texts_stay_apart(one: Any, other: Any) -> None:
    """Keys that differ as texts are two keys: an account number keeps its zeros."""
    assert len(set(keyed(pd.Series([one, other], dtype=object)))) == 2


@pytest.mark.parametrize(
    "key", [True, 1.5, date(2026, 11, 24), UUID(int=7), pd.Timestamp("2026-11-24 12:00"), "x" * 999]
)
def test_keys_of_other_types(key: Any) -> None:
    """Whatever has one text that never changes can be a key."""
    assert keyed(pd.Series([key], dtype=object)) == [client_id("batch", "b", "key", str(key))]


@given(st.data())
def test_ids_move_with_keys(data: st.DataObject) -> None:
    """Sorted, shuffled or filtered, each row keeps its id if it has a key."""
    letters = st.text(st.characters(categories=["L"]), min_size=1, max_size=3)
    keys = data.draw(st.lists(st.integers() | letters, min_size=1, max_size=8, unique_by=str))
    before = dict(zip(keys, ids([{"amount_sat": 5, "k": key} for key in keys], "k"), strict=True))
    assert len(set(before.values())) == len(keys)
    some = data.draw(st.permutations(keys))[: data.draw(st.integers(1, len(keys)))]
    after = ids(pd.DataFrame({"amount_sat": 5, "k": pd.Series(some, dtype=object)}), "k")
    assert after == [before[key] for key in some]


def test_missing_and_repeated_keys_are_problems() -> None:
    """A row without a key, or with that of an earlier row, is in the report once, with the earlier one."""
    assert refusal(["A", None, "A", " ", 17, "17", float("nan")]) == [
        "row 1: It has no key in the column 'order'; write one.",
        "row 2: It has the key 'A' of row 0 in the column 'order'; each row needs a key of its own.",
        "row 3: It has no key in the column 'order'; write one.",
        "row 5: It has the key '17' of row 4 in the column 'order'; each row needs a key of its own.",
        "row 6: It has no key in the column 'order'; write one.",
    ]


@pytest.mark.parametrize(
    ("key", "words"),
    [
        ([1], "is list; write a text or a number"),
        (object(), "is object; write a text or a number"),
        (
            2.0**53 + 2,
            "is the float 9007199254740994.0, and floats of this size are not exact; read it as text",
        ),
        (float("inf"), "is the float inf"),
        (Decimal("Infinity"), "is missing"),
        ("\u200b", "is blank"),
    ],
)
def test_keys_that_may_change_are_problems(key: Any, words: str) -> None:
    """A key whose text is not the same in every kernel, or not what was written, is refused."""
    (line,) = refusal([key])
    assert words in line


def test_own_ids_do_not_excuse_a_key() -> None:
    """With `key`, each row needs one, its own ClientId or not."""
    with pytest.raises(InvalidRequest, match="row 0: It has no key"):
        ids([{"amount_sat": 5, "client_id": "mine", "order": None}], "order")


def test_repeated_ids_are_problems() -> None:
    """The later of two rows with one ClientId is the problem, and a made id counts too."""
    rows = [
        {"amount_sat": 5, "client_id": name} for name in ("a", None, "a", client_id("batch", "b", 1), "A")
    ]
    with pytest.raises(InvalidRequest) as caught:
        ids(rows)
    _, second, third = str(caught.value).splitlines()
    assert second.startswith("row 2: It has the client_id 'a' of row 0; ")
    assert third.startswith("row 3: It has the client_id ")
    assert "of row 1; " in third


@pytest.mark.parametrize("key", ["order_no", "Order No", "ORDER-NO", "orderno"])
def test_key_columns_are_forgiven(key: str) -> None:
    """The column of keys is found as the known columns are, and by a known column's own name too."""
    expected = [client_id("batch", "b", "key", "A")]
    assert ids([{"amount_sat": 5, "Order No": "A"}], key) == expected
    assert ids([{"amount_sat": 5, " Memo ": "A"}], " Memo ") == expected


def test_exact_names_come_first() -> None:
    """Of columns that are alike, the one with exactly that name holds the keys."""
    rows = [{"amount_sat": 5, "Order No": "A", "order_no": "B"}]
    assert ids(rows, "order_no") == [client_id("batch", "b", "key", "B")]
    with pytest.raises(InvalidRequest, match="More than one column is named 'orderno'"):
        ids(rows, "orderno")


@pytest.mark.parametrize("key", ["invoice", "", 5])
def test_unknown_key_columns_are_refused(key: Any) -> None:
    """A column that is not there is refused, with those that are."""
    with pytest.raises(InvalidRequest) as caught:
        ids([{"amount_sat": 5, "order": "A"}], key)
    assert str(caught.value) == (
        f"No column is named {key!r}; write key= with the name of one of these: 'amount_sat', 'order'."
    )
