"""Recording a log into Parquet parts while it runs, so that nothing is lost with the kernel."""

from __future__ import annotations

import atexit
import contextvars
import errno
import logging
import os
import re
import tempfile
import threading
import time
import weakref
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hercle_nb._log_table import arrow
from hercle_nb._pickling import StaysHere
from hercle_nb._whole_file import explained, make_folder, whole_file
from hercle_nb.errors import InvalidRequest
from hercle_nb.log_parquet import EPOCH, day_of, identity, refuse_others, write_rows

if TYPE_CHECKING:
    from hercle_nb._store import Row
    from hercle_nb.log import EventLog

logger = logging.getLogger("hercle_nb")

_MAX_ROWS = 250_000  # of one part
_MAX_TEXT = 128 << 20  # characters of one part
_LOOK = 0.25  # seconds; new rows are taken out of the log as often, before it evicts them
_SLICE = 0.1  # seconds; an interrupt reaches a waiting thread between two slices, on every platform

_PART = re.compile(r"part-\d{8}T\d{12}Z-[0-9a-f]{8}-\d{12,}\.parquet")

_running: weakref.WeakSet[Recorder] = weakref.WeakSet()
# the last part of each log in each folder, and the seq after it: a recorder begun again goes on from there
_reached: weakref.WeakKeyDictionary[EventLog, dict[Path, tuple[Path, int]]] = weakref.WeakKeyDictionary()


