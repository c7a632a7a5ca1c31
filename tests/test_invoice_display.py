"""How invoices show themselves: as text and as HTML, whatever the hub or the memo holds."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import timedelta
from html import escape
from typing import TYPE_CHECKING

import nbformat
import pytest
from bs4 import BeautifulSoup
from hypothesis import given, settings
from hypothesis import strategies as st
from nbconvert import HTMLExporter
from nbconvert.filters import clean_html

from hercle_nb.display import time_text, visible
from tests.answers import NOW, PREIMAGE, answer, ask, foreign, pay_to
from tests.cards import MEMOS, Page

if TYPE_CHECKING:
    from hercle_nb.invoices import Invoice

EXPIRES = time_text(NOW + timedelta(days=1))
PAID = {"preimage": PREIMAGE.hex(), "hub_status": "CLOSED", "updated_at": NOW}
CLOSED = {"hub_status": "CLOSED", "updated_at": NOW}
DOUBTFUL = answer(encodedPaymentRequest=pay_to(amount_msat=1_000))
LATE = answer(encodedPaymentRequest=pay_to(timestamp=int(NOW.timestamp()) - 90_000))
PAYEE = "025cbdf0646e5db4eaa398f365f2ea7a0e3d419b7e0330e39ce92bddedcac4f9bc"


def page_of(invoice: Invoice) -> Page:
    """Return an invoice's card as a browser sees it."""
    return Page(invoice._repr_html_())


def test_text_in_three_lines() -> None:
    """The text shows ClientId, status, the amount in both units, memo, expiry and payment request."""
    invoice = answer()
    assert repr(invoice).splitlines() == [
        "Invoice my-invoice-123 (open): 0.00100000 BTC = 100\u202f000 sat, 'Payment for services'",
        f"  expires {EXPIRES}, hub id inv_1",
        f"  {invoice.payment_request}",
    ]


def test_text_of_a_paid_invoice() -> None:
    """Once paid, the text is a receipt: with the hub's time, and the preimage instead of the expiry."""
    first, second, _ = repr(replace(answer(), **PAID)).splitlines()
    assert f"(paid, as of {time_text(NOW)}): 0.00100000 BTC" in first
    assert second == f"  preimage {PREIMAGE.hex()}, hub id inv_1"
    assert "(paid): " in repr(replace(answer(), preimage=PREIMAGE.hex()))


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
    assert f"inv{visible(end)}  WARNING: send money" in repr(invoice)


@pytest.mark.parametrize("memo", MEMOS)
def test_text_of_hostile_memos(memo: str) -> None:
    """Whatever a memo holds, the text has three lines, and the memo stands in the first."""
    first, _, _ = repr(foreign(memo)).splitlines()
    assert first.endswith(f", '{visible(memo)}'")


def test_warnings_in_the_text() -> None:
    """Each warning is a line of the text."""
    warning = "  WARNING: the payment request asks for 0.00000001 BTC, not for 0.00100000 BTC"
    assert repr(DOUBTFUL).splitlines()[3:] == [warning]


def test_known_already_is_said() -> None:
    """An invoice that was not sent again says so, as text and as HTML."""
    reused = answer().as_reused()
    assert "(open, known already and not sent again)" in repr(reused)
    assert "◷ open, known already and not sent again" in page_of(reused).text


def test_card() -> None:
    """The card shows all that matters, each beside its name, without a network."""
    invoice = answer()
    page = page_of(invoice)
    for text in (
        *("0.00100000 BTC 100\u202f000 sat", "◷ open", "Memo Payment for services"),
        *(f"Expires {EXPIRES} (24 h)", f"Created {time_text(NOW)}", f"Payment hash {invoice.payment_hash}"),
        *(f"Payee key {PAYEE}", "Network regtest (bcrt)", "ClientId my-invoice-123", "Hub id inv_1"),
        *("Hub's words created", f"Payment request{invoice.payment_request}"),
    ):
        assert text in page.text
    assert "http" not in invoice._repr_html_()
    assert "(24 h, the hub's default)" in page_of(answer(ask(expiry_hours=None))).text


@pytest.mark.parametrize("hours", [24, None])
def test_another_expiry_than_was_asked_for(hours: int | None) -> None:
    """Beside an expiry that nobody asked for the card does not say that it is the one asked for."""
    page = page_of(answer(ask(expiry_hours=hours), encodedPaymentRequest=pay_to(expiry=3_600)))
    assert "the payment request is valid for 3,600 s, not for 24 h" in page.text
    assert f"Expires {time_text(NOW + timedelta(hours=1))}Created" in page.text


