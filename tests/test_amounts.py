"""Amounts: what a cell may hold, what is refused and with which words, and that nothing is ever rounded."""

from __future__ import annotations

import re
from decimal import Context, Decimal, FloatOperation, Inexact, localcontext
from fractions import Fraction
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from hercle_nb import _json, amounts
from hercle_nb.amounts import (
    btc_to_msat,
    format_btc,
    format_sat,
    msat_to_btc,
    msat_to_sat,
    sat_to_msat,
    to_sat,
)
from hercle_nb.errors import InvalidRequest

MAX_SAT = 21_000_000 * 10**8
MAX_MSAT = MAX_SAT * 1_000
SATS = st.integers(1, MAX_SAT)
MSATS = st.integers(1, MAX_MSAT)


def plain(msat: int) -> str:
    """Write an amount in BTC with all of its eleven places."""
    return f"{msat // 10**11}.{msat % 10**11:011d}"


@pytest.mark.parametrize(
    ("value", "msat"),
    [
        (0.001, 100_000_000),
        ("0.001", 100_000_000),
        (Decimal("0.00100"), 100_000_000),
        (Decimal("1E-3"), 100_000_000),
        (1, 10**11),
        (21_000_000, MAX_MSAT),
        (1e-8, 1_000),
        (0.1, 10**10),
        ("007.50", 750 * 10**9),
        ("1.0000000000000000000", 10**11),
        (np.float64(0.001), 100_000_000),
        (np.int64(2), 2 * 10**11),
        (np.uint8(1), 10**11),
        (np.float32(0.5), 5 * 10**10),
        (np.array(0.001), 100_000_000),
        (np.str_("0.001"), 100_000_000),
        (pd.Series([0.001]).iloc[0], 100_000_000),
    ],
)
def test_amounts_that_a_cell_may_hold(value: Any, msat: int) -> None:
    """Decimals, ints, plain texts, exact floats and numpy's scalars are taken as the number they show."""
    assert btc_to_msat(value) == msat
    assert type(btc_to_msat(value)) is int


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (True, "True is not a number; write a number such as Decimal('0.001')"),
        (np.True_, "True is not a number"),
        (float("nan"), "nan is not an amount; write a number such as Decimal('0.001')"),
        (float("inf"), "inf is not an amount"),
        (Decimal("NaN"), "NaN is not an amount"),
        (Decimal("sNaN"), "sNaN is not an amount"),
        (Decimal("-Infinity"), "-Infinity is not an amount"),
        (np.float64("nan"), "nan is not an amount"),
        (0, 'must be more than 0 BTC, not 0; write Decimal("0.00000001"), which is 1 sat, or more'),
        (0.0, "must be more than 0 BTC"),
        (-0.0, "must be more than 0 BTC, not -0.0"),
        ("0.000", "must be more than 0 BTC"),
        (-1, "must be more than 0 BTC, not -1"),
        (Decimal("-0.001"), "must be more than 0 BTC"),
        ("-1", "is not a plain decimal number; write the digits 0 to 9 with at most one point between"),
        ("+1", "not a plain decimal"),
        ("1_0", "not a plain decimal"),
        (" 1 ", "not a plain decimal"),
        ("1\n", "not a plain decimal"),
        ("1e-3", "not a plain decimal"),
        (".5", "not a plain decimal"),
        ("5.", "not a plain decimal"),
        ("1.2.3", "not a plain decimal"),
        ("0,001", "not a plain decimal"),
        ("", "not a plain decimal"),
        ("NaN", "not a plain decimal"),
        ("Infinity", "not a plain decimal"),
        ("٠.١", "not a plain decimal"),
        ("１", "not a plain decimal"),
        ("0x1", "not a plain decimal"),
        pytest.param("9" * 10_000, "more than the 21,000,000 BTC", id="long"),
        (None, "must be a number, not NoneType; write Decimal('0.001') or 0.001"),
        (b"1", "not bytes"),
        (1j, "not complex"),
        (Fraction(1, 2), "not Fraction"),
        ([0.001], "not list"),
        (np.array([0.001, 0.002]), "not ndarray"),
        (pd.Series([0.001, 0.002]), "not Series"),
        (pd.NA, "not NAType"),
        (np.datetime64("2026-11-22"), "not datetime64"),
        (21_000_001, "21000001 BTC is more than the 21,000,000 BTC that will ever exist; if you meant sat"),
        (100_000_000, "if you meant satoshis, write amount_sat=100000000."),
        (Decimal("21000000.00000000001"), "will ever exist; write 21_000_000 or less"),
        (1e300, "1e+300 BTC is more than"),
        pytest.param(10**5000, "a number of 16,610 bits BTC is more than", id="huge"),
        (Decimal("1E+999999"), "more than the 21,000,000 BTC"),
    ],
)
def test_amounts_that_are_refused(value: Any, words: str) -> None:
    """What is no amount is refused with a message that says why and what to write."""
    with pytest.raises(InvalidRequest, match=re.escape(words)) as caught:
        btc_to_msat(value)
    assert len(str(caught.value)) < 250


