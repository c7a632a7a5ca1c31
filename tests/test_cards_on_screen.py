"""Cards in a real browser: what is read off the screen, and that hostile memos do nothing there."""

from __future__ import annotations

import io

import pytest

from hercle_nb.display import visible
from tests.answers import foreign
from tests.cards import MEMOS
from tests.jupyterlab import NEEDS_CHROMIUM, blank_page

pytestmark = NEEDS_CHROMIUM


@pytest.mark.parametrize("memo", ["Payment for services", "x" * 600], ids=["short", "long"])
@pytest.mark.parametrize("background", ["#ffffff", "#111111"], ids=["light", "dark"])
def test_code_is_read_back(background: str, memo: str) -> None:
    """A reader of QR codes finds the payment request on a light and a dark screen, wide and narrow."""
    import zxingcpp
    from PIL import Image

    invoice = foreign(memo)
    with blank_page() as page:
        page.set_content(f'<body style="background:{background}">{invoice._repr_html_()}')
        for width in (1000, 400):
            page.set_viewport_size({"width": width, "height": 1000})
            screen = Image.open(io.BytesIO(page.screenshot(full_page=True)))
            (code,) = zxingcpp.read_barcodes(screen)
            assert code.text == f"lightning:{invoice.payment_request.upper()}"
            assert page.evaluate("document.documentElement.scrollWidth") == width


def test_one_click_selects_the_payment_request() -> None:
    """A click on the payment request selects all of it and nothing else, of an invoice and taken apart."""
    invoice = foreign("tea")
    with blank_page() as page:
        for shown in (invoice, invoice.decoded):
            page.set_content(shown._repr_html_())
            page.locator("code", has_text=invoice.payment_request).click()
            assert page.evaluate("getSelection().toString()") == invoice.payment_request


def test_hostile_memos_do_nothing() -> None:
    """Cards full of hostile memos ask for nothing, run nothing, and each stays in its place with its text."""
    invoices = [foreign(memo) for memo in ["tea", *MEMOS]]
    shown = [[invoice._repr_html_(), invoice.decoded._repr_html_()] for invoice in invoices]
    heard: list[str] = []
    with blank_page() as page:
        page.on("request", lambda request: heard.append(request.url))
        page.on("dialog", lambda dialog: (heard.append(dialog.message), dialog.dismiss()))
        page.set_content("".join(f"<section>{''.join(cards)}</section>" for cards in shown))
        sections = page.eval_on_selector_all(
            "body > section", "all => all.map(one => [one.children.length, one.textContent])"
        )
        # handlers of focus and toggle would have run before the second frame
        page.evaluate("new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")
        elements = page.eval_on_selector_all(
            "section > div:first-child", "all => all.map(one => one.querySelectorAll('*').length)"
        )
    assert [url for url in heard if not url.startswith("data:image/png")] == []
    assert len(sections) == 51
    assert len(set(elements)) == 1
    for memo, (cards, text) in zip(["tea", *MEMOS], sections, strict=True):
        assert cards == 2
        assert text.count(visible(memo)) >= 2
