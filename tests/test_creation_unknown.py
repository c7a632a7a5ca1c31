"""What a form does where no answer comes, or the hub goes: nothing is sent twice, no outcome is guessed."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

import hercle_nb as hercle
from hercle_nb.widgets._draft import Draft
from tests.fast import fast_hub, until
from tests.steps import COFFEE, Steps, sent

if TYPE_CHECKING:
    from tests.servers import HubProcess


@pytest.fixture
def steps(hub: hercle.Hub) -> Steps:
    """A creation on both hubs."""
    return Steps(hub)


def lose(steps: Steps, server: HubProcess, hub: hercle.Hub) -> None:
    """Create an invoice whose answer never comes."""
    server.mode(noReply=True)
    before, hub.timeout = server.created(), 0.3
    steps.create()
    until(lambda: steps["phase"] == "unknown")
    until(lambda: server.created() == before + 1)  # a slow hub may only now decide whether to reply
    server.mode()
    hub.timeout = 20


# -- unknown -------------------------------------------------------------------------------------------------


def test_unknown(steps: Steps, hub: hercle.Hub, server: HubProcess) -> None:
    """Without an answer the outcome is unknown; Create, a stale press or anything typed does nothing."""
    lose(steps, server, hub)
    assert "may or may not have been carried out: no answer came in 0.3 s." in steps["told"]
    assert steps["told"].endswith("Nothing is sent again by itself.")
    steps.create()
    steps.do(steps.creation.edit, Draft("5"))
    for step in (steps.creation.keep_waiting, steps.creation.look_again, steps.creation.create_new):
        steps.do(step, steps["turn"] - 1)
    assert (steps["phase"], steps["fields"]) == ("unknown", COFFEE.fields())
    assert len(sent(server)) == 1
    assert list(hub.unresolved.index) == [steps["client_id"]]


def test_late_answer(steps: Steps, hub: hercle.Hub, server: HubProcess) -> None:
    """An answer that comes late is shown by itself."""
    server.mode(replyDelayMs=800)
    hub.timeout = 0.2
    steps.create()
    until(lambda: steps["phase"] == "unknown")
    steps.until("created")
    assert steps["told"] == ""
    assert len(steps.made) == server.created() == 1
    assert steps.made[0].warnings == ()


def test_late_refusal(steps: Steps, hub: hercle.Hub, server: HubProcess) -> None:
    """A refusal that comes late is told, and the next press goes under a ClientId of its own."""
    server.mode(replyDelayMs=800, errorSubject="execution.invoice.error")
    hub.timeout = 0.2
    steps.create()
    until(lambda: steps["phase"] == "unknown")
    steps.until("draft")
    assert "ACCOUNT_LOCKED" in steps["told"]
    server.mode()
    hub.timeout = 20
    steps.create()
    steps.until("created")
    assert len(set(sent(server))) == 2


def test_keep_waiting(steps: Steps, hub: hercle.Hub, server: HubProcess) -> None:
    """Waiting on sends nothing: it ends with the answer."""
    server.mode(replyDelayMs=1_000)
    hub.timeout = 0.2
    steps.create()
    until(lambda: steps["phase"] == "unknown")
    hub.timeout = 20
    steps.press(steps.creation.keep_waiting)
    assert steps["phase"] == "waiting"
    steps.until("created")
    assert len(sent(server)) == server.created() == 1


def test_waiting_in_vain(steps: Steps, hub: hercle.Hub, server: HubProcess) -> None:
    """Waiting on ends after the hub's time-out, as unknown as before."""
    lose(steps, server, hub)
    hub.timeout = 0.1
    told, turn = steps["told"], steps["turn"]
    steps.press(steps.creation.keep_waiting)
    steps.until("unknown")
    assert (steps["told"], steps["turn"]) == (told, turn + 2)
    assert len(sent(server)) == 1


def test_look_again(steps: Steps, hub: hercle.Hub, server: HubProcess) -> None:
    """A look at the hub's list finds the invoice; nothing is sent."""
    lose(steps, server, hub)
    steps.press(steps.creation.look_again)
    until(lambda: steps["phase"] == "created")
    assert steps.made[0].warnings == ("matched by the hub's list",)
    assert steps["told"] == ""
    assert len(sent(server)) == 1


def test_nothing_found(steps: Steps, server: HubProcess) -> None:
    """Where the list has nothing that fits, it stays unknown and that is said."""
    server.mode(failStatus=504)
    steps.create()
    steps.until("unknown")
    steps.press(steps.creation.look_again)
    until(lambda: steps["phase"] == "unknown")
    assert steps["told"] == "Nothing in the hub's list of invoices fits it so far."


def test_several_found(steps: Steps, hub: hercle.Hub, server: HubProcess) -> None:
    """Where several of unknown outcome fit, none is guessed and their number is said."""
    lose(steps, server, hub)
    other = Steps(hub)
    lose(other, server, hub)
    steps.press(steps.creation.look_again)
    until(lambda: steps["phase"] == "unknown")
    assert steps["told"].startswith("2 invoices in the hub's list fit it, and which one it is cannot be told")
    assert repr(steps["client_id"]) in steps["told"]
    assert steps.made == []


