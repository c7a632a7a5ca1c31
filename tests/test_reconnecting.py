"""A connection that is lost comes back: what the user sees, and what becomes of calls under way."""

from __future__ import annotations

import signal
import threading
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

import hercle_nb as hercle
from tests.fast import fast_hub, healed, until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.servers import HubProcess

PAGE_EXAMPLE = ("0.001", "Payment for services", 24)


@pytest.fixture
def hub(server: HubProcess) -> Iterator[hercle.Hub]:
    """A hub with short delays."""
    with fast_hub(server.url) as hub:
        yield hub


@pytest.mark.parametrize("fault", ["drop", "cut"])
def test_comes_back(hub: hercle.Hub, server: HubProcess, fault: str) -> None:
    """After a goodbye or a torn connection the hub is back by itself, with a gap, rows and counters."""
    server.lose(fault)
    healed(hub)
    assert hub.create_invoice(*PAGE_EXAMPLE).status == "open"
    gap = hub.log.gaps.iloc[0]
    assert gap["connection"] == 1
    assert ("the hub ended the connection" if fault == "drop" else "broke off") in gap["reason"]
    frame = hub.events
    rows = frame[frame["kind"] == "connection"]
    assert list(rows["subject"]) == ["connection.opened", "connection.lost", "connection.back"]
    assert list(rows["connection"]) == [1, 1, 2]
    assert rows["data"].iloc[-1]["seconds"] >= 0
    assert rows["data"].iloc[-1]["attempts"] == 1
    assert (hub.stats["reconnects"], hub.stats["gaps"]) == (1, 1)
    assert server.stats()["connectionsEver"] == 2


def test_unsent_is_sent_after_the_return(hub: hercle.Hub, server: HubProcess) -> None:
    """A call made while there is no connection is sent once there is one."""
    server.mode(negotiateStatus=503, negotiateFailures=3)
    server.lose()
    until(lambda: hub.state == "reconnecting")
    assert hub.create_invoice(*PAGE_EXAMPLE).status == "open"
    assert server.created() == 1


def test_unsent_times_out_and_is_never_sent(hub: hercle.Hub, server: HubProcess) -> None:
    """A call that timed out before it was sent is a HubTimeout, and is not sent later."""
    server.mode(negotiateStatus=503, negotiateFailures=4)
    server.lose()
    until(lambda: hub.state == "reconnecting")
    with pytest.raises(
        hercle.HubTimeout, match=r"was not sent: there was no connection in 0\.05 s.*will not be sent later"
    ):
        hub.create_invoice(*PAGE_EXAMPLE, client_id="a", timeout=0.05)
    healed(hub)
    assert hub.create_invoice(*PAGE_EXAMPLE, client_id="a").reused is False
    assert server.created() == 1


def test_query_under_way_is_asked_again(hub: hercle.Hub, server: HubProcess) -> None:
    """A query whose answer went down with the connection is asked again by itself."""
    server.mode(noReply=True)
    threading.Timer(0.1, lambda: (server.mode(), server.lose())).start()
    assert hub.command("GetBalances", client_id="q").client_id == "q"
    healed(hub)


def test_creation_under_way_is_found_in_the_list(hub: hercle.Hub, server: HubProcess) -> None:
    """A creation whose answer went down with the connection is settled by the hub's list, not sent again."""
    server.mode(noReply=True)

    def lose() -> None:
        until(server.created)
        server.mode()
        server.lose()

    threading.Thread(target=lose).start()
    invoice = hub.create_invoice(*PAGE_EXAMPLE, client_id="a")
    assert invoice.client_id == "a"
    assert invoice.warnings == ("matched by the hub's list",)
    assert invoice.qr()
    assert server.created() == 1
    assert hub.create_invoice(*PAGE_EXAMPLE, client_id="a").reused


@pytest.mark.parametrize("name", ["simulator", "reference"])
def test_frozen_hub_is_asked_again(own_hub: Callable[..., Any], name: str) -> None:
    """What a frozen hub carries out only after we are back is found by looking at its list once more."""
    made: dict[int, hercle.Invoice] = {}
    with own_hub(name) as server, fast_hub(server.url, timeout=20, pace=0.1, server_silence=0.4) as hub:
        hub.create_invoice(amount_sat=1)

        def create(number: int) -> None:
            made[number] = hub.create_invoice(amount_sat=number, memo=f"m{number}")

        server.process.send_signal(signal.SIGSTOP)
        try:
            threads = [threading.Thread(target=create, args=(number,)) for number in range(10, 25)]
            for thread in threads:
                thread.start()
            until(lambda: hub.state == "reconnecting")
            supervisor = hub._core.supervisor
            supervisor._timings = replace(supervisor._timings, server_silence=30.0)
        finally:
            server.process.send_signal(signal.SIGCONT)
        for thread in threads:
            thread.join()
        assert {number: invoice.amount_sat for number, invoice in made.items()} == {
            n: n for n in range(10, 25)
        }
        assert server.created() == 16
        assert hub.stats["gaps"] == 1


