"""One event of the log, and how a hub message is taken apart into it.

The shapes accepted are those of Hercle's documentation (an envelope with `data` as an object or as a JSON
string, or `{"data": …}` alone) and anything else a hub may send: what is not understood is an event too.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Literal

import msgspec

from hercle_nb import _json

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

INVOCATION, COMPLETION, PING, CLOSE = 1, 3, 6, 7

EVENT, COMMAND, CONNECTION = "event", "command", "connection"
KINDS = (EVENT, COMMAND, CONNECTION)

_ENVELOPE = ("channel", "topic", "subject", "type", "clientId", "data")


@dataclass(frozen=True, slots=True)
class HubEvent:
    """One row of the log; the attributes are the frame's index and columns.

    Attributes:
        seq: Number of the row, from 0.
        received_at: When it was received or sent (UTC); never decreasing.
        kind: ``event``, ``command`` or ``connection``.
        connection: Number of the connection it came over, from 1; 0 before the first.
        target: The hub's client method (``executionEvents``), or the method of a command.
        subject: What happened, such as ``execution.invoice.created``; None where the hub named none.
        client_id: The ClientId it answers or carries, or None.
        data: The content, decoded; fractional numbers are `Decimal`. Shared, not to be modified.
        channel: As in the envelope.
        topic: As in the envelope.
        type: As in the envelope; for what is not an event, what it is.
        raw: The whole SignalR message as text, without its record separator.
    """

    seq: int
    received_at: datetime
    kind: str
    connection: int
    target: str | None
    subject: str | None
    client_id: str | None
    data: Any
    channel: str | None
    topic: str | None
    type: str | None
    raw: str | None


class Content(msgspec.Struct, gc=False, frozen=True):
    """What a message says, apart from when and where it was received."""

    target: str | None = None
    subject: str | None = None
    client_id: str | None = None
    data: Any = None
    channel: str | None = None
    topic: str | None = None
    type: str | None = None


class _Envelope(msgspec.Struct, gc=False, frozen=True, rename={"client_id": "clientId"}):
    """The envelope of nearly every event."""

    subject: str | None = None
    client_id: str | None = None
    data: Any = msgspec.UNSET
    channel: str | None = None
    topic: str | None = None
    type: str | None = None


class _Invocation(msgspec.Struct, gc=False, frozen=True):
    """Nearly every message."""

    type: Literal[1]  # INVOCATION
    target: str
    arguments: tuple[_Envelope]


_read_invocation = msgspec.json.Decoder(_Invocation, float_hook=Decimal).decode


def to_text(message: bytes | str) -> str:
    """A message as text; bytes that are not UTF-8 survive as lone surrogates."""
    return message if isinstance(message, str) else message.decode("utf-8", "surrogateescape")


def read_events(messages: Iterable[bytes | str]) -> list[Content]:
    """Take hub messages apart, as `read_event` does, several times as fast where they are ordinary ones."""
    contents = []
    for message in messages:
        try:
            invocation = _read_invocation(message)
        except (
            ValueError,
            RecursionError,
            ArithmeticError,
        ):  # another shape, or what msgspec has no form for
            contents.append(read_event(to_text(message)))
            continue
        envelope = invocation.arguments[0]
        data = envelope.data
        if data is msgspec.UNSET:  # then the argument itself is the data
            contents.append(read_event(to_text(message)))
            continue
        contents.append(
            Content(
                invocation.target,
                envelope.subject,
                envelope.client_id,
                _decoded(data) if type(data) is str else data,
                envelope.channel,
                envelope.topic,
                envelope.type,
            )
        )
    return contents


def read_message(raw: str) -> tuple[int | None, Any]:
    """The SignalR message type of a text, and the text decoded; (None, None) for what is not a message."""
    try:
        message = _json.decode(raw)
    except ValueError:
        return None, None
    kind = message.get("type") if isinstance(message, dict) else None
    return (kind if type(kind) is int else None), message


def read_event(raw: str) -> Content:
    """Take a hub message apart; never raises, whatever the text is."""
    kind, message = read_message(raw)
    if message is None:
        return Content(type="not JSON")
    if kind != INVOCATION:
        return Content(type="not a message" if kind is None else f"message type {kind}", data=message)
    target, arguments = message.get("target"), message.get("arguments")
    target = target if isinstance(target, str) else None
    if not isinstance(arguments, list):
        return Content(target=target, type="no arguments", data=message)
    if len(arguments) != 1:
        return Content(target=target, data=arguments or None)
    return _read_envelope(target, arguments[0])


def _read_envelope(target: str | None, argument: Any) -> Content:
    if not isinstance(argument, dict) or not any(key in argument for key in _ENVELOPE):
        return Content(target=target, data=_decoded(argument))

    def text(key: str) -> str | None:
        value = argument.get(key)
        return value if isinstance(value, str) else None

    return Content(
        target=target,
        subject=text("subject"),
        client_id=text("clientId"),
        data=_decoded(argument["data"]) if "data" in argument else argument,
        channel=text("channel"),
        topic=text("topic"),
        type=text("type"),
    )


def _decoded(data: Any) -> Any:
    """Data that came as a JSON text, decoded; any other data as it is."""
    if isinstance(data, str) and data.lstrip()[:1] in ("{", "["):
        try:
            return _json.decode(data)
        except ValueError:
            return data
    return data
