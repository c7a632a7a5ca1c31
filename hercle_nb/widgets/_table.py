"""A live table of rows: Python's half of the face `table`. It sends; the browser does the rest.

A busy kernel answers no click, so all that a user does with the rows (filter, pause, follow, open, copy,
download) happens in the browser, which keeps the last 5,000. Rows are custom messages, not traits.

Messages to the browser: ``{type: "rows", rows, skipped}``, each row a list with a value for each column, and
``{type: "anyone"}``, which whoever is there answers with a hello. From it: ``{type: "hello"}`` when a view
appears where there was none, ``{type: "here"}`` now and then while there is one, ``{type: "bye"}`` when the
last one goes. It sends from the beginning, since a kernel that is busy then hears no hello for long; after a
bye it rests until the next hello. Where nobody is heard for long it rests too: of a browser that is gone,
Jupyter's server keeps all messages. A table that is no log also says ``{type: "select", key}`` when a row is
opened, ``{type: "export", name, keys}`` when the rows shown are wanted as a file, and what its actions are
called.
"""

from __future__ import annotations

import threading
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, Literal, Protocol, TypeAlias

import traitlets

from hercle_nb.widgets._box import sendable
from hercle_nb.widgets._frontend import LiveWidget
from hercle_nb.widgets._interface import Ticker, every

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

Row: TypeAlias = list[Any]

RING = 5_000  # rows that a browser keeps
PIECE = 500  # rows in a message
TICK = 0.11  # seconds between two messages of a kind: ten a second at most, however late one of them leaves
_UNHEARD = 50_000_000  # characters sent without a word from a browser
_TEXT = 500_000  # characters in a message; more than that ten times a second is a burden to a browser


@dataclass(frozen=True)
class Column:
    """A column of the table.

    Attributes:
        name: Its name in downloads.
        label: Its heading.
        kind: How its values are shown: ``text``; ``number`` and ``amount``, a text of digits, to the right;
            ``time`` and ``moment``, an ISO 8601 text, as the time of day and as date and time; ``json``, a
            JSON text, laid out when the row is opened.
        width: In CSS.
        filter: How rows can be chosen by it: ``choice``, one of its values; ``range``, two numbers; ``days``,
            two days.
        unit: Of the numbers or days of the filter.
        labels: What is shown in place of some of its values.
    """

    name: str
    label: str
    kind: Literal["text", "number", "amount", "time", "moment", "json"] = "text"
    width: str = "8em"
    filter: Literal["", "choice", "range", "days"] = ""
    unit: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)


class Source(Protocol):
    """Where rows come from; asked on the interface thread alone.

    The first value of a row is its key, a whole number. A row whose key is there already replaces that one;
    a row of a key alone takes it away.
    """

    def latest(self) -> list[Row]:
        """The rows for a browser that has none, at most `RING`."""

    def begin(self) -> None:
        """Let `fresh` go on from here."""

    def fresh(self) -> tuple[list[Row], int]:
        """The newest rows since `begin` or the last call, at most `PIECE`, and how many it left out."""

    def state(self) -> dict[str, Any]:
        """What the table says besides: ``state``, ``reason`` and ``notes``, a list of texts.

        Also, if wanted, a ``notice`` and which actions are ``pressed``, by name.
        """

    def ended(self) -> bool:
        """Whether no further row will come."""


