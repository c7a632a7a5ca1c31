"""The card of an invoice in a real browser, hostile memos in it, and what assistive technology finds."""

from __future__ import annotations

import re
import unicodedata
from typing import TYPE_CHECKING, Any

import pytest

from hercle_nb.display import visible
from hercle_nb.widgets._draft import Draft
from hercle_nb.widgets._frontend import _static
from tests.browser import AXE, lab, run, theme, until, violations
from tests.forms import FORM, busy, button, card, connecting, field, problem, ready, region
from tests.hostile import HOSTILE, UNSEEN
from tests.jupyterlab import NEEDS_CHROMIUM

if TYPE_CHECKING:
    from collections.abc import Iterator

    from playwright.sync_api import Locator, Page

    from tests.browser import Lab
    from tests.servers import HubProcess

pytestmark = NEEDS_CHROMIUM


TOO_SMALL = """parts => parts
    .filter(part => part.scrollWidth > part.clientWidth || part.scrollHeight > part.clientHeight)
    .map(part => part.outerHTML)"""


@pytest.fixture(scope="module")
def jupyter(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """One JupyterLab and one Chromium for all tests here."""
    with lab(tmp_path_factory.mktemp("lab")) as running:
        yield running


@pytest.fixture(scope="module")
def notebook(jupyter: Lab, simulator_process: HubProcess) -> Iterator[Page]:
    """A notebook with a form in it, in New York, for all tests that need no kernel of their own."""
    options: dict[str, Any] = {"timezone_id": "America/New_York", "locale": "en-US"}
    with jupyter.notebook("card", connecting(simulator_process), FORM, **options) as page:
        page.context.grant_permissions(["clipboard-read", "clipboard-write"])
        yield page


@pytest.fixture
def page(jupyter: Lab, notebook: Page, simulator: HubProcess) -> Iterator[Page]:
    """That notebook with a new hub and a new form; nothing is printed below a cell."""
    jupyter.run(notebook)
    ready(notebook)
    yield notebook
    assert notebook.locator("[data-mime-type^='application/vnd.jupyter.std']").all_inner_texts() == []


def created(page: Page, memo: str = "tea") -> None:
    """Create an invoice with the form."""
    from playwright.sync_api import expect

    field(page, "Amount").fill("0.001")
    field(page, "Memo").fill(memo)
    button(page, "Create invoice").click()
    expect(qr(page)).to_be_visible()


def qr(page: Page) -> Locator:
    """The QR code."""
    return page.get_by_role("img", name="QR code to pay")


def only(simulator: HubProcess) -> dict[str, Any]:
    """The one invoice that the hub has."""
    (invoice,) = simulator.stats()["invoices"]
    return dict(invoice)


def clipboard(page: Page) -> str:
    """What was copied last."""
    text: str = page.evaluate("navigator.clipboard.readText()")
    return text


def test_copies_the_payment_request(page: Page, simulator: HubProcess) -> None:
    """A press copies the payment request and says so for a moment, even where the clipboard is refused."""
    from playwright.sync_api import expect

    created(page)
    request = only(simulator)["encodedPaymentRequest"]
    for script in ("", "navigator.clipboard.writeText = () => Promise.reject(new Error('no'));"):
        page.evaluate(f"async () => {{ await navigator.clipboard.writeText('nothing'); {script} }}")
        button(page, "Copy payment request").press("Enter")
        expect(card(page).get_by_text("Copied", exact=True)).to_be_visible()
        assert clipboard(page) == request
        expect(button(page, "Copy payment request")).to_be_focused()
        expect(card(page).get_by_text("Copied", exact=True)).to_have_count(0)
    page.evaluate("delete navigator.clipboard.writeText")


def test_counts_down(page: Page) -> None:
    """The time left ticks, also while a cell computes, and the end is told in the time of this place."""
    from playwright.sync_api import expect

    created(page)
    left = card(page).get_by_role("timer")
    expect(left).to_have_text(re.compile(r"^Expires in (1 day 00:00:00|23:59:\d\d)$"))
    busy(page, "import time; time.sleep(4)")
    seen: set[str] = set()

    def ticked() -> bool:
        seen.add(left.inner_text())
        return len(seen) == 3

    until(page, ticked)
    assert page.evaluate("window.busy")
    expect(card(page)).to_contain_text(re.compile(r"[A-Z][a-z]{2} \d+, \d{4}, [\d:]+\s[AP]M E[SD]T here"))
    until(page, lambda: not page.evaluate("window.busy"))


DAY = re.compile(r"^Expires in (1 day 00:00:0\d|23:5\d:\d\d)$")
SET_CLOCK = """hours => {
    window.rightNow ??= Date.now;
    Date.now = () => window.rightNow() + hours * 3_600_000;
}"""


def test_counts_down_by_the_hubs_clock(page: Page) -> None:
    """The time left is right in a browser whose clock is hours off, also while its kernel is busy, or set."""
    from playwright.sync_api import expect

    page.evaluate(SET_CLOCK, 30)
    try:
        created(page)
        left = card(page).get_by_role("timer")
        expect(left).to_have_text(DAY)
        busy(page, "import time; time.sleep(2)")
        expect(left).to_have_text(DAY)
        until(page, lambda: not page.evaluate("window.busy"))
        page.evaluate(SET_CLOCK, -30)
        expect(left).to_have_text(DAY, timeout=15_000)  # as soon as the kernel has heard of it again
        expect(qr(page)).to_be_visible()
    finally:
        page.evaluate(SET_CLOCK, 0)


CARD = """([ahead, left, gone]) => {
    const now = Date.now() + ahead;
    const facts = {status: "open", request: "", pay: "", note: "", now, expires: now + left};
    const model = {get: () => facts, on() {}, off() {}, send() {}};
    const el = document.createElement("div");
    if (gone) el.className = "jupyter-widgets-disconnected";
    document.body.append(el);
    card(model)(el)();
    return el.querySelector("[role=timer]").textContent;
}"""


@pytest.mark.parametrize(
    ("ahead", "left", "gone", "shown"),
    [
        (-7_200_000, 3_600_000, False, "Expires in 01:00:00"),  # this browser is two hours ahead
        (7_200_000, 3_600_000, False, "Expires in 01:00:00"),
        (7_200_000, -1_000, False, "Expired"),
        (-7_200_000, 3_600_000, True, "Expired"),  # said two hours ago, as far as anybody can tell
        (-600_000, 3_600_000, True, "Expires in 00:50:00"),
        (7_200_000, 3_600_000, True, "Expires in 01:00:00"),  # it was not later than that
    ],
)
def test_the_time_of_a_saved_page(jupyter: Lab, ahead: int, left: int, gone: bool, shown: str) -> None:
    """What a kernel says now is by its clock; in a page that was saved with it the later clock counts."""
    with jupyter.context() as context:
        page = context.new_page()
        page.add_script_tag(content=_static("pieces.js", "card.js"))
        assert page.evaluate(CARD, [ahead, left, gone]) == shown


def receipt(page: Page) -> None:
    """Wait for the receipt, in which nothing is left to be paid."""
    from playwright.sync_api import expect

    expect(card(page)).to_contain_text("the SHA-256 of the preimage is the payment hash", timeout=12_000)
    expect(qr(page)).to_have_count(0)
    expect(card(page).get_by_role("link")).to_have_count(0)
    expect(card(page).get_by_role("button")).to_have_count(0)
    expect(card(page).get_by_role("timer")).to_be_hidden()


def test_becomes_a_receipt(page: Page, simulator: HubProcess) -> None:
    """Once the invoice is paid its card is a receipt within seconds, though nobody presses anything."""
    created(page)
    simulator.post(f"pay/{only(simulator)['id']}")
    receipt(page)


def test_simulator_pays(jupyter: Lab) -> None:
    """On the embedded simulator a button pays; the focus stays at the card, so no key reaches JupyterLab."""
    with jupyter.notebook(
        "embedded", 'import hercle_nb as hercle\nhub = hercle.connect("simulator")', FORM
    ) as page:
        jupyter.run(page)
        ready(page)
        created(page)
        button(page, "Pay (simulator)").dblclick()
        receipt(page)
        for _ in range(2):
            page.keyboard.press("d")  # JupyterLab deletes a cell by that
        receipt(page)
        assert run(page, "len(hub.invoices)") == "1"
        assert page.locator("[data-mime-type^='application/vnd.jupyter.std']").all_inner_texts() == []


def test_expires(jupyter: Lab, simulator: HubProcess) -> None:
    """An expired invoice has no QR code and no countdown, even if its kernel is gone and cannot say so."""
    from playwright.sync_api import expect

    short = (
        "from decimal import Decimal\nfrom hercle_nb.widgets.card import InvoiceCard\n"
        "hub.invoke('CreateLightningInvoice', '{memo}', Decimal('0.001'), '{memo}', {hours})\n"
        "known = hub.refresh_invoices()\n"
        "InvoiceCard(hub, hub.invoice(known.loc[known['memo'] == '{memo}', 'id'].item()))"
    )
    cells = [short.format(memo=memo, hours=hours) for memo, hours in (("soon", 0.001), ("later", 0.003))]
    with jupyter.notebook("expires", connecting(simulator), *cells) as page:
        jupyter.run(page)
        cards = page.locator(".hn-card")
        expect(cards).to_have_count(2)
        expect(cards.first).to_contain_text("expired")
        expect(cards.first.get_by_role("timer")).to_be_hidden()
        expect(qr(page)).to_have_count(1)
        page.evaluate("window.jupyterapp.shell.currentWidget.sessionContext.session.kernel.restart()")
        expect(cards.last).to_contain_text("The kernel is gone")
        expect(qr(page)).to_be_visible()
        expect(cards.last.get_by_role("timer")).to_have_text("Expired", timeout=15_000)
        expect(qr(page)).to_have_count(0)
        expect(cards.last.get_by_role("link")).to_have_count(0)
        expect(cards.last.get_by_role("button")).to_have_count(0)


def test_copies_code(page: Page, simulator: HubProcess) -> None:
    """The cell that is copied gives the form's invoice, or makes it if it comes first; there is one."""
    from playwright.sync_api import expect

    def run_copied() -> None:
        button(page, "Copy as code").click()
        expect(region(page).get_by_text("Copied", exact=True)).to_be_visible()
        busy(page, clipboard(page))
        until(page, lambda: not page.evaluate("window.busy"))

    created(page)
    run_copied()
    assert run(page, "invoice.reused, invoice.memo, invoice.amount_sat") == "(True, 'tea', 100000)"
    assert run(page, "invoice.payment_request") == repr(only(simulator)["encodedPaymentRequest"])
    button(page, "Another invoice").click()
    field(page, "Unit").select_option("sat")
    field(page, "Memo").fill('it\'s "coffee" \\ for two')
    field(page, "Expiry").select_option(label="hub's default (24 hours)")
    expect(button(page, "Copy as code")).to_have_attribute("aria-disabled", "false")
    run_copied()
    assert run(page, "invoice.reused, invoice.amount_sat") == "(False, 100000)"
    button(page, "Create invoice").click()
    expect(card(page)).to_contain_text("known already and not sent again")
    expect(card(page)).to_contain_text('it\'s "coffee" \\ for two')
    assert simulator.created() == 2


def test_hostile_memos(page: Page, simulator: HubProcess) -> None:
    """A hostile memo is text in field, problem, question and card; nothing of it runs, the layout holds."""
    from playwright.sync_api import expect

    dialogs: list[str] = []
    page.on("dialog", lambda dialog: dialogs.append(dialog.message))
    question = region(page).get_by_role("group", name="Are you sure?")
    field(page, "Amount").fill("0.25")
    layout = "region => [region.getBoundingClientRect().width, document.documentElement.scrollWidth]"
    before = region(page).evaluate(layout)
    made = 0
    for memo in HOSTILE:
        typed = re.sub("\r?\n", " ", memo)  # as in any field of one line
        field(page, "Memo").fill(memo)
        assert field(page, "Memo").input_value() == typed
        wrong = Draft(amount="0.25", memo=typed).problems().get("memo")
        if wrong:
            expect(problem(page, "Memo")).to_have_text(wrong)
        else:
            text = unicodedata.normalize("NFC", typed)
            button(page, "Create invoice").click()
            told = f"“{UNSEEN.sub(lambda found: f'U+{ord(found[0]):04X}', text)}”"
            expect(question).to_be_visible()
            assert told in (question.text_content() or "")
            button(page, "Yes, create it").click()
            expect(qr(page)).to_be_visible()
            assert visible(text) in (card(page).text_content() or "")
            made += 1
        assert region(page).evaluate(layout) == before
        assert region(page).locator(".hn-face").evaluate_all(TOO_SMALL) == []
        if not wrong:
            button(page, "Another invoice").click()
    assert made > 35
    assert simulator.created() == made
    assert page.evaluate("window.ran") is None
    assert dialogs == []
    inside = region(page).locator("script, img, svg, iframe, style, meta, base, [onload], [onerror]")
    assert inside.count() == 0


@pytest.mark.parametrize("width", [1280, 400])
def test_accessible(page: Page, simulator: HubProcess, width: int) -> None:
    """axe-core finds nothing in light and dark, wide and narrow, with problem, question, alert and card."""
    from playwright.sync_api import expect

    if not AXE.is_file():
        pytest.skip("axe-core is not here: npm ci --prefix tests/js")
    page.set_viewport_size({"width": width, "height": 1000})
    if width < 1000:
        page.evaluate("window.jupyterapp.commands.execute('application:toggle-left-area')")
    looked = 0

    def look() -> None:
        nonlocal looked
        for name in ("Light", "Dark"):
            theme(page, name)
            told, texts = violations(page, ".hn-form-box")
            assert told == []
            looked += texts
        parts = region(page).locator(".hn-face, .hn-button, .widget-html-content")
        assert parts.evaluate_all(TOO_SMALL) == []

    try:
        field(page, "Amount").fill("0,25")
        field(page, "Expiry").select_option(label="other…")
        button(page, "Create invoice").click(force=True)
        expect(problem(page, "Expiry")).not_to_be_empty()
        look()
        field(page, "Amount").fill("0.25")
        field(page, "Hours").fill("5")
        button(page, "Create invoice").click()
        expect(button(page, "Back")).to_be_visible()
        look()
        button(page, "Yes, create it").click()
        expect(qr(page)).to_be_visible()
        look()
        button(page, "Another invoice").click()
        simulator.mode(errorSubject="execution.invoice.error")
        field(page, "Amount").fill("0.001")
        button(page, "Create invoice").click()
        expect(region(page).get_by_role("alert")).to_be_visible()
        look()
        assert looked > 80
    finally:
        theme(page, "Light")
        page.set_viewport_size({"width": 1280, "height": 1000})
        if width < 1000:
            page.evaluate("window.jupyterapp.commands.execute('application:toggle-left-area')")


def test_focus_is_seen(page: Page) -> None:
    """Whatever the keyboard comes to in form and card shows that it has the focus."""
    created(page)
    field(page, "Amount").focus()
    page.keyboard.press("Shift+Tab")
    seen = []
    for _ in range(20):
        page.keyboard.press("Tab")
        name, inside, style, width = page.evaluate(
            """() => {
                const element = document.activeElement;
                const {outlineStyle, outlineWidth} = getComputedStyle(element);
                const name = element.labels?.[0]?.textContent ?? element.textContent;
                return [name, !!element.closest('.hn-face'), outlineStyle, parseFloat(outlineWidth)];
            }"""
        )
        if inside:
            assert (style, width >= 2) == ("solid", True), name
            seen.append(name)
    assert seen[:4] == ["Amount", "Memo", "ClientId", "Create invoice"]
    assert seen[-3:] == ["Copy as code", "Another invoice", "Copy payment request"]
