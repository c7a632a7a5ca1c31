"""The form in a real browser when all is not well: no answer, hub away, kernel busy or gone, two browsers."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from tests.browser import lab, run, until
from tests.forms import (
    CALM,
    FORM,
    badge,
    busy,
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


def unanswered(page: Page, simulator: HubProcess) -> None:
    """Create an invoice of which the hub says nothing."""
    from playwright.sync_api import expect

    run(page, "setattr(hub, 'timeout', 2)")
    simulator.mode(noReply=True)
    field(page, "Amount").fill("0.001")
    create(page)
    waiting = region(page).get_by_role("progressbar", name="Waiting for the hub")
    expect(waiting).to_be_visible()
    expect(region(page)).to_contain_text("Waiting for the hub: 1 s of 2 s")
    assert field(page, "Amount").get_attribute("readonly") is not None
    expect(region(page).get_by_role("group", name="What now?")).to_be_visible()
    expect(waiting).to_be_hidden()
    expect(region(page).get_by_role("alert")).to_contain_text("may or may not")
    assert simulator.created() == 1


def test_keep_waiting(page: Page, simulator: HubProcess) -> None:
    """After no answer one can wait on; nothing is sent, and an answer that comes late is shown."""
    from playwright.sync_api import expect

    unanswered(page, simulator)
    insist(page)
    button(page, "Keep waiting").click()
    expect(region(page).get_by_role("progressbar")).to_be_visible()
    expect(button(page, "Keep waiting")).to_be_hidden()
    expect(button(page, "Keep waiting")).to_be_visible()
    assert simulator.created() == 1


def test_look_again(page: Page, simulator: HubProcess) -> None:
    """After no answer one can have the hub's list looked into, as often as one likes; nothing is sent."""
    from playwright.sync_api import expect

    unanswered(page, simulator)
    button(page, "Look again").click()  # the hub is silent about its list as well
    expect(button(page, "Look again")).to_be_hidden()
    expect(button(page, "Look again")).to_be_visible()
    simulator.mode()
    button(page, "Look again").dblclick()
    expect(card(page)).to_contain_text("0.00100000 BTC")
    assert simulator.created() == 1


def test_create_a_new_one(page: Page, simulator: HubProcess) -> None:
    """After no answer one can create another one, once, and is told that there may be two."""
    from playwright.sync_api import expect

    unanswered(page, simulator)
    simulator.mode()
    button(page, "Create a new one, the first may exist").dblclick()
    expect(card(page)).to_contain_text("0.00100000 BTC")
    assert phase(page) == "created"
    assert simulator.created() == 2


def test_late_answer(page: Page, simulator: HubProcess) -> None:
    """An answer that comes after its time is shown, whether one waits for it or not."""
    from playwright.sync_api import expect

    run(page, "setattr(hub, 'timeout', 1)")
    simulator.mode(replyDelayMs=2_500)
    for number in (1, 2):
        field(page, "Amount").fill("0.001")
        create(page)
        expect(button(page, "Keep waiting")).to_be_visible()
        if number == 2:
            button(page, "Keep waiting").click()
        expect(card(page)).to_be_visible()
        expect(region(page).get_by_role("alert")).to_have_count(0)
        assert simulator.created() == number
        button(page, "Another invoice").click()


def test_hub_away(page: Page, simulator: HubProcess) -> None:
    """While the hub is away the form says so; what is pressed meanwhile is sent once it is back, once."""
    from playwright.sync_api import expect

    simulator.mode(negotiateFailures=1_000, negotiateStatus=503)
    simulator.lose()
    expect(badge(page)).to_have_text("Reconnecting")
    expect(region(page)).to_contain_text("trying again within")
    field(page, "Amount").fill("0.001")
    button(page, "Create invoice").dblclick()
    expect(region(page).get_by_role("progressbar")).to_be_visible()
    simulator.mode()
    expect(card(page)).to_be_visible(timeout=20_000)
    expect(badge(page)).to_have_text("Connected")
    assert simulator.created() == 1


