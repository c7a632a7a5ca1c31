"""The live table, without a browser: what it sends of any source, and what it makes of what one says."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

import pytest

from hercle_nb.widgets._table import PIECE, Column, LiveTable
from tests.faces import Browser, settled
from tests.fast import until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

COLUMNS = [Column("number", "No.", kind="number"), Column("memo", "Memo", labels={"x": "✗ x"})]


class Rows:
    """A source of rows, which change as a test says."""

    def __init__(self, count: int = 0) -> None:
        self.rows = [[number, "as it was"] for number in range(count)]
        self.news: list[list[Any]] = []
        self.reason = ""

    def begin(self) -> None:
        """Nothing is new."""
        self.news = []

    def latest(self) -> list[list[Any]]:
        """All rows."""
        return list(self.rows)

    def fresh(self) -> tuple[list[list[Any]], int]:
        """What a test made new."""
        news, self.news = self.news, []
        return news, 0

    def state(self) -> dict[str, Any]:
        """A state."""
        return {"state": "connected", "reason": self.reason, "notes": []}

    def ended(self) -> bool:
        """Never."""
        return False


@pytest.fixture
def table() -> Iterator[Callable[..., tuple[Rows, Browser, Any]]]:
    """Make a table of so many rows, and its browser."""
    made = []

    def make(count: int = 0, **options: Any) -> tuple[Rows, Browser, Any]:
        rows = Rows(count)
        made.append(LiveTable(rows, COLUMNS, "Rows", "hub.rows", "rows", (".csv",), **options))
        return rows, Browser(made[-1]), made[-1]

    yield make
    for one in made:
        one.close()


def test_a_log(table: Any) -> None:
    """Unless told otherwise a table is a log without further buttons."""
    _, _, log = table()
    assert log.options == {
        "label": "Rows",
        "home": "hub.rows",
        "file": "rows",
        "files": [".csv"],
        "log": True,
        "order": {"i": 0, "down": True},
        "actions": [],
    }
    assert log.columns[1]["labels"] == {"x": "✗ x"}


def test_no_log(table: Any) -> None:
    """A browser is told what other rows are sorted by, and which buttons there are, in their order."""
    _, _, other = table(log=False, order=1, actions={"refresh": "Refresh", "wait": "Wait"})
    assert other.options["log"] is False
    assert other.options["order"] == {"i": 1, "down": True}
    assert [tuple(action) for action in other.options["actions"]] == [
        ("refresh", "Refresh"),
        ("wait", "Wait"),
    ]


def test_callbacks(table: Any) -> None:
    """A message of a type that has a callback goes to that one alone, whole, on the interface thread."""
    told: list[tuple[str, Any, str]] = []
    _, browser, other = table(log=False)
    for kind in ("select", "refresh"):
        other.on(kind, lambda message, to=kind: told.append((to, message, threading.current_thread().name)))
    browser.say("select", key=7)
    browser.say("refresh")
    browser.say("export")
    settled()
    assert told == [
        ("select", {"type": "select", "key": 7}, "hercle-interface"),
        ("refresh", {"type": "refresh"}, "hercle-interface"),
    ]


def test_callback_fails(table: Any) -> None:
    """What a callback raises is said in the table, even in words that no message can hold."""
    rows, browser, other = table(log=False)

    def fail(_: Any) -> None:
        raise ValueError("half a character: \ud800")

    rows.state = lambda: other.state
    other.on("select", fail)
    browser.say("select", key=7)
    until(lambda: "ValueError: half a character: ?" in other.state["reason"])


def test_a_row_of_a_key_alone(table: Any) -> None:
    """A change and a row that goes are sent as the source gives them, once."""
    rows, browser, _ = table(2)
    until(lambda: len(browser.sent_rows()) == 2)
    rows.news = [[1, "as it is"], [0]]
    until(lambda: len(browser.sent_rows()) == 4)
    assert browser.sent_rows()[2:] == [[1, "as it is"], [0]]


def test_changed_while_the_rest_is_sent(table: Any) -> None:
    """What has changed or gone before a browser had it is not sent afterwards as it was."""
    rows, browser, other = table(3 * PIECE)
    until(browser.sent_rows)
    rows.news = [[0, "as it is"], [1]]
    until(lambda: not other._backlog)
    settled()
    last = {row[0]: row for row in browser.sent_rows()}
    assert len(last) == 3 * PIECE
    assert (last[0], last[1], last[2]) == ([0, "as it is"], [1], [2, "as it was"])


def test_state_that_no_message_holds(table: Any) -> None:
    """Words of a hub's that are no Unicode do not keep the state from a browser."""
    rows, browser, other = table()
    rows.reason = "closed: \udfff"
    until(lambda: other.state["reason"] == "closed: ?")
    assert [data["state"]["state"]["reason"] for _, data in browser.messages] == ["closed: ?"]