@pytest.mark.parametrize(
    ("value", "sat", "msat"),
    [
        (0.1 + 0.2, "0.3", "0.3"),
        (1.1 * 3, "3.3", "3.3"),
        (100 / 64_123.77, "0.00155948", "0.0015594841"),
        (Decimal("0.0010000000049"), "0.001", "0.001"),
        ("0.123456789012", "0.12345679", "0.12345678901"),
        pytest.param(f"0.{'3' * 9_999}", "0.33333333", "0.33333333333", id="long"),
        (1e-12, "0.00000001", "0.00000000001"),
        (5e-324, "0.00000001", "0.00000000001"),
        (Decimal("1E-999999"), "0.00000001", "0.00000000001"),
    ],
)
@pytest.mark.parametrize("allow_msat", [False, True])
def test_inexact_amounts_are_refused(value: Any, sat: str, msat: str, *, allow_msat: bool) -> None:
    """What is finer than a millisatoshi is refused, switch or not, with the nearest Decimal that is taken."""
    instead = msat if allow_msat else sat
    with pytest.raises(InvalidRequest, match=re.escape(f'write Decimal("{instead}"), or')) as caught:
        btc_to_msat(value, allow_msat=allow_msat)
    assert "amount_sat=hercle.to_sat(…)" in str(caught.value)
    assert btc_to_msat(Decimal(instead), allow_msat=allow_msat) > 0


@pytest.mark.parametrize(
    ("value", "msat", "words", "instead"),
    [
        ("0.0000000015", 150, "0.0000000015 BTC is 0.15 sat", 'Decimal("0.00000001")'),
        (Decimal("1E-11"), 1, "0.00000000001 BTC is 0.001 sat", 'Decimal("0.00000001")'),
        ("0.00100000999", 100_000_999, "100\u202f000.999 sat", 'Decimal("0.00100001")'),
        (
            "20999999.99999999999",
            MAX_MSAT - 1,
            "2\u202f099\u202f999\u202f999\u202f999\u202f999.999 sat",
            "21000000",
        ),
    ],
)
def test_fractions_of_a_satoshi_need_the_switch(value: Any, msat: int, words: str, instead: str) -> None:
    """A fraction of a satoshi is refused, exactly shown, and taken with allow_msat."""
    with pytest.raises(InvalidRequest, match=re.escape(words)) as caught:
        btc_to_msat(value)
    assert instead in str(caught.value)
    assert "allow_msat=True" in str(caught.value)
    assert btc_to_msat(value, allow_msat=True) == msat


@given(MSATS)
@example(1)
@example(MAX_MSAT)
@example(MAX_MSAT - 1)
def test_decimal_to_wire_and_back(msat: int) -> None:
    """Every amount survives the way from a Decimal or text to the wire's text and back, digit for digit."""
    for value in (Decimal(plain(msat)), plain(msat), Decimal(plain(msat)).normalize(Context(prec=50))):
        assert btc_to_msat(value, allow_msat=True) == msat
    wire = _json.encode(msat_to_btc(msat))
    assert re.fullmatch(r"[0-9]+(\.[0-9]{1,11})?", wire)
    assert not re.search(r"\.[0-9]*0$", wire)
    assert Fraction(wire) == Fraction(msat, 10**11)
    assert btc_to_msat(_json.decode(wire), allow_msat=True) == msat


@given(SATS)
@example(MAX_SAT)
def test_float_to_wire_and_back(sat: int) -> None:
    """The float nearest to any amount of whole satoshis is that amount, on every way in."""
    number = sat / 10**8
    for value in (number, np.float64(number), repr(number) if number >= 0.001 else f"{number:.8f}"):
        assert btc_to_msat(value) == sat * 1_000
    assert Fraction(_json.encode(msat_to_btc(btc_to_msat(number)))) == Fraction(sat, 10**8)


@given(st.one_of(st.floats(), st.decimals(), st.integers(), st.text(), st.fractions(), st.binary()))
def test_any_value_is_exact_or_refused(value: Any) -> None:
    """Whatever the value, its amount is exactly the number it shows, or it is refused as InvalidRequest."""
    try:
        msat = btc_to_msat(value, allow_msat=True)
    except InvalidRequest:
        return
    assert 0 < msat <= MAX_MSAT
    assert Fraction(msat, 10**11) == Fraction(repr(value) if isinstance(value, float) else value)


