"""A journal and keys that change: what the account's other keys sent is known, another account's is not."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest

import hercle_nb as hercle
from tests.fast import fast_hub, healed, until
from tests.journals import COFFEE, PAIRS, TEA, connect, edit, fail, held, lose, row, rows, sent
from tests.test_journal_kernels import copy_invoices

if TYPE_CHECKING:
    from pathlib import Path

    from tests.servers import HubProcess

NOT_TOLD = "whether that is one of this account cannot be told"


@PAIRS
def test_a_rotated_key(server: HubProcess, journal: str) -> None:
    """With the account's next key invoices are known, questions are settled, and nothing is sent again."""
    with connect(server, journal) as first:
        made = first.create_invoice(**COFFEE, client_id="order-1")
        lose(first, server, "order-2", journal, memo="Tea")
    server.post("key", {"key": "rotated-key"})
    with connect(server, journal, api_key="rotated-key") as second:
        assert second.unresolved.empty
        again = second.create_invoice(**COFFEE, client_id="order-1")
        assert (again.reused, again.payment_request, again.warnings) == (True, made.payment_request, ())
        assert second.create_invoice(**TEA, client_id="order-2").reused
        assert set(second.invoices.index) == {"order-1", "order-2"}
        with pytest.raises(hercle.InvalidRequest, match="was used for another invoice"):
            second.create_invoice(**TEA, client_id="order-1")
        assert sent(server, "GetBalances") == 2
    with connect(server, journal, api_key="rotated-key"):
        assert sent(server, "GetBalances") == 2  # asked once for a key
    assert sent(server) == 2
    accounts = rows(journal, "hercle_accounts")
    assert len(accounts) == 2
    assert {(one.user_id, one.account) for one in accounts} == {("user_1", accounts[0].account)}


def test_a_batch_goes_on_with_the_next_key(server: HubProcess, journal_file: str) -> None:
    """Six orders, three created, the key rotated, the same call again: three more, and no others."""
    orders = [{"amount_sat": 1_000 + number, "memo": f"Order {number}"} for number in range(6)]
    with connect(server, journal_file) as first:
        first.create_invoices(orders[:3], batch_id="november", progress=False)
    server.post("key", {"key": "rotated-key"})
    with connect(server, journal_file, api_key="rotated-key") as second:
        frame = second.create_invoices(orders, batch_id="november", progress=False)
    assert frame["status"].tolist() == ["open"] * 6
    assert server.created() == 6


def test_another_account(simulator_process: HubProcess, journal_file: str) -> None:
    """Of another account nothing is shown, and its ClientIds are refused without a word of its invoices."""
    server = simulator_process
    server.reset()
    with connect(server, journal_file) as first:
        made = first.create_invoice(**COFFEE, client_id="order-1")
        fail(first, server, "order-2", journal_file)
        first.refresh_invoices()
    other = server.add_key("user_2")
    with connect(server, journal_file, api_key=other) as second:
        assert second.invoices.empty
        assert second.unresolved.empty
        assert "earlier kernel" not in repr(second)
        second.refresh_invoices()
        for key in (made.id, made.payment_hash, made.payment_request, "order-1"):
            with pytest.raises(hercle.InvalidRequest, match="is known here"):
                second.invoice(key)
        for client_id in ("order-1", "order-2"):
            for call in (
                lambda name: second.create_invoice(**COFFEE, client_id=name),
                lambda name: second.command("CreateLightningInvoice", 1, None, 24, client_id=name),
                lambda name: second.invoke("CreateLightningInvoice", name, 1, None, 24),
                lambda name: second.resolve(name),
                lambda name: second.create_invoices([COFFEE | {"client_id": name}], progress=False),
            ):
                with pytest.raises(hercle.InvalidRequest, match=r"used for another account") as caught:
                    call(client_id)
                for secret in ("Coffee", "0.001", made.id, made.payment_request):
                    assert secret not in str(caught.value)
        assert second.create_invoice(**COFFEE, client_id="order-3").client_id == "order-3"
        assert list(second.invoices.index) == ["order-3"]
    with connect(server, journal_file) as first:
        assert set(first.invoices.index) == {"order-1", "order-2"}
        assert list(first.unresolved.index) == ["order-2"]


def test_another_accounts_command_is_not_known_yet(simulator_process: HubProcess, journal_file: str) -> None:
    """A ClientId that another account uses while both are connected is refused as well."""
    server = simulator_process
    server.reset()
    other = server.add_key("user_2")
    with connect(server, journal_file) as first, connect(server, journal_file, api_key=other) as second:
        first.create_invoice(**COFFEE, client_id="order-1")
        with pytest.raises(hercle.InvalidRequest, match="used for another account"):
            second.create_invoice(**COFFEE, client_id="order-1")
    assert sent(server) == 1


