"""A journal that version 0.1 made, stored as it was: what becomes of it, and of kernels that still use it."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import sqlalchemy as sa

import hercle_nb as hercle
from hercle_nb.journal import migration
from hercle_nb.journal.tables import METADATA
from tests.journals import COFFEE, connect, edit, row, rows, sent

if TYPE_CHECKING:
    from tests.servers import HubProcess

STORED = Path(__file__).parent / "journal_v1"
URL = "http://hub.invalid/hub"
# what a kernel of version 0.1 runs before it writes anything
RAISE = "UPDATE hercle_journal SET revision = hercle_journal.revision + 1"


@pytest.fixture
def server(simulator_process: HubProcess) -> HubProcess:
    """The hub of the stored journal, which knows nothing of its invoices any more."""
    simulator_process.reset()
    return simulator_process


@pytest.fixture
def journal(journal: str, server: HubProcess) -> str:
    """The stored journal of version 1, in a file or in PostgreSQL."""
    if "://" not in journal:
        with sqlite3.connect(journal) as connection:
            connection.executescript((STORED / "sqlite.sql").read_text().replace(URL, server.url))
        connection.close()
        return journal
    import psycopg

    name, _, folder = journal.partition("@/")[2].partition("?host=")
    with psycopg.connect(host=folder, dbname=name, user="postgres", autocommit=True) as connection:
        connection.execute((STORED / "postgresql.sql").read_text().replace(URL, server.url).encode())
    return journal


def test_everything_is_there(server: HubProcess, journal: str) -> None:
    """Invoices, refusals, decisions and questions are what they were; no ClientId is free."""
    with connect(server, journal) as hub:
        status = hub.invoices["status"].astype(str)
        assert status["order-paid"] == "paid"
        assert status["order-refused"] == "rejected"
        assert status[["order-lost", "order-dismissed", "order-bare"]].tolist() == ["unknown"] * 3
        assert list(hub.unresolved.index) == ["order-bare", "order-lost"]
        for client_id, asked in (
            ("order-1", COFFEE),
            ("order-default", {"amount_btc": "0.001"}),
            ("order-mismatch", COFFEE | {"memo": "Mismatch"}),
            ("order-any", COFFEE | {"memo": "Any"}),
        ):
            again = hub.create_invoice(**asked, client_id=client_id)
            assert (again.reused, again.client_id) == (True, client_id)
        with pytest.raises(hercle.CommandRejected, match="no such account"):
            hub.create_invoice("0.001", "Refused", 24, client_id="order-refused")
        with pytest.raises(hercle.OutcomeUnknown, match="dismissed"):
            hub.create_invoice("0.005", "Dismissed", 24, client_id="order-dismissed")
        assert sent(server) == 0
        assert hub.create_invoice(**COFFEE, client_id="order-new").reused is False
    with connect(server, journal) as hub:  # and once more
        assert hub.create_invoice(**COFFEE, client_id="order-new").reused
    assert sent(server) == 1


def test_amounts_are_corrected(server: HubProcess, journal: str) -> None:
    """An invoice has the amount of its payment request, and beside it what was asked."""
    with connect(server, journal) as hub:
        amounts = {
            name: (hub.invoice(name).amount_msat, hub.invoice(name).asked_msat)
            for name in ("order-mismatch", "order-any", "order-1")
        }
        assert amounts == {
            "order-mismatch": (1_000, 100_000_000),
            "order-any": (None, 100_000_000),
            "order-1": (100_000_000, None),
        }
        paid = hub.invoice("order-paid")
        assert (paid.paid_at, paid.paid_at_source) == (paid.updated_at, "list")


def test_a_stuck_creation_is_open_again(server: HubProcess, journal: str) -> None:
    """What the hub had answered without a payment request is a question that the hub's id settles."""
    with connect(server, journal) as hub:
        stuck = "order-bare"
        assert json.loads(row(journal, stuck).answer)["arguments"][0]["data"]["id"] == "inv_5"
        assert hub.resolve(stuck).outcome == "not found"
        assert hub.resolve(stuck, dismiss=True).outcome == "dismissed"


def test_each_invoice_has_its_key(server: HubProcess, journal: str) -> None:
    """Invoices made here are those of the key that sent their commands; whose others are nobody guesses."""
    with connect(server, journal):
        (key,) = {row.key for row in rows(journal)}
        for invoice in rows(journal, "hercle_invoices"):
            assert invoice.key == (None if invoice.client_id is None else key)


def test_it_is_migrated_once(server: HubProcess, journal: str) -> None:
    """What was there stays byte for byte beside what is new; the second kernel finds it done."""
    before = {row.client_id: row for row in rows(journal)}
    with connect(server, journal), connect(server, journal):
        pass
    after = {row.client_id: row for row in rows(journal)}
    assert after.keys() == before.keys()
    for client_id, old in before.items():
        changed = {"revision"} | ({"state", "waits_until"} if client_id == "order-bare" else set())
        assert {name: getattr(after[client_id], name) for name in set(old._fields) - changed} == {
            name: getattr(old, name) for name in set(old._fields) - changed
        }
    assert rows(journal, "hercle_journal")[0].version == 2


def test_a_kernel_of_version_1_is_told(server: HubProcess, journal: str) -> None:
    """A kernel that still runs on version 1 cannot write any more, and shows that it is to be restarted."""
    edit(journal, RAISE)  # it does
    with connect(server, journal) as hub:
        hub.create_invoice(**COFFEE, client_id="order-new")
        with pytest.raises(sa.exc.DBAPIError) as caught:
            edit(journal, RAISE)
        assert "a newer hercle_nb has changed the tables of this journal: restart" in str(caught.value)
        hub.create_invoice(**COFFEE, client_id="order-newer")


def test_a_newer_version_is_noticed(server: HubProcess, journal: str) -> None:
    """A kernel whose journal is changed to a later version writes nothing more, and says what to do."""
    with connect(server, journal) as hub:
        edit(journal, "UPDATE hercle_journal SET version = 3")
        with pytest.raises(hercle.JournalError, match="restart this kernel"):
            hub.create_invoice(**COFFEE, client_id="order-new")
        edit(journal, "UPDATE hercle_journal SET version = 2")
    assert sent(server) == 0


def test_a_migration_that_fails_changes_nothing(
    server: HubProcess, journal: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where a step of it fails, the journal is as it was, and the next kernel migrates it."""
    before = columns(journal, "hercle_commands"), rows(journal)
    with monkeypatch.context() as patched:
        patched.setattr(migration, "_correct_invoices", lambda _: 1 / 0)
        with pytest.raises(hercle.JournalError):
            connect(server, journal)
    assert rows(journal, "hercle_journal")[0].version == 1
    assert (columns(journal, "hercle_commands"), rows(journal)) == before
    edit(journal, RAISE)
    with connect(server, journal) as hub:
        assert "order-1" in hub.invoices.index


def columns(journal: str, table: str) -> set[str]:
    """The names of a table's columns."""
    engine = sa.create_engine(journal if "://" in journal else f"sqlite:///{journal}")
    names = {column["name"] for column in sa.inspect(engine).get_columns(table)}
    engine.dispose()
    return names


def test_it_has_the_tables_of_a_new_one(server: HubProcess, journal: str, tmp_path: Path) -> None:
    """A migrated journal has every table and column that a new one has."""
    with connect(server, journal), connect(server, str(tmp_path / "new.db")):
        pass
    for table in METADATA.tables:
        assert columns(journal, table) == columns(str(tmp_path / "new.db"), table) != set()
