"""The journal: what is to be sent is durable before a byte leaves, what came back before a cell sees it.

One thread writes. What waits when it comes round is written in one transaction, so that sixteen commands
under way cost one trip to the disk. Each transaction begins by raising the journal's revision: that row is
the lock under which kernels take turns, and a kernel that knows the revision it last saw finds what is new.
"""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import hashlib
import logging
import queue
import secrets
import threading
import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError

from hercle_nb import journal_rows, journal_tables
from hercle_nb.errors import HercleError
from hercle_nb.journal_rows import NOT_SENT, NOTED
from hercle_nb.journal_tables import CHANGES, COMMANDS, INVOICES, JOURNAL

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from hercle_nb.calls import Call
    from hercle_nb.invoices import Invoice
    from hercle_nb.journal_place import Place

T = TypeVar("T")

logger = logging.getLogger("hercle_nb")

_INVOICE = [INVOICES.c[name] for name in journal_rows.INVOICE]
_COMMAND_OF, _INVOICE_OF = (
    sa.select(*columns).where(
        table.c.hub_url == sa.bindparam("hub_url"), table.c.client_id == sa.bindparam("client_id")
    )
    for table, columns in ((COMMANDS, COMMANDS.c), (INVOICES, _INVOICE))
)
# made once, since making them costs more than what the database does with them
_SET = COMMANDS.update().where(COMMANDS.c.intent == sa.bindparam("this"))
_SET_ONLY = _SET.where(COMMANDS.c.state == sa.bindparam("only"))
_DELETE = INVOICES.delete().where(
    INVOICES.c.hub_url == sa.bindparam("hub"), INVOICES.c.digest == sa.bindparam("this")
)
_OWNED = sa.select(INVOICES.c.digest).where(
    INVOICES.c.hub_url == sa.bindparam("hub"),
    INVOICES.c.digest.in_(sa.bindparam("these", expanding=True)),
    INVOICES.c.client_id.is_not(None),
)
_MOST = 500  # in one of these
_INSERT = INVOICES.insert()
_NOTE = COMMANDS.insert()
_RAISED = JOURNAL.update().values(revision=JOURNAL.c.revision + 1)
_REVISION = sa.select(JOURNAL.c.revision)
_TELLING = (NOTED, journal_rows.REJECTED, journal_rows.DISMISSED)

_AGAIN = 0.25  # seconds until what could not be written is tried again
_AGAIN_AT_MOST = 5.0
_LATE = 3.0  # seconds that `close` waits for a database that is gone


@dataclass(eq=False)
class _Work:
    """Something for the thread: what to do in a transaction, and whom to tell.

    Attributes:
        do: Given the connection and the revision, returns the result.
        tell: Given the result, or the error; any thread may call it.
        reads: It changes nothing.
        keeps: It is tried again until it succeeds, and told of each failure.
        wanted: Whether anybody still wants it.
    """

    do: Callable[[sa.Connection, int], Any]
    tell: Callable[[Any, HercleError | None], None]
    reads: bool = False
    keeps: bool = False
    wanted: Callable[[], bool] = lambda: True


@dataclass(frozen=True)
class Changes:
    """What other kernels wrote: rows of commands and of invoices."""

    commands: list[Any]
    invoices: list[Any]


