"""The data of one subject as typed columns: nothing lost, nothing rounded unasked, whatever the hub sends."""

from __future__ import annotations

import itertools
import json
import math
import re
import subprocess
import sys
import time
from datetime import UTC, datetime
from decimal import Decimal, localcontext
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pandas.testing import assert_frame_equal, assert_series_equal

import hercle_nb as hercle
from hercle_nb.errors import InvalidRequest
from hercle_nb.events import COMMAND, CONNECTION, EVENT, Content
from hercle_nb.expansion import expand, subjects
from hercle_nb.invoices import parse_time
from hercle_nb.log import EventLog

if TYPE_CHECKING:
    from collections.abc import Iterator

TEXT = pd.StringDtype("python", na_value=np.nan)
TIME = pd.DatetimeTZDtype("us", "UTC")
HEAD = {"received_at": TIME, "connection": np.dtype("int32")}
BIG = 2**53 + 1  # no float tells it from 2**53


def frame_of(*contents: Any, subject: str | None = "s", kind: str = EVENT) -> pd.DataFrame:
    """Return the frame of a log with one row for each content, the n-th over connection n."""
    log = EventLog()
    for number, content in enumerate(contents):
        log.append("{}", number + 1, kind, Content(subject=subject, data=content))
    return log.frame()


def column(*values: Any, key: str = "x", numbers: Any = "float") -> pd.Series:
    """Return the column of events with these values under one key; `...` for an event without it."""
    contents = [{} if value is ... else {key: value} for value in values]
    return expand(frame_of(*contents), "s", numbers)[key]


def check_head(frame: pd.DataFrame) -> None:
    """Fail unless the index and the first two columns are those of every result."""
    assert (frame.index.name, frame.index.dtype) == ("seq", np.dtype("int64"))
    assert dict(itertools.islice(frame.dtypes.items(), 2)) == HEAD


def test_price_feed() -> None:
    """Prices are float64 or Decimal, times UTC, integers and texts what they are, in the data's order."""
    price = {
        "id": 7,
        "buyPrice": Decimal("64123.770"),
        "pair": "BTCUSDT",
        "deleted": False,
        "timestamp": "2026-11-22T10:11:12.1234567Z",
    }
    events = frame_of(price, price)
    frame = expand(events, "s")
    assert frame.dtypes.to_dict() == HEAD | {
        "id": np.dtype("int64"),
        "buyPrice": np.dtype("float64"),
        "pair": TEXT,
        "deleted": np.dtype("bool"),
        "timestamp": TIME,
    }
    check_head(frame)
    assert frame.index.tolist() == [0, 1]
    assert frame["connection"].tolist() == [1, 2]
    assert frame["received_at"].tolist() == events["received_at"].tolist()
    assert frame.loc[0].tolist()[2:] == [
        *(7, 64123.77, "BTCUSDT", False),
        pd.Timestamp("2026-11-22T10:11:12.123456Z"),
    ]
    exact = expand(events, "s", "decimal")
    assert str(exact.at[1, "buyPrice"]) == "64123.770"
    assert_frame_equal(frame.drop(columns="buyPrice"), exact.drop(columns="buyPrice"))


def test_which_rows() -> None:
    """Only events with exactly that subject are taken, under the seq that they have in the log."""
    log = EventLog()
    rows = [(EVENT, "s"), (COMMAND, "s"), (EVENT, None), (EVENT, "s.t"), (CONNECTION, "s"), (EVENT, "s")]
    for number, (kind, subject) in enumerate(rows):
        log.append("{}", 1, kind, Content(subject=subject, data={"n": number}))
    frame = expand(log.frame(), "s")
    assert frame["n"].tolist() == frame.index.tolist() == [0, 5]
    assert expand(log.frame().iloc[3:], "s").index.tolist() == [5]
    for other in ("S", "s.", "", "*", "nan"):
        assert len(expand(log.frame(), other)) == 0