def test_two_alike_under_way_stay_unknown(hub: hercle.Hub, server: HubProcess) -> None:
    """Two creations alike, lost together, fit the same invoices of the list: neither gets any."""
    server.mode(noReply=True)
    errors = []

    def create(client_id: str) -> None:
        try:
            hub.create_invoice(*PAGE_EXAMPLE, client_id=client_id, timeout=1)
        except hercle.OutcomeUnknown as error:
            errors.append(error.client_id)

    threads = [threading.Thread(target=create, args=(name,)) for name in "ab"]
    for thread in threads:
        thread.start()
    until(lambda: server.created() == 2)
    server.mode()
    server.lose()
    for thread in threads:
        thread.join()
    healed(hub)
    assert sorted(errors) == ["a", "b"]
    assert server.created() == 2


def test_other_commands_are_unknown_at_once(hub: hercle.Hub, server: HubProcess) -> None:
    """A command that may have changed something is unknown as soon as its connection is lost."""
    server.mode(noReply=True)
    threading.Timer(0.1, lambda: server.lose()).start()
    with pytest.raises(hercle.OutcomeUnknown, match="the connection was lost"):
        hub.command("CreateLightningInvoice", 1, None, None, timeout=30)


def test_second_goodbye_is_final(hub: hercle.Hub, server: HubProcess) -> None:
    """A hub that says goodbye again within a minute is believed, and its reason named."""
    server.lose("drop")
    healed(hub)
    server.lose("drop")
    until(lambda: hub.state == "closed")
    with pytest.raises(hercle.ConnectionFailed, match="ended the connection twice"):
        hub.create_invoice(*PAGE_EXAMPLE)


def test_state_while_away(hub: hercle.Hub, server: HubProcess) -> None:
    """While it is away, state, repr and statistics tell why and what comes next."""
    server.mode(negotiateStatus=503, negotiateFailures=10**6)
    server.lose()
    until(lambda: "503" in (hub.stats["last_error"] or ""))
    assert hub.state == "reconnecting"
    assert "reconnecting" in repr(hub)
    assert "503" in repr(hub)
    assert "trying again within" in repr(hub)
    assert "↻" in hub._repr_html_()


def test_close_while_away(hub: hercle.Hub, server: HubProcess) -> None:
    """Closing while it is away ends at once, and the callers who wait to send are told."""
    server.mode(negotiateStatus=503, negotiateFailures=10**6)
    server.lose()
    until(lambda: hub.stats["attempts"] > 5)
    threading.Timer(0.1, hub.close).start()
    began = time.monotonic()
    with pytest.raises(hercle.ConnectionFailed):
        hub.create_invoice(*PAGE_EXAMPLE)
    assert time.monotonic() - began < 2
    assert hub.state == "closed"


def test_a_list_settles_what_is_unknown(hub: hercle.Hub, server: HubProcess) -> None:
    """A list that is asked for settles a creation of unknown outcome, too."""
    server.mode(noReply=True)
    with pytest.raises(hercle.OutcomeUnknown):
        hub.create_invoice(*PAGE_EXAMPLE, client_id="a", timeout=0.1)
    until(server.created)
    server.mode()
    assert len(hub.command("GetLightningInvoices").data) == 1
    invoice = hub.create_invoice(*PAGE_EXAMPLE, client_id="a")
    assert invoice.warnings == ("matched by the hub's list",)
    assert server.created() == 1


def test_a_list_is_no_answer_to_what_is_under_way(hub: hercle.Hub, server: HubProcess) -> None:
    """A creation whose answer is due is not settled by a list, nor does one alike take its invoice."""
    server.mode(noReply=True)
    with pytest.raises(hercle.OutcomeUnknown):
        hub.create_invoice(*PAGE_EXAMPLE, client_id="a", timeout=0.1)
    until(server.created)
    server.mode(replyDelayMs=600)
    made: list[hercle.Invoice] = []
    thread = threading.Thread(target=lambda: made.append(hub.create_invoice(*PAGE_EXAMPLE, client_id="b")))
    thread.start()
    until(lambda: server.created() == 2)
    server.mode()
    assert len(hub.command("GetLightningInvoices").data) == 2
    assert not made
    thread.join()
    assert made[0].warnings == ()
    with pytest.raises(hercle.OutcomeUnknown):
        hub.create_invoice(*PAGE_EXAMPLE, client_id="a")
    assert len(hub.command("GetLightningInvoices").data) == 2
    assert hub.create_invoice(*PAGE_EXAMPLE, client_id="a").payment_request != made[0].payment_request
