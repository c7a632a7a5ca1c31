"""``hercle-nb demo`` and ``app``: notebooks in JupyterLab, the app in Voilà, on 127.0.0.1 with a token."""

from __future__ import annotations

import filecmp
import html
import os
import re
import secrets
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import webbrowser
from importlib.util import find_spec
from pathlib import Path

import click

QUICKSTART = "01-quickstart.ipynb"
APP = "app.ipynb"

_STARTS_WITHIN = 120.0  # seconds
_ENDS_WITHIN = 10.0  # seconds; a server that takes longer is killed
_LISTENS = re.compile(r"http://127\.0\.0\.1:(\d+)/")


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
        options = [
            *(f"--ServerApp.root_dir={folder}", "--ServerApp.ip=127.0.0.1"),
            *(["--allow-root"] if hasattr(os, "geteuid") and os.geteuid() == 0 else []),
        ]
        _serve("JupyterLab", "jupyterlab", options, f"lab/tree/{QUICKSTART}", port=port, browser=browser)
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
        options = [str(page), "--Voila.ip=127.0.0.1", "--token"]
        _serve("Voilà", "voila", options, "", without="HERCLE_API_KEY", port=port, browser=browser)


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


def _serve(
    name: str, module: str, options: list[str], path: str, *, without: str = "", port: int, browser: bool
) -> None:
    """Run a server until we are interrupted, in a session of its own, so that a Ctrl-C reaches us alone.

    Args:
        name: What it is called.
        module: What is run.
        options: What it is told.
        path: The page to open.
        without: A variable that it does not see.
        port: Where it listens; 0 takes a free one.
        browser: Whether to open one.
    """
    click.echo(f"Starting {name} …")
    token = secrets.token_hex(24)
    with tempfile.TemporaryDirectory(prefix="hercle_nb_server-") as private:
        # the user's own passwords, tokens and open tabs stay out of it; arguments could be read by others
        variables = {variable: value for variable, value in os.environ.items() if variable != without}
        variables |= {"JUPYTER_CONFIG_DIR": private, "JUPYTER_TOKEN": token}
        _ask_nothing(Path(private))
        log = Path(private) / "log"
        with log.open("wb") as said:
            server = subprocess.Popen(  # noqa: S603  # this interpreter, and arguments that we made
                [sys.executable, "-m", module, *options, f"--port={port or _free_port()}", "--no-browser"],
                env=variables,
                stdin=subprocess.DEVNULL,
                stdout=said,
                stderr=said,
                start_new_session=True,
            )
        try:
            address = f"{_listening(name, server, log)}{path}?token={token}"
            click.echo(f"{name} is at {address}\nCtrl-C ends it.")
            if browser and not _browse(address, Path(private)):
                click.echo("No browser was found; open this address in one.")
            server.wait()
            raise click.ClickException(f"{name} ended by itself:\n{_end_of(log)}")
        except KeyboardInterrupt:
            click.echo(f"\nEnding {name} …")
        finally:
            _end(server)


def _ask_nothing(config: Path) -> None:
    """Keep JupyterLab from asking whether it may fetch news."""
    folder = config / "lab" / "user-settings" / "@jupyterlab" / "apputils-extension"
    folder.mkdir(parents=True)
    (folder / "notification.jupyterlab-settings").write_text('{"fetchNews": "false"}')


def _listening(name: str, server: subprocess.Popen[bytes], log: Path) -> str:
    """Wait until the server says where it listens.

    Raises:
        click.ClickException: It ended, or never says so.
    """
    deadline = time.monotonic() + _STARTS_WITHIN
    while (found := _LISTENS.search(log.read_text(errors="replace"))) is None:
        if server.poll() is not None:
            raise click.ClickException(f"{name} ended by itself:\n{_end_of(log)}")
        if time.monotonic() > deadline:
            raise click.ClickException(f"{name} does not say where it is:\n{_end_of(log)}")
        time.sleep(0.1)
    return found[0]


def _end_of(log: Path) -> str:
    """The last lines of what a server said."""
    return "\n".join(log.read_text(errors="replace").splitlines()[-10:])


def _browse(address: str, private: Path) -> bool:
    """Open a browser on a file that leads to the address: a browser's own arguments can be read by others."""
    page = private / "open.html"
    page.write_text(f'<meta http-equiv="refresh" content="0; url={html.escape(address)}">')
    return webbrowser.open(page.as_uri())


def _end(server: subprocess.Popen[bytes]) -> None:
    server.terminate()
    try:
        server.wait(_ENDS_WITHIN)
    except (subprocess.TimeoutExpired, KeyboardInterrupt):  # the second Ctrl-C is impatience
        server.kill()
        server.wait()
