"""The app in a real browser: where the key goes, its faces as tabs, by keyboard, for screen readers."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.browser import AXE, chromium, lab, notebook7, run, run_all, theme, until, violations, voila
from tests.jupyterlab import NEEDS_CHROMIUM

if TYPE_CHECKING:
    from collections.abc import Iterator
    from contextlib import AbstractContextManager
    from typing import Any

    from playwright.sync_api import Browser, Locator, Page

    from tests.browser import Lab
    from tests.servers import HubProcess

pytestmark = NEEDS_CHROMIUM

SECRET = "hk-5e55107e-typed-by-a-person"
APP = "import hercle_nb as hercle\napp = hercle.app(environment='sandbox', url={url!r})\napp"
TABS = ["New invoice", "Invoices", "Hub events", "Console"]


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """One Chromium for all tests here."""
    with chromium() as running:
        yield running


@pytest.fixture(scope="module")
def jupyter(tmp_path_factory: pytest.TempPathFactory, browser: Browser) -> Iterator[Lab]:
    """One JupyterLab for the tests that need no other front end."""
    with lab(tmp_path_factory.mktemp("lab"), browser) as running:
        yield running


@pytest.fixture
def page(jupyter: Lab) -> Iterator[Page]:
    """An app that is connected to the embedded simulator."""
    with jupyter.notebook("app", APP.format(url=None)) as page:
        run_all(page)
        panel(page).get_by_role("button", name="Use the simulator").click()
        tab(page, TABS[0]).wait_for()
        yield page


def panel(page: Page) -> Locator:
    """The connect panel."""
    return page.locator(".hn-connect")


def tab(page: Page, name: str) -> Locator:
    """A tab of the app, not one of JupyterLab's."""
    return page.locator(".hn-app").get_by_role("tab", name=name, exact=True)


def events(page: Page) -> Locator:
    """The monitor."""
    return page.get_by_role("region", name="Hub events")


def create(page: Page, memo: str) -> Locator:
    """Create an invoice with the app's form; its card."""
    form = page.get_by_role("region", name="New invoice")
    form.get_by_label("Amount").fill("0.001")
    form.get_by_label("Memo").fill(memo)
    form.get_by_role("button", name="Create invoice").click()
    form.get_by_role("button", name="Copy payment request").wait_for()
    return form.locator(".hn-card")


@pytest.mark.parametrize("front_end", [lab, notebook7, voila], ids=["JupyterLab", "Notebook7", "Voila"])
def test_the_key_goes_to_the_kernel_alone(
    front_end: Any, browser: Browser, tmp_path: Any, simulator: HubProcess
) -> None:
    """A typed key crosses to the kernel in one custom message, and is nowhere else.

    Not on the page, in a frame from the kernel, a state update, the saved notebook with the state of widgets,
    or what the servers print.
    """
    simulator.post("key", {"key": SECRET})
    sent: list[bytes] = []
    heard: list[bytes] = []
    running: AbstractContextManager[Lab] = front_end(tmp_path, browser)
    with running as jupyter, jupyter.context() as context:
        page = context.new_page()

        def listen(socket: Any) -> None:
            socket.on("framesent", lambda payload: sent.append(_octets(payload)))
            socket.on("framereceived", lambda payload: heard.append(_octets(payload)))

        page.on("websocket", listen)
        jupyter.write("key", APP.format(url=simulator.url))
        jupyter.open(page, "key")
        jupyter.run(page)
        field = panel(page).get_by_label("API key")
        field.fill(SECRET)
        assert field.get_attribute("type") == "password"
        panel(page).get_by_role("button", name="Connect", exact=True).click()
        assert field.input_value() == ""
        tab(page, TABS[0]).wait_for()
        create(page, "with a key")
        assert simulator.created() == 1
        tab(page, "Hub events").click()
        events(page).get_by_role("cell", name="execution.invoice.created", exact=True).wait_for()
        values = page.evaluate("[...document.querySelectorAll('input, textarea')].map(field => field.value)")
        if front_end is not voila:
            page.evaluate(
                """async () => {
                    const {commands} = window.jupyterapp;
                    const id = '@jupyter-widgets/jupyterlab-manager:saveWidgetState';
                    if (!commands.isToggled(id)) await commands.execute(id);
                    await commands.execute('docmanager:save');
                }"""
            )
            until(page, lambda: "widget-state+json" in jupyter.saved("key"))
            assert SECRET not in jupyter.saved("key")
        assert SECRET not in page.content()
        assert [value for value in values if SECRET in value] == []
        page.goto("about:blank")
        log = jupyter.log()
    holding = [frame for frame in sent if SECRET.encode() in frame]
    assert len(holding) == 1
    assert b"comm_msg" in holding[0]
    assert b'"custom"' in holding[0]
    assert len(heard) > 10
    assert [frame[:200] for frame in heard if SECRET.encode() in frame] == []
    assert len(log) > 1_000
    assert SECRET.encode() not in log


