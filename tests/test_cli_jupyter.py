"""``hercle-nb demo`` and ``app`` in a browser: what they show, to whom, and what they leave behind."""

from __future__ import annotations

import json
import os
import re
import signal
import threading
import urllib.error
import urllib.request
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit
from urllib.request import url2pathname

import click
import psutil
import pytest

from hercle_nb.cli import jupyter
from tests.browser import chromium
from tests.commands_run import ended, line_with, running
from tests.jupyterlab import NEEDS_CHROMIUM

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Iterator

    from playwright.sync_api import Page

pytestmark = NEEDS_CHROMIUM[1:]  # no Chromium for most of them
needs_chromium = NEEDS_CHROMIUM[0]


@contextmanager
def served(command: str, home: Path, **variables: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """The command for a new user, and the address that it says; its temporary files are in ``home/tmp``."""
    (home / "tmp").mkdir()
    private = {"HOME": str(home), "TMPDIR": str(home / "tmp"), "IPYTHONDIR": str(home / "ipython")}
    private |= {
        name: str(home / name) for name in ("JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "JUPYTER_RUNTIME_DIR")
    }
    with running(command, "--port", "0", "--no-browser", **private, **variables) as process:
        said = line_with(process, " is at http")
        address = said.split()[-1]
        assert address.startswith("http://127.0.0.1:")
        yield process, address


@contextmanager
def page_at(address: str) -> Iterator[Page]:
    """A page of Chromium's."""
    with chromium() as browser:
        page = browser.new_page()
        page.goto(address)
        yield page


def family(process: subprocess.Popen[str]) -> list[psutil.Process]:
    """The server and its kernels."""
    children: list[psutil.Process] = psutil.Process(process.pid).children(recursive=True)
    return children


@needs_chromium
@pytest.mark.parametrize("by", ["SIGINT", "SIGTERM"])
def test_app(tmp_path: Path, by: str) -> None:
    """The app opens for who has the token, connects to the simulator, sees no key, and leaves nothing."""
    with served("app", tmp_path, HERCLE_API_KEY="a-real-key") as (process, address):
        with urllib.request.urlopen(address.partition("?")[0], timeout=10) as refused:
            assert "/login" in refused.url
        with page_at(address) as page:
            page.get_by_role("button", name="Connect").click()
            page.locator(".hn-app").get_by_role("tab", name="New invoice").wait_for()
            assert page.title() == "Hercle invoices"
        processes = family(process)
        assert len(processes) >= 2
        assert not [one for one in processes if "HERCLE_API_KEY" in one.environ()]
        assert "a-real-key" in psutil.Process(process.pid).environ().values()
        status, said, complained = ended(process, by)
    assert (status, complained) == (0, "")
    assert said.endswith("Ending Voilà …\n")
    assert psutil.wait_procs(processes, timeout=10)[1] == []
    assert left(tmp_path) == []


def left(home: Path, prefix: str = "hercle_nb") -> list[str]:
    """What is in the folder for temporary files: ``hercle_nb-…`` are copies, ``hercle_nb_server-…`` not."""
    return [entry.name for entry in (home / "tmp").iterdir() if entry.name.startswith(prefix)]


@needs_chromium
def test_demo(tmp_path: Path) -> None:
    """JupyterLab opens on a copy of the quickstart, the others beside it; untouched copies go at the end."""
    with served("demo", tmp_path) as (process, address):
        with page_at(address) as page:
            page.locator(".jp-MarkdownOutput h1").first.wait_for()
            for notebook in jupyter.notebooks().glob("*.ipynb"):
                page.locator(f'.jp-DirListing-item[title^="Name: {notebook.name}"]').wait_for()
        [folder] = left(tmp_path, "hercle_nb-")
        processes = family(process)
        assert ended(process)[::2] == (0, "")
    assert psutil.wait_procs(processes, timeout=10)[1] == []
    assert folder.startswith("hercle_nb-")
    assert left(tmp_path) == []


@pytest.mark.parametrize("change", ["a cell", "a new file"])
def test_demo_that_was_worked_in(tmp_path: Path, change: str) -> None:
    """What was changed is kept, and where it is is said."""
    with served("demo", tmp_path, JUPYTER_TOKEN="hidden-in-the-address") as (process, _):
        [folder] = left(tmp_path, "hercle_nb-")
        notebook = tmp_path / "tmp" / folder / jupyter.QUICKSTART
        if change == "a cell":
            notebook.write_text(notebook.read_text().replace("0.001", "0.002"))
        else:
            (notebook.parent / "results.csv").write_text("mine")
        status, said, _ = ended(process)
    assert status == 0
    assert said.endswith(f"Your notebooks are in {notebook.parent}\n")
    assert notebook.exists()


@pytest.mark.parametrize("command", ["demo", "app"])
def test_server_that_ends_by_itself(tmp_path: Path, command: str) -> None:
    """A server that cannot start is exit status 1, with its last words."""
    for module in ("jupyterlab", "voila"):
        (tmp_path / f"{module}.py").write_text("raise SystemExit('no room for a server')")
    with running(
        command, "--no-browser", "--port", "0", PYTHONPATH=str(tmp_path), TMPDIR=str(tmp_path)
    ) as process:
        _, complained = process.communicate(timeout=60)
    assert process.returncode == 1
    assert re.fullmatch(r"Error: \S+ ended by itself:\nno room for a server\n", complained)
    assert [entry for entry in tmp_path.iterdir() if entry.name.startswith("hercle_nb")] == []


def test_not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without JupyterLab or Voilà it says what to install."""
    monkeypatch.setattr(jupyter, "find_spec", lambda name: None)
    for serve in (jupyter.demo, jupyter.app):
        with pytest.raises(click.ClickException, match=r"pip install 'hercle_nb\[lab\]'"):
            serve(0, browser=False)


@pytest.mark.parametrize("command", ["demo", "app"])
def test_with_a_configuration_of_ones_own(tmp_path: Path, command: str) -> None:
    """Whoever has a password or a token for their own Jupyter is let in by the address all the same."""
    config = tmp_path / "JUPYTER_CONFIG_DIR"
    config.mkdir()
    own = {"IdentityProvider": {"token": "mine"}, "PasswordIdentityProvider": {"hashed_password": "argon2:x"}}
    (config / "jupyter_server_config.json").write_text(json.dumps(own))
    with served(command, tmp_path, JUPYTER_TOKEN="mine-too") as (process, address):
        assert "mine" not in address
        with urllib.request.urlopen(address, timeout=60) as page:
            assert "/login" not in page.url
        assert ended(process)[0] == 0


def test_server_that_says_nothing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A server that never says where it listens is given up, and ended."""
    (tmp_path / "voila.py").write_text("import time\nprint('thinking', flush=True)\ntime.sleep(600)")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.setattr(jupyter, "_STARTS_WITHIN", 2.0)
    with pytest.raises(click.ClickException, match="Voilà does not say where it is:\nthinking"):
        jupyter.app(0, browser=False)


@pytest.mark.parametrize("found", [True, False])
def test_browser(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *, found: bool) -> None:
    """A browser is opened on a file that leads to the address, not with the token in its arguments."""
    opened: list[tuple[str, str, int]] = []

    def browse(address: str) -> bool:
        page = Path(url2pathname(urlsplit(address).path))
        opened.append((address, page.read_text(), page.parent.stat().st_mode & 0o777))
        threading.Timer(0.5, os.kill, [os.getpid(), signal.SIGINT]).start()
        return found

    monkeypatch.setattr(jupyter.webbrowser, "open", browse)
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        jupyter.app(0, browser=True)
    finally:
        signal.signal(signal.SIGINT, before)
    said = capsys.readouterr().out
    assert ("No browser was found" in said) == (not found)
    (address,) = re.findall(r"Voilà is at (\S+)\n", said)
    [(given, page, mode)] = opened
    assert "token" not in given
    assert f"url={address}" in page
    assert mode == 0o700
