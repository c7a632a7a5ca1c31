"""What a form does between the fields and the invoice, on both hubs and without a widget."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from hercle_nb.widgets._draft import BTC, CUSTOM, SAT, Draft
from tests.fast import until
from tests.steps import COFFEE, Steps, sent

if TYPE_CHECKING:
    import hercle_nb as hercle
    from tests.servers import HubProcess


@pytest.fixture
def steps(hub: hercle.Hub) -> Steps:
    """A creation on both hubs."""
    return Steps(hub)


# -- one press, one invoice ----------------------------------------------------------------------------------


def test_creates(steps: Steps, server: HubProcess) -> None:
    """A press creates what the fields say, and tells of the invoice once."""
    assert steps["phase"] == "draft"
    steps.create()
    steps.until("created")
    (invoice,) = steps.made
    assert steps.creation.invoice is invoice
    assert (invoice.amount_sat, invoice.memo, invoice.expiry_hours) == (100_000, "Coffee", 24)
    assert invoice.client_id == steps["client_id"]
    assert f"client_id='{invoice.client_id}'" in steps["code"]
    assert sent(server) == [invoice.client_id]
    phases = [view["phase"] for view in steps.views]
    assert phases[0] == "waiting"
    assert [view["turn"] for view in steps.views] == sorted(view["turn"] for view in steps.views)


def test_pressed_often(steps: Steps, server: HubProcess) -> None:
    """Presses of one turn are one press, and after the answer a press does nothing."""
    server.mode(replyDelayMs=100)
    for _ in range(20):
        steps.do(steps.creation.create, COFFEE, 0)
    steps.until("created")
    turn = steps["turn"]
    for stale in range(turn + 2):
        steps.do(steps.creation.create, COFFEE, stale)
    assert (steps["phase"], steps["turn"], server.created()) == ("created", turn, 1)


@pytest.mark.parametrize("step", ["create", "confirm", "back", "keep_waiting", "look_again", "create_new"])
def test_steps_out_of_turn(steps: Steps, server: HubProcess, step: str) -> None:
    """A step that belongs to another page does nothing, whichever page is shown."""
    move = getattr(steps.creation, step)
    arguments = (Draft("0.002"),) if step == "create" else ()

    def nothing_happens(*turns: int) -> None:
        view = steps.creation.view()
        for turn in turns:
            steps.do(move, *arguments, turn)
        assert steps.creation.view() == view

    nothing_happens(*([7] if step == "create" else [0, 7]))
    steps.create(ask=True)
    nothing_happens(0, *([1] if step not in ("confirm", "back") else []))
    steps.press(steps.creation.confirm)
    steps.until("created")
    nothing_happens(*range(5))
    assert server.created() == 1


@pytest.mark.parametrize("typed", ["", "mine"])
def test_another(steps: Steps, server: HubProcess, typed: str) -> None:
    """Another invoice begins with the same fields and a ClientId of its own."""
    steps.create(replace(COFFEE, client_id=typed))
    steps.until("created")
    steps.press(steps.creation.another)
    assert (steps["phase"], steps["fields"]) == ("draft", COFFEE.fields())
    steps.create(steps.creation.draft)
    until(lambda: len(steps.made) == 2)
    first, second = sent(server)
    assert first == (typed or first) != second
    assert not steps.made[1].reused


# -- what is typed -------------------------------------------------------------------------------------------


def test_editing(steps: Steps) -> None:
    """What is typed is checked: its mark comes back with what is wrong, or with the code."""
    steps.do(steps.creation.edit, Draft("0", BTC), "a.1")
    assert (steps["checked"], list(steps["problems"]), steps["code"]) == ("a.1", ["amount"], "")
    steps.do(steps.creation.edit, Draft("5", SAT), "a.2")
    assert (steps["checked"], steps["problems"]) == ("a.2", {})
    assert "amount_sat=5" in steps["code"]
    assert steps["turn"] == 0


def test_press_on_what_is_wrong(steps: Steps, server: HubProcess) -> None:
    """A press on fields that break a rule sends nothing and says what is wrong; mended ones are sent."""
    steps.create(Draft("0", BTC, "a\nb", CUSTOM, "0", "a b"), "a.1")
    assert list(steps["problems"]) == ["amount", "memo", "hours", "client_id"]
    assert (steps["phase"], steps["turn"], steps["checked"]) == ("draft", 1, "a.1")
    assert sent(server) == []
    steps.create(Draft("5", SAT))
    steps.until("created")
    assert steps["problems"] == {}
    assert steps.made[0].amount_sat == 5


def test_editing_while_sent(steps: Steps, server: HubProcess) -> None:
    """What is typed after the press changes nothing of what was sent."""
    server.mode(replyDelayMs=100)
    steps.create()
    steps.do(steps.creation.edit, Draft("20", BTC))
    assert steps["fields"] == COFFEE.fields()
    steps.until("created")
    steps.do(steps.creation.edit, Draft("20", BTC))
    assert steps["fields"] == COFFEE.fields()


# -- asked about first ---------------------------------------------------------------------------------------


def test_confirming(steps: Steps, server: HubProcess) -> None:
    """More than the limit is asked about: nothing is sent before the yes, and one invoice after it."""
    large = Draft("0.10000001", BTC, "A <car>", "default")
    steps.create(large)
    assert steps["phase"] == "confirm"
    assert steps["question"] == (
        "Create an invoice of 0.10000001 BTC = 10\u202f000\u202f001 sat with the memo “A <car>”, "
        "valid for 24 h, the hub's default? That is more than 0.10000000 BTC."
    )
    steps.press(steps.creation.back)
    assert (steps["phase"], steps["question"], steps["fields"]) == ("draft", "", large.fields())
    steps.create(large)
    assert sent(server) == []
    turn = steps["turn"]
    for _ in range(5):
        steps.do(steps.creation.confirm, turn)
    steps.until("created")
    assert server.created() == 1


def test_up_to_the_limit(hub: hercle.Hub) -> None:
    """The limit itself is not asked about, whatever it is."""
    steps = Steps(hub, limit_msat=100_000_000)
    steps.create(Draft("100000", SAT))
    steps.until("created")
    steps.press(steps.creation.another)
    steps.create(Draft("100001", SAT))
    assert "That is more than 0.00100000 BTC." in steps["question"]


def test_production(hub: hercle.Hub, server: HubProcess, monkeypatch: pytest.MonkeyPatch) -> None:
    """On production every amount is asked about, also for the invoice in place of one that may exist."""
    monkeypatch.setattr(hub._core, "environment", "production")
    steps = Steps(hub)
    steps.create(Draft("1", SAT, expiry="1"))
    assert steps["question"] == (
        "Create an invoice of 0.00000001 BTC = 1 sat with no memo, valid for 1 h? "
        "This is production: the invoice is real."
    )
    server.mode(noReply=True)
    hub.timeout = 0.3
    steps.press(steps.creation.confirm)
    steps.until("unknown")
    steps.press(steps.creation.create_new)
    assert steps["phase"] == "confirm"
    until(lambda: len(sent(server)) == 1)


# -- refused -------------------------------------------------------------------------------------------------


def test_refusal(steps: Steps, server: HubProcess) -> None:
    """A refusal is told in the hub's words, and the next press goes under a ClientId of its own."""
    server.mode(errorSubject="execution.invoice.error")
    steps.create()
    steps.until("draft")
    assert steps["told"] == (
        "The hub refused CreateLightningInvoice: ACCOUNT_LOCKED: The account may not create invoices"
    )
    server.mode()
    steps.create()
    assert steps["told"] == ""
    steps.until("created")
    refused, made = sent(server)
    assert refused != made


