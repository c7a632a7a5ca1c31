"""The simulator in the process: what it does on demand, and its faults."""

from __future__ import annotations

import asyncio
import decimal
import hashlib
import json
import threading
import time
from contextlib import nullcontext
from dataclasses import fields
from decimal import Decimal
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import aiohttp
import pytest
import websockets

from hercle_nb.bolt11 import decode_payment_request
from hercle_nb.errors import ConnectionFailed, InvalidRequest
from hercle_nb.simulator import Faults, Simulator, wire
from tests.signalr_client import KEY, connected, serving

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hercle_nb.simulator.server import Server
    from tests.signalr_client import Client


CREATE = ("CreateLightningInvoice", "c1", 0.001, None, 24)


def taken_apart(request: str) -> Any:
    """Take a payment request apart."""
    return decode_payment_request(request)


def test_closing_leaves_nothing() -> None:
    """close() ends thread and sockets with clients connected, twice is fine, and the port is free again."""

    async def scene(simulator: Simulator) -> None:
        async with connected(simulator.url, simulator.api_key) as client:
            assert "1 connected" in repr(simulator)
            simulator.close()
            assert await client.close_code() == 1006

    before = set(threading.enumerate())
    with Simulator() as simulator:
        assert simulator.url.startswith("http://127.0.0.1:")
        assert len(simulator.api_key) >= 32
        asyncio.run(scene(simulator))
        simulator.close()
    assert set(threading.enumerate()) == before
    assert simulator.api_key not in repr(simulator)
    assert "closed" in repr(simulator)
    with pytest.raises(ConnectionFailed, match="simulator is closed"):
        simulator.drop()
    port = int(simulator.url.split(":")[2].partition("/")[0])
    with Simulator(port, "k") as again:
        assert (again.url, again.api_key) == (simulator.url, "k")


def test_embedded_simulator_has_no_control_routes() -> None:
    """In the process the controls are methods; nothing on the machine reaches them without the object."""

    async def scene(base: str) -> list[int]:
        async with aiohttp.ClientSession(base) as session:
            answers = [
                await session.get("/control/stats"),
                await session.post("/control/drop"),
                await session.get("/ExecutionLiveServer/v1", headers={"Host": "rebound.example"}),
            ]
            return [answer.status for answer in answers]

    with Simulator() as simulator:
        assert asyncio.run(scene(simulator.url.partition("/Exec")[0])) == [404, 404, 403]


@pytest.mark.parametrize("whole", [False, True])
def test_paying_reveals_the_preimage(whole: bool) -> None:
    """A paid invoice, named by id or given whole, is CLOSED with the preimage of its payment hash."""

    async def scene(simulator: Simulator) -> None:
        async with connected(simulator.url, simulator.api_key) as client:
            data = (await client.ask("CreateLightningInvoice", "c1", 0.00000000001, "tea", 1))["data"]
            simulator.pay(SimpleNamespace(id=data["id"]) if whole else data["id"])
            (invoice,) = (await client.ask("GetLightningInvoices", "c2"))["data"]
            assert invoice["status"] == "CLOSED"
            assert invoice["updatedAt"] >= invoice["createdAt"]
            preimage = bytes.fromhex(invoice["paymentPreimage"])
            assert hashlib.sha256(preimage).hexdigest() == invoice["paymentHash"]
            assert invoice["paymentHash"] == taken_apart(data["encodedPaymentRequest"]).payment_hash
            assert invoice["amountOriginalValue"] == Decimal("0.001")
            with pytest.raises(InvalidRequest, match="no invoice 'inv_unknown'"):
                simulator.pay("inv_unknown")
            with pytest.raises(InvalidRequest, match="no invoice None"):
                simulator.pay(object())

    with Simulator() as simulator:
        asyncio.run(scene(simulator))


def test_invoices_are_real_and_nobody_can_pay_them() -> None:
    """Payment requests decode on regtest with one node's key, fresh hashes, and 8 and 14 as features."""

    async def scene(simulator: Simulator) -> list[Any]:
        async with connected(simulator.url, simulator.api_key) as client:
            events = [await client.ask("CreateLightningInvoice", f"c{n}", 0.0012, "☕", 3) for n in range(3)]
            return [taken_apart(event["data"]["encodedPaymentRequest"]) for event in events]

    decimal.getcontext().prec = 3  # a notebook's own; the thread inherits it
    try:
        with Simulator() as simulator:
            requests = asyncio.run(scene(simulator))
    finally:
        decimal.setcontext(decimal.Context())
    for request in requests:
        assert (request.currency, request.amount_msat, request.description) == ("bcrt", 120_000_000, "☕")
        assert (request.expiry, request.min_final_cltv_expiry) == (3 * 3600, 40)
        assert tuple(request.feature_bits) == (8, 14)
        assert request.payable
    assert len({request.payee for request in requests}) == 1
    assert len({request.payment_hash for request in requests}) == 3
    assert len({request.payment_secret for request in requests}) == 3