def test_hub_closed(page: Page, simulator: HubProcess) -> None:
    """When the hub was closed the form says so, and a press says what to do."""
    from playwright.sync_api import expect

    run(page, "hub.close()")
    expect(badge(page)).to_have_text("Closed")
    field(page, "Amount").fill("0.001")
    create(page)
    expect(region(page).get_by_role("alert")).to_contain_text("hercle.connect()")
    assert simulator.created() == 0


@pytest.mark.parametrize(
    "code",
    [
        "import time; time.sleep(4)",
        "import time; end = time.monotonic() + 4\nwhile time.monotonic() < end: sum(range(10_000))",
    ],
    ids=["sleeping", "computing"],
)
def test_busy_kernel(page: Page, simulator: HubProcess, code: str) -> None:
    """While a cell computes the units convert at once; a press is what the page showed then, once."""
    from playwright.sync_api import expect

    busy(page, code)
    field(page, "Amount").fill("0.0007")
    expect(region(page).locator("output")).to_have_text("= 70\u202f000 sat", timeout=1_000)
    field(page, "Unit").select_option("sat")
    expect(field(page, "Amount")).to_have_value("70000", timeout=1_000)
    field(page, "Memo").fill("while busy")
    button(page, "Create invoice").dblclick()
    field(page, "Memo").press("Enter")
    expect(region(page).get_by_role("progressbar")).to_be_visible(timeout=1_000)
    page.keyboard.type("too late")
    expect(field(page, "Unit")).to_be_disabled()
    assert page.evaluate("window.busy")
    expect(card(page)).to_contain_text("while busy", timeout=10_000)
    expect(card(page)).to_contain_text("0.00070000 BTC")
    expect(card(page)).not_to_contain_text("too late")
    assert phase(page) == "created"
    assert simulator.created() == 1
    until(page, lambda: not page.evaluate("window.busy"))


def test_wrong_while_busy(page: Page, simulator: HubProcess) -> None:
    """What is wrong and was pressed while a cell computed is told after, and can be mended."""
    from playwright.sync_api import expect

    busy(page, "import time; time.sleep(1)")
    field(page, "Amount").fill("0,001")
    field(page, "Amount").press("Enter")
    expect(problem(page, "Amount")).to_contain_text("plain decimal number")
    in_vain(page, simulator, "Amount")
    expect(field(page, "Amount")).to_be_focused()
    field(page, "Amount").fill("0.001")
    page.wait_for_timeout(CALM)
    field(page, "Amount").press("Enter")
    expect(card(page)).to_be_visible()
    assert simulator.created() == 1


def test_two_browsers(jupyter: Lab, page: Page, simulator: HubProcess) -> None:
    """Two browsers on one notebook show the same: what is typed and wrong, what was pressed, the card."""
    from playwright.sync_api import expect

    page.evaluate("window.jupyterapp.commands.execute('docmanager:save')")
    field(page, "Memo").fill("from the first")
    with jupyter.context() as context:
        second = context.new_page()
        jupyter.open(second, "form")
        ready(second)
        expect(field(second, "Memo")).to_have_value("from the first")
        field(second, "Amount").fill("0,001")
        for shown in (page, second):
            expect(field(shown, "Amount")).to_have_value("0,001")
            expect(problem(shown, "Amount")).to_contain_text("plain decimal number")
        field(page, "Amount").fill("0.001")
        expect(field(second, "Amount")).to_have_value("0.001")
        expect(problem(second, "Amount")).to_be_empty()
        simulator.mode(replyDelayMs=1_500)
        create(second)
        expect(region(page).get_by_role("progressbar")).to_be_visible()
        expect(button(page, "Create invoice")).to_have_attribute("aria-disabled", "true")
        expect(field(page, "Unit")).to_be_disabled()
        for shown in (page, second):
            expect(card(shown)).to_contain_text("from the first")
        button(page, "Another invoice").click()
        expect(card(second)).to_have_count(0)
        busy(page, "import time; time.sleep(1.5)")
        field(page, "Memo").fill("pressed first")
        create(page)
        field(second, "Memo").fill("pressed second")
        create(second)
        for shown in (page, second):
            expect(card(shown)).to_contain_text("pressed first")
            expect(field(shown, "Memo")).to_have_value("pressed first")
        assert phase(second) == "created"
        assert simulator.created() == 2


