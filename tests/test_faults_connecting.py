"""The fault matrix, rows 1 to 22: what goes wrong while connecting, on each server where it can be made.

"simulator" and "reference" are programs, "lenient" is the hub of these tests that can write any bytes.
"""

from __future__ import annotations

import shutil
import socket
import ssl
import time
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import pytest
from aiohttp import web
from pysignalr.messages import HandshakeRequestMessage

import hercle_nb as hercle
from hercle_nb._signalr.protocol import HubProtocol
from tests.fast import connecting, fast_hub, healed, until
from tests.lenient import NEGOTIATED, lenient_server
from tests.scripted import ScriptedHub, assert_well
from tests.servers import KEY, self_signed

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.scripted import AnyHub

    Start = Callable[..., Any]

IN_VAIN = "No connection after"  # how a message begins after attempts; a final failure has none of it
EVENT = '{"type":1,"target":"t","arguments":[{"subject":"a.b","data":1}]}\x1e'


def on(*names: str) -> pytest.MarkDecorator:
    """Run a test on these servers alone."""
    return pytest.mark.parametrize("any_server", names, indirect=True)


def fails(url: str, error: type[Exception], says: str, **options: Any) -> str:
    """Connecting fails in this way; the message."""
    with pytest.raises(error, match=says) as caught, fast_hub(url, **options):
        pass
    assert KEY not in str(caught.value)
    return str(caught.value)


def negotiations(server: AnyHub) -> int:
    """How often a hub was asked for a connection."""
    return sum(request["method"] == "POST" for request in server.stats()["requests"])


@pytest.mark.parametrize("name", ["simulator", "reference", "lenient"])
def test_row_01_port_refused(own_hub: Start, name: str) -> None:
    """A port where nothing listens is tried until the time-out ends, and connected to once a hub is there."""
    path = "/hub" if name == "lenient" else "/ExecutionLiveServer/v1"
    with socket.socket() as holder:  # bound but not listening, so that nobody else gets the port
        holder.bind(("127.0.0.1", 0))
        port = holder.getsockname()[1]
        url = f"http://127.0.0.1:{port}{path}"
        told = fails(url, hercle.ConnectionFailed, f"{url}.*nothing listens there", timeout=0.3)
        assert told.startswith(IN_VAIN)
        assert "after 1 attempt " not in told
    with connecting(url) as (connected, attempts):
        until(lambda: len(attempts) > 2)
        with own_hub(name, port=port) as server:
            hub = connected.result()
            assert hub.stats["attempts"] == len(attempts)
            assert_well(hub, server)
            hub.close()


def test_row_02_name_unknown() -> None:
    """A host name that does not exist is final."""
    told = fails("https://hub.invalid/v1", hercle.ConnectionFailed, "the host name is unknown", timeout=20)
    assert "hub.invalid" in told
    assert IN_VAIN not in told


@pytest.mark.parametrize("proxy", ["http://[bad", "http://me:secret@host:99999"])
def test_proxy_that_cannot_be_read(monkeypatch: pytest.MonkeyPatch, proxy: str) -> None:
    """A variable that names no proxy is final, and its password is in no text of the error."""
    monkeypatch.setenv("HTTPS_PROXY", proxy)
    told = fails(
        "https://hub.invalid/v1", hercle.ConnectionFailed, "HTTPS_PROXY.* cannot be read", timeout=20
    )
    assert "secret" not in told
    assert IN_VAIN not in told


@pytest.mark.skipif(shutil.which("openssl") is None, reason="no openssl to make a certificate with")
@pytest.mark.parametrize("name", ["reference", "lenient"])
def test_row_03_certificate_not_trusted(own_hub: Start, tmp_path: Path, name: str) -> None:
    """A certificate that is not trusted is final, and told from a refused port."""
    made, key = self_signed(tmp_path)
    if name == "lenient":
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(made, key)
        starting = lenient_server(tls=context)
    else:
        option = "--Kestrel:Certificates:Default"
        starting = own_hub(
            name, "--urls", "https://127.0.0.1:0", f"{option}:Path={made}", f"{option}:KeyPath={key}"
        )
    with starting as server:
        assert server.url.startswith("https://")
        told = fails(
            server.url, hercle.ConnectionFailed, "TLS certificate is not trusted.*self.signed", timeout=20
        )
    assert IN_VAIN not in told


