"""The third hub: small and lenient, with the switches of the other two, and able to write any bytes."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import json
import struct
import time
from contextlib import contextmanager
from decimal import Decimal
from email.utils import formatdate
from typing import TYPE_CHECKING, Any, TypeAlias

from aiohttp import WSMsgType, web

from tests.answers import pay_to
from tests.lenient import NEGOTIATED, Lenient, lenient_server
from tests.servers import KEY

if TYPE_CHECKING:
    from collections.abc import Coroutine, Iterator

    from hercle_nb import Hub
    from tests.servers import HubProcess

    AnyHub: TypeAlias = "HubProcess | ScriptedHub"

ARGUMENTS = {"CreateLightningInvoice": 4, "GetLightningInvoices": 1, "GetBalances": 1}
FEEDS = {"SubscribePairPriceChannel": 3, "UnsubscribePairPriceChannel": 3}  # answered by their completion
PARTS = 7  # pieces that one push is written in, wherever they break


class ScriptedHub:
    """Hercle's hub on a `Lenient`, driven as a `HubProcess` is.

    Attributes:
        lenient: The server under it, for what no switch does.
        url: Where it listens.
        key: Any key will do, until `post` changes it.
        greeting: Its reply to the handshake, frame by frame.
        invoices: What it has issued, as the list of invoices shows it.
        invocations: Every command it ran.
        charges: What its payment requests ask for, in millisatoshis, whatever it is asked for; else None.
        clock_ahead: Seconds that its clock is ahead of this computer's; None if it does not tell the time.
    """

    def __init__(self, lenient: Lenient) -> None:
        self.lenient = lenient
        self.url = lenient.url
        self.key = KEY
        self.greeting = ["{}\x1e"]
        self.invoices: list[dict[str, Any]] = []
        self.invocations: list[dict[str, Any]] = []
        self.charges: int | None = None
        self.clock_ahead: float | None = 0.0
        self._switches: dict[str, Any] = {}
        self._sockets: list[web.WebSocketResponse] = []
        self._held: list[Coroutine[Any, Any, None]] = []
        self._tasks: set[asyncio.Task[None]] = set()
        self._pushing = asyncio.Lock()
        self._ever = 0
        self._refused = False
        self._loop: asyncio.AbstractEventLoop | None = None
        lenient.negotiate = self._negotiate
        lenient.socket = self._serve

    def mode(self, **switches: Any) -> None:
        """Set the fault switches; those not named are off."""
        self._switches = switches

    def lose(self, how: str = "cut") -> None:
        """End every connection: ``cut`` tears TCP down, ``drop`` is polite."""
        self._do(self._cut() if how == "cut" else self._drop())

    def post(self, route: str, body: Any = None) -> None:
        """The control routes ``raw``, ``push`` and ``key``."""
        if route == "key":
            self._refused = body["key"] != KEY
            return
        if route == "raw":
            self.write(body.replace("␞", "\x1e").encode())
            return
        arguments = body.get("arguments")
        message = self._invocation(body.get("target", "executionEvents"), arguments)
        if arguments is None:
            data = {"padding": "x" * body.get("padding", 0)}
            message = self._invocation("executionEvents", [{"subject": body.get("subject"), "data": data}])
        self._do(self._push(message.encode(), body.get("count", 1), body.get("rate", 0)))

    def write(self, data: bytes, kind: WSMsgType = WSMsgType.TEXT) -> None:
        """Write bytes to every connection as one WebSocket frame, whatever they are."""
        self._do(self._write(data, kind))

    def cut_in_frame(self, text: str) -> None:
        """Begin a WebSocket frame twice as long as that text, and end every connection after it."""
        self._do(self._cut(struct.pack(">BBH", 0x81, 126, 2 * len(text)) + text.encode()))

    def stats(self) -> dict[str, Any]:
        """What the hub has seen."""
        requests = [{"method": method, "path": path} for method, path, *_ in self.lenient.requests]
        return {
            "connections": len(self._sockets),
            "connectionsEver": self._ever,
            "requests": requests,
            "invocations": list(self.invocations),
        }

    def created(self) -> int:
        """How many invoices the hub has."""
        return len(self.invoices)

    def _do(self, work: Coroutine[Any, Any, None]) -> None:
        assert self._loop is not None, "nobody was ever connected"
        asyncio.run_coroutine_threadsafe(work, self._loop).result(30)

    async def _cut(self, last_words: bytes = b"") -> None:
        for socket in self._sockets:
            assert socket._req is not None
            assert socket._req.transport is not None
            socket._req.transport.write(last_words)
            socket._req.transport.abort()

    async def _drop(self) -> None:
        for socket in self._sockets.copy():
            await socket.send_str('{"type":7}\x1e')
            await socket.close()

    async def _write(self, data: bytes, kind: WSMsgType) -> None:
        for socket in self._sockets:
            with contextlib.suppress(ConnectionError):  # it may have left meanwhile
                await socket.send_frame(data, kind)

    async def _push(self, message: bytes, count: int, rate: float) -> None:
        if rate:
            for _ in range(count):
                await self._write(message, WSMsgType.TEXT)
                await asyncio.sleep(1 / rate)
            return
        data = message * count
        size = len(data) // PARTS + 1
        async with self._pushing:
            for start in range(0, len(data), size):
                await self._write(data[start : start + size], WSMsgType.TEXT)

    async def _negotiate(self, request: web.Request) -> web.StreamResponse:
        switches = self._switches
        await asyncio.sleep(switches.get("negotiateDelayMs", 0) / 1000)
        if switches.get("negotiateFailures", 0) > 0:
            switches["negotiateFailures"] -= 1
            headers = {"Retry-After": str(switches.get("retryAfterSeconds", 0))}
            return web.Response(status=switches["negotiateStatus"], headers=headers)
        if self._refused:
            return web.Response(status=401)
        if switches.get("redirect") and request.path == "/hub/negotiate":
            target = self.url.replace("/hub", "/Redirected/v1")
            return web.json_response({"url": target, "accessToken": "redirected-token"})
        date = "" if self.clock_ahead is None else formatdate(self.time(), usegmt=True)
        return web.json_response(NEGOTIATED, headers={"Date": date})

    def time(self) -> float:
        """Now by its clock, in seconds since 1970."""
        return time.time() + (self.clock_ahead or 0.0)

    async def _serve(self, socket: web.WebSocketResponse) -> None:
        self._loop = asyncio.get_running_loop()
        await socket.receive()
        self._sockets.append(socket)
        self._ever += 1
        rest = ""
        try:
            with contextlib.suppress(ConnectionError):
                for piece in self.greeting:
                    await socket.send_str(piece)
                async for frame in socket:
                    *messages, rest = (rest + frame.data).split("\x1e")
                    for message in messages:
                        fields = json.loads(message, parse_float=Decimal)
                        if fields["type"] == 1:
                            await self._complete(socket, fields)
        finally:
            self._sockets.remove(socket)
            for held in self._held:
                held.close()
            self._held.clear()

    async def _complete(self, socket: web.WebSocketResponse, fields: dict[str, Any]) -> None:
        """Run a command and say that it ran, or what went wrong."""
        method, arguments, switches = fields["target"], fields["arguments"], self._switches
        error = None
        unfit = f"Failed to invoke '{method}' due to an error on the server."
        problem = f"An unexpected error occurred invoking '{method}' on the server."
        if method not in ARGUMENTS | FEEDS:
            error = f"{unfit} HubException: Method does not exist."
        elif len(arguments) != (ARGUMENTS | FEEDS)[method]:
            error = unfit
        elif "hubError" in switches:
            error = f"{problem} HubException: {switches['hubError']}"
        elif "crash" in switches:
            error = problem
        elif method not in FEEDS:
            self.invocations.append({"method": method})
            answer = self._answer(method, *arguments)
            if switches.get("dropBeforeReply"):
                await self._drop()
                return
            await self._reply(socket, answer.encode())
        outcome = {"result": None} if error is None else {"error": error}
        await socket.send_str(
            json.dumps({"type": 3, "invocationId": fields["invocationId"], **outcome}) + "\x1e"
        )

    async def _reply(self, socket: web.WebSocketResponse, answer: bytes) -> None:
        switches = self._switches

        async def send() -> None:
            await asyncio.sleep(switches.get("replyDelayMs", 0) / 1000)
            for _ in range(2 if switches.get("replyTwice") else 1):
                await socket.send_frame(answer, WSMsgType.TEXT)

        if switches.get("noReply"):
            return
        if batch := switches.get("reverseInBatchesOf"):
            self._held.insert(0, send())
            if len(self._held) == batch:
                while self._held:
                    await self._held.pop(0)
        elif switches.get("replyBeforeCompletion"):
            await send()
        else:
            task = asyncio.create_task(send())
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    def _answer(self, method: str, client_id: str, *arguments: Any) -> str:
        subject, data = "account.balances.snapshot", {"baseCurrency": "EUR", "assets": []}
        if method == "GetLightningInvoices":
            subject, data = "lightspark.invoices.snapshot", self.invoices
        elif method == "CreateLightningInvoice":
            subject, data = "execution.invoice.created", {"httpStatusCode": 201, **self._issue(*arguments)}
        names = {} if self._switches.get("omitClientId") else {"clientId": client_id}
        return self._invocation("executionEvents", [{"subject": subject, **names, "data": data}])

    def _issue(self, amount_btc: Decimal, memo: str | None, expiry_hours: int | None) -> dict[str, Any]:
        number = len(self.invoices)
        text = pay_to(
            currency=self._switches.get("network", "bcrt"),
            amount_msat=self.charges or int(amount_btc * 10**11),
            description=memo or "",
            expiry=(expiry_hours or 24) * 3600,
            timestamp=int(self.time()),
            payment_hash=hashlib.sha256(bytes([number])).digest(),
        )
        self.invoices.append({"id": f"inv_{number}", "status": "OPEN", "encodedPaymentRequest": text})
        return self.invoices[-1]

    def _invocation(self, target: str, arguments: Any) -> str:
        return (
            json.dumps({"type": 1, "target": target, "arguments": arguments}, separators=(",", ":")) + "\x1e"
        )


def assert_well(hub: Hub, server: AnyHub, gaps: int = 0) -> None:
    """The connection is up, so many gaps are marked, and the next creation works."""
    server.mode()
    before = server.created()
    assert hub.create_invoice("0.005", "the next one", 2, timeout=30).warnings == ()
    assert hub.state == "connected"
    assert len(hub.log.gaps) == gaps
    assert server.created() == before + 1


@contextmanager
def scripted_hub(port: int = 0) -> Iterator[ScriptedHub]:
    """Run a `ScriptedHub` on a thread of its own."""
    with lenient_server(port) as lenient:
        yield ScriptedHub(lenient)
