"""The inspector, without a browser: what a press does, what is opened and closed, and its reader."""

from __future__ import annotations

import gc
import json
import textwrap
import weakref
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import hercle_nb as hercle
from hercle_nb import payments
from hercle_nb.widgets import _invoice_rows
from hercle_nb.widgets.inspector import RequestReader
from tests.answers import NOW, pay_to
from tests.faces import Browser, assert_harmless, html, settled, widgets
from tests.fast import until
from tests.hostile import HOSTILE

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hercle_nb.widgets.inspector import InvoiceInspector
    from tests.servers import HubProcess

VECTORS = json.loads((Path(__file__).parent / "bolt11_vectors.json").read_text())["vectors"]


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Changes are looked for at every tick, and payments ten times a second."""
    monkeypatch.setattr(_invoice_rows, "_LOOK", 0.0)
    monkeypatch.setattr(payments, "POLL", 0.1)


@pytest.fixture
def hub(simulator: HubProcess) -> Iterator[hercle.Hub]:
    """A hub connected to the simulator."""
    with hercle.connect(url=simulator.url, api_key=simulator.key, journal=False, timeout=10) as hub:
        yield hub


@pytest.fixture
def inspector(hub: hercle.Hub) -> Iterator[InvoiceInspector]:
    """An inspector of that hub."""
    inspector = hub.inspector()
    yield inspector
    inspector.close()
    settled()


@pytest.fixture
def browser(inspector: InvoiceInspector) -> Browser:
    """A browser that shows it."""
    return Browser(inspector._table)


def opened(inspector: InvoiceInspector) -> str:
    """All HTML of the detail pane, once the events are there."""
    settled()
    until(lambda: "Looking…" not in html(inspector._detail))
    return html(inspector._detail)


def notice(browser: Browser) -> str:
    """What the table says about the last press."""
    return str(browser.widget.state["notice"])


def lists(server: HubProcess) -> int:
    """How often the hub's list was asked for."""
    return [call["method"] for call in server.stats()["invocations"]].count("GetLightningInvoices")


def lose(hub: hercle.Hub, simulator: HubProcess) -> None:
    """Create an invoice whose answer never comes."""
    simulator.mode(noReply=True)
    with pytest.raises(hercle.OutcomeUnknown):
        hub.create_invoice(0.001, "Coffee", client_id="lost", timeout=0.3)
    simulator.mode()


# -- the table and the pane ----------------------------------------------------------------------------------


def test_rows(browser: Browser, inspector: InvoiceInspector, hub: hercle.Hub) -> None:
    """Invoices reach the browser as they are made; it is told of the files and the buttons."""
    options = inspector._table.options
    assert (options["log"], options["files"]) == (False, [".csv", ".xlsx", ".parquet"])
    assert [name for name, _ in options["actions"]] == ["refresh", "wait"]
    assert inspector._table.columns[options["order"]["i"]]["name"] == "created_at"
    hub.create_invoice("0.001", "Coffee", client_id="order-17")
    until(browser.sent_rows)
    assert browser.sent_rows()[0][:6] == [1, "open", "0.00100000", "100000", None, "Coffee"]


def test_select(browser: Browser, inspector: InvoiceInspector, hub: hercle.Hub) -> None:
    """A row that is opened shows its invoice, and what was open before is closed."""
    for name in ("first", "second"):
        hub.create_invoice(amount_sat=5, client_id=name)
    until(lambda: len(browser.sent_rows()) == 2)
    closed = widgets()
    browser.say("select", key=1)
    assert "first" in opened(inspector)
    before = len(widgets())
    for key, name, other in ((2, "second", "first"), (1, "first", "second")):
        browser.say("select", key=key)
        settled()
        assert name in opened(inspector)
        assert other not in opened(inspector)
        assert len(widgets()) == before
    browser.say("select", key=None)
    settled()
    assert html(inspector._detail) == ""
    assert widgets().keys() == closed.keys()


@pytest.mark.parametrize("key", [7, "1", [1], {"a": 1}, -1])
def test_select_nothing(browser: Browser, inspector: InvoiceInspector, hub: hercle.Hub, key: Any) -> None:
    """What is no row's number opens nothing, and closes what was open."""
    hub.create_invoice(amount_sat=5)
    until(browser.sent_rows)
    browser.say("select", key=1)
    assert opened(inspector)
    browser.say("select", key=key)
    settled()
    assert html(inspector._detail) == ""
    assert notice(browser) == ""


