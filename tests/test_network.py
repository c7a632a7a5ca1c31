"""Which network a hub's payment requests must name, from `connect` to the QR code."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import pytest

import hercle_nb as hercle
from hercle_nb.config import expected_network
from tests.faces import settled
from tests.fast import until
from tests.journals import edit, rows
from tests.scripted import scripted_hub

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.scripted import ScriptedHub
    from tests.servers import HubProcess

REAL = (
    "the payment request is for the network 'bc', which is not expected here: paying it costs real bitcoin; "
    'if that is meant, connect with network="bc"'
)


@pytest.fixture
def drawn() -> Iterator[ScriptedHub]:
    """A hub whose payment requests name Bitcoin itself, as the command page draws the sandbox's."""
    with scripted_hub() as hub:
        hub.mode(network="bc")
        yield hub


def connect(server: Any, environment: str = "sandbox", journal: Any = False, **options: Any) -> hercle.Hub:
    """A hub of an environment at that URL."""
    place = {"url": server.url, "api_key": server.key, "journal": journal, "timeout": 10}
    return hercle.connect(environment, **place, **options)


@pytest.mark.parametrize(
    ("network", "environment", "expected"),
    [
        (None, "simulator", ""),
        (None, "sandbox", ""),
        (None, "production", "bc"),
        *((name, where, name) for name in ("bc", "tb", "tbs", "bcrt") for where in ("sandbox", "production")),
    ],
)
def test_the_default(network: str | None, environment: str, expected: str) -> None:
    """Production expects Bitcoin itself, any other environment anything else; what is named is expected."""
    assert expected_network(network, environment) == expected


@pytest.mark.parametrize("network", ["", "BC", "mainnet", "lnbc", "regtest", True, 5, ["bc"]])
def test_no_network(network: Any) -> None:
    """Anything but the four is refused before anything is begun, and the four are listed."""
    says = re.escape(
        f"network must be one of bc, tb, tbs, bcrt, or None (bc on production, any but bc "
        f"elsewhere), not {network!r}."
    )
    with pytest.raises(hercle.ConfigurationError, match=says):
        hercle.connect("simulator", network=network)
    with pytest.raises(hercle.ConfigurationError, match=says):
        hercle.app(environment="simulator", network=network)


@pytest.mark.parametrize(
    ("environment", "network", "says"),
    [
        ("sandbox", None, None),
        ("sandbox", "bcrt", None),
        ("production", "bcrt", None),
        ("sandbox", "bc", "the network 'bcrt', where 'bc' is expected: what is paid there is worth nothing"),
        (
            "production",
            None,
            "the network 'bcrt', where 'bc' is expected: what is paid there is worth nothing",
        ),
        (
            "sandbox",
            "tb",
            "the network 'bcrt', where 'tb' is expected: another test network; if that is meant",
        ),
    ],
)
def test_a_test_network(server: HubProcess, environment: str, network: str | None, says: str | None) -> None:
    """A hub on regtest alarms where anything else is expected, in its answer and in its list."""
    with connect(server, environment, network=network) as hub:
        made = hub.create_invoice(0.001, client_id="a")
        hub.refresh_invoices()
        for invoice in (made, hub.invoice("a")):
            assert invoice.alarm == (says is not None)
            assert (says or "") in "; ".join(invoice.warnings)
            assert ("data:image" in invoice._repr_html_()) == (says is None)
    with connect(server, environment, network=network) as another:
        assert list(another.refresh_invoices()["message"].isna()) == [says is None]


def test_real_bitcoin_on_the_sandbox(drawn: ScriptedHub) -> None:
    """On the sandbox a payment request for real bitcoin is an alarm that names the way to take it."""
    with connect(drawn) as hub:
        invoice = hub.create_invoice(0.001)
        assert (invoice.warnings, invoice.alarm) == ((REAL,), True)
        assert REAL in repr(invoice)
        with pytest.raises(
            hercle.InvalidRequest, match=re.escape(f"No QR code: the invoice is open; {REAL}.")
        ):
            invoice.qr()
    with connect(drawn, network="bc") as hub:
        frame = hub.refresh_invoices()
        assert list(frame["message"].isna()) == [True]
        invoice = hub.create_invoice(0.001)
        assert (invoice.warnings, invoice.alarm) == ((), False)
        assert invoice.qr().version
    with connect(drawn, "production") as hub:
        assert not hub.create_invoice(0.001).alarm


@pytest.mark.parametrize("listed", [False, True])
def test_what_the_journal_knows(drawn: ScriptedHub, journal_file: str, listed: bool) -> None:
    """An invoice of the journal is judged by the network that is expected now, to and fro."""
    with connect(drawn, journal=journal_file) as first:
        first.create_invoice(0.001, "Tea", client_id="a")
        if listed:
            first.refresh_invoices()
    for network, warnings in (("bc", ()), (None, (REAL,)), ("bc", ())):
        with connect(drawn, journal=journal_file, network=network) as later:
            again = later.create_invoice(0.001, "Tea", client_id="a")
            assert again.reused
            if listed:
                later.refresh_invoices()
            for invoice in (again, later.invoice("a")):
                assert [text for text in invoice.warnings if "network" in text] == list(warnings)
                assert invoice.alarm == bool(warnings)
    assert drawn.created() == 1


def test_what_an_earlier_version_wrote(drawn: ScriptedHub, journal_file: str) -> None:
    """The sentence of version 0.1 in a journal gives way as well, and another alarm beside it stays one."""
    with connect(drawn, journal=journal_file) as first:
        first.create_invoice(0.001, "Tea", client_id="a")
        first.create_invoice(0.001, "Cake", client_id="b")
    old = (
        "the payment request is for the network ''bc'', which is not expected here: "
        "paying there costs real money"
    )
    other = "the payment request asks for no amount, not for 0.00100000 BTC"
    set_ = "UPDATE hercle_invoices SET warnings = "
    edit(journal_file, f"{set_}'[\"{old}\"]' WHERE client_id = 'a'")
    edit(journal_file, f"{set_}'[\"{old}\",\"{other}\"]' WHERE client_id = 'b'")
    assert any("real money" in row.warnings for row in rows(journal_file, "hercle_invoices"))
    with connect(drawn, journal=journal_file, network="bc") as later:
        assert (later.invoice("a").warnings, later.invoice("a").alarm) == ((), False)
        assert (later.invoice("b").warnings, later.invoice("b").alarm) == ((other,), True)
    with connect(drawn, journal=journal_file) as later:
        assert later.invoice("a").warnings == (REAL,)


def test_an_app() -> None:
    """The app's hub expects the network that the app was given."""
    app = hercle.app(environment="simulator", network="tb")
    app._connecting.connect("simulator", "", "", 0)
    settled()
    hub = until(lambda: app.hub)
    assert hub.create_invoice(0.001).alarm
    app.close()