def test_hostile_decimal_context() -> None:
    """A decimal context of three digits, with traps on every rounding, changes no amount and no message."""
    with localcontext(prec=3) as context:
        context.traps[Inexact] = context.traps[FloatOperation] = True
        assert btc_to_msat(Decimal("12345678.12345678")) == 1_234_567_812_345_678_000
        assert btc_to_msat("20999999.99999999999", allow_msat=True) == MAX_MSAT - 1
        assert btc_to_msat(1234567.12345678) == 123_456_712_345_678_000
        assert btc_to_msat(20_999_999) == 20_999_999 * 10**11
        assert _json.encode(msat_to_btc(MAX_MSAT - 1)) == "20999999.99999999999"
        assert to_sat(Decimal("1.234567885")) == 123_456_789
        assert format_btc(MAX_MSAT - 1) == "20\u202f999\u202f999.99999999999 BTC"
        with pytest.raises(InvalidRequest, match=re.escape('Decimal("1.23456788")')):
            btc_to_msat(Decimal("1.2345678765432198"))


@pytest.mark.parametrize(
    ("sat", "msat"),
    [(1, 1_000), (100_000, 10**8), (MAX_SAT, MAX_MSAT), (np.int64(5), 5_000), (np.uint16(7), 7_000)],
)
def test_satoshis(sat: Any, msat: int) -> None:
    """Satoshis are whole numbers from 1 to 21 million BTC."""
    assert sat_to_msat(sat) == msat
    assert type(sat_to_msat(sat)) is int


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (100_000.0, "write amount_sat=100000."),
        (np.float64(7.0), "write amount_sat=7."),
        (
            0.001,
            "a whole number of satoshis, not 0.001; write amount_sat=100_000, or amount_sat=hercle.to_sat(",
        ),
        (Decimal(5), "must be an int, not the Decimal 5; write amount_sat=5."),
        ("100", "must be an int, not the str '100'; write amount_sat=100."),
        (Decimal("0.5"), "whole number of satoshis, not 0.5"),
        (Decimal("1E+999999"), "whole number of satoshis, not 1E+999999"),
        ("1e3", "whole number of satoshis, not '1e3'"),
        (1e300, "1e+300 sat is more than"),
        (float("nan"), "whole number of satoshis, not nan"),
        (float("inf"), "whole number of satoshis, not inf"),
        (None, "whole number of satoshis, not None"),
        (True, "True is not a number"),
        (np.False_, "False is not a number"),
        (np.array([1, 2]), "whole number of satoshis"),
        (0, "at least 1 sat, not 0; write amount_sat=1 or more"),
        (-5, "at least 1 sat, not -5"),
        (MAX_SAT + 1, "ever exist; write amount_sat=2_100_000_000_000_000 or less (millisat"),
        pytest.param(10**5000, "a number of 16,610 bits sat is more than", id="huge"),
    ],
)
def test_satoshis_that_are_refused(value: Any, words: str) -> None:
    """Anything but an int within range is no amount of satoshis; the message shows what to write."""
    with pytest.raises(InvalidRequest, match=re.escape(words)):
        sat_to_msat(value)


WHOLE_TEXTS = [("25", 25), ("025", 25), ("25.0", 25), ("25.00", 25), (" 25 ", 25), ("9" * 30, 10**30 - 1)]
TWO_READINGS = [  # to a call and a form; in a table, a column that is read as a whole will decide
    ("25.000", "'25.000' is 25 or 25 thousand; write 25 or 25000"),
    ("25,000", "'25,000' is 25 or 25 thousand; write 25 or 25000"),
    (" 1.000\u00a0", "'1.000' is 1 or 1 thousand; write 1 or 1000"),
    ("1500.000", "'1500.000' is 1500 or 1500 thousand; write 1500 or 1500000"),
    ("025.000", "'025.000' is 25 or 25 thousand; write 25 or 25000"),
    ("1.250", "'1.250' is 1.25 or 1250; write 1250, or round 1.25 yourself"),
    ("1,001", "'1,001' is 1.001 or 1001; write 1001, or round 1.001 yourself"),
]
ONE_READING = [
    ("1.250.000", "'1.250.000' holds marks between its digits; write 1250000"),
    ("1,250,000", "'1,250,000' holds marks between its digits; write 1250000"),
    ("1'250", '"1\'250" holds marks between its digits; write 1250'),
    ("25\u2019000", "'25’000' holds marks between its digits; write 25000"),
    ("25 000", "'25 000' holds marks between its digits; write 25000"),
    ("25\u202f000", "'25\\u202f000' holds marks between its digits; write 25000"),
    ("25_000", "'25_000' holds marks between its digits; write 25000"),
    ("25.000,00", "'25.000,00' holds marks between its digits; write 25000"),
    ("25,000.0", "'25,000.0' holds marks between its digits; write 25000"),
    ("25 000,00", "'25 000,00' holds marks between its digits; write 25000"),
    ("25'000.00", '"25\'000.00" holds marks between its digits; write 25000'),
]
NO_WHOLE = [
    "25.5",
    "25,5",
    "25,0",
    "25,00",
    "25.0000",
    "25.",
    ".5",
    "0.001",
    "0.000",
    "0,000",
    "1.2.3",
    "-25",
]
NO_WHOLE += [
    "25.000,000",
    "25.000,50",
    "1.25.000",
    "1,00,000",
    "1.000 000",
    "25.000 sat",
    "+25",
    "1e3",
    "",
    "x",
]
NO_WHOLE += ["٢٥", "２５", "25\n000", "9" * 31, "1.000.0000", "1\u20191250"]


