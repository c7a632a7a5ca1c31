"""The simulator as a program and in the process: how it starts, what it does on demand, how it ends."""

from __future__ import annotations

import asyncio
import decimal
import hashlib
import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from contextlib import asynccontextmanager, contextmanager
from dataclasses import fields
from decimal import Decimal
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import aiohttp
import pytest
import websockets

from hercle_nb.bolt11 import decode_payment_request
from hercle_nb.errors import ConfigurationError, ConnectionFailed, InvalidRequest
from hercle_nb.simulator import Faults, Simulator, wire
from hercle_nb.simulator.__main__ import main
from hercle_nb.simulator.server import Server

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator, Sequence

    from tests.servers import HubProcess

KEY = "test-key"
SEPARATOR = "\x1e"
BASE = re.compile(r"http://127\.0\.0\.1:\d+")


class Client:
    """A bare SignalR client: sends text, takes messages apart, judges nothing."""

    def __init__(self, connection: websockets.ClientConnection) -> None:
        self.connection = connection
        self.frames: list[str] = []
        self._ready: list[Any] = []
        self._rest = ""

    async def send(self, text: str) -> None:
        """Send messages, each without its separator."""
        await self.connection.send(text + SEPARATOR)

    async def invoke(self, method: str, *arguments: Any, invocation_id: str = "1") -> None:
        """Call a hub method."""
        call = {"type": 1, "invocationId": invocation_id, "target": method, "arguments": arguments}
        await self.send(json.dumps(call))

    async def next(self, timeout: float = 5) -> Any:
        """The next message."""
        async with asyncio.timeout(timeout):
            while not self._ready:
                frame = await self.connection.recv()
                assert isinstance(frame, str)
                self.frames.append(frame)
                *complete, self._rest = (self._rest + frame).split(SEPARATOR)
                self._ready += [json.loads(text, parse_float=Decimal) for text in complete]
        return self._ready.pop(0)

    async def event(self) -> Any:
        """The argument of the next event; completions in between must be good."""
        while (message := await self.next())["type"] != 1:
            assert message.get("error") is None
            assert message["type"] == 3
        return message["arguments"][0]

    async def ask(self, method: str, *arguments: Any) -> Any:
        """Call a hub method and return its event."""
        await self.invoke(method, *arguments)
        return await self.event()

    async def silent(self, seconds: float = 0.05) -> bool:
        """Whether nothing comes."""
        try:
            await self.next(seconds)
        except TimeoutError:
            return True
        return False

    async def close_code(self) -> int | None:
        """How the connection ends."""
        async with asyncio.timeout(5):
            await self.connection.wait_closed()
        return self.connection.close_code


@asynccontextmanager
async def connected(url: str, key: str) -> AsyncIterator[Client]:
    """A client after its handshake."""
    headers = {"Authorization": f"Bearer {key}"}
    async with websockets.connect(
        url.replace("http", "ws"), additional_headers=headers, compression=None, proxy=None
    ) as connection:
        client = Client(connection)
        await client.send('{"protocol":"json","version":1}')
        assert await client.next() == {}
        yield client


@asynccontextmanager
async def serving(**options: Any) -> AsyncIterator[Server]:
    """A server on this loop, with its waits cut short."""
    server = Server(KEY, **options)
    await server.start()
    try:
        yield server
    finally:
        await server.close()


def taken_apart(request: str) -> Any:
    """Take a payment request apart."""
    return decode_payment_request(request)


@contextmanager
def program(*options: str) -> Iterator[tuple[subprocess.Popen[str], str, str]]:
    """The program, strict about warnings: process, URL, key."""
    command = [sys.executable, "-W", "error", "-m", "hercle_nb.simulator", *options]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            lines = [process.stdout.readline(), process.stdout.readline()]
            assert re.fullmatch(r"listening on http://127\.0\.0\.1:\d+/ExecutionLiveServer/v1\n", lines[0])
            assert re.fullmatch(r"key \S+\n", lines[1])
            yield process, lines[0].split()[-1], lines[1].split()[-1]
        finally:
            if process.poll() is None:
                process.kill()


# As a program


