"""The simulator as a program: how it starts, its controls, how it ends."""

from __future__ import annotations

import asyncio
import re
import signal
import socket
import subprocess
import sys
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

import aiohttp
import pytest
import websockets

from hercle_nb.errors import ConfigurationError
from hercle_nb.simulator import Faults, Simulator
from hercle_nb.simulator.__main__ import main
from tests.signalr_client import KEY, connected

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.servers import HubProcess


BASE = re.compile(r"http://127\.0\.0\.1:\d+")


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


def test_keys_are_added_and_revoked(simulator: HubProcess) -> None:
    """Keys of more accounts come and go by the controls, are looked for in messages, and end at a reset."""

    async def scene() -> None:
        second = simulator.add_key()
        async with connected(simulator.url, second) as theirs, connected(simulator.url, KEY) as ours:
            assert (await theirs.ask("GetBalances", "c"))["data"]["userId"] == "user_2"
            assert simulator.stats()["keySeenInPayload"] is False
            await ours.ask("GetBalances", second)
            assert simulator.stats()["keySeenInPayload"] is True
            simulator.post("revoke", {"key": second})
            assert await theirs.close_code() == 1006
            third = simulator.add_key("user_3")
            simulator.reset()
            for key in (second, third):
                with pytest.raises(websockets.InvalidStatus):
                    await connected(simulator.url, key).__aenter__()
            assert (await ours.ask("GetBalances", "c"))["data"]["userId"] == "user_1"

    asyncio.run(scene())


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
        ("keys", '{"key":5}', {"Content-Type": "application/json"}, 400),
        ("keys", f'{{"key":"{KEY}"}}', {"Content-Type": "application/json"}, 400),
        ("revoke", "{}", {"Content-Type": "application/json"}, 400),
        ("revoke", '{"key":"x"}', {"Content-Type": "application/json"}, 404),
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
