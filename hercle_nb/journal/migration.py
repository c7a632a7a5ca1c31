"""From the tables of version 1 to those of today, in one transaction; and what tells a kernel of then so."""

from __future__ import annotations

import contextlib
from typing import Any

import sqlalchemy as sa

from hercle_nb.bolt11 import read_unverified
from hercle_nb.errors import PaymentRequestError
from hercle_nb.invoices import proves
from hercle_nb.journal.rows import DONE, NOTED
from hercle_nb.journal.tables import COMMANDS, INVOICES, JOURNAL, METADATA, VERSION
from hercle_nb.listed import LIST

_RESTART = "a newer hercle_nb has changed the tables of this journal: restart this kernel"
# A kernel of version 1 raises the revision before it writes anything, and shows what the database says then.
_REFUSE_VERSION_1 = {
    "sqlite": (
        "CREATE TRIGGER hercle_restart BEFORE UPDATE OF revision ON hercle_journal "
        f"BEGIN SELECT RAISE(ABORT, '{_RESTART}'); END",
    ),
    "postgresql": (
        "CREATE OR REPLACE FUNCTION hercle_restart() RETURNS trigger LANGUAGE plpgsql "
        f"AS $$BEGIN RAISE EXCEPTION '{_RESTART}'; END$$",
        "CREATE TRIGGER hercle_restart BEFORE UPDATE OF revision ON hercle_journal "
        "FOR EACH STATEMENT EXECUTE FUNCTION hercle_restart()",
    ),
}


def migrate(connection: sa.Connection) -> None:
    """Bring the tables of an earlier version to this one, within the transaction under way.

    Nothing is lost: columns and tables are added. Amounts of invoices become those of their payment requests
    beside what was asked, those made here get the key of their command, and creations that were called done
    without an invoice are open questions again.
    """
    _lock(connection)
    if connection.scalar(sa.select(JOURNAL.c.version)) == VERSION:  # another kernel was quicker
        return
    _add_columns(connection)
    METADATA.create_all(connection)
    connection.execute(JOURNAL.update().values(turn=JOURNAL.c.revision, version=VERSION))
    _reopen(connection)
    _give_keys(connection)
    _correct_invoices(connection)
    for statement in _REFUSE_VERSION_1.get(connection.dialect.name, ()):  # of other databases: assumed none
        connection.exec_driver_sql(statement)


def _lock(connection: sa.Connection) -> None:
    """Wait until nobody reads or writes; SQLite has done so at the beginning of the transaction."""
    if connection.dialect.name == "postgresql":  # in the order in which they are read
        connection.exec_driver_sql(
            "LOCK TABLE hercle_journal, hercle_commands, hercle_invoices IN ACCESS EXCLUSIVE MODE"
        )


def _add_columns(connection: sa.Connection) -> None:
    quote = connection.dialect.identifier_preparer.quote
    inspector = sa.inspect(connection)
    for table in (JOURNAL, COMMANDS, INVOICES):
        there = {column["name"] for column in inspector.get_columns(table.name)}
        for column in table.columns:
            if column.name not in there:
                kind = column.type.compile(connection.dialect)
                default = "" if column.nullable else " DEFAULT 0 NOT NULL"
                connection.exec_driver_sql(
                    f"ALTER TABLE {table.name} ADD COLUMN {quote(column.name)} {kind}{default}"
                )
        for index in table.indexes:
            index.create(connection, checkfirst=True)


def _reopen(connection: sa.Connection) -> None:
    """A creation that the hub answered without a payment request is a question: nobody knows its invoice."""
    invoices = sa.select(INVOICES.c.client_id).where(
        INVOICES.c.hub_url == COMMANDS.c.hub_url, INVOICES.c.client_id == COMMANDS.c.client_id
    )
    without = COMMANDS.update().where(
        COMMANDS.c.state == DONE, COMMANDS.c.creation, ~invoices.correlate(COMMANDS).exists()
    )
    revision = sa.select(JOURNAL.c.revision).scalar_subquery()
    connection.execute(without.values(state=NOTED, waits_until=0.0, revision=revision))


def _give_keys(connection: sa.Connection) -> None:
    """The key under which an invoice was made: its command's. Of others nothing says it until a list does."""
    own = sa.select(COMMANDS.c.key).where(
        COMMANDS.c.hub_url == INVOICES.c.hub_url, COMMANDS.c.client_id == INVOICES.c.client_id
    )
    made = INVOICES.update().where(INVOICES.c.client_id.is_not(None))
    connection.execute(made.values(key=own.correlate(INVOICES).scalar_subquery()))


def _correct_invoices(connection: sa.Connection) -> None:
    names = ("hub_url", "digest", "client_id", "amount_msat", "payment_request", "payment_hash", "preimage")
    rows = connection.execute(
        sa.select(*(INVOICES.c[name] for name in (*names, "updated_at", "alarm"))).where(
            sa.or_(INVOICES.c.alarm, INVOICES.c.preimage.is_not(None))
        )
    )
    found = [(row, _corrections(row)) for row in rows.all()]
    changes = [{"hub": row.hub_url, "this": row.digest} | values for row, values in found if values]
    which = INVOICES.update().where(
        INVOICES.c.hub_url == sa.bindparam("hub"), INVOICES.c.digest == sa.bindparam("this")
    )
    if changes:
        connection.execute(which, changes)


def _corrections(row: Any) -> dict[str, Any]:
    """What version 1 left out of an invoice: the payment request's own amount, and when it was paid."""
    amount_msat, asked_msat, paid_at = row.amount_msat, None, None
    if row.updated_at is not None and proves(row.preimage, row.payment_hash):
        paid_at = row.updated_at
    if row.client_id is not None and row.alarm:
        with contextlib.suppress(PaymentRequestError):
            amount_msat = read_unverified(row.payment_request).amount_msat
    if amount_msat != row.amount_msat:
        asked_msat = row.amount_msat
    if asked_msat is None and paid_at is None:
        return {}
    return {
        "amount_msat": amount_msat,
        "asked_msat": asked_msat,
        "paid_at": paid_at,
        "paid_at_source": None if paid_at is None else LIST,
    }