@pytest.mark.parametrize(
    "events",
    [EventLog().frame(), frame_of({"a": 1}, kind=COMMAND), frame_of(5, subject=None), frame_of([], [])],
    ids=["empty log", "command", "no subject", "empty arrays"],
)
def test_no_rows(events: pd.DataFrame) -> None:
    """Where there is nothing to show, the two columns that always are there have their dtypes."""
    for numbers in ("float", "decimal"):
        frame = expand(events, "s", numbers)
        check_head(frame)
        assert frame.shape == (0, 2)


def test_data_without_keys() -> None:
    """Events whose objects are empty are rows all the same."""
    frame = expand(frame_of({}, {}), "s")
    check_head(frame)
    assert frame.shape == (2, 2)


def test_refused_arguments() -> None:
    """A wrong word for numbers and a subject that is no text are refused, with what may stand there."""
    events = frame_of({"a": 1})
    for numbers in ("Decimal", "", None, ["float"]):
        with pytest.raises(InvalidRequest, match='"float" or "decimal"'):
            expand(events, "s", numbers)
    for subject in (None, 5, math.nan, ["s"]):
        with pytest.raises(InvalidRequest, match="must be a text"):
            expand(events, subject)


INTEGERS = [0, -1, BIG, -BIG, 2**63 - 1, -(2**63)]


@pytest.mark.parametrize("number", INTEGERS)
@pytest.mark.parametrize("numbers", ["float", "decimal"])
def test_integers(number: int, numbers: str) -> None:
    """An integer of 64 bits is exact, also where other rows lack the key."""
    whole = column(number, 3, numbers=numbers)
    assert (whole.dtype, whole.tolist()) == (np.dtype("int64"), [number, 3])
    for gap in (None, ...):
        partly = column(gap, number, gap, 3, numbers=numbers)
        assert (str(partly.dtype), partly.tolist()) == ("Int64", [pd.NA, number, pd.NA, 3])


@pytest.mark.parametrize("number", [2**63, -(2**63) - 1, 2**64 - 1, 2**64, 10**400])
@pytest.mark.parametrize("numbers", ["float", "decimal"])
def test_integers_beyond_64_bits(number: int, numbers: str) -> None:
    """A larger integer is exact too, and the whole column Python's integers."""
    for others in ([0], [-1], [0, 2**63]):
        assert column(*others, number, numbers=numbers).tolist() == [*others, number]
        assert column(None, *others, number, numbers=numbers).tolist() == [pd.NA, *others, number]
    large = column(number, ..., 3, numbers=numbers)
    assert (large.dtype, large.tolist()) == (np.dtype("object"), [number, pd.NA, 3])
    assert type(large[2]) is int


def test_decimals_as_floats() -> None:
    """A column with a fraction is float64, the nearest to each number, and NaN where it is missing."""
    prices = column(Decimal("0.1"), 3, None, BIG, Decimal("1E-400"))
    assert prices.dtype == np.dtype("float64")
    assert prices.tolist()[:2] + prices.tolist()[3:] == [0.1, 3.0, float(BIG), 0.0]
    assert math.isnan(prices[2])


def test_decimals_as_they_are() -> None:
    """A column with a fraction is Decimal to the last digit, integers too, and NA where it is missing."""
    prices = column(Decimal("0.10"), BIG, None, Decimal("1E+400"), 10**50, numbers="decimal")
    assert prices.dtype == np.dtype("object")
    expected = [Decimal("0.10"), Decimal(BIG), pd.NA, Decimal("1E+400"), Decimal(10**50)]
    assert list(map(str, prices)) == list(map(str, expected))
    prices = column(Decimal("0.30"), Decimal("0.1"), None, numbers="decimal")
    assert prices.diff().tolist()[1] == Decimal("-0.20")
    assert prices.abs().sum() == Decimal("0.40")


