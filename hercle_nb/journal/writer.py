"""The thread that reads and writes a journal, and knows nothing of what is in it.

What waits when it comes round is written in one transaction, so that sixteen commands under way cost one trip
to the disk. What a database that is away for a moment cannot take waits until it can.
"""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import logging
import queue
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar

from sqlalchemy.exc import DBAPIError, OperationalError, SQLAlchemyError

from hercle_nb.errors import HercleError

if TYPE_CHECKING:
    from collections.abc import Callable

    import sqlalchemy as sa

    from hercle_nb.journal.place import Place

    Tell: TypeAlias = Callable[[Any, HercleError | None], None]

T = TypeVar("T")

logger = logging.getLogger("hercle_nb")

_AGAIN = 0.25  # seconds until what could not be written is tried again
_AGAIN_AT_MOST = 1.0
_LATE = 3.0  # seconds that `close` waits for a database that does not answer


@dataclass(eq=False)
class _Work:
    """Something for the thread: what to do in a transaction, and whom to tell.

    Attributes:
        do: Given the connection and the revision, returns the result.
        tell: Given the result, or the error; any thread may call it.
        reads: It changes nothing.
        keeps: It is tried again until it succeeds, and told of each failure.
        wanted: Whether anybody still wants it.
    """

    do: Callable[[sa.Connection, int], Any]
    tell: Tell
    reads: bool = False
    keeps: bool = False
    wanted: Callable[[], bool] = lambda: True