def test_reload(page: Page, simulator: HubProcess) -> None:
    """After the page was reloaded, or the notebook closed and opened, the form is as it was left."""
    from playwright.sync_api import expect

    def reload() -> None:
        page.evaluate("window.jupyterapp.commands.execute('docmanager:save')")
        page.reload()
        ready(page)

    field(page, "Amount").fill("0,001")
    expect(problem(page, "Amount")).not_to_be_empty()
    reload()
    expect(field(page, "Amount")).to_have_value("0,001")
    expect(problem(page, "Amount")).to_contain_text("plain decimal number")
    field(page, "Amount").fill("0.001")
    simulator.mode(noReply=True)
    create(page)
    expect(region(page).get_by_role("progressbar")).to_be_visible()
    reload()
    expect(region(page)).to_contain_text(re.compile(r"Waiting for the hub: \d s of 30"))
    assert field(page, "Amount").get_attribute("readonly") is not None
    simulator.mode()
    simulator.lose()  # after that the hub's list is looked into
    expect(card(page)).to_be_visible()
    page.evaluate("window.jupyterapp.commands.execute('docmanager:save')")
    page.evaluate("window.jupyterapp.commands.execute('application:close')")
    region(page).wait_for(state="detached")
    page.evaluate("window.jupyterapp.commands.execute('docmanager:open', {path: 'form.ipynb'})")
    expect(card(page)).to_be_visible()
    button(page, "Another invoice").click()
    expect(field(page, "Amount")).to_have_value("0.001")
    assert simulator.created() == 1


def test_kernel_restart(jupyter: Lab, page: Page, simulator: HubProcess) -> None:
    """When the kernel is gone the form says so and nothing can be pressed; run again, it works again."""
    from playwright.sync_api import expect

    field(page, "Amount").fill("0.001")
    page.evaluate("window.jupyterapp.shell.currentWidget.sessionContext.session.kernel.restart()")
    expect(badge(page)).to_have_text("Closed", timeout=20_000)
    expect(region(page)).to_contain_text("run the cell again")
    assert field(page, "Amount").get_attribute("readonly") is not None
    field(page, "Amount").press("Enter")
    insist(page)
    expect(region(page).get_by_role("progressbar")).to_be_hidden()
    kernel = "window.jupyterapp.shell.currentWidget.sessionContext.session.kernel"
    page.wait_for_function(f"{kernel}.status === 'idle'")
    jupyter.run(page)
    ready(page)
    field(page, "Amount").fill("0.001")
    create(page)
    expect(card(page)).to_be_visible()
    assert simulator.created() == 1


def test_kernel_shut_down(jupyter: Lab, simulator: HubProcess) -> None:
    """When the kernel was shut down, the form says so at the first key or press."""
    from playwright.sync_api import expect

    with jupyter.notebook("shut", connecting(simulator), "hub.form(amount_btc='0.001')") as page:
        jupyter.run(page)
        ready(page)
        page.evaluate("window.jupyterapp.shell.currentWidget.sessionContext.shutdown()")
        create(page)
        expect(badge(page)).to_have_text("Closed")
        expect(region(page)).to_contain_text("run the cell again")
        expect(region(page).get_by_role("progressbar")).to_be_hidden()
        assert field(page, "Amount").get_attribute("readonly") is not None
