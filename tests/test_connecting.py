"""Connecting: what is tried again, what is final, and what each failure says."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

import pytest
from aiohttp import web

import hercle_nb as hercle
from tests.lenient import NEGOTIATED, Lenient, lenient_server, shake_hands
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


def test_wrong_key_is_final(server: HubProcess) -> None:
    """A refused key fails at once, as a PermissionError that names the source."""
    began = time.monotonic()
    with pytest.raises(PermissionError, match="refused the API key from the argument api_key"):
        hercle.connect(url=server.url, api_key="wrong", timeout=30)
    assert time.monotonic() - began < 5


def test_forbidden_is_final(lenient: Lenient) -> None:
    """A 403 is about the key too."""
    lenient.negotiate = lambda _: web.Response(status=403)
    with pytest.raises(hercle.AuthenticationError, match="403"):
        connect(lenient.url)
    assert len(lenient.requests) == 1


def test_key_refused_on_the_upgrade(lenient: Lenient) -> None:
    """A hub that takes the key on negotiate and refuses it on the upgrade is final as well."""
    lenient.socket, lenient.upgrade_status = None, 401
    with pytest.raises(hercle.AuthenticationError):
        connect(lenient.url)


def test_refused_port_is_tried_again() -> None:
    """A port where nothing listens is tried until the time-out ends, and is still ConnectionFailed."""
    began = time.monotonic()
    with pytest.raises(
        hercle.ConnectionFailed, match=r"attempts.*http://127\.0\.0\.1:9/hub.*nothing listens"
    ):
        connect("http://127.0.0.1:9/hub", timeout=0.3)
    assert time.monotonic() - began >= 0.3


def test_unknown_host_is_final() -> None:
    """A host name that does not exist fails at once and says so."""
    with pytest.raises(hercle.ConnectionFailed, match="host name is unknown"):
        connect("https://hub.invalid/v1", timeout=20)


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        (
            lambda _: web.Response(text="<html><h1>Welcome</h1>", content_type="text/html"),
            r"text/html.*Welcome",
        ),
        (lambda _: web.Response(text='{"a":', content_type="application/json"), r"application/json"),
        (lambda _: web.json_response({"hello": "world"}), r"hello.*world"),
        (lambda _: web.json_response([1, 2]), r"\[1, 2\]"),
        (lambda _: web.json_response({"error": "no more clients"}), r"no more clients"),
        (lambda _: web.Response(status=404, text="not found"), r"404"),
        (lambda _: web.Response(status=400, text="bad"), r"400 'bad'"),
        (lambda _: web.Response(status=302, headers={"Location": "https://elsewhere.invalid/"}), r"redirect"),
        (
            lambda _: web.json_response(
                {**NEGOTIATED, "availableTransports": [{"transport": "LongPolling"}]}
            ),
            r"LongPolling",
        ),
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


def test_unavailable_is_tried_again(server: HubProcess) -> None:
    """A hub that is not available at first is connected to in the end, with a fresh negotiation each time."""
    server.mode(negotiateStatus=503, negotiateFailures=1)
    with connect(server.url) as hub:
        assert hub.stats["attempts"] == 2


def test_retry_after_is_respected(server: HubProcess) -> None:
    """A hub that asks for a second gets a second."""
    server.mode(negotiateStatus=429, negotiateFailures=1, retryAfterSeconds=1)
    began = time.monotonic()
    connect(server.url).close()
    assert time.monotonic() - began >= 1


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


def test_redirect_with_its_own_token(server: HubProcess) -> None:
    """A negotiation that redirects, as Azure SignalR does, is followed with the token it brings."""
    server.mode(redirect=True)
    with connect(server.url) as hub:
        assert hub.create_invoice(0.001).status == "open"
    paths = [request["path"] for request in server.stats()["requests"]]
    assert paths[1:] == ["/Redirected/v1/negotiate", "/Redirected/v1"]


def test_redirect_to_another_host_without_token(lenient: Lenient) -> None:
    """The key never goes to another host by a redirect."""
    lenient.negotiate = lambda _: web.json_response({"url": "http://127.0.0.1:9/elsewhere"})
    with pytest.raises(hercle.ConnectionFailed, match="the key stays here"):
        connect(lenient.url)


def test_endless_redirects(lenient: Lenient) -> None:
    """Eleven redirects are one too many."""
    lenient.negotiate = lambda _: web.json_response({"url": lenient.url, "accessToken": "t"})
    with pytest.raises(hercle.ConnectionFailed, match="more than 10 times"):
        connect(lenient.url)
    assert len(lenient.requests) == 11


def test_negotiation_version_0(lenient: Lenient) -> None:
    """A hub that knows no connection token is given its connection id."""
    answer = {key: value for key, value in NEGOTIATED.items() if key != "connectionToken"}
    lenient.negotiate = lambda _: web.json_response({**answer, "negotiateVersion": 0})
    connect(lenient.url).close()
    assert lenient.requests[-1][2] == {"id": "id"}


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


def test_expired_id_is_tried_again(lenient: Lenient) -> None:
    """An upgrade that finds its id gone is tried again with a fresh negotiation."""

    def negotiate(_: web.Request) -> web.Response:
        if lenient.requests[1:]:
            lenient.socket = shake_hands
        return web.json_response(NEGOTIATED)

    lenient.socket, lenient.negotiate = None, negotiate
    with connect(lenient.url) as hub:
        assert hub.stats["attempts"] == 2


@pytest.mark.parametrize(
    ("reply", "says"),
    [
        ('{"error":"The protocol \'json\' is not supported."}\x1e', "is not supported"),
        ("<html>\x1e", "<html>"),
    ],
)
def test_refused_handshake(lenient: Lenient, reply: str, says: str) -> None:
    """A handshake that is refused or answered with something else is final, with its text."""

    async def refuse(socket: web.WebSocketResponse) -> None:
        await socket.receive()
        await socket.send_str(reply)

    lenient.socket = refuse
    with pytest.raises(hercle.ConnectionFailed, match=says):
        connect(lenient.url)


def test_handshake_reply_in_pieces(lenient: Lenient) -> None:
    """A handshake reply split over frames, with the first events behind it, loses nothing."""

    async def answer(socket: web.WebSocketResponse) -> None:
        await socket.receive()
        event = '{"type":1,"target":"t","arguments":[{"subject":"a.b","data":1}]}\x1e'
        for piece in ("{", "}", f"\x1e{event}{event[:20]}", f"{event[20:]}"):
            await socket.send_str(piece)
        await asyncio.sleep(60)

    lenient.socket = answer
    with connect(lenient.url) as hub:
        deadline = time.monotonic() + 5
        while len(hub.events) < 3:
            assert time.monotonic() < deadline
        assert list(hub.events["subject"][1:]) == ["a.b", "a.b"]


def test_half_a_message_is_a_row(lenient: Lenient) -> None:
    """What had arrived of a message when the connection ended stands in a row that says incomplete."""

    async def answer(socket: web.WebSocketResponse) -> None:
        await socket.receive()
        await socket.send_str('{}\x1e{"type":1,"target":"exec')

    lenient.socket = answer
    with connect(lenient.url) as hub:
        deadline = time.monotonic() + 5
        while hub.state != "closed" or len(hub.events) < 3:
            assert time.monotonic() < deadline
        row = hub.events[hub.events["type"] == "incomplete"].iloc[0]
        assert row["raw"] == '{"type":1,"target":"exec'


@pytest.mark.parametrize(
    "arguments", [{"max_events": 0}, {"max_bytes": 1.5}, {"journal": "x.db"}, {"journal": True}]
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


def test_first_creation_says_no_journal(server: HubProcess) -> None:
    """On a real hub the first creation warns once that there is no journal, and the repr says so."""
    with hercle.connect(url=server.url, api_key=KEY) as hub:
        assert "no journal" in repr(hub)
        with pytest.warns(UserWarning, match="no journal") as caught:
            hub.create_invoice(0.001)
        assert caught[0].filename == __file__
        hub.create_invoice(0.001)


def test_key_echoed_on_the_upgrade_is_not_shown(lenient: Lenient) -> None:
    """A refused upgrade that echoes the request's headers does not bring the key into the message either."""
    lenient.socket, lenient.upgrade_status, lenient.upgrade_echo = None, 400, True
    with pytest.raises(hercle.ConnectionFailed, match=r"Bearer \[secure\]"):
        connect(lenient.url)
