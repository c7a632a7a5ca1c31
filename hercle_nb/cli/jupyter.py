"""``hercle-nb demo`` and ``app``: notebooks in JupyterLab, the app in Voilà, on 127.0.0.1 with a token."""

from __future__ import annotations

import filecmp
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import webbrowser
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from collections.abc import Iterable

QUICKSTART = "01-quickstart.ipynb"
APP = "app.ipynb"

_ENDS_WITHIN = 10.0  # seconds; a server that takes longer is killed
_ADDRESS = re.compile(r"http://127\.0\.0\.1:\d+/\S*[?&]token=\w+")


def notebooks() -> Path:
    """Where the notebooks are: in an installed package inside it, in a checkout beside it."""
    package = Path(__file__).resolve().parent.parent
    inside = package / "notebooks"
    return inside if inside.is_dir() else package.parent / "notebooks"


def demo(port: int, *, browser: bool) -> None:
    """Open copies of the notebooks in JupyterLab, until interrupted.

    Raises:
        click.ClickException: JupyterLab is not installed, or ended by itself.
    """
    _check_installed("jupyterlab", "JupyterLab")
    folder = Path(tempfile.mkdtemp(prefix="hercle_nb-"))
    try:
        for original in notebooks().glob("*.ipynb"):
            shutil.copyfile(original, folder / original.name)
        with tempfile.TemporaryDirectory() as workspaces:  # the user's own keep their open tabs
            options = [
                *(f"--ServerApp.root_dir={folder}", f"--LabApp.default_url=/lab/tree/{QUICKSTART}"),
                *("--ServerApp.ip=127.0.0.1", f"--LabApp.workspaces_dir={workspaces}"),
                *(["--allow-root"] if hasattr(os, "geteuid") and os.geteuid() == 0 else []),
            ]
            # without a token of the user's own: the server would hide it in the address that it prints
            _serve("JupyterLab", "jupyterlab", options, without="JUPYTER_TOKEN", port=port, browser=browser)
    finally:
        if _changed(folder):
            click.echo(f"Your notebooks are in {folder}")
        else:
            shutil.rmtree(folder, ignore_errors=True)


def app(port: int, *, browser: bool) -> None:
    """Serve the app with Voilà, until interrupted.

    Raises:
        click.ClickException: Voilà is not installed, or ended by itself.
    """
    _check_installed("voila", "Voilà")
    with tempfile.TemporaryDirectory(prefix="hercle_nb-") as folder:
        page = shutil.copyfile(notebooks() / APP, Path(folder) / APP)
        options = [str(page), "--Voila.ip=127.0.0.1", "--token"]  # a new token, by its own hand
        _serve("Voilà", "voila", options, without="HERCLE_API_KEY", port=port, browser=browser)


def _free_port() -> int:
    """A port that is free now; Voilà says a wrong one where it is told to take any."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port


def _check_installed(module: str, name: str) -> None:
    if find_spec(module) is None:
        raise click.ClickException(f"{name} is not installed; run: pip install 'hercle_nb[lab]'")


def _changed(folder: Path) -> bool:
    """Whether anything in the folder is not as it was copied."""
    files = [file for file in folder.rglob("*") if file.is_file() and ".ipynb_checkpoints" not in file.parts]
    originals = notebooks()
    return any(
        not (originals / file.name).is_file() or not filecmp.cmp(file, originals / file.name, shallow=False)
        for file in files
    )


def _serve(name: str, module: str, options: list[str], *, without: str, port: int, browser: bool) -> None:
    """Run a server until we are interrupted, in a session of its own, so that a Ctrl-C reaches us alone.

    Args:
        name: What it is called.
        module: What is run.
        options: What it is told.
        without: A variable that it does not see.
        port: Where it listens; 0 takes a free one.
        browser: Whether to open one.
    """
    click.echo(f"Starting {name} …")
    with subprocess.Popen(  # noqa: S603  # this interpreter, and arguments that we made
        [sys.executable, "-m", module, *options, f"--port={port or _free_port()}", "--no-browser"],
        env={variable: value for variable, value in os.environ.items() if variable != without},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        stdin=subprocess.DEVNULL,
        text=True,
        errors="replace",
        start_new_session=True,
    ) as server:
        log = _Log(server.stderr or ())
        try:
            if (address := log.address()) is not None:
                click.echo(f"{name} is at {address}\nCtrl-C ends it.")
                if browser and not webbrowser.open(address):
                    click.echo("No browser was found; open this address in one.")
            server.wait()
            raise click.ClickException(f"{name} ended by itself:\n{log.end()}")
        except KeyboardInterrupt:
            click.echo(f"\nEnding {name} …")
        finally:
            _end(server)


class _Log:
    """What a server says: read to the end, so that it never waits for us."""

    def __init__(self, stream: Iterable[str]) -> None:
        self._lines: list[str] = []
        self._found: str | None = None
        self._known = threading.Event()
        self._thread = threading.Thread(
            target=self._read, args=(stream,), name="hercle-server-log", daemon=True
        )
        self._thread.start()

    def address(self) -> str | None:
        """The address with its token, once it is said; None if the server ended before."""
        while not self._known.wait(0.1):  # in slices: an interrupt reaches a waiting thread between two
            pass
        return self._found

    def end(self) -> str:
        """The last lines."""
        self._thread.join(1)
        return "".join(self._lines[-10:]).rstrip()

    def _read(self, stream: Iterable[str]) -> None:
        for line in stream:
            self._lines = [*self._lines[-20:], line]
            if self._found is None and (found := _ADDRESS.search(line)):
                self._found = found[0]
                self._known.set()
        self._known.set()


def _end(server: subprocess.Popen[str]) -> None:
    if server.poll() is None:
        server.send_signal(signal.SIGTERM)
        try:
            server.wait(_ENDS_WITHIN)
        except subprocess.TimeoutExpired:
            server.kill()
