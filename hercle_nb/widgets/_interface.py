"""The interface thread: the one place where widgets are changed while they are shown.

ipywidgets is not thread-safe, and a callback may run on the kernel's main thread or on another one, at once
or after a busy cell, as the ipykernel pleases. So callbacks and the hub's thread merely `post` work here, and
what is shown live is brought up to date by a ticker (`every`). There is one daemon thread for the process. It
starts when there is something to do and ends when nothing is left, at the latest with the interpreter.
"""

from __future__ import annotations

import atexit
import contextvars
import logging
import os
import threading
import time
import weakref
from collections import deque
from functools import partial
from types import MethodType
from typing import TYPE_CHECKING, TypeAlias, TypeVar

from hercle_nb.errors import HercleError

if TYPE_CHECKING:
    from collections.abc import Callable
    from concurrent.futures import Future

logger = logging.getLogger("hercle_nb.widgets")
logger.addHandler(logging.NullHandler())  # nothing is printed into cells: widgets show what goes wrong

Work: TypeAlias = "Callable[[], object]"
OnError: TypeAlias = "Callable[[Exception], object]"
F = TypeVar("F")
T = TypeVar("T")

_END = 2.0  # seconds that the thread gets to finish what it is at when the interpreter ends


def post(work: Work, on_error: OnError | None = None) -> None:
    """Have something done on the interface thread, soon and in the order posted; never waits.

    Args:
        work: What to do. It may take milliseconds, not seconds: every widget waits for it.
        on_error: Called there too, with what ``work`` raised, to show it in the widget. It is logged anyway.
    """
    _interface.post(work, on_error)


def when_done(
    future: Future[T], work: Callable[[Future[T]], object], on_error: OnError | None = None
) -> None:
    """Have something done on the interface thread once a future is done; ``work`` is given the future."""
    future.add_done_callback(lambda done: post(lambda: work(done), on_error))


def every(seconds: float, work: Work, on_error: OnError | None = None) -> Ticker:
    """Have something done on the interface thread again and again, first in ``seconds``.

    Two runs begin at least ``seconds`` apart, so a ticker is what keeps a widget's messages few. A method is
    held weakly: when its object is gone, so is the ticker.

    Args:
        seconds: From the beginning of one run to the next.
        work: What to do; short, as for `post`.
        on_error: As for `post`; called and logged once for errors in a row.
    """
    ticker = Ticker(seconds, work, on_error)
    _interface.add(ticker)
    return ticker


class Ticker:
    """What `every` gives; made by it alone.

    Attributes:
        due: When it runs next, on the monotonic clock.
    """

    def __init__(self, seconds: float, work: Work, on_error: OnError | None) -> None:
        self.due = time.monotonic() + seconds
        self._seconds = seconds
        self._work = _weakly(work)
        self._on_error = _weakly(on_error)
        self._failing = False
        self._running = threading.RLock()
        self._cancelled = False

    def cancel(self) -> None:
        """Run no more; waits out a run under way, unless that is the caller."""
        self._cancelled = True
        with self._running:
            _interface.remove(self)

    def run(self) -> None:
        """Do the work once; for the interface thread."""
        self.due = time.monotonic() + self._seconds
        work = self._work()
        if work is None:
            _interface.remove(self)
            return
        with self._running:
            if not self._cancelled:
                self._failing = not _done(work, self._on_error(), silent=self._failing)


class Interface:
    """The thread, and what it has to do."""

    def __init__(self) -> None:
        self._condition = threading.Condition()
        self._posted: deque[tuple[Work, OnError | None]] = deque()
        self._tickers: list[Ticker] = []
        self._thread: threading.Thread | None = None
        self._ended = False

    def post(self, work: Work, on_error: OnError | None) -> None:
        """See the function `post`."""
        with self._condition:
            self._posted.append((work, on_error))
            self._wake()

    def add(self, ticker: Ticker) -> None:
        """Run a ticker from now on."""
        with self._condition:
            self._tickers.append(ticker)
            self._wake()

    def remove(self, ticker: Ticker) -> None:
        """Run a ticker no more."""
        with self._condition:
            self._tickers = [other for other in self._tickers if other is not ticker]
            self._condition.notify()

    def end(self) -> None:
        """End the thread for good, and wait for it a little."""
        with self._condition:
            self._ended = True
            thread = self._thread
            self._condition.notify()
        if thread is not None:
            thread.join(_END)

    def _wake(self) -> None:
        """See to it that the thread looks; the caller holds the lock."""
        if self._thread is None and not self._ended:
            # ipykernel 7.0.1 lets a thread reach the browser only if it carries the context of a cell
            context = contextvars.copy_context()
            self._thread = threading.Thread(
                target=context.run, args=(self._run,), name="hercle-interface", daemon=True
            )
            self._thread.start()
        self._condition.notify()

    def _run(self) -> None:
        while (work := self._next()) is not None:
            work()
            del work  # while it waits, the thread keeps no widget alive

    def _next(self) -> Work | None:
        """What to do next, waiting for it; None when there is nothing left."""
        with self._condition:
            while not self._ended:
                first = min(self._tickers, key=lambda ticker: ticker.due, default=None)
                wait = None if first is None else first.due - time.monotonic()
                if first is not None and wait is not None and wait <= 0:
                    return first.run
                if self._posted:
                    work, on_error = self._posted.popleft()
                    return lambda: _done(work, on_error)
                if wait is None:
                    break
                self._condition.wait(wait)
            self._thread = None
        return None


def _weakly(function: F) -> Callable[[], F | None]:
    """A reference to a function; to a method a weak one."""
    return weakref.WeakMethod(function) if isinstance(function, MethodType) else lambda: function


def _done(work: Work, on_error: OnError | None, *, silent: bool = False) -> bool:
    """Do something; log and tell what it raises, unless ``silent``. Whether it raised nothing."""
    try:
        work()
    except Exception as error:
        if not silent:
            if isinstance(error, HercleError):  # what a user is told
                logger.info("shown in a widget: %s", error)
            else:
                logger.exception("a widget could not be brought up to date")
            if on_error is not None:
                _done(partial(on_error, error), None)
        return False
    return True


_interface = Interface()


def _forked() -> None:
    """A child has neither the thread nor a browser, and must not wait for locks its parent held."""
    global _interface
    _interface = Interface()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forked)


@atexit.register
def _end() -> None:
    """Let no message be half sent when the interpreter goes."""
    _interface.end()