def test_row_04_unauthorized(any_server: AnyHub) -> None:
    """A key that is not right is final, as a PermissionError that names where the key came from."""
    any_server.post("key", {"key": "another"})
    told = fails(any_server.url, PermissionError, r"refused the API key from the argument api_key \(401\)")
    assert IN_VAIN not in told
    assert negotiations(any_server) == 1
    any_server.post("key", {"key": KEY})
    with fast_hub(any_server.url) as hub:
        assert_well(hub, any_server)


def test_row_05_forbidden(any_server: AnyHub) -> None:
    """A 403 is about the key too."""
    any_server.mode(negotiateStatus=403, negotiateFailures=1)
    told = fails(any_server.url, hercle.AuthenticationError, r"from the argument api_key \(403\)")
    assert IN_VAIN not in told
    assert negotiations(any_server) == 1


def test_row_06_not_found(any_server: AnyHub) -> None:
    """A 404 is final at the first connection; on a reconnect, a hub that is being redeployed gives it too."""
    any_server.mode(negotiateStatus=404, negotiateFailures=1)
    told = fails(any_server.url, hercle.ConnectionFailed, r"There is no hub at .* \(404\); check the path")
    assert any_server.url in told
    assert negotiations(any_server) == 1
    with fast_hub(any_server.url) as hub:
        any_server.mode(negotiateStatus=404, negotiateFailures=2)
        any_server.lose()
        healed(hub)
        assert list(hub.log.gaps["attempts"]) == [3]
        assert_well(hub, any_server, gaps=1)


def test_row_07_too_many_requests(any_server: AnyHub) -> None:
    """A hub that asks for a second gets it, here a fifth of one, where no delay was due."""
    any_server.mode(negotiateStatus=429, negotiateFailures=1, retryAfterSeconds=1)
    began = time.monotonic()
    with fast_hub(any_server.url, pace=0.2) as hub:
        assert time.monotonic() - began >= 0.2
        assert hub.stats["attempts"] == 2
        assert_well(hub, any_server)


def test_row_08_unavailable(any_server: AnyHub) -> None:
    """A hub that is not available twice is connected to, each time with a fresh negotiation."""
    any_server.mode(negotiateStatus=503, negotiateFailures=2)
    with fast_hub(any_server.url) as hub:
        assert hub.stats["attempts"] == negotiations(any_server) == 3
        assert_well(hub, any_server)


def test_row_09_negotiate_never_answered(any_server: AnyHub) -> None:
    """A negotiation that is not answered is given up and tried again, within the time-out."""
    any_server.mode(negotiateDelayMs=2_000)
    told = fails(
        any_server.url, hercle.ConnectionFailed, r"nothing came back in 0\.1 s", negotiate=0.1, timeout=0.3
    )
    assert told.startswith(IN_VAIN)
    with connecting(any_server.url, negotiate=0.25) as (connected, attempts):
        until(lambda: len(attempts) > 1)
        any_server.mode()
        assert_well(connected.result(), any_server)


def is_no_hub(server: AnyHub, answer: Callable[[], web.Response], says: str) -> None:
    """Such an answer is final at first and quoted; on a reconnect it may come for a while."""
    assert isinstance(server, ScriptedHub)
    negotiate = server.lenient.negotiate
    server.lenient.negotiate = lambda _: answer()
    told = fails(server.url, hercle.ConnectionFailed, says)
    assert server.url in told
    assert IN_VAIN not in told
    assert negotiations(server) == 1
    server.lenient.negotiate = negotiate
    with fast_hub(server.url) as hub:
        server.lenient.negotiate = lambda _: answer()
        server.lose()
        until(lambda: hub.stats["attempts"] > 3)
        assert hub.state == "reconnecting"
        server.lenient.negotiate = negotiate
        healed(hub)
        assert_well(hub, server, gaps=1)


