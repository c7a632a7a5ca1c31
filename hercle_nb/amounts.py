"""Amounts, exact to the millisatoshi: from what a cell holds to integers, and back to text.

One bitcoin is 100,000,000 satoshis, one satoshi 1,000 millisatoshis. Inside the package an amount is an
`int` of millisatoshis; no amount ever passes through a binary float.
"""

from __future__ import annotations

import re
from decimal import (
    ROUND_CEILING,
    ROUND_DOWN,
    ROUND_FLOOR,
    ROUND_HALF_DOWN,
    ROUND_HALF_EVEN,
    ROUND_HALF_UP,
    ROUND_UP,
    Context,
    Decimal,
)
from typing import Any

from hercle_nb.errors import InvalidRequest

MSAT_PER_SAT = 1_000
MSAT_PER_BTC = 100_000_000_000
MAX_BTC = 21_000_000
MAX_SAT = MAX_BTC * 100_000_000
MAX_MSAT = MAX_SAT * MSAT_PER_SAT
FRACTION = "pass allow_msat=True"  # how a caller accepts fractions of a satoshi

_PLAIN_DECIMAL = re.compile(r"[0-9]+(\.[0-9]+)?")
_WHOLE = re.compile(
    r"([0-9]{1,30})(?:\.00?)?"
)  # pandas and Excel write .0 behind the digits of a whole float
_TWO_READINGS = re.compile(r"0*([1-9][0-9]{0,26})([.,])([0-9]{3})")
_GROUPED = re.compile(
    r"[1-9][0-9]{0,2}([.,'’´_ \u00a0\u2007\u2009\u202f])[0-9]{3}(?:\1[0-9]{3}){0,8}(?:(?!\1)[.,]00?)?"
)
_SLACK = 30  # digits beyond a number's own, so that moving its point never rounds
_ROUNDINGS = {
    "half_up": ROUND_HALF_UP,
    "half_even": ROUND_HALF_EVEN,
    "half_down": ROUND_HALF_DOWN,
    "down": ROUND_DOWN,
    "up": ROUND_UP,
    "floor": ROUND_FLOOR,
    "ceiling": ROUND_CEILING,
}


def btc_to_msat(value: Any, *, allow_msat: bool = False) -> int:
    """Convert an amount in BTC to millisatoshis, exactly.

    Args:
        value: `Decimal`, `int`, a plain decimal `str` such as ``"0.001"``, or a `float` whose shortest
            text is exact to the millisatoshi (``0.001`` is, ``0.1 + 0.2`` is not).
        allow_msat: Accept fractions of a satoshi.

    Raises:
        InvalidRequest: Anything else; the message shows what to write instead.
    """
    btc = _to_decimal(value)
    if btc.is_signed() or not btc:
        raise InvalidRequest(
            f"An amount must be more than 0 BTC, not {shown(value)}; "
            'write Decimal("0.00000001"), which is 1 sat, or more.'
        )
    if btc > MAX_BTC:
        sat = perhaps_sat(value)
        instead = "write 21_000_000 or less" if sat is None else f"if you meant satoshis, write {sat}"
        raise InvalidRequest(
            f"{shown(value)} BTC is more than the 21,000,000 BTC that will ever exist; {instead}."
        )
    msat, exact = _shifted(btc, 11)
    if not exact:
        raise InvalidRequest(
            f"{shown(value)} BTC is finer than one millisatoshi (11 places); "
            f"write {_nearest(btc, 11 if allow_msat else 8)}, "
            "or amount_sat=hercle.to_sat(…) for the result of a division."
        )
    if msat % MSAT_PER_SAT and not allow_msat:
        raise InvalidRequest(
            f"{msat_to_btc(msat):f} BTC is {format_sat(msat)}, finer than one satoshi; "
            f"write {_nearest(btc, 8)}, or {FRACTION} if you mean the fraction."
        )
    return msat


def sat_to_msat(value: Any) -> int:
    """Convert an amount in satoshis, an `int`, to millisatoshis.

    Raises:
        InvalidRequest: Not a whole number, or not between 1 sat and 21 million BTC.
    """
    number = plain_number(value, "amount_sat=100_000")
    if isinstance(number, str) and (meaning := marked(number)):
        raise InvalidRequest(f"amount_sat {meaning}.")
    sat = whole(number)
    if sat is None:
        raise InvalidRequest(
            f"amount_sat must be a whole number of satoshis, not {shown(value)}; "
            "write amount_sat=100_000, or amount_sat=hercle.to_sat(btc) to round an amount in BTC."
        )
    if sat < 1:
        raise InvalidRequest(
            f"An amount must be at least 1 sat, not {shown(value)}; write amount_sat=1 or more."
        )
    if sat > MAX_SAT:
        raise InvalidRequest(
            f"{shown(value)} sat is more than the 21,000,000 BTC that will ever exist; "
            f"write amount_sat={MAX_SAT:_} or less (millisatoshis divided by 1_000)."
        )
    if not isinstance(number, int):
        kind = type(value).__name__
        raise InvalidRequest(
            f"amount_sat must be an int, not the {kind} {shown(value)}; write amount_sat={sat}."
        )
    return sat * MSAT_PER_SAT


