"""The event log: everything the hub sent, in the order received, and its DataFrame.

Recording stores a message's text and time and nothing else; it is taken apart when a frame is read, and
only once. One thread records (the hub's), any thread reads.
"""

from __future__ import annotations

import os
import threading
import time
import weakref
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import TYPE_CHECKING, Any, NamedTuple

from hercle_nb.events import CONNECTION, EVENT, KINDS, Content, HubEvent, read_event

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pandas as pd

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_TEXT_COLUMNS = ("target", "subject", "client_id", "channel", "topic", "type")


_logs: weakref.WeakSet[EventLog] = weakref.WeakSet()


def _unlock_after_fork() -> None:
    """A child must not wait for a lock that a thread of its parent held."""
    for log in _logs:
        log._lock = threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_unlock_after_fork)


class _Row(NamedTuple):
    received_us: int  # microseconds since 1970, UTC
    kind: str
    connection: int
    raw: str | None
    content: Content | None  # None: not taken apart yet


@dataclass
class _Gap:
    """A time without a connection."""

    connection: int
    lost_us: int
    back_us: int | None
    attempts: int
    reason: str


class EventLog:
    """An append-only log of hub events, commands and changes of the connection.

    Args:
        max_events: At least this many rows are kept, at most a tenth more; older ones are evicted.
        max_bytes: The same for the text of all rows together, in characters.
    """

    def __init__(self, max_events: int = 1_000_000, max_bytes: int = 1 << 30) -> None:
        self._max_events = max_events
        self._max_bytes = max_bytes
        self._rows: list[_Row] = []
        self._bytes = 0
        self._gaps: list[_Gap] = []
        self._evicted = 0  # also the seq of the first row kept
        self._framed = 0  # rows kept that are in the cached frame
        self._frame: pd.DataFrame | None = None
        self._lock = threading.Lock()
        _logs.add(self)

    def __len__(self) -> int:
        return len(self._rows)

    def __repr__(self) -> str:
        evicted = f", {self._evicted:,} older ones evicted" if self._evicted else ""
        return f"EventLog({len(self):,} rows{evicted})"

    @property
    def evicted(self) -> int:
        """How many rows have left memory."""
        return self._evicted

    @property
    def next_seq(self) -> int:
        """The seq that the next row will have."""
        return self._evicted + len(self._rows)

    @property
    def losses(self) -> int:
        """How many connections were lost."""
        return len(self._gaps)

    @property
    def gaps(self) -> pd.DataFrame:
        """When there was no connection, so that events may be missing: one row for each loss.

        Returns:
            Columns ``connection`` int32 (the one that was lost), ``lost_at``, ``back_at``
            datetime64[us, UTC] (NaT while it lasts), ``attempts`` int32, ``reason`` str.
        """
        import numpy as np
        import pandas as pd

        gaps = list(self._gaps)
        lost = np.array([gap.lost_us for gap in gaps], dtype="int64").view("datetime64[us]")
        back = np.array([gap.back_us for gap in gaps], dtype="float64")
        return pd.DataFrame(
            {
                "connection": np.array([gap.connection for gap in gaps], dtype="int32"),
                "lost_at": pd.DatetimeIndex(lost).tz_localize("UTC"),
                "back_at": pd.to_datetime(back, unit="us", utc=True).as_unit("us"),
                "attempts": np.array([gap.attempts for gap in gaps], dtype="int32"),
                "reason": pd.array([gap.reason for gap in gaps], dtype=_text_dtype()),
            }
        )

    def record_loss(self, connection: int, reason: str) -> None:
        """Append a row for a lost connection, and begin a gap. For the hub's own thread."""
        now, content = self._now(), Content(subject="connection.lost", data={"reason": reason})
        self._append(now, None, connection, CONNECTION, content)
        self._gaps.append(_Gap(connection, now, None, 0, reason))

    def record_return(self, connection: int, attempts: int) -> None:
        """Append a row for a connection made anew, and end the gap. For the hub's own thread."""
        gap, now = self._gaps[-1], self._now()
        data = {"seconds": (now - gap.lost_us) / 1_000_000, "attempts": attempts, "reason": gap.reason}
        self._append(now, None, connection, CONNECTION, Content(subject="connection.back", data=data))
        gap.back_us, gap.attempts = now, attempts

    def record(
        self, raw: str | None, connection: int, kind: str = EVENT, content: Content | None = None
    ) -> int:
        """Append a row as of now and return its seq. For the hub's own thread."""
        return self._append(self._now(), raw, connection, kind, content)

    def _now(self) -> int:
        """Microseconds since 1970; never less than the last row's, even if the clock was set back."""
        now = time.time_ns() // 1_000
        return max(now, self._rows[-1].received_us) if self._rows else now

    def _append(self, now: int, raw: str | None, connection: int, kind: str, content: Content | None) -> int:
        self._rows.append(_Row(now, kind, connection, raw, content))
        self._bytes += len(raw or "")
        seq = self._evicted + len(self._rows) - 1
        if len(self._rows) > self._max_events * 1.1 or self._bytes > self._max_bytes * 1.1:
            self._evict(connection)
        return seq

    def event(self, seq: int) -> HubEvent:
        """The row with that seq as a `HubEvent`.

        Raises:
            LookupError: It was evicted, or is yet to come.
        """
        with self._lock:
            index = seq - self._evicted
            if not 0 <= index < len(self._rows):
                raise LookupError(
                    f"No row {seq} in the log; it holds {len(self._rows):,} from {self._evicted}."
                )
            row = self._rows[index]
        content = row.content or read_event(row.raw or "")
        return HubEvent(
            seq=seq,
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
            raw=row.raw,
        )

    def frame(self) -> pd.DataFrame:
        """Every row kept, as a DataFrame; what was handed out does not change afterwards.

        Returns:
            Index ``seq`` int64, contiguous; columns ``received_at`` datetime64[us, UTC], ``kind``
            category (event, command, connection), ``connection`` int32, ``target``, ``subject``,
            ``client_id`` str, ``data`` object, ``channel``, ``topic``, ``type``, ``raw`` str. A missing
            text is NaN. The dtypes are the same for an empty frame.
        """
        import pandas as pd  # deferred: importing hercle_nb must stay quick

        with self._lock:
            new = self._rows[self._framed :]
            if self._frame is None:
                self._frame = _build(new, self._evicted)
            elif new:
                self._frame = pd.concat([self._frame, _build(new, self._evicted + self._framed)])
            self._framed += len(new)
            return self._frame.copy(deep=False)

    def _evict(self, connection: int) -> None:
        with self._lock:
            count = min(max(0, len(self._rows) - self._max_events + 1), len(self._rows) - 1)
            size = self._bytes - sum(len(row.raw or "") for row in islice(self._rows, count))
            while size > self._max_bytes and count < len(self._rows) - 1:
                size -= len(self._rows[count].raw or "")
                count += 1
            if not count:  # one row alone is more than max_bytes: the newest is always kept
                return
            del self._rows[:count]
            self._bytes = size
            self._evicted += count
            if self._frame is not None:
                self._frame = self._frame.iloc[count:]
            self._framed = max(0, self._framed - count)
        content = Content(subject="log.evicted", data={"rows": count, "rows_in_all": self._evicted})
        self._rows.append(_Row(self._rows[-1].received_us, CONNECTION, connection, None, content))


