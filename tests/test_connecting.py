"""Connecting: what is tried again, what is final, and what each failure says."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from aiohttp import web

import hercle_nb as hercle
from tests.lenient import NEGOTIATED, Lenient, lenient_server
from tests.servers import KEY

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.servers import HubProcess


@pytest.fixture
def lenient() -> Iterator[Lenient]:
    """A server that says whatever a test tells it to."""
    with lenient_server() as server:
        yield server


def connect(url: str, timeout: float = 5, **arguments: object) -> hercle.Hub:
    """Connect as these tests do."""
    return hercle.connect(url=url, api_key=KEY, journal=False, timeout=timeout, **arguments)


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        (lambda _: web.json_response({"hello": "world"}), r"hello.*world"),
        (lambda _: web.json_response([1, 2]), r"\[1, 2\]"),
        (lambda _: web.Response(status=400, text="bad"), r"400 'bad'"),
        (lambda _: web.Response(status=302, headers={"Location": "https://elsewhere.invalid/"}), r"redirect"),
    ],
)
def test_not_a_hub(lenient: Lenient, answer: Callable[[web.Request], web.Response], says: str) -> None:
    """What answers but is not a hub fails at once, with the URL and what came."""
    lenient.negotiate = answer
    with pytest.raises(hercle.ConnectionFailed, match=says) as caught:
        connect(lenient.url)
    assert lenient.url in str(caught.value)
    assert len(lenient.requests) == 1


def test_key_echoed_by_a_server_is_not_shown(lenient: Lenient) -> None:
    """A page that echoes the request's headers does not bring the key into the message."""
    lenient.negotiate = lambda request: web.Response(status=400, text=str(request.headers["Authorization"]))
    with pytest.raises(hercle.ConnectionFailed, match=r"Bearer \[secure\]"):
        connect(lenient.url)


def test_callable_key_is_asked_for_each_attempt(server: HubProcess) -> None:
    """A callable that gives the key is asked before every attempt."""
    asked = []
    server.mode(negotiateStatus=503, negotiateFailures=1)
    hub = hercle.connect(url=server.url, api_key=lambda: asked.append(1) or KEY, journal=False)
    hub.close()
    assert len(asked) == 2


def test_failing_callable_key() -> None:
    """A callable that raises is a configuration error, final at once."""
    with pytest.raises(hercle.ConfigurationError, match="raised KeyError"):
        hercle.connect(url="http://127.0.0.1:9/hub", api_key=lambda: {}["nothing"])


def test_redirect_to_another_host_without_token(lenient: Lenient) -> None:
    """The key never goes to another host by a redirect."""
    lenient.negotiate = lambda _: web.json_response({"url": "http://127.0.0.1:9/elsewhere"})
    with pytest.raises(hercle.ConnectionFailed, match="the key stays here"):
        connect(lenient.url)


def test_cookies_and_query_go_along(lenient: Lenient) -> None:
    """A load balancer's cookie comes back on the upgrade; the hub URL's own query is kept."""

    def negotiate(_: web.Request) -> web.Response:
        response = web.json_response(NEGOTIATED)
        response.set_cookie("sticky", "server-3")
        return response

    lenient.negotiate = negotiate
    connect(f"{lenient.url}?tenant=1").close()
    (_, path, query, _), (_, _, socket_query, headers) = lenient.requests
    assert path == "/hub/negotiate"
    assert query == {"tenant": "1", "negotiateVersion": "1"}
    assert socket_query == {"tenant": "1", "id": "token"}
    assert headers["Cookie"] == "sticky=server-3"
    assert headers["Authorization"] == f"Bearer {KEY}"


def test_redirected_upgrade_is_not_followed(lenient: Lenient) -> None:
    """An HTTP redirect of the upgrade is final: the key would go along."""

    async def redirect(_: web.WebSocketResponse) -> None: ...

    lenient.socket, lenient.upgrade_status = None, 307
    with pytest.raises(hercle.ConnectionFailed, match="redirect"):
        connect(lenient.url)


def test_handshake_answered_with_something_else(lenient: Lenient) -> None:
    """What answers the handshake but is no hub is final, with what it said."""

    async def answer(socket: web.WebSocketResponse) -> None:
        await socket.receive()
        await socket.send_str("<html>\x1e")

    lenient.socket = answer
    with pytest.raises(hercle.ConnectionFailed, match="<html>"):
        connect(lenient.url)


@pytest.mark.parametrize(
    "arguments", [{"max_events": 0}, {"max_bytes": 1.5}, {"journal": 1.5}, {"journal": True}]
)
def test_bad_arguments(arguments: dict) -> None:
    """Arguments that cannot be meant are refused before anything starts."""
    with pytest.raises(hercle.ConfigurationError):
        hercle.connect(**arguments)


@pytest.mark.parametrize("timeout", [0, -1, float("inf"), float("nan"), "5", True])
def test_bad_timeout(timeout: object) -> None:
    """A time-out is a positive number of seconds."""
    with pytest.raises(hercle.InvalidRequest, match="positive number of seconds"):
        hercle.connect(timeout=timeout)


def test_without_a_journal(server: HubProcess) -> None:
    """A real hub without a journal says so in its repr."""
    with connect(server.url) as hub:
        assert "No journal: when this kernel ends, it forgets." in repr(hub)
        assert "No journal" in hub._repr_html_()


def test_key_echoed_on_the_upgrade_is_not_shown(lenient: Lenient) -> None:
    """A refused upgrade that echoes the request's headers does not bring the key into the message either."""
    lenient.socket, lenient.upgrade_status, lenient.upgrade_echo = None, 400, True
    with pytest.raises(hercle.ConnectionFailed, match=r"Bearer \[secure\]"):
        connect(lenient.url)