class LiveTable(LiveWidget):
    """A live table of rows, drawn by the browser.

    Args:
        source: Where the rows come from.
        columns: What they hold.
        label: The table's name, for assistive technology; None where it is in a region that has one.
        home: Where all rows are, skipped ones too: ``hub.events``.
        file: The name of downloaded files, without suffix.
        files: Their suffixes. Those of a log are written by the browser.
        log: The rows are a log, in the order of their keys; else they are sorted, and have no other detail
            than what the callback for ``select`` shows.
        order: Which column other rows are sorted by at first, downwards.
        actions: Further buttons: what a press is called in the message that tells of it, and the label.
    """

    columns: Any = traitlets.List().tag(sync=True)
    options: Any = traitlets.Dict().tag(sync=True)
    state: Any = traitlets.Dict().tag(sync=True)

    def __init__(
        self,
        source: Source,
        columns: list[Column],
        label: str | None,
        home: str,
        file: str,
        files: Sequence[str],
        *,
        log: bool = True,
        order: int = 0,
        actions: Mapping[str, str] | None = None,
    ) -> None:
        self._source: Source | None = source  # until it is closed
        self._closing = threading.Lock()
        self._ticker: Ticker | None = None
        self._backlog: list[Row] = []
        self._skipped = 0
        self._unheard = 0
        self._forgotten = False
        self._callbacks: dict[str, Callable[[dict[str, Any]], object]] = {}
        super().__init__(
            face="table",
            columns=[asdict(column) for column in columns],
            options={
                "label": label,
                "home": home,
                "file": file,
                "files": list(files),
                "log": log,
                "order": {"i": order, "down": True},
                "actions": list((actions or {}).items()),
            },
            state=sendable(source.state()),
        )
        self._start()

    def on(self, kind: str, callback: Callable[[dict[str, Any]], object]) -> None:
        """Call back with each message of that type from a browser, on the interface thread."""
        self._callbacks[kind] = callback

    def close(self) -> None:
        """Send no more, let the source go, and go; does nothing the second time."""
        with self._closing:  # not while a hello starts the ticker
            self._source = None
            self._rest()
        super().close()

    def _answer(self, message: dict[str, Any]) -> None:
        kind = message.get("type")
        if (callback := self._callbacks.get(str(kind))) is not None:
            callback(message)
            return
        with self._closing:
            forgotten, self._forgotten, self._unheard = self._forgotten, False, 0
            if kind == "hello" or (kind == "here" and forgotten):
                self._start()
            elif kind == "bye" and self._ticker is not None:
                self._rest()
                self.send({"type": "anyone"})

    def _fail(self, error: Exception) -> None:
        self.state = sendable(self.state | failure(error))

    def _start(self) -> None:
        """Send what a browser lacks that has nothing, and what comes."""
        source = self._source
        if source is None:
            return
        if self._ticker is None:
            source.begin()
            self._ticker = every(TICK, self._tick, self._fail)
        self._backlog = source.latest()

    def _rest(self) -> None:
        if self._ticker is not None:
            self._ticker.cancel()
        self._ticker = None
        self._backlog = []

    def _tick(self) -> None:
        """Send at most one message of rows and one of state: what is new, then what fresh browsers lack."""
        source = self._source
        if source is None:
            return
        state = sendable(source.state())
        rows, skipped = source.fresh()
        taken = _last(rows, PIECE, _TEXT)
        self._skipped += skipped + len(rows) - len(taken)
        if taken and self._backlog:  # a row that has changed meanwhile is not sent as it was
            changed = {row[0] for row in taken}
            self._backlog = [row for row in self._backlog if row[0] not in changed]
        older = _last(self._backlog, PIECE - len(taken), _TEXT - sum(map(_size, taken)))
        del self._backlog[len(self._backlog) - len(older) :]
        if taken or older:
            self.send({"type": "rows", "rows": older + taken, "skipped": self._skipped})
            self._unheard += sum(map(_size, older + taken))
            if self._unheard > _UNHEARD:
                self._forgotten = True
                self._rest()
        elif state == self.state and not self._backlog and source.ended():
            self._rest()
        if state != self.state:
            self.state = state


def failure(error: Exception) -> dict[str, Any]:
    """The part of a table's state that says that it stands still."""
    return {"reason": f"This table could not be brought up to date: {type(error).__name__}: {error}"}


def _last(rows: list[Row], count: int, text: int) -> list[Row]:
    """The last rows, at most so many and of so much text."""
    begin = len(rows)
    while begin and len(rows) - begin < count and (text := text - _size(rows[begin - 1])) >= 0:
        begin -= 1
    return rows[begin:]


def _size(row: Row) -> int:
    return sum(len(value) for value in row if isinstance(value, str))