def test_refusal_of_a_typed_client_id(steps: Steps, server: HubProcess) -> None:
    """A typed ClientId that was refused is said to be spent, and sends nothing again."""
    typed = Draft("0.001", client_id="mine")
    server.mode(hubError="Not today")
    for _ in range(2):
        steps.create(typed)
        until(lambda: steps["phase"] == "draft")
        assert steps["told"] == (
            "The hub refused CreateLightningInvoice: Not today "
            "Its ClientId is spent: type another one, or none."
        )
        assert steps["fields"]["client_id"] == "mine"
        server.mode()
    assert sent(server) == ["mine"]


def test_client_id_of_another_invoice(steps: Steps, hub: hercle.Hub, server: HubProcess) -> None:
    """A ClientId that was used for something else is a problem of its field, and nothing is sent."""
    hub.create_invoice("0.002", "Tea", 24, client_id="mine")
    steps.create(Draft("0.001", memo="Coffee", client_id="mine"))
    steps.until("draft")
    assert "was used for another invoice (0.002 BTC, memo 'Tea'" in steps["problems"]["client_id"]
    assert (steps["told"], steps["code"]) == ("", "")
    assert sent(server) == ["mine"]


def test_client_id_of_the_same_invoice(steps: Steps, hub: hercle.Hub, server: HubProcess) -> None:
    """The same arguments under the same ClientId are the known invoice; nothing is sent."""
    known = hub.create_invoice("0.001", "Coffee", 24, client_id="mine")
    steps.create(Draft("0.001", memo="Coffee", client_id="mine"))
    steps.until("created")
    assert steps.made[0].reused
    assert steps.made[0].payment_request == known.payment_request
    assert sent(server) == ["mine"]


# -- and besides ---------------------------------------------------------------------------------------------


def test_unexpected_error(steps: Steps, hub: hercle.Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    """What nobody foresaw is told by its type, and the next press goes under the same ClientId."""

    async def create(*_: Any) -> Any:
        raise ZeroDivisionError("by zero")

    with monkeypatch.context() as patch:
        patch.setattr(hub._core.creating, "create", create)
        steps.create()
        until(lambda: steps["phase"] == "draft")
    assert steps["told"] == "ZeroDivisionError: by zero"
    client_id = steps["client_id"]
    steps.create()
    steps.until("created")
    assert steps.made[0].client_id == client_id


def test_view(steps: Steps, hub: hercle.Hub) -> None:
    """A view says how the hub is."""
    assert (steps["environment"], steps["state"], steps["reason"]) == ("sandbox", "connected", "")
    assert steps["timeout"] == hub.timeout
    hub.close()
    assert "hercle.connect()" in steps["reason"]
