"""The form, without a browser: what it takes from one, what it shows, and what it keeps alive."""

from __future__ import annotations

import gc
import json
import threading
import time
import weakref
from typing import TYPE_CHECKING, Any

import pytest

import hercle_nb as hercle
from hercle_nb.widgets import _interface
from hercle_nb.widgets.form import InvoiceForm, LiveForm
from tests.fast import until
from tests.servers import KEY

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.servers import HubProcess

FIELDS = {"amount": "0.001", "unit": "BTC", "memo": "Coffee", "expiry": "24", "hours": "", "client_id": ""}


@pytest.fixture
def form(hub: hercle.Hub) -> Iterator[InvoiceForm]:
    """A form on a hub, once on the simulator and once on the reference hub."""
    form = hub.form(amount_btc="0.001", memo="Coffee")
    yield form
    form.close()


def live(form: InvoiceForm) -> LiveForm:
    """What the browser draws of it."""
    assert isinstance(form._face, LiveForm)
    return form._face


def say(form: InvoiceForm, kind: Any, **content: Any) -> None:
    """Send a message as the browser does."""
    live(form)._handle_custom_msg({"type": kind, **content}, [])


def press(form: InvoiceForm, kind: str = "create", **fields: str) -> None:
    """Press a button of the page that is shown."""
    more = {"fields": FIELDS | fields, "mark": "m"} if kind == "create" else {}
    say(form, kind, turn=live(form).state["turn"], **more)


def created(form: InvoiceForm) -> hercle.Invoice:
    """Wait for the invoice."""
    until(lambda: live(form).phase == "created" and form.invoice)
    assert form.invoice is not None
    return form.invoice


# -- one press, one invoice ----------------------------------------------------------------------------------


def test_creates(form: InvoiceForm, server: HubProcess) -> None:
    """A press creates what the fields of its message say, whatever was there before, and shows the card."""
    assert form.invoice is None
    press(form, amount="5", unit="sat", memo="Tea", expiry="custom", hours="5", client_id="mine")
    invoice = created(form)
    assert (invoice.client_id, invoice.amount_sat, invoice.memo, invoice.expiry_hours) == (
        "mine",
        5,
        "Tea",
        5,
    )
    until(lambda: form._card)
    assert form._result.children == (form._card,)
    assert server.created() == 1


def test_pressed_often(form: InvoiceForm, server: HubProcess) -> None:
    """Twenty presses of the same page make one invoice, as do further ones after the answer."""
    server.mode(replyDelayMs=50)
    for _ in range(20):
        say(form, "create", fields=FIELDS, mark="m", turn=0)
    created(form)
    for turn in range(live(form).state["turn"] + 2):
        say(form, "create", fields=FIELDS, mark="m", turn=turn)
    say(form, "another", turn=live(form).state["turn"])
    until(lambda: live(form).phase == "draft")
    assert server.created() == 1