@pytest.mark.parametrize(
    "beyond", [Decimal("1E+400"), Decimal("-1.8E+308"), Decimal("1E+999999999999"), 10**400]
)
def test_numbers_beyond_floats(beyond: Any) -> None:
    """A column with a finite number that a float would call infinite stays Decimal."""
    prices = column(Decimal("0.5"), 3, None, beyond)
    assert prices.dtype == np.dtype("object")
    assert prices.tolist() == [Decimal("0.5"), Decimal(3), pd.NA, Decimal(beyond)]


def test_odd_floats() -> None:
    """NaN and Infinity, which Python's JSON knows, are numbers, and infinity is no lie there."""
    odd = column(math.inf, Decimal("0.5"), 3, -math.inf, math.nan, None)
    assert odd.dtype == np.dtype("float64")
    assert odd.tolist()[:4] == [math.inf, 0.5, 3.0, -math.inf]
    assert odd.isna().tolist() == [False] * 4 + [True] * 2
    odd = column(math.inf, 0.1, 3, math.nan, None, numbers="decimal")
    assert odd.tolist()[:3] == [Decimal("Infinity"), Decimal("0.1"), Decimal(3)]
    assert (str(odd[3]), odd[4]) == ("NaN", pd.NA)
    kept = column(1_700_000_000_000, math.nan, key="timestamp")
    assert kept.dtype == np.dtype("float64")


@pytest.mark.parametrize("numbers", ["float", "decimal"])
def test_other_columns(numbers: str) -> None:
    """Truth values, texts, mixtures and nothing at all each have their dtype and their way to be missing."""
    assert column(True, False, numbers=numbers).dtype == np.dtype("bool")
    partly = column(True, None, ..., numbers=numbers)
    assert (str(partly.dtype), partly.tolist()) == ("boolean", [True, pd.NA, pd.NA])
    texts = column("a", "", "\ud800", ..., numbers=numbers)
    assert (texts.dtype, texts.tolist()[:3], texts.isna()[3]) == (TEXT, ["a", "", "\ud800"], True)
    nothing = column(None, None, numbers=numbers)
    assert (nothing.dtype, nothing.tolist()) == (np.dtype("object"), [None, None])
    mixtures = [(True, 1), (1, "1"), ("a", Decimal("0.5")), ([], [1, [2]]), ({}, ["a"]), ([1, 2], [3, 4])]
    for mixture in mixtures:
        mixed = column(*mixture, None, ..., numbers=numbers)
        assert (mixed.dtype, mixed.tolist()) == (np.dtype("object"), [*mixture, None, None])
        assert [type(value) for value in mixed] == [*map(type, mixture), type(None), type(None)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2026-11-22T10:11:12Z", "2026-11-22T10:11:12Z"),
        ("2026-11-22T10:11:12.1Z", "2026-11-22T10:11:12.1Z"),
        ("2026-11-22T10:11:12.1234567Z", "2026-11-22T10:11:12.123456Z"),
        ("2026-11-22T10:11:12.123456789012+02:00", "2026-11-22T08:11:12.123456Z"),
        ("2026-11-22T00:30:00-03:30", "2026-11-22T04:00:00Z"),
        ("2026-11-22 10:11:12+00:00", "2026-11-22T10:11:12Z"),
        ("2026-11-22T10:11Z", "2026-11-22T10:11:00Z"),
        ("0001-01-01T00:00:00Z", "0001-01-01T00:00:00Z"),
        ("9999-12-31T23:59:59.9999999Z", "9999-12-31T23:59:59.999999Z"),
    ],
)
def test_times_as_texts(text: str, expected: str) -> None:
    """A column of ISO 8601 times with a zone is UTC, whatever its key is, cut to microseconds."""
    for key in ("timestamp", "createdAt", "memo"):
        times = column(text, None, "2026-11-22T10:11:12Z", key=key)
        assert times.dtype == TIME
        assert times[0].to_pydatetime() == datetime.fromisoformat(expected)
        assert times[1] is pd.NaT


