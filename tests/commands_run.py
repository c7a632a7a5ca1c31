"""The command ``hercle-nb`` as a shell runs it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import psutil

if TYPE_CHECKING:
    from collections.abc import Iterator

PROGRAM = str(Path(sys.executable).with_name("hercle-nb"))


def environment(**variables: str) -> dict[str, str]:
    """This process's variables, without colours and with some of one's own."""
    return {**os.environ, "NO_COLOR": "1", "COLUMNS": "200", **variables}


def run(*arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run a command to its end, with nobody at its standard input; no traceback whatever happens."""
    done = subprocess.run(
        [PROGRAM, *arguments],
        env=environment(**variables),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert "Traceback" not in done.stdout + done.stderr
    return done


@contextmanager
def running(*arguments: str, nohup: bool = False, **variables: str) -> Iterator[subprocess.Popen[str]]:
    """A command that runs until it is interrupted; killed with all that it started if nobody has."""
    with subprocess.Popen(
        [PROGRAM, *arguments],
        env=environment(**variables, PYTHONUNBUFFERED="1"),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: _signals(nohup=nohup),
    ) as process:
        limit = threading.Timer(120, process.kill)  # what waits for a line of it then fails
        limit.start()
        try:
            yield process
        finally:
            limit.cancel()
            limit.join()
            started = [process] if process.poll() is None else []
            started += psutil.Process(process.pid).children(recursive=True) if started else []
            for one in started:
                one.kill()


def _signals(*, nohup: bool) -> None:
    """Heed SIGINT, though whoever started these tests may have them ignore it, as shells do with ``&``."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    signal.signal(signal.SIGHUP, signal.SIG_IGN if nohup else signal.SIG_DFL)


def line_with(process: subprocess.Popen[str], text: str) -> str:
    """The next line on standard output that holds a text."""
    assert process.stdout is not None
    for line in process.stdout:
        if text in line:
            return line
    assert process.stderr is not None
    raise AssertionError(f"it ended without saying {text!r}: {process.stderr.read()}")


def ended(process: subprocess.Popen[str], by: str = "SIGINT") -> tuple[int, str, str]:
    """Send a signal; the exit status, and what was said since."""
    process.send_signal(getattr(signal, by))
    said, complained = process.communicate(timeout=60)
    return process.returncode, said, complained
