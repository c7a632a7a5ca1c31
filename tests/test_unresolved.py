"""Commands of unknown outcome: listed, looked for in the hub's list, settled or dismissed; on both hubs."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

import hercle_nb as hercle
from tests.fast import fast_hub, until
from tests.scripted import ScriptedHub, scripted_hub
from tests.servers import KEY

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.servers import HubProcess


@pytest.fixture
def scripted() -> Iterator[ScriptedHub]:
    """A hub whose list says whatever a test wants."""
    with scripted_hub() as server:
        yield server


def lose(hub: hercle.Hub, server: HubProcess | ScriptedHub, client_id: str, memo: str = "Coffee") -> None:
    """Create an invoice whose answer never comes."""
    server.mode(noReply=True)
    before = server.created()
    with pytest.raises(hercle.OutcomeUnknown, match=f"hub.resolve\\('{client_id}'\\)"):
        hub.create_invoice(0.001, memo, 24, client_id=client_id, timeout=0.3)
    until(lambda: server.created() == before + 1)  # a slow hub may only now decide whether to reply
    server.mode()


def test_a_lost_answer_is_found_in_the_list(hub: hercle.Hub, server: HubProcess) -> None:
    """A creation without an answer is unresolved, and adopted by one look at the hub's list."""
    lose(hub, server, "lost")
    frame = hub.unresolved
    assert list(frame.index) == ["lost"]
    row = frame.loc["lost"]
    assert (row["method"], row["amount_msat"], row["memo"], row["expiry_hours"]) == (
        "CreateLightningInvoice",
        100_000_000,
        "Coffee",
        24,
    )
    assert hub.invoices.loc["lost", "status"] == "unknown"
    found = hub.resolve("lost")
    assert (found.client_id, found.outcome, found.candidates) == ("lost", "adopted", None)
    assert found.invoice is not None
    assert found.invoice.warnings == ("matched by the hub's list",)
    assert hub.unresolved.empty
    assert hub.invoices.loc["lost", "status"] == "open"
    assert hub.create_invoice(0.001, "Coffee", 24, client_id="lost").reused
    assert hub.resolve("lost").outcome == "adopted"
    assert server.created() == 1


def test_refreshing_settles_too(hub: hercle.Hub, server: HubProcess) -> None:
    """Any look at the hub's list settles what it can."""
    lose(hub, server, "lost")
    hub.refresh_invoices()
    assert hub.unresolved.empty
    assert hub.invoice("lost").memo == "Coffee"


def test_not_found(hub: hercle.Hub, server: HubProcess) -> None:
    """What the list lacks stays unresolved, as often as one looks."""
    server.mode(failStatus=504)
    with pytest.raises(hercle.OutcomeUnknown):
        hub.create_invoice(0.001, "Coffee", 24, client_id="lost")
    server.mode()
    for _ in range(2):
        found = hub.resolve("lost")
        assert (found.outcome, found.invoice, found.candidates) == ("not found", None, None)
        assert list(hub.unresolved.index) == ["lost"]
    assert "dismiss=True" in repr(found)


def test_several(hub: hercle.Hub, server: HubProcess) -> None:
    """Where it cannot be told which invoice is whose, both stay unresolved and the candidates are shown."""
    lose(hub, server, "first")
    lose(hub, server, "second")
    for client_id in ("first", "second"):
        found = hub.resolve(client_id)
        assert (found.outcome, found.invoice) == ("several", None)
        assert found.candidates is not None
        assert len(found.candidates) == 2
        assert set(found.candidates["memo"]) == {"Coffee"}
        assert list(found.candidates.columns) == list(hub.invoices.columns)
    assert list(hub.unresolved.index) == ["first", "second"]


def test_dismissing(hub: hercle.Hub, server: HubProcess) -> None:
    """What is dismissed stays unknown, is listed no more, and its ClientId is never sent again."""
    lose(hub, server, "lost")
    assert hub.resolve("lost", dismiss=True).outcome == "dismissed"
    assert hub.resolve("lost").outcome == "dismissed"
    assert hub.unresolved.empty
    hub.refresh_invoices()
    assert hub.invoices.loc["lost", "status"] == "unknown"
    with pytest.raises(hercle.OutcomeUnknown, match="dismissed"):
        hub.create_invoice(0.001, "Coffee", 24, client_id="lost")
    assert server.created() == 1


def test_what_is_dismissed_takes_no_other_invoice(hub: hercle.Hub, server: HubProcess) -> None:
    """An invoice that may be the dismissed creation's is not given to the next one like it."""
    lose(hub, server, "first")
    hub.resolve("first", dismiss=True)
    server.mode(failStatus=504)  # the second is never carried out
    with pytest.raises(hercle.OutcomeUnknown):
        hub.create_invoice(0.001, "Coffee", 24, client_id="second")
    server.mode()
    found = hub.resolve("second")
    assert found.outcome == "several"
    assert found.candidates is not None
    assert len(found.candidates) == 1