def test_times_without_zone() -> None:
    """A time without a zone is UTC where the key names a time, as everywhere here, and else a text."""
    text = "2026-11-22T10:11:12.1234567"
    for key in ("timestamp", "At", "expiresAt"):
        times = column(text, "2026-11-22T12:00:00+01:00", key=key)
        assert times.tolist() == [parse_time(text), datetime(2026, 11, 22, 11, tzinfo=UTC)]
    for key in ("Timestamp", "at", "expiresat", "format", "timestamp2"):
        assert column(text, "2026-11-22T12:00:00+01:00", key=key).dtype == TEXT


@pytest.mark.parametrize(
    "text",
    [
        *("", "T", "now", "2026-11-22", "20261122", "1712111010203", "1700000000000", "2026-11-22T"),
        *(
            "2026-13-22T10:00:00Z",
            "2026-11-22T10:00:60Z",
            "2026-11-22T10:00:00z ",
            "\ud800",
            "2026-11-22\ud80010",
        ),
        *("0001-01-01T00:00:00+02:00", "9999-12-31T23:59:59-02:00", "10000-01-01T00:00:00Z"),
    ],
)
def test_texts_that_are_no_times(text: str) -> None:
    """One text that is no time, or one outside the years 1 to 9999, and the column stays text."""
    for key in ("timestamp", "createdAt", "memo"):
        kept = column("2026-11-22T10:11:12Z", text, None, key=key)
        assert (kept.dtype, kept.tolist()[:2]) == (TEXT, ["2026-11-22T10:11:12Z", text])


@pytest.mark.parametrize("key", ["timestamp", "createdAt"])
def test_epoch_milliseconds(key: str) -> None:
    """Numbers under a key that names a time are milliseconds since 1970, to the microsecond."""
    first, last = -62_135_596_800_000, 253_402_300_799_999
    for numbers in ("float", "decimal"):
        times = column(1_700_000_000_123, 0, None, -1, first, last, key=key, numbers=numbers)
        assert times.dtype == TIME
        stamps = [1_700_000_000_123_000, 0, -1_000, first * 1000, last * 1000]
        assert times.dropna().array.asi8.tolist() == stamps
        assert times[2] is pd.NaT
        times = column(Decimal("1700000000000.0019999"), 5, Decimal("1.7E+12"), key=key, numbers=numbers)
        assert times.array.asi8.tolist() == [1_700_000_000_000_001, 5_000, 1_700_000_000_000_000]
    nested = expand(frame_of({"a": {key: 0}, "x": 0}), "s")
    assert nested.dtypes.to_dict() == HEAD | {f"a.{key}": TIME, "x": np.dtype("int64")}


def test_epoch_beyond_the_calendar() -> None:
    """Numbers that are no time of the years 1 to 9999 stay numbers, and take no time to find out."""
    for number in (-62_135_596_800_001, 253_402_300_800_000, 2**63 - 1):
        assert column(number, 0, key="timestamp").dtype == np.dtype("int64")
    assert column(10**4000, 0, key="timestamp").tolist() == [10**4000, 0]
    for exponent in ("1E+999999999", "1E+17"):
        kept = column(Decimal(exponent), 0, key="timestamp", numbers="decimal")
        assert kept.tolist() == [Decimal(exponent), Decimal(0)]
    assert column(Decimal("1E-999999999"), key="timestamp").tolist() == [datetime(1970, 1, 1, tzinfo=UTC)]
    assert column(True, key="timestamp").dtype == np.dtype("bool")
    assert column(0, "2026-11-22T10:11:12Z", key="timestamp").tolist() == [0, "2026-11-22T10:11:12Z"]