def to_sat(btc: Any, rounding: str = "half_up") -> int:
    """Round an amount in BTC to whole satoshis: for amounts that come out of a division.

    Args:
        btc: `Decimal`, `int`, `float` or plain decimal `str`; a float counts as its shortest text.
        rounding: ``half_up``, ``half_even``, ``half_down``, ``down``, ``up``, ``floor`` or ``ceiling``.

    Raises:
        InvalidRequest: Not a number, not finite, negative, beyond 21 million BTC, or an unknown rounding.

    Example:
        >>> to_sat(100 / 64_123.77)
        155948
    """
    if not isinstance(rounding, str) or rounding not in _ROUNDINGS:
        raise InvalidRequest(f"rounding must be one of {', '.join(_ROUNDINGS)}, not {rounding!r}.")
    amount = _to_decimal(btc)
    if amount < 0 or amount > MAX_BTC:
        raise InvalidRequest(
            f"An amount is between 0 and 21,000,000 BTC, not {shown(btc)}; "
            "write a number such as Decimal('0.001')."
        )
    return _shifted(amount, 8, _ROUNDINGS[rounding])[0]


def msat_to_btc(msat: int) -> Decimal:
    """The amount in BTC as a `Decimal` without superfluous zeros: what goes over the wire."""
    whole, fraction = divmod(msat, MSAT_PER_BTC)
    return Decimal(f"{whole}.{fraction:011d}".rstrip("0").rstrip("."))


def msat_to_sat(msat: int) -> int | None:
    """The amount in whole satoshis, or None where it has a fraction."""
    sat, fraction = divmod(msat, MSAT_PER_SAT)
    return None if fraction else sat


def format_btc(msat: int) -> str:
    """The amount in BTC as plain text with at least eight places, such as ``0.00100000 BTC``."""
    whole, fraction = divmod(msat, MSAT_PER_BTC)
    places = f"{fraction:011d}"
    return f"{whole:,}.{places[:8]}{places[8:].rstrip('0')} BTC".replace(",", "\u202f")


def format_sat(msat: int) -> str:
    """The amount in satoshis with thin grouping, such as ``100 000 sat``."""
    sat, fraction = divmod(msat, MSAT_PER_SAT)
    tail = f".{fraction:03d}".rstrip("0") if fraction else ""
    return f"{sat:,}{tail} sat".replace(",", "\u202f")


def plain_number(value: Any, instead: str) -> Any:
    """The Python number that a numpy scalar equals; anything else as it is.

    Args:
        value: What a cell holds.
        instead: What to write in place of a boolean.

    Raises:
        InvalidRequest: It is a boolean.
    """
    if type(value).__module__ == "numpy" and getattr(value, "ndim", None) == 0:
        value = value.item()
    if isinstance(value, bool):
        raise InvalidRequest(f"{value} is not a number; write {instead}.")
    return value


def whole(value: Any) -> int | None:
    """The whole number that a Python number or a text is; None for anything else.

    Numbers count as what they equal, ``24.0`` and ``Decimal("24")`` too. A text is digits alone or, as pandas
    and Excel write a whole float, with ``.0`` or ``.00`` behind them; `marked` tells of other texts.
    """
    if isinstance(value, str):
        match = _WHOLE.fullmatch(value.strip())
        return int(match[1]) if match else None
    if isinstance(value, int):
        return value
    if isinstance(value, float) and value.is_integer():
        return int(value)
    # larger ones are no amount and no time, and 10**999999 takes long
    if isinstance(value, Decimal) and value.is_finite() and value.adjusted() < _SLACK:
        integer, exact = _shifted(value, 0)
        return integer if exact else None
    return None


def option(text: str) -> int:
    """The whole number behind an option of a command line.

    Raises:
        InvalidRequest: The text is none, or may be read in two ways.
    """
    number = whole(text)
    if number is None:
        raise InvalidRequest(f"{marked(text) or f'{shown(text)} is no whole number; write digits alone'}.")
    return number


