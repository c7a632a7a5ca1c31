"""The console where no good answer comes: no outcome is guessed, nothing sent again. And its plain form."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

import hercle_nb as hercle
from hercle_nb.widgets._console import SPENDS
from hercle_nb.widgets.console import CommandConsole
from tests.faces import assert_harmless, html, settled, widgets
from tests.fast import until
from tests.scripted import ScriptedHub, scripted_hub
from tests.test_console import COFFEE, CREATE, Page

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.servers import HubProcess


@pytest.fixture
def page(hub: hercle.Hub) -> Iterator[Page]:
    """A console on a hub."""
    page = Page(hub)
    yield page
    page.face.close()
    settled()


@pytest.fixture
def scripted() -> Iterator[ScriptedHub]:
    """A hub that sends whatever a test wants."""
    with scripted_hub() as server:
        yield server


@pytest.fixture
def other(scripted: ScriptedHub) -> Iterator[Page]:
    """A console on that one."""
    with hercle.connect(url=scripted.url, api_key=scripted.key, journal=False, timeout=10) as hub:
        page = Page(hub)
        yield page
        page.face.close()
        settled()


def test_refusal(page: Page, server: HubProcess) -> None:
    """The hub's refusal is told in its words, of a query and of a creation; nothing was made."""
    server.mode(hubError="<b>not now</b>")
    page.send("GetLightningInvoices")
    assert "<b>not now</b>" in page["told"]
    page.send(CREATE, **COFFEE)
    page.confirm()
    assert "<b>not now</b>" in page["told"]
    assert (page["answer"], server.created()) == ("", 0)


def test_unknown_outcome(page: Page, hub: hercle.Hub, server: HubProcess) -> None:
    """A creation without an answer is told to be unknown; the same ClientId again sends nothing."""
    hub.timeout = 0.4
    server.mode(noReply=True)
    for sent in (True, False):
        page.send(CREATE, ClientId="lost", **COFFEE)
        page.confirm()
        assert "may or may not have been carried out" in page["told"]
        assert "hub.resolve('lost')" in page["told"]
        assert page["answer"] == ""
        until(lambda: server.created() == 1)
        assert len(hub.log.frame("command")) == 1, sent
    assert list(hub.unresolved.index) == ["lost"]
    server.mode()
    assert hub.resolve("lost").outcome == "adopted"
    page.send(CREATE, ClientId="lost", **COFFEE)
    page.confirm()
    assert json.loads(page["answer"])["id"] == hub.invoice("lost").id
    assert server.created() == 1


def test_no_answer_to_a_query(page: Page, hub: hercle.Hub, server: HubProcess) -> None:
    """A query without an answer is told to be harmless, and the page can be used again."""
    hub.timeout = 0.3
    server.mode(noReply=True)
    page.send("GetBalances")
    assert "It changes nothing, so ask again." in page["told"]
    server.mode()
    hub.timeout = 10
    page.send("GetBalances")
    assert page["answer"]


def test_closed_hub(page: Page, hub: hercle.Hub, server: HubProcess) -> None:
    """With the hub closed that is told, before a question as after it."""
    page.send(CREATE, **COFFEE)
    hub.close()
    page.confirm()
    assert "The hub is closed" in page["told"]
    page.send("GetBalances")
    assert "The hub is closed" in page["told"]
    assert server.created() == 0


def test_closed_while_it_waits(page: Page, hub: hercle.Hub, server: HubProcess) -> None:
    """A hub that is closed before the answer leaves the outcome unknown, and that is told."""
    server.mode(noReply=True)
    page.send(CREATE, ClientId="lost", **COFFEE)
    page.say("confirm")
    until(lambda: server.created() == 1)
    hub.close()
    until(lambda: page["phase"] == "idle")
    assert "may or may not have been carried out" in page["told"]


def test_connection_lost(page: Page, hub: hercle.Hub, server: HubProcess) -> None:
    """A creation whose connection is lost is not sent again; its invoice is found by the hub's list."""
    hub.timeout = 1
    server.mode(noReply=True)
    page.send(CREATE, ClientId="lost", **COFFEE)
    page.say("confirm")
    until(lambda: server.created() == 1)
    server.mode()
    server.lose()
    until(lambda: page["phase"] == "idle")
    until(lambda: not hub.invoices.empty and hub.invoices.loc["lost", "status"] == "open")
    assert server.created() == 1


def test_half_characters(other: Page, scripted: ScriptedHub) -> None:
    """What a hub says that is no Unicode is shown, with a mark for what is none."""
    scripted.invoices.append({"id": "a\ud800b", "encodedPaymentRequest": "lnbcrt1x"})
    other.send("GetLightningInvoices")
    assert '"id":"a\\ud800b"' in other["answer"]
    scripted.mode(hubError="no \udfff")
    other.send("GetBalances")
    assert other["told"].endswith("no ?")


def test_long_answers(other: Page, scripted: ScriptedHub) -> None:
    """A browser is sent no more of an answer than it can take, and told how much is left out."""
    scripted.invoices += [{"id": f"inv_{n}", "memo": "x" * 100} for n in range(5_000)]
    other.send("GetLightningInvoices")
    assert len(other["answer"]) < 201_000
    assert other["answer"].endswith("characters left out here")