def test_callers_decimal_context() -> None:
    """However few digits the notebook calculates with, numbers and times are exact."""
    number, stamp = Decimal("64123.770001"), Decimal("1700000000123.5")
    with localcontext(prec=3):
        assert str(column(number, 12345, numbers="decimal")[0]) == "64123.770001"
        assert column(12345, number, numbers="decimal")[0] == Decimal("12345")
        assert column(number)[0] == 64123.770001
        assert column(stamp, key="timestamp").array.asi8.tolist() == [1_700_000_000_123_500]


def test_nested_objects() -> None:
    """Objects in objects have dotted names where they stand, empty ones and lists stay as they are."""
    first = {"a": 1, "limits": {"daily": {"max": 5}, "of": []}, "z": {}}
    second = {"limits": {"daily": 9, "new": True}, "a": 2, "late": None}
    frame = expand(frame_of(first, second, {"limits": None}), "s")
    assert list(frame.columns[2:]) == [
        *("a", "limits.daily", "limits.daily.max", "limits.of", "limits.new", "z", "late")
    ]
    assert frame["limits.daily"].tolist() == [pd.NA, 9, pd.NA]
    assert frame["limits.daily.max"].tolist() == [5, pd.NA, pd.NA]
    assert frame["limits.of"].tolist() == [[], None, None]
    assert frame["z"].tolist() == [{}, None, None]
    assert frame["late"].tolist() == [None, None, None]


def test_arrays() -> None:
    """An array gives a row for each element under the seq of its event; what has no keys is in `value`."""
    events = frame_of([{"a": 1}, {"a": 2, "b": {"c": "x"}}], [], "text", [5, None, [6]], {"a": 3}, None)
    frame = expand(events, "s")
    check_head(frame)
    assert frame.index.tolist() == [0, 0, 2, 3, 3, 3, 4, 5]
    assert frame["connection"].tolist() == [1, 1, 3, 4, 4, 4, 5, 6]
    assert frame["received_at"].tolist() == events["received_at"].take(frame.index).tolist()
    assert list(frame.columns[2:]) == ["a", "b.c", "value"]
    assert frame["a"].dropna().tolist() == [1, 2, 3]
    assert frame["value"].tolist() == [None, None, "text", 5, None, [6], None, None]
    assert expand(frame_of([[1], [2]], [0]), "s")["value"].tolist() == [[1], [2], 0]
    assert expand(frame_of(Decimal("0.5"), [3]), "s")["value"].tolist() == [0.5, 3.0]


HOSTILE = [
    "",
    ".",
    "a.b",
    "received_at",
    "connection",
    "seq",
    "é😀",
    "\ud800",
    "\x00",
    "data",
    " ",
    "0",
    "value",
]


def test_hostile_keys() -> None:
    """Any text can be a key, and none hides the columns that are always there or the index."""
    content = {key: number for number, key in enumerate(HOSTILE)}
    frame = expand(frame_of(content, {**content, "nested": content}), "s")
    check_head(frame)
    clashing = ("received_at", "connection", "seq")
    names = [f"data.{key}" if key in clashing else key for key in HOSTILE]
    assert list(frame.columns[2:]) == [*names, *(f"nested.{key}" for key in HOSTILE)]
    for number, name in enumerate(names):
        assert frame[name].tolist() == [number, number]
    assert frame.reset_index()["seq"].tolist() == [0, 1]


def test_names_that_meet() -> None:
    """Two paths with the same dotted name are two columns, whichever comes first and in whatever row."""
    one, other = {"a.b": 1, "a": {"b": 2}}, {"a": {"b": 4}, "a.b": 3}
    assert expand(frame_of(one, other), "s").iloc[:, 2:].to_dict("list") == {
        "a.b": [1, 3],
        "data.a.b": [2, 4],
    }
    assert expand(frame_of(other, one), "s").iloc[:, 2:].to_dict("list") == {
        "a.b": [4, 2],
        "data.a.b": [3, 1],
    }
    apart = expand(frame_of({"a.b": 1}, {"a": {"b": 2}}), "s")
    assert apart["a.b"].tolist() + apart["data.a.b"].tolist() == [1, pd.NA, pd.NA, 2]
    thrice = {"received_at": 1, "data.received_at": 2, "data": {"received_at": 3}}
    names = ["data.received_at", "data.data.received_at", "data.data.data.received_at"]
    assert expand(frame_of(thrice), "s").iloc[0, 2:].to_dict() == dict(zip(names, [1, 2, 3], strict=True))


