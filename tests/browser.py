"""A server of notebooks and a Chromium for the tests of a module, and notebooks of their own in them.

The server is JupyterLab, Notebook 7 or Voilà: a `Lab`, a `Notebook7` or a `Voila`, used alike.
"""

from __future__ import annotations

import json
import re
import time
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.jupyterlab import CHROMIUM, FLAGS, SERVER_LOG, jupyter_lab, jupyter_notebook, voila_server

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from playwright.sync_api import Browser, BrowserContext, Page

AXE = Path(__file__).parent / "js" / "node_modules" / "axe-core" / "axe.min.js"


class Lab:
    """A running JupyterLab, and a browser to look at it with.

    Attributes:
        address: Where it listens.
        browser: Each of its contexts is as good as a browser of its own.
    """

    def __init__(self, address: str, root: Path, browser: Browser) -> None:
        self.address = address
        self.browser = browser
        self._root = root

    @contextmanager
    def context(self, **options: Any) -> Iterator[BrowserContext]:
        """A browser of its own, with options of Playwright's ``new_context``."""
        context = self.browser.new_context(**{"viewport": {"width": 1280, "height": 1000}} | options)
        try:
            yield context
        finally:
            context.close()

    @contextmanager
    def notebook(self, name: str, *cells: str, **options: Any) -> Iterator[Page]:
        """A new notebook of these cells, opened and with an idle kernel; its kernel ends with the test."""
        self.write(name, *cells)
        with self.context(**options) as context:
            page = context.new_page()
            self.open(page, name)
            try:
                yield page
            finally:
                self._leave(page, name)

    def log(self) -> bytes:
        """What the server and its kernels have printed, at level DEBUG."""
        return (self._root.parent / SERVER_LOG).read_bytes()

    def saved(self, name: str) -> str:
        """A notebook as it was saved."""
        return (self._root / f"{name}.ipynb").read_text()

    def write(self, name: str, *cells: str) -> None:
        """Write a notebook of these cells."""
        written: list[dict[str, Any]] = [
            {
                "cell_type": "code",
                "id": str(number),
                "metadata": {},
                "outputs": [],
                "execution_count": None,
                "source": cell,
            }
            for number, cell in enumerate(cells)
        ]
        kernel = {"kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"}}
        content = {"cells": written, "metadata": kernel, "nbformat": 4, "nbformat_minor": 5}
        (self._root / f"{name}.ipynb").write_text(json.dumps(content))

    def open(self, page: Page, name: str, *, idle: bool = True) -> None:
        """Open a notebook in a workspace of its own, and wait for its kernel."""
        page.goto(self._url(name, re.sub(r"\W", "", f"{name}{id(page)}")))
        page.wait_for_selector(".jp-NotebookPanel .jp-Cell")
        page.wait_for_function("window.jupyterapp.serviceManager.sessions.isReady")
        if idle:
            kernel = "window.jupyterapp.shell.currentWidget.sessionContext.session?.kernel"
            page.wait_for_function(f"{kernel}?.status === 'idle'", timeout=60_000)

    def run(self, page: Page) -> None:
        """Ask for every cell of an opened notebook to be run, anew where it has been; does not wait."""
        clear(page)
        page.locator(".jp-OutputArea-output").first.wait_for(state="detached")
        run_all(page)

    def _url(self, name: str, workspace: str) -> str:
        return f"{self.address}/lab/workspaces/{workspace}/tree/{name}.ipynb"

    def _leave(self, page: Page, name: str) -> None:
        """End the kernel of a page's notebook."""
        page.evaluate(
            """async path => {
                const {sessions} = window.jupyterapp.serviceManager;
                await sessions.refreshRunning();
                for (const session of sessions.running())
                    if (session.path === path) await sessions.shutdown(session.id);
            }""",
            f"{name}.ipynb",
        )


class Notebook7(Lab):
    """A running Jupyter Notebook 7, and a browser to look at it with."""

    def _url(self, name: str, workspace: str) -> str:
        return f"{self.address}/notebooks/{name}.ipynb"