def test_payment_request_is_selected_as_a_whole() -> None:
    """The payment request, and nothing else, stands in an element that one click selects."""
    invoice = answer()
    style = r'<code style="[^"]*;user-select:all;-webkit-user-select:all">([^<]*)</code>'
    assert re.findall(style, invoice._repr_html_()) == [invoice.payment_request]
    padded = replace(invoice, payment_request=f" {invoice.payment_request}\n")
    assert re.findall(style, padded._repr_html_()) == [invoice.payment_request]


def test_ways_to_pay() -> None:
    """While it is open there is a QR code whose label names amount and expiry only, and a link."""
    invoice = answer()
    page = page_of(invoice)
    (image,) = page.images
    label = f"QR code to pay 0.00100000 BTC = 100\u202f000 sat, valid until {EXPIRES}"
    assert image["aria-label"] == label
    assert page.links == [f"lightning:{invoice.payment_request}"]
    assert "Open in a wallet" in page.text


@pytest.mark.parametrize(
    ("invoice", "words"),
    [
        (replace(answer(), **PAID), "✓ paid"),
        (replace(answer(), **CLOSED), "■ closed"),
        (LATE, "⊘ expired"),
        (DOUBTFUL, "⚠ the payment request asks for 0.00000001 BTC"),
    ],
    ids=["paid", "closed", "expired", "doubtful"],
)
def test_no_way_to_pay(invoice: Invoice, words: str) -> None:
    """A paid, closed, expired or doubtful invoice has neither QR code nor link, and words beside the icon."""
    page = page_of(invoice)
    assert words in page.text
    assert (page.images, page.links) == ([], [])


def test_no_code_for_an_endless_request() -> None:
    """A payment request that no QR code holds still has its link."""
    page = page_of(replace(answer(), payment_request="lnbcrt" + "q" * 5_000))
    assert page.images == []
    assert len(page.links) == 1


def test_receipt() -> None:
    """Once paid, the card has the preimage, what it proves and the hub's time, and no expiry any more."""
    text = page_of(replace(answer(), **PAID)).text
    assert f"✓ paid, as of {time_text(NOW)}" in text
    assert f"Preimage {PREIMAGE.hex()}" in text
    assert "Receipt the SHA-256 of the preimage is the payment hash" in text
    assert "Expire" not in text
    assert "as of" not in page_of(replace(answer(), updated_at=NOW)).text


def test_a_wrong_preimage_is_no_receipt() -> None:
    """A preimage that does not fit the payment hash is shown as worth nothing."""
    text = page_of(replace(answer(), preimage="00" * 32)).text
    assert f"Preimage {'00' * 32} (proves no payment)" in text
    assert "Receipt" not in text


def test_closed() -> None:
    """A closed invoice says that the hub takes no payment and shows no proof of one, and since when."""
    closed = replace(answer(), **CLOSED)
    words = "the hub takes no payment any more and shows no proof of one"
    for text in (repr(closed), page_of(closed).text):
        assert f"closed, {words}, as of {time_text(NOW)}" in text


def test_expired() -> None:
    """An expired invoice says when it expired, in the past tense."""
    assert f"  expired {time_text(LATE.expires_at)}, hub id" in repr(LATE)
    assert f"Expired {time_text(LATE.expires_at)}" in page_of(LATE).text


def test_made_elsewhere() -> None:
    """An invoice without ClientId says that it was created elsewhere, and no expiry was asked for."""
    invoice = foreign("tea")
    assert repr(invoice).startswith("Invoice inv_1 (open, created elsewhere): ")
    text = page_of(invoice).text
    assert "◷ open, created elsewhere" in text
    assert "ClientId none: created elsewhere" in text
    assert f"Expires {EXPIRES}Created" in text


def test_any_amount() -> None:
    """Where the payer chooses the amount, text, card and label say so."""
    invoice = foreign("tea", amount_msat=None)
    assert "): any amount, 'tea'" in repr(invoice)
    page = page_of(invoice)
    assert page.text.startswith("Any amount the payer chooses it")
    assert page.images[0]["aria-label"] == f"QR code to pay any amount, valid until {EXPIRES}"


def test_another_amount_than_asked_for() -> None:
    """What the payment request asks for is the amount, and what was asked for stands beside it."""
    asked = "asked for 0.00100000 BTC = 100\u202f000 sat"
    assert f": 0.00000001 BTC = 1 sat ({asked}), 'Payment" in repr(DOUBTFUL)
    assert page_of(DOUBTFUL).text.startswith(f"0.00000001 BTC 1 sat{asked}◷ open")
    receipt = page_of(replace(DOUBTFUL, **PAID)).text
    assert receipt.startswith(f"0.00000001 BTC 1 sat{asked}✓ paid")
    chosen = answer(encodedPaymentRequest=pay_to(amount_msat=None))
    assert f": any amount ({asked}), 'Payment" in repr(chosen)
    assert page_of(chosen).text.startswith(f"Any amount the payer chooses it{asked}")
    assert "asked for" not in repr(answer()) + page_of(answer()).text


