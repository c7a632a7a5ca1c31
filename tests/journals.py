"""Two kernels with one journal, and what any other program sees in it."""

from __future__ import annotations

import re
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING, Any

import pytest
import sqlalchemy as sa
from sqlalchemy.pool import NullPool

import hercle_nb as hercle
from tests.fast import until
from tests.servers import KEY

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.servers import HubProcess

COFFEE = {"amount_btc": "0.001", "memo": "Coffee", "expiry_hours": 24}
TEA = COFFEE | {"memo": "Tea"}
# each hub with another database, so that both are looked at in half the time
PAIRS = pytest.mark.parametrize(
    ("server", "journal"),
    [("simulator", "postgresql"), ("reference", "sqlite")],
    indirect=True,
    ids=["simulator-postgresql", "reference-sqlite"],
)
KERNELS = pytest.mark.parametrize("kernels", ["one after the other", "both at once"], indirect=True)
NOBODY = "http://127.0.0.1:9/hub"  # the journal is opened before the hub is asked


class Kernels:
    """Two kernels with one journal: ``first``, and ``second`` once it is asked for.

    Args:
        at_once: Both are there from the beginning; else the first ends before the second begins.
    """

    def __init__(self, server: HubProcess, journal: str, *, at_once: bool) -> None:
        self.server, self.journal = server, journal
        self.first = connect(server, journal)
        self._second = connect(server, journal) if at_once else None

    @property
    def second(self) -> hercle.Hub:
        """The second kernel."""
        if self._second is None:
            self.first.close()
            self._second = connect(self.server, self.journal)
        return self._second

    def close(self) -> None:
        """End both."""
        self.first.close()
        if self._second is not None:
            self._second.close()


def connect(server: HubProcess, journal: str, **options: Any) -> hercle.Hub:
    """A hub with a journal."""
    given = {"url": server.url, "api_key": server.key, "journal": journal, "timeout": 10} | options
    return hercle.connect(**given)


def rows(journal: str, table: str = "hercle_commands") -> list[Any]:
    """The rows of a journal's table, as any other program sees them."""
    with closing(_connection(journal)) as connection:
        return list(connection.execute(sa.text(f"SELECT * FROM {table}")))  # noqa: S608  # our own names


def row(journal: str, client_id: str) -> Any:
    """The row of one command; None if there is none."""
    return next((row for row in rows(journal) if row.client_id == client_id), None)


def edit(journal: str, statement: str) -> None:
    """Change a journal behind this package's back."""
    with closing(_connection(journal)) as connection:
        connection.exec_driver_sql(statement)


@contextmanager
def held(journal: str) -> Iterator[None]:
    """Keep every other program from writing to a journal."""
    with closing(_connection(journal)) as connection:
        connection.exec_driver_sql("BEGIN" if "://" in journal else "BEGIN IMMEDIATE")
        connection.exec_driver_sql("UPDATE hercle_journal SET turn = turn")
        try:
            yield
        finally:
            connection.exec_driver_sql("ROLLBACK")


def sent(server: HubProcess, method: str = "CreateLightningInvoice") -> int:
    """How often the hub was asked to do something."""
    return sum(one["method"] == method for one in server.stats()["invocations"])


def lose(hub: hercle.Hub, server: HubProcess, client_id: str, journal: str, **asked: Any) -> None:
    """Create an invoice whose answer never comes, and wait until it is known that nobody waits for it."""
    before = server.created()
    server.mode(noReply=True)
    with pytest.raises(hercle.OutcomeUnknown):
        hub.create_invoice(**COFFEE | asked, client_id=client_id, timeout=0.8)
    until(lambda: server.created() == before + 1)  # a slow hub may only now decide whether to reply
    server.mode()
    until(lambda: row(journal, client_id).waits_until == 0)


def fail(hub: hercle.Hub, server: HubProcess, client_id: str, journal: str) -> None:
    """Ask for an invoice that the hub does not make, without saying so; then as `lose`."""
    server.mode(failStatus=504)
    with pytest.raises(hercle.OutcomeUnknown):
        hub.create_invoice(**COFFEE, client_id=client_id)
    server.mode()
    until(lambda: row(journal, client_id).waits_until == 0)


def refused(journal: Any, timeout: float = 10) -> str:
    """What `connect` says of a journal that it refuses: one sentence that names it, then the way out."""
    with pytest.raises(hercle.JournalError) as caught:
        hercle.connect(url=NOBODY, api_key=KEY, journal=journal, timeout=timeout)
    match = re.fullmatch(
        r"The journal (\S+): ([^.]+(?:\.\S[^.]*)*)\. journal=False in hercle\.connect\(\) does without one\.",
        str(caught.value),
    )
    assert match, str(caught.value)
    return match[2]


def opens(journal: Any) -> None:
    """A journal can be used: that there is no hub is all that is wrong."""
    with pytest.raises(hercle.ConnectionFailed):
        hercle.connect(url=NOBODY, api_key=KEY, journal=journal, timeout=1.0)


def _connection(journal: str) -> sa.Connection:
    url = journal if "://" in journal else f"sqlite:///{journal}"
    return sa.create_engine(url, poolclass=NullPool, isolation_level="AUTOCOMMIT").connect()