def _octets(payload: str | bytes) -> bytes:
    return payload.encode() if isinstance(payload, str) else payload


def test_wrong_key_then_the_simulator(jupyter: Lab, simulator: HubProcess) -> None:
    """A refused key is told, its field is empty again, and the simulator and the panel are a press away."""
    from playwright.sync_api import expect

    with jupyter.notebook("wrong", APP.format(url=simulator.url)) as page:
        run_all(page)
        panel(page).get_by_label("API key").fill("not-this-one")
        panel(page).get_by_label("API key").press("Enter")
        expect(panel(page).get_by_role("alert")).to_contain_text("refused")
        expect(panel(page).get_by_label("API key")).to_have_value("")
        panel(page).get_by_role("button", name="Use the simulator").click()
        tab(page, TABS[0]).wait_for()
        assert run(page, "app.hub.environment") == "'simulator'"
        panel(page).get_by_role("button", name="Disconnect").click()
        panel(page).get_by_role("button", name="Connect", exact=True).wait_for()
        assert tab(page, TABS[0]).count() == 0
        assert run(page, "app.hub") == "None"
        expect(panel(page).get_by_label("API key")).to_be_hidden()  # the simulator needs none
        panel(page).get_by_label("Environment").select_option("production")
        expect(panel(page)).to_contain_text("Invoices are real here")
        panel(page).get_by_role("button", name="Connect", exact=True).click()
        expect(panel(page).get_by_role("alert")).to_contain_text("HERCLE_API_KEY")


def test_every_face(page: Page) -> None:
    """An invoice made in the form is in the inspector, its event in the monitor; the console asks the hub."""
    from playwright.sync_api import expect

    create(page, "seen everywhere")
    tab(page, "Invoices").click()
    page.get_by_role("region", name="Invoices").get_by_role("cell", name="seen everywhere").wait_for()
    tab(page, "Hub events").click()
    events(page).get_by_role("cell", name="execution.invoice.created", exact=True).wait_for()
    expect(events(page).get_by_role("status").first).to_have_text("Connected")
    tab(page, "Console").click()
    console = page.get_by_role("region", name="Console")
    console.get_by_role("button", name="Send").click()
    expect(console.get_by_role("group", name="Answer")).to_contain_text("account.balances.snapshot")
    page.locator(".hn-app").get_by_role("button", name="Disconnect").click()
    tab(page, TABS[0]).wait_for(state="detached")


def test_console(page: Page) -> None:
    """What may change something is asked about and sent once; what spends money is refused, with why."""
    from playwright.sync_api import expect

    tab(page, "Console").click()
    console = page.get_by_role("region", name="Console")
    command = console.get_by_label("Command")
    count = "len(app.hub.simulator._server.state.invoices)"
    command.select_option("WithdrawLightning")
    expect(console).to_contain_text("spends money")
    expect(console.get_by_role("button", name="Send")).to_be_disabled()
    command.select_option("other")
    console.get_by_label("Method").fill("withdrawlightning")
    console.get_by_label("Arguments").fill('["lnbc1"]')
    console.get_by_label("Arguments").press("Enter")
    expect(console.get_by_role("alert")).to_contain_text("spends money")
    command.select_option("CreateLightningInvoice")
    console.get_by_label("AmountBtc").fill("0.002")
    console.get_by_label("AmountBtc").press("Enter")
    asked = console.get_by_role("group", name="Send it?")
    expect(asked).to_contain_text("0.00200000 BTC")
    expect(asked.get_by_role("button", name="Back")).to_be_focused()
    for _ in range(5):
        page.keyboard.down("Enter")  # held: it is on Back, and yet does nothing but once
    page.keyboard.up("Enter")
    expect(asked).to_be_hidden()
    assert run(page, count) == "0"
    console.get_by_role("button", name="Send").click()
    console.get_by_role("button", name="Yes, send it").dblclick()
    expect(console.get_by_role("group", name="Answer")).to_contain_text("lnbcrt")
    assert run(page, count) == "1"
    command.select_option("SubscribePairPriceChannel")
    console.get_by_label("PairName").fill("BTCUSDT")
    console.get_by_role("button", name="Send").click()
    expect(console.get_by_role("group", name="Answer")).to_contain_text("subscribed")
    until(page, lambda: run(page, "app.hub.subscriptions.index.tolist()") == "['BTCUSDT']")


def test_by_keyboard(page: Page) -> None:
    """The tabs are walked with the arrow keys, and the faces are reached with the tabulator."""
    from playwright.sync_api import expect

    tab(page, TABS[0]).focus()
    for name in TABS[1:]:
        page.keyboard.press("ArrowRight")
        page.keyboard.press("Enter")
        expect(tab(page, name)).to_have_attribute("aria-selected", "true")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.closest('.hn-console, .lm-TabBar, .hn-app') !== null")


