"""The form in a real browser: what it says as one types, and that whatever happens, one press makes one."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from tests.browser import lab, run
from tests.forms import (
    CALM,
    FORM,
    button,
    card,
    connecting,
    create,
    field,
    in_vain,
    insist,
    phase,
    problem,
    ready,
    region,
)
from tests.jupyterlab import NEEDS_CHROMIUM

if TYPE_CHECKING:
    from collections.abc import Iterator

    from playwright.sync_api import Page

    from tests.browser import Lab
    from tests.servers import HubProcess

pytestmark = NEEDS_CHROMIUM


@pytest.fixture(scope="module")
def jupyter(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """One JupyterLab and one Chromium for all tests here."""
    with lab(tmp_path_factory.mktemp("lab")) as running:
        yield running


@pytest.fixture(scope="module")
def notebook(jupyter: Lab, simulator_process: HubProcess) -> Iterator[Page]:
    """A notebook with a form in it, for all tests that need no kernel of their own."""
    with jupyter.notebook("form", connecting(simulator_process), FORM) as page:
        yield page


@pytest.fixture
def page(jupyter: Lab, notebook: Page, simulator: HubProcess) -> Iterator[Page]:
    """That notebook with a new hub and a new form; nothing is printed below a cell."""
    jupyter.run(notebook)
    ready(notebook)
    yield notebook
    assert notebook.locator("[data-mime-type^='application/vnd.jupyter.std']").all_inner_texts() == []


AMOUNT = "Type an amount, such as 0.001."
HOURS = "The expiry must be a whole number of hours from 1 to 720"
CLIENT_ID = "The ClientId must be 1 to 36 printable ASCII characters without spaces; this one"
DIRECTION = "The memo holds a mark that turns the direction of text, U+202E at position 1"
PROBLEMS = [
    ("Amount", "BTC", "0", "An amount must be more than 0 BTC, not 0.", "0.5"),
    ("Amount", "BTC", "0,001", "'0,001' is not a plain decimal number; type digits with at most one", "1"),
    ("Amount", "BTC", "<b>1", "'<b>1' is not a plain decimal number", "1"),
    ("Amount", "BTC", "0.000000001", "0.000000001 BTC is 0.1 sat, finer than one satoshi; type 0.0", "0.1"),
    ("Amount", "BTC", "22000000", "more than the 21,000,000 BTC that will ever exist", "0.2"),
    ("Amount", "BTC", "1000", "1,000 BTC is more than this hub's limit of 1 BTC for one invoice", "1"),
    ("Amount", "BTC", "9" * 40, "more than the 21,000,000 BTC that will ever exist", "0.2"),
    ("Amount", "sat", "0.5", "An amount in satoshis is a whole number, not '0.5'", "5"),
    ("Amount", "sat", "0", "An amount must be at least 1 sat, not 0.", "1"),
    ("Memo", "sat", "é" * 320, "The memo has 640 bytes of UTF-8; at most 639 fit", "é" * 319),
    ("Memo", "sat", "a\u202eb", DIRECTION, "ab"),
    ("Memo", "sat", "a\tb", "The memo holds a control character, U+0009 at position 1", "a b"),
    ("Hours", "sat", "721", f"{HOURS}, not '721'.", "720"),
    ("Hours", "sat", "1.5", f"{HOURS}, not '1.5'.", "1"),
    ("ClientId", "sat", "order 17", f"{CLIENT_ID} holds ' ', U+0020.", "order-17"),
    ("ClientId", "sat", "x" * 37, f"{CLIENT_ID} has 37 characters.", "x" * 36),
]


def test_problems(page: Page, simulator: HubProcess) -> None:
    """What breaks a rule is told beside its field as one types; until it is mended nothing is created."""
    from playwright.sync_api import expect

    field(page, "Amount").fill("1")
    field(page, "Expiry").select_option(label="other…")
    field(page, "Hours").fill("24")
    for label, unit, wrong, says, right in PROBLEMS:
        field(page, "Unit").select_option(unit)
        field(page, label).fill(wrong)
        row = "Expiry" if label == "Hours" else label
        expect(problem(page, row)).to_contain_text(says)
        expect(field(page, label)).to_have_attribute("aria-invalid", "true")
        expect(field(page, label)).to_have_accessible_description(re.compile(re.escape(says)))
        in_vain(page, simulator, label)
        field(page, label).fill(right)
        expect(problem(page, row)).to_be_empty()
        expect(field(page, label)).to_have_attribute("aria-invalid", "false")
        expect(button(page, "Create invoice")).to_have_attribute("aria-disabled", "false")
    create(page)
    expect(card(page)).to_be_visible()
    assert simulator.created() == 1


def test_memo_is_counted(page: Page) -> None:
    """The bytes of the memo are counted as they are sent, in the composed form; control keys type nothing."""
    from playwright.sync_api import expect

    field(page, "Memo").focus()
    page.keyboard.insert_text("e\u0301👍")
    expect(region(page)).to_contain_text("6 of 639 bytes")
    field(page, "Memo").fill("")
    for key in ("a", "Control+g", "Backspace", "b", "Escape", "Control+h", "c"):
        field(page, "Memo").press(key)
    expect(field(page, "Memo")).to_have_value("bc")
    expect(region(page)).to_contain_text("2 of 639 bytes")


def test_empty_amount(page: Page, simulator: HubProcess) -> None:
    """Without an amount nothing is said until one wants to create; then the field has the focus."""
    from playwright.sync_api import expect

    field(page, "Memo").fill("tea")
    field(page, "Amount").fill("5")
    field(page, "Amount").fill("")
    expect(button(page, "Create invoice")).to_have_attribute("aria-disabled", "true")
    expect(problem(page, "Amount")).to_be_empty()
    insist(page)
    expect(problem(page, "Amount")).to_have_text(AMOUNT)
    expect(field(page, "Amount")).to_be_focused()
    in_vain(page, simulator, "Memo")
    field(page, "Amount").fill("0.001")
    expect(problem(page, "Amount")).to_be_empty()
    field(page, "Amount").press("Enter")
    expect(card(page)).to_be_visible()
    assert simulator.created() == 1


def test_units(page: Page) -> None:
    """Another unit converts the amount, told in the other one beside it, and clears what is no number."""
    from playwright.sync_api import expect

    echo = region(page).locator("output")
    for btc, sat, grouped in (
        ("0.001", "100000", "100\u202f000"),
        ("0.00000001", "1", "1"),
        ("21000000", "2100000000000000", "2\u202f100\u202f000\u202f000\u202f000\u202f000"),
        ("1.1", "110000000", "110\u202f000\u202f000"),
    ):
        field(page, "Unit").select_option("BTC")
        field(page, "Amount").fill(btc)
        expect(echo).to_have_text(f"= {grouped} sat")
        field(page, "Unit").select_option("sat")
        expect(field(page, "Amount")).to_have_value(sat)
        expect(echo).to_have_text(re.compile(r"^= [\d\u202f]+\.\d{8} BTC$"))
        field(page, "Unit").select_option("BTC")
        expect(field(page, "Amount")).to_have_value(btc)
    for text in ("25.000", "1.250"):  # satoshis with two readings are no number
        field(page, "Unit").select_option("sat")
        field(page, "Amount").fill(text)
        expect(echo).to_be_empty()
        expect(region(page)).to_contain_text(f"'{text}' is ")
        field(page, "Unit").select_option("BTC")
        expect(field(page, "Amount")).to_have_value("")
    for text in ("0,001", "x", "1e3", ""):
        field(page, "Amount").fill(text)
        expect(echo).to_be_empty()
        field(page, "Unit").select_option("sat")
        expect(field(page, "Amount")).to_have_value("")
        field(page, "Unit").select_option("BTC")


def test_confirmation(page: Page, simulator: HubProcess) -> None:
    """A large amount is asked about; no key held down answers, Back and Escape create none, Yes one."""
    from playwright.sync_api import expect

    question = region(page).get_by_role("group", name="Are you sure?")
    field(page, "Amount").fill("0.25")
    field(page, "Memo").focus()
    for _ in range(20):
        page.keyboard.down("Enter")
        page.wait_for_timeout(30)
    page.keyboard.up("Enter")
    expect(question).to_contain_text(
        "Create an invoice of 0.25000000 BTC = 25\u202f000\u202f000 sat with no memo, valid for 24 h? "
        "That is more than 0.10000000 BTC."
    )
    expect(button(page, "Back")).to_be_focused()
    expect(page.get_by_label("Memo")).to_have_count(1)
    assert field(page, "Amount").get_attribute("readonly") is not None
    assert phase(page) == "confirm"
    page.wait_for_timeout(CALM)
    page.keyboard.press("Enter")
    expect(question).to_be_hidden()
    expect(field(page, "Amount")).to_be_focused()
    field(page, "Amount").fill("0.26")
    create(page)
    expect(question).to_contain_text("0.26000000 BTC")
    page.keyboard.press("Escape")
    expect(question).to_be_hidden()
    create(page)
    button(page, "Yes, create it").dblclick()
    expect(card(page)).to_contain_text("0.26000000 BTC")
    assert phase(page) == "created"
    assert simulator.created() == 1


def test_production_asks(jupyter: Lab, page: Page, simulator: HubProcess) -> None:
    """On production every invoice is asked about, and the form says that it is production."""
    from playwright.sync_api import expect

    run(page, "setattr(hub._core, 'environment', 'production')")
    expect(region(page).get_by_text("PRODUCTION", exact=True)).to_be_visible()
    field(page, "Amount").fill("0.00000001")
    field(page, "Amount").press("Enter")
    question = region(page).get_by_role("group", name="Are you sure?")
    expect(question).to_contain_text("This is production: the invoice is real.")
    assert simulator.created() == 0
    button(page, "Yes, create it").click()
    expect(card(page)).to_be_visible()
    assert simulator.created() == 1


def test_refused(page: Page, simulator: HubProcess) -> None:
    """When the hub refuses, its words are shown, and the fields are free to be mended."""
    from playwright.sync_api import expect

    simulator.mode(errorSubject="execution.invoice.error")
    field(page, "Amount").fill("0.001")
    create(page)
    expect(region(page).get_by_role("alert")).to_contain_text("The account may not create invoices")
    simulator.mode()
    field(page, "Memo").fill("again")
    create(page)
    expect(card(page)).to_contain_text("again")
    expect(region(page).get_by_role("alert")).to_have_count(0)
    assert simulator.created() == 1


def test_another(page: Page, simulator: HubProcess) -> None:
    """Another invoice begins with the same fields but no ClientId, and Enter pressed twice makes none."""
    from playwright.sync_api import expect

    field(page, "Amount").fill("0.001")
    field(page, "Memo").fill("tea")
    field(page, "ClientId").fill("order-17")
    field(page, "ClientId").press("Enter")
    expect(card(page)).to_contain_text("order-17")
    page.wait_for_timeout(CALM)
    button(page, "Another invoice").focus()
    page.keyboard.press("Enter")
    expect(field(page, "Amount")).to_be_focused()
    page.keyboard.press("Enter")
    expect(card(page)).to_have_count(0)
    expect(field(page, "ClientId")).to_have_value("")
    expect(field(page, "Memo")).to_have_value("tea")
    assert phase(page) == "draft"
    create(page)
    expect(card(page)).to_contain_text("tea")
    button(page, "Another invoice").click()
    field(page, "ClientId").fill("order-17")
    field(page, "Memo").fill("coffee")
    create(page)
    expect(problem(page, "ClientId")).to_contain_text("order-17")
    assert simulator.created() == 2


def test_keys_that_do_not_create(page: Page, simulator: HubProcess) -> None:
    """Enter with another key, of an input method, or that picks an option creates nothing."""
    from playwright.sync_api import expect

    field(page, "Amount").fill("0.001")
    for key in ("Shift+Enter", "Control+Enter", "Alt+Enter"):
        for label in ("Amount", "Expiry"):
            field(page, label).press(key)
    field(page, "Memo").focus()
    press = """options => document.activeElement.dispatchEvent(
        new KeyboardEvent("keydown", {key: "Enter", bubbles: true, cancelable: true, ...options}))"""
    page.evaluate(press, {"isComposing": True})
    page.evaluate(press, {"keyCode": 229})
    field(page, "Expiry").press("Alt+ArrowDown")
    page.wait_for_function("document.activeElement.matches(':open')")
    page.evaluate(press, {})  # some browsers tell the page as well
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    expect(field(page, "Expiry")).to_have_value("168")
    assert phase(page) == "draft"
    assert simulator.created() == 0


def test_plain(jupyter: Lab, simulator: HubProcess) -> None:
    """The plain form lives in a browser too: it always asks, and creates one."""
    from playwright.sync_api import expect

    plain = "form = hub.form(plain=True)\nform"
    with jupyter.notebook("plain", connecting(simulator), plain) as page:
        jupyter.run(page)
        page.get_by_label("Amount").fill("0.0007")
        page.get_by_label("Memo").fill("plain tea")
        page.get_by_role("button", name="Create invoice").dblclick()
        page.get_by_text("Create an invoice of 0.00070000 BTC").wait_for()
        assert simulator.created() == 0
        page.get_by_role("button", name="Yes, create it").dblclick()
        expect(page.get_by_role("img", name="QR code to pay 0.00070000 BTC")).to_be_visible()
        expect(page.locator(".hn-card")).to_contain_text("plain tea")
        expect(page.get_by_role("button", name="Another invoice")).to_be_visible()
        assert simulator.created() == 1