def test_refresh(
    browser: Browser, inspector: InvoiceInspector, hub: hercle.Hub, simulator: HubProcess
) -> None:
    """A press asks for the hub's list once, and says so until it is there."""
    made = hub.create_invoice(amount_sat=5)
    simulator.mode(replyDelayMs=400)
    simulator.post(f"pay/{made.id}")
    browser.say("refresh")
    until(lambda: notice(browser) == "Asking for the hub's list…")
    until(lambda: notice(browser) == "")
    until(lambda: browser.sent_rows()[-1][1] == "paid")
    assert lists(simulator) == 1
    inspector.refresh()
    until(lambda: lists(simulator) == 2)


def test_refresh_finds(
    browser: Browser, inspector: InvoiceInspector, hub: hercle.Hub, simulator: HubProcess
) -> None:
    """What is open shows what the list said of it: a creation of unknown outcome has become an invoice."""
    lose(hub, simulator)
    until(browser.sent_rows)
    browser.say("select", key=1)
    assert "may or may not have been carried out" in opened(inspector)
    browser.say("refresh")
    until(lambda: "Raw JSON" in html(inspector._detail))
    shown = opened(inspector)
    assert "may or may not" not in shown
    assert "encodedPaymentRequest" in shown
    assert simulator.created() == 1


@pytest.mark.parametrize("kind", ["refresh", "wait", "export"])
def test_closed_hub(browser: Browser, hub: hercle.Hub, kind: str) -> None:
    """With the hub closed a press says so, and the table goes on."""
    hub.create_invoice(amount_sat=5)
    hub.close()
    browser.say(kind, name="invoices.csv", keys=[1])
    until(lambda: "hercle.connect()" in notice(browser))
    until(lambda: browser.sent_rows() and browser.widget.state["state"] == "closed")
    assert "brought up to date" not in browser.widget.state["reason"]
    assert browser.widget.state["pressed"] == {}


def test_refusal(browser: Browser, simulator: HubProcess) -> None:
    """The hub's refusal is said in its words."""
    simulator.mode(hubError="<b>not now</b>")
    browser.say("refresh")
    until(lambda: "<b>not now</b>" in notice(browser))


def test_wait(browser: Browser, hub: hercle.Hub, simulator: HubProcess) -> None:
    """While payments are waited for the list is asked for again and again; a second press ends that."""
    made = hub.create_invoice(amount_sat=5)
    browser.say("wait")
    until(lambda: browser.widget.state["pressed"] == {"wait": True})
    assert "every few seconds" in notice(browser)
    until(lambda: lists(simulator) >= 2)
    simulator.post(f"pay/{made.id}")
    until(lambda: [row[1] for row in browser.sent_rows()][-1:] == ["paid"])
    browser.say("wait")
    until(lambda: browser.widget.state["pressed"] == {"wait": False})
    assert notice(browser) == ""
    until(lambda: not hub._core.payments._polling)


# -- the reader ----------------------------------------------------------------------------------------------


@pytest.fixture
def reader() -> Iterator[RequestReader]:
    """A reader of payment requests."""
    reader = RequestReader()
    yield reader
    reader.close()
    settled()


def read(reader: RequestReader, text: str) -> str:
    """What is shown of a text."""
    reader._text.value = text
    settled()
    return str(reader._shown.value)


def test_reader(reader: RequestReader) -> None:
    """A payment request, or a link with one, is taken apart; an empty field shows nothing."""
    text = pay_to(description="Tea & cake")
    lines = "\n> ".join(textwrap.wrap(text, 70))
    for given in (text, f"lightning:{text.upper()}", f"  {text}\n", f"> “{lines}”."):
        shown = read(reader, given)
        assert "Tea &amp; cake" in shown
        assert "630dcd2966c4336691125448bbb25b4ff412a49c732db2c8abc1b8581bd710dd" in shown
        assert read(reader, " ") == ""


def test_reader_by_the_hubs_clock() -> None:
    """Whether a payment request is late is told by the hub's clock where that is known."""
    text = pay_to(timestamp=int(NOW.timestamp()) - 7_200, expiry=3_600)
    for ahead, late in ((0.0, True), (-7_200.0, False), (-90_000.0, True)):
        reader = RequestReader(lambda ahead=ahead: ahead)
        assert ("not payable any more: expired" in read(reader, text)) == late
        reader.close()
    settled()


