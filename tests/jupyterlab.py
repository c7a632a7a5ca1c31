"""JupyterLab and Chromium for tests and pictures."""

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
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    home = folder / "home"
    settings = home / ".jupyter/lab/user-settings/@jupyterlab/apputils-extension"
    settings.mkdir(parents=True)
    (settings / "notification.jupyterlab-settings").write_text('{"fetchNews": "false"}')
    theme = "JupyterLab Dark" if dark else "JupyterLab Light"
    (settings / "themes.jupyterlab-settings").write_text(f'{{"theme": "{theme}"}}')
    root = folder / "notebooks"
    root.mkdir()
    if notebook is not None:
        shutil.copy(notebook, root)
    environment = {
        name: value for name, value in os.environ.items() if not name.startswith(("HERCLE_", "JUPYTER_"))
    }
    command = [
        *(sys.executable, "-m", "jupyterlab", "--no-browser", "--ip=127.0.0.1", f"--port={port}"),
        *("--allow-root", "--ServerApp.port_retries=0", "--ServerApp.password="),
        *("--IdentityProvider.token=", "--ServerApp.disable_check_xsrf=True"),
        *(f"--ServerApp.root_dir={root}", "--LabApp.expose_app_in_browser=True"),
    ]
    with subprocess.Popen(
        command,
        env={**environment, "HOME": str(home), "JUPYTER_RUNTIME_DIR": str(folder / "runtime")},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    ) as server:
        try:
            address = f"http://127.0.0.1:{port}"
            _wait_for(address, server)
            yield address
        finally:
            server.terminate()
            server.wait(20)


def _wait_for(address: str, server: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 60
    while True:
        assert server.poll() is None, "JupyterLab ended"
        try:
            urllib.request.urlopen(f"{address}/api/status", timeout=2).close()
        except (urllib.error.URLError, ConnectionError, TimeoutError):
            assert time.monotonic() < deadline, "JupyterLab did not start"
            time.sleep(0.1)
        else:
            return
