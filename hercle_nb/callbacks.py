"""Callbacks for events: in order, on a thread of their own, so that a slow one delays callbacks alone."""

from __future__ import annotations

import contextvars
import fnmatch
import logging
import threading
from collections import deque
from typing import TYPE_CHECKING, Any

from hercle_nb._pickling import StaysHere
from hercle_nb.readers import Reader, needles

if TYPE_CHECKING:
    from collections.abc import Callable

    from hercle_nb.events import HubEvent
    from hercle_nb.log import EventLog

logger = logging.getLogger("hercle_nb")

_PATIENCE = 1.0  # seconds that closing waits for a callback under way


class Handle(StaysHere):
    """A registered callback; it keeps its hub alive until `cancel`."""

    _instead = "call hercle.connect() and hub.on_event(callback) in the worker"

    def __init__(
        self, callbacks: Callbacks, callback: Callable[[HubEvent], object], subject: str, since: int, hub: Any
    ) -> None:
        self._callbacks = callbacks
        self.callback = callback
        self.subject = subject
        self.since = since
        self.hub = hub

    def cancel(self) -> None:
        """Call back no more; does nothing the second time."""
        self._callbacks.remove(self)
        self.hub = None

    def __repr__(self) -> str:
        return f"<callback for {self.subject!r}{'' if self.hub else ', cancelled'}>"


class Callbacks:
    """The callbacks of one hub. They read the log, so what a slow one has yet to see waits there.

    Attributes:
        errors: How many calls raised.
    """

    def __init__(self, log: EventLog) -> None:
        self.errors = 0
        self._log = log
        self._reader = Reader(log, 0)
        self._handles: list[Handle] = []
        self._calls: deque[tuple[Callable[[Any], object], Any]] = deque()
        self._grown = threading.Event()
        self._closed = False
        self._thread: threading.Thread | None = None
        self._lock = threading.Lock()

    @property
    def drops(self) -> int:
        """How many rows were evicted from the log before the callbacks could see them."""
        return self._reader.missed

    def add(self, callback: Callable[[HubEvent], object], subject: str, hub: Any) -> Handle:
        """Register a callback for the events from now on; the first one starts the thread."""
        with self._lock:
            handle = Handle(self, callback, subject, self._log.next_seq, hub)
            if not self._handles:
                self._reader.skip()
            self._handles = [*self._handles, handle]
        self.begin()
        return handle

    def begin(self) -> None:
        """See to it that there is a thread, from the cell whose output is to show what callbacks print."""
        with self._lock:
            if self._thread is None and not self._closed:
                context = contextvars.copy_context()  # so that what it prints finds the cell
                self._thread = threading.Thread(
                    target=context.run, args=(self._run,), name="hercle-callbacks", daemon=True
                )
                self._thread.start()

    def post(self, callback: Callable[[Any], object], argument: Any) -> None:
        """Have something called on the thread; never waits."""
        self._calls.append((callback, argument))
        self._grown.set()

    def remove(self, handle: Handle) -> None:
        """Forget a callback."""
        with self._lock:
            self._handles = [other for other in self._handles if other is not handle]

    def tell(self) -> None:
        """Say that the log has grown; never waits."""
        if self._handles:
            self._grown.set()

    def close(self) -> None:
        """End the thread after the callback under way; what still waits is not called."""
        with self._lock:
            self._handles = []
            self._closed = True
            thread = self._thread
        self._grown.set()
        if thread is not None and thread is not threading.current_thread():
            thread.join(_PATIENCE)

    def _run(self) -> None:
        while not self._closed:
            self._grown.wait()
            self._grown.clear()
            while self._calls and not self._closed:
                self._call(*self._calls.popleft(), "payments")
            while (handles := self._handles) and self._reader.behind:
                for event in self._reader.read(needles(*(handle.subject for handle in handles))):
                    self._call_back(event)

    def _call_back(self, event: HubEvent) -> None:
        for handle in self._handles:
            if event.seq >= handle.since and fnmatch.fnmatchcase(event.subject or "", handle.subject):
                self._call(handle.callback, event, repr(handle.subject))

    def _call(self, callback: Callable[[Any], object], argument: Any, occasion: str) -> None:
        try:
            callback(argument)
        except BaseException:  # a SystemExit would end this thread for all of them
            self.errors += 1
            logger.exception("a callback for %s failed", occasion)
