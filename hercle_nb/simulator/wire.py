"""The hub protocol's JSON without any I/O: bytes to messages, messages to arguments, answers to text.

What is accepted and what ends a connection was tried against ASP.NET Core SignalR 10, message by message.
"""

from __future__ import annotations

import json
import re
import unicodedata
from decimal import ROUND_HALF_EVEN, Context, Decimal, InvalidOperation
from typing import TYPE_CHECKING, Any

from hercle_nb._json import encode

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

SEPARATOR = "\x1e"
MESSAGE_LIMIT = 32_768  # bytes, the separator included
PING = '{"type":6}' + SEPARATOR
GOODBYE = '{"type":7}' + SEPARATOR
BROKEN = '{"type":7,"error":"Connection closed with an error.","allowReconnect":true}' + SEPARATOR
HANDSHAKE_DONE = "{}" + SEPARATOR

INVOCATION, STREAM_ITEM, COMPLETION, STREAM_INVOCATION, CANCEL, PING_TYPE, CLOSE = range(1, 8)
_WITH_ID = (STREAM_ITEM, COMPLETION, STREAM_INVOCATION, CANCEL)
_LAST_TYPE = 9  # 8 and 9, acknowledgement and sequence, belong to reconnects with state

_SURROGATES = re.compile("[\ud800-\udfff]")
_LARGEST = 2**96 - 1  # of .NET's decimal, with a scale of at most 28
_WIDE = Context(prec=80, rounding=ROUND_HALF_EVEN)


class Malformed(Exception):
    """A message that ends the connection."""


class Unbindable(Exception):
    """Arguments that do not fit the method's parameters."""


class Splitter:
    """Takes the byte stream of the frames apart into messages."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._stuck = False

    def feed(self, data: bytes) -> None:
        """Append what a frame held; where a message begins and ends is none of the frame's business."""
        self._buffer += data

    def messages(self) -> Iterator[bytes]:
        """Yield each complete message, without its separator.

        Raises:
            Malformed: A message, complete or not, is over the limit.
        """
        while not self._stuck and (end := self._buffer.find(0x1E, 0, MESSAGE_LIMIT)) >= 0:
            message = bytes(self._buffer[:end])
            del self._buffer[: end + 1]
            yield message
        if len(self._buffer) > MESSAGE_LIMIT:
            raise Malformed

    def stop_at(self, message: bytes) -> None:
        """Read no further than this message: see `parse` on unknown types."""
        self._buffer[:0] = message + b"\x1e"
        self._stuck = True


def _integer(text: str) -> int | Decimal:
    return int(text) if len(text) < 40 else Decimal(text)


def _fraction(text: str) -> Decimal:
    try:
        return Decimal(text)
    except InvalidOperation:  # an exponent beyond all bounds
        return Decimal(float(text))


def _no_constant(name: str) -> None:
    raise ValueError(name)


_decoder = json.JSONDecoder(parse_float=_fraction, parse_int=_integer, parse_constant=_no_constant)


def read_object(message: bytes) -> dict[str, Any]:
    """Read a message's JSON object; numbers are int or Decimal, what follows the object is ignored.

    Raises:
        Malformed: No JSON object.
    """
    # half characters and invalid bytes become surrogates alike, which no argument may hold
    text = message.decode("utf-8", "surrogateescape").lstrip(" \t\r\n")
    try:
        value, _ = _decoder.raw_decode(text)
    except (ValueError, RecursionError):
        raise Malformed from None
    if not isinstance(value, dict):
        raise Malformed
    return value


def parse(message: bytes) -> dict[str, Any] | None:
    """Read one message.

    Returns:
        The message, or None for an unknown type, which makes ASP.NET Core deaf: it comes back to that
        message for ever and reads nothing after it.

    Raises:
        Malformed: The message ends the connection.
    """
    fields = read_object(message)
    kind = fields.get("type")
    if type(kind) is not int or not -(2**31) <= kind < 2**31:
        raise Malformed
    _check(fields, "invocationId", str)
    _check(fields, "target", str)
    _check(fields, "error", str)
    _check(fields, "arguments", list)
    _check(fields, "allowReconnect", bool)
    _check(fields, "sequenceId", int)
    if not all(isinstance(value, str) for value in _check(fields, "headers", dict, {}).values()):
        raise Malformed
    if not all(isinstance(value, str) for value in _check(fields, "streamIds", list, [])):
        raise Malformed
    if not INVOCATION <= kind <= _LAST_TYPE:
        return None
    missing = (
        (kind in _WITH_ID and not fields.get("invocationId"))
        or (kind in (INVOCATION, STREAM_INVOCATION) and not {"target", "arguments"} <= fields.keys())
        or (kind == COMPLETION and {"result", "error"} <= fields.keys())
        or (kind > CLOSE and "sequenceId" not in fields)
    )
    if missing:
        raise Malformed
    return fields


