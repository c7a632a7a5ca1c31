"""The simulator answers as ASP.NET Core SignalR did: `transcripts.json` is what the reference hub said."""

from __future__ import annotations

import asyncio
import json
import re
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import aiohttp
import pytest
import websockets

from hercle_nb.bolt11 import decode_payment_request
from hercle_nb.simulator.server import Server

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

TRANSCRIPTS = {
    transcript["name"]: transcript
    for transcript in json.loads((Path(__file__).parent / "transcripts.json").read_text(encoding="utf-8"))
}
KEY = "test-key"
HUB = "/ExecutionLiveServer/v1"
SEPARATOR = "\x1e"
QUIET = 0.05  # seconds in which nothing more must come

_DETAILED = "the simulator hides causes, as production does"
_POLLING = "the simulator offers WebSockets alone"
DIFFERENT = {
    "detailed errors: three arguments": _DETAILED,
    "detailed errors: amount a string": _DETAILED,
    "detailed errors: exception": _DETAILED,
    "detailed errors: unknown method": _DETAILED,
    "detailed errors: not JSON": _DETAILED,
    "negotiate where only long polling is offered": _POLLING,
    "upgrade where only long polling is offered": _POLLING,
    "silent client: pings each second, closed after the client time-out of 3 s": (
        "recorded wrongly, that client sent pings; a silent one: test_simulator_protocol.py"
    ),
    "hub killed (SIGKILL)": "a process of its own is killed in test_simulator_program.py",
    "second socket on the same token": "together with the first socket below",
    "first socket, meanwhile": "together with the second socket below",
}
REPLAYED = [name for name in TRANSCRIPTS if name not in DIFFERENT]

# switches that the recording names only by its title
MODES: dict[str, dict[str, Any]] = {
    "negotiate answers with a redirect": {"redirect": True},
    "negotiate refused with 429": {"negotiateStatus": 429, "negotiateFailures": 1, "retryAfterSeconds": 7},
}
# what was done to the hub, after the handshake: control routes and their bodies
ACTIONS: dict[str, list[tuple[str, Any]]] = {
    "hub aborts the connection": [("drop", None)],
    "hub cuts the TCP connection": [("cut", None)],
    "a raw close message that allows reconnecting": [("raw", '{"type":7,"allowReconnect":true}␞')],
    "an event with two arguments, none, and odd ones": [
        ("push", {"target": "other", "arguments": arguments})
        for arguments in (["x", 1], [], [None], [[1, 2]], ["text"])
    ],
    "five events pushed": [("push", {"count": 5})],
    "hub shuts down in order (SIGTERM)": [("shut down", None)],
}


@asynccontextmanager
async def serving(**options: Any) -> AsyncIterator[tuple[Server, aiohttp.ClientSession]]:
    """A server with control routes, and a client session on its origin."""
    server = Server(KEY, control=True, **options)
    await server.start()
    try:
        async with aiohttp.ClientSession(server.url.partition(HUB)[0]) as session:
            yield server, session
    finally:
        await server.close()


async def control(session: aiohttp.ClientSession, route: str, body: Any) -> None:
    """Call a control route as the recorder did."""
    options = {"data": body} if isinstance(body, str) else {"json": body} if body is not None else {}
    async with session.post(f"/control/{route}", **options) as response:
        assert response.status == 200


async def negotiated(session: aiohttp.ClientSession) -> dict[str, Any]:
    """What negotiating answers."""
    headers = {"Authorization": f"Bearer {KEY}"}
    async with session.post(f"{HUB}/negotiate?negotiateVersion=1", headers=headers) as response:
        answer: dict[str, Any] = await response.json()
        return answer


def connect(server: Server, token: str | None = None) -> Any:
    """Open a WebSocket."""
    query = "" if token is None else f"?id={token}"
    return websockets.connect(
        server.url.replace("http", "ws") + query,
        additional_headers={"Authorization": f"Bearer {KEY}"},
        compression=None,
        proxy=None,
    )


def normal(value: Any) -> Any:
    """A message without what differs between two runs; payment requests by what they say."""
    if isinstance(value, dict):
        return {name: _normal_field(name, item) for name, item in value.items()}
    if isinstance(value, list):
        return [normal(item) for item in value]
    return value


def _normal_field(name: str, value: Any) -> Any:
    if name == "data" and isinstance(value, str):
        return [normal(json.loads(value))]  # wrapped, so that text and object still differ
    if name == "encodedPaymentRequest" and value is not None:
        request = decode_payment_request(value)
        return [
            request.currency,
            request.amount_msat,
            request.description,
            request.expiry,
            request.min_final_cltv_expiry,
        ]
    if value is None:
        return None
    if name in ("expiresAt", "sentAt"):
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", value)
        return "a time"
    if name == "id" and value.startswith("inv_"):
        assert re.fullmatch(r"inv_[0-9a-f]{16}", value)
        return "an id"
    return normal(value)


def messages(text: str) -> list[str]:
    """The messages of a stream, comparable, key order included."""
    *complete, rest = text.replace("␞", SEPARATOR).split(SEPARATOR)
    assert rest == ""
    return [json.dumps(normal(json.loads(message))) for message in complete]