def test_push_reaches_every_client_with_any_arguments() -> None:
    """A push invokes the target of all clients, arguments intact, as often as asked."""

    async def scene(simulator: Simulator) -> None:
        key = simulator.api_key
        async with connected(simulator.url, key) as first, connected(simulator.url, key) as second:
            simulator.push("other", "x", Decimal("0.10"), None, [1, {"a": "ü"}], count=2)
            expected = {"type": 1, "target": "other"}
            expected |= {"arguments": ["x", Decimal("0.10"), None, [1, {"a": "ü"}]]}
            for client in (first, second):
                assert [await client.next(), await client.next()] == [expected, expected]
            simulator.push("none")
            assert (await first.next())["arguments"] == []
            with pytest.raises(InvalidRequest):
                simulator.push("t", object())

    with Simulator() as simulator:
        asyncio.run(scene(simulator))


@pytest.mark.parametrize(("count", "rate", "seconds"), [(20_000, None, (0, 30)), (600, 2000, (0.25, 5))])
def test_push_keeps_its_rate(count: int, rate: float | None, seconds: tuple[float, float]) -> None:
    """Events leave at the rate asked for, or as fast as they are read, in frames any client takes."""
    padding = "x" * 200

    async def scene(simulator: Simulator) -> float:
        async with connected(simulator.url, simulator.api_key) as client:
            began = time.monotonic()
            work = asyncio.to_thread(simulator.push, "t", padding, count=count, rate=rate)
            pushing = asyncio.create_task(work)
            for _ in range(count):
                assert (await client.next())["arguments"] == [padding]
            took = time.monotonic() - began
            await pushing
            assert max(map(len, client.frames)) < 128 * 1024
            return took

    with Simulator() as simulator:
        took = asyncio.run(scene(simulator))
    assert seconds[0] < took < seconds[1]


def test_drop_and_cut_end_connections_each_in_its_way() -> None:
    """drop() says goodbye and closes with 1000, cut() tears the connection down: 1006."""

    async def scene(simulator: Simulator) -> None:
        async with connected(simulator.url, simulator.api_key) as client:
            simulator.drop()
            assert await client.next() == {"type": 7}
            assert await client.close_code() == 1000
        async with connected(simulator.url, simulator.api_key) as client:
            simulator.cut()
            assert await client.close_code() == 1006

    with Simulator() as simulator:
        asyncio.run(scene(simulator))


def test_a_client_that_reads_nothing_cannot_hold_up_the_end() -> None:
    """A client whose buffers are full neither blocks a goodbye for long nor survives it."""

    async def scene(server: Server) -> None:
        async with connected(server.url, KEY) as client:
            client.connection.transport.pause_reading()  # type: ignore[attr-defined]
            message = wire.invocation("t", json.dumps(["x" * 60_000]))
            pushing = asyncio.create_task(server.state.push([message] * 500))
            await asyncio.sleep(0.1)
            assert not pushing.done()
            async with asyncio.timeout(3):
                await server.state.drop()
                await pushing
            client.connection.transport.abort()

    async def play() -> None:
        async with serving() as server:
            await scene(server)

    asyncio.run(play())


# Accounts


async def ids(client: Client) -> list[str]:
    """The ids of the invoices that a client is shown."""
    return [invoice["id"] for invoice in (await client.ask("GetLightningInvoices", "list"))["data"]]


def test_each_account_sees_its_own() -> None:
    """Two keys of one account share invoices and ClientIds, a key of another sees none of it."""

    async def scene(simulator: Simulator) -> None:
        second, rotated = simulator.add_key(), simulator.add_key(user_id="user_1", key="rotated")
        assert len(second) >= 32
        assert rotated == "rotated"
        simulator.faults.rejectDuplicateClientId = True
        async with (
            connected(simulator.url, simulator.api_key) as ours,
            connected(simulator.url, rotated) as still_ours,
            connected(simulator.url, second) as theirs,
        ):
            made = (await ours.ask(*CREATE))["data"]["id"]
            assert "message" in (await still_ours.ask(*CREATE))["data"]
            other = (await theirs.ask(*CREATE))["data"]["id"]
            assert [await ids(client) for client in (ours, still_ours, theirs)] == [[made], [made], [other]]
            simulator.pay(other)
            (paid,) = (await theirs.ask("GetLightningInvoices", "c2"))["data"]
            assert (paid["userId"], paid["status"]) == ("user_2", "CLOSED")
            for client, user_id in ((ours, "user_1"), (still_ours, "user_1"), (theirs, "user_2")):
                assert (await client.ask("GetBalances", "c3"))["data"]["userId"] == user_id
            simulator.push("t", "to all")
            assert [await client.event() for client in (ours, still_ours, theirs)] == ["to all"] * 3

    with Simulator() as simulator:
        asyncio.run(scene(simulator))