@pytest.mark.parametrize("clients", [0, 2])
@pytest.mark.parametrize("name", ["SIGTERM", "SIGINT"])
def test_program_ends_in_order(name: str, clients: int) -> None:
    """SIGTERM and SIGINT end it within two seconds, with status 0 and no word, clients or no clients."""

    async def scene(process: subprocess.Popen[str], url: str, key: str) -> None:
        async with connected(url, key) as first, connected(url, key) as second:
            process.send_signal(getattr(signal, name))
            assert [await first.close_code(), await second.close_code()] == [1006, 1006]

    with program("--port", "0") as (process, url, key):
        began = time.monotonic()
        if clients:
            asyncio.run(scene(process, url, key))
        else:
            process.send_signal(getattr(signal, name))
        output, errors = process.communicate(timeout=5)
        assert time.monotonic() - began < 2
    assert (process.returncode, output, errors) == (0, "", "")


def test_program_ends_while_it_is_busy() -> None:
    """Neither a method that takes its time nor a dawdling negotiation holds the program up."""

    async def scene(process: subprocess.Popen[str], url: str) -> float:
        base = url.partition("/Exec")[0]
        slow = {"replyBeforeCompletion": True, "replyDelayMs": 60_000, "negotiateDelayMs": 60_000}
        async with aiohttp.ClientSession(base) as session, connected(url, KEY) as client:
            await (await session.post("/control/mode", json=slow)).read()
            await client.invoke("GetBalances", "c")
            negotiation = asyncio.create_task(session.post(f"{url}/negotiate"))
            await asyncio.sleep(0.05)
            began = time.monotonic()
            process.terminate()
            assert await client.close_code() == 1006
            with pytest.raises(aiohttp.ClientError):
                await negotiation
            return began

    with program("--port", "0", "--api-key", KEY) as (process, url, key):
        assert key == KEY
        began = asyncio.run(scene(process, url))
        assert process.wait(5) == 0
        assert time.monotonic() - began < 2
        assert process.stderr is not None
        assert process.stderr.read() == ""


def test_killed_program_leaves_its_clients_without_a_word() -> None:
    """A client of a killed program sees 1006, as it does of the reference hub."""

    async def scene(process: subprocess.Popen[str], url: str, key: str) -> None:
        async with connected(url, key) as client:
            process.kill()
            assert await client.close_code() == 1006

    with program("--port", "0") as (process, url, key):
        asyncio.run(scene(process, url, key))


