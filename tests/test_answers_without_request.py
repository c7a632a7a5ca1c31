"""Answers that say a creation was carried out and bring no payment request, or one that is not its own."""

from __future__ import annotations

import json
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest

import hercle_nb as hercle
from tests.answers import pay_to
from tests.fast import until
from tests.journals import COFFEE, PAIRS, TEA, connect, row, rows, sent
from tests.scripted import ScriptedHub, scripted_hub

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.servers import HubProcess


@pytest.fixture
def scripted() -> Iterator[ScriptedHub]:
    """A hub whose list says whatever a test wants."""
    with scripted_hub() as server:
        yield server


def say(server: Any, data: Any, client_id: str | None = None) -> str:
    """Send a created event with that data."""
    names = {} if client_id is None else {"clientId": client_id}
    envelope = {"subject": "execution.invoice.created", **names, "data": data}
    message = json.dumps({"type": 1, "target": "executionEvents", "arguments": [envelope]})
    server.post("raw", f"{message}␞")
    return message


def unanswered(hub: hercle.Hub, server: HubProcess, client_id: str, spell: Any) -> hercle.OutcomeUnknown:
    """Create an invoice whose answer is what ``spell`` makes of the hub's invoice."""
    server.mode(noReply=True)
    before = {one["id"] for one in server.stats()["invoices"]}
    with ThreadPoolExecutor(1) as pool:
        making = pool.submit(hub.create_invoice, **COFFEE, client_id=client_id)
        until(lambda: server.created() == len(before) + 1)
        (invoice,) = (one for one in server.stats()["invoices"] if one["id"] not in before)
        say(server, spell(invoice), client_id)
        error = making.exception()
    server.mode()
    assert isinstance(error, hercle.OutcomeUnknown)
    return error


SPELLINGS = {
    "none": lambda one: {"httpStatusCode": 201, "id": one["id"]},
    "null": lambda one: {"httpStatusCode": 201, "id": one["id"], "encodedPaymentRequest": None},
    "an object": lambda one: {"httpStatusCode": 200, "id": one["id"], "encodedPaymentRequest": {"x": 1}},
    "other names": lambda one: {"Id": one["id"], "EncodedPaymentRequest": one["encodedPaymentRequest"]},
    "no id": lambda _: {"httpStatusCode": 201},
    "a text": lambda one: one["id"],
    "a list": lambda one: [one],
    "nothing": lambda _: None,
}


@pytest.mark.parametrize("spell", SPELLINGS.values(), ids=SPELLINGS)
def test_it_is_an_open_question(hub: hercle.Hub, server: HubProcess, spell: Any) -> None:
    """A success without a payment request is of unknown outcome: listed, looked for, adopted."""
    error = unanswered(hub, server, "order-1", spell)
    assert (error.client_id, "no payment request" in str(error)) == ("order-1", True)
    assert list(hub.unresolved.index) == ["order-1"]
    assert hub.invoices.loc["order-1", "status"] == "unknown"
    with pytest.raises(hercle.OutcomeUnknown):
        hub.create_invoice(**COFFEE, client_id="order-1")
    assert hub.resolve("order-1").outcome == "adopted"
    assert hub.unresolved.empty
    assert hub.create_invoice(**COFFEE, client_id="order-1").reused
    assert server.created() == 1


def test_the_named_one_of_several(hub: hercle.Hub, server: HubProcess) -> None:
    """Where the answer named an id, that invoice is adopted though others fit as well."""
    first = unanswered(hub, server, "order-1", SPELLINGS["none"])
    second = unanswered(hub, server, "order-2", SPELLINGS["other names"])
    hub.refresh_invoices()
    found = [hub.invoice(f"order-{number}").id for number in (1, 2)]
    assert set(found) == {one["id"] for one in server.stats()["invoices"]}
    assert [found[0] in str(first), found[1] in str(second)] == [True, True]
    assert hub.invoice("order-1").warnings == ("matched by the id that the hub's answer named",)


def test_the_list_lacks_it(scripted: ScriptedHub) -> None:
    """Where the list lacks the id that was named, no other invoice is taken for it."""
    with hercle.connect(url=scripted.url, api_key=scripted.key, journal=False) as hub:
        scripted.mode(noReply=True)
        with ThreadPoolExecutor(1) as pool:
            making = pool.submit(hub.create_invoice, **COFFEE, client_id="order-1")
            until(lambda: scripted.created() == 1)
            say(scripted, {"httpStatusCode": 201, "id": "INV_0"}, "order-1")
            assert isinstance(making.exception(), hercle.OutcomeUnknown)
        scripted.mode()
        assert hub.resolve("order-1").outcome == "not found"  # inv_0 is another id
        scripted.invoices[0]["id"] = "INV_0"
        assert hub.resolve("order-1").outcome == "adopted"


def test_what_is_wrong_with_it_is_an_alarm(scripted: ScriptedHub) -> None:
    """The invoice of the id that was named is adopted, whatever is wrong with it, and says what is."""
    with hercle.connect(url=scripted.url, api_key=scripted.key, journal=False) as hub:
        scripted.mode(noReply=True)
        with ThreadPoolExecutor(1) as pool:
            making = pool.submit(hub.create_invoice, **COFFEE, client_id="order-1")
            until(lambda: scripted.created() == 1)
            say(scripted, {"httpStatusCode": 201, "id": "inv_0"}, "order-1")
            assert isinstance(making.exception(), hercle.OutcomeUnknown)
        scripted.mode()
        scripted.invoices[0]["encodedPaymentRequest"] = pay_to(amount_msat=1_000, description="Coffee")
        invoice = hub.resolve("order-1").invoice
        assert invoice is not None
        assert (invoice.alarm, invoice.amount_msat, invoice.asked_msat) == (True, 1_000, 100_000_000)


