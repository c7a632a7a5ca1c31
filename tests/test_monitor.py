"""The monitor, without a browser: the messages it sends one, what it keeps alive, and its plain forms."""

from __future__ import annotations

import gc
import itertools
import json
import subprocess
import sys
import textwrap
import threading
import time
import weakref
from typing import TYPE_CHECKING, Any

import pytest

import hercle_nb as hercle
from hercle_nb.widgets import _table
from hercle_nb.widgets._event_rows import COLUMNS
from hercle_nb.widgets._frontend import Region
from tests import faces

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from hercle_nb.widgets.monitor import EventMonitor
    from tests.servers import HubProcess

NAMES = [column.name for column in COLUMNS]


class Browser(faces.Browser):
    """What a browser would receive of a table of events."""

    def rows(self) -> list[dict[str, Any]]:
        """Every row received, in the order received."""
        return [dict(zip(NAMES, row, strict=True)) for row in self.sent_rows()]

    def seqs(self) -> list[int]:
        """The number of every row received."""
        return [row["seq"] for row in self.rows()]

    def skipped(self) -> int:
        """How many rows it was told were skipped."""
        return self.custom("rows")[-1][1]["skipped"]


@pytest.fixture
def hub(simulator: HubProcess) -> Iterator[hercle.Hub]:
    """A hub connected to the simulator."""
    with hercle.connect(url=simulator.url, api_key=simulator.key, journal=False, timeout=10) as hub:
        yield hub


@pytest.fixture
def monitor(hub: hercle.Hub) -> Iterator[EventMonitor]:
    """A monitor of that hub."""
    monitor = hub.monitor()
    yield monitor
    monitor.close()


@pytest.fixture
def browser(monitor: EventMonitor) -> Browser:
    """A browser that has not said anything yet."""
    return Browser(monitor._table)


def until(condition: Callable[[], object]) -> None:
    """Wait for what other threads are about to do."""
    deadline = time.monotonic() + 8
    while not condition():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.01)


def push(simulator: HubProcess, hub: hercle.Hub, count: int, **options: Any) -> None:
    """Have so many events sent, and wait until they are in the log."""
    end = hub.log.next_seq + count
    simulator.post("push", {"count": count, **options})
    until(lambda: hub.log.next_seq >= end)


def test_sends_unasked(browser: Browser, simulator: HubProcess, hub: hercle.Hub) -> None:
    """Rows are sent before any hello, which a kernel that computes would hear too late."""
    push(simulator, hub, 100)
    until(lambda: browser.seqs() == list(range(101)))