class Replay:
    """One recorded WebSocket conversation, played against a server."""

    def __init__(self, socket: Any) -> None:
        self.socket = socket
        self.said = ""
        self.recorded = ""
        self.closed: int | None = None

    async def receive(self) -> None:
        """Take in a frame, or the end."""
        try:
            async with asyncio.timeout(5):
                frame = await self.socket.recv()
            assert isinstance(frame, str)
            self.said += frame
        except websockets.ConnectionClosed:
            self.closed = self.socket.close_code

    async def play(self, step: dict[str, Any]) -> None:
        """Do or expect what was done or seen."""
        if "client" in step:
            text = step["client"]
            if text == "(binary) ping":
                await self.socket.send(b'{"type":6}\x1e')
            else:
                await self.socket.send(text.replace("␞", SEPARATOR))
        elif "server" in step:
            self.recorded += step["server"]
            expected = self.recorded.count("␞")
            while self.said.count(SEPARATOR) < expected and self.closed is None:
                await self.receive()
        elif "client_closes" in step:
            if self.closed is None:
                with pytest.raises(TimeoutError):
                    async with asyncio.timeout(QUIET):
                        await self.socket.recv()
                await self.socket.close()
                self.closed = self.socket.close_code
        else:
            while self.closed is None:
                await self.receive()
            assert self.closed == step["server_closes"]


async def replay_socket(name: str) -> None:
    """Play a WebSocket conversation and compare what was said, whatever frames it came in."""
    transcript = TRANSCRIPTS[name]
    options = {"handshake_timeout": 0.05} if name == "no handshake sent for 15 s" else {}
    async with serving(**options) as (server, session):
        await control(session, "mode", transcript.get("mode", {}))
        token = None
        if name == "upgrade with the connection token":
            token = (await negotiated(session))["connectionToken"]
        async with connect(server, token) as socket:
            replay = Replay(socket)
            for number, step in enumerate(transcript["exchange"]):
                if number == 2:
                    for route, body in ACTIONS.get(name, []):
                        await (server.close() if route == "shut down" else control(session, route, body))
                await replay.play(step)
    said, recorded = messages(replay.said), messages(replay.recorded)
    # events of several commands may overtake each other; each kind keeps its order otherwise
    assert sorted(said) == sorted(recorded)
    for kind in ('{"type": 3', '{"type": 7'):
        assert [text for text in said if text.startswith(kind)] == [
            text for text in recorded if text.startswith(kind)
        ]


async def replay_request(name: str) -> None:
    """Send a recorded HTTP request and compare status, headers and body."""
    asked, answered = TRANSCRIPTS[name]["exchange"]
    method, path = asked["client"].split(" ")
    async with serving() as (_, session):
        await control(session, "mode", MODES.get(name, {}))
        async with session.request(method, path, headers=asked["headers"]) as response:
            body = await response.text()
            assert response.status == answered["server"]
            for header, value in answered["headers"].items():
                assert response.headers[header] == value
    assert normal_body(body) == normal_body(answered["body"])


def normal_body(text: str) -> str:
    """A body without ids, ports, and the transports that the simulator does not offer."""
    if not text.startswith("{"):
        return text
    body = json.loads(text)
    for name in ("connectionId", "connectionToken"):
        if name in body:
            assert re.fullmatch(r"[A-Za-z0-9_-]{22}", body[name])
            body[name] = name
    if "availableTransports" in body:
        body["availableTransports"] = body["availableTransports"][:1]
    if "url" in body:
        body["url"] = re.sub(r":\d+/", ":PORT/", body["url"])
    return json.dumps(body)


async def replay_refusal(name: str) -> None:
    """Try the upgrade that was refused."""
    (refused,) = TRANSCRIPTS[name]["exchange"]
    async with serving() as (_, session):
        token, key = {
            "upgrade without a key": (None, None),
            "upgrade with an unknown id": ("nope", KEY),
            "upgrade with the connection id where a token was given": (
                (await negotiated(session))["connectionId"],
                KEY,
            ),
        }[name]
        headers = {"Upgrade": "websocket", "Connection": "Upgrade"}
        headers |= {"Sec-WebSocket-Version": "13", "Sec-WebSocket-Key": "AAAAAAAAAAAAAAAAAAAAAA=="}
        headers |= {} if key is None else {"Authorization": f"Bearer {key}"}
        params = {} if token is None else {"id": token}
        async with session.get(HUB, headers=headers, params=params) as response:
            assert (response.status, await response.text()) == (refused["refused"], refused["body"])


@pytest.mark.parametrize("name", REPLAYED)
def test_it_answers_as_recorded(name: str) -> None:
    """What the reference hub was recorded to say, the simulator says, too."""
    first = TRANSCRIPTS[name]["exchange"][0]
    if "refused" in first:
        asyncio.run(replay_refusal(name))
    elif "headers" in first:
        asyncio.run(replay_request(name))
    else:
        asyncio.run(replay_socket(name))


def test_every_transcript_is_accounted_for() -> None:
    """Each of the 97 recordings is replayed, or its difference has a reason."""
    assert len(TRANSCRIPTS) == 97
    assert TRANSCRIPTS.keys() >= DIFFERENT.keys() | MODES.keys() | ACTIONS.keys()
    assert len(REPLAYED) == 97 - len(DIFFERENT)


def test_a_second_socket_is_refused_and_the_first_lives_on() -> None:
    """A second socket on the same token gets 409, the first one is none the worse for it."""
    (refused,) = TRANSCRIPTS["second socket on the same token"]["exchange"]
    first = TRANSCRIPTS["first socket, meanwhile"]["exchange"]

    async def scene() -> None:
        async with serving() as (server, session):
            token = (await negotiated(session))["connectionToken"]
            async with connect(server, token) as socket:
                replay = Replay(socket)
                with pytest.raises(websockets.InvalidStatus) as caught:
                    await connect(server, token)
                assert caught.value.response.status_code == refused["refused"]
                for step in [*first[:2], {"client_closes": True}, *first[2:]]:
                    await replay.play(step)
                assert messages(replay.said) == messages(replay.recorded)

    asyncio.run(scene())