def test_a_late_answer_settles(server: HubProcess) -> None:
    """An answer that comes after the time-out is adopted by itself, one that was dismissed too."""
    with fast_hub(server.url) as hub:
        server.mode(replyDelayMs=700)
        for client_id in ("late", "dismissed"):
            with pytest.raises(hercle.OutcomeUnknown):
                hub.create_invoice(0.001, client_id, client_id=client_id, timeout=0.2)
        hub.resolve("dismissed", dismiss=True)
        until(lambda: list(hub.invoices["status"]) == ["open", "open"])
        assert hub.unresolved.empty
        assert hub.invoice("late").warnings == ()
        assert hub.resolve("dismissed").outcome == "adopted"


def test_a_late_answer_confirms_the_list(server: HubProcess) -> None:
    """What was matched by the list is known for sure once its own answer comes."""
    with fast_hub(server.url) as hub:
        server.mode(replyDelayMs=800)
        with pytest.raises(hercle.OutcomeUnknown):
            hub.create_invoice(0.001, "Coffee", client_id="late", timeout=0.2)
        server.mode()
        assert hub.resolve("late").invoice.warnings == ("matched by the hub's list",)
        until(lambda: hub.invoice("late").warnings == ())
        assert hub.invoice("late").http_status == 201


def test_a_late_answer_corrects_the_list(scripted: ScriptedHub) -> None:
    """Where another kernel's invoice was taken for ours, the hub's own answer puts it right."""
    with fast_hub(scripted.url) as hub, fast_hub(scripted.url) as other:
        scripted.mode(replyDelayMs=1_000)
        with pytest.raises(hercle.OutcomeUnknown):
            hub.create_invoice(0.001, "Coffee", client_id="late", timeout=0.2)
        scripted.mode()
        twin = other.create_invoice(0.001, "Coffee", client_id="twin")
        own = scripted.invoices.pop(0)  # the hub is slow to list it
        matched = hub.resolve("late").invoice
        assert matched is not None
        assert matched.payment_request == twin.payment_request
        until(lambda: hub.invoice("late").payment_request == own["encodedPaymentRequest"])
        assert "before its own answer came" in hub.invoice("late").warnings[-1]
        assert hub.invoice(twin.id).client_id is None
        assert len(hub.invoices) == 2


def test_other_commands(scripted: ScriptedHub) -> None:
    """Any command that may have changed something is unresolved without its answer; a query never is."""
    with hercle.connect(url=scripted.url, api_key=KEY, journal=False) as hub:
        scripted.mode(noReply=True)
        with pytest.raises(hercle.HubTimeout):
            hub.command("GetBalances", timeout=0.3)
        assert hub.unresolved.empty
        scripted.mode(crash=True)
        with pytest.raises(hercle.OutcomeUnknown, match=r"hub.unresolved keeps it in mind"):
            hub.command("CreateLightningInvoice", 1, None, 24, client_id="by-hand", timeout=0.3)
        with pytest.raises(hercle.OutcomeUnknown):
            hub.invoke("CreateLightningInvoice", "bare", 1, None, 24, timeout=0.3)
        scripted.mode()
        frame = hub.unresolved
        assert list(frame.index) == ["by-hand", "bare"]
        assert frame["amount_msat"].isna().all()
        assert hub.resolve("by-hand").outcome == "not found"
        with pytest.raises(hercle.InvalidRequest, match="may or may not have been carried out"):
            hub.command("CreateLightningInvoice", 1, None, 24, client_id="by-hand")
        for client_id in frame.index:
            assert hub.resolve(client_id, dismiss=True).outcome == "dismissed"
        assert hub.unresolved.empty


def test_a_late_answer_to_another_command(server: HubProcess) -> None:
    """The late answer to any command takes it off the list."""
    with fast_hub(server.url) as hub:
        server.mode(replyDelayMs=500)
        amount = hercle.InvoiceRequest(0.001).amount_btc
        with pytest.raises(hercle.OutcomeUnknown):
            hub.command("CreateLightningInvoice", amount, None, 24, client_id="by-hand", timeout=0.2)
        assert list(hub.unresolved.index) == ["by-hand"]
        until(lambda: hub.unresolved.empty)


def test_a_late_refusal(server: HubProcess) -> None:
    """A creation that the hub refuses after the time-out is rejected, and says so when one looks."""
    with fast_hub(server.url) as hub:
        server.mode(replyDelayMs=500, errorSubject="execution.invoice.error")
        with pytest.raises(hercle.OutcomeUnknown):
            hub.create_invoice(0.001, "Coffee", client_id="late", timeout=0.2)
        until(lambda: list(hub.invoices["status"]) == ["rejected"])
        assert hub.unresolved.empty
        with pytest.raises(hercle.CommandRejected):
            hub.resolve("late")


@pytest.mark.parametrize("client_id", ["nothing", 7, None])
def test_what_is_not_unresolved(hub: hercle.Hub, client_id: object) -> None:
    """A ClientId that is none, or that nothing was sent under, is refused with the place to look."""
    with pytest.raises(hercle.InvalidRequest, match=r"hub\.unresolved"):
        hub.resolve(client_id)  # type: ignore[arg-type]