def test_narrow(page: Page) -> None:
    """On a phone no name of a tab is cut, the address breaks, and there is room for a payment request."""
    page.set_viewport_size({"width": 400, "height": 1000})
    page.evaluate("window.jupyterapp.commands.execute('application:toggle-left-area')")
    until(page, lambda: page.locator(".hn-app").bounding_box()["width"] < 400)
    cut = "texts => texts.filter(text => text.scrollWidth > text.clientWidth).map(text => text.textContent)"
    assert page.locator(".hn-app .lm-TabBar-tabLabel").evaluate_all(cut) == []
    inside = (
        "text => text.getBoundingClientRect().right <= text.closest('.hn-face').getBoundingClientRect().right"
    )
    assert panel(page).get_by_role("status").evaluate(inside)
    tab(page, "Invoices").click()
    reader = page.get_by_label("Decode a payment request")
    reader.wait_for()
    assert reader.bounding_box()["width"] > 200


def test_accessible(page: Page) -> None:
    """axe-core finds nothing in any face of the app nor in its panel, in light and dark; the focus shows."""
    if not AXE.is_file():
        pytest.skip("axe-core is not here: npm ci --prefix tests/js")
    create(page, "for all to read")
    for name in ("Light", "Dark"):
        theme(page, name)
        for face in TABS:
            tab(page, face).click()
            told, texts = violations(page, ".hn-app")
            assert told == []
            assert texts > 8
    theme(page, "Light")
    panel(page).get_by_role("button", name="Disconnect").click()
    panel(page).get_by_label("Environment").select_option("sandbox")
    for name in ("Dark", "Light"):
        theme(page, name)
        assert violations(page, ".hn-app")[0] == []
        panel(page).get_by_label("URL").focus()
        page.keyboard.press("Tab")
        assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid"


def test_two_browsers_and_a_reload(jupyter: Lab, page: Page) -> None:
    """A second browser on the notebook shows the same app, and works; so does a page loaded again."""
    create(page, "from the first")
    page.evaluate("window.jupyterapp.commands.execute('docmanager:save')")
    with jupyter.context() as context:
        second = context.new_page()
        jupyter.open(second, "app")
        tab(second, "Invoices").click()
        second.get_by_role("region", name="Invoices").get_by_role("cell", name="from the first").wait_for()
        form = second.get_by_role("region", name="New invoice")
        tab(second, "New invoice").click()
        form.get_by_role("button", name="Another invoice").click()
        create(second, "from the second")
        page.get_by_role("region", name="New invoice").locator(
            ".hn-card", has_text="from the second"
        ).wait_for()
        panel(second).get_by_role("button", name="Disconnect").click()
        panel(page).get_by_role("button", name="Connect", exact=True).wait_for()
    page.reload()
    panel(page).get_by_role("button", name="Connect", exact=True).click()
    tab(page, TABS[0]).wait_for()
    create(page, "after a reload")


def test_kernel_restart(page: Page) -> None:
    """When the kernel is gone every face says so and nothing can be pressed; run again, it connects anew."""
    from playwright.sync_api import expect

    page.evaluate("window.jupyterapp.shell.currentWidget.sessionContext.session.kernel.restart()")
    expect(panel(page)).to_contain_text("run the cell again", timeout=20_000)
    form = page.get_by_role("region", name="New invoice")
    expect(form.get_by_role("button", name="Create invoice")).to_be_disabled()
    tab(page, "Console").click()
    expect(page.get_by_role("region", name="Console").get_by_role("button", name="Send")).to_be_disabled()
    page.wait_for_function(
        "window.jupyterapp.shell.currentWidget.sessionContext.session?.kernel?.status === 'idle'"
    )
    run_all(page)
    panel(page).get_by_role("button", name="Use the simulator").click()
    tab(page, TABS[0]).wait_for()


def test_plain(jupyter: Lab) -> None:
    """The plain app has no field for a key, and says where the key may come from."""
    with jupyter.notebook("plain", "import hercle_nb as hercle\nhercle.app(plain=True)") as page:
        run_all(page)
        app = page.locator(".hn-app")
        app.get_by_text("HERCLE_API_KEY").wait_for(timeout=30_000)
        assert page.get_by_label("API key").count() == 0
        app.get_by_role("button", name="Connect", exact=True).click()
        page.get_by_label("Amount").fill("0.001")
        app.get_by_role("button", name="Create invoice").click()
        app.get_by_role("button", name="Yes, create it").click()
        app.locator(".hn-card", has_text="0.00100000 BTC").wait_for()