def test_not_told(simulator_process: HubProcess, journal_file: str) -> None:
    """Where the hub names no account, what another key made is known, with a warning; questions stay open."""
    server = simulator_process
    server.reset()
    with connect(server, journal_file) as first:
        made = first.create_invoice(**COFFEE, client_id="order-1")
        fail(first, server, "order-2", journal_file)
    key = server.add_key("user_2")  # its list does not show what the first key made
    server.mode(omitUserId=True)
    with connect(server, journal_file, api_key=key) as second:
        assert set(second.invoices.index) == {"order-1", "order-2"}
        again = second.create_invoice(**COFFEE, client_id="order-1")
        assert (again.reused, again.payment_request) == (True, made.payment_request)
        assert NOT_TOLD in again.warnings[-1]
        assert NOT_TOLD in repr(second.invoice("order-1"))
        assert list(second.unresolved.index) == ["order-2"]
        with pytest.raises(hercle.InvalidRequest, match=rf"{NOT_TOLD}.*dismiss=True"):
            second.resolve("order-2")
        with pytest.raises(hercle.OutcomeUnknown):
            second.create_invoice(**COFFEE, client_id="order-2")
        assert second.resolve("order-2", dismiss=True).outcome == "dismissed"
    assert sent(server) == 2


def test_a_question_is_not_settled_by_another_accounts_list(
    simulator_process: HubProcess, journal_file: str
) -> None:
    """An invoice of a key that is perhaps another account's is not taken for what the first key lost."""
    server = simulator_process
    server.reset()
    with connect(server, journal_file) as first:
        fail(first, server, "order-1", journal_file)
        key = server.add_key("user_2")
        server.mode(omitUserId=True)
        with connect(server, False, api_key=key) as stranger:
            stranger.create_invoice(**COFFEE)
    with connect(server, journal_file, api_key=key) as second:
        second.refresh_invoices()
        assert list(second.unresolved.index) == ["order-1"]


@PAIRS
def test_a_shared_invoice_tells(server: HubProcess, journal: str) -> None:
    """Where no userId tells, an invoice of the first key's in the list shows that both are one account's."""
    with connect(server, journal) as first:
        first.create_invoice(**COFFEE, client_id="order-1")
        lose(first, server, "order-2", journal, memo="Tea")
    edit(journal, "UPDATE hercle_accounts SET user_id = NULL")
    server.post("key", {"key": "rotated-key"})
    server.mode(hubError="no balances today")
    with connect(server, journal, api_key="rotated-key") as second:
        server.mode()
        second.refresh_invoices()
        assert second.unresolved.empty
        assert second.create_invoice(**COFFEE, client_id="order-1").warnings == ()
        assert second.create_invoice(**TEA, client_id="order-2").reused
    assert sent(server) == 2


def test_a_shared_invoice_outranks_the_name(simulator_process: HubProcess, journal_file: str) -> None:
    """Where the hub calls one account by two names, its list shows that it is one."""
    server = simulator_process
    server.reset()
    with connect(server, journal_file) as first:
        first.create_invoice(**COFFEE, client_id="order-1")
    edit(journal_file, "UPDATE hercle_accounts SET user_id = 'somebody else'")
    server.post("key", {"key": "rotated-key"})
    with connect(server, journal_file, api_key="rotated-key") as second:
        assert second.invoices.empty  # nothing is shared so far
        second.refresh_invoices()
        assert list(second.invoices.index) == ["order-1"]
        assert second.create_invoice(**COFFEE, client_id="order-1").reused
    assert sent(server) == 1


def test_a_key_that_changes_while_connected(simulator_process: HubProcess, journal_file: str) -> None:
    """A callable may give the next key of the account at any reconnect: nothing changes for anybody."""
    server = simulator_process
    server.reset()
    keys = [server.key]
    rotated = server.add_key("user_1")
    with fast_hub(server.url, api_key=lambda: keys[-1], journal=journal_file) as hub:
        hub.create_invoice(**COFFEE, client_id="order-1")
        keys.append(rotated)
        server.lose()
        healed(hub)
        assert hub.create_invoice(**COFFEE, client_id="order-1").warnings == ()
        hub.create_invoice(**TEA, client_id="order-2")
        until(lambda: len(rows(journal_file, "hercle_accounts")) == 2)
    assert row(journal_file, "order-1").key != row(journal_file, "order-2").key
    assert len({one.account for one in rows(journal_file, "hercle_accounts")}) == 1


def test_another_account_while_connected(simulator_process: HubProcess, journal_file: str) -> None:
    """Where a callable gives the key of another account, what the first account made is no longer shown."""
    server = simulator_process
    server.reset()
    keys = [server.key]
    other = server.add_key("user_2")
    with fast_hub(server.url, api_key=lambda: keys[-1], journal=journal_file) as hub:
        hub.create_invoice(**COFFEE, client_id="order-1")
        fail(hub, server, "order-2", journal_file)
        keys.append(other)
        server.lose()
        healed(hub)
        hub.refresh_invoices()
        assert hub.invoices.empty
        assert hub.unresolved.empty
        with pytest.raises(hercle.InvalidRequest, match="used for another account"):
            hub.create_invoice(**COFFEE, client_id="order-1")
        hub.create_invoice(**COFFEE, client_id="order-3")
        keys.append(server.key)
        server.lose()
        healed(hub, 2)
        hub.refresh_invoices()
        assert set(hub.invoices.index) == {"order-1", "order-2"}