def test_pressed_by_many_threads(form: InvoiceForm, server: HubProcess) -> None:
    """Presses of the same page on many threads make one invoice."""
    together = threading.Barrier(20)

    def strike() -> None:
        together.wait()
        say(form, "create", fields=FIELDS, mark="m", turn=0)

    threads = [threading.Thread(target=strike) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    created(form)
    assert server.created() == 1


def test_another(form: InvoiceForm, server: HubProcess) -> None:
    """Another invoice takes the card away and makes a second one."""
    press(form)
    first = created(form)
    card = until(lambda: form._card)
    press(form, "another")
    until(lambda: live(form).phase == "draft" and not form._result.children)
    assert card._hub is None
    assert form.invoice is first
    press(form)
    second = created(form)
    assert second.client_id != first.client_id
    assert server.created() == 2


def test_a_press_does_not_wait(form: InvoiceForm, server: HubProcess) -> None:
    """A press returns at once, however long the hub takes."""
    server.mode(replyDelayMs=1_000)
    began = time.monotonic()
    press(form)
    assert time.monotonic() - began < 0.5
    created(form)


# -- what a browser says and is told -------------------------------------------------------------------------


def test_editing(form: InvoiceForm) -> None:
    """What is typed comes back checked: its mark, what is wrong, and the code for what is right."""
    say(form, "edit", fields=FIELDS | {"amount": "x"}, mark="a.1")
    until(lambda: live(form).state["checked"] == "a.1")
    assert list(live(form).state["problems"]) == ["amount"]
    say(form, "edit", fields=FIELDS, mark="a.2")
    until(lambda: live(form).state["checked"] == "a.2")
    assert live(form).state["problems"] == {}
    assert "create_invoice" in live(form).state["code"]


def test_press_on_what_is_wrong(form: InvoiceForm, server: HubProcess) -> None:
    """A press on fields that break a rule says so and makes nothing."""
    press(form, amount="x")
    until(lambda: live(form).state["problems"])
    assert (live(form).state["checked"], live(form).state["turn"]) == ("m", 1)
    assert server.created() == 0


def test_confirming(hub: hercle.Hub, server: HubProcess) -> None:
    """Above the form's own limit a press asks; back sends nothing, yes sends once."""
    form = hub.form(confirm_above_btc="0.0005")
    press(form)
    until(lambda: live(form).phase == "confirm")
    assert "more than 0.00050000 BTC" in live(form).state["question"]
    press(form, "back")
    until(lambda: live(form).phase == "draft")
    press(form)
    until(lambda: live(form).phase == "confirm")
    assert server.created() == 0
    for _ in range(3):
        press(form, "confirm")
    created(form)
    assert server.created() == 1
    form.close()


@pytest.mark.parametrize("step", ["wait", "look", "new"])
def test_unknown_outcome(form: InvoiceForm, hub: hercle.Hub, server: HubProcess, step: str) -> None:
    """Where the outcome is unknown each of the three buttons leads to an invoice; only one makes another."""
    server.mode(noReply=True)
    hub.timeout = 0.2
    press(form)
    until(lambda: live(form).phase == "unknown" and server.created() == 1)
    server.mode()
    hub.timeout = 20
    press(form, step)
    if step == "wait":
        until(lambda: live(form).phase == "waiting")
        hub.refresh_invoices()  # settles it, as an answer would
    created(form)
    assert server.created() == (2 if step == "new" else 1)


def test_garbage_from_a_browser(
    form: InvoiceForm, server: HubProcess, caplog: pytest.LogCaptureFixture
) -> None:
    """What a browser says that means nothing does nothing."""
    face = live(form)
    garbage: list[Any] = [None, "create", 7, [], {}, {"type": "create"}, {"type": ["create"], "turn": 0}]
    for content in garbage:
        face._handle_custom_msg(content, [])
    say(form, "create", fields=FIELDS, turn="0")
    say(form, "create", fields=FIELDS, turn=None)
    say(form, "erase", turn=0)
    say(form, "edit", mark={"a": 1})
    until(lambda: face.state["checked"] == "{'a': 1}")
    assert face.state["turn"] == 0
    say(form, "create", fields=[FIELDS], turn=0)
    until(lambda: face.state["turn"] == 1)
    assert "amount" in face.state["problems"]
    assert server.created() == 0
    assert caplog.records == []


def test_half_characters(form: InvoiceForm) -> None:
    """Half a character that is typed is a problem like others, and what a browser is told can be sent."""
    say(form, "edit", fields=FIELDS | {"memo": "\ud83d"}, mark="a.1")
    until(lambda: live(form).state["checked"] == "a.1")
    assert "half a character" in live(form).state["problems"]["memo"]
    json.dumps(live(form).get_state(), ensure_ascii=False).encode()


def test_state(form: InvoiceForm, hub: hercle.Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    """The state follows the hub without a word from the browser; nothing is sent while nothing changes."""
    assert live(form).state["state"] == "connected"
    assert live(form).options["memo_bytes"] == 639
    changes: list[Any] = []
    live(form).observe(changes.append, "state")
    hub.close()
    until(lambda: live(form).state["state"] == "closed" and live(form).state["reason"])
    changes.clear()
    view, views = live(form)._creation.view, []

    def seen() -> dict[str, Any]:
        views.append(view())
        return views[-1]

    monkeypatch.setattr(live(form)._creation, "view", seen)
    until(lambda: len(views) > 2)
    assert changes == []


def test_error_is_shown(form: InvoiceForm, monkeypatch: pytest.MonkeyPatch) -> None:
    """What nobody foresaw is shown in the form, in answer to a browser and in the ticker alike."""

    def fail(*_: Any) -> None:
        raise ZeroDivisionError("by zero")

    creation = live(form)._creation
    monkeypatch.setattr(creation, "edit", fail)
    say(form, "edit", fields=FIELDS)
    until(lambda: live(form).state["told"] == "ZeroDivisionError: by zero")
    until(lambda: live(form).state["told"] == "")
    monkeypatch.setattr(creation, "_on_change", fail)
    until(lambda: live(form).state["told"] == "ZeroDivisionError: by zero")


def test_key_is_nowhere(simulator: HubProcess) -> None:
    """The API key is in no widget's state and in no saved output."""
    key = "the-key-of-this-test"
    simulator.post("key", {"key": key})
    with hercle.connect(url=simulator.url, api_key=key, journal=False) as hub:
        form = hub.form()
        press(form)
        created(form)
        shown = repr([live(form).get_state(), form._repr_mimebundle_(), form.get_state()])
        form.close()
    assert key not in shown


# -- the form itself -----------------------------------------------------------------------------------------


def test_defaults(hub: hercle.Hub) -> None:
    """Defaults fill the fields and are checked like any request, and so is the limit."""
    form = hub.form(amount_sat=5, memo="Tea", expiry_hours=None, client_id="mine")
    filled = {"amount": "5", "unit": "sat", "memo": "Tea", "expiry": "default", "client_id": "mine"}
    assert live(form).state["fields"] == FIELDS | filled
    form.close()
    for wrong in ({"amount_btc": 0.1 + 0.2}, {"memo": "a\nb"}, {"confirm_above_btc": "much"}):
        with pytest.raises(hercle.InvalidRequest):
            hub.form(**wrong)


def test_typo(hub: hercle.Hub) -> None:
    """A keyword that there is not is a TypeError with the one that was meant."""
    with pytest.raises(TypeError, match="'amout_btc'; did you mean amount_btc"):
        hub.form(amout_btc=1)  # type: ignore[call-arg]


def test_callbacks(form: InvoiceForm, hub: hercle.Hub, caplog: pytest.LogCaptureFixture) -> None:
    """Callbacks run in order on the callbacks' thread, after one that raises too; a blocking verb works."""
    told: list[Any] = []
    form.on_created(lambda invoice: told.append((invoice, threading.current_thread().name)))
    form.on_created(lambda _: 1 / 0)
    form.on_created(lambda _: told.append(hub.command("GetBalances").subject))
    press(form)
    invoice = created(form)
    until(lambda: len(told) == 2)
    assert told == [(invoice, "hercle-callbacks"), "account.balances.snapshot"]
    assert hub.stats["callback_errors"] == 1
    assert "ZeroDivisionError" in caplog.text
    assert live(form).state["told"] == ""


def test_without_a_kernel(form: InvoiceForm) -> None:
    """A viewer without a kernel shows a sentence, and the last invoice if there is one."""
    assert form.last_state() == ""
    assert "run this cell to use it" in form._repr_mimebundle_()["text/html"]
    press(form)
    invoice = created(form)
    assert invoice.payment_request in form._repr_mimebundle_()["text/html"]
    assert form.last_state() == invoice._repr_html_()
    assert "InvoiceForm" in form._repr_mimebundle_()["text/plain"]


@pytest.mark.parametrize("plain", [False, True])
def test_keeps_its_hub_alive(simulator: HubProcess, *, plain: bool) -> None:
    """A form keeps its hub until it is closed, once or twice, and no longer; its invoice stays."""
    hub = hercle.connect(url=simulator.url, api_key=KEY, journal=False)
    form, gone = hub.form(amount_btc="0.001", plain=plain), weakref.ref(hub)
    form.on_created(print)
    del hub
    gc.collect()
    assert gone() is not None
    assert form._face is not None
    form._face._creation.create(form._face._creation.draft, 0)
    until(lambda: form.invoice and form._card)
    form.close()
    form.close()
    form.on_created(print)
    until(lambda: gc.collect() >= 0 and gone() is None)
    assert form.invoice is not None
    assert form.last_state()


@pytest.mark.parametrize("plain", [False, True])
def test_closed_while_waiting(simulator: HubProcess, *, plain: bool) -> None:
    """What was sent before a form was closed goes on: its callbacks hear of it, then the hub may go."""
    hub = hercle.connect(url=simulator.url, api_key=KEY, journal=False)
    form, gone = hub.form(amount_btc="0.001", plain=plain), weakref.ref(hub)
    told: list[hercle.Invoice] = []
    ending = threading.Event()
    form.on_created(lambda _: ending.wait(10))
    form.on_created(told.append)
    simulator.mode(replyDelayMs=500)
    assert form._face is not None
    form._face._creation.create(form._face._creation.draft, 0)
    form.close()
    del hub
    until(lambda: form.invoice)
    settled = threading.Event()
    _interface.post(settled.set)
    assert settled.wait(10)
    gc.collect()
    assert gone() is not None
    ending.set()
    until(lambda: told)
    assert form.invoice is told[0]
    assert form._card is None
    assert simulator.created() == 1
    until(lambda: gc.collect() >= 0 and gone() is None)


def test_closed_while_the_card_is_made(form: InvoiceForm, monkeypatch: pytest.MonkeyPatch) -> None:
    """A form that is closed while its answer arrives leaves no card behind."""
    show, cards = form._show_card, []

    def late(card: Any) -> None:
        if card is not None:
            cards.append(card)
            form.close()
        show(card)

    monkeypatch.setattr(form, "_show_card", late)
    press(form)
    until(lambda: cards and cards[0].comm is None)
    assert cards[0]._hub is None


def test_always_asks(hub: hercle.Hub) -> None:
    """With a limit of 0 every amount is asked about, and nothing is said about the limit."""
    form = hub.form(amount_sat=1, confirm_above_btc=0)
    assert form._face is not None
    creation = form._face._creation
    creation.create(creation.draft, creation.view()["turn"])
    assert creation.view()["phase"] == "confirm"
    assert "more than" not in creation.view()["question"]
    form.close()
