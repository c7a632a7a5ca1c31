"""The journal: what is to be sent is durable before a byte leaves, what came back before a cell sees it.

Each transaction begins by raising the journal's revision: that row is the lock under which kernels take
turns, and a kernel that knows the revision it last saw finds what is new.
"""

from __future__ import annotations

import hashlib
import secrets
import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from hercle_nb.accounts import Accounts, Holder
from hercle_nb.journal import rows as journal_rows
from hercle_nb.journal import tables as journal_tables
from hercle_nb.journal.migration import migrate
from hercle_nb.journal.rows import NOT_SENT, NOTED
from hercle_nb.journal.tables import (
    ACCOUNTS,
    BATCHES,
    CHANGES,
    COMMANDS,
    INVOICES,
    JOURNAL,
    OBSERVATIONS,
)
from hercle_nb.journal.writer import Writer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from hercle_nb.batch.again import Made
    from hercle_nb.calls import Call
    from hercle_nb.config import Secret
    from hercle_nb.errors import HercleError
    from hercle_nb.invoices import Invoice
    from hercle_nb.journal.place import Place

_INVOICE = [INVOICES.c[name] for name in journal_rows.ENTRY]
_COMMAND_OF, _INVOICE_OF = (
    sa.select(*columns).where(
        table.c.hub_url == sa.bindparam("hub_url"), table.c.client_id == sa.bindparam("client_id")
    )
    for table, columns in ((COMMANDS, COMMANDS.c), (INVOICES, _INVOICE))
)
# made once, since making them costs more than what the database does with them
_SET = COMMANDS.update().where(COMMANDS.c.intent == sa.bindparam("this"))
_SET_ONLY = _SET.where(COMMANDS.c.state == sa.bindparam("only"))
_THERE = sa.select(INVOICES.c.digest, INVOICES.c.client_id).where(
    INVOICES.c.hub_url == sa.bindparam("hub"),
    INVOICES.c.digest.in_(sa.bindparam("these", expanding=True)),
)
_MOST = 500  # in one of these
_INSERT = INVOICES.insert()
_UPDATE = (
    INVOICES.update()
    .where(INVOICES.c.hub_url == sa.bindparam("hub"), INVOICES.c.digest == sa.bindparam("this"))
    .values(key=sa.func.coalesce(INVOICES.c.key, sa.bindparam("seen_with", type_=sa.String)))
)
_NOTE = COMMANDS.insert()
_RAISED = JOURNAL.update().values(turn=JOURNAL.c.turn + 1)
_TURN = sa.select(JOURNAL.c.version, JOURNAL.c.turn)
_TELLING = (NOTED, journal_rows.REJECTED, journal_rows.DISMISSED)


@dataclass(frozen=True)
class Changes:
    """What other kernels wrote: rows of commands and of invoices, up to a revision.

    Attributes:
        commands: Rows of commands.
        invoices: The columns of `rows.ENTRY` of invoices.
        holders: What is known of all keys.
        older: ClientIds that version 0.1 made, and those that the same parts have today.
        revision: Up to which this is so.
    """

    commands: list[Any]
    invoices: list[Any]
    holders: list[Holder]
    older: list[tuple[str, str]]
    revision: int