def test_the_user_is_no_secret_of_the_hub(server: HubProcess, tmp_path: Path) -> None:
    """What the journal keeps of a key is a fingerprint and the userId, never the key."""
    place = str(tmp_path / "j.db")
    with connect(server, place) as hub:
        hub.create_invoice(**COFFEE)
        until(lambda: rows(place, "hercle_accounts"))
    (account,) = rows(place, "hercle_accounts")
    assert (account.user_id, account.hub_url) == ("user_1", server.url)
    assert server.key not in str(account)


def test_a_list_under_way_while_the_account_changes(simulator_process: HubProcess, journal_file: str) -> None:
    """A list that was asked for with one account's key mixes nothing with another's that comes meanwhile."""
    server = simulator_process
    server.reset()
    keys = [server.key]
    other = server.add_key("user_2")
    with connect(server, False, api_key=other) as theirs:
        theirs.create_invoice(**TEA)
    with (
        fast_hub(server.url, api_key=lambda: keys[-1], journal=journal_file) as hub,
        ThreadPoolExecutor(1) as pool,
    ):
        hub.create_invoice(**COFFEE, client_id="order-1")
        server.mode(noReply=True)
        looking = pool.submit(hub.refresh_invoices, timeout=20)
        until(lambda: sent(server, "GetLightningInvoices") == 1)
        server.mode()
        keys.append(other)
        server.lose()
        healed(hub)
        looking.result()
        hub.refresh_invoices()
        assert list(hub.invoices["memo"]) == ["Tea"]
        until(lambda: len(rows(journal_file, "hercle_invoices")) == 2)
    owners = {row.key: row.account for row in rows(journal_file, "hercle_accounts")}
    assert len(set(owners.values())) == 2
    by_memo = {row.memo: owners[row.key] for row in rows(journal_file, "hercle_invoices")}
    assert by_memo["Tea"] != by_memo["Coffee"]


def test_an_intent_is_of_the_key_that_sends_it(simulator_process: HubProcess, journal_file: str) -> None:
    """What is noted with one key and sent with the next is noted anew before it is sent."""
    server = simulator_process
    server.reset()
    keys = [server.key]
    other = server.add_key("user_2")
    with (
        fast_hub(server.url, api_key=lambda: keys[-1], journal=journal_file) as hub,
        ThreadPoolExecutor(1) as pool,
    ):
        with held(journal_file):
            making = pool.submit(hub.create_invoice, **COFFEE, client_id="order-1", timeout=20)
            time.sleep(0.2)
            keys.append(other)
            server.lose()
            until(lambda: hub.stats["gaps"] == 1 and hub.state == "connected")
        assert making.result().client_id == "order-1"
        hub.refresh_invoices()
        assert list(hub.invoices.index) == ["order-1"]
    owners = {row.key: row.user_id for row in rows(journal_file, "hercle_accounts")}
    assert owners[row(journal_file, "order-1").key] == "user_2"
    assert len({one.account for one in rows(journal_file, "hercle_accounts")}) == len(owners)


def test_a_question_of_the_account_before(simulator_process: HubProcess, journal_file: str) -> None:
    """What was waited for while the account changed is not shown to the other one, nor dismissed by it."""
    server = simulator_process
    server.reset()
    keys = [server.key]
    other = server.add_key("user_2")
    with (
        fast_hub(server.url, api_key=lambda: keys[-1], journal=journal_file) as hub,
        ThreadPoolExecutor(1) as pool,
    ):
        server.mode(noReply=True)
        making = pool.submit(hub.create_invoice, **COFFEE, client_id="order-1", timeout=3)
        until(lambda: sent(server) == 1)
        server.mode()
        keys.append(other)
        server.lose()
        healed(hub)
        assert isinstance(making.exception(), hercle.OutcomeUnknown)
        assert hub.unresolved.empty
        assert hub.invoices.empty
        with pytest.raises(hercle.InvalidRequest, match="used for another account"):
            hub.resolve("order-1", dismiss=True)
        keys.append(server.key)
        server.lose()
        healed(hub, 2)
        until(lambda: hub.resolve("order-1").outcome == "adopted")
    assert sent(server) == 1


def test_spoken_for_though_nobody_asked(simulator_process: HubProcess, journal_file: str) -> None:
    """An invoice of a journal with thousands is spoken for before anybody has asked for invoices."""
    server = simulator_process
    server.reset()
    with connect(server, journal_file) as first:
        first.create_invoice(amount_sat=1, client_id="order-0")
    copy_invoices(journal_file, 1_500)
    with connect(server, journal_file) as first:
        first.create_invoice(**COFFEE, client_id="order-1")
    with connect(server, journal_file) as second:
        fail(second, server, "order-2", journal_file)
        second.command("GetLightningInvoices")
        assert list(second.unresolved.index) == ["order-2"]
        assert second.invoice("order-1").client_id == "order-1"
    with connect(server, journal_file) as third:
        assert third.create_invoice(**COFFEE, client_id="order-1").reused