@on("lenient")
def test_row_10_negotiate_answers_html(any_server: AnyHub) -> None:
    """A page instead of a negotiation, say of a captive portal."""
    page = "<html><h1>Welcome</h1>"
    is_no_hub(
        any_server, lambda: web.Response(text=page, content_type="text/html"), "answered text/html.*Welcome"
    )


@on("lenient")
def test_row_11_negotiate_answers_broken_json(any_server: AnyHub) -> None:
    """A negotiation that breaks off."""
    broken = '{"connectionId":'
    answer = {"text": broken, "content_type": "application/json"}
    is_no_hub(any_server, lambda: web.Response(**answer), f"answered application/json '{broken}'")


def test_row_12_negotiate_answers_an_error(any_server: AnyHub) -> None:
    """A hub's own refusal, with its words."""
    says = "The client requested a non-integer protocol version"
    if isinstance(any_server, ScriptedHub):
        is_no_hub(any_server, lambda: web.json_response({"error": says}), f"with an error, .*{says}")
        return
    told = fails(f"{any_server.url}?negotiateVersion=x", hercle.ConnectionFailed, f"with an error, .*{says}")
    assert IN_VAIN not in told
    assert negotiations(any_server) == 1


@pytest.mark.parametrize("name", ["reference", "lenient"])
def test_row_13_only_long_polling(own_hub: Start, name: str) -> None:
    """A hub without WebSockets, with what it has instead."""
    with own_hub(name, *["--transports", "LongPolling"] * (name == "reference")) as server:
        says = "offers no WebSockets, only LongPolling"
        if name == "lenient":
            other = {**NEGOTIATED, "availableTransports": [{"transport": "LongPolling"}]}
            is_no_hub(server, lambda: web.json_response(other), says)
            return
        told = fails(server.url, hercle.ConnectionFailed, says)
        assert IN_VAIN not in told
        assert negotiations(server) == 1


def test_row_14_redirect_with_token(any_server: AnyHub) -> None:
    """A redirect is followed as Azure SignalR's is, with the token it brings, within one attempt."""
    any_server.mode(redirect=True)
    with fast_hub(any_server.url) as hub:
        paths = [request["path"] for request in any_server.stats()["requests"]]
        assert paths[1:] == ["/Redirected/v1/negotiate", "/Redirected/v1"]
        assert hub.stats["attempts"] == 1
        assert_well(hub, any_server)
    if isinstance(any_server, ScriptedHub):
        keys = [headers["Authorization"] for *_, headers in any_server.lenient.requests]
        assert keys == [f"Bearer {KEY}", *["Bearer redirected-token"] * 2]


@on("lenient")
def test_row_15_eleven_redirects(any_server: ScriptedHub) -> None:
    """Eleven redirects are final, ten are followed."""
    lenient, again = any_server.lenient, {"url": any_server.url, "accessToken": "t"}
    lenient.negotiate = lambda _: web.json_response(again)
    told = fails(any_server.url, hercle.ConnectionFailed, "redirected more than 10 times")
    assert IN_VAIN not in told
    assert len(lenient.requests) == 11
    lenient.requests.clear()
    lenient.negotiate = lambda _: web.json_response(again if len(lenient.requests) < 11 else NEGOTIATED)
    with fast_hub(any_server.url) as hub:
        assert_well(hub, any_server)


@on("lenient")
def test_row_16_negotiation_version_0(any_server: ScriptedHub) -> None:
    """A hub that knows no connection token is given its connection id."""
    answer = {key: value for key, value in NEGOTIATED.items() if key != "connectionToken"}
    any_server.lenient.negotiate = lambda _: web.json_response({**answer, "negotiateVersion": 0})
    with fast_hub(any_server.url) as hub:
        assert any_server.lenient.requests[-1][2] == {"id": "id"}
        assert_well(hub, any_server)


