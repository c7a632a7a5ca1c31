"""The event log: everything the hub sent, in the order received, and its DataFrame.

Recording stores a message and its time and nothing else; it is taken apart when a frame is read, and only
once. One thread records (the hub's), any thread reads.
"""

from __future__ import annotations

import json
import time
from datetime import datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Literal

from hercle_nb._pickling import StaysHere
from hercle_nb._store import Store, as_events
from hercle_nb.errors import InvalidRequest
from hercle_nb.events import CONNECTION, EVENT, KINDS, Content, HubEvent, to_text
from hercle_nb.gaps import BACK, LOST, Gap, gaps_frame, gaps_of

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Sequence
    from pathlib import Path

    import pandas as pd

    from hercle_nb._store import Row
    from hercle_nb.recorder import Recorder

_PAGE = 4_096  # rows read at a time, where all are


class EventLog(StaysHere):
    """An append-only log of hub events, commands and changes of the connection.

    Args:
        max_events: At least this many rows are kept, at most a tenth more; older ones are evicted.
        max_bytes: The same for the raw messages of all rows together.

    Example:
        >>> import hercle_nb as hercle
        >>> with hercle.connect("simulator") as hub:
        ...     event = hub.command("GetBalances")
        ...     hub.log["account.balances.snapshot"]["baseCurrency"].to_list()
        ['EUR']
    """

    _instead = (
        "hand over log.frame(), or write log.to_parquet(path) and read it with EventLog.read_parquet(path)"
    )

    def __init__(self, max_events: int = 1_000_000, max_bytes: int = 1 << 30) -> None:
        self._store = Store(max_events, max_bytes)
        self.keeper: Callable[[], object] = lambda: None  # what a recorder keeps alive: the hub, if any
        self._last_us = 0
        self._gaps: list[Gap] = []

    def __len__(self) -> int:
        return self._store.end - self._store.first

    def __repr__(self) -> str:
        evicted = f", {self.evicted:,} older ones evicted" if self.evicted else ""
        return f"EventLog({len(self):,} rows{evicted})"

    @property
    def evicted(self) -> int:
        """How many rows have left memory."""
        return self._store.first

    @property
    def next_seq(self) -> int:
        """The seq that the next row will have."""
        return self._store.end

    @property
    def losses(self) -> int:
        """How many connections were lost."""
        return len(self._gaps)

    @property
    def gaps(self) -> pd.DataFrame:
        """When there was no connection, so that events may be missing; one row for each loss.

        Returns:
            Columns ``connection`` int32 (the one that was lost), ``lost_at``, ``back_at``
            datetime64[us, UTC] (NaT while it lasts), ``attempts`` int32, ``reason`` str.
        """
        return gaps_frame(list(self._gaps))

    # -- writing, for the hub's own thread ---------------------------------------------------------------

    def extend(self, messages: list[bytes], connection: int) -> int:
        """Append events that arrived together, as of now, and return the first one's seq."""
        return self._append(self._now(), messages, connection, EVENT)

    def append(
        self, raw: str | None, connection: int, kind: str = EVENT, content: Content | None = None
    ) -> int:
        """Append a row as of now and return its seq."""
        return self._append(self._now(), [raw], connection, kind, content)

    def record_change(self, subject: str, data: dict[str, Any], connection: int) -> int:
        """Append a row for a change of the connection as of now, and return its seq."""
        return self._append_change(self._now(), subject, data, connection)

    def record_loss(self, connection: int, reason: str) -> None:
        """Append a row for a lost connection, and begin a gap."""
        now = self._now()
        self._append_change(now, LOST, {"reason": reason}, connection)
        self._gaps.append(Gap(connection, now, reason))

    def record_return(self, connection: int, attempts: int) -> None:
        """Append a row for a connection made anew, and end the gap."""
        gap, now = self._gaps[-1], self._now()
        data = {"seconds": (now - gap.lost_us) / 1_000_000, "attempts": attempts, "reason": gap.reason}
        self._append_change(now, BACK, data, connection)
        gap.back_us, gap.attempts = now, attempts

    @classmethod
    def restored(cls, rows: list[Row]) -> EventLog:
        """A log of rows that `rows` gave, in their order and numbered without a hole."""
        log = cls()
        log._store = Store(1 << 62, 1 << 62, rows[0].seq if rows else 0)
        for row in rows:
            log._append(row.received_us, [row.raw], row.connection, row.kind, row.content)
        log._gaps = gaps_of(rows)
        return log

    def _now(self) -> int:
        """Microseconds since 1970; never less than the last row's, even if the clock was set back."""
        return max(time.time_ns() // 1_000, self._last_us)

    def _append_change(self, now: int, subject: str, data: dict[str, Any], connection: int) -> int:
        # what a row holds is what its JSON says
        exact = json.loads(json.dumps(data), parse_float=Decimal)
        return self._append(now, [None], connection, CONNECTION, Content(subject=subject, data=exact))

    def _append(
        self,
        now: int,
        raws: Sequence[bytes | str | None],
        connection: int,
        kind: str,
        content: Content | None = None,
    ) -> int:
        self._last_us = now
        return self._store.append(now, kind, connection, raws, content)

    # -- reading, for any thread -------------------------------------------------------------------------

    def frame(
        self,
        kind: str | None = None,
        since: int | datetime | timedelta | str | None = None,
        last: int | None = None,
    ) -> pd.DataFrame:
        """The rows kept, as a DataFrame; what was handed out does not change afterwards.

        Costs what is new since the last reading. Writing to the frame does not change the log; the objects
        in ``data`` are shared and not to be modified.

        Args:
            kind: ``event``, ``command`` or ``connection`` for rows of that kind alone.
            since: Only rows from there on, itself included: a ``seq``, a time with a zone, or a span before
                now such as ``"15min"`` or a timedelta.
            last: Only so many rows at the end, of those that the other arguments choose.

        Returns:
            Index ``seq`` int64 (contiguous unless ``kind`` leaves rows out); columns ``received_at``
            datetime64[us, UTC], ``kind`` category (event, command, connection), ``connection`` int32,
            ``target``, ``subject``, ``client_id`` str, ``data`` object, ``channel``, ``topic``, ``type``,
            ``raw`` str. A missing text is NaN. The dtypes are the same for an empty frame.

        Raises:
            InvalidRequest: No such kind, ``since`` is none of these, or ``last`` is no whole number.
        """
        if kind is not None and kind not in KINDS:
            raise InvalidRequest(f"kind must be one of {', '.join(KINDS)}, not {kind!r}.")
        if last is not None and (isinstance(last, bool) or not isinstance(last, int) or last < 0):
            raise InvalidRequest(f"last must be a number of rows such as 100, not {last!r}.")
        begin = None if since is None else _beginning(since)
        frame = self._store.frame()
        if isinstance(begin, int):
            frame = frame.loc[begin:]
        elif begin is not None:
            frame = frame.iloc[int(frame["received_at"].searchsorted(begin)) :]
        if kind is not None:
            frame = frame[frame["kind"] == kind]
        return frame if last is None else frame.iloc[max(0, len(frame) - last) :]

    def expand(self, subject: str, numbers: Literal["float", "decimal"] = "float") -> pd.DataFrame:
        """Take the data of one subject's events apart into typed columns.

        Objects in objects have dotted names, an array gives a row for each element, missing keys are NA.
        ``log[subject]`` is the same for short.

        Args:
            subject: The subject in full.
            numbers: What fractional numbers become: ``float``, the nearest float64, or ``decimal``, exact.

        Returns:
            Index ``seq`` int64 (repeated for an array's elements); columns ``received_at``
            datetime64[us, UTC], ``connection`` int32, then the data's keys in order of first appearance.
            ISO 8601 times with a zone, and integers under ``timestamp`` or ``…At`` (epoch milliseconds), are
            datetime64[us, UTC]. No such event: these two columns, without rows.

        Raises:
            InvalidRequest: The subject is not a text, or ``numbers`` is neither of the two.
        """
        from hercle_nb.expansion import expand

        return expand(self.frame(), subject, numbers)

    def subjects(self) -> pd.Series[int]:
        """Count the events of each subject, those without one left out.

        Returns:
            ``events`` int64, the most frequent first, then by name; index ``subject`` str.
        """
        from hercle_nb.expansion import subjects

        return subjects(self.frame())

    def __getitem__(self, subject: str) -> pd.DataFrame:
        return self.expand(subject)

    __iter__ = None  # a log is no sequence: `frame` has its rows

    def _ipython_key_completions_(self) -> list[str]:
        return list(self.subjects().index)

    # -- out of memory and back ---------------------------------------------------------------------------

    def to_jsonl(self, path: str | os.PathLike[str]) -> Path:
        """Write every row kept as JSON lines, lossless; a file that is there is replaced.

        The folder must exist. The file is complete or absent, whatever interrupts the writing.

        Raises:
            OSError: It cannot be written; what was there is as it was.

        Example:
            >>> import tempfile
            >>> import hercle_nb as hercle
            >>> folder = tempfile.TemporaryDirectory()
            >>> with folder, hercle.connect("simulator") as hub:
            ...     file = hub.log.to_jsonl(f"{folder.name}/events.jsonl")
            ...     len(EventLog.read_jsonl(file)) == len(hub.log)
            True
        """
        from hercle_nb.log_jsonl import write_jsonl

        return write_jsonl(self, path)

    @classmethod
    def read_jsonl(cls, path: str | os.PathLike[str]) -> EventLog:
        """Read what `to_jsonl` wrote: a log with the same rows, down to the last byte.

        Raises:
            InvalidRequest: The file is truncated, foreign or of a newer version; names the line.
            OSError: It cannot be read.
        """
        from hercle_nb.log_jsonl import read_jsonl

        return read_jsonl(path)

    def to_parquet(self, path: str | os.PathLike[str], partition_by: str | None = None) -> Path:
        """Write every row kept as Parquet; what an earlier call wrote there is replaced.

        Columns ``seq`` int64, ``received_at`` timestamp[us, UTC], ``kind`` string, ``connection`` int32,
        ``target``, ``subject``, ``client_id`` string, ``data`` string (strict JSON, the hub's own digits),
        ``channel``, ``topic``, ``type``, ``raw`` string, ``raw_bytes`` binary (where raw is not UTF-8).

        Args:
            path: The file, in a folder that exists; with ``partition_by`` a folder, made if missing.
            partition_by: ``date`` for a file ``date=YYYY-MM-DD/events.parquet`` for each day (UTC).

        Raises:
            InvalidRequest: Another ``partition_by``, or the folder holds Parquet files not replaced by this.
            ConfigurationError: pyarrow is not installed.
            OSError: It cannot be written; what was there is as it was.
        """
        from hercle_nb.log_parquet import write_parquet

        return write_parquet(self, path, partition_by)

    @classmethod
    def read_parquet(cls, folder: str | os.PathLike[str]) -> EventLog:
        """Read what `to_parquet` or `record` wrote: a file, or a folder of parts, unfinished ones left out.

        The rows of one log keep their ``seq`` if none is missing; several logs are merged in order of time
        and numbered from 0.

        Raises:
            InvalidRequest: A file is truncated, damaged, foreign or newer, or there is none.
            ConfigurationError: pyarrow is not installed.
            OSError: A file cannot be read.
        """
        from hercle_nb.log_parquet import read_parquet

        return read_parquet(folder)

    def record(self, folder: str | os.PathLike[str], every: str | timedelta = "5min") -> Recorder:
        """Write every row to Parquet parts, from those still kept on, until cancelled or the hub is closed.

        Each part is complete or absent, as ``date=YYYY-MM-DD/part-….parquet``; read them as
        ``folder/**/*.parquet``. Recording into the same folder again ends the recorder before it and goes on
        where that one stopped. It keeps the hub alive.

        Args:
            folder: Made if missing.
            every: How often a part is written: a span such as ``5min`` or a timedelta, at least a second.

        Raises:
            InvalidRequest: No such span, or the folder holds Parquet files of others.
            ConfigurationError: pyarrow is not installed.
            OSError: The folder cannot be made or written to.

        Example:
            >>> import tempfile
            >>> import hercle_nb as hercle
            >>> folder = tempfile.TemporaryDirectory()
            >>> with folder, hercle.connect("simulator") as hub:
            ...     recorder = hub.log.record(folder.name, every="5min")
            ...     recorder.cancel()
            ...     len(EventLog.read_parquet(folder.name)) == recorder.rows
            True
        """
        from hercle_nb.recorder import Recorder

        return Recorder(self, folder, every, self.keeper())

    # -- for those who follow it --------------------------------------------------------------------------

    def event(self, seq: int) -> HubEvent:
        """The row with that seq as a `HubEvent`.

        Raises:
            LookupError: It was evicted, or is yet to come.
        """
        rows = self._store.read(seq, 1)
        if not rows or rows[0].seq != seq:
            raise LookupError(f"No row {seq} in the log; it holds {len(self):,} from {self.evicted}.")
        return as_events(rows)[0]

    def read(
        self, since: int, limit: int, needles: tuple[bytes, ...] = ()
    ) -> tuple[list[HubEvent], int, int]:
        """The hub events among some rows from that seq on, the first row looked at, and where to go on.

        Args:
            since: The first row to look at.
            limit: How many rows to look at.
            needles: If given, an event whose message holds none of these is passed over unread, unless a
                backslash in it may hide one.
        """
        rows = self._store.read(since, limit)
        if not rows:
            return [], since, since
        found = [row for row in rows if row.kind == EVENT and (not needles or _may_hold(row.raw, needles))]
        return as_events(found), rows[0].seq, rows[-1].seq + 1

    def rows(self, since: int = 0, until: int | None = None) -> list[Row]:
        """The rows kept from that seq on, up to another, as they were recorded, raw messages as text."""
        rows: list[Row] = []
        since, until = max(since, self.evicted), self.next_seq if until is None else until
        while since < until and (page := self._store.read(since, min(_PAGE, until - since))):
            rows += [row._replace(raw=to_text(row.raw)) if row.raw else row for row in page]
            since = page[-1].seq + 1
        return rows


def _may_hold(raw: bytes | str | None, needles: tuple[bytes, ...]) -> bool:
    """Whether a message, its escapes resolved, may hold one of these."""
    if not isinstance(raw, bytes):
        raw = (raw or "").encode("utf-8", "surrogatepass")
    return any(needle in raw for needle in needles) or b"\\" in raw


def _beginning(since: Any) -> int | pd.Timestamp:
    """Where ``since`` begins: a seq, or a time in UTC."""
    import pandas as pd

    if isinstance(since, int) and not isinstance(since, bool):
        return since
    try:
        if isinstance(since, str | timedelta):
            span = pd.Timedelta(since)
            if span == span:  # not NaT
                return pd.Timestamp.now("UTC") - span
        elif isinstance(since, datetime) and since.tzinfo is not None and since == since:
            return pd.Timestamp(since).tz_convert("UTC")
    except (ValueError, OverflowError):
        pass
    raise InvalidRequest(
        f'since must be a seq such as 100, a time with a zone, or a span such as "15min", not {since!r}.'
    )
