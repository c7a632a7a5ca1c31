"""One daemon thread with an event loop of its own, and the ways in.

A cell may block for minutes, so nothing that must stay alive runs on the notebook's loop. Whoever owns
something alive (a hub, a simulator) owns a `Portal`; everybody else submits coroutines to it and waits.
"""

from __future__ import annotations

import asyncio
import atexit
import concurrent.futures
import contextlib
import contextvars
import os
import threading
import weakref
from typing import TYPE_CHECKING, Any, TypeVar

from hercle_nb.errors import ConnectionFailed, WrongThread

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine

T = TypeVar("T")

FORKED = "This process was forked from the one that has the connection; call hercle.connect() here."

_SLICE = 0.1  # seconds; an interrupt reaches a waiting thread between two slices, on every platform
_GRACE = 1.0  # seconds an interrupted call gets to put its affairs in order
_STOP = 5.0  # seconds the thread gets to end

_running: weakref.WeakSet[Portal] = weakref.WeakSet()


class Portal:
    """A named daemon thread running one event loop until `stop`.

    Args:
        name: The thread's name.
        cleanup: Awaited on the loop before it ends, however it ends.
    """

    def __init__(self, name: str, cleanup: Callable[[], Awaitable[None]] | None = None) -> None:
        self._cleanup = cleanup
        self._ready: concurrent.futures.Future[asyncio.AbstractEventLoop] = concurrent.futures.Future()
        self._stopping: asyncio.Event
        self._lock = threading.Lock()
        self._process = os.getpid()
        self._open = True
        # ipykernel 7.0.1 finds the cell's output only from a thread that carries the cell's context
        context = contextvars.copy_context()
        self._thread = threading.Thread(target=context.run, args=(self._main,), name=name, daemon=True)
        self._thread.start()
        self._loop = self._ready.result()
        _running.add(self)

    @property
    def on_thread(self) -> bool:
        """Whether the caller is on this portal's thread."""
        return threading.get_ident() == self._thread.ident

    @property
    def forked(self) -> bool:
        """Whether this is a child of the process that has the thread; threads do not survive a fork."""
        return os.getpid() != self._process

    def _main(self) -> None:
        with asyncio.Runner() as runner:
            runner.run(self._serve())

    async def _serve(self) -> None:
        self._stopping = asyncio.Event()
        self._ready.set_result(asyncio.get_running_loop())
        await self._stopping.wait()
        if self._cleanup is not None:
            await self._cleanup()
        with self._lock:
            self._open = False
        await asyncio.sleep(0)  # what was submitted before becomes a task, which the runner then cancels

    def submit(
        self, coroutine: Coroutine[Any, Any, T]
    ) -> tuple[concurrent.futures.Future[T], Callable[[], None]]:
        """Start a coroutine on the loop.

        Returns:
            Its future, and a function that cancels it. Unlike cancelling the future, that lets the
            coroutine answer: what it raises or returns after its cancellation reaches the future.

        Raises:
            ConnectionFailed: The loop has ended.
        """
        if self.forked:  # before the lock, which a thread of the parent may have held
            coroutine.close()
            raise ConnectionFailed(FORKED)
        future: concurrent.futures.Future[T] = concurrent.futures.Future()
        task: asyncio.Task[T] | None = None
        cancelled = False

        def settle(done: asyncio.Task[T]) -> None:
            error = (
                ConnectionFailed("The hub was closed during the call.")
                if done.cancelled()
                else done.exception()
            )
            if cancelled and done.cancelled():
                future.cancel()
            if not future.set_running_or_notify_cancel():
                return  # nobody waits any more
            if error is not None:
                future.set_exception(error)
            else:
                future.set_result(done.result())

        def start() -> None:
            nonlocal task
            task = self._loop.create_task(coroutine)
            task.add_done_callback(settle)

        def cancel() -> None:
            nonlocal cancelled
            cancelled = True
            if task is not None:
                task.cancel()

        def cancel_soon() -> None:
            with contextlib.suppress(RuntimeError):  # the loop is closed, so the task has ended
                self._loop.call_soon_threadsafe(cancel)

        with self._lock:
            if not self._open:
                coroutine.close()
                raise ConnectionFailed("The hub is closed; call hercle.connect() for a new one.")
            self._loop.call_soon_threadsafe(start)
        return future, cancel_soon

    def call(self, coroutine: Coroutine[Any, Any, T], tick: Callable[[], None] | None = None) -> T:
        """Run a coroutine on the loop and wait for it, from any other thread.

        ``tick`` is called on the waiting thread a few times a second.

        An interrupt cancels the coroutine and is raised at once; where the coroutine answers its
        cancellation with an error, the text of that error is added to the interrupt as a note.

        Raises:
            WrongThread: Called on this portal's own thread.
            ConnectionFailed: The loop has ended.
        """
        if self.on_thread:
            coroutine.close()
            raise WrongThread(
                "A blocking call was made on the hub's own thread, where it would wait for itself; "
                "await the same verb on hub.aio instead."
            )
        future, cancel = self.submit(coroutine)
        done = threading.Lock()
        done.acquire()
        future.add_done_callback(lambda _: done.release())
        try:
            while not done.acquire(timeout=_SLICE):
                if tick is not None:
                    tick()
        except BaseException as interrupt:
            cancel()
            concurrent.futures.wait([future], timeout=_GRACE)
            if future.done() and not future.cancelled():
                error = future.exception()
                if error is not None and error.args:
                    interrupt.add_note(str(error))
            raise
        return future.result()

    async def hop(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """Await a coroutine that runs on this loop, from any running loop.

        Raises:
            ConnectionFailed: The loop has ended.
        """
        if self.on_thread:
            return await coroutine
        future, cancel = self.submit(coroutine)
        try:
            return await asyncio.wrap_future(future)
        except asyncio.CancelledError:
            cancel()
            raise

    def request_stop(self) -> None:
        """Ask the thread to end, without waiting: safe in a finaliser and on the thread itself."""
        if self.forked:  # its wake-up pipe is the parent's
            return
        with contextlib.suppress(RuntimeError):  # the loop is closed already
            self._loop.call_soon_threadsafe(self._stopping.set)

    def stop(self) -> None:
        """End the loop and wait for the thread; from the thread itself, only ask."""
        self.request_stop()
        if not (self.on_thread or self.forked):
            self._thread.join(_STOP)


@atexit.register
def _stop_all() -> None:
    """Let every hub say goodbye before the interpreter goes."""
    for portal in list(_running):
        portal.stop()
