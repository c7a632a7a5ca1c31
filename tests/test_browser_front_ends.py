"""One press makes one invoice, by mouse and by keyboard: in JupyterLab, Notebook 7 and Voilà."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass
from decimal import Decimal
from functools import cache
from typing import TYPE_CHECKING, Any

import pytest

from tests.browser import chromium, lab, notebook7, voila
from tests.forms import CALM, FORM, LABELS, button, card, connecting, field, ready
from tests.jupyterlab import NEEDS_CHROMIUM

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager
    from pathlib import Path

    from playwright.sync_api import Browser, Page

    from tests.browser import Lab
    from tests.servers import HubProcess

pytestmark = NEEDS_CHROMIUM


@dataclass(frozen=True)
class Place:
    """Where a form is: a page, and the hub behind it."""

    jupyter: Lab
    page: Page
    hub: HubProcess


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """One Chromium for all tests here."""
    with chromium() as browser:
        yield browser


@pytest.fixture(scope="module")
def start(tmp_path_factory: pytest.TempPathFactory, browser: Browser) -> Iterator[Callable[[str], Lab]]:
    """Start a front end by its name, once for all tests here."""
    starts: dict[str, Callable[[Path, Browser], AbstractContextManager[Lab]]]
    starts = {"JupyterLab": lab, "Notebook7": notebook7, "Voila": voila}
    with ExitStack() as running:

        @cache
        def started(name: str) -> Lab:
            return running.enter_context(starts[name](tmp_path_factory.mktemp(name), browser))

        yield started


@pytest.fixture(
    scope="module",
    params=["JupyterLab-simulator", "JupyterLab-reference", "Notebook7-simulator", "Voila-simulator"],
)
def opened(request: pytest.FixtureRequest, start: Callable[[str], Lab]) -> Iterator[Place]:
    """A notebook with a form in it, in each front end, for all tests here."""
    name, _, hub_name = request.param.partition("-")
    hub: HubProcess = request.getfixturevalue(f"{hub_name}_process")
    jupyter = start(name)
    with jupyter.notebook(hub_name, connecting(hub), FORM) as page:
        yield Place(jupyter, page, hub)


@pytest.fixture
def place(opened: Place) -> Place:
    """That notebook with a new form, and the hub as good as new."""
    opened.hub.reset()
    opened.jupyter.run(opened.page)
    ready(opened.page)
    return opened


def sent(hub: HubProcess) -> list[dict[str, Any]]:
    """The creations that the hub was asked for."""
    return [call for call in hub.stats()["invocations"] if call["method"] == "CreateLightningInvoice"]


def test_by_mouse(place: Place) -> None:
    """Fields are filled and one button is pressed: the hub has what they said, and its card is shown."""
    from playwright.sync_api import expect

    page, hub = place.page, place.hub
    for label in LABELS:
        expect(page.get_by_label(label)).to_have_count(1)
    field(page, "Amount").fill("0.0007")
    field(page, "Memo").fill("für zwei")
    field(page, "Expiry").select_option(label="7 days")
    field(page, "ClientId").fill("order-17")
    button(page, "Create invoice").click()
    expect(card(page)).to_contain_text("0.00070000 BTC")
    expect(card(page)).to_contain_text("für zwei")
    expect(card(page).get_by_role("img", name="QR code to pay")).to_be_visible()
    (asked,) = sent(hub)
    assert [asked[name] for name in ("clientId", "memo", "expiryHours")] == ["order-17", "für zwei", 168]
    assert Decimal(str(asked["amountBtc"])) == Decimal("0.0007")
    assert hub.created() == 1


def test_by_keyboard(place: Place) -> None:
    """Tab goes from field to field, and Enter creates from each of them and from the button, once."""
    from playwright.sync_api import expect

    page, hub = place.page, place.hub
    field(page, "Amount").focus()
    for label, keys in zip(LABELS[:-1], ["0.0007", "s", "tea", "7"], strict=True):
        assert focused(page) == label
        page.keyboard.type(keys)  # in a select, its option that begins so
        page.keyboard.press("Tab")
    order = [*LABELS, "Create invoice"]
    for number, name in enumerate(order, start=1):
        assert focused(page) == "ClientId"
        page.keyboard.type(f"order-{number}")
        page.keyboard.press("Tab")
        for _ in order[order.index(name) : -1]:
            page.keyboard.press("Shift+Tab")
        assert focused(page) == name
        page.wait_for_timeout(CALM)
        if name != "Create invoice":
            page.keyboard.press("Shift+Enter")  # as one runs a cell
        page.keyboard.press("Enter")
        expect(card(page)).to_contain_text(f"order-{number}")
        assert focused(page) == (name if name not in ("Unit", "Expiry") else "Create invoice")
        button(page, "Another invoice").click()
        expect(field(page, "Amount")).to_be_focused()
        for _ in LABELS[:-1]:
            page.keyboard.press("Tab")
        expect(field(page, "ClientId")).to_have_value("")
    asked = sent(hub)
    assert [call["clientId"] for call in asked] == [f"order-{number}" for number in range(1, 7)]
    assert {Decimal(str(call["amountBtc"])) for call in asked} == {Decimal("0.0007")}
    assert {(call["memo"], call["expiryHours"]) for call in asked} == {("tea", 168)}
    assert hub.created() == 6


def focused(page: Page) -> str:
    """The name of what has the focus."""
    name: str = page.evaluate(
        """() => {
            const {labels, textContent, ariaLabel} = document.activeElement;
            return ariaLabel ?? labels?.[0]?.textContent ?? textContent;
        }"""
    )
    return name


@pytest.mark.parametrize("delay", [0, 400])
def test_pressed_often(place: Place, delay: int) -> None:
    """A double click, four clicks and a key held down make one invoice, however fast the hub."""
    from playwright.sync_api import expect

    page, hub = place.page, place.hub
    hub.mode(replyDelayMs=delay)
    field(page, "Amount").fill("0.0007")
    button(page, "Create invoice").dblclick()
    expect(card(page)).to_be_visible()
    button(page, "Create invoice").click(click_count=4, force=True)  # it is disabled by now
    for number, pressed in enumerate(["Amount", "Unit", "Create invoice"], start=2):
        button(page, "Another invoice").click()
        expect(card(page)).to_have_count(0)
        page.wait_for_timeout(CALM)
        (button if pressed == "Create invoice" else field)(page, pressed).focus()
        while not card(page).count():
            page.keyboard.down("Enter")
            page.wait_for_timeout(20)
        for _ in range(10):
            page.keyboard.down("Enter")
            page.wait_for_timeout(20)
        page.keyboard.up("Enter")
        assert len(sent(hub)) == number
    assert hub.created() == 4
