"""Where a log's rows are: raw and in chunks as they arrived, taken apart into columns once a frame is read.

One thread appends and evicts (the hub's), any thread reads. The one that appends never waits while a reader
takes messages apart: that happens outside the lock, a chunk at a time.
"""

from __future__ import annotations

import os
import threading
import weakref
from array import array
from bisect import bisect_right
from datetime import UTC, datetime, timedelta
from operator import attrgetter
from typing import TYPE_CHECKING, NamedTuple

from hercle_nb.events import CONNECTION, KINDS, Content, HubEvent, read_events, to_text

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import pandas as pd

    from hercle_nb._columns import Columns

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_CHUNK = 4_096  # rows, and what is taken apart between two looks at the lock


class Row(NamedTuple):
    """A row as it was recorded, before anything takes it apart.

    Attributes:
        seq: Its number.
        received_us: When it was received or sent, in microseconds since 1970, UTC.
        kind: ``event``, ``command`` or ``connection``.
        connection: Number of the connection.
        raw: The SignalR message, as received or as text; None for a change of the connection.
        content: What ``raw`` does not say: all of a change of the connection, the ClientId of a command, that
            an event is incomplete. None for an ordinary event.
    """

    seq: int
    received_us: int
    kind: str
    connection: int
    raw: bytes | str | None
    content: Content | None


def as_events(rows: list[Row]) -> list[HubEvent]:
    """Rows taken apart."""
    read = iter(read_events(row.raw or "" for row in rows if row.content is None))
    events = []
    for row in rows:
        content = row.content or next(read)
        events.append(
            HubEvent(
                seq=row.seq,
                received_at=_EPOCH + timedelta(microseconds=row.received_us),
                kind=row.kind,
                connection=row.connection,
                target=content.target,
                subject=content.subject,
                client_id=content.client_id,
                data=content.data,
                channel=content.channel,
                topic=content.topic,
                type=content.type,
                raw=None if row.raw is None else to_text(row.raw),
            )
        )
    return events


class _Chunk:
    """Rows of one kind and connection, raw. One with a content is a row alone."""

    __slots__ = ("connection", "content", "first", "kind", "raws", "times")

    def __init__(self, first: int, kind: str, connection: int, content: Content | None) -> None:
        self.first = first
        self.kind = kind
        self.connection = connection
        self.content = content
        self.times = array("q")
        self.raws: list[bytes | str | None] = []

    @property
    def end(self) -> int:
        return self.first + len(self.raws)

    def takes(self, kind: str, connection: int) -> bool:
        """Whether more rows of that kind may be put here."""
        return (
            self.kind == kind
            and self.connection == connection
            and self.content is None
            and len(self.raws) < _CHUNK
        )

    def drop(self, until: int) -> None:
        """Forget the rows before that seq."""
        count = until - self.first
        del self.times[:count], self.raws[:count]
        self.first = until


_first = attrgetter("first")
_stores: weakref.WeakSet[Store] = weakref.WeakSet()


def _unlock_after_fork() -> None:
    """A child must not wait for a lock that a thread of its parent held."""
    for store in _stores:
        store.unlock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_unlock_after_fork)