def test_depth() -> None:
    """However deep objects and arrays are nested, nothing raises and the innermost value is there."""
    raw = json.dumps({"subject": "s", "data": "D"}).replace('"D"', '{"a":' * 900 + "[1]" + "}" * 900)
    log = EventLog()
    log.append(f'{{"type":1,"target":"t","arguments":[{raw}]}}', 1)
    assert expand(log.frame(), "s")[".".join("a" * 900)].tolist() == [[1]]
    deep: Any = "bottom"
    for level in range(5_000):
        deep = {"a": deep, "b": level} if level % 100 == 0 else {"a": deep}
    frame = expand(frame_of({"a": 1}, deep, {}), "s")
    assert frame.shape == (3, 2 + 1 + 1 + 50)
    assert frame[".".join("a" * 5_000)].tolist()[1] == "bottom"
    for _ in range(5_000):
        deep = [deep]
    assert len(expand(frame_of(deep), "s")) == 1


KEYS = st.sampled_from(["a", "b", "a.b", "timestamp", "seenAt", "received_at", "data.received_at", "seq", ""])
NUMBERS = (
    st.sampled_from([*INTEGERS, 2**63, 10**400, 1_700_000_000_123, math.inf, math.nan])
    | st.sampled_from([Decimal("1E+400"), Decimal("1700000000123.4567"), Decimal("0.10")])
    | st.integers()
    | st.decimals(-(10**20), 10**20)
)
TEXTS = (
    st.sampled_from(["2026-11-22T10:11:12.1234567Z", "2026-11-22T10:11:12+02:00", "0001-01-01T00:00+02:00"])
    | st.sampled_from(["2026-11-22T10:11:12", "2026-11-22", "1712111010203", "\ud800"])
    | st.text(max_size=5)
)
SCALARS = st.none() | st.booleans() | NUMBERS | TEXTS
CONTENTS = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=4),
    max_leaves=12,
)
KINDS = [
    st.booleans(),
    st.integers() | st.sampled_from([*INTEGERS, 2**63, 2**64 - 1]),
    st.integers() | st.decimals(-(10**20), 10**20),
    NUMBERS,
    st.datetimes(timezones=st.just(UTC)).map(datetime.isoformat),
    TEXTS,
    SCALARS,
]
ALIKE = st.sampled_from(KINDS).flatmap(
    lambda values: st.lists(st.dictionaries(KEYS, values | st.none(), max_size=4), max_size=6)
)


def paths(objects: list[Any], path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """Yield the paths to what is no object with keys, in order of first appearance."""
    for key in dict.fromkeys(key for item in objects for key in item):
        values = [item[key] for item in objects if key in item]
        inner = [value for value in values if isinstance(value, dict) and value]
        if not inner or any(value is not None and value not in inner for value in values):
            yield (*path, key)
        yield from paths(inner, (*path, key))


def value_at(item: Any, path: tuple[str, ...]) -> Any:
    """Return what is at a path, None where there is nothing or an object with keys."""
    for key in path:
        item = item.get(key) if isinstance(item, dict) else None
    return None if isinstance(item, dict) and item else item


def time_of(value: Any, dated: bool) -> pd.Timestamp | None:
    """Return the time that a value tells, if it tells one."""
    if isinstance(value, str):
        form = r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d(:\d\d(\.\d+)?)?" + (
            r"(Z|[+-]\d\d:\d\d)?" if dated else "(Z|[+-].*)"
        )
        return pd.Timestamp(parse_time(value)) if re.fullmatch(form, value) and parse_time(value) else None
    if not dated or not -(10**14) < value < 10**15:
        return None
    microseconds = math.trunc(Fraction(value) * 1000)
    inside = -62_135_596_800_000_000 <= microseconds < 253_402_300_800_000_000
    return pd.Timestamp(microseconds, unit="us", tz="UTC") if inside else None


