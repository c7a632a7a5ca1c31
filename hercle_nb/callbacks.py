"""Callbacks for events: in order, on a thread of their own, so that a slow one delays callbacks alone."""

from __future__ import annotations

import contextvars
import fnmatch
import logging
import queue
import threading
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

    from hercle_nb.events import HubEvent

logger = logging.getLogger("hercle_nb")

CAPACITY = 10_000  # events that may wait for slow callbacks; more are dropped and counted
_PATIENCE = 1.0  # seconds that closing waits for a callback under way


class Handle:
    """A registered callback; it keeps its hub alive until `cancel`."""

    def __init__(
        self, callbacks: Callbacks, callback: Callable[[HubEvent], object], subject: str, hub: Any
    ) -> None:
        self._callbacks = callbacks
        self.callback = callback
        self.subject = subject
        self.hub = hub

    def cancel(self) -> None:
        """Call back no more; does nothing the second time."""
        self._callbacks.remove(self)
        self.hub = None

    def __repr__(self) -> str:
        return f"<callback for {self.subject!r}{'' if self.hub else ', cancelled'}>"


class Callbacks:
    """The callbacks of one hub.

    Attributes:
        errors: How many calls raised.
        drops: How many events were not handed on because too many were waiting.
    """

    def __init__(self) -> None:
        self.errors = 0
        self.drops = 0
        self._handles: list[Handle] = []
        self._queue: queue.Queue[HubEvent | None] = queue.Queue(CAPACITY)
        self._thread: threading.Thread | None = None
        self._lock = threading.Lock()

    def __bool__(self) -> bool:
        return bool(self._handles)

    def add(self, callback: Callable[[HubEvent], object], subject: str, hub: Any) -> Handle:
        """Register a callback; the first one starts the thread."""
        handle = Handle(self, callback, subject, hub)
        with self._lock:
            self._handles = [*self._handles, handle]
            if self._thread is None:
                context = contextvars.copy_context()  # so that what it prints finds the cell
                self._thread = threading.Thread(
                    target=context.run, args=(self._run,), name="hercle-callbacks", daemon=True
                )
                self._thread.start()
        return handle

    def remove(self, handle: Handle) -> None:
        """Forget a callback."""
        with self._lock:
            self._handles = [other for other in self._handles if other is not handle]

    def offer(self, event: HubEvent) -> None:
        """Hand an event to the callbacks' thread, if there are callbacks; never waits."""
        if not self._handles:
            return
        try:
            self._queue.put_nowait(event)
        except queue.Full:
            self.drops += 1

    def close(self) -> None:
        """End the thread after the callback under way; what still waits is not called."""
        with self._lock:
            self._handles = []
            thread = self._thread
        if thread is None:
            return
        while True:
            try:
                self._queue.put_nowait(None)
                break
            except queue.Full:
                self._queue.get_nowait()
        if thread is not threading.current_thread():
            thread.join(_PATIENCE)

    def _run(self) -> None:
        while (event := self._queue.get()) is not None:
            for handle in self._handles:
                try:
                    if fnmatch.fnmatchcase(event.subject or "", handle.subject):
                        handle.callback(event)
                except BaseException:  # a SystemExit would end this thread for all of them
                    self.errors += 1
                    logger.exception("a callback for %r failed", handle.subject)