def _text_dtype() -> pd.StringDtype[Any]:
    """The dtype str of pandas with Python's own texts: Arrow's refuse half a character (a lone surrogate)."""
    import numpy as np
    import pandas as pd

    return pd.StringDtype("python", na_value=np.nan)


def _build(rows: Sequence[_Row], first_seq: int) -> pd.DataFrame:
    import numpy as np
    import pandas as pd

    text = _text_dtype()
    contents = [row.content or read_event(row.raw or "") for row in rows]
    data = np.empty(len(rows), dtype=object)
    for index, content in enumerate(contents):
        data[index] = content.data
    received_at = np.array([row.received_us for row in rows], dtype="int64").view("datetime64[us]")
    texts = {name: pd.array([getattr(c, name) for c in contents], dtype=text) for name in _TEXT_COLUMNS}
    seq = pd.RangeIndex(first_seq, first_seq + len(rows), name="seq")
    columns: dict[str, Any] = {
        "received_at": pd.DatetimeIndex(received_at).tz_localize("UTC"),
        "kind": pd.Categorical([row.kind for row in rows], categories=KINDS),
        "connection": np.array([row.connection for row in rows], dtype="int32"),
        "target": texts["target"],
        "subject": texts["subject"],
        "client_id": texts["client_id"],
        "data": pd.Series(data, index=seq, dtype=object),  # bare, texts alone would become str
        "channel": texts["channel"],
        "topic": texts["topic"],
        "type": texts["type"],
        "raw": pd.array([row.raw for row in rows], dtype=text),
    }
    return pd.DataFrame(columns, index=seq)