def test_what_goes_wrong_here(page: Page, hub: hercle.Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    """An error of our own is told, and the page, which waits for the next turn, gets one."""
    turn = page["turn"]
    with monkeypatch.context() as patch:
        patch.setattr(page.live._console, "_planned", lambda *_: 1 / 0)
        page.send("GetBalances")
    assert page["told"] == "ZeroDivisionError: division by zero"
    assert page["turn"] > turn
    page.send("GetBalances")
    assert page["answer"]


@pytest.mark.parametrize("content", [None, "send", 7, [], {}, {"type": ["send"], "turn": 0}])
def test_garbage(page: Page, content: Any, caplog: pytest.LogCaptureFixture) -> None:
    """What a browser says that means nothing does nothing."""
    before = dict(page.live.state)
    page.live._handle_custom_msg(content, [])
    settled()
    assert page.live.state == before
    assert caplog.records == []


# -- plain ---------------------------------------------------------------------------------------------------


@pytest.fixture
def plain(hub: hercle.Hub) -> Iterator[Any]:
    """A console that uses ipywidgets alone."""
    console = CommandConsole(hub, plain=True)
    yield console._face
    console.close()
    settled()


def press(plain: Any, label: str) -> None:
    """Press a button that is shown, and wait for what comes of it."""
    (button,) = (one for one in plain._buttons.children if one.description == label)
    if not button.disabled:
        button.click()
    settled()
    until(lambda: plain._view["phase"] != "waiting")


def fill(plain: Any, command: str, **fields: str) -> None:
    """Choose a command and fill its fields in."""
    plain._command.value = command
    for name, text in fields.items():
        plain._fields[name].value = text
    settled()


def test_plain_query(plain: Any) -> None:
    """A query is sent at once and its answer shown, laid out."""
    assert [field.description for field in plain._inputs.children] == ["ClientId"]
    press(plain, "Send")
    assert "&quot;baseCurrency&quot;: &quot;EUR&quot;" in plain._told.value
    assert_harmless(html(plain))


def test_plain_creation(plain: Any, server: HubProcess) -> None:
    """A creation is asked about, and sent by the second button, once."""
    fill(plain, CREATE, **COFFEE)
    assert [one.description for one in plain._inputs.children] == [
        "ClientId",
        "AmountBtc",
        "Memo",
        "ExpiryHours",
    ]
    press(plain, "Send")
    assert "and is sent once: CreateLightningInvoice" in plain._told.value
    assert server.created() == 0
    for _ in range(3):
        plain._confirm.click()
    settled()
    until(lambda: "encodedPaymentRequest" in plain._told.value)
    assert [one.description for one in plain._buttons.children] == ["Send"]
    assert server.created() == 1


def test_plain_back(plain: Any, server: HubProcess) -> None:
    """Back takes the question away."""
    fill(plain, CREATE, **COFFEE)
    press(plain, "Send")
    press(plain, "Back")
    assert plain._told.value == ""
    plain._confirm.click()
    settled()
    assert server.created() == 0


@pytest.mark.parametrize("field", ["AmountBtc", "Memo", "ClientId", None])
def test_plain_edit(plain: Any, server: HubProcess, field: str | None) -> None:
    """Whoever edits a field, or chooses another command, takes the question back with it."""
    fill(plain, CREATE, **COFFEE)
    press(plain, "Send")
    if field is None:
        plain._command.value = "GetBalances"
    else:
        plain._fields[field].value = "0.002"
    plain._confirm.click()  # on the page as it was
    settled()
    assert plain._view["phase"] == "idle"
    assert "is sent once" not in plain._told.value
    assert server.created() == 0


def test_plain_never_spends(plain: Any, server: HubProcess) -> None:
    """What spends money has no fields and a sentence; a press does nothing."""
    fill(plain, "WithdrawLightning")
    assert plain._inputs.children == ()
    assert SPENDS[:40] in plain._told.value
    assert plain._send.disabled
    plain._send.click()
    settled()
    assert "spends money" in plain._told.value
    assert server.stats()["invocations"] == []


def test_plain_words_are_text(plain: Any, server: HubProcess) -> None:
    """What is typed and what the hub says is text, and nothing in it turns the direction."""
    server.mode(hubError="<img src=x onerror=alert(1)>")
    fill(plain, "other", Method="<img src=x>\u202e", Arguments='["<script>"]')
    press(plain, "Send")
    assert "is sent once: &lt;img src=x&gt;⟨U+202E⟩" in plain._told.value
    assert_harmless(html(plain))
    press(plain, "Yes, send it")
    fill(plain, "GetLightningInvoices")
    press(plain, "Send")
    assert "&lt;img src=x onerror" in plain._told.value
    assert_harmless(html(plain))


# -- and then ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("plain", [False, True])
def test_leaves_nothing(simulator: HubProcess, *, plain: bool) -> None:
    """Closed once or twice it leaves no widget; the key is in no state of any."""
    before, key = widgets(), "the-key-of-this-test"
    simulator.post("key", {"key": key})
    with hercle.connect(url=simulator.url, api_key=key, journal=False) as hub:
        console = CommandConsole(hub, plain=plain)
        console._console.send("GetBalances", {}, 0)
        until(lambda: console._console.view()["answer"])
        assert key not in repr([one.get_state() for one in widgets().values()])
        assert "run this cell to use it" in console._repr_mimebundle_()["text/html"]
        console.close()
        console.close()
    settled()
    assert widgets().keys() == before.keys()
