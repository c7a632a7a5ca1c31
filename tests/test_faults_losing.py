"""The fault matrix, rows 35 to 44: a connection that was up is lost, on each server where it can be made so.

"simulator" and "reference" are programs, "lenient" is the hub of these tests that can write any bytes.
"""

from __future__ import annotations

import asyncio
import signal
import subprocess
from decimal import Decimal
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import pytest

import hercle_nb as hercle
from tests.fast import fast_hub, healed, until
from tests.scripted import ScriptedHub, assert_well

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import pandas as pd
    from aiohttp import web

    from tests.scripted import AnyHub

    Start = Callable[..., Any]

HALF = '{"type":1,"target":"executionEvents","arguments":[{"subject":"ha'
BROKE_OFF = "the connection broke off without a close frame"

programs = pytest.mark.parametrize("name", ["simulator", "reference"])  # what a signal can reach


@pytest.fixture
def server(any_server: AnyHub) -> AnyHub:
    """Each of the three hubs, as good as new."""
    return any_server


@pytest.fixture
def hub(server: AnyHub) -> Iterator[hercle.Hub]:
    """A hub with short delays."""
    with fast_hub(server.url) as hub:
        yield hub


def settled(server: AnyHub, ever: int) -> None:
    """Wait until the server, too, knows of so many connections, and that all but the last are gone."""

    def known() -> bool:
        stats = server.stats()
        return (stats["connections"], stats["connectionsEver"]) == (1, ever)

    until(known)


def changes(hub: hercle.Hub) -> pd.DataFrame:
    """What became of the connection, row by row."""
    frame = hub.events  # once: the next one may have more rows
    return frame[frame["kind"] == "connection"]


def heals(hub: hercle.Hub, server: AnyHub, reason: str) -> None:
    """The hub is back after one loss, says why there was one, and the next creation works."""
    healed(hub)
    gap = hub.log.gaps.iloc[0]
    assert (gap["connection"], gap["attempts"]) == (1, 1)
    assert gap["reason"] == reason
    rows = changes(hub)
    assert list(rows["subject"]) == ["connection.opened", "connection.lost", "connection.back"]
    assert list(rows["connection"]) == [1, 1, 2]
    seconds = (gap["back_at"] - gap["lost_at"]).total_seconds()
    assert rows["data"].iloc[-1] == {
        "seconds": pytest.approx(Decimal(seconds), abs=Decimal("0.1")),
        "attempts": 1,
        "reason": reason,
    }
    assert (hub.stats["reconnects"], hub.stats["gaps"], hub.stats["last_error"]) == (1, 1, None)
    assert_well(hub, server, gaps=1)
    assert server.stats()["connectionsEver"] == 2


def test_row_35_polite_close(hub: hercle.Hub, server: AnyHub) -> None:
    """A goodbye that does not allow to come back is not believed the first time: it may be a redeployment."""
    settled(server, 1)
    server.lose("drop")
    heals(hub, server, "the hub ended the connection")


def test_row_36_close_with_allow_reconnect(hub: hercle.Hub, server: AnyHub) -> None:
    """A goodbye that allows to come back is followed by a connection, however often it comes."""
    for number in range(1, 4):
        settled(server, number)
        server.post("raw", '{"type":7,"error":"moving on","allowReconnect":true}␞')
        healed(hub, number)
    assert set(hub.log.gaps["reason"]) == {"the hub ended the connection: moving on"}
    assert_well(hub, server, gaps=3)


def test_row_37_tcp_cut(hub: hercle.Hub, server: AnyHub) -> None:
    """A TCP connection that is torn down."""
    settled(server, 1)
    server.lose("cut")
    heals(hub, server, BROKE_OFF)


def test_row_38_cut_in_the_middle_of_a_message(hub: hercle.Hub, server: AnyHub) -> None:
    """What had come of a SignalR message stands in the raw text of a row marked incomplete."""
    settled(server, 1)
    before = hub.stats["bytes_in"]
    server.post("raw", HALF)
    until(lambda: hub.stats["bytes_in"] == before + len(HALF))
    server.lose("cut")
    heals(hub, server, BROKE_OFF)
    frame = hub.events
    (seq,) = frame.index[frame["type"] == "incomplete"]
    row = frame.loc[seq]
    assert (row["kind"], row["connection"], row["raw"]) == ("event", 1, HALF)
    assert row[["target", "subject", "client_id", "data"]].isna().all()
    assert frame.loc[seq + 1, "subject"] == "connection.lost"


@pytest.mark.parametrize("any_server", ["lenient"], indirect=True)
def test_row_38_cut_in_the_middle_of_a_frame(hub: hercle.Hub, server: ScriptedHub) -> None:
    """An unfinished WebSocket frame never was a message: only the gap tells of it."""
    server.cut_in_frame(HALF)
    heals(hub, server, BROKE_OFF)
    assert (hub.events["type"] != "incomplete").all()
    assert not hub.events["raw"].str.contains('"ha', na=False).any()


def port(server: AnyHub) -> int:
    """Where a hub listens."""
    return urlsplit(server.url).port or 0