def test_dismissed_meanwhile(steps: Steps, hub: hercle.Hub, server: HubProcess) -> None:
    """Of what a cell has dismissed it is not said that the hub's list lacks it."""
    lose(steps, server, hub)
    hub.resolve(steps["client_id"], dismiss=True)
    steps.press(steps.creation.look_again)
    until(lambda: steps["phase"] == "unknown")
    assert "dismissed" in steps["told"]
    assert "Nothing in" not in steps["told"]


def test_no_list(steps: Steps, hub: hercle.Hub, server: HubProcess) -> None:
    """Where the list cannot be had, that is said, and the outcome is as unknown as before."""
    lose(steps, server, hub)
    server.mode(hubError="Not now")
    steps.press(steps.creation.look_again)
    until(lambda: steps["phase"] == "unknown")
    assert steps["told"] == "The hub refused GetLightningInvoices: Not now"
    server.mode(noReply=True)
    hub.timeout = 0.2
    steps.press(steps.creation.look_again)
    until(lambda: steps["phase"] == "unknown")
    assert "GetLightningInvoices" in steps["told"]
    assert "no answer came" in steps["told"]
    server.mode()
    hub.timeout = 20
    steps.press(steps.creation.look_again)
    until(lambda: steps["phase"] == "created")


@pytest.mark.parametrize("typed", ["", "mine"])
def test_create_new(steps: Steps, hub: hercle.Hub, server: HubProcess, typed: str) -> None:
    """A new one goes under another ClientId, though one was typed; the first stays unresolved."""
    server.mode(noReply=True)
    hub.timeout = 0.3
    steps.create(replace(COFFEE, client_id=typed))
    until(lambda: steps["phase"] == "unknown" and server.created() == 1)
    server.mode()
    hub.timeout = 20
    turn = steps["turn"]
    for _ in range(5):
        steps.do(steps.creation.create_new, turn)
    steps.until("created")
    first, second = sent(server)
    assert first == (typed or first) != second
    assert steps.made[0].client_id == second
    assert server.created() == 2
    assert list(hub.unresolved.index) == [first]


def test_client_id_of_another_unknown_one(hub: hercle.Hub, steps: Steps, server: HubProcess) -> None:
    """A ClientId whose creation is unknown is no way to another invoice: that is a problem of its field."""
    server.mode(noReply=True)
    with pytest.raises(hercle.OutcomeUnknown):
        hub.create_invoice("0.002", "Tea", 24, client_id="mine", timeout=0.3)
    steps.create(replace(COFFEE, client_id="mine"))
    until(lambda: steps["phase"] == "draft")
    assert "was used for another invoice" in steps["problems"]["client_id"]
    steps.create(Draft("0.002", memo="Tea", client_id="mine"))
    until(lambda: steps["phase"] == "unknown")
    assert "its answer has not come so far." in steps["told"]
    assert sent(server) == ["mine"]


# -- the hub goes, for good or for a while -------------------------------------------------------------------


def test_closed_before(steps: Steps, hub: hercle.Hub, server: HubProcess) -> None:
    """A press on a closed hub says what to do; nothing was sent."""
    hub.close()
    steps.create()
    assert (steps["phase"], steps["state"]) == ("draft", "closed")
    assert steps["told"] == "The hub is closed; call hercle.connect() for a new one."
    assert sent(server) == []


def test_closed_while_waiting(steps: Steps, hub: hercle.Hub, server: HubProcess) -> None:
    """If the hub is closed before the answer, the outcome is unknown and stays so, as often as one looks."""
    server.mode(noReply=True)
    steps.create()
    until(lambda: server.created() == 1)
    hub.close()
    until(lambda: steps["phase"] == "unknown")
    assert "may or may not have been carried out" in steps["told"]
    steps.press(steps.creation.look_again)
    assert steps["phase"] == "unknown"
    assert "hercle.connect()" in steps["told"]


def test_lost_while_waiting(server: HubProcess) -> None:
    """If the connection is lost before the answer, the invoice is found once it is back; one is made."""
    with fast_hub(server.url, timeout=20) as hub:
        steps = Steps(hub)
        server.mode(noReply=True)
        steps.create()
        until(lambda: server.created() == 1)
        server.mode()
        server.lose()
        until(lambda: steps["phase"] == "created")
        assert steps.made[0].client_id == sent(server)[0]
        assert len(sent(server)) == server.created() == 1


def test_pressed_while_lost(server: HubProcess) -> None:
    """What is pressed without a connection is sent once over the next one."""
    with fast_hub(server.url, timeout=20) as hub:
        steps = Steps(hub)
        server.mode(negotiateFailures=3, negotiateStatus=503)
        server.lose()
        until(lambda: hub.state == "reconnecting")
        steps.create()
        until(lambda: steps["phase"] == "created")
        assert len(sent(server)) == server.created() == 1


def test_not_sent_in_time(server: HubProcess) -> None:
    """What could not be sent in time is said not to be, never sent later, and sent by the next press."""
    with fast_hub(server.url) as hub:
        hub.timeout = 0.2
        steps = Steps(hub)
        server.mode(negotiateFailures=10**6, negotiateStatus=503)
        server.lose()
        until(lambda: hub.state == "reconnecting")
        steps.create()
        until(lambda: steps["phase"] == "draft")
        assert "was not sent: there was no connection in 0.2 s. It will not be sent later." in steps["told"]
        hub.timeout = 20
        server.mode()
        until(lambda: hub.state == "connected")
        assert sent(server) == []
        steps.create()
        until(lambda: steps["phase"] == "created")
        assert len(sent(server)) == server.created() == 1
