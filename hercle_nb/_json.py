"""JSON without binary floats: a number on the wire is the number in the cell, digit for digit."""

from __future__ import annotations

import json
from decimal import Decimal, InvalidOperation
from typing import Any

from hercle_nb.errors import InvalidRequest

_MAX_INT_DIGITS = 4300  # beyond, Python refuses int(text); a Decimal takes it
_MAX_INT_BITS = 14_000  # a little less than 4300 digits


def encode(value: Any) -> str:
    """Write a value as compact JSON, `Decimal` as a plain number without exponent.

    Raises:
        InvalidRequest: The value holds something that JSON has no form for.
    """
    if isinstance(value, int) and value.bit_length() > _MAX_INT_BITS:
        value = Decimal(value)
    if value is None or isinstance(value, bool | int):
        return _encoder.encode(value)
    if isinstance(value, Decimal):
        if not value.is_finite():
            raise InvalidRequest(f"{value} cannot be sent; write a finite number, or None.")
        return f"{value:f}"
    if isinstance(value, float):
        return encode(Decimal(float.__repr__(value)))
    if isinstance(value, str):
        try:
            value.encode()
        except UnicodeEncodeError as error:
            raise InvalidRequest(
                "A text holds half a character (a lone surrogate); type it again."
            ) from error
        return _encoder.encode(value)
    if isinstance(value, list | tuple):
        return f"[{','.join(map(encode, value))}]"
    if isinstance(value, dict):
        return f"{{{','.join(f'{encode(str(key))}:{encode(item)}' for key, item in value.items())}}}"
    if type(value).__module__ == "numpy" and hasattr(value, "tolist"):
        plain = value.tolist()
        if type(plain) is not type(value):  # a longdouble stays one
            return encode(plain)
    raise InvalidRequest(
        f"{type(value).__name__} cannot be sent; write numbers, texts, None, or lists and dicts of them."
    )


def decode(text: str) -> Any:
    """Read JSON: fractional numbers as `Decimal`, integers exact at any size.

    Raises:
        ValueError: The text is not JSON, nested too deeply, or holds a number beyond any `Decimal`.
    """
    try:
        return _decoder.decode(text)
    except RecursionError:
        raise ValueError("nested too deeply") from None
    except InvalidOperation:  # an exponent of 10**18 or more
        raise ValueError("a number beyond any Decimal") from None


def _integer(digits: str) -> int | Decimal:
    return int(digits) if len(digits) <= _MAX_INT_DIGITS else Decimal(digits)


# made once: json.dumps and json.loads make theirs anew at each call that has options
_encoder = json.JSONEncoder(ensure_ascii=False)
_decoder = json.JSONDecoder(parse_float=Decimal, parse_int=_integer)
