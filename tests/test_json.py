"""JSON: what goes out is what the cell holds, digit for digit, and what comes in is never rounded."""

from __future__ import annotations

import contextlib
import json
from datetime import datetime
from decimal import Decimal, localcontext
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hercle_nb._json import decode, encode
from hercle_nb.errors import InvalidRequest

TEXTS = st.text(st.characters(exclude_categories=["Cs"]))
SCALARS = (
    st.none() | st.booleans() | st.integers() | TEXTS | st.decimals(allow_nan=False, allow_infinity=False)
)
VALUES = st.recursive(SCALARS, lambda inner: st.lists(inner) | st.dictionaries(TEXTS, inner), max_leaves=20)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "null"),
        (True, "true"),
        (24, "24"),
        (0.001, "0.001"),
        (1e-8, "0.00000001"),
        (1e22, "10000000000000000000000"),
        (5.0, "5.0"),
        (Decimal("1E-11"), "0.00000000001"),
        (Decimal("1E+3"), "1000"),
        (Decimal("0.00100"), "0.00100"),
        (Decimal("20999999.99999999999"), "20999999.99999999999"),
        (np.float64(0.001), "0.001"),
        (np.int64(24), "24"),
        (np.bool_(True), "true"),
        (np.array([1, 2]), "[1,2]"),
        (np.str_("a"), '"a"'),
        ('"\\\n\x00', '"\\"\\\\\\n\\u0000"'),
        ("é😀\u2028", '"é😀\u2028"'),
        (("a", [1, {}], {}), '["a",[1,{}],{}]'),
        ({"a": 0.1, 5: None}, '{"a":0.1,"5":null}'),
        pytest.param(10**5_000, f"1{'0' * 5_000}", id="5001 digits"),
        pytest.param(-(2**14_000), "-" + str(Decimal(2**14_000)), id="4215 digits"),
    ],
)
def test_encode(value: Any, text: str) -> None:
    """Values of Python and numpy are written compactly, numbers plainly and without exponent."""
    assert encode(value) == text


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (float("nan"), "NaN cannot be sent; write a finite number, or None"),
        (float("-inf"), "-Infinity cannot be sent"),
        (Decimal("sNaN"), "sNaN cannot be sent"),
        (np.float64("nan"), "NaN cannot be sent"),
        ([1, {"a": float("nan")}], "NaN cannot be sent"),
        ("\ud800", "half a character"),
        ({"\udfff": 1}, "half a character"),
        (b"x", "bytes cannot be sent; write numbers, texts, None, or lists and dicts of them"),
        (1j, "complex cannot be sent"),
        (Fraction(1, 3), "Fraction cannot be sent"),
        (datetime(2026, 11, 22), "datetime cannot be sent"),  # noqa: DTZ001
        (np.datetime64("2026-11-22"), "date cannot be sent"),
        (np.longdouble(1), "longdouble cannot be sent"),
        (np.array([np.longdouble(1)]), "longdouble cannot be sent"),
        ({1, 2}, "set cannot be sent"),
        (object, "type cannot be sent"),
    ],
)
def test_encode_refuses(value: Any, words: str) -> None:
    """What JSON has no form for is refused with what to write, wherever it stands."""
    with pytest.raises(InvalidRequest, match=words):
        encode(value)


@given(VALUES)
def test_encode_is_json_and_exact(value: Any) -> None:
    """What is written is valid JSON for any reader, and reading it gives the equal value back."""
    text = encode(value)
    json.loads(text, parse_constant=pytest.fail)
    assert decode(text) == value


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_floats_keep_their_digits(number: float) -> None:
    """A float goes out as its shortest text, and as no other number."""
    assert float(encode(number)) == number
    assert Decimal(encode(number)) == Decimal(repr(number))
    assert encode(np.float64(number)) == encode(number)


def test_hostile_decimal_context() -> None:
    """A decimal context of three digits changes neither what is written nor what is read."""
    with localcontext(prec=3):
        assert encode(Decimal("12345.678901")) == "12345.678901"
        assert encode(12345.678901) == "12345.678901"
        assert str(decode("12345.678901")) == "12345.678901"


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("0.1", Decimal("0.1")),
        ("1e3", Decimal("1E+3")),
        ("1e-999999", Decimal("1E-999999")),
        ("12345678901234567890.123456789", Decimal("12345678901234567890.123456789")),
        ("123456789012345678901", 123456789012345678901),
        ("[Infinity,-Infinity]", [float("inf"), float("-inf")]),
        ('"\\ud800"', "\ud800"),
        (' {"a": 1, "a": 2}\n', {"a": 2}),
        pytest.param("9" * 4_300, int("9" * 4_300), id="4300 digits"),
        pytest.param("9" * 10_000, Decimal("9" * 10_000), id="10000 digits"),
        pytest.param("-" + "9" * 4_300, -int("9" * 4_300), id="-4300 digits"),
    ],
)
def test_decode(text: str, value: Any) -> None:
    """Fractional numbers become Decimals and integers stay exact at any size."""
    assert decode(text) == value


@pytest.mark.parametrize(
    "text",
    [
        *("", " ", "{", "[1,]", "{'a':1}", "nul", "0x1", "01", "\ufeff1", "1 2", '"a', '"\n"'),
        *("1e1000000000000000000", "-1.5e-9999999999999999999999", '{"a":[0e99999999999999999999]}'),
        pytest.param("[" * 100_000, id="deep list"),
        pytest.param('{"a":' * 100_000, id="deep object"),
        pytest.param("[" * 100_000 + "]" * 100_000, id="deep and closed"),
    ],
)
def test_decode_refuses(text: str) -> None:
    """What is no JSON, nested too deeply or beyond any Decimal is a ValueError and nothing else."""
    with pytest.raises(ValueError):  # noqa: PT011  # any: the caller tells them apart by nothing
        decode(text)


@given(st.text())
def test_decode_of_any_text(text: str) -> None:
    """Any text is a value or a ValueError."""
    with contextlib.suppress(ValueError):
        decode(text)