def test_taken_port_is_a_sentence(capsys: pytest.CaptureFixture[str]) -> None:
    """A port in use is a sentence on stderr and status 1 for the program, a ConfigurationError in process."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert main(["--port", str(port)]) == 1
        with pytest.raises(ConfigurationError, match=f"cannot listen on 127.0.0.1:{port} .*in use"):
            Simulator(port)
    printed = capsys.readouterr()
    assert printed.out == ""
    assert re.fullmatch(rf"The simulator cannot listen on 127\.0\.0\.1:{port} .*\n", printed.err)


@pytest.mark.parametrize("port", [-1, 70_000])
def test_impossible_port_is_refused(port: int) -> None:
    """A port that no socket has is a ConfigurationError, and leaves no thread."""
    with pytest.raises(ConfigurationError, match="choose another port"):
        Simulator(port)


def test_empty_key_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    """An empty key, which would let everybody in, is refused."""
    with pytest.raises(ConfigurationError, match="key is empty"):
        Simulator(api_key="")
    with pytest.raises(SystemExit) as caught:
        main(["--api-key", ""])
    assert caught.value.code == 2
    assert "is empty" in capsys.readouterr().err


# The control routes


def test_stats_tell_what_was_seen(simulator: HubProcess) -> None:
    """The statistics hold requests, invocations as bound, messages byte for byte, headers and invoices."""
    sent = (
        '{"type":1,"headers":{"X-A":"b"},"invocationId":"1","target":"createlightninginvoice",'
        '"arguments":["c1", 1e-3 ,"\\u00e9",24.0]}'
    )

    async def scene() -> None:
        async with aiohttp.ClientSession() as session:
            await (await session.post(f"{simulator.url}/negotiate?access_token=x")).read()
        async with connected(simulator.url, KEY) as client:
            await client.send('{"type":6}')
            await client.send(sent)
            await client.event()
            stats = simulator.stats()
            assert stats["connections"] == stats["connectionsEver"] == 1
            await client.ask("GetBalances", KEY)

    asyncio.run(scene())
    stats = simulator.stats()
    path = "/ExecutionLiveServer/v1"
    assert stats["requests"] == [
        {"path": f"{path}/negotiate", "method": "POST", "key": "query"},
        {"path": path, "method": "GET", "key": "header"},
    ]
    assert stats["received"][0] == sent
    assert stats["invocations"][0] == {
        "method": "CreateLightningInvoice",
        "clientId": "c1",
        "amountBtc": "0.001",
        "memo": "é",
        "expiryHours": 24,
    }
    assert stats["headersSeen"] == ["X-A"]
    assert stats["keySeenInPayload"] is True
    assert [invoice["memo"] for invoice in stats["invoices"]] == ["é"]
    simulator.reset()
    fresh = simulator.stats()
    assert (fresh["invoices"], fresh["received"], fresh["connectionsEver"]) == ([], [], 0)


def test_mode_reads_and_replaces_the_switches(simulator: HubProcess) -> None:
    """A POST sets its switches, in any case, and clears all others; a wrong type changes nothing."""
    simulator.mode(NOREPLY=True, failStatus=400)
    assert simulator.get("mode") == Faults(noReply=True, failStatus=400).as_json()
    with pytest.raises(OSError, match="400"):
        simulator.mode(replyTwice="yes")
    simulator.mode(hubError="no")
    assert simulator.get("mode") == Faults(hubError="no").as_json()
    simulator.mode()
    assert simulator.get("mode") == Faults().as_json()


@pytest.mark.parametrize(
    ("route", "body", "headers", "status"),
    [
        ("mode", "{}", {"Content-Type": "text/plain"}, 415),
        ("mode", None, {}, 415),
        ("push", "{}", {"Content-Type": "application/x-www-form-urlencoded"}, 415),
        ("mode", "nonsense", {"Content-Type": "application/json"}, 400),
        ("mode", "[]", {"Content-Type": "application/json"}, 400),
        ("key", '{"key":5}', {"Content-Type": "application/json"}, 400),
        ("push", '{"count":"2"}', {"Content-Type": "application/json"}, 400),
        ("pay/nothing", None, {}, 404),
        ("drop", None, {"Host": "rebound.example:8765"}, 403),
        ("drop", None, {"Origin": "https://elsewhere.example"}, 403),
        ("drop", None, {"Origin": "null"}, 403),
        ("drop", None, {"Origin": "http://localhost:8888"}, 200),
    ],
)
def test_control_refuses_what_a_web_page_could_send(
    simulator: HubProcess, route: str, body: str | None, headers: dict[str, str], status: int
) -> None:
    """Only JSON bodies are read, and neither a foreign page nor a rebound name gets at the controls."""
    base = simulator.url.partition("/Exec")[0]

    async def scene() -> None:
        async with (
            aiohttp.ClientSession(base, skip_auto_headers=["Content-Type"]) as session,
            session.post(f"/control/{route}", data=body, headers=headers) as response,
        ):
            assert response.status == status

    asyncio.run(scene())


def test_control_pays_pushes_and_writes_raw(simulator: HubProcess) -> None:
    """pay, push with its counters, raw in pieces, key and drop do what the reference hub's do."""

    async def scene() -> None:
        async with connected(simulator.url, KEY) as client:
            created = await client.ask("CreateLightningInvoice", "c1", 0.001, None, None)
            simulator.post(f"pay/{created['data']['id']}")
            (paid,) = (await client.ask("GetLightningInvoices", "c2"))["data"]
            assert paid["status"] == "CLOSED"
            simulator.post("push", {"subject": "a.b", "count": 3, "padding": 4})
            pushed = [await client.event() for _ in range(3)]
            assert [event["data"]["id"] for event in pushed] == [f"evt_0000000{n}" for n in range(3)]
            assert (pushed[0]["topic"], pushed[0]["data"]["padding"]) == ("a", "xxxx")
            assert pushed[0]["clientId"] is None
            simulator.post("raw", '{"type":1,"target":"t","argu')
            simulator.post("raw", 'ments":["☕"]}␞')
            assert await client.event() == "☕"
            simulator.post("key", {"key": "another"})
            with pytest.raises(websockets.InvalidStatus):
                await connected(simulator.url, KEY).__aenter__()
            async with connected(simulator.url, "another"):
                simulator.post("cut")
            assert await client.close_code() == 1006

    asyncio.run(scene())