def test_reader_vectors(reader: RequestReader) -> None:
    """Payment requests by the specification are taken apart; with others it is said what is wrong."""
    for vector in VECTORS:
        shown = read(reader, vector["payment_request"])
        if vector["kind"] == "valid":
            assert vector["expected"]["payment_hash"] in shown
        else:
            assert 'role="alert"' in shown
        assert_harmless(shown)
    assert len(VECTORS) >= 60


@pytest.mark.parametrize("text", ["hello", "lnbc1", *HOSTILE[:20]])
def test_reader_refuses(reader: RequestReader, text: str) -> None:
    """What cannot be read is refused in words, as text."""
    shown = read(reader, text)
    assert 'role="alert"' in shown
    assert_harmless(shown)
    assert read(reader, "") == ""


@pytest.mark.parametrize(
    "text", [" " * 100_000 + "x", "lnbc1" * 100_000, "<b>" * 100_000, "\u200b" * 100_000]
)
def test_reader_of_a_flood(reader: RequestReader, text: str) -> None:
    """Of a text without end the length is shown, in a sentence."""
    shown = read(reader, text)
    assert f"it has {len(text):,} characters" in shown
    assert len(shown) < 1_000


def test_reader_names_other_things(reader: RequestReader) -> None:
    """What is pasted instead of a payment request is named."""
    assert "this is a Lightning address" in read(reader, "“satoshi@example.com”")


def test_reader_needs_no_hub(inspector: InvoiceInspector, hub: hercle.Hub) -> None:
    """It works with the hub closed."""
    hub.close()
    assert "Tea" in read(inspector.children[-1], pay_to(description="Tea"))


# -- and then ------------------------------------------------------------------------------------------------


def test_without_a_kernel(inspector: InvoiceInspector, hub: hercle.Hub) -> None:
    """A viewer without a kernel shows a sentence and the last rows, as text."""
    for number in range(25):
        hub.create_invoice(amount_sat=5, memo=f"<b>{number}</b>")
    bundle = inspector._repr_mimebundle_()
    assert "run this cell to see it" in bundle["text/html"]
    assert bundle["text/html"].count("<tr>") == 21
    assert "&lt;b&gt;24&lt;/b&gt;" in bundle["text/html"]
    assert_harmless(bundle["text/html"])


@pytest.mark.parametrize("plain", [False, True])
def test_lets_its_hub_go(simulator: HubProcess, *, plain: bool) -> None:
    """It keeps its hub until it is closed, once or twice, and no longer; no widget is left."""
    before = widgets()
    hub = hercle.connect(url=simulator.url, api_key=simulator.key, journal=False)
    hub.create_invoice(amount_sat=5)
    inspector, gone = hub.inspector(plain=plain), weakref.ref(hub)
    inspector._select({"key": 1})
    opened(inspector)
    inspector._wait()
    del hub
    gc.collect()
    assert gone() is not None
    inspector.close()
    inspector.close()
    until(lambda: gc.collect() >= 0 and gone() is None)
    settled()
    assert widgets().keys() == before.keys()
    assert inspector.last_state() == ""


def test_pressed_after_the_end(browser: Browser, inspector: InvoiceInspector, simulator: HubProcess) -> None:
    """What is pressed as it closes does nothing: no list, no widget, no file."""
    inspector.close()
    before = widgets()
    for kind in ("refresh", "wait", "export", "select"):
        browser.say(kind, key=1, name="invoices.csv", keys=[1])
    settled()
    assert widgets().keys() == before.keys()
    assert lists(simulator) == 0
    assert browser.buffers == []


def test_key_is_nowhere(simulator: HubProcess) -> None:
    """The API key is in no message, no state, no file and no saved output."""
    key = "the-key-of-this-test"
    simulator.post("key", {"key": key})
    with hercle.connect(url=simulator.url, api_key=key, journal=False) as hub:
        hub.create_invoice(amount_sat=1)
        inspector = hub.inspector()
        browser = Browser(inspector._table)
        browser.say("select", key=1)
        browser.say("export", name="invoices.csv", keys=[1])
        until(lambda: browser.buffers)
        states = [widget.get_state() for widget in widgets().values()]
        shown = repr([browser.messages, browser.buffers, states, inspector._repr_mimebundle_()])
        assert "encodedPaymentRequest" in opened(inspector)
        inspector.close()
    assert key not in shown


def test_keyword(hub: hercle.Hub) -> None:
    """A mistyped keyword is told what was meant."""
    with pytest.raises(TypeError, match="did you mean plain"):
        hub.inspector(plian=True)  # type: ignore[call-arg]
