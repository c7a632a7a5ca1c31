"""The simulator on the wire: time-outs, malformed and odd messages, numbers and texts as .NET has them."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys

import aiohttp
import pytest

from hercle_nb.simulator import wire
from tests.signalr_client import KEY, SEPARATOR, connected, serving


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
