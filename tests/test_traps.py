"""The traps of pysignalr 1.3.3, one regression test each; the lines of the table in the SignalR notes.

| # | trap | where it is tested |
|---|---|---|
| 1 | the first connect sends no key | here; `test_hub.py::test_wire_bytes` |
| 2 | the headers, with the key, in every message | `test_contract.py::test_invocation_leaves_headers_out` |
| 3 | refused, reset or 503: no retry | `test_faults_connecting.py` rows 1, 8; `test_policy.py` |
| 4 | a hidden loop reconnects with the stale id | here |
| 5 | negotiate or handshake unanswered: hangs | `test_faults_connecting.py` rows 9, 19 |
| 6 | a silent or frozen hub is not noticed | `test_faults_losing.py` row 41 |
| 7 | an odd message or a handler's error ends it, a task lingers | `test_faults_messages.py`, row 55; here |
| 8 | an error completion ends it; pending calls hear nothing | `test_faults_answers.py` rows 32 to 34; here |
| 9 | `allowReconnect` is treated backwards | `test_faults_losing.py` rows 35, 36 |
| 10 | refusals lose their words, redirects their POST | here; `test_faults_connecting.py` rows 4 to 8 |
| 11 | a message too large: close, reconnect, resend, for ever | `test_faults_messages.py` row 50 |
| 12 | awaiting a call inside a handler deadlocks | `test_faults_callbacks.py` row 56 |
| 13 | targets nobody handles are dropped, case matters | here |
| 14 | ending it is noisy, code 1011, single use | here |
| 15 | importing it changes `async for … in connect()` of websockets | here |
| 16 | its errors are frozen dataclasses | here |
| 17 | at DEBUG the key is logged | `test_secrets.py::test_no_log_record_holds_the_key` |
| 18 | cancelling leaves an unclosed transport | here; `test_faults_processes.py` row 61 |
| 19 | Decimal cannot be sent, numbers become floats | here; `test_json.py` |
"""

from __future__ import annotations

import ast
import asyncio
import contextlib
import threading
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from aiohttp import WSMsgType, web

import hercle_nb as hercle
from tests.fast import fast_hub, healed, until
from tests.lenient import NEGOTIATED, Lenient, lenient_server
from tests.servers import KEY, python, signal_main

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.servers import HubProcess

SOURCES = sorted(Path(hercle.__file__).parent.rglob("*.py"))


@pytest.fixture
def lenient() -> Iterator[Lenient]:
    """A server that says whatever a test tells it to."""
    with lenient_server() as server:
        yield server


def test_trap_01_every_attempt_sends_the_key(server: HubProcess) -> None:
    """Each attempt sends the key, asked anew, with negotiate and with the upgrade, the first one too."""
    keys = [KEY, "second", "third"]
    with fast_hub(server.url, lambda: keys[0]) as hub:
        for gaps in (1, 2):
            keys.pop(0)
            server.post("key", {"key": keys[0]})
            server.lose()
            healed(hub, gaps)
        asked = [(request["method"], request["key"]) for request in server.stats()["requests"]]
        assert asked == [("POST", "header"), ("GET", "header")] * 3


def test_trap_04_nothing_hidden(lenient: Lenient) -> None:
    """Each attempt is one negotiation and one upgrade with the id it brought, counted and visible."""
    sockets: list[web.WebSocketResponse] = []
    serve = lenient.socket
    assert serve is not None

    async def note(socket: web.WebSocketResponse) -> None:
        sockets.append(socket)
        await serve(socket)

    def negotiate(_: web.Request) -> web.Response:
        if len(negotiations()) in (2, 3, 4):
            return web.Response(status=503)
        return web.json_response({**NEGOTIATED, "connectionToken": f"id-{len(negotiations())}"})

    def negotiations() -> list[str]:
        return [path for method, path, *_ in lenient.requests if method == "POST"]

    lenient.negotiate, lenient.socket = negotiate, note
    with fast_hub(lenient.url) as hub:
        until(lambda: sockets)
        request = sockets[0]._req
        assert request is not None
        assert request.transport is not None
        request.task.get_loop().call_soon_threadsafe(request.transport.abort)
        healed(hub)
        assert hub.log.gaps["attempts"].iloc[0] == 4
        assert hub.stats["attempts"] == len(negotiations()) == 5
        ids = [query["id"] for method, _, query, _ in lenient.requests if method == "GET"]
        assert ids == ["id-1", "id-5"]


