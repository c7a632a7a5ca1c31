"""Random WebSocket frames: hub messages cut anywhere and mutated anywhere, and which of them must be rows.

Fed to the connection's own receiving loop without a socket, with commands under way, so that matching and
settling see them too.
"""

from __future__ import annotations

import asyncio
import json
import logging
import random
from datetime import UTC, datetime
from decimal import Decimal
from functools import cache
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from websockets.exceptions import ConnectionClosedError
from websockets.protocol import State

from hercle_nb._core import Core
from hercle_nb._signalr.negotiate import Negotiated
from hercle_nb._signalr.transport import ConnectionState, HubTransport, Timings
from hercle_nb.calls import Call
from hercle_nb.config import ApiKey
from hercle_nb.log import EventLog
from tests.answers import ask, pay_to

if TYPE_CHECKING:
    from collections.abc import Callable

URL = "http://127.0.0.1:9/hub"
MESSAGES = 50  # in a stream, which is what one connection brings
ODD = ('{"type":6}', '{"type":6,"x":1}', '{"type":42}', "{}", "[]", "null", "no json", "", " ", '"\\ud800"')
KEYS = ("type", "target", "arguments", "subject", "clientId", "data", "invocationId", "error", "result")
STUFF = [
    b"\x1e",
    b'"',
    b"{",
    b"}",
    b"[",
    b"]",
    b",",
    b":",
    b"\\",
    b"\\u",
    b"\xff",
    b"\xc3",
    b"\x00",
    b"-",
    b".",
]
STUFF += [
    b"1e999",
    b"1e9999999999999999999",
    b"NaN",
    b"Infinity",
    b"null",
    b"true",
    b"0",
    b"9" * 30,
    b"9" * 5000,
]
STUFF += [b'"type":3', b'"type":6', b'"type":7', b'"type":1', b"[" * 2000, b'{"a":' * 990, b"\xed\xa0\x80"]


@cache
def payment_requests() -> tuple[str, ...]:
    """Payment requests of three creations under way; two are alike."""
    return pay_to(), pay_to(description="other"), pay_to(payment_hash=bytes(range(1, 33)))


def message(chance: random.Random) -> str:
    """One message as a hub might write it."""
    way = chance.random()
    if way < 0.1:
        return chance.choice(ODD)
    if way < 0.2:
        outcome: dict[str, Any] = {"result": chance.choice([None, 5, {"a": [0.1]}])}
        if chance.random() < 0.5:
            outcome = {
                "error": chance.choice(["boom", "Failed to invoke 'X'", "x HubException: no", 5, [None]])
            }
        return json.dumps({"type": 3, "invocationId": str(chance.randrange(9)), **outcome})
    if way < 0.202:
        return chance.choice(['{"type":7}', '{"type":7,"error":"bye","allowReconnect":true}'])
    data: Any = {"price": chance.random(), "n": chance.randrange(10**20), "text": "é€😀\n\ud800"}
    subject = chance.choice(["execution.feeds.priceUpdate", "account.balances.snapshot", None, 5])
    if way < 0.35:
        subject = chance.choice(["execution.invoice.created", "execution.invoice.error", "preChecksError"])
        data = {"httpStatusCode": chance.choice([201, 400, 504, None, "201", 1.5]), "message": "m", "id": 5}
        if chance.random() < 0.2:
            data["encodedPaymentRequest"] = chance.choice(payment_requests())
    elif way < 0.4:
        subject, data = "lightspark.invoices.snapshot", [{"status": "OPEN"}, None, 5]
    envelope = {"subject": subject, "clientId": chance.choice(["c0", "c1", "c2", "q", "x", None, 5])}
    if chance.random() < 0.2:
        data = json.dumps(data)
    if chance.random() < 0.2:
        envelope = {}
    fields = {"type": 1, "target": "executionEvents", "arguments": [{**envelope, "data": data}]}
    if chance.random() < 0.1:
        fields = dict(reversed(fields.items()))
    return json.dumps(fields, separators=(",", ":"), ensure_ascii=chance.random() < 0.5)


def mutate(chance: random.Random, data: bytes) -> bytes:
    """Replace, insert, delete or repeat bytes in one to three places."""
    for _ in range(chance.randint(1, 3)):
        place = chance.randrange(len(data) + 1)
        new = chance.choice(STUFF) if chance.random() < 0.3 else bytes([chance.randrange(256)])
        way = chance.randrange(8)
        if way < 4:
            data = data[:place] + new + data[place + 1 :]
        elif way < 6:
            data = data[:place] + new + data[place:]
        elif way == 6:
            data = data[:place] + data[place + chance.randrange(30) :]
        else:
            data = data[:place] + data[place : place + 40] + data[place:]
    return data


