"""One JupyterLab and one Chromium for the tests of a module, and notebooks of their own in them."""

from __future__ import annotations

import json
import re
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.jupyterlab import CHROMIUM, FLAGS, jupyter_lab

if TYPE_CHECKING:
    from collections.abc import Iterator

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
                page.evaluate("window.jupyterapp.shell.currentWidget.sessionContext.shutdown()")

    def write(self, name: str, *cells: str) -> None:
        """Write a notebook of these cells."""
        written = [
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
        workspace = re.sub(r"\W", "", f"{name}{id(page)}")
        page.goto(f"{self.address}/lab/workspaces/{workspace}/tree/{name}.ipynb")
        page.wait_for_selector(".jp-NotebookPanel .jp-Cell")
        page.wait_for_function("window.jupyterapp.serviceManager.sessions.isReady")
        if idle:
            page.get_by_text("Python 3 (ipykernel) | Idle").wait_for(timeout=60_000)


@contextmanager
def lab(folder: Path) -> Iterator[Lab]:
    """JupyterLab and Chromium."""
    from playwright.sync_api import sync_playwright

    with jupyter_lab(folder) as address, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        try:
            yield Lab(address, folder / "notebooks", browser)
        finally:
            browser.close()


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
            document.body.style.height = '100vh';
            try {
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