def test_trap_07_no_task_lingers(server: HubProcess) -> None:
    """Connections that ended leave no task behind on the hub's loop."""
    with fast_hub(server.url, pace=0.001) as hub:

        async def count() -> int:
            return len(asyncio.all_tasks())

        before = hub._portal.call(count())
        for losses in range(1, 6):
            server.lose()
            healed(hub, losses)
        until(lambda: hub._portal.call(count()) == before)


def test_trap_08_every_pending_call_is_told(server: HubProcess) -> None:
    """When the connection is lost each call under way ends as its kind demands, none hangs."""
    server.mode(noReply=True)
    ends: dict[str, object] = {}
    with fast_hub(server.url, timeout=20) as hub:

        def call(name: str, verb: Any, *arguments: Any) -> None:
            try:
                ends[name] = verb(*arguments)
            except hercle.HercleError as error:
                ends[name] = error

        threads = [
            threading.Thread(target=call, args=("created", hub.create_invoice, 0.001, "memo", 24)),
            threading.Thread(target=call, args=("query", hub.command, "GetBalances")),
            threading.Thread(target=call, args=("other", hub.command, "CreateLightningInvoice", 1, None, 2)),
        ]
        for thread in threads:
            thread.start()
        until(lambda: server.created() == 2 and len(server.stats()["invocations"]) == 3)
        server.mode()
        server.lose()
        for thread in threads:
            thread.join()
    assert isinstance(ends["created"], hercle.Invoice)
    assert isinstance(ends["query"], hercle.HubEvent)
    assert isinstance(ends["other"], hercle.OutcomeUnknown)
    assert server.created() == 2


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_trap_10_redirects_are_not_followed(lenient: Lenient, status: int) -> None:
    """An HTTP redirect of negotiate is neither followed nor turned into a GET, and its words are kept."""
    lenient.negotiate = lambda _: web.Response(
        status=status, text="moved to the cellar", headers={"Location": f"{lenient.url}/x"}
    )
    with pytest.raises(hercle.ConnectionFailed, match=rf"{status} 'moved to the cellar'"):
        hercle.connect(url=lenient.url, api_key=KEY, journal=False)
    assert [request[:2] for request in lenient.requests] == [("POST", "/hub/negotiate")]


def test_trap_13_any_target_in_any_case(lenient: Lenient) -> None:
    """Targets that nobody knows are rows, and upper and lower case do not matter for an answer."""

    async def answer(socket: web.WebSocketResponse) -> None:
        await socket.receive()
        await socket.send_str('{}\x1e{"type":1,"target":"nobody.knows","arguments":[5]}\x1e')
        async for frame in socket:
            if "GetBalances" in frame.data:
                reply = '{"subject":"account.balances.snapshot","clientId":"q","data":{"assets":[]}}'
                await socket.send_str(f'{{"type":1,"target":"EXECUTIONevents","arguments":[{reply}]}}\x1e')

    lenient.socket = answer
    with fast_hub(lenient.url) as hub:
        assert hub.wait_for(target="Nobody.Knows", since=0).data == 5
        assert hub.command("GetBalances", client_id="q").target == "EXECUTIONevents"
        assert list(hub.events["target"].dropna()) == ["nobody.knows", "GetBalances", "EXECUTIONevents"]


def test_trap_14_a_clean_end(lenient: Lenient, caplog: pytest.LogCaptureFixture) -> None:
    """Closing sends SignalR's goodbye and code 1000, says nothing in the log, and one may connect again."""
    ends: list[tuple[str, int | None]] = []
    asked = threading.Event()

    async def listen(socket: web.WebSocketResponse) -> None:
        await socket.receive()
        await socket.send_str("{}\x1e")
        said = ""
        while (frame := await socket.receive()).type is WSMsgType.TEXT:
            said = frame.data
            if "CreateLightningInvoice" in said:
                asked.set()
        ends.append((said, socket.close_code))

    lenient.socket = listen
    for _ in range(2):
        with fast_hub(lenient.url):
            pass
    hub = hercle.connect(url=lenient.url, api_key=KEY, journal=False)
    closer = threading.Thread(target=lambda: (asked.wait(5), hub.close()))
    closer.start()
    with pytest.raises(hercle.OutcomeUnknown):
        hub.create_invoice(0.001)
    closer.join()
    until(lambda: len(ends) == 3)
    assert ends == [('{"type":7}\x1e', 1000)] * 3
    assert [record for record in caplog.records if record.levelname not in ("DEBUG", "INFO")] == []