def modelled(values: list[Any], key: str, numbers: str) -> tuple[str, list[Any]]:
    """Return the dtype and the cells that a column must have."""
    present = [value for value in values if value is not None]
    kinds = set(map(type, present))
    dated = key == "timestamp" or key.endswith("At")

    def cells(missing: Any, change: Any = lambda value: value) -> list[Any]:
        return [missing if value is None else change(value) for value in values]

    if kinds and (kinds == {str} or kinds <= {int, Decimal}):
        times = [time_of(value, dated) for value in present]
        if None not in times:
            return "datetime64[us, UTC]", cells(pd.NaT, lambda value: time_of(value, dated))
    if kinds == {str}:
        return "str", cells(math.nan)
    if kinds == {bool}:
        return ("boolean" if None in values else "bool"), cells(pd.NA)
    if kinds == {int}:
        if all(-(2**63) <= value < 2**63 for value in present):
            return ("Int64" if None in values else "int64"), cells(pd.NA)
        return "object", cells(pd.NA)
    if kinds and kinds <= {int, float, Decimal}:
        beyond = any(type(value) is not float and not -(10**308) < value < 10**308 for value in present)
        if numbers == "float" and not beyond:
            return "float64", cells(math.nan, float)
        return "object", cells(pd.NA, lambda value: Decimal(str(value) if type(value) is float else value))
    return "object", cells(None)


@given(contents=st.lists(CONTENTS, max_size=6) | ALIKE, numbers=st.sampled_from(["float", "decimal"]))
@settings(max_examples=500, deadline=None)
def test_any_data(contents: list[Any], numbers: Any) -> None:
    """Rows, columns, dtypes and cells are those of a slow and obvious model, and the data stays as it was."""
    before = repr(contents)
    frame = expand(frame_of(*contents), "s", numbers)
    assert repr(contents) == before
    check_head(frame)
    rows = [
        (seq, row if isinstance(row, dict) else {"value": row})
        for seq, content in enumerate(contents)
        for row in (content if isinstance(content, list) else [content])
    ]
    assert frame.index.tolist() == [seq for seq, _ in rows]
    names = ["received_at", "connection"]
    for path in paths([row for _, row in rows]):
        name = ".".join(path)
        while name in (*names, "seq"):
            name = "data." + name
        names.append(name)
        dtype, cells = modelled([value_at(row, path) for _, row in rows], path[-1], numbers)
        assert (str(frame[name].dtype), repr(frame[name].tolist())) == (dtype, repr(cells))
    assert list(frame.columns) == names


def test_results_are_ones_own() -> None:
    """Writing to a result changes neither the events nor the next result."""
    events = frame_of({"a": 1, "b": "x"}, {"a": 2})
    copied, first = events.copy(deep=True), expand(events, "s")
    untouched = first.copy(deep=True)
    first.loc[0, "a"] = 9
    first["connection"] = 9
    first.loc[:, "received_at"] = pd.Timestamp(0, tz="UTC")
    assert_frame_equal(events, copied)
    assert_frame_equal(expand(events, "s"), untouched)


WITHOUT_ARROW = """
import sys
{hide}
import hercle_nb.expansion as expansion
from tests.test_expansion import HOSTILE, frame_of
import pandas as pd
assert pd.array(["a"]).dtype.storage == {storage!r}
frame = expansion.expand(frame_of({{**dict.fromkeys(HOSTILE, "\\ud800"), "n": 1}}, {{"x": None}}), "s")
print(ascii([repr(frame.dtypes.tolist()), repr(frame.columns), frame.iloc[:, 1:].to_dict()]))
print(repr(expansion.subjects(frame_of(1)).index))
"""