class Voila(Lab):
    """A running Voilà, and a browser to look at it with; an opened notebook runs, and has no cells to see.

    Attributes:
        theme: ``light`` or ``dark``.
    """

    theme = "light"

    def open(self, page: Page, name: str, *, idle: bool = True) -> None:
        """Open a notebook, and wait until all of its cells have run."""
        page.goto(f"{self.address}/voila/render/{name}.ipynb?theme={self.theme}")
        if idle:
            page.locator("#loading").wait_for(state="hidden", timeout=60_000)

    def run(self, page: Page) -> None:
        """Have every cell run anew, in another kernel."""
        page.reload()

    def _leave(self, page: Page, name: str) -> None:
        page.goto("about:blank")  # Voilà ends a kernel whose page goes


@contextmanager
def chromium() -> Iterator[Browser]:
    """A browser; there can be one at a time in a thread."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        try:
            yield browser
        finally:
            browser.close()


@contextmanager
def lab(folder: Path, browser: Browser | None = None) -> Iterator[Lab]:
    """JupyterLab, in a browser there is or in one of its own."""
    with (
        jupyter_lab(folder) as address,
        chromium() if browser is None else nullcontext(browser) as used,
    ):
        yield Lab(address, folder / "notebooks", used)


@contextmanager
def notebook7(folder: Path, browser: Browser) -> Iterator[Notebook7]:
    """Jupyter Notebook 7, in a browser there is."""
    with jupyter_notebook(folder) as address:
        yield Notebook7(address, folder / "notebooks", browser)


@contextmanager
def voila(folder: Path, browser: Browser) -> Iterator[Voila]:
    """Voilà, in a browser there is."""
    with voila_server(folder) as address:
        yield Voila(address, folder / "notebooks", browser)


def run_all(page: Page) -> None:
    """Ask for every cell to be run; does not wait for them."""
    page.evaluate("void window.jupyterapp.commands.execute('notebook:run-all-cells')")


def clear(page: Page) -> None:
    """Clear every output."""
    page.evaluate("window.jupyterapp.commands.execute('notebook:clear-all-cell-outputs')")


def run(page: Page, code: str) -> str:
    """The repr of an expression in the notebook's kernel, once it is idle."""
    answer: str = page.evaluate(
        """async code => {
            const kernel = window.jupyterapp.shell.currentWidget.sessionContext.session.kernel;
            const future = kernel.requestExecute({code: '', user_expressions: {answer: code}});
            const reply = await future.done;
            const answer = reply.content.user_expressions.answer;
            return answer.data ? answer.data['text/plain'] : `${answer.ename}: ${answer.evalue}`;
        }""",
        code,
    )
    return answer


def theme(page: Page, name: str) -> None:
    """Let JupyterLab be ``Light`` or ``Dark``."""
    page.evaluate(
        "name => window.jupyterapp.commands.execute('apputils:change-theme', {theme: name})",
        f"JupyterLab {name}",
    )
    page.wait_for_selector(f"body[data-jp-theme-name='JupyterLab {name}']", state="attached")
    page.wait_for_timeout(300)  # its style sheet is on its way


def violations(page: Page, inside: str) -> tuple[list[str], int]:
    """What axe-core has against what a selector finds, and of how many texts it measured the contrast."""
    page.add_script_tag(content=AXE.read_text())
    # JupyterLab's body is 0 pixels high, so that axe takes everything for hidden
    found = page.evaluate(
        """async inside => {
            const height = document.body.style.height;
            const frame = () => new Promise(requestAnimationFrame);
            document.body.style.height = '100vh';
            try {
                for (let frames = 0; frames < 3; frames += 1) await frame();  // until it is laid out anew
                const {violations, passes} = await axe.run(inside);
                const texts = passes.filter(rule => rule.id === 'color-contrast').flatMap(rule => rule.nodes);
                const told = violations.flatMap(rule =>
                    rule.nodes.map(node => `${rule.id}: ${node.html} ${node.failureSummary}`));
                return [told, texts.length];
            } finally {
                document.body.style.height = height;
            }
        }""",
        inside,
    )
    return found[0], found[1]


def until(page: Page, condition: Callable[[], object], seconds: float = 15) -> None:
    """Wait for what other programs are about to do."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen"
        page.wait_for_timeout(50)