class Writer:
    """One thread and one connection; its methods are called on the hub's thread.

    Args:
        place: Where the journal is.
        prepare: Called on the thread before anything else, and again while it fails.
        begin: Called at the beginning of each transaction that writes; gives the revision.

    Attributes:
        trouble: Why what is to be written is not, for a person; empty if nothing waits.
    """

    def __init__(
        self,
        place: Place,
        prepare: Callable[[sa.Engine], None],
        begin: Callable[[sa.Connection], int],
    ) -> None:
        self.trouble = ""
        self._place = place
        self._prepare = prepare
        self._begin = begin
        self._engine = place.engine()
        self._ended: Tell = lambda *_: None
        self._queue: queue.SimpleQueue[_Work | None] = queue.SimpleQueue()
        context = contextvars.copy_context()  # so that what is logged finds the cell
        self._thread = threading.Thread(
            target=context.run, args=(self._run,), name="hercle-journal", daemon=True
        )
        self._thread.start()

    async def read(self, do: Callable[[sa.Connection, int], T]) -> T:
        """Do something that changes nothing, after what was put in before, and return its result.

        Raises:
            JournalError: It cannot be read.
        """
        return await self._done(do, reads=True)

    async def write(self, do: Callable[[sa.Connection, int], T]) -> T:
        """Do something in a transaction, and return its result once that is durable.

        Whoever stops waiting for it takes it back, unless it is being done.

        Raises:
            JournalError: It cannot be written.
        """
        return await self._done(do)

    def put(
        self, do: Callable[[sa.Connection, int], Any], tell: Tell | None = None, *, keeps: bool = True
    ) -> None:
        """Do something in a transaction, without waiting for it.

        Args:
            do: What to do.
            tell: Called on the hub's thread with the result, or with an error, as often as it fails.
            keeps: Try again until it succeeds.
        """
        told = _nobody if tell is None else _on_loop(asyncio.get_running_loop(), tell)
        self._queue.put(_Work(do, told, keeps=keeps))

    async def close(self) -> None:
        """Write what waits and end the thread; what cannot be written is logged."""
        ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._ended = _settling(ended)
        self._queue.put(None)
        with contextlib.suppress(TimeoutError):  # such a database keeps the thread alone
            await asyncio.wait_for(ended, _LATE)
            self._thread.join()

    async def _done(self, do: Callable[[sa.Connection, int], T], *, reads: bool = False) -> T:
        future: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        self._queue.put(_Work(do, _settling(future), reads, wanted=lambda: not future.done()))
        return await future

    # -- on the thread -----------------------------------------------------------------------------------

    def _run(self) -> None:
        waiting: list[_Work] = []
        prepared = last = False
        failures = 0
        while not last:
            works, last = self._next(waiting, failures)
            if works and not prepared:
                prepared = self._prepared(works)
            waiting = self._do(works) if prepared else []
            failures = failures + 1 if waiting else 0
            self.trouble = self.trouble if waiting else ""
        if lost := sum(work.keeps for work in waiting):
            logger.error("%d entries are not in the journal: %s", lost, self.trouble)
        self._engine.dispose()
        self._ended(None, None)

    def _next(self, waiting: list[_Work], failures: int) -> tuple[list[_Work], bool]:
        """What is to be done now, once there is anything, and whether it is the last."""
        pause = min(_AGAIN * 2**failures, _AGAIN_AT_MOST) if waiting else None
        found: list[_Work | None] = []
        with contextlib.suppress(queue.Empty):
            found.append(self._queue.get(timeout=pause))
            while True:
                found.append(self._queue.get_nowait())
        return [*waiting, *(work for work in found if work is not None)], None in found

    def _prepared(self, works: list[_Work]) -> bool:
        """Whether the journal can be used; if not, whoever waits is told."""
        try:
            self._prepare(self._engine)
        except Exception as error:  # noqa: BLE001  # whatever it is, the cell is told
            for work in works:
                work.tell(None, self._translated(error))
            return False
        return True

    def _do(self, works: list[_Work]) -> list[_Work]:
        """Do what is wanted, the writing first; what is to be tried again."""
        works = [work for work in works if work.wanted()]
        writes = [work for work in works if not work.reads]
        left = self._transact(writes) if writes else []
        for work in works:
            if work.reads:
                self._look(work)
        return left

    def _transact(self, works: list[_Work]) -> list[_Work]:
        """Do all in one transaction; where that fails, each by itself. What is to be tried again."""
        try:
            with self._engine.begin() as connection:
                revision = self._begin(connection)
                results = [work.do(connection, revision) for work in works]
        except Exception as error:  # noqa: BLE001  # whatever it is, who waits is told
            away = _is_away(error)
            if len(works) > 1 and not away:
                return [again for work in works for again in self._transact([work])]
            translated = self._translated(error)
            self.trouble = str(translated)
            for work in works:
                if work.keeps or not away:
                    work.tell(None, translated)
            return works if away else [work for work in works if work.keeps]
        self.trouble = ""
        for work, result in zip(works, results, strict=True):
            work.tell(result, None)
        return []

    def _look(self, work: _Work, *, again: bool = True) -> None:
        try:
            with self._engine.connect().execution_options(reading=True) as connection, connection.begin():
                result = work.do(connection, 0)
        except Exception as error:  # noqa: BLE001  # whatever it is, who waits is told
            if again and isinstance(error, DBAPIError) and error.connection_invalidated:
                self._look(work, again=False)  # the server was begun anew since
            else:
                work.tell(None, self._translated(error))
        else:
            work.tell(result, None)

    def _translated(self, error: Exception) -> HercleError:
        """What an error means; not chained, since the frames of a driver's error hold the password."""
        if isinstance(error, HercleError):
            return error
        if not isinstance(error, SQLAlchemyError):
            logger.error("the journal failed by a fault of this package", exc_info=error)
        return self._place.explained(error)


def _is_away(error: Exception) -> bool:
    """Whether the database may be back in a moment: its server is gone, or a file is locked."""
    if not isinstance(error, DBAPIError):
        return False
    name = getattr(error.orig, "sqlite_errorname", "") or ""
    if name:
        return name.startswith(("SQLITE_BUSY", "SQLITE_LOCKED"))
    return error.connection_invalidated or isinstance(error, OperationalError)


def _nobody(_result: Any, _error: HercleError | None) -> None:
    """Nobody waits."""


def _settling(future: asyncio.Future[Any]) -> Tell:
    """What settles a future of the hub's thread from any thread."""

    def settle(result: Any, error: HercleError | None) -> None:
        if future.done():
            return
        if error is None:
            future.set_result(result)
        else:
            future.set_exception(error)

    return _on_loop(asyncio.get_running_loop(), settle)


def _on_loop(loop: asyncio.AbstractEventLoop, tell: Tell) -> Tell:
    """The same, called on a loop's thread."""

    def tell_there(result: Any, error: HercleError | None) -> None:
        with contextlib.suppress(RuntimeError):  # the hub has ended: nobody is there to be told
            loop.call_soon_threadsafe(tell, result, error)

    return tell_there