def test_without_arrow() -> None:
    """A result is the same whether pyarrow is installed or not."""
    pytest.importorskip("pyarrow")
    outputs = [
        subprocess.run(
            [sys.executable, "-c", WITHOUT_ARROW.format(hide=hide, storage=storage)],
            capture_output=True,
            text=True,
            check=True,
            cwd=Path(__file__).parent.parent,
        ).stdout
        for hide, storage in [("", "pyarrow"), ("sys.modules['pyarrow'] = None", "python")]
    ]
    assert outputs[0] == outputs[1] != ""


def test_subjects() -> None:
    """Subjects are counted over events alone, the most frequent first and then by name."""
    log = EventLog()
    for subject in ("b", "c", None, "\ud800", "c", "a", "c", "b"):
        log.append("{}", 1, EVENT, Content(subject=subject))
    log.append("{}", 1, COMMAND, Content(subject="command"))
    log.append(None, 1, CONNECTION, Content(subject="connection.lost"))
    index = pd.Index(["c", "b", "a", "\ud800"], dtype=TEXT, name="subject")
    assert_series_equal(subjects(log.frame()), pd.Series([3, 2, 1, 1], index, dtype="int64", name="events"))
    none = subjects(EventLog().frame())
    assert (len(none), none.dtype, none.index.dtype, none.index.name) == (
        0,
        np.dtype("int64"),
        TEXT,
        "subject",
    )


def test_simulators_events() -> None:
    """A live price feed resamples as it is, and the hub's snapshots are typed, each invoice a row."""
    with hercle.connect("simulator") as hub:
        hub.invoke("SubscribePairPriceChannel", "id", "BTCUSDT", 1)
        for memo in ("one", "two"):
            hub.create_invoice(0.001, memo, 24)
        hub.command("GetBalances")
        hub.command("GetLightningInvoices")
        deadline = time.monotonic() + 10
        while (counts := subjects(hub.events)).get("execution.feeds.priceUpdate", 0) < 5:
            assert time.monotonic() < deadline, "no prices"
            time.sleep(0.02)
        events = hub.events
    prices = expand(events, "execution.feeds.priceUpdate")
    check_head(prices)
    assert len(prices) >= counts["execution.feeds.priceUpdate"]
    assert {
        name: str(prices[name].dtype) for name in ("buyPrice", "sellPrice", "markPrice", "timestamp", "pair")
    } == {
        **dict.fromkeys(("buyPrice", "sellPrice", "markPrice"), "float64"),
        "timestamp": "datetime64[us, UTC]",
        "pair": "str",
    }
    bars = prices.resample("1s", on="received_at")["markPrice"].ohlc()
    assert bars["high"].max() == prices["markPrice"].max()
    assert prices.set_index("timestamp")["markPrice"].rolling("1s").mean().notna().all()
    exact = expand(events, "execution.feeds.priceUpdate", "decimal")
    sent = [data["markPrice"] for data in events.loc[exact.index, "data"]]
    assert list(map(str, exact["markPrice"])) == list(map(str, sent))
    balances = expand(events, "account.balances.snapshot")
    assert balances["assets"].iloc[0][0]["name"] == "BTC"
    assert balances[["sequence", "deleted"]].dtypes.tolist() == [np.dtype("int64"), np.dtype("bool")]
    invoices = expand(events, "lightspark.invoices.snapshot")
    assert invoices["memo"].tolist() == ["one", "two"]
    assert invoices.index.nunique() == 1
    assert invoices[["createdAt", "expiresAt"]].dtypes.tolist() == [TIME, TIME]
    assert (invoices["expiresAt"] - invoices["createdAt"] == pd.Timedelta(hours=24)).all()