def frames(chance: random.Random) -> list[bytes]:
    """What one connection brings, cut at random places; an unfinished message may stand at the end."""
    stream = b""
    for _ in range(MESSAGES):
        one = message(chance).encode("utf-8", "surrogatepass")
        stream += (mutate(chance, one) if chance.random() < 0.4 else one) + b"\x1e"
    if chance.random() < 0.5:
        stream = mutate(chance, stream)
    places = sorted(chance.randrange(len(stream) + 1) for _ in range(MESSAGES))
    return [stream[start:end] for start, end in zip([0, *places], [*places, len(stream)], strict=True)]


def expected(pieces: list[bytes]) -> list[str]:
    """The texts that must be rows, an unfinished one last; worked out without the package's help."""
    rows, rest = [], b""
    for piece in pieces:
        *messages, rest = (rest + piece).split(b"\x1e")
        for text in [one.decode("utf-8", "surrogateescape") for one in messages if one]:
            kind = _kind(text)
            if kind not in (3, 6, 7):
                rows.append(text)
    return [*rows, rest.decode("utf-8", "surrogateescape")] if rest else rows


def _kind(text: str) -> int | None:
    if text.startswith('{"type":1,'):  # as every event begins, whatever follows
        return 1
    try:
        fields = json.loads(text, parse_int=lambda digits: int(digits[:20]), parse_float=Decimal)
    except (ValueError, RecursionError, ArithmeticError):  # the last: beyond any Decimal
        return None
    kind = fields.get("type") if isinstance(fields, dict) else None
    if kind == 3 and not isinstance(fields.get("invocationId"), str):
        return None
    return kind if type(kind) is int else None


class Wire:
    """What stands in for a WebSocket: it brings the frames, then breaks off."""

    state = State.OPEN
    transport = SimpleNamespace(abort=lambda: None)
    heard_at = 0.0
    closed_by = ConnectionClosedError(None, None)

    def __init__(self, pieces: list[bytes]) -> None:
        self._pieces = pieces

    def hand_to(self, hand_on: Callable[[list[bytes]], None] | None) -> None:
        """Hand on every frame, each as a read of its own."""
        for piece in self._pieces if hand_on else ():
            hand_on([piece])

    async def wait_closed(self) -> None:
        """Do not wait."""

    async def send(self, _data: str) -> None:
        """Into the void."""

    async def close(self) -> None:
        """Nothing to close."""


async def rows_of(pieces: list[bytes]) -> list[str]:
    """Feed the frames to a connection while commands are under way; return the rows that came of it."""
    core = Core("simulator", URL, ApiKey("key", "a test"), EventLog())
    calls = [
        Call("CreateLightningInvoice", name, ask(client_id=name, memo=memo))
        for name, memo in (("c0", "Payment for services"), ("c1", "other"), ("c2", "Payment for services"))
    ]
    for call in [*calls, Call("GetBalances", "q")]:
        core.calls.expect_answer(call)
        core.calls.number(call)
        call.sent_at = datetime.now(UTC)
    transport = HubTransport(Negotiated(URL, {"Authorization": "Bearer key"}), core, Timings())
    await transport._set_state(ConnectionState.connecting)
    await transport._set_state(ConnectionState.connected)
    transport._ws = Wire(pieces)  # type: ignore[assignment]
    await transport.run()
    return list(core.log.frame()["raw"])


class _Errors(logging.Handler):
    """Collects what the package logs as an error of its own."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Keep a record."""
        self.lines.append(self.format(record))


def run_chunk(job: tuple[int, int]) -> tuple[int, int, list[str]]:
    """Feed at least so many frames; return how many frames and rows it were, and what went wrong."""
    seed, count = job
    errors = _Errors()
    logger = logging.getLogger("hercle_nb")
    logger.addHandler(errors)
    logger.propagate = False
    wrong: list[str] = []
    fed = rows = 0

    async def feed() -> None:
        nonlocal fed, rows
        chance = random.Random(seed)
        while fed < count:
            pieces = frames(chance)
            want = expected(pieces)
            fed += len(pieces)
            rows += len(want)
            try:
                got = await rows_of(pieces)
            except Exception as error:  # noqa: BLE001  # finding these is what the run is for
                got = [f"{type(error).__name__}: {error}"]
            if got != want or errors.lines:
                different = next((pair for pair in zip(got, want, strict=False) if pair[0] != pair[1]), None)
                wrong.append(
                    f"seed {seed}, up to frame {fed}: {len(got)} rows for {len(want)}, {different!a}"
                )
                wrong.extend(errors.lines)
                errors.lines.clear()

    try:
        asyncio.run(feed())
    finally:
        logger.removeHandler(errors)
        logger.propagate = True
    return fed, rows, wrong
