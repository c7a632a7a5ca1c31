"""A table's columns: what is said of those that are read, carried along, or look like ours."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pandas as pd
import pytest

from hercle_nb.batch.columns import COLUMNS, field_like, repeats
from hercle_nb.batch.rows import Rows, read_rows

if TYPE_CHECKING:
    from pathlib import Path

    import hercle_nb as hercle


def read(*names: str, key: str | None = None) -> Rows:
    """Read a row of "5" in each of these columns, as a list that is sent."""
    return read_rows(pd.DataFrame([["5"] * len(names)], columns=list(names)), "b", key)


@pytest.mark.parametrize(
    ("field", "names"),
    [
        (
            "expiry_hours",
            "Expiry/Valid until/Expiry days/Expires at/expiresAt/validUntil/EXPIRY_DATE/Expiry (hours)/"
            "Due date/expiry_hour/Gültig bis/Ablaufdatum/Scadenza/Échéance/Vencimiento/Vervaldatum",
        ),
        (
            "memo",
            "Reference/Note/Notes/Description/Memo.1/memo2/Memo text/memmo/Customer reference/Betreff/"
            "Verwendungszweck/Bemerkung/Descripción/Causale/Omschrijving/Order note",
        ),
        ("amount_sat", "Amount (sats)/Sats/satoshi/amount_sats/Amount in sat/ammount_sat/Amount sat.1"),
        ("amount_btc", "Amount (BTC)/BTC/Bitcoin/Amount in bitcoin"),
        ("amount_btc or amount_sat", "Amount/Betrag/Importe/Montant"),
        ("client_id", "Client ref/Client ID (ours)/client_ids/Idempotency-Key/cliend_id"),
    ],
)
def test_columns_that_look_like_a_field(field: str, names: str) -> None:
    """A column that people would take for a field is told as that one, in several languages."""
    assert {name: field_like(name) for name in names.split("/")} == dict.fromkeys(names.split("/"), field)


NOBODYS = (
    "Order/Kind/Customer/is valid/Amount EUR/BTC address/Kurs BTC/refund/satisfied/Status/error/Date/Name/Ω"
)


@pytest.mark.parametrize("name", [*NOBODYS.split("/"), "", 5, None, ("memo", "x")])
def test_columns_that_look_like_none(name: Any) -> None:
    """Other columns are nobody's field."""
    assert field_like(name) is None


@pytest.mark.parametrize(
    ("name", "other", "is_so"),
    [
        ("Memo.1", "Memo", True),
        ("Memo.12", "memo", True),
        ("client.id.1", "client_id", True),
        ("Memo", "Memo", False),
        ("Memo1", "Memo", False),
        ("Memo.a", "Memo", False),
        (1.1, 1, False),
        (".1", "", False),
    ],
)
def test_names_that_pandas_makes(name: Any, other: Any, *, is_so: bool) -> None:
    """Only a number behind a point is how pandas names the second of two equal columns."""
    assert repeats(name, other) is is_so


def test_what_was_read_as_what() -> None:
    """Each column that was read is named with its field, the keys too, and all others as carried along."""
    rows = read("Order", "Amount Sat", "memo", "Kind", "Expiry-Hours", key="order")
    assert rows.columns == (
        "read: amount_sat from 'Amount Sat', memo, expiry_hours from 'Expiry-Hours', the keys from 'Order'\n"
        "carried along: 'Order', 'Kind'"
    )
    assert rows.lacking == rows.beside == []
    assert read("amount_sat").columns == "read: amount_sat\ncarried along: none"
    dicts = read_rows([{"Amount Sat": 5}, {"amount_sat": 6, "Memo ": "x"}], "b", None)
    assert dicts.columns.startswith("read: amount_sat from 'Amount Sat', memo from 'Memo '\n")


def test_columns_that_are_almost_ours() -> None:
    """A column like a field that is lacking is told with the name to give it, one beside it as not read."""
    rows = read("Amount BTC", "Expiry", "Reference", "Sats", "Client ref", "Amount", key="Reference")
    assert rows.lacking == [
        "'Expiry' looks like expiry_hours, and is not read; if it is meant, name it expiry_hours, with whole "
        "hours in it",
        "'Sats' looks like amount_sat, and is not read; if it is meant, name it amount_sat",
        "'Client ref' looks like client_id, and is not read; if it is meant, name it client_id (rows that "
        "were sent before without it would get second invoices)",
    ]
    assert rows.beside == [
        "'Amount' looks like amount_btc or amount_sat too, and is not read: amount_btc is 'Amount BTC'"
    ]
    assert read("amount_sat", "Memo", "Note").beside == [
        "'Note' looks like memo too, and is not read: memo is 'Memo'"
    ]


def test_every_field_read_looks_like_none() -> None:
    """A table with our own columns alone is told nothing more."""
    rows = read(*(name for name in COLUMNS if name != "amount_btc"))
    assert (rows.lacking, rows.beside) == ([], [])


def test_nothing_is_dropped_silently(
    hub: hercle.Hub, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A dry run tells of every column, and a run of those that may hold what was asked for."""
    path = tmp_path / "rows.csv"
    path.write_text("Amount sat;Expiry days;Memo;Note;Kind\n1000;7;Tea;x;y\n2500;7;Cake;x;y\n")
    hub.create_invoices(path, batch_id="b", dry_run=True)
    lacking, totals, *lines = capsys.readouterr().out.splitlines()
    assert lacking.startswith("'Expiry days' looks like expiry_hours, and is not read; ")
    assert totals.replace("\u202f", " ") == (
        "2 invoices, 0.00003500 BTC = 3 500 sat in total; the largest is row 1: 0.00002500 BTC = 2 500 sat"
    )
    assert lines == [
        "read: amount_sat from 'Amount sat', memo from 'Memo'",
        "carried along: 'Expiry days', 'Note', 'Kind'",
        "'Note' looks like memo too, and is not read: memo is 'Memo'",
        "nothing was sent",
    ]
    hub.create_invoices(path, batch_id="b", progress=False)
    assert capsys.readouterr().out.splitlines() == [lacking]
