"""The quickstart in a real browser: JupyterLab, its kernel, the form, and the hub behind it."""

from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from playwright.sync_api import Page

CHROMIUM = shutil.which("chromium")
NOTEBOOK = Path(__file__).parent.parent / "notebooks" / "01-quickstart.ipynb"
FLAGS = [
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync"),
    *("--disable-background-networking", "--disable-component-update"),
]
pytestmark = [
    pytest.mark.skipif(CHROMIUM is None, reason="chromium is not here: apt-get install chromium"),
    # Playwright's own event loop and pipes are not ours to close in order
    pytest.mark.filterwarnings(
        "default::ResourceWarning", "default::pytest.PytestUnraisableExceptionWarning"
    ),
]


@contextmanager
def jupyter_lab(folder: Path) -> Iterator[str]:
    """A JupyterLab server with a home of its own, on a free port of this machine; gives its address."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    home = folder / "home"
    settings = home / ".jupyter/lab/user-settings/@jupyterlab/apputils-extension"
    settings.mkdir(parents=True)
    (settings / "notification.jupyterlab-settings").write_text('{"fetchNews": "false"}')
    root = folder / "notebooks"
    root.mkdir()
    shutil.copy(NOTEBOOK, root)
    environment = {
        name: value for name, value in os.environ.items() if not name.startswith(("HERCLE_", "JUPYTER_"))
    }
    command = [
        *(
            sys.executable,
            "-m",
            "jupyterlab",
            "--no-browser",
            "--ip=127.0.0.1",
            f"--port={port}",
            "--allow-root",
        ),
        *("--ServerApp.port_retries=0", "--IdentityProvider.token=", "--ServerApp.password="),
        *("--ServerApp.disable_check_xsrf=True", f"--ServerApp.root_dir={root}"),
        "--LabApp.expose_app_in_browser=True",
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


@pytest.fixture
def page(tmp_path: Path) -> Iterator[Page]:
    """The quickstart in JupyterLab, all of its cells run."""
    from playwright.sync_api import sync_playwright

    with jupyter_lab(tmp_path) as address, sync_playwright() as playwright:
        browser = playwright.chromium.launch_persistent_context(
            tmp_path / "browser",
            executable_path=CHROMIUM,
            args=FLAGS,
            viewport={"width": 1280, "height": 1000},
        )
        page = browser.pages[0]
        page.goto(f"{address}/lab/tree/{NOTEBOOK.name}")
        page.wait_for_selector(".jp-NotebookPanel .jp-Cell")
        page.wait_for_function("window.jupyterapp.serviceManager.sessions.isReady")
        page.get_by_text("Python 3 (ipykernel) | Idle").wait_for(timeout=60_000)
        page.evaluate("window.jupyterapp.commands.execute('notebook:run-all-cells')")
        page.get_by_role("button", name="Create invoice").wait_for(timeout=60_000)
        yield page
        browser.close()


def test_quickstart_in_jupyterlab(page: Page) -> None:
    """Run All shows the card and the form; a double click creates one invoice and shows it."""
    from playwright.sync_api import expect

    expect(page.get_by_role("img", name=re.compile("QR code to pay 0.00100000 BTC"))).to_be_visible()
    expect(page.get_by_label("Amount")).to_have_value("0.0005")
    page.get_by_label("Amount").fill("0,0005")
    page.get_by_role("button", name="Create invoice").click()
    expect(page.get_by_role("alert")).to_contain_text("plain decimal number")
    page.get_by_label("Amount").fill("0.0007")
    page.get_by_label("Memo").fill("<img src=x onerror=alert(1)> für zwei")
    page.get_by_label("Expiry").select_option(label="7 days")
    page.get_by_role("button", name="Create invoice").dblclick()
    card = page.locator(".hn-form").get_by_role("img", name=re.compile("QR code to pay 0.00070000 BTC"))
    expect(card).to_be_visible()
    expect(page.locator(".hn-form")).to_contain_text("<img src=x onerror=alert(1)> für zwei")
    expect(page.get_by_role("button", name="Create invoice")).to_be_disabled()
    assert "2 invoices" in _run(page, "hub.simulator")


def _run(page: Page, code: str) -> str:
    """The repr of an expression in the notebook's kernel."""
    return page.evaluate(
        """async code => {
            const kernel = window.jupyterapp.shell.currentWidget.sessionContext.session.kernel;
            const future = kernel.requestExecute({code: '', user_expressions: {answer: code}});
            const reply = await future.done;
            return reply.content.user_expressions.answer.data['text/plain'];
        }""",
        code,
    )
