"""The live card of an invoice, without a browser: when it asks the hub, what it shows, and when it ends."""

from __future__ import annotations

import gc
import threading
import time
import weakref
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

import hercle_nb as hercle
from hercle_nb import payments
from hercle_nb.widgets import _interface
from hercle_nb.widgets import card as card_module
from hercle_nb.widgets.card import PAY, InvoiceCard, LiveLine
from tests.answers import answer, pay_to
from tests.fast import until
from tests.servers import KEY

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.servers import HubProcess

    New = Callable[..., InvoiceCard]


@pytest.fixture
def new() -> Iterator[New]:
    """Makes cards, and closes them at the end."""
    cards: list[InvoiceCard] = []

    def make(hub: hercle.Hub, invoice: hercle.Invoice | None = None, *, plain: bool = False) -> InvoiceCard:
        made = hub.create_invoice("0.001", "Coffee", 24) if invoice is None else invoice
        cards.append(InvoiceCard(hub, made, plain=plain))
        return cards[-1]

    yield make
    for card in cards:
        card.close()


@pytest.fixture
def simulated() -> Iterator[hercle.Hub]:
    """A hub with the embedded simulator."""
    with hercle.connect("simulator") as hub:
        yield hub


@pytest.fixture
def often(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lists are asked for ten times a second."""
    monkeypatch.setattr(payments, "POLL", 0.1)


def live(card: InvoiceCard) -> LiveLine:
    """What the browser draws of it."""
    assert card._live is not None
    return card._live


def say(card: InvoiceCard, kind: Any) -> None:
    """Send a message as the browser does."""
    live(card)._handle_custom_msg({"type": kind}, [])


def lists(server: HubProcess) -> int:
    """How often the hub was asked for its list."""
    return [call["method"] for call in server.stats()["invocations"]].count("GetLightningInvoices")


def watchers(hub: hercle.Hub) -> int:
    """For how many the hub's list is asked for."""
    return len(hub._core.payments._paces)


def settle(hub: hercle.Hub) -> None:
    """Wait until what was said is done, on the interface thread and then on the hub's."""
    done = threading.Event()
    _interface.post(done.set)
    assert done.wait(10)
    hub.command("GetBalances")


# -- when the hub is asked -----------------------------------------------------------------------------------


def test_asks_while_it_is_seen(new: New, hub: hercle.Hub, server: HubProcess) -> None:
    """The hub's list is asked for from the hello on, and no more after the bye; then others may answer."""
    card = new(hub)
    sent: list[Any] = []
    live(card).comm.send = lambda data, **_: sent.append(data.get("content"))
    _interface.post(card._tick)
    settle(hub)
    assert watchers(hub) == 0
    say(card, "hello")
    until(lambda: watchers(hub) == 1 and lists(server) == 1)
    say(card, "here")
    say(card, "bye")
    until(lambda: watchers(hub) == 0 and {"type": "anyone"} in sent)
    say(card, "hello")
    until(lambda: watchers(hub) == 1)


@pytest.mark.usefixtures("often")
def test_unheard(new: New, hub: hercle.Hub, server: HubProcess, monkeypatch: pytest.MonkeyPatch) -> None:
    """A browser that is gone without a word is asked for no more; one that says it is here, again."""
    monkeypatch.setattr(card_module, "_UNHEARD", 0.2)
    card = new(hub)
    say(card, "hello")
    until(lambda: watchers(hub) == 1)
    until(lambda: watchers(hub) == 0)
    asked = lists(server)
    say(card, "here")
    until(lambda: lists(server) > asked)


def test_two_cards(new: New, hub: hercle.Hub, server: HubProcess) -> None:
    """Two cards that are seen cost one list."""
    cards = [new(hub), new(hub)]
    for card in cards:
        say(card, "hello")
    until(lambda: watchers(hub) == 2 and lists(server) == 1)
    say(cards[0], "bye")
    until(lambda: watchers(hub) == 1)
    assert lists(server) == 1


@pytest.mark.usefixtures("often")
def test_plain_asks_unasked(new: New, hub: hercle.Hub, server: HubProcess) -> None:
    """A plain card asks from the beginning, since no browser says that it is there."""
    card = new(hub, plain=True)
    until(lambda: lists(server) > 2)
    assert card._live is None
    card.close()
    until(lambda: watchers(hub) == 0)


@pytest.mark.usefixtures("often")
def test_asks_no_more_once_paid(new: New, hub: hercle.Hub, server: HubProcess) -> None:
    """Once the invoice is paid nothing is asked any more, whatever a browser says."""
    card = new(hub)
    say(card, "hello")
    server.post(f"pay/{card._invoice.id}")
    until(lambda: live(card).facts["status"] == "paid" and watchers(hub) == 0)
    say(card, "here")
    say(card, "hello")
    settle(hub)
    assert watchers(hub) == 0


# -- what it shows -------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("often")
@pytest.mark.parametrize("plain", [False, True])
def test_paid(new: New, hub: hercle.Hub, server: HubProcess, *, plain: bool) -> None:
    """A payment turns the card into a receipt, without a word from the browser and without its QR code."""
    card = new(hub, plain=plain)
    assert 'role="img"' in card._html.value
    if not plain:
        facts = live(card).facts
        assert (facts["status"], facts["pay"], facts["note"]) == ("open", "", "")
        assert facts["request"] == card._invoice.payment_request
        assert facts["expires"] == card._invoice.expires_at.timestamp() * 1_000
        say(card, "hello")
    server.post(f"pay/{card._invoice.id}")
    until(lambda: "Receipt" in card._html.value)
    assert 'role="img"' not in card._html.value
    assert plain or live(card).facts["status"] == "paid"


def test_follows_what_is_known(new: New, hub: hercle.Hub, server: HubProcess) -> None:
    """What the hub's list says to anybody is shown, though no browser was ever heard."""
    card = new(hub)
    server.post(f"pay/{card._invoice.id}")
    hub.refresh_invoices()
    until(lambda: live(card).facts["status"] == "paid" and "Receipt" in card._html.value)


def test_expired(new: New, hub: hercle.Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    """An invoice that expires is shown so and loses its QR code; it is looked for a little while longer."""
    soon = int(time.time()) - 3_598
    card = new(hub, answer(encodedPaymentRequest=pay_to(timestamp=soon, expiry=3_600)))
    assert live(card).facts["status"] == "open"
    say(card, "hello")
    until(lambda: live(card).facts["status"] == "expired" and "expired" in card._html.value)
    assert "lightning:" not in card._html.value
    assert watchers(hub) == 1
    monkeypatch.setattr(card_module, "_LAST_LOOK", timedelta(0))
    until(lambda: watchers(hub) == 0)


def test_alarm(new: New, hub: hercle.Hub) -> None:
    """What is not what was asked for has a warning and neither QR code nor link, also once looked for."""
    invoice = answer(encodedPaymentRequest=pay_to(amount_msat=1_000))
    assert invoice.alarm
    card = new(hub, invoice)
    drawn = card._html.value
    assert "asks for 0.00000001 BTC, not for 0.00100000 BTC" in drawn
    for way in ('role="img"', "lightning:"):
        assert way not in drawn
    say(card, "hello")
    settle(hub)
    assert watchers(hub) == 1
    assert card._html.value == drawn


@pytest.mark.usefixtures("often")
def test_reused(new: New, hub: hercle.Hub, server: HubProcess) -> None:
    """That an invoice was known already stays said, after the hub's list and once it is paid."""
    for _ in range(2):
        invoice = hub.create_invoice("0.001", "Coffee", 24, client_id="mine")
    assert invoice.reused
    card = new(hub, invoice)
    say(card, "hello")
    until(lambda: card._invoice.hub_status)
    assert "known already and not sent again" in card._html.value
    server.post(f"pay/{invoice.id}")
    until(lambda: "Receipt" in card._html.value)
    assert "known already and not sent again" in card._html.value


def test_closed_hub(new: New, hub: hercle.Hub) -> None:
    """Once the hub is closed the card of an open invoice says that nobody looks any more."""
    card = new(hub)
    say(card, "hello")
    hub.close()
    until(lambda: live(card).facts["note"])
    assert live(card).facts["note"] == ("The hub is closed: whether this is paid is not looked at any more.")
    later = new(hub, card._invoice)
    say(later, "hello")
    until(lambda: live(later).facts["note"])


def test_half_characters(new: New, hub: hercle.Hub) -> None:
    """A payment request that no message can hold makes a card all the same, with nothing to be copied."""
    invoice = replace(answer(encodedPaymentRequest="lnbc\ud800"), client_id=None)
    assert invoice.alarm
    assert live(new(hub, invoice)).facts["request"] == ""


# -- the simulator's payer -----------------------------------------------------------------------------------


def test_pay(new: New, simulated: hercle.Hub) -> None:
    """On the embedded simulator the card has a button that pays; then it is a receipt without one."""
    card = new(simulated)
    assert live(card).facts["pay"] == PAY
    say(card, "pay")
    until(lambda: live(card).facts["status"] == "paid")
    assert live(card).facts["pay"] == ""
    assert "Receipt" in card._html.value


def test_plain_pay(new: New, simulated: hercle.Hub) -> None:
    """The plain card has it, too, while the invoice is open."""
    card = new(simulated, plain=True)
    assert card._pay in card.children
    assert card._pay.layout.display == ""
    card._pay.click()
    until(lambda: "Receipt" in card._html.value and card._pay.layout.display == "none")


def test_nobody_pays_on_a_real_hub(new: New, hub: hercle.Hub, server: HubProcess) -> None:
    """Elsewhere there is no such button, and the message of one does nothing."""
    card, plain = new(hub), new(hub, plain=True)
    assert live(card).facts["pay"] == ""
    assert plain._pay.layout.display == "none"
    say(card, "pay")
    plain._pay.click()
    settle(hub)
    assert live(card).facts["note"] == ""
    assert [invoice["status"] for invoice in server.stats()["invoices"]] == ["OPEN", "OPEN"]


def test_paying_fails(new: New, simulated: hercle.Hub) -> None:
    """Why a payment failed, or is not seen, is said below the card until it is tried again."""
    card = new(simulated)
    faults = simulated.simulator.faults
    stored = simulated.simulator._server.state.invoices
    (taken,) = stored.items()
    stored.clear()
    say(card, "pay")
    until(lambda: "has no invoice" in live(card).facts["note"])
    stored.update([taken])
    faults.hubError = "Not now"
    say(card, "pay")
    until(lambda: live(card).facts["note"] == "The hub refused GetLightningInvoices: Not now")
    faults.clear()
    say(card, "pay")
    until(lambda: live(card).facts["status"] == "paid")
    assert live(card).facts["note"] == ""


# -- how it ends ---------------------------------------------------------------------------------------------


def test_closing(new: New, hub: hercle.Hub, server: HubProcess) -> None:
    """A closed card asks no more, whatever still arrives from a browser; closing it again does nothing."""
    card = new(hub)
    line = live(card)
    say(card, "hello")
    until(lambda: watchers(hub) == 1)
    card.close()
    card.close()
    until(lambda: watchers(hub) == 0)
    for kind in ("hello", "here", "pay", "bye"):
        line._handle_custom_msg({"type": kind}, [])
    settle(hub)
    assert watchers(hub) == 0
    assert lists(server) == 1


def test_closed_while_it_begins_to_ask(new: New, hub: hercle.Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    """A card that is closed in the moment it begins to ask leaves nobody behind who asks."""
    card, asks = new(hub), hub.on_paid

    def late(callback: Any) -> Any:
        card.close()
        return asks(callback)

    monkeypatch.setattr(hub, "on_paid", late)
    say(card, "hello")
    until(lambda: card._hub is None)
    settle(hub)
    assert watchers(hub) == 0


@pytest.mark.parametrize("plain", [False, True])
def test_keeps_its_hub_alive(simulator: HubProcess, *, plain: bool) -> None:
    """A card keeps its hub until it is closed, and no longer."""
    hub = hercle.connect(url=simulator.url, api_key=KEY, journal=False)
    card, gone = InvoiceCard(hub, hub.create_invoice("0.001"), plain=plain), weakref.ref(hub)
    if not plain:
        say(card, "hello")
    until(lambda: card._watch)
    del hub
    gc.collect()
    assert gone() is not None
    card.close()
    until(lambda: gc.collect() >= 0 and gone() is None)


def test_garbage_from_a_browser(new: New, hub: hercle.Hub, caplog: pytest.LogCaptureFixture) -> None:
    """What a browser says that means nothing does nothing."""
    card = new(hub)
    garbage: list[Any] = [None, "hello", 7, [], {}, {"type": ["hello"]}, {"type": "buy"}]
    for content in garbage:
        live(card)._handle_custom_msg(content, [])
    say(card, "hello")
    settle(hub)
    assert watchers(hub) == 1
    assert caplog.records == []


def test_without_a_kernel(new: New, hub: hercle.Hub) -> None:
    """The static card is a widget of its own, so it is seen where our front end is not."""
    card = new(hub)
    assert card.children == (card._html, card._live)
    assert card._html.value == card._invoice._repr_html_()


def test_no_copy_with_an_alarm(new: New, hub: hercle.Hub) -> None:
    """What nobody should pay cannot be copied either."""
    made = hub.create_invoice("0.001", "Coffee", 24)
    assert live(new(hub, made)).facts["request"] == made.payment_request
    assert live(new(hub, replace(made, client_id=None, alarm=True))).facts["request"] == ""


def test_refused_after_all(new: New, hub: hercle.Hub) -> None:
    """A card of a creation that the hub refuses in the end shows the refusal, and nothing to be paid."""
    card = new(hub)
    call = hub._core.book.creations[card._invoice.client_id or ""]
    call.invoice, call.rejection = None, hercle.CommandRejected("The account is locked", message="locked")
    card._tick()
    assert "There is no such invoice: The account is locked" in card.last_state()
    assert live(card).facts["status"] == "rejected"
    assert live(card).facts["request"] == ""