def _check(fields: dict[str, Any], name: str, kind: type[Any], default: Any = None) -> Any:
    if name not in fields:
        return default
    value = fields[name]
    if type(value) is not kind or (kind is str and _SURROGATES.search(value)):
        raise Malformed
    return value


def bind(arguments: Sequence[Any], kinds: Sequence[str]) -> list[Any]:
    """Bind arguments as .NET does: ``string`` takes null, ``decimal`` and ``double`` numbers alone.

    Raises:
        Unbindable: Another count, or a value of another type.
    """
    if len(arguments) != len(kinds):
        raise Unbindable
    return [_bind(value, kind) for value, kind in zip(arguments, kinds, strict=True)]


def _bind(value: Any, kind: str) -> Any:
    if value is None and kind in ("string", "double?"):
        return None
    if kind == "string":
        if isinstance(value, str) and not _SURROGATES.search(value):
            return value
    elif isinstance(value, int | Decimal) and not isinstance(value, bool):
        return to_decimal(Decimal(value)) if kind == "decimal" else float(value)
    raise Unbindable


def to_decimal(number: Decimal) -> Decimal:
    """Round to what .NET's decimal holds: 96 bits with at most 28 places, trailing zeros kept.

    Raises:
        Unbindable: The number is too large.
    """
    if number.is_zero():
        return Decimal(0)
    if not number.is_finite() or number.adjusted() > 28:
        raise Unbindable
    exponent = number.as_tuple().exponent
    assert isinstance(exponent, int)  # noqa: S101 (for the type: the number is finite)
    for scale in range(min(28, max(0, -exponent)), -1, -1):
        rounded = number.quantize(Decimal(1).scaleb(-scale, context=_WIDE), context=_WIDE)
        if abs(int(rounded.scaleb(scale, context=_WIDE))) <= _LARGEST:
            return rounded
    raise Unbindable


def write(value: Any) -> str:
    """Write JSON as SignalR does: no space, and few characters beyond ASCII escaped.

    Raises:
        InvalidRequest: The value holds something that JSON has no form for.
    """
    text = encode(value)
    return text if text.isascii() else "".join(map(_escape, text))


def _escape(character: str) -> str:
    bmp = character <= "\uffff"
    if bmp and (character.isprintable() or unicodedata.category(character) == "Cf") and character != "\ufeff":
        return character
    units = character.encode("utf-16-be")
    return "".join(f"\\u{units[i : i + 2].hex().upper()}" for i in range(0, len(units), 2))


def invocation(target: str, arguments: str) -> str:
    """Write the invocation of a client's target; the arguments are a JSON array already."""
    return f'{{"type":1,"target":{write(target)},"arguments":{arguments}}}{SEPARATOR}'


def completion(invocation_id: str, error: str | None = None) -> str:
    """Write the completion of a method that returns nothing, or failed."""
    outcome = '"result":null' if error is None else f'"error":{write(error)}'
    return f'{{"type":3,"invocationId":{write(invocation_id)},{outcome}}}{SEPARATOR}'


def handshake_answer(message: bytes) -> str:
    """Answer a handshake request: with `HANDSHAKE_DONE`, or with the reason why not."""
    try:
        request = read_object(message)
        protocol, version = _check(request, "protocol", str), _check(request, "version", int)
    except Malformed:
        protocol = version = None
    if protocol is None or version is None:
        return refusal("An unexpected error occurred during connection handshake.")
    if protocol.lower() != "json":
        return refusal(f"The protocol '{protocol}' is not supported.")
    if version > 2:
        return refusal(f"The server does not support version {version} of the '{protocol}' protocol.")
    return HANDSHAKE_DONE


def refusal(reason: str) -> str:
    """Write the handshake's answer that refuses it."""
    return f'{{"error":{write(reason)}}}{SEPARATOR}'