class Journal:
    """The rows of one hub in a journal; its methods are called on the hub's thread.

    Args:
        place: Where it is.
        hub_url: The hub's URL.
        environment: The hub's environment.

    Attributes:
        place: Where it is.
    """

    def __init__(self, place: Place, hub_url: str, environment: str) -> None:
        self.place = place
        self._hub = {"hub_url": hub_url}
        self._environment = environment
        self._kernel = uuid.uuid4().hex
        journal_rows.KERNELS.add(self._kernel)
        self._salt = ""
        self._seen = -1  # the revision up to which the others' rows were read
        self._fingerprints: dict[Secret, str] = {}
        self._writer = Writer(place, self._prepare, self._raise_turn)

    @property
    def trouble(self) -> str:
        """Why what is to be written is not, for a person; empty if nothing waits."""
        return self._writer.trouble

    async def open(self) -> None:
        """Make the file or the tables where they are missing, and look whether they can be written.

        Raises:
            JournalError: They cannot be used; a file stays as it was.
        """
        await self._writer.read(lambda *_: None)

    async def fingerprint(self, key: Secret) -> str:
        """What tells a key from another and does not give it away."""
        return await self._writer.read(lambda *_: self._fingerprint(key))

    async def changes(self) -> Changes:
        """What other kernels wrote since the last time; the first time, what there is.

        Raises:
            JournalError: It cannot be read.
        """
        changes = await self._writer.read(self._changes)
        self._seen = max(self._seen, changes.revision)  # not before: a look that was cancelled saw nothing
        return changes

    def read_again(self) -> None:
        """Let `changes` begin anew with what there is."""
        self._seen = -1

    def join(self, key: str, user_id: str | None, others: Iterable[str]) -> None:
        """Write whose a key is, and with which others it shares an account; nobody waits for it.

        Args:
            key: Its fingerprint.
            user_id: What the hub calls the account; None while it has not said.
            others: Fingerprints of keys of the same account.
        """

        def write(connection: sa.Connection, _revision: int) -> None:
            for holder in Accounts(self._holders(connection)).join(key, user_id, others):
                row = self._hub | journal_rows.holder_row(holder)
                mine = (ACCOUNTS.c.hub_url == row["hub_url"], ACCOUNTS.c.key == holder.key)
                if not connection.execute(ACCOUNTS.update().where(*mine), row).rowcount:
                    connection.execute(ACCOUNTS.insert(), row)

        self._writer.put(write)

    async def note_batch(self, batch: Made, key: str) -> None:
        """Make durable that a batch is begun, or goes on with other rows; whether it has a name stays.

        Raises:
            JournalError: It cannot be written.
        """
        row = self._hub | journal_rows.batch_row(batch) | {"key": key, "kernel": self._kernel}

        def note(connection: sa.Connection, _revision: int) -> None:
            mine = (BATCHES.c.hub_url == row["hub_url"], BATCHES.c.batch == row["batch"])
            before = connection.execute(sa.select(BATCHES).where(*mine)).all()
            if all(one.digest != row["digest"] for one in before):
                first = {"named": before[0].named, "made_at": before[0].made_at} if before else {}
                connection.execute(BATCHES.insert(), row | first)

        await self._writer.write(note)

    async def unnamed_batches(self, digest: str) -> list[Any]:
        """The batches without a name of which something was sent that ask for the same, the newest first.

        Raises:
            JournalError: It cannot be read.
        """
        sent = sa.select(COMMANDS.c.intent).where(
            COMMANDS.c.hub_url == BATCHES.c.hub_url,
            COMMANDS.c.batch == BATCHES.c.batch,
            COMMANDS.c.state != NOT_SENT,
        )
        alike = (
            sa.select(BATCHES)
            .where(
                BATCHES.c.hub_url == self._hub["hub_url"],
                BATCHES.c.digest == digest,
                ~BATCHES.c.named,
                sent.exists(),
            )
            .order_by(BATCHES.c.made_at.desc())
        )
        return await self._writer.read(lambda connection, _: list(connection.execute(alike)))

    def note_older(self, client_id: str, also: str) -> None:
        """Write that a ClientId of version 0.1 has another one today; nobody waits for it."""
        mine = (COMMANDS.c.hub_url == self._hub["hub_url"], COMMANDS.c.client_id == client_id)
        change = COMMANDS.update().where(*mine)
        self._writer.put(
            lambda connection, revision: connection.execute(change, {"also": also, "revision": revision})
        )

    def observe(self, kind: str, raw: str, *, intent: str | None = None, digest: str | None = None) -> None:
        """Write what the hub said, as it came; nobody waits for it."""
        row = self._observation(kind, raw, intent, digest)
        self._writer.put(lambda connection, _: connection.execute(OBSERVATIONS.insert(), row))

    async def find(self, client_id: str) -> tuple[Any, Any] | None:
        """The row of a ClientId, and that of its invoice; None if it is not known.

        Raises:
            JournalError: It cannot be read.
        """
        return await self._writer.read(lambda connection, _: self._find(connection, client_id))

    async def intend(self, call: Call, key: Secret, hub_time: float) -> tuple[Any, Any] | None:
        """Make a command durable, before it is sent.

        Returns:
            The rows that its ClientId has already, as `find` gives them; None if it is new or was not sent.

        Raises:
            JournalError: It cannot be written; nothing may be sent.
        """
        call.intent = uuid.uuid4().hex
        mine = {"environment": self._environment, "hub_time": hub_time, "kernel": self._kernel}
        row = self._hub | journal_rows.intent_row(call) | mine

        def note(connection: sa.Connection, revision: int) -> tuple[Any, Any] | None:
            values = row | {"key": self._fingerprint(key), "revision": revision}
            whose = row["client_id"]
            found = None if whose is None else self._find(connection, whose)
            if found is None:
                connection.execute(_NOTE, values)
            elif found[0].state == NOT_SENT:
                connection.execute(COMMANDS.update().where(COMMANDS.c.intent == found[0].intent), values)
            else:  # its own is from a commit whose end the connection did not live to see
                return None if found[0].intent == call.intent else found
            return None

        return await self._writer.write(note)

    async def note_key(self, call: Call) -> None:
        """Note that a command is sent with another key than its intent says: the key was changed meanwhile.

        Raises:
            JournalError: It cannot be written; nothing may be sent.
        """
        values = {"key": call.key}
        await self._writer.write(
            lambda connection, revision: self._set(connection, call, values, revision, NOTED)
        )

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
            state: One of `journal.rows`.
            tell: Called on the hub's thread, with an error as often as it fails, and once without: then with
                whether it was written.
            message: The hub's message.
            refusal: What it refused, from `journal.rows.refusal_text`.
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
            if doubtful and invoice is not None and self._is_anothers(connection, invoice, call):
                return False
            first = self._set(connection, call, values, revision, only=NOTED)
            if not first and doubtful:
                return False
            if not first:  # the hub's list has settled it before, perhaps wrongly
                self._set(connection, call, values, revision)
                self._release(connection, call, revision)
            if invoice is not None:
                self._write_invoices(connection, [invoice], revision, call.key)
            if message is not None:
                said = self._observation(journal_rows.ANSWER, message, call.intent, None)
                connection.execute(OBSERVATIONS.insert(), said)
            return True

        self._writer.put(write, tell)

    def note_answer(self, call: Call, message: str) -> None:
        """Note an answer that leaves a creation open: it names the hub's id and brings no payment request."""
        self._update(call, {"answer": journal_rows.storable(message), "waits_until": 0.0}, keeps=True)

    async def dismiss(self, call: Call) -> bool:
        """Make the user's decision durable, unless something is known of the command's end; whether it was.

        Raises:
            JournalError: It cannot be written.
        """
        values = {"state": journal_rows.DISMISSED, "waits_until": 0.0}
        return await self._writer.write(
            lambda connection, revision: self._set(connection, call, values, revision, NOTED)
        )

    def keep(self, invoices: list[Invoice], key: str | None) -> None:
        """Write what is known of invoices now, seen with a key; nobody waits for it."""
        self._writer.put(
            lambda connection, revision: self._write_invoices(connection, invoices, revision, key)
        )

    def note_change(self, connection: int, subject: str, data: dict[str, Any]) -> None:
        """Write a change of the connection; nobody waits for it."""
        row = journal_rows.change_row(connection, subject, data) | self._hub | {"kernel": self._kernel}
        self._writer.put(lambda database, _: database.execute(CHANGES.insert(), row), keeps=False)

    async def settled(self) -> None:
        """Wait until what was put in so far has been tried.

        Raises:
            JournalError: The journal cannot be read.
        """
        await self._writer.read(lambda *_: None)

    async def close(self) -> None:
        """Write what waits, and end; what cannot be written is logged."""
        await self._writer.close()
        journal_rows.KERNELS.discard(self._kernel)

    # -- inside ------------------------------------------------------------------------------------------

    def _update(self, call: Call, values: dict[str, Any], *, keeps: bool = False) -> None:
        def write(connection: sa.Connection, revision: int) -> None:
            self._set(connection, call, values, revision, only=NOTED)

        self._writer.put(write, keeps=keeps)

    def _prepare(self, engine: sa.Engine) -> None:
        made = self.place.make_file()
        try:
            self._make_tables(engine)
        except Exception:
            if made is not None and made.stat().st_size == 0:
                made.unlink()
            raise

    def _make_tables(self, engine: sa.Engine) -> None:
        with engine.connect() as connection:
            version = self._version(connection.execution_options(reading=True))
            if version is None:
                self._use_file_as_journal(connection)
        for attempt in (1, 2, 3):  # two kernels may make the tables at the same time
            try:
                with engine.begin() as connection:
                    if version is not None and version < journal_tables.VERSION:
                        migrate(connection)
                    journal_tables.METADATA.create_all(connection)
                    if connection.scalar(sa.select(JOURNAL.c.version)) is None:
                        made = {
                            "version": journal_tables.VERSION,
                            "salt": secrets.token_hex(16),
                            "revision": 0,
                            "turn": 0,
                        }
                        connection.execute(JOURNAL.insert(), made)
                    self._raise_turn(connection)
                    self._salt = str(connection.scalar(sa.select(JOURNAL.c.salt)))
            except (sa.exc.IntegrityError, sa.exc.ProgrammingError):
                if attempt == 3:
                    raise
            else:
                return

    def _version(self, connection: sa.Connection) -> int | None:
        """The version of the journal's tables; None where there is none. Changes nothing."""
        with connection.begin():
            names = sa.inspect(connection).get_table_names()
            if JOURNAL.name not in names:
                if self.place.file is not None and names:
                    raise self.place.error("it is an SQLite database of another program; choose another file")
                return None
            version = connection.scalar(sa.select(JOURNAL.c.version))
        if version is not None and version > journal_tables.VERSION:
            raise self.place.error(
                f"a newer hercle_nb made it (its tables are version {version}, this one knows "
                f"{journal_tables.VERSION}); run pip install --upgrade hercle_nb"
            )
        return version

    def _raise_turn(self, connection: sa.Connection) -> int:
        """Begin to write: other kernels wait until this transaction ends."""
        connection.execute(_RAISED)
        version, turn = connection.execute(_TURN).one()
        if version != journal_tables.VERSION:
            raise self.place.error("a newer hercle_nb has changed its tables meanwhile; restart this kernel")
        return int(turn)

    def _use_file_as_journal(self, connection: sa.Connection) -> None:
        if self.place.file is None:
            return
        raw: Any = connection.connection.dbapi_connection
        (mode,) = raw.execute("PRAGMA journal_mode=WAL").fetchone()
        if mode != "wal":
            raise self.place.error(
                "its disk takes no SQLite journal (no write-ahead log); choose another one"
            )

    def _fingerprint(self, key: Secret) -> str:
        if key not in self._fingerprints:
            made = hashlib.scrypt(key.encode(), salt=self._salt.encode(), n=1 << 12, r=8, p=1, dklen=16)
            self._fingerprints[key] = made.hex()
        return self._fingerprints[key]

    def _find(self, connection: sa.Connection, client_id: str) -> tuple[Any, Any] | None:
        whose = self._hub | {"client_id": client_id}
        command = connection.execute(_COMMAND_OF, whose).first()
        return None if command is None else (command, connection.execute(_INVOICE_OF, whose).first())

    def _holders(self, connection: sa.Connection) -> list[Holder]:
        mine = ACCOUNTS.c.hub_url == self._hub["hub_url"]
        columns = (ACCOUNTS.c.key, ACCOUNTS.c.account, ACCOUNTS.c.user_id)
        return [Holder(*row) for row in connection.execute(sa.select(*columns).where(mine))]

    def _observation(self, kind: str, raw: str, intent: str | None, digest: str | None) -> dict[str, Any]:
        return self._hub | {
            "at": journal_rows.now_text(),
            "kernel": self._kernel,
            "kind": kind,
            "intent": intent,
            "digest": digest,
            "raw": journal_rows.storable(raw),
        }

    def _changes(self, connection: sa.Connection, _revision: int) -> Changes:
        revision = int(connection.execute(_TURN).one().turn)
        first = self._seen < 0

        def new(table: sa.Table) -> list[sa.ColumnElement[bool]]:
            mine = table.c.hub_url == self._hub["hub_url"]
            if first:  # most rows: an index, which coalesce() keeps away, would jump to and fro
                return [sa.func.coalesce(table.c.hub_url, "") == self._hub["hub_url"]]
            news = table.c.kernel != self._kernel
            if table is COMMANDS:  # where it says who sent it, and another may have found out how it ended
                news = sa.or_(news, COMMANDS.c.state.not_in((NOTED, NOT_SENT)))
            return [mine, table.c.revision > self._seen, news]

        commands = sa.select(COMMANDS).where(*new(COMMANDS))
        if first:  # what was created is among the invoices
            mine = COMMANDS.c.hub_url == self._hub["hub_url"]
            commands = sa.select(COMMANDS).where(mine, COMMANDS.c.state.in_(_TELLING))
        found = list(connection.execute(commands).all())
        # the invoices last, so that nothing is done above of which there is no invoice below
        invoices = connection.execute(sa.select(*_INVOICE).where(*new(INVOICES)))
        older = connection.execute(
            sa.select(COMMANDS.c.client_id, COMMANDS.c.also).where(
                COMMANDS.c.hub_url == self._hub["hub_url"],
                COMMANDS.c.revision > self._seen,
                COMMANDS.c.also.is_not(None),
            )
        )
        # tuples, since the collector would go through a hundred thousand rows again and again
        rows = list(map(tuple, invoices))
        return Changes(found, rows, self._holders(connection), list(map(tuple, older)), revision)

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

    def _is_anothers(self, connection: sa.Connection, invoice: Invoice, call: Call) -> bool:
        """Whether another command is known to have made an invoice."""
        this = [journal_rows.digest(invoice.payment_request)]
        there = connection.execute(_THERE, {"hub": self._hub["hub_url"], "these": this}).first()
        return there is not None and there.client_id not in (None, call.client_id)

    def _release(self, connection: sa.Connection, call: Call, revision: int) -> None:
        """What was taken for a creation's invoice is nobody's."""
        mine = INVOICES.c.hub_url == self._hub["hub_url"]
        nobody = {"client_id": None, "expiry_hours": None, "revision": revision}
        connection.execute(INVOICES.update().where(mine, INVOICES.c.client_id == call.client_id), nobody)

    def _write_invoices(
        self, connection: sa.Connection, invoices: list[Invoice], revision: int, key: str | None
    ) -> None:
        more = self._hub | {"kernel": self._kernel, "revision": revision}
        rows = {row["digest"]: row | more for row in map(journal_rows.invoice_row, invoices)}
        there: dict[str, str | None] = {}
        digests = list(rows)
        for start in range(0, len(digests), _MOST):
            some = {"hub": self._hub["hub_url"], "these": digests[start : start + _MOST]}
            there.update((found, owner) for found, owner in connection.execute(_THERE, some))
        fresh = [row | {"key": key} for digest, row in rows.items() if digest not in there]
        # where another kernel knows whose an invoice is, it stays so
        known = [
            row | {"hub": row["hub_url"], "this": digest, "seen_with": key}
            for digest, row in rows.items()
            if digest in there and (row["client_id"] is not None or there[digest] is None)
        ]
        if fresh:
            connection.execute(_INSERT, fresh)
        if known:
            connection.execute(_UPDATE, known)
