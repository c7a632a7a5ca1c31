"""How invoices show themselves: as text and as HTML, whatever the hub or the memo holds."""

from __future__ import annotations

import re
from dataclasses import replace
from html.parser import HTMLParser

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tests.answers import NOW, PREIMAGE, answer, ask, pay_to

HOSTILE = """<script>alert(1)</script>"'&<img src=x onerror=alert(2)>"""
TAGS = {"div", "span", "table", "tr", "th", "td", "code", "bdi", "em", "img"}
ATTRIBUTES = {"style", "role", "scope", "alt", "src"}


class Page(HTMLParser):
    """What a browser makes of a card: its text, and nothing in it that a card has no use for."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.text = ""
        self.images: list[dict[str, str | None]] = []
        self.open: list[str] = []
        self.feed(html)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note a tag; only plain ones may come."""
        assert tag in TAGS
        assert {name for name, _ in attrs} <= ATTRIBUTES
        if tag == "img":
            self.images.append(dict(attrs))
        else:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        """Close the tag that is open."""
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        """Collect text."""
        self.text += data


def test_text_in_three_lines() -> None:
    """The text shows ClientId, status, the amount in both units, memo, expiry and payment request."""
    invoice = answer()
    first, second, third = repr(invoice).splitlines()
    assert first == (
        "Invoice my-invoice-123 (open): 0.00100000 BTC = 100\u202f000 sat, 'Payment for services'"
    )
    assert second == f"  expires {invoice.expires_at:%Y-%m-%d %H:%M:%S} UTC, hub id inv_1"
    assert third == f"  {invoice.payment_request}"


def test_text_tells_no_memo_from_an_empty_one() -> None:
    """No memo and an empty memo look different, as text and as HTML."""
    request = pay_to(description="")
    assert "sat, no memo\n" in repr(answer(ask(memo=None), encodedPaymentRequest=request))
    assert "sat, ''\n" in repr(answer(ask(memo=""), encodedPaymentRequest=request))
    assert "<em>none</em>" in answer(ask(memo=None), encodedPaymentRequest=request)._repr_html_()
    assert "<em>none</em>" not in answer(ask(memo="none"), encodedPaymentRequest=request)._repr_html_()


@pytest.mark.parametrize("field", ["id", "encodedPaymentRequest"])
@pytest.mark.parametrize("end", ["\n", "\r", "\u2028", "\x1b[2K", "\u202e"])
def test_text_keeps_its_lines(field: str, end: str) -> None:
    """Line ends, escapes and direction marks in the hub's words make no line of their own."""
    invoice = answer(**{field: f"inv{end}  WARNING: send money"})
    assert len(repr(invoice).splitlines()) == 3 + len(invoice.warnings)
    assert end == "\n" or end not in repr(invoice)


def test_known_already_is_said() -> None:
    """An invoice that was not sent again says so, as text and as HTML."""
    reused = answer().as_reused()
    assert "(open, known already and not sent again)" in repr(reused)
    assert "known already, not sent again" in Page(reused._repr_html_()).text


def test_card() -> None:
    """The card shows all that matters, with a QR code whose alternative text names amount and expiry only."""
    invoice = answer()
    html = invoice._repr_html_()
    page = Page(html)
    expires = f"{invoice.expires_at:%Y-%m-%d %H:%M:%S} UTC"
    for text in ("0.00100000 BTC", "100\u202f000 sat", "◷ open", "Payment for services", f"{expires} (24 h)"):
        assert text in page.text
    for text in (invoice.client_id, "inv_1", invoice.payment_hash, invoice.payment_request):
        assert str(text) in page.text
    (image,) = page.images
    assert str(image["src"]).startswith("data:image/png;base64,")
    assert image["role"] == "img"
    assert image["alt"] == f"QR code to pay 0.00100000 BTC, valid until {expires}"
    assert "user-select:all" in html
    assert "http" not in html
    assert "(24 h, the hub's default)" in Page(answer(ask(expiry_hours=None))._repr_html_()).text


def test_card_without_a_code() -> None:
    """A paid, an expired and a doubtful invoice show no QR code, and say why in words beside the icon."""
    paid = replace(answer(), preimage=PREIMAGE.hex())
    late = answer(encodedPaymentRequest=pay_to(timestamp=int(NOW.timestamp()) - 90_000))
    doubtful = answer(encodedPaymentRequest=pay_to(amount_msat=1_000))
    for invoice, words in ((paid, "✓ paid"), (late, "⌛ expired"), (doubtful, "⚠ the payment request asks")):
        page = Page(invoice._repr_html_())
        assert words in page.text
        assert page.images == []
    assert PREIMAGE.hex() in Page(paid._repr_html_()).text
    assert repr(doubtful).splitlines()[3].startswith("  WARNING: the payment request asks for 0.00000001 BTC")


@given(st.text(max_size=60), st.text(max_size=60))
@example(HOSTILE, HOSTILE)
@example("</div>", "</code></div>")
@settings(max_examples=50, deadline=None)
def test_nothing_from_outside_becomes_html(hub_id: str, memo: str) -> None:
    """Whatever the hub's id and the payment request's memo hold, they stay text in the card."""
    memo = memo.encode(errors="replace").decode()
    invoice = answer(id=hub_id, encodedPaymentRequest=pay_to(description=memo))
    page = Page(invoice._repr_html_())
    if hub_id.isprintable():
        assert hub_id in page.text


def test_hostile_memo_is_escaped() -> None:
    """A memo full of HTML is shown as it was typed, with its QR code, and runs nothing."""
    invoice = answer(ask(memo=HOSTILE), encodedPaymentRequest=pay_to(description=HOSTILE))
    html = invoice._repr_html_()
    assert invoice.warnings == ()
    assert not re.search(r"<script|<img src=x", html, re.IGNORECASE)
    assert HOSTILE in Page(html).text
    assert len(Page(html).images) == 1
    wrong = answer(encodedPaymentRequest=pay_to(description=HOSTILE))
    assert HOSTILE.replace("'", r"\'") in Page(wrong._repr_html_()).text
