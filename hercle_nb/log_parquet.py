"""A log as Parquet: one file, a folder of hive partitions, or the parts that a recorder wrote.

Any tool reads the columns; a log is rebuilt from ``raw``, so that nothing depends on what they say.
"""

from __future__ import annotations

import heapq
import itertools
import os
import secrets
import weakref
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

import msgspec

from hercle_nb._log_table import arrow, schema, to_rows, to_table
from hercle_nb._whole_file import explained, make_folder, whole_file
from hercle_nb.errors import InvalidRequest
from hercle_nb.log import EventLog

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from hercle_nb._store import Row

_FORMAT = 1  # of the rows in a file; a newer one is refused
_KEY = b"hercle_nb"  # of the file's metadata that says format and log
_DAY = 86_400_000_000  # microseconds
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_REPEATED = ["kind", "connection", "target", "subject", "channel", "topic", "type"]  # worth a dictionary
_GROUP_ROWS = 65_536
_GROUP_TEXT = 64 << 20


class _Origin(msgspec.Struct):
    """What a file's metadata says of where it comes from."""

    format: int
    log: str


_identities: weakref.WeakKeyDictionary[EventLog, str] = weakref.WeakKeyDictionary()


def identity(log: EventLog) -> str:
    """A random name for a log, by which its files are known; the same as long as the log lives."""
    return _identities.setdefault(log, secrets.token_hex(4))


def write_parquet(log: EventLog, path: str | os.PathLike[str], partition_by: str | None = None) -> Path:
    """Write every row kept as Parquet; what an earlier call wrote there is replaced.

    Args:
        log: The log.
        path: The file, in a folder that exists; with ``partition_by`` a folder, made if missing.
        partition_by: ``"date"`` for a file ``date=YYYY-MM-DD/events.parquet`` for each day (UTC).

    Raises:
        InvalidRequest: Another ``partition_by``, or the folder holds Parquet files that this would not
            replace, so that whoever reads it would read those too.
        ConfigurationError: pyarrow is not installed.
        OSError: It cannot be written; what was there is as it was.
    """
    arrow()
    if partition_by not in (None, "date"):
        raise InvalidRequest(f'partition_by is "date" or None, not {partition_by!r}.')
    path, rows = Path(path).expanduser(), log.rows()
    if partition_by is None:
        with explained(path), whole_file(path) as file:
            write_rows(rows, file, identity(log))
        return path
    parts: dict[Path, list[Row]] = {}
    for day, group in itertools.groupby(rows, day_of):
        date = EPOCH + timedelta(days=day)
        parts.setdefault(path / f"date={date:%Y-%m-%d}" / "events.parquet", []).extend(group)
    refuse_others(path, lambda file: file in parts)
    with explained(path), ExitStack() as whole:  # no file takes its place before all are written
        make_folder(path)
        for part, rows in parts.items():
            make_folder(part.parent)
            file = whole.enter_context(whole_file(part))
            write_rows(rows, file, identity(log))
            file.flush()
    return path


def read_parquet(path: str | os.PathLike[str]) -> EventLog:
    """Read what `write_parquet` or a recorder wrote, a file or a whole folder, unfinished parts left out.

    The rows of one log keep their ``seq`` if none is missing. Several logs in one folder (the kernel was
    restarted) are merged in order of time, and numbered from 0.

    Raises:
        InvalidRequest: A file is truncated, damaged, foreign or of a newer version, or there is none.
        ConfigurationError: pyarrow is not installed.
        OSError: A file cannot be read.
    """
    arrow()
    path = Path(path).expanduser()
    files = parquet_files(path) if path.is_dir() else [path]
    if not files:
        raise InvalidRequest(
            f"{path} holds no Parquet files; a recorder writes its first part when it is due."
        )
    logs: dict[str, dict[int, Row]] = {}
    for file in files:
        name, rows = _read_rows(file)
        logs.setdefault(name, {}).update((row.seq, row) for row in rows)
    ordered = [[rows[seq] for seq in sorted(rows)] for rows in logs.values()]
    if len(ordered) == 1 and _contiguous(ordered[0]):
        return EventLog.restored(ordered[0])
    merged = heapq.merge(*ordered, key=lambda row: row.received_us)
    return EventLog.restored([row._replace(seq=seq) for seq, row in enumerate(merged)])


def write_rows(rows: Sequence[Row], file: BinaryIO, identity: str) -> None:
    """Write rows of the log of that identity as one Parquet file; no text of a hub's makes it fail."""
    origin = msgspec.json.encode(_Origin(_FORMAT, identity))
    columns = schema().with_metadata({_KEY: origin})
    writer = arrow().parquet.ParquetWriter(
        file, columns, compression="zstd", use_dictionary=_REPEATED, write_page_checksum=True
    )
    with writer:
        for group in _groups(rows):
            writer.write_table(to_table(group))


def day_of(row: Row) -> int:
    """The day a row was received, UTC, as days since 1970."""
    return row.received_us // _DAY


def parquet_files(folder: Path) -> list[Path]:
    """Every Parquet file in a folder and those below it, in order of path, unless a dot hides it."""
    found = []
    for parent, folders, files in os.walk(folder):
        folders[:] = [name for name in folders if not name.startswith(".")]
        found += [Path(parent, name) for name in files if name.endswith(".parquet") and name[0] != "."]
    return sorted(found)


def refuse_others(folder: Path, ours: Callable[[Path], object]) -> None:
    """Refuse a folder with Parquet files that are not ``ours``: whoever reads it would read them too.

    Raises:
        InvalidRequest: There is one.
    """
    for file in parquet_files(folder):
        if not ours(file):
            raise InvalidRequest(
                f"{folder} holds {file.relative_to(folder)}, which would be read together with what is "
                "written now; choose a folder of its own, or delete that file."
            )


def _groups(rows: Sequence[Row]) -> Iterator[Sequence[Row]]:
    """Rows in groups small enough for memory."""
    start = text = 0
    for index, row in enumerate(rows):
        if index - start == _GROUP_ROWS or text > _GROUP_TEXT:
            yield rows[start:index]
            start, text = index, 0
        text += len(row.raw or "")
    yield rows[start:]


def _read_rows(file: Path) -> tuple[str, list[Row]]:
    """The identity of a file's log, and its rows."""
    pa = arrow()
    try:
        with (
            file.open("rb") as handle,
            pa.parquet.ParquetFile(handle, page_checksum_verification=True) as source,
        ):
            said = (source.schema_arrow.metadata or {}).get(_KEY)
            if said is None:
                raise ValueError("another program wrote it")
            origin = msgspec.json.decode(said, type=_Origin)
            if origin.format > _FORMAT:
                raise InvalidRequest(
                    f"{file} was written by a newer hercle_nb; update this one: pip install -U hercle_nb"
                )
            rows = to_rows(source.read(columns=schema().names).cast(schema()))
            if any(row.seq >= after.seq for row, after in itertools.pairwise(rows)):
                raise ValueError("its rows are out of order")
            return origin.log, rows
    except InvalidRequest:
        raise
    except (pa.ArrowException, msgspec.MsgspecError, ValueError) as error:
        why = error
    except OSError as error:
        if error.errno is not None:
            raise
        why = error  # of pyarrow: the content, not the disk
    raise InvalidRequest(
        f"{file} is no complete Parquet file of a log ({' '.join(str(why).split())}); copy it again, or "
        "leave it out: only what to_parquet and record wrote can be read back."
    ) from why


def _contiguous(rows: list[Row]) -> bool:
    return not rows or rows[-1].seq - rows[0].seq == len(rows) - 1
