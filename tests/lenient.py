"""A server that says whatever a test tells it to: any HTTP answer, any bytes over a WebSocket."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable
from contextlib import contextmanager
from typing import TYPE_CHECKING

from aiohttp import web

from hercle_nb._portal import Portal

if TYPE_CHECKING:
    import ssl
    from collections.abc import Iterator

Script = Callable[[web.WebSocketResponse], Awaitable[None]]
Negotiate = Callable[[web.Request], web.StreamResponse | Awaitable[web.StreamResponse]]
NEGOTIATED = {
    "negotiateVersion": 1,
    "connectionId": "id",
    "connectionToken": "token",
    "availableTransports": [{"transport": "WebSockets", "transferFormats": ["Text"]}],
}


class Lenient:
    """The server's answers, and what it was asked.

    Attributes:
        negotiate: What POST …/negotiate answers; called with the request, awaited if it must be.
        socket: What is done with each WebSocket; None refuses the upgrade with `upgrade_status`.
        requests: Every request's method, path, query and headers.
    """

    def __init__(self) -> None:
        self.url = ""
        self.negotiate: Negotiate = lambda _: web.json_response(NEGOTIATED)
        self.socket: Script | None = shake_hands
        self.upgrade_status = 404
        self.upgrade_echo = False
        self.requests: list[tuple[str, str, dict[str, str], dict[str, str]]] = []

    async def answer(self, request: web.Request) -> web.StreamResponse:
        """Any request."""
        self.requests.append((request.method, request.path, dict(request.query), dict(request.headers)))
        if request.method == "POST":
            answer = self.negotiate(request)
            return await answer if inspect.isawaitable(answer) else answer
        if self.socket is None:
            text = request.headers["Authorization"] if self.upgrade_echo else "No Connection with that ID"
            return web.Response(status=self.upgrade_status, text=text)
        socket = web.WebSocketResponse(max_msg_size=0, timeout=0.1)
        await socket.prepare(request)
        await self.socket(socket)
        await socket.close()
        return socket


async def shake_hands(socket: web.WebSocketResponse) -> None:
    """Answer the handshake and then listen until the client leaves."""
    await socket.receive()
    await socket.send_str("{}\x1e")
    async for _ in socket:
        pass


@contextmanager
def lenient_server(port: int = 0, tls: ssl.SSLContext | None = None) -> Iterator[Lenient]:
    """Run a `Lenient` on a port of this machine, any free one for 0, on a thread of its own."""
    lenient = Lenient()
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", lenient.answer)
    runner = web.AppRunner(app, shutdown_timeout=0.1)

    async def start() -> None:
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", port, ssl_context=tls).start()
        lenient.url = f"{'https' if tls else 'http'}://127.0.0.1:{runner.addresses[0][1]}/hub"

    portal = Portal("lenient-server", runner.cleanup)
    try:
        portal.call(start())
        yield lenient
    finally:
        portal.stop()