# In the process


def test_closing_leaves_nothing() -> None:
    """close() ends thread and sockets with clients connected, twice is fine, and the port is free again."""

    async def scene(simulator: Simulator) -> None:
        async with connected(simulator.url, simulator.api_key) as client:
            assert "1 connected" in repr(simulator)
            simulator.close()
            assert await client.close_code() == 1006

    before = set(threading.enumerate())
    with Simulator() as simulator:
        assert BASE.match(simulator.url)
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


CREATE = ("CreateLightningInvoice", "c1", 0.001, None, 24)


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
        simulator.faults.replyDelayMs = 300
        async with connected(simulator.url, simulator.api_key) as client:
            began = time.monotonic()
            await client.invoke("GetBalances", "a")
            assert (await client.next())["type"] == 3
            assert time.monotonic() - began < 0.25
            await client.event()
            assert time.monotonic() - began >= 0.3

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


def test_a_silent_client_is_pinged_and_kept() -> None:
    """Pings come when nothing else does, and a client that never says a word is not thrown out."""

    async def play() -> None:
        async with serving(keepalive=0.03) as server, connected(server.url, KEY) as client:
            assert [await client.next() for _ in range(5)] == [{"type": 6}] * 5
            assert client.connection.close_code is None

    asyncio.run(play())


def test_unused_ids_die() -> None:
    """A negotiated id that nobody uses in time is unknown afterwards; one in use lives on."""

    async def play() -> None:
        headers = {"Authorization": f"Bearer {KEY}"}
        async with serving(id_lifetime=0.05) as server, aiohttp.ClientSession() as session:
            tokens = []
            for _ in range(2):
                answer = await session.post(f"{server.url}/negotiate?negotiateVersion=1", headers=headers)
                tokens.append((await answer.json())["connectionToken"])
            async with session.ws_connect(f"{server.url}?id={tokens[0]}", headers=headers):
                await asyncio.sleep(0.1)
                statuses = [
                    (await session.get(f"{server.url}?id={token}", headers=headers)).status
                    for token in tokens
                ]
                refused = await session.get(f"{server.url}?id={tokens[1]}", headers=headers)
                assert await refused.text() == "No Connection with that ID"
                assert statuses == [404, 404]
                with pytest.raises(aiohttp.WSServerHandshakeError) as caught:
                    await session.ws_connect(f"{server.url}?id={tokens[0]}", headers=headers)
                assert caught.value.status == 409

    asyncio.run(play())


BALANCES = '{"type":1,"invocationId":"1","target":"GetBalances","arguments":["b"]}'


@pytest.mark.parametrize(
    "message",
    [
        "",
        "[1]",
        '{"type":6,}',
        '{"type":"6"}',
        '{"type":1.0,"target":"GetBalances","arguments":["b"]}',
        '{"type":99999999999}',
        BALANCES.replace('"1"', "1"),
        BALANCES.replace('"1"', "null"),
        BALANCES.replace('"GetBalances"', "null"),
        BALANCES.replace('["b"]', "null"),
        BALANCES.replace('"type"', '"headers":{"a":1},"type"'),
        '{"type":3,"invocationId":"1","result":1,"error":"x"}',
        '{"type":8}',
        "[" * 30_000,
        "x" * 32_768,
    ],
)
def test_malformed_messages_end_the_connection(message: str) -> None:
    """What ASP.NET Core does not take as a message ends the connection with its words and 1000."""

    async def play() -> None:
        async with serving() as server, connected(server.url, KEY) as client:
            await client.send(message)
            assert await client.next() == json.loads(wire.BROKEN.rstrip(SEPARATOR))
            assert await client.close_code() == 1000

    asyncio.run(play())