@pytest.mark.parametrize(("text", "number"), WHOLE_TEXTS)
def test_whole_texts(text: str, number: int) -> None:
    """Digits, alone or with the .0 or .00 of a whole float, are the whole number that they show."""
    assert amounts.whole(text) == amounts.option(text) == number
    assert amounts.marked(text) is None


@pytest.mark.parametrize(("text", "meaning"), TWO_READINGS + ONE_READING)
def test_texts_with_marks(text: str, meaning: str) -> None:
    """A mark before three digits is refused with both readings; one that only parts thousands, with it."""
    assert amounts.whole(text) is None
    assert amounts.marked(text) == meaning
    with pytest.raises(InvalidRequest, match=re.escape(f"amount_sat {meaning}.")):
        sat_to_msat(text)
    with pytest.raises(InvalidRequest, match=re.escape(f"{meaning}.")):
        amounts.option(text)


@pytest.mark.parametrize("text", NO_WHOLE)
def test_texts_that_are_not_whole(text: str) -> None:
    """Any other text is no whole number, and its refusal names no number that it might have meant."""
    assert amounts.whole(text) is amounts.marked(text) is None
    with pytest.raises(InvalidRequest, match="must be a whole number of satoshis, not ") as caught:
        sat_to_msat(text)
    assert "write amount_sat=100_000, or" in str(caught.value)
    with pytest.raises(InvalidRequest, match="is no whole number; write digits alone"):
        amounts.option(text)


@given(st.integers(1, 10**7), st.sampled_from([".", ",", "'", "\u2019", " ", "\u00a0", "\u202f"]))
def test_grouped_numbers_are_never_read(number: int, mark: str) -> None:
    """A number with its thousands parted is never read as another number, nor is another alone advised."""
    text = f"{number:,}".replace(",", mark)
    assert amounts.whole(text) == (number if number < 1_000 else None)
    if number >= 1_000:
        assert str(number) in (amounts.marked(text) or "")


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ("1,000", "'1,000' is 1 or 1 thousand; write 1 or 1000."),
        ("1,250", "'1,250' is 1.25 or 1250; write 1250 or 1.25."),
        ("1.250.000", "write 1250000."),
        ("25000000.000", "write amount_sat=25000000 or amount_sat=25000000000."),
        ("25000000.250", "ever exist; write 21_000_000 or less."),
    ],
)
def test_bitcoin_with_marks(value: str, words: str) -> None:
    """A comma before three digits has both readings in bitcoin too; a point is the decimal one."""
    with pytest.raises(InvalidRequest, match=re.escape(words)):
        btc_to_msat(value)
    with pytest.raises(InvalidRequest):
        to_sat(value)
    assert btc_to_msat("1.000") == btc_to_msat("1") == 10**11


@pytest.mark.parametrize(
    ("btc", "instead"),
    [
        (1000, "amount_sat=1000"),
        (25.0, "amount_sat=25"),
        (np.float64(1000), "amount_sat=1000"),
        (Decimal("1E3"), "amount_sat=1000"),
        ("1000", "amount_sat=1000"),
        ("25.000", "amount_sat=25 or amount_sat=25000"),
        ("1.250", None),
        (1.5, None),
        (MAX_SAT + 1, None),
    ],
)
def test_perhaps_satoshis(btc: Any, instead: str | None) -> None:
    """What was perhaps meant in satoshis is told as it is written; of a text with two readings both."""
    assert amounts.perhaps_sat(btc) == instead


