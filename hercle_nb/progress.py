"""How a wait or a batch goes: one output of a notebook's cell, or one line of a terminal."""

from __future__ import annotations

import os
import re
import sys
from html import escape
from time import monotonic
from typing import TYPE_CHECKING, Any, Self, TextIO

from hercle_nb.states import hub_now

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029]")  # would move a terminal's cursor
_USUAL_COLUMNS = 80  # of a terminal that does not say


class WaitLine:
    """How long a wait lasts, what is left of it and how the hub is; in place, so that no output piles up.

    In a notebook it is an output of the cell that runs, in a terminal a line of ``sys.stderr``, elsewhere
    nothing. It is drawn by the caller's thread, and no failure to draw reaches the caller. Without last words
    it is empty when the block ends.

    Args:
        what: What is waited for, such as ``"payment of 0.00100000 BTC"``.
        expires_at: When that expires (UTC), or None.
        enabled: False draws nothing.
        clock_ahead: Asked for the seconds that the hub's clock is ahead of this computer's.
    """

    def __init__(
        self,
        what: str,
        expires_at: datetime | None,
        enabled: bool = True,
        clock_ahead: Callable[[], float] = float,
    ) -> None:
        self._what = what
        self._expires_at = expires_at
        self._clock_ahead = clock_ahead
        self._began = monotonic()
        self._drawn_second = -1
        self._surface = _surface() if enabled else None

    @property
    def elapsed(self) -> str:
        """How long the wait has lasted, such as ``0:01:25``."""
        return span_text(monotonic() - self._began)

    def update(self, state: str) -> None:
        """Draw the line, once for each second that passed; ``state`` is the hub's."""
        elapsed = monotonic() - self._began
        if int(elapsed) > self._drawn_second:
            self._drawn_second = int(elapsed)
            left = None
            if self._expires_at is not None:
                left = (self._expires_at - hub_now(self._clock_ahead())).total_seconds()
            self._draw(wait_text(self._what, elapsed, left, state))

    def end(self, text: str) -> None:
        """Replace the line by its last words, such as ``paid after 0:01:25``, which stay."""
        self._draw(text, last=True)
        self._surface = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._drawn_second >= 0:
            self._draw("")

    def _draw(self, text: str, *, last: bool = False) -> None:
        try:
            if self._surface is not None:
                self._surface.draw(_CONTROL.sub(" ", text), last=last)
        except Exception:  # noqa: BLE001  # a line that cannot be drawn must not end the wait for a payment
            self._surface = None


class BatchBar:
    """How many rows of a batch are done, as a bar: tqdm's, in a notebook or a terminal; elsewhere nothing.

    Args:
        total: How many rows there are.
        enabled: False draws nothing.
    """

    def __init__(self, total: int, *, enabled: bool = True) -> None:
        self._total = total
        self._bar: Any = None
        if enabled and _surface() is not None:
            from tqdm.auto import tqdm  # deferred: few need it

            class Bar(tqdm):  # type: ignore[misc]  # has no types
                monitor_interval = 0  # no thread of its own

            self._bar = Bar(total=total, unit=" invoices", desc="creating")

    def update(self, finished: int) -> None:
        """Draw it as far as it has come."""
        try:
            if self._bar is not None and finished > self._bar.n:
                self._bar.update(finished - self._bar.n)
        except Exception:  # noqa: BLE001  # a bar that cannot be drawn must not end a batch
            self._bar = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._bar is not None:
            self._bar.close()


class _Notebook:
    """One output of the cell, updated in place."""

    def __init__(self, handle: Any) -> None:
        self._handle = handle
        self._drawn = False

    def draw(self, text: str, *, last: bool) -> None:
        html = f'<div style="font-variant-numeric:tabular-nums">{escape(text)}</div>'
        show = self._handle.update if self._drawn else self._handle.display
        self._drawn = True
        show({"text/plain": text, "text/html": html}, raw=True)


class _Terminal:
    """The line that the cursor is on."""

    def __init__(self, file: TextIO) -> None:
        self._file = file
        self._length = 0

    def draw(self, text: str, *, last: bool) -> None:
        columns = os.get_terminal_size(self._file.fileno()).columns or _USUAL_COLUMNS
        line = f"{text}\n" if last else text[: columns - 1]  # one that wraps could not be taken back
        self._file.write(f"\r{' ' * self._length}\r{line}")
        self._file.flush()
        self._length = len(line)


def wait_text(what: str, elapsed: float, left: float | None, state: str) -> str:
    """A wait as one line.

    Args:
        what: What is waited for.
        elapsed: Seconds since the wait began.
        left: Seconds until it expires, negative afterwards; None if it never does.
        state: The hub's; ``connected`` goes without saying.
    """
    parts = [f"waiting for {what}", f"{span_text(elapsed)} elapsed"]
    if left is not None and left > 0:
        parts.append(f"{span_text(left)} until it expires")
    elif left is not None:
        parts.append(f"expired {span_text(-left)} ago, asking the hub once more")
    if state != "connected":
        parts.append(state)
    return " · ".join(parts)


def span_text(seconds: float) -> str:
    """A span of time in whole seconds, such as ``0:01:25`` or ``3 d 04:05:06``."""
    minutes, second = divmod(int(seconds), 60)
    hours, minute = divmod(minutes, 60)
    days, hour = divmod(hours, 24)
    if days:
        return f"{days:,} d {hour:02}:{minute:02}:{second:02}".replace(",", "\u202f")
    return f"{hour}:{minute:02}:{second:02}"


def _surface() -> _Notebook | _Terminal | None:
    """Where the line can be drawn. Only a program that has IPython already is asked for its notebook."""
    ipython = sys.modules.get("IPython")
    if ipython is not None and getattr(ipython.get_ipython(), "kernel", None) is not None:
        return _Notebook(ipython.display.DisplayHandle())
    try:
        return _Terminal(sys.stderr) if sys.stderr.isatty() else None
    except (AttributeError, ValueError):  # there is none under pythonw, or it is closed
        return None