@pytest.mark.parametrize(
    "message",
    [
        f" \n{BALANCES} ",
        BALANCES + "garbage",
        '{"type":6}{"type":7}' + SEPARATOR + BALANCES,
        '{"type":2,"invocationId":"1","item":1}' + SEPARATOR + BALANCES,
        '{"type":5,"invocationId":"1"}' + SEPARATOR + BALANCES,
        '{"type":9,"sequenceId":1}' + SEPARATOR + BALANCES,
        '{"type":1,"target":"Nope","arguments":[]}' + SEPARATOR + BALANCES,
        ('{"type":6}' + SEPARATOR) * 10_000 + BALANCES,
        BALANCES[:-1] + ',"x":"' + "m" * (32_767 - len(BALANCES) - 7) + '"}',
    ],
)
def test_odd_messages_are_taken(message: str) -> None:
    """White space, trailing garbage, acknowledgements, many in a frame and the longest: all fine."""

    async def play() -> None:
        async with serving() as server, connected(server.url, KEY) as client:
            await client.send(message)
            assert await client.next() == {"type": 3, "invocationId": "1", "result": None}

    asyncio.run(play())


def test_unknown_type_makes_it_deaf() -> None:
    """After a type it does not know it reads nothing more, until the unread exceeds the limit."""

    async def play() -> None:
        async with serving() as server, connected(server.url, KEY) as client:
            await client.send('{"type":42}')
            await client.send(BALANCES)
            await client.send('{"type":7}')
            assert await client.silent()
            await client.connection.send("x" * 33_000)
            assert (await client.next())["error"] == "Connection closed with an error."

    asyncio.run(play())


def test_half_characters_do_not_kill_it() -> None:
    """A memo with a lone surrogate, or of invalid UTF-8, fails to bind and does no more harm."""
    call = '{"type":1,"invocationId":"1","target":"CreateLightningInvoice","arguments":["c1",1,"%s",1]}\x1e'

    async def play() -> None:
        async with serving(control=True) as server, connected(server.url, KEY) as client:
            await client.connection.send(call % "\\ud800")
            await client.connection.send(call.encode() % b"\xff")
            problem = "Failed to invoke 'CreateLightningInvoice' due to an error on the server."
            assert [(await client.next())["error"] for _ in range(2)] == [problem] * 2
            base = server.url.partition("/Exec")[0]
            async with aiohttp.ClientSession(base) as session, session.get("/control/stats") as response:
                assert "\ufffd" in (await response.json())["received"][1]
            await client.ask("GetBalances", "b")

    asyncio.run(play())


@pytest.mark.parametrize(
    ("number", "bound"),
    [
        ("1E2", "100"),
        ("0.00100000", "0.00100000"),
        ("1234567890123456789012345678.9", "1234567890123456789012345678.9"),
        ("79228162514264337593543950335.4", "79228162514264337593543950335"),
        ("1e-400", "0.0000000000000000000000000000"),
        ("0e99999999999999", "0"),
        ("1e-99999999999999999999999", "0"),
        ("79228162514264337593543950335.5", None),
        ("123456789012345678901234567890", None),
        ("1e99999", None),
        ("1e99999999999999999999999", None),
        ("9" * 5000, None),
    ],
)
def test_decimals_bind_as_in_dotnet(number: str, bound: str | None) -> None:
    """A decimal has 96 bits and at most 28 places; what is finer is rounded, what is larger refused."""
    (value,) = wire.read_object(f'{{"x":[{number}]}}'.encode())["x"]
    if bound is None:
        with pytest.raises(wire.Unbindable):
            wire.bind([value], ["decimal"])
    else:
        (decimal_value,) = wire.bind([value], ["decimal"])
        assert f"{decimal_value:f}" == bound


def test_text_is_escaped_as_in_dotnet() -> None:
    """What lies beyond the basic plane, spaces and what is undefined are escaped, the rest stays as it is."""
    text = "\u200d\ue000\ufeff\u2066\u0378\u00a0\u3000\u2028\x85é\u0301漢\U0001f600<&'"
    written = "\u200d\\uE000\\uFEFF\u2066\\u0378\\u00A0\\u3000\\u2028\\u0085é\u0301漢\\uD83D\\uDE00<&'"
    assert wire.write({"ü": text}) == f'{{"ü":"{written}"}}'


def test_the_package_starts_nothing() -> None:
    """Importing the simulator starts no thread; its program is found by `python -m`."""
    code = "import threading, hercle_nb.simulator; assert threading.active_count() == 1"
    environment = os.environ | {"PYTHONWARNINGS": "error"}
    subprocess.run([sys.executable, "-c", code], check=True, env=environment, timeout=20)