@pytest.mark.parametrize(
    ("rounding", "below", "half", "odd_half", "above"),
    [
        ("half_up", 2, 3, 4, 3),
        ("half_even", 2, 2, 4, 3),
        ("half_down", 2, 2, 3, 3),
        ("down", 2, 2, 3, 2),
        ("floor", 2, 2, 3, 2),
        ("up", 3, 3, 4, 3),
        ("ceiling", 3, 3, 4, 3),
    ],
)
def test_to_sat_roundings(rounding: str, below: int, half: int, odd_half: int, above: int) -> None:
    """Each rounding is the one it is named after, for Decimals, floats and texts alike."""
    for text, sat in zip(("2.4", "2.5", "3.5", "2.6"), (below, half, odd_half, above), strict=True):
        btc = Decimal(text).scaleb(-8)
        assert to_sat(btc, rounding) == sat
        assert to_sat(float(btc), rounding) == sat
        assert to_sat(f"{btc:f}", rounding) == sat


@given(st.decimals(0, 21_000_000, allow_nan=False) | st.floats(0, 21_000_000))
@example(Decimal("1E-99999"))
@example(5e-324)
@example(Decimal("0E+999999"))
def test_to_sat_rounds_the_exact_number(btc: Decimal | float) -> None:
    """Rounding down and up are the integers on both sides of the exact number, however many its digits."""
    exact = Fraction(repr(btc) if isinstance(btc, float) else btc) * 10**8
    assert to_sat(btc, "down") == exact.numerator // exact.denominator
    assert to_sat(btc, "up") == -(-exact.numerator // exact.denominator)


@pytest.mark.parametrize(
    ("value", "rounding", "words"),
    [
        (1, [], "rounding must be one of half_up"),
        (1, "nearest", "rounding must be one of half_up, half_even, half_down, down, up, floor, ceiling"),
        (-1, "half_up", "between 0 and 21,000,000 BTC, not -1; write a number such as Decimal('0.001')"),
        (21_000_001, "half_up", "between 0 and 21,000,000 BTC"),
        (float("nan"), "half_up", "nan is not an amount"),
        (True, "half_up", "True is not a number"),
        ("1e3", "half_up", "not a plain decimal"),
    ],
)
def test_to_sat_refuses(value: Any, rounding: str, words: str) -> None:
    """Rounding is for amounts, and only in the known ways."""
    with pytest.raises(InvalidRequest, match=re.escape(words)):
        to_sat(value, rounding)


def test_to_sat_of_a_division_is_an_amount() -> None:
    """The message for an inexact float names to_sat, and what it gives is accepted."""
    assert sat_to_msat(to_sat(100 / 64_123.77)) == 155_948_000
    assert type(to_sat(np.float64(0.001))) is int
    assert to_sat(0) == 0


@pytest.mark.parametrize(
    ("msat", "btc", "in_btc", "in_sat"),
    [
        (100_000_000, "0.001", "0.00100000 BTC", "100\u202f000 sat"),
        (1, "0.00000000001", "0.00000000001 BTC", "0.001 sat"),
        (1_000, "0.00000001", "0.00000001 BTC", "1 sat"),
        (1_500, "0.000000015", "0.000000015 BTC", "1.5 sat"),
        (10**11, "1", "1.00000000 BTC", "100\u202f000\u202f000 sat"),
        (10**12, "10", "10.00000000 BTC", "1\u202f000\u202f000\u202f000 sat"),
        (
            MAX_MSAT,
            "21000000",
            "21\u202f000\u202f000.00000000 BTC",
            "2\u202f100\u202f000\u202f000\u202f000\u202f000 sat",
        ),
    ],
)
def test_formats(msat: int, btc: str, in_btc: str, in_sat: str) -> None:
    """An amount is shown in BTC with at least eight places, in satoshis with its fraction, never as 1E-8."""
    assert f"{msat_to_btc(msat):f}" == _json.encode(msat_to_btc(msat)) == btc
    assert format_btc(msat) == in_btc
    assert format_sat(msat) == in_sat
    assert msat_to_sat(msat) == (None if msat % 1_000 else msat // 1_000)


@given(MSATS)
def test_formats_are_exact(msat: int) -> None:
    """Both texts, their grouping left off, are the exact amount."""
    assert Fraction(format_btc(msat).removesuffix(" BTC").replace("\u202f", "")) == Fraction(msat, 10**11)
    assert Fraction(format_sat(msat).removesuffix(" sat").replace("\u202f", "")) == Fraction(msat, 1_000)
    assert amounts.msat_to_btc(msat) == Decimal(plain(msat))
