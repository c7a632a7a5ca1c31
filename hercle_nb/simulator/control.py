"""The reference hub's ``/control`` routes, so that one test drives both hubs; keys and revoke are our own."""

from __future__ import annotations

import secrets
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from aiohttp import web

from hercle_nb._json import decode
from hercle_nb.simulator import wire
from hercle_nb.simulator.state import iso

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hercle_nb.simulator.state import HubState

_PICTURE = "\u241e"  # ␞ stands for the record separator in a raw body


class Control:
    """The routes, over one hub's state. They take no key: loopback only, and JSON bodies only."""

    def __init__(self, state: HubState) -> None:
        self._state = state

    def add_routes(self, router: web.UrlDispatcher) -> None:
        """Add the routes to an application."""
        router.add_get("/control/stats", self._stats)
        router.add_get("/control/mode", self._mode)
        router.add_post("/control/mode", self._set_mode)
        router.add_post("/control/reset", self._reset)
        router.add_post("/control/key", self._set_key)
        router.add_post("/control/keys", self._add_key)
        router.add_post("/control/revoke", self._revoke)
        router.add_post("/control/pay/{id}", self._pay)
        router.add_post("/control/push", self._push)
        router.add_post("/control/raw", self._raw)
        router.add_post("/control/drop", self._drop)
        router.add_post("/control/cut", self._cut)

    async def _stats(self, _request: web.Request) -> web.Response:
        state = self._state
        return _json(
            {
                "connections": len(state.connections),
                "connectionsEver": state.connections_ever,
                "requests": list(state.requests),
                "invocations": list(state.invocations),
                "received": list(state.received),
                "headersSeen": list(state.headers_seen),
                "keySeenInPayload": state.key_seen,
                "invoices": [invoice.fields for invoice in state.invoices.values()],
            }
        )

    async def _mode(self, _request: web.Request) -> web.Response:
        return _json(self._state.faults.as_json())

    async def _set_mode(self, request: web.Request) -> web.Response:
        switches = await _body(request)
        try:
            self._state.faults.replace(switches)
        except ValueError as error:
            raise web.HTTPBadRequest(text=str(error)) from error
        return _json(self._state.faults.as_json())

    async def _reset(self, _request: web.Request) -> web.Response:
        self._state.reset()
        return web.Response()

    async def _set_key(self, request: web.Request) -> web.Response:
        self._state.replace_key(_text(await _body(request), "key"))
        return web.Response()

    async def _add_key(self, request: web.Request) -> web.Response:
        body = {"userId": "user_2", "key": secrets.token_urlsafe()} | await _body(request)
        user_id, key = _text(body, "userId"), _text(body, "key")
        if not self._state.add_key(user_id, key):
            raise web.HTTPBadRequest(text="The key is empty, or another account's.")
        return _json({"key": key})

    async def _revoke(self, request: web.Request) -> web.Response:
        found = self._state.revoke(_text(await _body(request), "key"))
        return web.Response(status=200 if found else 404)

    async def _pay(self, request: web.Request) -> web.Response:
        invoice = self._state.invoices.get(request.match_info["id"])
        if invoice is None:
            return web.Response(status=404)
        invoice.pay()
        return _json(invoice.fields)

    async def _push(self, request: web.Request) -> web.Response:
        body = {name.lower(): value for name, value in (await _body(request)).items()}
        target = body.get("target", "executionEvents")
        subject = body.get("subject", "execution.feeds.priceUpdate")
        count, padding = body.get("count", 1), body.get("padding", 0)
        rate, arguments = body.get("rate", 0), body.get("arguments")
        whole = all(type(number) is int for number in (count, padding))
        if not whole or not isinstance(target, str) or not isinstance(subject, str):
            raise web.HTTPBadRequest(text="target and subject are texts, count and padding whole numbers.")

        def messages() -> Iterator[str]:
            for number in range(count):
                data = {
                    "sequence": number,
                    "sentAt": iso(datetime.now(UTC)),
                    "id": f"evt_{number:08x}",
                    "padding": "x" * padding,
                }
                yield self._state.event(target, subject, None, wire.write(data))

        def same() -> Iterator[str]:
            message = wire.invocation(target, wire.write(arguments))
            yield from (message for _ in range(count))

        await self._state.push(messages() if arguments is None else same(), float(rate) or None)
        return _json(count)

    async def _raw(self, request: web.Request) -> web.Response:
        text = (await request.text()).replace(_PICTURE, wire.SEPARATOR)
        for connection in self._state.connections.copy():
            await connection.send(text)
        return web.Response()

    async def _drop(self, _request: web.Request) -> web.Response:
        await self._state.drop()
        return web.Response()

    async def _cut(self, _request: web.Request) -> web.Response:
        self._state.cut()
        return web.Response()


async def _body(request: web.Request) -> dict[str, Any]:
    """Read a JSON object; other content types are refused, since any web page may post those."""
    kind = request.content_type
    if kind != "application/json" and not (kind.startswith("application/") and kind.endswith("+json")):
        raise web.HTTPUnsupportedMediaType(text="The body's Content-Type must be application/json.")
    try:
        body = decode(await request.text())
    except ValueError as error:
        raise web.HTTPBadRequest(text="The body is not JSON.") from error
    if not isinstance(body, dict):
        raise web.HTTPBadRequest(text="The body is not a JSON object.")
    return body


def _text(body: dict[str, Any], name: str) -> str:
    if not isinstance(text := body.get(name), str):
        raise web.HTTPBadRequest(text=f"{name} is missing in the body, or no text.")
    return text


def _json(value: object) -> web.Response:
    return web.Response(text=wire.write(value), content_type="application/json", charset="utf-8")