def test_row_17_id_expired(any_server: AnyHub) -> None:
    """An upgrade that finds its id gone is tried again, with a fresh negotiation."""
    if isinstance(any_server, ScriptedHub):
        serve, any_server.lenient.socket = any_server.lenient.socket, None
        with connecting(any_server.url) as (connected, attempts):
            until(lambda: len(attempts) > 2)
            any_server.lenient.socket = serve
            assert_well(connected.result(), any_server)
            assert len(attempts) == negotiations(any_server)
        return
    url = f"{any_server.url}?id=expired"  # stays in front of every id that is negotiated, so none is known
    told = fails(url, hercle.ConnectionFailed, r"\(404 'No Connection with that ID'\)", timeout=0.3)
    assert told.startswith(IN_VAIN)
    assert negotiations(any_server) > 1


@on("lenient")
def test_row_18_upgrade_unauthorized(any_server: ScriptedHub) -> None:
    """A hub that takes the key on negotiate and refuses it on the upgrade is final."""
    any_server.lenient.socket, any_server.lenient.upgrade_status = None, 401
    told = fails(any_server.url, hercle.AuthenticationError, r"from the argument api_key \(401\)")
    assert IN_VAIN not in told
    assert len(any_server.lenient.requests) == 2


def test_row_19_handshake_unanswered(any_server: AnyHub, monkeypatch: pytest.MonkeyPatch) -> None:
    """A handshake that is not answered is given up and tried again, within the time-out."""
    with ExitStack() as mute:
        if isinstance(any_server, ScriptedHub):
            mute.callback(setattr, any_server.lenient, "socket", any_server.lenient.socket)
            any_server.lenient.socket = listen
        else:  # a request without its end is not answered
            encode, patch = HubProtocol.encode, mute.enter_context(monkeypatch.context())
            patch.setattr(HubProtocol, "encode", lambda *given: encode(*given).rstrip("\x1e"))
        says = r"the handshake was not answered in 0\.1 s"
        told = fails(any_server.url, hercle.ConnectionFailed, says, handshake=0.1, timeout=0.3)
        assert told.startswith(IN_VAIN)
        with connecting(any_server.url, handshake=0.25) as (connected, attempts):
            until(lambda: len(attempts) > 1)
            mute.close()
            assert_well(connected.result(), any_server)


async def listen(socket: web.WebSocketResponse) -> None:
    """Say nothing for as long as the client stays."""
    async for _ in socket:
        pass


def test_row_20_handshake_error(any_server: AnyHub, monkeypatch: pytest.MonkeyPatch) -> None:
    """A handshake that is refused is final, with the hub's text."""
    said = "The protocol 'x' is not supported."
    monkeypatch.setattr(HubProtocol, "handshake_message", lambda _: HandshakeRequestMessage("x", 1))
    if isinstance(any_server, ScriptedHub):
        any_server.greeting = [f'{{"error":"{said}"}}\x1e']
    told = fails(
        any_server.url,
        hercle.ConnectionFailed,
        r"refused the handshake: .*The protocol .*x.* is not supported",
    )
    assert IN_VAIN not in told
    assert negotiations(any_server) == 1


@pytest.mark.parametrize(
    "greeting",
    [
        pytest.param([f"{{}}\x1e{EVENT}{EVENT[:20]}", EVENT[20:]], id="row_21_reply_and_events_in_one_frame"),
        pytest.param(["{", f"}}\x1e{EVENT}", EVENT], id="row_22_reply_split"),
    ],
)
@on("lenient")
def test_nothing_is_lost(any_server: ScriptedHub, greeting: list[str]) -> None:
    """However the reply to the handshake and the first events share frames, all of them arrive."""
    any_server.greeting = greeting
    with fast_hub(any_server.url) as hub:
        until(lambda: hub.stats["events"] == 2)
        assert list(hub.events["subject"]) == ["connection.opened", "a.b", "a.b"]
        assert_well(hub, any_server)