class Recorder(StaysHere):
    """Writes every row of a log to a folder of Parquet parts, until `cancel` or until the hub is closed.

    It begins with everything the log still keeps. Recording the same log into the same folder again, as a
    cell that is run again does, ends the recorder before it and goes on where that one stopped. Each part
    is complete or absent; one under way is a file whose name starts with a dot, which the pattern
    ``folder/**/*.parquet`` leaves out in every tool. Rows are lost only if the log evicts them while they
    cannot be written: `lost` counts them.

    Args:
        log: The log.
        folder: Where the parts go, as ``date=YYYY-MM-DD/part-….parquet`` (UTC); made if missing.
        every: How often one is written: a span such as ``"5min"`` or a `timedelta`, at least a second. Many
            rows (250,000) or much text (128 MiB) are written earlier.
        keeper: Kept alive while it runs, such as the hub that the rows come from.

    Raises:
        InvalidRequest: No such span, or the folder holds Parquet files that no recorder wrote.
        ConfigurationError: pyarrow is not installed.
        OSError: The folder cannot be made or written to.

    Attributes:
        folder: Where the parts go.
        parts: How many were written.
        rows: How many rows are in them.
        lost: How many rows the log evicted before they could be written.
        error: Why the last writing failed; None if it did not.
    """

    folder: Path
    parts: int
    rows: int
    lost: int
    error: Exception | None

    _instead = "hand over its folder, which EventLog.read_parquet(folder) reads"

    def __init__(
        self,
        log: EventLog,
        folder: str | os.PathLike[str],
        every: str | timedelta = "5min",
        keeper: Any = None,
    ) -> None:
        self._seconds = _seconds(every)
        arrow()
        self.folder = Path(os.path.realpath(Path(folder).expanduser()))
        self.parts = self.rows = self.lost = 0
        self.error = None
        self._log = log
        self._identity = identity(log)
        self._keeper = keeper
        self._waiting: list[Row] = []
        self._text = 0  # characters that wait
        self._process = os.getpid()
        self._stop = threading.Event()
        self._done = threading.Event()
        self._ended = False
        self._check_folder()
        for other in list(_running):
            if other._log is log and other.folder == self.folder:
                other.close()
        part, reached = _reached.get(log, {}).get(self.folder, (self.folder, 0))
        self._taken = max(log.evicted, reached if part.is_file() else 0)
        context = contextvars.copy_context()  # so that what is logged finds the cell
        self._thread = threading.Thread(
            target=context.run, args=(self._run,), name="hercle-recorder", daemon=True
        )
        self._thread.start()
        _running.add(self)

    def cancel(self) -> None:
        """Write the last part and end; does nothing the second time.

        Raises:
            OSError: The last part could not be written; its rows are in the log still.
        """
        if self._end() and self.error is not None:
            number = getattr(self.error, "errno", None) or errno.EIO
            raise OSError(number, self._unwritten()) from self.error

    def close(self, *, wait: bool = True) -> None:
        """As `cancel`, for `Hub.close`: what goes wrong is logged instead of raised.

        Args:
            wait: Whether to wait until the last part is written.
        """
        if not wait:
            self._stop.set()
        elif self._end() and self.error is not None:
            logger.error("%s", self._unwritten())

    def __repr__(self) -> str:
        state = "ended" if self._done.is_set() else "recording"
        lost = f", {self.lost:,} lost" if self.lost else ""
        failing = f"; the last part could not be written: {self.error}" if self.error else ""
        return f"<Recorder {state}: {self.rows:,} rows in {self.parts:,} parts{lost}, {self.folder}{failing}>"

    def _check_folder(self) -> None:
        """Make the folder and try to write, so that what is wrong is said in the cell."""
        refuse_others(self.folder, lambda file: _PART.fullmatch(file.name))
        with explained(self.folder):
            make_folder(self.folder)
            with tempfile.TemporaryFile(dir=self.folder, buffering=0) as file:
                file.write(b"tried")

    def _end(self) -> bool:
        """Let the thread write the last part, and wait for it; whether this was the first time."""
        if self._ended or os.getpid() != self._process:  # a forked child has no such thread
            return False
        self._stop.set()
        while not self._done.wait(_SLICE):  # an interrupted join takes the thread for ended (CPython 3.11)
            pass
        self._thread.join()
        self._ended = True
        _running.discard(self)
        self.lost += sum(row.seq < self._log.evicted for row in self._waiting)
        return True

    def _run(self) -> None:
        due = time.monotonic() + self._seconds
        while not self._stop.wait(_LOOK):
            is_due = time.monotonic() >= due
            self._turn(is_due=is_due)
            if is_due:
                due = time.monotonic() + self._seconds
        self._turn(is_due=True)
        self._keeper = None
        self._done.set()

    def _turn(self, *, is_due: bool) -> None:
        """Take new rows, and write what waits if it is due or enough; where that fails it waits on."""
        log_has_more = self._full
        try:
            self._take()
            if not is_due and (not self._full or self.error is not None):
                return
            self._write_waiting()
            if log_has_more:
                self._take()
                self._write_waiting()
        except Exception as error:  # noqa: BLE001  # whatever it is, it must not end the recording
            if self.error is None:
                logger.error("recording failed, and is tried again: %s", error)
            self.error = error
        else:
            self.error = None

    @property
    def _full(self) -> bool:
        return len(self._waiting) >= _MAX_ROWS or self._text >= _MAX_TEXT

    def _take(self) -> None:
        """Take new rows out of the log, unless enough are waiting."""
        if self._full or self._log.next_seq <= self._taken:
            return
        rows = self._log.rows(self._taken)
        self.lost += rows[0].seq - self._taken
        self._taken = rows[-1].seq + 1
        self._waiting += rows
        self._text += _length(rows)

    def _write_waiting(self) -> None:
        while self._waiting:
            rows = self._next_part()
            first = rows[0]
            at = EPOCH + timedelta(microseconds=first.received_us)
            name = f"part-{at:%Y%m%dT%H%M%S%fZ}-{self._identity}-{first.seq:012}.parquet"
            part = self.folder / f"date={at:%Y-%m-%d}" / name
            with explained(self.folder):
                make_folder(part.parent, parents=False)  # a folder that was taken away stays away
                with whole_file(part) as file:
                    write_rows(rows, file, self._identity)
            self._waiting = self._waiting[len(rows) :]
            self._text -= _length(rows)
            self.rows += len(rows)
            self.parts += 1
            _reached.setdefault(self._log, {})[self.folder] = (part, rows[-1].seq + 1)

    def _next_part(self) -> list[Row]:
        """The first rows that wait, of one day and not too many."""
        day, text = day_of(self._waiting[0]), 0
        for index, row in enumerate(self._waiting):
            text += len(row.raw or "")
            if index and (index == _MAX_ROWS or text > _MAX_TEXT or day_of(row) != day):
                return self._waiting[:index]
        return self._waiting

    def _unwritten(self) -> str:
        waiting = len(self._waiting) + self._log.next_seq - self._taken
        return (
            f"{waiting:,} rows are not recorded: {self.error} Write what the log keeps elsewhere, with "
            "log.to_parquet(path)."
        )


def close_all(log: EventLog, *, wait: bool = True) -> None:
    """Close every recorder of a log that is running."""
    for recorder in list(_running):
        if recorder._log is log:
            recorder.close(wait=wait)


@atexit.register
def _close_every_recorder() -> None:
    """Write the last parts before the interpreter goes."""
    for recorder in list(_running):
        recorder.close()


def _length(rows: list[Row]) -> int:
    return sum(len(row.raw or "") for row in rows)


def _seconds(every: str | timedelta) -> float:
    """A span in seconds.

    Raises:
        InvalidRequest: It is none, or less than a second.
    """
    import pandas as pd

    try:
        seconds = pd.Timedelta(every).total_seconds() if isinstance(every, str | timedelta) else 0.0
    except ValueError:
        seconds = 0.0
    if not seconds >= 1:  # NaN, too
        raise InvalidRequest(
            f'every is a span of at least a second, such as "5min", or a timedelta; not {every!r}.'
        )
    return seconds