@programs
def test_row_39_killed_and_back(own_hub: Start, name: str) -> None:
    """A hub that is killed, and starts on the same port a while later."""
    with own_hub(name) as server, fast_hub(server.url) as hub:
        hub.create_invoice("0.001", client_id="a")
        server.process.kill()
        until(lambda: "nothing listens there" in (hub.stats["last_error"] or ""))
        assert hub.state == "reconnecting"
        until(lambda: hub.stats["attempts"] > 4)
        server.process.wait(10)
        with own_hub(name, port=port(server)) as back:
            healed(hub)
            assert hub.log.gaps["reason"][0] == BROKE_OFF
            assert hub.log.gaps["attempts"][0] > 3
            assert_well(hub, back, gaps=1)
            assert hub.create_invoice("0.001", client_id="a").reused
            assert back.created() == 1
            hub.close()


@programs
def test_row_40_shut_down_in_order(own_hub: Start, name: str) -> None:
    """A hub that is told to end, is killed a second after if it lingers, and starts on the same port.

    The reference hub takes new connections for a moment longer, so that one may be lost once more.
    """
    with own_hub(name) as server, fast_hub(server.url) as hub:
        server.process.terminate()
        until(lambda: hub.stats["gaps"])
        try:
            server.process.wait(1)
        except subprocess.TimeoutExpired:
            server.process.kill()
            server.process.wait(10)
        with own_hub(name, port=port(server)) as back:
            settled(back, 1)
            until(lambda: hub.state == "connected")
            gaps = hub.log.gaps
            assert set(gaps["reason"]) == {BROKE_OFF}
            assert gaps["back_at"].notna().all()
            assert_well(hub, back, gaps=len(gaps))
            hub.close()


@programs
def test_row_41_frozen_and_thawed(own_hub: Start, name: str) -> None:
    """A hub that is frozen is noticed by its silence, one that is thawed is connected to again.

    Twenty prices a second keep the watchdog quiet until the freeze. Nothing does so after it, and the
    watchdog is short, so that more connections may be lost while the test ends.
    """
    watchdogs = {"server_silence": 0.5, "negotiate": 0.3, "upgrade": 0.3, "handshake": 0.3}
    with own_hub(name) as server, fast_hub(server.url, timeout=20, **watchdogs) as hub:
        hub.invoke("SubscribePairPriceChannel", "prices", "BTCEUR", 1)
        until(lambda: hub.stats["events"] > 3)
        server.process.send_signal(signal.SIGSTOP)
        try:
            until(lambda: "nothing came back in 0.3 s" in (hub.stats["last_error"] or ""))
            assert hub.state == "reconnecting"
        finally:
            server.process.send_signal(signal.SIGCONT)
        assert hub.create_invoice("0.001", client_id="a").status == "open"
        gaps = hub.log.gaps
        assert set(gaps["reason"]) == {"nothing was heard from the hub for 0.5 s"}
        assert gaps["back_at"].notna()[0]
        assert gaps["attempts"][0] > 1
        assert server.created() == 1


def test_row_42_key_revoked(hub: hercle.Hub, server: AnyHub) -> None:
    """A key that is refused on reconnecting ends it, and every verb says so from then on."""
    settled(server, 1)
    server.post("key", {"key": "another"})
    assert_well(hub, server)  # nothing asks for the key as long as the connection is up
    server.lose()
    until(lambda: hub.state == "closed")
    for call in (hub.create_invoice, hub.command, hub.invoke, hub.wait_for):
        with pytest.raises(hercle.AuthenticationError, match=r"the argument api_key \(401\)"):
            call("0.001" if call == hub.create_invoice else "GetBalances")
    assert "401" in hub.stats["last_error"]
    assert list(changes(hub)["subject"]) == ["connection.opened", "connection.lost", "connection.closed"]
    assert list(hub.log.gaps["back_at"].isna()) == [True]
    assert hub.stats["attempts"] == 2
    assert server.created() == 1


def test_row_43_twenty_cuts(server: AnyHub) -> None:
    """Twenty cuts in a row, each as soon as the connection is up: it heals every time."""
    with fast_hub(server.url, pace=0.001) as hub:
        for number in range(1, 21):
            settled(server, number)
            server.lose("cut")
            healed(hub, number)
        gaps = hub.log.gaps
        assert list(gaps["connection"]) == list(range(1, 21))
        assert set(gaps["reason"]) == {BROKE_OFF}
        assert hub.stats["reconnects"] == 20
        assert list(changes(hub)["subject"]) == [
            "connection.opened",
            *["connection.lost", "connection.back"] * 20,
        ]
        assert_well(hub, server, gaps=20)


def test_row_44_accepted_and_cut(hub: hercle.Hub, server: AnyHub) -> None:
    """A hub that accepts and cuts for a while is not hammered: the delays grow as after failures."""
    if isinstance(server, ScriptedHub):
        serve, server.lenient.socket = server.lenient.socket, greet
        server.lose()
        until(lambda: hub.stats["gaps"] > 4)
        server.lenient.socket = serve
        healed(hub)
        assert set(hub.log.gaps["reason"][1:]) == {"the hub closed the WebSocket with code 1000"}
    else:
        for number in range(1, 6):
            settled(server, number)
            server.lose()
            healed(hub, number)
    gaps = hub.log.gaps
    seconds = (gaps["back_at"] - gaps["lost_at"]).dt.total_seconds()
    assert (seconds[:4] > [0, 0.019, 0.099, 0.299]).all()  # 0, 2, 10, 30 s at a hundredth of their length
    assert set(gaps["attempts"]) == {1}
    assert hub.stats["attempts"] == len(gaps) + 1
    assert_well(hub, server, gaps=len(gaps))


async def greet(socket: web.WebSocketResponse) -> None:
    """Shake hands and leave."""
    await socket.receive()
    await socket.send_str("{}\x1e")
    await asyncio.sleep(0)