def test_a_redirect_keeps_the_account() -> None:
    """Whoever is sent on with a token stays who the key says, and a revoked key's token is worth nothing."""

    async def token(simulator: Simulator, key: str) -> tuple[str, str]:
        headers = {"Authorization": f"Bearer {key}"}
        async with aiohttp.ClientSession(headers=headers) as session:
            answer = await (await session.post(f"{simulator.url}/negotiate?negotiateVersion=1")).json()
            return answer["url"], answer["accessToken"]

    async def scene(simulator: Simulator) -> None:
        simulator.faults.redirect = True
        keys = [simulator.api_key, simulator.add_key(), simulator.add_key("user_3")]
        places = [await token(simulator, key) for key in keys]
        for place, user_id in zip(places, ("user_1", "user_2", "user_3"), strict=True):
            async with connected(*place) as client:
                assert (await client.ask("GetBalances", "c"))["data"]["userId"] == user_id
        simulator.revoke(keys[1])
        for place, right in zip(places, (True, False, True), strict=True):
            with nullcontext() if right else pytest.raises(websockets.InvalidStatus):
                async with connected(*place):
                    pass

    with Simulator() as simulator:
        asyncio.run(scene(simulator))


def test_a_revoked_key_ends_its_connections_alone() -> None:
    """A revoked key is refused and its connections are cut, those of other keys stay."""

    async def scene(simulator: Simulator) -> None:
        key = simulator.add_key("user_1")
        async with connected(simulator.url, simulator.api_key) as old, connected(simulator.url, key) as new:
            simulator.revoke(simulator.api_key)
            assert await old.close_code() == 1006
            assert await ids(new) == []
            with pytest.raises(websockets.InvalidStatus):
                await connected(simulator.url, simulator.api_key).__aenter__()

    with Simulator() as simulator:
        asyncio.run(scene(simulator))
        with pytest.raises(InvalidRequest, match="no such key"):
            simulator.revoke(simulator.api_key)
        simulator.add_key("user_2", "k")
        for user_id, key in (("user_3", "k"), ("user_2", "")):
            with pytest.raises(InvalidRequest, match="empty, or another account's"):
                simulator.add_key(user_id, key)


def test_whose_it_is_can_go_untold() -> None:
    """With omitUserId neither balances nor the list's invoices name an account; each sees its own still."""
    create, listed, balances = answers(
        {"omitUserId": True}, CREATE, ("GetLightningInvoices", "c2"), ("GetBalances", "c3")
    )
    (invoice,) = listed["data"]
    assert invoice["id"] == create["data"]["id"]
    assert "userId" not in invoice
    assert "userId" not in balances["data"]
    assert "assets" in balances["data"]


# Faults


def test_unknown_fault_is_an_attribute_error() -> None:
    """A misspelt switch is noticed, and the switches are the reference hub's."""
    with Simulator() as simulator:
        with pytest.raises(AttributeError):
            simulator.faults.no_reply = True  # type: ignore[attr-defined]
        simulator.faults.noReply = True
        simulator.faults.clear()
        assert simulator.faults == Faults()
    assert {field.name for field in fields(Faults)} == Faults().as_json().keys()


def answers(faults: dict[str, Any], *calls: Sequence[Any]) -> list[Any]:
    """All events that calls get under faults, until nothing more comes."""

    async def scene(simulator: Simulator) -> list[Any]:
        events = []
        async with connected(simulator.url, simulator.api_key) as client:
            for call in calls:
                await client.invoke(*call)
            while True:
                try:
                    message = await client.next(0.25)
                except TimeoutError:
                    return events
                except websockets.ConnectionClosed:
                    return [*events, "closed"]
                events += [message["arguments"][0]] if message["type"] == 1 else []

    with Simulator() as simulator:
        for name, value in faults.items():
            setattr(simulator.faults, name, value)
        return asyncio.run(scene(simulator))