@PAIRS
@pytest.mark.parametrize("spelling", ["none", "nothing"])
def test_the_next_kernel_reads_it(server: HubProcess, journal: str, spelling: str) -> None:
    """In the next kernel it is the same question, settled by the hub's id where one was named."""
    with connect(server, journal) as first:
        unanswered(first, server, "order-1", SPELLINGS[spelling])
        first.create_invoice(**TEA, client_id="order-2")  # after which it is durable
        assert row(journal, "order-1").state == "noted"
    server.mode(hubError="no list today")
    with connect(server, journal) as second:
        server.mode()
        assert list(second.unresolved.index) == ["order-1"]
        with pytest.raises(hercle.OutcomeUnknown):
            second.create_invoice(**COFFEE, client_id="order-1")
        assert second.resolve("order-1").outcome == "adopted"
        assert second.create_invoice(**COFFEE, client_id="order-1").reused
    answers = [one for one in rows(journal, "hercle_observations") if one.kind == "answer"]
    assert len(answers) == 2
    assert sent(server) == 2


@PAIRS
def test_it_can_be_dismissed(server: HubProcess, journal: str) -> None:
    """It can be settled by decision, and is settled for every kernel."""
    server.mode(failStatus=201)
    with connect(server, journal) as first:
        with pytest.raises(hercle.OutcomeUnknown, match="no payment request"):
            first.create_invoice(**COFFEE, client_id="order-1")
        server.mode()
        assert first.resolve("order-1").outcome == "not found"
        assert first.resolve("order-1", dismiss=True).outcome == "dismissed"
        assert first.unresolved.empty
    with connect(server, journal) as second:
        assert second.unresolved.empty
        with pytest.raises(hercle.OutcomeUnknown, match="dismissed"):
            second.create_invoice(**COFFEE, client_id="order-1")
    assert sent(server) == 1


def test_its_own_answer_comes_late(hub: hercle.Hub, server: HubProcess) -> None:
    """A whole answer after one without a payment request settles it."""
    unanswered(hub, server, "order-1", SPELLINGS["none"])
    invoice = server.stats()["invoices"][0]
    fields = ("id", "expiresAt", "encodedPaymentRequest")
    say(server, {"httpStatusCode": 201} | {name: invoice[name] for name in fields}, "order-1")
    until(lambda: hub.unresolved.empty)
    assert hub.invoice("order-1").warnings == ()


def test_an_answer_of_three_hours_ago(scripted: ScriptedHub) -> None:
    """While a creation waits, an old invoice without ClientId is not its answer, however alike it is."""
    with hercle.connect(url=scripted.url, api_key=scripted.key, journal=False) as hub:
        scripted.mode(noReply=True)
        with ThreadPoolExecutor(1) as pool:
            making = pool.submit(hub.create_invoice, **COFFEE, client_id="order-1", timeout=2)
            until(lambda: scripted.created() == 1)
            old = pay_to(description="Coffee", timestamp=int(time.time()) - 10_800, payment_hash=bytes(32))
            say(scripted, {"httpStatusCode": 201, "id": "inv_old", "encodedPaymentRequest": old})
            until(lambda: len(hub.events) >= 3)
            assert not making.done()
            fresh = scripted.invoices[0]
            say(scripted, {"httpStatusCode": 201, **fresh})
            assert making.result().id == "inv_0"
        assert list(hub.invoices["id"]) == ["inv_0"]


@pytest.mark.parametrize(
    "data",
    [
        {"httpStatusCode": 201, "id": "inv_old"},
        {"Id": "inv_old", "EncodedPaymentRequest": pay_to(timestamp=1_700_000_000), "HttpStatusCode": 201},
        {"httpStatusCode": 504, "id": "inv_old"},
    ],
)
def test_an_answer_that_names_nobody_and_shows_nothing(scripted: ScriptedHub, data: Any) -> None:
    """Without ClientId and payment request a success may be about any invoice, so it ends no creation."""
    old = pay_to(timestamp=int(time.time()) - 10_800, amount_msat=5_000, payment_hash=bytes(32))
    scripted.invoices.append({"id": "inv_old", "status": "OPEN", "encodedPaymentRequest": old})
    with hercle.connect(url=scripted.url, api_key=scripted.key, journal=False) as hub:
        scripted.mode(noReply=True)
        with ThreadPoolExecutor(1) as pool:
            making = pool.submit(hub.create_invoice, **COFFEE, client_id="order-1", timeout=1.5)
            until(lambda: scripted.created() == 2)
            say(scripted, data)
            until(lambda: len(hub.events) >= 3)
            assert not making.done()
            assert isinstance(making.exception(), hercle.OutcomeUnknown)
        scripted.mode()
        found = hub.resolve("order-1")
        assert found.invoice is not None
        assert (found.invoice.amount_msat, found.invoice.alarm) == (100_000_000, False)


@pytest.mark.parametrize(
    "subject", ["execution.withdrawal.error", "account.error", "execution.invoice.x.error"]
)
def test_a_refusal_of_something_else(scripted: ScriptedHub, subject: str) -> None:
    """A refusal without ClientId of another operation is not a creation's."""
    with hercle.connect(url=scripted.url, api_key=scripted.key, journal=False) as hub:
        scripted.mode(replyDelayMs=400)
        with ThreadPoolExecutor(1) as pool:
            making = pool.submit(hub.create_invoice, **COFFEE, client_id="order-1")
            until(lambda: scripted.created() == 1)
            envelope = {"subject": subject, "data": {"message": "no"}}
            message = json.dumps({"type": 1, "target": "executionEvents", "arguments": [envelope]})
            scripted.post("raw", f"{message}␞")
            assert making.result().warnings == ()