def test_rests_where_nobody_is_heard(
    browser: Browser, simulator: HubProcess, hub: hercle.Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    """For a browser that is gone without a word not all is sent; once it is back it gets the latest."""
    with monkeypatch.context() as patch:
        patch.setattr(_table, "_UNHEARD", 20_000)
        push(simulator, hub, 1_000)
        until(lambda: browser.widget._forgotten)
        sent = len(browser.seqs())
        push(simulator, hub, 1_000)
        time.sleep(3 * _table.TICK)
        assert len(browser.seqs()) == sent
    browser.messages.clear()
    browser.say("here")
    until(lambda: set(browser.seqs()) == set(range(2_001)))
    browser.messages.clear()
    browser.say("here")  # a sign of life is no wish
    push(simulator, hub, 1)
    until(lambda: browser.seqs() == [2_001])


def test_rows(browser: Browser, hub: hercle.Hub) -> None:
    """A browser gets every row that the log has and gets: events, commands and changes, as they are there."""
    until(lambda: browser.seqs() == [0])
    hub.create_invoice("0.001", "Coffee", client_id="my-invoice-123")
    until(lambda: len(browser.seqs()) == 3)
    frame = hub.events
    for row in browser.rows():
        logged = frame.loc[row["seq"]]
        assert row["received_at"] == logged["received_at"].isoformat(timespec="microseconds")
        for name in ("kind", "target", "subject", "client_id", "raw"):
            if not (name == "raw" and row["kind"] == "connection"):
                assert row[name] == (logged[name] if isinstance(logged[name], str) else None)
    assert [row["kind"] for row in browser.rows()] == ["connection", "command", "event"]
    assert json.loads(browser.rows()[0]["raw"]) == {"url": hub.url, "attempts": 1}


def test_backlog(browser: Browser, simulator: HubProcess, hub: hercle.Hub) -> None:
    """A hello is answered with the last 5,000 rows, the newest first, in messages of at most 500."""
    browser.say("bye")
    push(simulator, hub, 6_000)
    browser.messages.clear()
    browser.say("hello")
    until(lambda: len(browser.seqs()) == 5_000)
    assert browser.seqs()[:500] == list(range(5_501, 6_001))
    assert sorted(browser.seqs()) == list(range(1_001, 6_001))
    assert [len(message["rows"]) for _, message in browser.custom("rows")] == [500] * 10
    assert browser.skipped() == 0


def test_flood(browser: Browser, simulator: HubProcess, hub: hercle.Hub) -> None:
    """At any rate messages are few and small; each row is sent or counted as skipped, the newest are sent."""
    browser.say("hello")
    until(browser.seqs)
    flood = [threading.Thread(target=push, args=(simulator, hub, 20_000)) for _ in range(4)]
    for thread in flood:
        thread.start()
    for thread in flood:
        thread.join()
    simulator.post("push", {"count": 1, "subject": "the last one"})
    until(lambda: browser.rows()[-1]["subject"] == "the last one")
    seqs = browser.seqs()
    assert seqs == sorted(set(seqs))
    assert len(seqs) + browser.skipped() == len(hub.log)
    assert browser.skipped() > 0
    assert all(len(message["rows"]) <= 500 for _, message in browser.custom("rows"))
    assert most_in_a_second([at for at, _ in browser.custom("rows")]) <= 10
    assert most_in_a_second([at for at, _ in browser.messages]) <= 30


def most_in_a_second(times: list[float]) -> int:
    """How many of these fall into the second that has most of them."""
    return max(sum(begin <= at < begin + 0.99 for at in times) for begin in times)


def test_thousand_a_second(browser: Browser, simulator: HubProcess, hub: hercle.Hub) -> None:
    """At a thousand events a second nothing is skipped."""
    browser.say("hello")
    until(browser.seqs)
    push(simulator, hub, 1_500, rate=1_000)
    until(lambda: len(browser.seqs()) == 1_501)
    assert browser.skipped() == 0


def test_second_browser(browser: Browser, simulator: HubProcess, hub: hercle.Hub) -> None:
    """Another hello brings the last rows again, and the one who had them misses nothing."""
    browser.say("hello")
    push(simulator, hub, 1_000, rate=3_000)
    until(lambda: len(set(browser.seqs())) == 1_001)
    before = len(browser.seqs())
    browser.say("hello")
    push(simulator, hub, 300)
    until(lambda: len(set(browser.seqs())) == 1_301 and len(browser.seqs()) >= before + 1_301)
    assert set(browser.seqs()[before:]) == set(range(1_301))
    assert browser.skipped() == 0


def test_bye(browser: Browser, simulator: HubProcess, hub: hercle.Hub) -> None:
    """After the last view has gone nothing is sent but the question who is there; an answer brings all."""
    browser.say("hello")
    until(browser.seqs)
    browser.say("bye")
    until(lambda: browser.custom("anyone"))
    before = len(browser.messages)
    push(simulator, hub, 100)
    time.sleep(0.3)
    assert len(browser.messages) == before
    assert not [thread for thread in threading.enumerate() if thread.name == "hercle-interface"]
    browser.say("bye")
    browser.say("hello")
    until(lambda: set(browser.seqs()) == set(range(101)))
    assert browser.skipped() == 0


def test_long_texts(browser: Browser, simulator: HubProcess, hub: hercle.Hub) -> None:
    """What is too long for a browser is cut with a mark; a message of many such rows has fewer of them."""
    argument = {"subject": "s" * 10_000, "data": "x" * 10_000}
    browser.say("bye")
    push(simulator, hub, 300, arguments=[argument])
    browser.messages.clear()
    browser.say("hello")
    until(lambda: len(browser.seqs()) == 301)
    row = browser.rows()[0]
    raw = hub.log.event(row["seq"]).raw
    assert raw is not None
    assert row["raw"] == f"{raw[:4000]}… {len(raw) - 4000:,} characters left out here"
    assert row["subject"] == f"{'s' * 300}… 9,700 characters left out here"
    sizes = [len(json.dumps(message["rows"])) for _, message in browser.custom("rows")]
    assert max(sizes) < 600_000
    assert len(sizes) > 2


def test_half_characters(browser: Browser, simulator: HubProcess, hub: hercle.Hub) -> None:
    """Text that UTF-8 has no form for reaches the browser, with a mark where it was broken."""
    message = '{"type":1,"target":"executionEvents","arguments":[{"subject":"a\\ud800b","data":{}}]}␞'
    simulator.post("raw", message)
    until(lambda: len(set(browser.seqs())) == 2)
    assert browser.rows()[-1]["subject"] == "a\ufffdb"


def test_state(browser: Browser, simulator: HubProcess, monitor: EventMonitor, hub: hercle.Hub) -> None:
    """The badge says how the connection is, and why; it ends with the hub, and so does the thread."""
    table = monitor._table
    assert table.state["state"] == "connected"
    assert table.state["reason"] == ""
    assert table.state["notes"] == ["sandbox", "1 row in the log"]
    browser.say("hello")
    simulator.mode(negotiateFailures=1, negotiateStatus=503)
    simulator.lose()
    until(lambda: table.state["state"] == "reconnecting" and "trying again" in table.state["reason"])
    until(lambda: table.state["state"] == "connected")
    hub.close()
    until(lambda: table.state["state"] == "closed")
    assert "hercle.connect()" in table.state["reason"]
    until(lambda: table._ticker is None)
    assert browser.rows()[-1]["subject"] == "connection.closed"
    before = len(browser.seqs())
    browser.say("hello")
    until(lambda: len(browser.seqs()) == before + len(hub.log))


@pytest.mark.parametrize("plain", [False, True])
def test_error_is_shown(simulator: HubProcess, hub: hercle.Hub, *, plain: bool) -> None:
    """Where the log cannot be read the table says so, until it can be again."""
    monitor = hub.monitor(plain=plain)
    table = monitor._table
    table._handle_custom_msg({"type": "hello"}, [])
    read = hub.log.rows
    hub.log.rows = lambda *_: 1 / 0
    push(simulator, hub, 1)

    def shown() -> str:
        return table._table.value if plain else table.state["reason"]

    until(lambda: "could not be brought up to date: ZeroDivisionError: division by zero" in shown())
    hub.log.rows = read
    push(simulator, hub, 1)
    until(lambda: "brought up" not in shown())
    monitor.close()


def test_evicted_rows(simulator: HubProcess) -> None:
    """Rows that the log has no more are said to be gone, and are not looked for."""
    with hercle.connect(url=simulator.url, api_key=simulator.key, journal=False, max_events=50) as hub:
        push(simulator, hub, 500)
        monitor = hub.monitor()
        browser = Browser(monitor._table)
        until(lambda: browser.seqs()[-1:] == [hub.log.next_seq - 1])
        assert browser.seqs() == list(range(hub.log.evicted, hub.log.next_seq))
        until(lambda: f"{hub.log.evicted:,} older ones evicted" in monitor._table.state["notes"][1])
        monitor.close()


def test_garbage_from_a_browser(
    browser: Browser, monitor: EventMonitor, caplog: pytest.LogCaptureFixture
) -> None:
    """What a browser says that means nothing does nothing."""
    for content in (None, "hello", 7, [], {}, {"type": ["hello"]}):
        monitor._table._handle_custom_msg(content, [])
    browser.say("hello")
    until(browser.seqs)
    assert caplog.records == []


def test_region() -> None:
    """A region says its label, and which face it is."""
    region = Region("Invoices")
    assert (region.face, region.label) == ("region", "Invoices")
    assert "region" in region._esm
    region.close()


@pytest.mark.parametrize("plain", [False, True])
def test_keeps_its_hub_alive(simulator: HubProcess, *, plain: bool) -> None:
    """A monitor keeps its hub until it is closed, once or twice, and no longer."""
    hub = hercle.connect(url=simulator.url, api_key=simulator.key, journal=False)
    monitor, gone = hub.monitor(plain=plain), weakref.ref(hub)
    monitor._table._handle_custom_msg({"type": "hello"}, [])
    del hub
    gc.collect()
    assert gone() is not None
    monitor.close()
    monitor.close()
    until(lambda: gc.collect() >= 0 and gone() is None)


def test_closed_monitor_sends_nothing(
    browser: Browser, monitor: EventMonitor, simulator: HubProcess, hub: hercle.Hub
) -> None:
    """After `close` nothing is sent, whatever still arrives from a browser."""
    browser.say("hello")
    until(browser.seqs)
    monitor.close()
    before = len(browser.messages)
    push(simulator, hub, 10)
    browser.say("hello")
    time.sleep(0.3)
    assert len(browser.messages) == before


def test_key_is_nowhere(simulator: HubProcess) -> None:
    """The API key is in no message, no widget state and no saved output."""
    key = "the-key-of-this-test"
    simulator.post("key", {"key": key})
    with hercle.connect(url=simulator.url, api_key=key, journal=False) as hub:
        monitor = hub.monitor()
        browser = Browser(monitor._table)
        browser.say("hello")
        hub.create_invoice(amount_sat=1)
        until(lambda: len(browser.seqs()) == 3)
        shown = repr(browser.messages) + repr(monitor._table.get_state()) + repr(monitor._repr_mimebundle_())
        monitor.close()
    assert key not in shown


# -- plain ---------------------------------------------------------------------------------------------------


@pytest.fixture
def plain(hub: hercle.Hub) -> Iterator[EventMonitor]:
    """A monitor that uses ipywidgets alone."""
    monitor = hub.monitor(plain=True)
    yield monitor
    monitor.close()


def test_plain(plain: EventMonitor, simulator: HubProcess, hub: hercle.Hub) -> None:
    """The plain table shows the state and the last 50 rows, and what comes."""
    table = plain._table
    push(simulator, hub, 100)
    until(lambda: "<bdi>100</bdi>" in table._table.value)
    assert table._table.value.count("<tr>") == 51
    assert "<bdi>50</bdi>" not in table._table.value
    assert ">Connected<" in table._table.value
    assert f"<bdi>{hub.events['received_at'].iloc[-1]:%Y-%m-%d %H:%M:%S}." in table._table.value
    hub.close()
    until(lambda: ">Closed<" in table._table.value)


def test_plain_at_most_twice_a_second(plain: EventMonitor, simulator: HubProcess, hub: hercle.Hub) -> None:
    """However many events come, the plain table changes at most twice a second."""
    times: list[float] = []
    plain._table._table.observe(lambda _: times.append(time.monotonic()), "value")
    push(simulator, hub, 1_500, rate=1_000)
    until(lambda: "<bdi>1500</bdi>" in plain._table._table.value)
    assert len(times) > 1
    assert all(later - earlier > 0.45 for earlier, later in itertools.pairwise(times))


def test_plain_filter(plain: EventMonitor, simulator: HubProcess, hub: hercle.Hub) -> None:
    """The filter finds rows among the last thousands, in any case of letters."""
    push(simulator, hub, 3, subject="Needle.one")
    push(simulator, hub, 1_000)
    plain._table._filter.value = "nEEdle"
    until(lambda: plain._table._table.value.count("<tr>") == 4)
    plain._table._filter.value = ""
    until(lambda: plain._table._table.value.count("<tr>") == 51)


def test_plain_pause(plain: EventMonitor, simulator: HubProcess, hub: hercle.Hub) -> None:
    """While paused the plain table stays as it is."""
    plain._table._pause.value = True
    before = plain._table._table.value
    push(simulator, hub, 10)
    time.sleep(0.7)
    assert plain._table._table.value == before
    plain._table._pause.value = False
    until(lambda: "<bdi>10</bdi>" in plain._table._table.value)


def test_plain_escapes(plain: EventMonitor, simulator: HubProcess, hub: hercle.Hub) -> None:
    """What a hub sends is text in the plain table; characters that turn the direction are named."""
    push(simulator, hub, 1, subject="<script>alert(1)</script>\u202e", padding=1_000)
    until(lambda: "&lt;script&gt;" in plain._table._table.value)
    assert "<script" not in plain._table._table.value
    assert "\u202e" not in plain._table._table.value
    assert "U+202E" in plain._table._table.value
    assert "x" * 500 not in plain._table._table.value


# -- without this or that ------------------------------------------------------------------------------------


def test_without_a_kernel(monitor: EventMonitor, simulator: HubProcess, hub: hercle.Hub) -> None:
    """A viewer without a kernel shows a sentence, the last state and the last rows, as text."""
    push(simulator, hub, 30, subject="<b>bold</b>")
    bundle = monitor._repr_mimebundle_()
    assert "run this cell" in bundle["text/html"]
    assert ">Connected<" in bundle["text/html"]
    assert bundle["text/html"].count("<tr>") == 21
    assert "<b>" not in bundle["text/html"]
    assert bundle["text/plain"].startswith("EventMonitor: A live table of events")


def test_saved_notebook() -> None:
    """A notebook that was run and exported shows the sentence and the state, not a widget that is dead."""
    import nbformat
    from nbclient import NotebookClient
    from nbconvert import HTMLExporter

    code = "import hercle_nb\nhub = hercle_nb.connect('simulator')\nhub.monitor()"
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(code)])
    NotebookClient(notebook, store_widget_state=False).execute()
    html, _ = HTMLExporter().from_notebook_node(notebook)
    assert "run this cell to see it" in html
    assert "Connected" in html