class Journal:
    """The rows of one hub in a journal; its methods are called on the hub's thread.

    Args:
        place: Where it is.
        hub_url: The hub's URL.
        environment: The hub's environment.

    Attributes:
        place: Where it is.
        trouble: Why what is to be written is not; empty if nothing waits.
    """

    def __init__(self, place: Place, hub_url: str, environment: str) -> None:
        self.place = place
        self.trouble = ""
        self._hub = {"hub_url": hub_url}
        self._environment = environment
        self._kernel = uuid.uuid4().hex
        self._engine = place.engine()
        self._salt = ""
        self._seen = -1  # the revision up to which the others' rows were read
        self._fingerprints: dict[str, str] = {}
        self._ended: Callable[[Any, HercleError | None], None] = lambda *_: None
        self._queue: queue.SimpleQueue[_Work | None] = queue.SimpleQueue()
        context = contextvars.copy_context()  # so that what is logged finds the cell
        self._thread = threading.Thread(
            target=context.run, args=(self._run,), name="hercle-journal", daemon=True
        )
        self._thread.start()

    async def open(self) -> None:
        """Make the file or the tables where they are missing, and look whether they can be written.

        Raises:
            JournalError: They cannot be used; a file stays as it was.
        """
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._queue.put(_Work(lambda *_: None, _teller(future)))  # the thread opens it before anything else
        await future

    async def fingerprint(self, key: str) -> str:
        """What tells a key from another and does not give it away."""
        return await self._ask(lambda *_: self._fingerprint(key), reads=True)

    async def changes(self) -> Changes:
        """What other kernels wrote since the last time; the first time, what there is.

        Raises:
            JournalError: It cannot be read.
        """
        return await self._ask(self._changes, reads=True)

    async def find(self, client_id: str) -> tuple[Any, Any] | None:
        """The row of a ClientId, and that of its invoice; None if it is not known.

        Raises:
            JournalError: It cannot be read.
        """
        return await self._ask(lambda connection, _: self._find(connection, client_id), reads=True)

    async def intend(self, call: Call, key: str, hub_time: float) -> tuple[Any, Any] | None:
        """Make a command durable, before it is sent.

        Returns:
            The rows that its ClientId has already, as `find` gives them; None if it is new or was not sent.

        Raises:
            JournalError: It cannot be written; nothing may be sent.
        """
        call.intent = uuid.uuid4().hex
        row = (
            self._hub
            | journal_rows.intent_row(call)
            | {
                "environment": self._environment,
                "hub_time": hub_time,
                "waits_until": call.waits_until,
                "kernel": self._kernel,
            }
        )

        def note(connection: sa.Connection, revision: int) -> tuple[Any, Any] | None:
            values = row | {"key": self._fingerprint(key), "revision": revision}
            whose = row["client_id"]
            found = None if whose is None else self._find(connection, whose)
            if found is None:
                connection.execute(_NOTE, values)
            elif found[0].state == NOT_SENT:
                connection.execute(COMMANDS.update().where(COMMANDS.c.intent == found[0].intent), values)
            elif (
                found[0].intent != call.intent
            ):  # its own: a commit whose end the connection did not live to see
                return found
            return None

        return await self._ask(note)

    def withdraw(self, call: Call) -> None:
        """Note that nothing left this machine: the ClientId is free again."""
        self._update(call, {"state": NOT_SENT, "waits_until": 0.0}, keeps=True)

    def give_up(self, call: Call) -> None:
        """Note that nobody waits for the answer any more."""
        self._update(call, {"waits_until": 0.0})

    def lose(self, calls: Iterable[Call]) -> None:
        """Note when the connections that took these commands were lost."""
        for call in calls:
            self._update(call, {"lost_at": call.lost_at}, keeps=True)

    def answer(
        self,
        call: Call,
        state: str,
        tell: Callable[[Any, HercleError | None], None],
        *,
        message: str | None = None,
        refusal: str | None = None,
        invoice: Invoice | None = None,
        doubtful: bool = False,
    ) -> None:
        """Make what came of a command durable; it is tried until it is.

        Args:
            call: The command.
            state: One of `journal_rows`.
            tell: Called on the hub's thread, with an error as often as it fails, and once without: then with
                whether it was written.
            message: The hub's message.
            refusal: What it refused, from `journal_rows.refusal_text`.
            invoice: What it created.
            doubtful: Write it only if nothing is known of the command's end.
        """
        values = {
            "state": state,
            "answered_at": journal_rows.now_text(),
            "answer": journal_rows.storable(message),
            "refusal": refusal,
            "waits_until": 0.0,
        }

        def write(connection: sa.Connection, revision: int) -> bool:
            first = self._set(connection, call, values, revision, only=NOTED)
            if not first and doubtful:
                return False
            if not first:  # the hub's list has settled it before, perhaps wrongly
                self._set(connection, call, values, revision)
                self._release(connection, call, revision)
            if invoice is not None:
                self._write_invoices(connection, [invoice], revision)
            return True

        self._put(write, _teller_to(asyncio.get_running_loop(), tell), keeps=True)

    async def dismiss(self, call: Call) -> bool:
        """Make the user's decision durable, unless something is known of the command's end; whether it was.

        Raises:
            JournalError: It cannot be written.
        """
        values = {"state": journal_rows.DISMISSED, "waits_until": 0.0}
        return await self._ask(
            lambda connection, revision: self._set(connection, call, values, revision, NOTED)
        )

    def keep(self, invoices: list[Invoice]) -> None:
        """Write what is known of invoices now; nobody waits for it."""
        self._put(
            lambda connection, revision: self._write_invoices(connection, invoices, revision), keeps=True
        )

    def note_change(self, connection: int, subject: str, data: dict[str, Any]) -> None:
        """Write a change of the connection; nobody waits for it."""
        row = journal_rows.change_row(connection, subject, data) | self._hub | {"kernel": self._kernel}
        self._put(lambda database, _: database.execute(CHANGES.insert(), row))

    async def settled(self) -> None:
        """Wait until what was put in so far has been tried.

        Raises:
            JournalError: The journal cannot be read.
        """
        await self._ask(lambda *_: None, reads=True)

    async def close(self) -> None:
        """Write what waits and end the thread; what cannot be written is logged."""
        ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._ended = _teller(ended)
        self._queue.put(None)
        with contextlib.suppress(TimeoutError):  # a database that does not answer keeps the thread alone
            await asyncio.wait_for(ended, _LATE)
            self._thread.join()

    # -- inside: putting in ------------------------------------------------------------------------------

    async def _ask(self, do: Callable[[sa.Connection, int], T], *, reads: bool = False) -> T:
        future: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        tell = _teller(future)
        self._queue.put(_Work(do, tell, reads=reads, wanted=lambda: not future.done()))
        return await future

    def _put(
        self,
        do: Callable[[sa.Connection, int], Any],
        tell: Callable[[Any, HercleError | None], None] = lambda *_: None,
        *,
        keeps: bool = False,
    ) -> None:
        self._queue.put(_Work(do, tell, keeps=keeps))

    def _update(self, call: Call, values: dict[str, Any], *, keeps: bool = False) -> None:
        def write(connection: sa.Connection, revision: int) -> None:
            self._set(connection, call, values, revision, only=NOTED)

        self._put(write, keeps=keeps)

    # -- inside: the thread ------------------------------------------------------------------------------

    def _run(self) -> None:
        waiting: list[_Work] = []
        opened = False
        failures = 0
        while True:
            works, last = self._next(waiting, failures)
            if not opened:
                try:
                    self._open()
                except Exception as error:  # noqa: BLE001  # whatever it is, the cell is told
                    for work in works:
                        work.tell(None, self._translated(error))
                    works = []
                else:
                    opened = True
            waiting = self._do(works)
            failures = failures + 1 if waiting else 0
            if not waiting:
                self.trouble = ""
            if last:
                self._end(waiting)
                return

    def _next(self, waiting: list[_Work], failures: int) -> tuple[list[_Work], bool]:
        """What is to be done now, once there is anything, and whether it is the last."""
        pause = min(_AGAIN * 2**failures, _AGAIN_AT_MOST) if waiting else None
        found: list[_Work | None] = []
        with contextlib.suppress(queue.Empty):
            found.append(self._queue.get(timeout=pause))
            while True:
                found.append(self._queue.get_nowait())
        new = [work for work in found if work is not None]
        return [*waiting, *new], None in found

    def _do(self, works: list[_Work]) -> list[_Work]:
        """Do what is to be done; what is to be tried again."""
        works = [work for work in works if work.wanted()]
        writes = [work for work in works if not work.reads]
        left = self._transact(writes) if writes else []
        for work in works:
            if work.reads:
                left += self._transact([work])
        return left

    def _transact(self, works: list[_Work]) -> list[_Work]:
        """Do all in one transaction; where that fails, each by itself. What is to be tried again."""
        try:
            with self._engine.connect() as connection:
                if works[0].reads:
                    connection = connection.execution_options(reading=True)
                with connection.begin():
                    revision = 0 if works[0].reads else self._raise_revision(connection)
                    results = [work.do(connection, revision) for work in works]
        except Exception as error:  # noqa: BLE001  # whatever it is, who waits is told
            if _is_away(error) and not works[0].reads:
                self.trouble = str(self._translated(error))
                for work in works:
                    if work.keeps:
                        work.tell(None, self._translated(error))
                return works
            if len(works) > 1:
                return [again for work in works for again in self._transact([work])]
            self.trouble = str(self._translated(error))
            works[0].tell(None, self._translated(error))
            return works if works[0].keeps else []
        for work, result in zip(works, results, strict=True):
            work.tell(result, None)
        return []

    def _end(self, waiting: list[_Work]) -> None:
        lost = sum(work.keeps for work in waiting)
        if lost:
            logger.error("%d entries are not in the journal: %s", lost, self.trouble)
        self._engine.dispose()
        self._ended(None, None)

    def _translated(self, error: Exception) -> HercleError:
        if isinstance(error, HercleError):
            return error
        if not isinstance(error, sa.exc.SQLAlchemyError):
            logger.error("the journal failed by a fault of this package", exc_info=error)
        translated = self.place.explained(error)
        translated.__cause__ = error
        return translated

    # -- inside: what is done there ----------------------------------------------------------------------

    def _open(self) -> None:
        made = self.place.make_file()
        try:
            self._make_tables()
        except Exception:
            if made is not None and made.stat().st_size == 0:
                made.unlink()
            raise

    def _make_tables(self) -> None:
        with self._engine.connect() as connection:
            if not self._known(connection.execution_options(reading=True)):
                self._use_file_as_journal(connection)
        for attempt in (1, 2, 3):  # two kernels may make the tables at the same time
            try:
                with self._engine.begin() as connection:
                    journal_tables.METADATA.create_all(connection)
                    if connection.scalar(sa.select(JOURNAL.c.version)) is None:
                        made = {
                            "version": journal_tables.VERSION,
                            "salt": secrets.token_hex(16),
                            "revision": 0,
                        }
                        connection.execute(JOURNAL.insert(), made)
                    self._raise_revision(connection)
                    self._salt = str(connection.scalar(sa.select(JOURNAL.c.salt)))
            except (sa.exc.IntegrityError, sa.exc.ProgrammingError):
                if attempt == 3:
                    raise
            else:
                return

    def _known(self, connection: sa.Connection) -> bool:
        """Whether this is a journal already, of a version that can be written; without changing anything."""
        with connection.begin():
            names = sa.inspect(connection).get_table_names()
            if JOURNAL.name not in names:
                if self.place.file is not None and names:
                    raise self.place.error("it is an SQLite database of another program; choose another file")
                return False
            version = connection.scalar(sa.select(JOURNAL.c.version))
        if version is not None and version > journal_tables.VERSION:
            raise self.place.error(
                f"a newer hercle_nb made it (its tables are version {version}, this one knows "
                f"{journal_tables.VERSION}); run pip install --upgrade hercle_nb"
            )
        return version is not None

    def _use_file_as_journal(self, connection: sa.Connection) -> None:
        if self.place.file is None:
            return
        raw: Any = connection.connection.dbapi_connection
        (mode,) = raw.execute("PRAGMA journal_mode=WAL").fetchone()
        if mode != "wal":
            raise self.place.error(
                "its disk takes no SQLite journal (no write-ahead log); choose another one"
            )

    def _raise_revision(self, connection: sa.Connection) -> int:
        connection.execute(_RAISED)
        return int(connection.scalar(_REVISION) or 0)

    def _fingerprint(self, key: str) -> str:
        if key not in self._fingerprints:
            made = hashlib.scrypt(key.encode(), salt=self._salt.encode(), n=1 << 12, r=8, p=1, dklen=16)
            self._fingerprints[key] = made.hex()
        return self._fingerprints[key]

    def _find(self, connection: sa.Connection, client_id: str) -> tuple[Any, Any] | None:
        whose = self._hub | {"client_id": client_id}
        command = connection.execute(_COMMAND_OF, whose).first()
        return None if command is None else (command, connection.execute(_INVOICE_OF, whose).first())

    def _changes(self, connection: sa.Connection, _revision: int) -> Changes:
        revision = int(connection.scalar(_REVISION) or 0)
        first = self._seen < 0

        def new(table: sa.Table) -> list[sa.ColumnElement[bool]]:
            mine = table.c.hub_url == self._hub["hub_url"]
            if first:  # most rows: an index, which coalesce() keeps away, would jump to and fro
                return [sa.func.coalesce(table.c.hub_url, "") == self._hub["hub_url"]]
            return [mine, table.c.revision > self._seen, table.c.kernel != self._kernel]

        commands = sa.select(COMMANDS).where(*new(COMMANDS))
        if first:  # what was created is among the invoices
            mine = COMMANDS.c.hub_url == self._hub["hub_url"]
            commands = sa.select(COMMANDS).where(mine, COMMANDS.c.state.in_(_TELLING))
        invoices = connection.execute(sa.select(*_INVOICE).where(*new(INVOICES)))
        # tuples, since the collector would go through a hundred thousand rows again and again
        changes = Changes(list(connection.execute(commands).all()), list(map(tuple, invoices)))
        self._seen = revision
        return changes

    def _set(
        self,
        connection: sa.Connection,
        call: Call,
        values: dict[str, Any],
        revision: int,
        only: str | None = None,
    ) -> bool:
        which = {"this": call.intent} if only is None else {"this": call.intent, "only": only}
        query = _SET if only is None else _SET_ONLY
        return connection.execute(query, values | which | {"revision": revision}).rowcount == 1

    def _release(self, connection: sa.Connection, call: Call, revision: int) -> None:
        """What was taken for a creation's invoice is nobody's."""
        mine = INVOICES.c.hub_url == self._hub["hub_url"]
        nobody = {"client_id": None, "expiry_hours": None, "revision": revision}
        connection.execute(INVOICES.update().where(mine, INVOICES.c.client_id == call.client_id), nobody)

    def _write_invoices(self, connection: sa.Connection, invoices: list[Invoice], revision: int) -> None:
        more = self._hub | {"kernel": self._kernel, "revision": revision}
        rows = [journal_rows.invoice_row(invoice) | more for invoice in invoices]
        nobodys = [row["digest"] for row in rows if row["client_id"] is None]
        owned: set[str] = set()
        for start in range(0, len(nobodys), _MOST):
            some = {"hub": self._hub["hub_url"], "these": nobodys[start : start + _MOST]}
            owned.update(connection.scalars(_OWNED, some))
        if owned:  # another kernel knows whose they are
            rows = [row for row in rows if row["client_id"] is not None or row["digest"] not in owned]
        if not rows:
            return
        connection.execute(_DELETE, [{"hub": row["hub_url"], "this": row["digest"]} for row in rows])
        connection.execute(_INSERT, rows)


def _is_away(error: Exception) -> bool:
    """Whether the database may be back in a moment: its server is gone, or a file is locked."""
    if not isinstance(error, DBAPIError):
        return False
    name = getattr(error.orig, "sqlite_errorname", "") or ""
    if name:
        return name.startswith(("SQLITE_BUSY", "SQLITE_LOCKED"))
    return error.connection_invalidated or isinstance(error, sa.exc.OperationalError)


def _teller(future: asyncio.Future[Any]) -> Callable[[Any, HercleError | None], None]:
    """What settles a future of the hub's thread from any thread."""

    def settle(result: Any, error: HercleError | None) -> None:
        if future.done():
            return
        if error is None:
            future.set_result(result)
        else:
            future.set_exception(error)

    return _teller_to(asyncio.get_running_loop(), settle)


def _teller_to(
    loop: asyncio.AbstractEventLoop, tell: Callable[[Any, HercleError | None], None]
) -> Callable[[Any, HercleError | None], None]:
    """The same function, called on a loop's thread."""

    def tell_there(result: Any, error: HercleError | None) -> None:
        with contextlib.suppress(RuntimeError):  # the hub has ended: nobody is there to be told
            loop.call_soon_threadsafe(tell, result, error)

    return tell_there