class Store:
    """The rows of one log.

    Args:
        max_rows: At least this many are kept, at most a tenth more.
        max_size: The same for the length of all raw messages together.
        first: The seq of the first row to come.

    Attributes:
        first: The seq of the first row kept.
        end: The seq that the next row will have.
        size: The length of all raw messages kept.
    """

    def __init__(self, max_rows: int, max_size: int, first: int = 0) -> None:
        self._max_rows = max_rows
        self._max_size = max_size
        self.first = self.end = first
        self.size = 0
        self._chunks: list[_Chunk] = []  # not taken apart yet
        self._columns: Columns | None = None  # the rows before them
        self._contents: dict[int, Content] = {}  # of rows there that their raw message does not say all about
        self.unlock()
        _stores.add(self)

    def unlock(self) -> None:
        """Make new locks."""
        self._lock = threading.Lock()  # held for moments only
        self._taking_apart = threading.Lock()  # one reader at a time

    def append(
        self,
        received_us: int,
        kind: str,
        connection: int,
        raws: Sequence[bytes | str | None],
        content: Content | None = None,
    ) -> int:
        """Append rows that arrived together, one alone if it has a content; return the first one's seq.

        What is too much is evicted at once, and a row says so.
        """
        with self._lock:
            first = self.end
            self._add(received_us, kind, connection, raws, content)
            too_much = self.end - self.first > self._max_rows * 1.1 or self.size > self._max_size * 1.1
            if too_much and (evicted := self._evict()):
                said = Content(subject="log.evicted", data={"rows": evicted, "rows_in_all": self.first})
                self._add(received_us, CONNECTION, connection, [None], said)
        return first

    def _add(
        self,
        received_us: int,
        kind: str,
        connection: int,
        raws: Sequence[bytes | str | None],
        content: Content | None,
    ) -> None:
        if content is not None or not self._chunks or not self._chunks[-1].takes(kind, connection):
            self._chunks.append(_Chunk(self.end, kind, connection, content))
        chunk = self._chunks[-1]
        chunk.times.extend(array("q", [received_us]) * len(raws))
        chunk.raws.extend(raws)
        self.size += sum(map(len, filter(None, raws)))
        self.end += len(raws)

    def _evict(self) -> int:
        """Let the oldest rows go, so that with the row that says so none is too much; return how many.

        The newest row always stays.
        """
        rows = size = 0
        for length in self._sizes():
            left = self.end - self.first - rows
            if left == 1 or (left < self._max_rows and self.size - size <= self._max_size):
                break
            rows, size = rows + 1, size + length
        self.first += rows
        self.size -= size
        if self._columns is not None:
            self._columns.drop(self.first)
        self._drop_chunks(self.first)
        for seq in list(self._contents):
            if seq >= self.first:
                break
            del self._contents[seq]
        return rows

    def read(self, since: int, limit: int) -> list[Row]:
        """The rows kept from that seq on, at most so many."""
        with self._lock:
            begin = max(since, self.first)
            stop = min(begin + limit, self.end)
            rows: list[Row] = []
            if self._columns is not None and begin < self._columns.end:
                stored = self._columns.stored(begin, stop)
                rows += [
                    Row(seq, us, KINDS[kind], connection, raw, self._contents.get(seq))
                    for seq, (us, kind, connection, raw) in enumerate(stored, begin)
                ]
                begin = self._columns.end
            for index in range(max(0, bisect_right(self._chunks, begin, key=_first) - 1), len(self._chunks)):
                chunk = self._chunks[index]
                if chunk.first >= stop:
                    break
                part = slice(max(0, begin - chunk.first), stop - chunk.first)
                rows += [
                    Row(seq, us, chunk.kind, chunk.connection, raw, chunk.content)
                    for seq, us, raw in zip(
                        range(chunk.first + part.start, stop),
                        chunk.times[part],
                        chunk.raws[part],
                        strict=False,  # the chunk may end before `stop`
                    )
                ]
        return rows

    def frame(self) -> pd.DataFrame:
        """Every row kept, as a DataFrame."""
        until = self.end
        with self._taking_apart:
            if self._columns is None:
                from hercle_nb._columns import Columns  # deferred: brings pandas

                with self._lock:
                    self._columns = Columns(self.first)
            while True:
                # where all that was there has been evicted meanwhile, go on with what has come since
                while self._columns.end < (until if len(self._columns) else self.end):
                    self._take_apart_some(self._columns)
                with self._lock:
                    if len(self._columns) or self.first == self.end:
                        return self._columns.frame()

    def _take_apart_some(self, columns: Columns) -> None:
        """Move a chunk's rows to the columns; an interrupt at any moment loses and doubles none."""
        with self._lock:
            self._drop_chunks(columns.end)  # if the last time was interrupted
            if not self._chunks:
                return
            chunk = self._chunks[0]
            first, times, raws = chunk.first, chunk.times[:], chunk.raws[:]
        contents = [chunk.content] if chunk.content else read_events(raw or "" for raw in raws)
        try:
            texts = [raw.decode() for raw in raws]  # type: ignore[union-attr]  # nearly always right
        except (AttributeError, UnicodeDecodeError):
            texts = [None if raw is None else to_text(raw) for raw in raws]
        sizes = [len(raw or b"") for raw in raws]
        with self._lock:
            kept = slice(columns.end - first, None)  # some may have been evicted meanwhile
            kind = KINDS.index(chunk.kind)
            if chunk.content is not None and contents[kept]:
                self._contents[first] = chunk.content
            columns.append(times[kept], kind, chunk.connection, texts[kept], sizes[kept], contents[kept])
            self._drop_chunks(columns.end)

    def _sizes(self) -> Iterator[int]:
        """The length of each raw message kept, oldest first."""
        begin = self.first
        if self._columns is not None:
            yield from self._columns.sizes()
            begin = self._columns.end
        for chunk in self._chunks:
            for raw in chunk.raws[max(0, begin - chunk.first) :]:
                yield len(raw or b"")

    def _drop_chunks(self, until: int) -> None:
        """Forget the raw rows before that seq."""
        count = bisect_right(self._chunks, until, key=_first)
        if count and self._chunks[count - 1].end > until:
            count -= 1
            self._chunks[count].drop(until)
        del self._chunks[:count]