def python(code: str) -> subprocess.CompletedProcess[str]:
    """Run a program, warnings as errors."""
    command = [sys.executable, "-W", "error", "-c", textwrap.dedent(code)]
    return subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)


def test_without_anywidget() -> None:
    """Where anywidget is missing the monitor is plain, and says nothing about it."""
    done = python(
        """
        import sys
        sys.modules["anywidget"] = None
        import hercle_nb
        with hercle_nb.connect("simulator") as hub:
            monitor = hub.monitor()
            print(type(monitor._table).__name__)
            monitor.close()
        """
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "PlainTable\n", "")


def test_without_ipywidgets() -> None:
    """Where ipywidgets is missing the error names what to install."""
    done = python(
        """
        import sys
        sys.modules["ipywidgets"] = None
        import hercle_nb
        with hercle_nb.connect("simulator") as hub:
            for face in (hub.monitor, hub.form):
                try:
                    face()
                except ImportError as error:
                    print(error)
        """
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.count("pip install ipywidgets") == 2


def test_imported_when_used() -> None:
    """Connecting and creating imports no widgets; a script that leaves a monitor open ends in silence."""
    done = python(
        """
        import sys, threading
        import hercle_nb
        hub = hercle_nb.connect("simulator")
        hub.create_invoice(amount_sat=1)
        assert not {"anywidget", "ipywidgets"} & set(sys.modules)
        monitor = hub.monitor()
        monitor._table._handle_custom_msg({"type": "hello"}, [])
        while monitor._table._ticker is None:
            pass
        assert "hercle-interface" in {thread.name for thread in threading.enumerate()}
        """
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
