"""The interface thread: what is posted to it, its tickers, and when it is there at all."""

from __future__ import annotations

import contextvars
import gc
import itertools
import logging
import os
import subprocess
import sys
import threading
import time
from typing import TYPE_CHECKING

import pytest

from hercle_nb.widgets._interface import every, post

if TYPE_CHECKING:
    from collections.abc import Callable


def until(condition: Callable[[], object]) -> None:
    """Wait for what the interface thread is about to do."""
    deadline = time.monotonic() + 5
    while not condition():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.005)


def threads() -> list[threading.Thread]:
    """The interface threads there are."""
    return [thread for thread in threading.enumerate() if thread.name == "hercle-interface"]


def fail() -> None:
    """What a widget does wrong."""
    raise ValueError("wrong")


def test_posts_run_in_order_on_one_thread() -> None:
    """Whatever thread posts, work is done in the order posted, on one thread that is none of theirs."""
    done: list[tuple[int, str]] = []

    def note(number: int) -> None:
        done.append((number, threading.current_thread().name))

    for number in range(100):
        post(lambda number=number: note(number))
    until(lambda: len(done) == 100)
    assert done == [(number, "hercle-interface") for number in range(100)]


def test_posting_does_not_wait() -> None:
    """Posting returns at once, whatever the thread is at."""
    held = threading.Event()
    post(lambda: held.wait(5))
    began = time.monotonic()
    post(lambda: None)
    assert time.monotonic() - began < 0.5
    held.set()


def test_thread_ends_and_starts_again() -> None:
    """The thread ends when nothing is left to do, and the next post starts another one."""
    for _ in range(3):
        done = threading.Event()
        post(done.set)
        assert done.wait(5)
        until(lambda: not threads())


def test_errors_are_told(caplog: pytest.LogCaptureFixture) -> None:
    """What work raises is logged and handed to `on_error`; the next work is done all the same."""
    told: list[Exception] = []
    done = threading.Event()
    post(fail, told.append)
    post(fail, lambda _: fail())
    post(done.set)
    assert done.wait(5)
    assert [str(error) for error in told] == ["wrong"]
    assert len(caplog.records) == 3


def test_ticker_keeps_its_distance() -> None:
    """A ticker runs again and again, first after its interval, and never twice within it."""
    times = [time.monotonic()]
    ticker = every(0.02, lambda: times.append(time.monotonic()))
    until(lambda: len(times) > 10)
    ticker.cancel()
    assert all(later - earlier >= 0.019 for earlier, later in itertools.pairwise(times))


def test_slow_ticker_does_not_pile_up() -> None:
    """A run that takes longer than the interval is followed by one run, not by those it held up."""
    times: list[float] = []

    def slowly() -> None:
        times.append(time.monotonic())
        time.sleep(0.1 if len(times) == 1 else 0)

    ticker = every(0.02, slowly)
    until(lambda: len(times) > 3)
    ticker.cancel()
    assert times[2] - times[1] >= 0.019


def test_cancelled_ticker_runs_no_more() -> None:
    """`cancel` waits out the run under way, and none comes after it."""
    running, done = threading.Event(), []

    def slowly() -> None:
        running.set()
        time.sleep(0.1)
        done.append(1)

    ticker = every(0.01, slowly)
    assert running.wait(5)
    ticker.cancel()
    assert done == [1]
    ticker.cancel()
    until(lambda: not threads())
    assert done == [1]


def test_ticker_cancels_itself() -> None:
    """A run may cancel its own ticker."""
    done = []

    def once() -> None:
        done.append(1)
        ticker.cancel()

    ticker = every(0.01, once)
    until(lambda: not threads())
    assert done == [1]


def test_posts_do_not_starve_tickers() -> None:
    """A ticker runs on time while work is posted without end."""
    ticks: list[float] = []
    ending = threading.Event()

    def again() -> None:
        if not ending.is_set():
            post(again)

    post(again)
    ticker = every(0.01, lambda: ticks.append(time.monotonic()))
    until(lambda: len(ticks) > 10)
    ending.set()
    ticker.cancel()


def test_ticker_of_a_method_is_weak() -> None:
    """A ticker does not keep the object of its method alive, and ends with it."""
    ticks: list[int] = []

    class Widget:
        def tick(self) -> None:
            ticks.append(1)

        def show(self, error: Exception) -> None:
            raise error

    widget = Widget()
    every(0.01, widget.tick, widget.show)
    until(lambda: len(ticks) > 2)
    del widget
    gc.collect()
    until(lambda: not threads())


def test_failing_ticker_goes_on(caplog: pytest.LogCaptureFixture) -> None:
    """A ticker that fails runs on; errors in a row are logged and told once, later ones again."""
    runs: list[int] = []
    told: list[Exception] = []

    def sometimes() -> None:
        runs.append(len(runs))
        if runs[-1] not in (3, 4):
            fail()

    ticker = every(0.01, sometimes, told.append)
    until(lambda: len(runs) > 8)
    ticker.cancel()
    assert len(told) == len(caplog.records) == 2
    assert all(record.levelno == logging.ERROR for record in caplog.records)


def test_thread_carries_the_context() -> None:
    """The thread sees the context of the cell that started it, which ipykernel 7.0.1 needs for widgets."""
    variable: contextvars.ContextVar[str] = contextvars.ContextVar("variable")
    variable.set("the cell")
    seen: list[str] = []
    post(lambda: seen.append(variable.get("nothing")))
    until(lambda: seen)
    assert seen == ["the cell"]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
@pytest.mark.filterwarnings("ignore:This process.*is multi-threaded:DeprecationWarning")
def test_after_a_fork() -> None:
    """A child has an interface thread of its own, and none of its parent's tickers."""
    ticker = every(10, lambda: None)
    until(threads)
    child = os.fork()
    if child == 0:
        done = threading.Event()
        post(done.set)
        os._exit(0 if done.wait(5) else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    ticker.cancel()


def test_interpreter_exit() -> None:
    """A ticker still running at the interpreter's end is ended without a word."""
    code = """
        import time
        from hercle_nb.widgets._interface import every, post
        every(0.001, lambda: time.sleep(0.001))
        time.sleep(0.05)
    """
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", "\n".join(map(str.strip, code.splitlines()))],
        capture_output=True,
        text=True,
        timeout=30,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
