"""JupyterLab, Notebook 7, Voilà and Chromium for tests and pictures."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from playwright.sync_api import Page

CHROMIUM = shutil.which("chromium")
FLAGS = [
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync"),
    *("--disable-background-networking", "--disable-component-update"),
]
SERVER_LOG = "server.log"  # in a server's folder: what it and its kernels print, at level DEBUG
NEEDS_CHROMIUM = [
    pytest.mark.skipif(CHROMIUM is None, reason="chromium is not here: apt-get install chromium"),
    # Playwright's own event loop and pipes are not ours to close in order
    pytest.mark.filterwarnings(
        "default::ResourceWarning", "default::pytest.PytestUnraisableExceptionWarning"
    ),
]


@contextmanager
def blank_page(*, width: int = 1000) -> Iterator[Page]:
    """An empty page in Chromium, for HTML of one's own."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield browser.new_page(viewport={"width": width, "height": 1000})
        browser.close()


@contextmanager
def run_all(folder: Path, notebook: Path, *, width: int = 1280, dark: bool = False) -> Iterator[Page]:
    """A notebook in JupyterLab, all of its cells asked to run; wait for what they show."""
    from playwright.sync_api import sync_playwright

    with jupyter_lab(folder, notebook, dark=dark) as address, sync_playwright() as playwright:
        browser = playwright.chromium.launch_persistent_context(
            folder / "browser",
            executable_path=CHROMIUM,
            args=FLAGS,
            viewport={"width": width, "height": 1000},
        )
        page = browser.pages[0]
        page.goto(f"{address}/lab/tree/{notebook.name}")
        page.wait_for_selector(".jp-NotebookPanel .jp-Cell")
        page.wait_for_function("window.jupyterapp.serviceManager.sessions.isReady")
        page.get_by_text("Python 3 (ipykernel) | Idle").wait_for(timeout=60_000)
        page.evaluate("window.jupyterapp.commands.execute('notebook:run-all-cells')")
        yield page
        browser.close()


@contextmanager
def jupyter_lab(folder: Path, notebook: Path | None = None, *, dark: bool = False) -> Iterator[str]:
    """A JupyterLab server, on a copy of a notebook if given one, on a free port; gives its address."""
    settings = folder / "home/.jupyter/lab/user-settings/@jupyterlab/apputils-extension"
    settings.mkdir(parents=True)
    (settings / "notification.jupyterlab-settings").write_text('{"fetchNews": "false"}')
    theme = "JupyterLab Dark" if dark else "JupyterLab Light"
    (settings / "themes.jupyterlab-settings").write_text(f'{{"theme": "{theme}"}}')
    root = _root(folder)
    if notebook is not None:
        shutil.copy(notebook, root)
    program = ["jupyterlab", *_jupyter_server(root), "--LabApp.expose_app_in_browser=True"]
    with _started(folder, program, "api/status") as address:
        yield address


@contextmanager
def jupyter_notebook(folder: Path) -> Iterator[str]:
    """A server of Jupyter Notebook 7 on a free port; gives its address."""
    program = ["notebook", *_jupyter_server(_root(folder)), "--JupyterNotebookApp.expose_app_in_browser=True"]
    with _started(folder, program, "api/status") as address:
        yield address


@contextmanager
def voila_server(folder: Path) -> Iterator[str]:
    """A server of Voilà on a free port; gives its address."""
    root = _root(folder)
    with _started(folder, ["voila", "--Voila.ip=127.0.0.1", "--token=", str(root)], "") as address:
        yield address


def _root(folder: Path) -> Path:
    """Where the notebooks are, made here."""
    root = folder / "notebooks"
    root.mkdir()
    return root


def _jupyter_server(root: Path) -> list[str]:
    return [
        *("--ip=127.0.0.1", "--allow-root", "--ServerApp.port_retries=0", "--ServerApp.password="),
        *("--IdentityProvider.token=", "--ServerApp.disable_check_xsrf=True"),
        f"--ServerApp.root_dir={root}",
    ]


@contextmanager
def _started(folder: Path, program: list[str], answers: str) -> Iterator[str]:
    """A server with a home of its own, once it answers a route."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    environment = {
        name: value for name, value in os.environ.items() if not name.startswith(("HERCLE_", "JUPYTER_"))
    }
    own = {"HOME": str(folder / "home"), "JUPYTER_RUNTIME_DIR": str(folder / "runtime")}
    profile = folder / "home/.ipython/profile_default"  # kernels tell all they hear, so that no key hides
    profile.mkdir(parents=True)
    (profile / "ipython_kernel_config.py").write_text("get_config().IPKernelApp.log_level = 10")
    with (
        (folder / SERVER_LOG).open("wb") as log,
        subprocess.Popen(
            [sys.executable, "-m", *program, "--debug", "--no-browser", f"--port={port}"],
            env=environment | own,
            stdout=log,
            stderr=subprocess.STDOUT,
        ) as server,
    ):
        try:
            address = f"http://127.0.0.1:{port}"
            _wait_for(f"{address}/{answers}", server)
            yield address
        finally:
            server.terminate()
            server.wait(20)


def _wait_for(url: str, server: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 60
    while True:
        assert server.poll() is None, "the server ended"
        try:
            urllib.request.urlopen(url, timeout=2).close()
        except (urllib.error.URLError, ConnectionError, TimeoutError):
            assert time.monotonic() < deadline, "the server did not start"
            time.sleep(0.1)
        else:
            return