def marked(text: str, *, fractions: bool = False) -> str | None:
    """What a text with marks between its digits means, and what to write instead, for an error's message.

    A point or comma before exactly three digits is a decimal mark to some and parts thousands to others, so
    both readings are named; where the marks can only part thousands, the one.

    Args:
        text: What a cell or field holds.
        fractions: Whether the number need not be whole; then a point is always a decimal mark.

    Returns:
        Such as ``'25.000' is 25 or 25 thousand; write 25 or 25000``, or None for a text without such marks.
    """
    text = text.strip()
    if match := _TWO_READINGS.fullmatch(text):
        before, mark, behind = match.groups()
        if fractions and mark == ".":
            return None
        if behind == "000":
            return f"{text!r} is {before} or {before} thousand; write {before} or {before}000"
        fraction, thousands = f"{before}.{behind}".rstrip("0"), f"{before}{behind}"
        instead = f"{thousands} or {fraction}" if fractions else f"{thousands}, or round {fraction} yourself"
        return f"{text!r} is {fraction} or {thousands}; write {instead}"
    if match := _GROUPED.fullmatch(text):
        cents = re.search(r"[.,]00?$", text)
        digits = re.sub(r"[^0-9]", "", text[: cents.start()] if cents else text)
        return f"{text!r} holds marks between its digits; write {digits}"
    return None


def perhaps_sat(btc: Any) -> str | None:
    """What to write for an amount in BTC that was perhaps meant in satoshis; None where it cannot have been.

    Args:
        btc: As it was given: a text may be read in two ways, and then both are named.
    """
    return " or ".join(f"amount_sat={sat}" for sat in readings_in_sat(btc)) or None


def has_two_readings(text: str) -> bool:
    """Whether a text is a number to some people and another, a thousand times larger one to others."""
    return _TWO_READINGS.fullmatch(text) is not None


def readings_in_sat(btc: Any) -> list[int]:
    """The satoshis that were perhaps meant by what was given as an amount in BTC; none if it cannot be."""
    if isinstance(btc, str) and (match := _TWO_READINGS.fullmatch(btc)):
        before, _, behind = match.groups()
        found = [int(before), int(before + behind)] if behind == "000" else []
    else:
        sat = whole(_to_decimal(btc))
        found = [] if sat is None else [sat]
    return found if found and 1 <= max(found) <= MAX_SAT else []


def _to_decimal(value: Any) -> Decimal:
    """A finite number as the `Decimal` that a person reads in it."""
    number = plain_number(value, "a number such as Decimal('0.001')")
    if isinstance(number, str):
        if not _PLAIN_DECIMAL.fullmatch(number):
            if meaning := marked(number, fractions=True):
                raise InvalidRequest(f"{meaning}.")
            raise InvalidRequest(
                f"{shown(value)} is not a plain decimal number; write the digits 0 to 9 with at most one "
                'point between them, such as "0.001", without sign, exponent, spaces or separators.'
            )
        return Decimal(number)
    if isinstance(number, float):
        number = Decimal(float.__repr__(number))
    elif not isinstance(number, int | Decimal):
        raise InvalidRequest(
            f"An amount must be a number, not {type(value).__name__}; write Decimal('0.001') or 0.001."
        )
    amount = Decimal(number)
    if not amount.is_finite():
        raise InvalidRequest(f"{shown(value)} is not an amount; write a number such as Decimal('0.001').")
    return amount


def _shifted(amount: Decimal, places: int, rounding: str = ROUND_DOWN) -> tuple[int, bool]:
    """The amount times 10**places as an integer, and whether nothing was cut off."""
    if amount.adjusted() < -_SLACK:  # so small that only the rounding's direction counts
        amount = Decimal("1e-30") if amount else amount
    context = Context(prec=len(amount.as_tuple().digits) + _SLACK, rounding=rounding)
    scaled = amount.scaleb(places, context)
    whole = scaled.to_integral_value(rounding, context)
    return int(whole), whole == scaled


def _nearest(btc: Decimal, places: int) -> str:
    """What to write instead of an amount that is too fine: the nearest of so many places that is not 0."""
    units = max(1, _shifted(btc, places, ROUND_HALF_UP)[0])
    return f'Decimal("{msat_to_btc(units * 10 ** (11 - places)):f}")'


def shown(value: Any) -> str:
    """A value as short text for an error message."""
    if isinstance(value, int) and value.bit_length() > 128:
        return f"a number of {value.bit_length():,} bits"
    text = str(value) if isinstance(value, int | float | Decimal) else repr(value)
    return text if len(text) <= 40 else f"{text[:37]}…"