def test_faults_change_the_answers() -> None:
    """Replies are missing, doubled, reversed, refused, bare or without a ClientId, as the switches say."""
    balances = [("GetBalances", name) for name in ("a", "b", "c", "d")]
    assert answers({"noReply": True}, CREATE) == []
    twice = answers({"replyTwice": True}, CREATE)
    assert len(twice) == 2
    assert twice[0] == twice[1]
    reversed_ids = [event["clientId"] for event in answers({"reverseInBatchesOf": 2}, *balances)]
    assert reversed_ids == ["b", "a", "d", "c"]
    first, second = answers({"rejectDuplicateClientId": True}, CREATE, CREATE)
    assert first["data"]["httpStatusCode"] == 201
    assert second["data"] == {"message": "ClientId was used before"}
    (anonymous,) = answers({"omitClientId": True}, balances[0])
    assert list(anonymous) == ["channel", "topic", "subject", "type", "data"]
    (bare,) = answers({"bareEnvelope": True, "dataAsString": True}, balances[0])
    assert list(bare) == ["data"]
    assert json.loads(bare["data"])["userId"] == "user_1"


def test_a_dropped_creation_has_happened() -> None:
    """With dropBeforeReply the invoice exists though its event never came; a query tells afterwards."""

    async def scene(simulator: Simulator) -> None:
        simulator.faults.dropBeforeReply = True
        async with connected(simulator.url, simulator.api_key) as client:
            await client.invoke(*CREATE)
            assert await client.next() == {"type": 7}
            assert await client.close_code() == 1000
        simulator.faults.clear()
        async with connected(simulator.url, simulator.api_key) as client:
            assert len((await client.ask("GetLightningInvoices", "c2"))["data"]) == 1

    with Simulator() as simulator:
        asyncio.run(scene(simulator))


def test_negotiations_fail_as_often_as_asked() -> None:
    """A failing status holds for so many negotiations, Retry-After included, even without a key."""

    async def scene(simulator: Simulator) -> list[tuple[int, str | None]]:
        seen = []
        async with aiohttp.ClientSession() as session:
            for _ in range(3):
                async with session.post(f"{simulator.url}/negotiate") as response:
                    seen.append((response.status, response.headers.get("Retry-After")))
        return seen

    with Simulator() as simulator:
        simulator.faults.negotiateStatus = 503
        simulator.faults.negotiateFailures = 2
        simulator.faults.retryAfterSeconds = 9
        assert asyncio.run(scene(simulator)) == [(503, "9"), (503, "9"), (401, None)]


def test_a_reply_can_be_late() -> None:
    """A delay holds back the event, not the completion."""

    async def scene(simulator: Simulator) -> None:
        simulator.faults.replyDelayMs = 1_000
        async with connected(simulator.url, simulator.api_key) as client:
            began = time.monotonic()
            await client.invoke("GetBalances", "a")
            assert (await client.next())["type"] == 3
            assert time.monotonic() - began < 0.9
            await client.event()
            assert time.monotonic() - began >= 1

    with Simulator() as simulator:
        asyncio.run(scene(simulator))


# The protocol, beyond what was recorded


def test_prices_come_until_unsubscribed() -> None:
    """A feed sends some twenty prices a second, another size replaces it, unsubscribing ends it."""

    async def scene(simulator: Simulator) -> None:
        async with connected(simulator.url, simulator.api_key) as client:
            began = time.monotonic()
            await client.invoke("SubscribePairPriceChannel", "c1", "BTCUSDT", 1)
            prices = [(await client.event())["data"] for _ in range(4)]
            assert 0.1 < time.monotonic() - began < 2
            assert [price["id"] for price in prices] == [f"BTCUSDT-{n}" for n in range(4)]
            for price in prices:
                assert price["buyPrice"] - price["sellPrice"] == Decimal("6.4")
                assert price["buyPrice"] - price["markPrice"] == Decimal("3.2")
                assert price["size"] == 1
            await client.invoke("SubscribePairPriceChannel", "c1", "BTCUSDT", 2.5)
            while (await client.event())["data"]["size"] != Decimal("2.5"):
                pass
            assert [(await client.event())["data"]["id"] for _ in range(2)] == ["BTCUSDT-1", "BTCUSDT-2"]
            await client.invoke("UnsubscribePairPriceChannel", "c1", "BTCUSDT", 1, invocation_id="9")
            while (await client.next()).get("invocationId") != "9":
                pass
            assert await client.silent(0.12)

    with Simulator() as simulator:
        asyncio.run(scene(simulator))