def test_unknown_amount() -> None:
    """A payment request that cannot be read has an unknown amount, which is not any amount."""
    unread = foreign("tea", amount_msat=None, payment_request="lnbcrt1x", payment_hash=None)
    assert "): unknown amount, 'tea'" in repr(unread)
    assert page_of(unread).text.startswith("Unknown amount the payment request cannot be read")


def test_by_the_hubs_clock() -> None:
    """Status, words and QR code follow the hub's clock up to a day, the times stay those in UTC."""
    fresh = answer(encodedPaymentRequest=pay_to(timestamp=int(NOW.timestamp()) - 7_200, expiry=3_600))
    fresh = replace(fresh, alarm=False, warnings=())
    for hours, open_ in ((-2, True), (0, False), (2, False), (-25, False)):
        told = replace(fresh, clock_ahead=hours * 3_600.0)
        word = "expires" if open_ else "expired"
        assert f"  {word} {time_text(fresh.expires_at)}, hub id" in repr(told)
        assert bool(page_of(told).images) == bool(page_of(told).links) == open_


def test_unreadable_request() -> None:
    """Of a payment request that cannot be read the text is shown, without key, hash and network."""
    text = page_of(answer(encodedPaymentRequest="<b>\u202e")).text
    assert "Payment request<b>⟨U+202E⟩" in text
    assert not re.search("Payee|hash|Network", text)


def skeleton(html: str) -> list[str]:
    """Return the tags of a card with their attributes, but for what the payment request itself decides."""
    html = re.sub(r"lightning:\w+|data:image/png;base64,[\w+/=]+|width:\d+px", "", html)
    return re.findall("<[^>]*>", html)


def test_fifty_memos() -> None:
    """The corpus has fifty memos, all different, and each fits into a payment request."""
    assert len(set(MEMOS)) == 50
    assert max(len(memo.encode()) for memo in MEMOS) == 639


@pytest.mark.parametrize("memo", MEMOS)
def test_hostile_memos_in_the_card(memo: str) -> None:
    """Whatever a memo holds, it is text, and the card's elements are those of a harmless memo's card."""
    html = foreign(memo)._repr_html_()
    assert f">{escape(visible(memo))}</span>" in html
    assert f"Memo {visible(memo)}Expires" in Page(html).text
    assert skeleton(html) == skeleton(foreign("tea")._repr_html_())


@given(st.text(max_size=60), st.text(max_size=60), st.text(max_size=60))
@settings(max_examples=50, deadline=None)
def test_nothing_from_outside_becomes_html(hub_id: str, message: str, request: str) -> None:
    """Whatever the hub's id, words and payment request hold, they stay text in the card."""
    later = NOW + timedelta(days=1)
    invoice = answer(id=hub_id, message=message, encodedPaymentRequest=request)
    page = page_of(replace(invoice, alarm=False, expires_at=later))
    assert len(page.links) == 1
    assert f"Hub id {visible(hub_id)}" in page.text
    assert visible(message) in page.text
    assert visible(request.strip()) in page.text


@pytest.mark.parametrize("invoice", [answer(), replace(answer(), **PAID), DOUBTFUL, foreign("tea")])
def test_after_a_sanitiser(invoice: Invoice) -> None:
    """The sanitiser of nbconvert finds nothing that it has to take apart, and leaves all the text."""
    clean = clean_html(invoice._repr_html_())
    assert "&lt;" not in clean
    assert Page(clean).text == page_of(invoice).text


@pytest.mark.parametrize("memo", MEMOS)
def test_hostile_memos_after_a_sanitiser(memo: str) -> None:
    """A hostile memo is the same text after nbconvert's sanitiser."""
    html = foreign(memo)._repr_html_()
    assert Page(clean_html(html)).text == Page(html).text


@pytest.mark.parametrize("sanitize", [False, True])
def test_in_nbconvert(sanitize: bool) -> None:
    """A page of nbconvert's shows the card, all of it or without its picture."""
    html = foreign("<b>tea</b>")._repr_html_()
    output = nbformat.v4.new_output("display_data", {"text/html": html})
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell("invoice", outputs=[output])])
    body, _ = HTMLExporter(sanitize_html=sanitize).from_notebook_node(notebook)
    shown = BeautifulSoup(body, "html.parser").select_one(".jp-OutputArea-output")
    assert shown.get_text().strip() == Page(html).text
    assert len(shown.select("[role=img]")) == (0 if sanitize else 1)
