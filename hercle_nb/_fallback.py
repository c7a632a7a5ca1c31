"""That nobody named the simulator is said where no repr would show it: in a scheduled run, say."""

from __future__ import annotations

import contextlib
import itertools
import sys

_SENTENCE = (
    "hercle_nb: this is the simulator, where nothing is real; set HERCLE_API_KEY to reach a hub, or write "
    'hercle.connect("simulator") to say that it is meant.\n'
)
_times = itertools.count()  # a step of it is atomic


def say_simulated() -> None:
    """Say on standard error, once in this process, that the simulator was chosen by itself."""
    if sys.stderr is None or _reprs_are_seen() or next(_times):
        return
    with contextlib.suppress(OSError, ValueError):  # full, or closed: a hint must not end a run
        sys.stderr.write(_SENTENCE)
        sys.stderr.flush()


def _reprs_are_seen() -> bool:
    """Whether somebody sees what a cell or line gives: in IPython, a prompt, or a terminal."""
    if sys.flags.interactive or hasattr(sys, "ps1"):  # IPython, and so a kernel, sets it as Python does
        return True
    try:
        return sys.stdout.isatty()
    except (AttributeError, ValueError):  # there is none under pythonw, or it is closed
        return False
