"""The rows of a log as an Arrow table, and back: the columns of the Parquet files.

A message is taken apart by msgspec, which leaves the hub's own text of ``data`` as it is; whatever does not
fit goes the way of the frame, through `read_event`. What is read back is rebuilt from ``raw`` alone.
"""

from __future__ import annotations

import functools
import json
import math
import re
from decimal import Decimal
from typing import TYPE_CHECKING, Any, TypeAlias

import msgspec

from hercle_nb import _json
from hercle_nb._store import Row
from hercle_nb.errors import ConfigurationError
from hercle_nb.events import (
    COMMAND,
    CONNECTION,
    EVENT,
    INVOCATION,
    KINDS,
    Content,
    read_event,
    read_message,
    to_text,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

# target, subject, client_id, data, channel, topic, type, raw, raw_bytes
_Texts: TypeAlias = tuple[str | bytes | None, ...]

_INCOMPLETE = ("incomplete", None, None, None, None, None, None)
_HALF_CHARACTER = re.compile("[\ud800-\udfff]")


class _Message(msgspec.Struct, gc=False):
    type: int
    arguments: tuple[msgspec.Raw]
    target: str | None = None


class _Envelope(msgspec.Struct, gc=False, rename={"client_id": "clientId"}):
    subject: str | None = None
    client_id: str | None = None
    channel: str | None = None
    topic: str | None = None
    type: str | None = None
    data: msgspec.Raw = msgspec.Raw()


_message = msgspec.json.Decoder(_Message).decode
_envelope = msgspec.json.Decoder(_Envelope).decode
_text = msgspec.json.Decoder(str).decode
_any_json = msgspec.json.Decoder(msgspec.Raw).decode


def arrow() -> Any:
    """The module pyarrow, with its ``parquet``.

    Raises:
        ConfigurationError: It is not installed.
    """
    try:
        import pyarrow.parquet
    except ImportError as error:
        raise ConfigurationError("Parquet needs pyarrow: pip install 'hercle_nb[parquet]'") from error
    return pyarrow


@functools.cache
def schema() -> Any:
    """The Arrow schema of every table here.

    ``seq`` int64, ``received_at`` timestamp[us, UTC], ``kind`` string, ``connection`` int32, ``target``,
    ``subject``, ``client_id`` string, ``data`` string (JSON), ``channel``, ``topic``, ``type``, ``raw``
    string, ``raw_bytes`` binary (null unless the text is not UTF-8).
    """
    pa = arrow()
    names = ("target", "subject", "client_id", "data", "channel", "topic", "type", "raw")
    return pa.schema(
        [
            pa.field("seq", pa.int64()),
            pa.field("received_at", pa.timestamp("us", tz="UTC")),
            pa.field("kind", pa.string()),
            pa.field("connection", pa.int32()),
            *(pa.field(name, pa.string()) for name in names),
            pa.field("raw_bytes", pa.binary()),
        ]
    )


def to_table(rows: Sequence[Row]) -> Any:
    """Rows as a `pyarrow.Table`; no text of a hub's makes it fail."""
    texts = [_texts(row) for row in rows]
    columns: list[list[Any]] = [[row[index] for row in rows] for index in range(4)]
    columns += [[text[index] for text in texts] for index in range(len(schema()) - 4)]
    pa, fields = arrow(), schema()
    arrays = [pa.array(column, field.type) for column, field in zip(columns, fields, strict=True)]
    return pa.table(arrays, fields)


def to_rows(table: Any) -> list[Row]:
    """The rows of a table that `to_table` made.

    Raises:
        ValueError: A row is not one of a log.
    """
    times = table["received_at"].cast("int64").to_pylist()
    names = ("kind", "connection", *schema().names[4:])
    columns = (table[name].to_pylist() for name in names)
    return [_row(*values) for values in zip(table["seq"].to_pylist(), times, *columns, strict=True)]


def sent_content(raw: str, client_id: str | None) -> Content:
    """What a command says: its target and arguments as its own text says them."""
    _, message = read_message(raw)
    said = message if isinstance(message, dict) else {}
    target = said.get("target")
    return Content(
        target=target if isinstance(target, str) else None, client_id=client_id, data=said.get("arguments")
    )


def json_text(value: Any) -> str:
    """A decoded value as JSON again: exact digits, half characters as they are, null for NaN and infinity.

    Unlike `_json.encode` it takes whatever a hub may have sent, and never writes an exponent out in full.
    """
    if isinstance(value, dict):
        return f"{{{','.join(f'{json_text(str(key))}:{json_text(item)}' for key, item in value.items())}}}"
    if isinstance(value, list | tuple):
        return f"[{','.join(map(json_text, value))}]"
    if isinstance(value, Decimal):
        return str(value) if value.is_finite() else "null"
    if isinstance(value, float) and not math.isfinite(value):
        return "null"
    return json.dumps(value, ensure_ascii=False, default=str)


def _texts(row: Row) -> _Texts:
    raw = row.raw
    if raw is not None and row.content is None:
        try:
            message = _message(raw)
            argument = message.arguments[0]
            said = _envelope(argument)
            if message.type == INVOCATION:
                data = bytes(said.data) or bytes(argument)
                return (
                    message.target,
                    said.subject,
                    said.client_id,
                    data if data[0] == 123 else _inner(data),  # 123: an object
                    said.channel,
                    said.topic,
                    said.type,
                    raw,
                    None,
                )
        except (msgspec.MsgspecError, ValueError, RecursionError):  # ValueError: of half a character
            pass
    return _texts_slowly(row)


def _inner(data: bytes) -> str | bytes | None:
    """The text of data; where it is a text that holds JSON, that."""
    if data == b"null":
        return None
    if data[:1] == b'"' and (text := _text(data)).lstrip()[:1] in ("{", "["):
        return bytes(_any_json(text))
    return data


def _texts_slowly(row: Row) -> _Texts:
    text = None if row.raw is None else to_text(row.raw)
    content = row.content or read_event(text or "")
    try:
        data = None if content.data is None else json_text(content.data)
    except (ValueError, RecursionError):  # too many digits, or nested too deeply: raw has it all the same
        data = None
    raw = None if text is None else _wire_bytes(text)
    shown = None if raw is None else raw.decode(errors="replace")
    exact = None if shown == text else raw
    if row.kind == CONNECTION and data is not None and data != _whole(data):
        exact = data.encode(errors="surrogatepass")
    return (
        _whole(content.target),
        _whole(content.subject),
        _whole(content.client_id),
        _whole(data),
        _whole(content.channel),
        _whole(content.topic),
        _whole(content.type),
        shown,
        exact,
    )


def _wire_bytes(raw: str) -> bytes:
    try:
        return raw.encode(errors="surrogateescape")
    except UnicodeEncodeError:  # no bytes were ever read as this text
        return raw.encode(errors="surrogatepass")


def _whole(text: str | None) -> str | None:
    return None if text is None else _HALF_CHARACTER.sub("\ufffd", text)


def _row(
    seq: int | None,
    received_us: int | None,
    kind: str | None,
    connection: int | None,
    target: str | None,
    subject: str | None,
    client_id: str | None,
    data: str | None,
    channel: str | None,
    topic: str | None,
    type_: str | None,
    raw: str | None,
    raw_bytes: bytes | None,
) -> Row:
    if seq is None or received_us is None or kind not in KINDS or connection is None:
        raise ValueError(f"row {seq} lacks its number, time, kind or connection")
    content = None
    if kind == CONNECTION:
        if raw_bytes is not None:
            data, raw_bytes = raw_bytes.decode(errors="surrogatepass"), None
        content = Content(subject=subject, data=None if data is None else _json.decode(data))
    elif raw_bytes is not None:
        raw = raw_bytes.decode(errors="surrogateescape")
    if kind == COMMAND:
        content = sent_content(raw or "", client_id)
    elif kind == EVENT and (type_, target, subject, client_id, data, channel, topic) == _INCOMPLETE:
        content = Content(type="incomplete")
    return Row(seq, received_us, kind, connection, raw, content)
