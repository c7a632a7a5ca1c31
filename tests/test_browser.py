"""The quickstart in a real browser: JupyterLab, its kernel, the form, and the hub behind it."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.jupyterlab import NEEDS_CHROMIUM, run_all

if TYPE_CHECKING:
    from collections.abc import Iterator

    from playwright.sync_api import Page

NOTEBOOK = Path(__file__).parent.parent / "notebooks" / "01-quickstart.ipynb"
pytestmark = NEEDS_CHROMIUM


@pytest.fixture
def page(tmp_path: Path) -> Iterator[Page]:
    """The quickstart in JupyterLab, all of its cells run."""
    with run_all(tmp_path, NOTEBOOK) as page:
        page.get_by_role("button", name="Create invoice").wait_for(timeout=60_000)
        yield page


def test_quickstart_in_jupyterlab(page: Page) -> None:
    """Run All shows the card and the form; a double click creates one invoice and shows it."""
    from playwright.sync_api import expect

    expect(page.get_by_role("img", name=re.compile("QR code to pay 0.00100000 BTC"))).to_be_visible()
    link = page.get_by_role("link", name="Open in a wallet").first
    expect(link).to_have_attribute("href", re.compile("^lightning:lnbcrt1m1[a-z0-9]+$"))
    expect(page.get_by_label("Amount")).to_have_value("0.0005")
    form = page.get_by_role("region", name="New invoice")
    page.get_by_label("Amount").fill("0,0005")
    expect(form).to_contain_text("plain decimal number")
    expect(page.get_by_role("button", name="Create invoice")).to_be_disabled()
    page.get_by_label("Amount").fill("0.0007")
    page.get_by_label("Memo").fill("<img src=x onerror=alert(1)> für zwei")
    page.get_by_label("Expiry").select_option(label="7 days")
    page.get_by_role("button", name="Create invoice").dblclick()
    card = form.get_by_role("img", name=re.compile("QR code to pay 0.00070000 BTC"))
    expect(card).to_be_visible()
    expect(form).to_contain_text("<img src=x onerror=alert(1)> für zwei")
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
