"""A log as JSON lines: lossless, readable by eye, and noticed when anything of it is missing.

The first line says what the file is and how many rows follow; then one object for each row, ASCII alone,
so that a byte which is not UTF-8 (a lone surrogate in ``raw``) survives as its escape.
"""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Literal

import msgspec

from hercle_nb import _json
from hercle_nb._log_table import json_text, sent_content
from hercle_nb._store import Row
from hercle_nb._whole_file import explained, whole_file
from hercle_nb.errors import InvalidRequest
from hercle_nb.events import COMMAND, CONNECTION, Content
from hercle_nb.log import EventLog

if TYPE_CHECKING:
    import os
    from collections.abc import Iterator

_WHAT = "event log"
_FORMAT = 1  # a newer one is refused
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_LONGEST_HEADER = 1_000
_NOT_ASCII = re.compile(r"[^\x00-\x7f]")
_escaped = json.JSONEncoder().encode


class _Header(msgspec.Struct):
    hercle_nb: str
    format: int
    first_seq: int
    rows: int


class _Line(msgspec.Struct, gc=False):
    seq: int
    received_at: str
    kind: Literal["event", "command", "connection"]
    connection: int
    raw: str | None
    client_id: str | None = None  # of a command
    subject: str | None = None  # of a change of the connection
    type: str | None = None  # of an event whose message is incomplete


_header = msgspec.json.Decoder(_Header).decode
_line = msgspec.json.Decoder(_Line).decode


def write_jsonl(log: EventLog, path: str | os.PathLike[str]) -> Path:
    """Write every row kept as JSON lines; a file that is there is replaced.

    Each row has ``seq``, ``received_at`` (ISO 8601, UTC, microseconds), ``kind``, ``connection`` and ``raw``;
    a command its ``client_id``, a change of the connection ``subject`` and ``data``.

    Args:
        log: The log.
        path: The file, in a folder that exists.

    Raises:
        OSError: It cannot be written; what was there is as it was.
    """
    path, rows = Path(path).expanduser(), log.rows()
    first = rows[0].seq if rows else log.next_seq
    header = {"hercle_nb": _WHAT, "format": _FORMAT, "first_seq": first, "rows": len(rows)}
    with explained(path), whole_file(path) as file:
        file.write(f"{json.dumps(header)}\n".encode())
        file.writelines(f"{_written(row)}\n".encode("ascii") for row in rows)
    return path


def read_jsonl(path: str | os.PathLike[str]) -> EventLog:
    """Read what `write_jsonl` wrote: a log with the same rows, down to the last byte.

    Raises:
        InvalidRequest: The file is truncated, damaged, foreign or of a newer version; names the line.
        OSError: It cannot be read.
    """
    path = Path(path).expanduser()
    if path.is_dir():
        raise InvalidRequest(f"{path} is a folder; read_jsonl reads a file, read_parquet a folder of parts.")
    with path.open("rb") as file:
        header = _read_header(path, file)
        rows = list(_read_rows(path, file, header))
    if len(rows) < header.rows:
        raise InvalidRequest(
            f"{path} ends after {len(rows):,} of {header.rows:,} rows (line {len(rows) + 1}): it was cut "
            "off; copy it again."
        )
    return EventLog.restored(rows)


def _written(row: Row) -> str:
    time = (_EPOCH + timedelta(microseconds=row.received_us)).isoformat(timespec="microseconds")
    begin = (
        f'{{"seq":{row.seq},"received_at":"{time}","kind":"{row.kind}","connection":{row.connection},'
        f'"raw":{_escaped(row.raw)}'
    )
    content = row.content
    if content is None:
        return f"{begin}}}"
    if row.kind == COMMAND:
        return f'{begin},"client_id":{_escaped(content.client_id)}}}'
    if row.kind == CONNECTION:
        data = _NOT_ASCII.sub(lambda match: _escaped(match[0])[1:-1], json_text(content.data))
        return f'{begin},"subject":{_escaped(content.subject)},"data":{data}}}'
    return f'{begin},"type":{_escaped(content.type)}}}'


def _read_header(path: Path, file: BinaryIO) -> _Header:
    try:
        header = _header(file.readline(_LONGEST_HEADER))
    except (msgspec.MsgspecError, ValueError):
        header = None
    if header is None or header.hercle_nb != _WHAT:
        raise InvalidRequest(
            f"Line 1 of {path} is not the header of a log; only what to_jsonl wrote can be read back."
        )
    if header.format > _FORMAT:
        raise InvalidRequest(
            f"{path} was written by a newer hercle_nb (line 1 says format {header.format}); update this one: "
            "pip install -U hercle_nb"
        )
    return header


def _read_rows(path: Path, file: BinaryIO, header: _Header) -> Iterator[Row]:
    for number, text in enumerate(file):
        try:
            row = _read_row(text)
        except (msgspec.MsgspecError, ValueError, TypeError, KeyError, RecursionError) as error:
            raise InvalidRequest(
                f"Line {number + 2} of {path} is not a row of a log ({error}): it was cut off or changed; "
                "copy the file again."
            ) from error
        if number >= header.rows or row.seq != header.first_seq + number:
            raise InvalidRequest(
                f"Line {number + 2} of {path} is row {row.seq}, which does not belong there: the file was "
                "changed; copy it again."
            )
        yield row


def _read_row(text: bytes) -> Row:
    try:
        line = _line(text)
    except msgspec.ValidationError:
        raise
    except msgspec.DecodeError:  # perhaps half a character, which msgspec refuses
        line = msgspec.convert(_json.decode(text.decode()), _Line)
    content = None
    if line.kind == COMMAND:
        content = sent_content(line.raw or "", line.client_id)
    elif line.kind == CONNECTION:
        content = Content(subject=line.subject, data=_json.decode(text.decode())["data"])
    elif line.type is not None:
        content = Content(type=line.type)
    received_us = (datetime.fromisoformat(line.received_at) - _EPOCH) // _MICROSECOND
    return Row(line.seq, received_us, line.kind, line.connection, line.raw, content)
