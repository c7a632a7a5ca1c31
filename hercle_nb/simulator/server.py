"""The simulated hub's HTTP side: negotiating, the key, the WebSocket upgrade, starting and stopping."""

from __future__ import annotations

import asyncio
import re
import secrets
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from aiohttp import web

from hercle_nb.errors import ConfigurationError
from hercle_nb.simulator import wire
from hercle_nb.simulator.connection import Connection
from hercle_nb.simulator.state import HubState

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

HOST = "127.0.0.1"
PATH = "/ExecutionLiveServer/v1"
REDIRECTED_PATH = "/Redirected/v1"
REDIRECT_TOKEN = "redirected-token"  # noqa: S105 (the reference hub's, worth nothing)

_TRANSPORTS = [{"transport": "WebSockets", "transferFormats": ["Text", "Binary"]}]
_INTEGER = re.compile(r"\s*[+-]?[0-9]{1,12}\s*")
_GRACE = 0.2  # seconds a request gets to end when the server stops
_LOOPBACK = ("127.0.0.1", "localhost", "::1")


class Server:
    """A SignalR server on a loopback socket, on whichever loop calls `start`.

    Args:
        api_key: The right key.
        control: Whether to serve the reference hub's ``/control`` routes.
        keepalive: Seconds without a message after which a ping is sent.
        handshake_timeout: Seconds a client gets to introduce itself.
        id_lifetime: Seconds a negotiated connection may stay unused.
    """

    def __init__(
        self,
        api_key: str,
        *,
        control: bool = False,
        keepalive: float = 15.0,
        handshake_timeout: float = 15.0,
        id_lifetime: float = 15.0,
    ) -> None:
        self.state = HubState(api_key)
        self.url = ""
        self._keepalive = keepalive
        self._handshake_timeout = handshake_timeout
        self._id_lifetime = id_lifetime
        self._ids: dict[str, Connection | None] = {}
        self._redirected: dict[str, str] = {}  # the keys of those sent on with a token of their own
        self._control = control
        self._runner: web.AppRunner | None = None

    async def start(self, port: int = 0) -> None:
        """Listen; port 0 takes a free one.

        Raises:
            ConfigurationError: The port is taken, or none.
        """
        app = web.Application(middlewares=[_loopback_only])
        if self._control:
            from hercle_nb.simulator.control import Control

            Control(self.state).add_routes(app.router)
        app.router.add_route("*", "/{path:.*}", self._handle)
        app.on_shutdown.append(self._cut_all)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=_GRACE)
        await self._runner.setup()
        try:
            await web.TCPSite(self._runner, HOST, port).start()
        except (OSError, OverflowError) as error:
            await self.close()
            reason = getattr(error, "strerror", None) or error
            raise ConfigurationError(
                f"The simulator cannot listen on {HOST}:{port} ({reason}); "
                "choose another port, or 0 for a free one."
            ) from error
        self.url = f"http://{HOST}:{self._runner.addresses[0][1]}{PATH}"

    async def close(self) -> None:
        """Stop listening and tear down what is connected, as a hub does that is shut down."""
        if self._runner is not None:
            await self._runner.cleanup()

    async def _cut_all(self, _app: web.Application) -> None:
        for connection in list(self.state.sockets):
            connection.cut()

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        path = request.path.rstrip("/").lower()
        root = next((root for root in (PATH, REDIRECTED_PATH) if _within(path, root.lower())), None)
        if root is None:
            return web.Response(status=404)
        self._note(request)
        if path.endswith("/negotiate") and (refusal := await self._misbehave(request, root)) is not None:
            return refusal
        negotiates = path == f"{root.lower()}/negotiate"
        if not negotiates and path != root.lower():
            return web.Response(status=404)
        key = self._key(request, root)
        if (user_id := self.state.account(key)) is None:
            return web.Response(status=401, headers={"WWW-Authenticate": "Bearer"})
        return await self._negotiate(request) if negotiates else await self._connect(request, key, user_id)

    def _note(self, request: web.Request) -> None:
        where = "none"
        if _query(request, "access_token"):
            where = "query"
        elif "Authorization" in request.headers:
            where = "header"
        self.state.requests.append({"path": request.path, "method": request.method, "key": where})

    async def _misbehave(self, request: web.Request, root: str) -> web.Response | None:
        faults = self.state.faults
        if faults.negotiateDelayMs > 0:
            await asyncio.sleep(faults.negotiateDelayMs / 1000)
            if request.transport is None:  # nobody waits any more, so no failure is used up
                return web.Response()
        if faults.negotiateStatus is not None and faults.negotiateFailures > 0:
            faults.negotiateFailures -= 1
            headers = {}
            if faults.retryAfterSeconds is not None:
                headers["Retry-After"] = str(faults.retryAfterSeconds)
            return web.Response(
                status=faults.negotiateStatus, headers=headers, text="refused by /control/mode"
            )
        if faults.redirect and root is PATH:
            key = self._key(request, root)
            token = REDIRECT_TOKEN
            if key != self.state.api_key and self.state.account(key) is not None:
                token = secrets.token_urlsafe()
                self._redirected[token] = key
            target = f"{request.scheme}://{request.host}{REDIRECTED_PATH}"
            body = wire.write({"url": target, "accessToken": token})
            return web.Response(text=body, content_type="application/json", charset="utf-8")
        return None

    def _key(self, request: web.Request, root: str) -> str:
        """Return the key that a request carries, or that its redirect's token stands for."""
        header = request.headers.get("Authorization", "")
        key = header.removeprefix("Bearer ")
        if key == header:
            key = _query(request, "access_token")
        if root is REDIRECTED_PATH:
            return self.state.api_key if key == REDIRECT_TOKEN else self._redirected.get(key, "")
        return key

    async def _negotiate(self, request: web.Request) -> web.Response:
        if request.method != "POST":
            return _text(405)
        asked = _query(request, "negotiateVersion", "0")
        if not _INTEGER.fullmatch(asked) or not -(2**31) <= (version := int(asked)) < 2**31:
            return _json({"error": "The client requested a non-integer protocol version."})
        if version < 0:
            return _json(
                {
                    "error": f"The client requested version '{version}', "
                    "but the server does not support this version."
                }
            )
        connection_id = token = secrets.token_urlsafe(16)
        names = {"negotiateVersion": min(version, 1), "connectionId": connection_id}
        if version > 0:
            names["connectionToken"] = token = secrets.token_urlsafe(16)
        self._ids[token] = None
        asyncio.get_running_loop().call_later(self._id_lifetime, self._expire, token)
        return _json({**names, "availableTransports": _TRANSPORTS})

    def _expire(self, token: str) -> None:
        if token in self._ids and self._ids[token] is None:
            del self._ids[token]

    async def _connect(self, request: web.Request, key: str, user_id: str) -> web.StreamResponse:
        if request.method not in ("GET", "POST", "DELETE"):
            return _text(405)
        token = _query(request, "id")
        upgrade = request.method == "GET" and request.headers.get("Upgrade", "").lower() == "websocket"
        if not token and upgrade:
            token = secrets.token_urlsafe(16)
        elif not token:
            return _text(400, "Connection ID required")
        elif token not in self._ids:
            return _text(404, "No Connection with that ID")
        elif not upgrade:
            return self._other_transport(request)
        elif self._ids[token] is not None:
            return _text(409)
        return await self._upgrade(request, token, key, user_id)

    def _other_transport(self, request: web.Request) -> web.Response:
        if request.method == "POST":
            return _text(405, "POST requests are not allowed for WebSocket connections.")
        if request.method == "DELETE":
            return _text(400, "Cannot terminate this connection using the DELETE endpoint.")
        events = "text/event-stream" in request.headers.get("Accept", "")
        name = "ServerSentEvents" if events else "LongPolling"
        return _text(404, f"{name} transport not supported by this end point type")

    async def _upgrade(
        self, request: web.Request, token: str, key: str, user_id: str
    ) -> web.WebSocketResponse:
        socket = web.WebSocketResponse(compress=False, max_msg_size=0, timeout=1.0)
        connection = Connection(
            socket,
            request.transport,
            self.state,
            key=key,
            user_id=user_id,
            keepalive=self._keepalive,
            handshake_timeout=self._handshake_timeout,
        )
        self._ids[token] = connection
        self.state.sockets.add(connection)
        try:
            await socket.prepare(request)
            await connection.run()
        finally:
            self.state.sockets.discard(connection)
            del self._ids[token]
        return socket


@web.middleware
async def _loopback_only(
    request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
) -> web.StreamResponse:
    """Refuse a web page whose name was rebound to this machine, and other sites' pages at the controls."""
    names = [f"//{request.host}"]
    if request.path.startswith("/control"):
        names.append(request.headers.get("Origin", names[0]))
    if any(_hostname(name) not in _LOOPBACK for name in names):
        return web.Response(status=403, text="The simulator answers to loopback names alone.")
    return await handler(request)


def _hostname(url: str) -> str | None:
    try:
        return urlsplit(url).hostname
    except ValueError:
        return None


def _within(path: str, root: str) -> bool:
    return path == root or path.startswith(f"{root}/")


def _query(request: web.Request, name: str, default: str = "") -> str:
    values = [value for key, value in request.query.items() if key.lower() == name.lower()]
    return ",".join(values) if values else default


def _text(status: int, text: str = "") -> web.Response:
    return web.Response(status=status, body=text.encode(), headers={"Content-Type": "text/plain"})


def _json(body: dict[str, object]) -> web.Response:
    return web.Response(body=wire.write(body).encode(), headers={"Content-Type": "application/json"})