def test_trap_15_no_iteration_over_connect() -> None:
    """We never write `async for … in connect(…)`, whose meaning pysignalr changes for the whole process."""
    nodes = (node for path in SOURCES for node in ast.walk(ast.parse(path.read_text())))
    loops = [ast.unparse(node.iter) for node in nodes if isinstance(node, ast.AsyncFor)]
    assert loops
    assert [over for over in loops if "connect" in over.lower()] == []


def test_trap_15_import_leaves_websockets_alone() -> None:
    """Importing hercle_nb alone changes nothing in websockets; only connecting brings pysignalr's change."""
    done = python(
        """
        from websockets.asyncio.client import connect
        before = connect.__aiter__
        import hercle_nb
        assert connect.__aiter__ is before
        hercle_nb.connect("simulator").close()
        assert connect.__aiter__ is not before, "pysignalr has changed: tell the README"
        """
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_trap_16_errors_pass_through_context_managers(lenient: Lenient) -> None:
    """What we raise passes through a context manager as it is, with a cause that is no frozen dataclass."""

    @contextlib.contextmanager
    def around() -> Iterator[None]:
        yield

    lenient.socket, lenient.upgrade_status = None, 401
    with pytest.raises(hercle.AuthenticationError) as refused, around():
        hercle.connect(url=lenient.url, api_key=KEY, journal=False)
    error: BaseException | None = refused.value
    while error is not None:
        assert not type(error).__module__.startswith("pysignalr")
        error.add_note("errors can be changed")
        error = error.__cause__ or error.__context__
    names = {
        name.name if isinstance(node, ast.Import) else f"{node.module}"
        for path in SOURCES
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Import | ast.ImportFrom)
        for name in node.names
    }
    assert "pysignalr.messages" in names
    assert "pysignalr.exceptions" not in names


@pytest.mark.parametrize("stage", ["negotiate", "handshake"])
def test_trap_18_interrupt_while_connecting(lenient: Lenient, stage: str) -> None:
    """An interrupt in the middle of connecting closes the socket, without a warning."""
    requests: list[web.BaseRequest | None] = []

    async def negotiate(request: web.Request) -> web.Response:
        requests.append(request)
        await asyncio.Event().wait()
        return web.Response()

    async def say_nothing(socket: web.WebSocketResponse) -> None:
        await socket.receive()
        requests.append(socket._req)
        async for _ in socket:
            pass

    def interrupt() -> None:
        until(lambda: requests)
        signal_main()

    if stage == "negotiate":
        lenient.negotiate = negotiate
    else:
        lenient.socket = say_nothing
    thread = threading.Thread(target=interrupt)
    thread.start()
    with pytest.raises(KeyboardInterrupt):
        hercle.connect(url=lenient.url, api_key=KEY, journal=False)
    thread.join()
    until(lambda: requests[0] is None or requests[0].transport is None)


def test_trap_19_numbers_are_exact(server: HubProcess) -> None:
    """A Decimal goes out digit for digit, and a number that comes in is the one the hub wrote."""
    digits = "0.1000000000000000055511151231257827"
    with fast_hub(server.url) as hub:
        hub.command("CreateLightningInvoice", Decimal("0.00012300"), None, 1, client_id="a")
        assert '"arguments":["a",0.00012300,null,1]}' in server.stats()["received"][0]
        argument = f'{{"subject":"a.b","data":{{"price":{digits}}}}}'
        server.post("raw", f'{{"type":1,"target":"x","arguments":[{argument}]}}␞')
        assert hub.wait_for("a.b", since=0).data["price"] == Decimal(digits)
