"""The most that one invoice may ask of a hub, on every way to one: call, row, bare command, form, console."""

from __future__ import annotations

import re
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

import hercle_nb as hercle
from hercle_nb.amounts import MAX_MSAT
from hercle_nb.config import check_max_btc
from hercle_nb.widgets._draft import BTC, SAT, Draft
from hercle_nb.widgets.app import HercleApp
from hercle_nb.widgets.form import LiveForm
from tests.faces import settled
from tests.fast import until
from tests.journals import connect, edit
from tests.steps import Steps, sent

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.servers import HubProcess

CREATE = "CreateLightningInvoice"
TEA = {"memo": "Tea", "expiry_hours": 24}
LIMIT = "BTC is more than this hub's limit of 1 BTC for one invoice (max_btc)"
MEANT = "if you mean it, connect with max_btc={}, or with max_btc=None for no limit."
NO_SATOSHIS = f"{LIMIT}; if you mean it"


# -- what is said of it --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("asked", "says"),
    [
        ({"amount_btc": 1000}, f"1,000 {LIMIT}; if you meant satoshis, write amount_sat=1000; {MEANT}"),
        ({"amount_btc": "2.0"}, f"2 {LIMIT}; if you meant satoshis, write amount_sat=2; {MEANT}"),
        ({"amount_btc": 1.5}, f"1.5 {LIMIT}; {MEANT}"),
        ({"amount_btc": "1.00000000001", "allow_msat": True}, f"1.00000000001 {LIMIT}; {MEANT}"),
        ({"amount_sat": 100_000_001}, f"1.00000001 {LIMIT}; {MEANT}"),
        ({"amount_sat": 1_000 * 10**8}, f"1,000 {LIMIT}; {MEANT}"),
        (
            {"amount_btc": 21_000_000},
            f"21,000,000 {LIMIT}; if you meant satoshis, write amount_sat=21000000;",
        ),
    ],
)
def test_both_are_named(hub: hercle.Hub, server: HubProcess, asked: dict[str, Any], says: str) -> None:
    """Above the limit nothing is sent, and the message names the limit, what was meant, and the way."""
    with pytest.raises(hercle.InvalidRequest) as caught:
        hub.create_invoice(**asked, **TEA)
    way = str(caught.value).partition("connect with max_btc=")[2].partition(",")[0]
    assert str(caught.value).startswith(says.format(way))
    assert server.stats()["received"] == []
    with hercle.connect(url=server.url, api_key=server.key, journal=False, max_btc=int(way)) as meant:
        assert meant.create_invoice(**asked, **TEA).warnings == ()


@pytest.mark.parametrize(
    ("limit", "most"),
    [
        (1, 10**11),
        ("0.5", 5 * 10**10),
        (0.1, 10**10),
        (Decimal("0.00000000001"), 1),
        (np.float64(2.5), 250_000_000_000),
        (21_000_000, 21 * 10**17),
        (None, 21 * 10**17),
    ],
)
def test_a_limit(limit: Any, most: int) -> None:
    """The limit is read as an amount of BTC is, to the millisatoshi; None is all there will ever be."""
    assert check_max_btc(limit) == most


@pytest.mark.parametrize(
    "limit", [True, 0, -1, "-1", float("nan"), float("inf"), "1e3", "x", [], 0.1 + 0.2, 21_000_001, "1,000"]
)
def test_no_limit_at_all(limit: Any) -> None:
    """What is no amount of BTC is refused before anything is begun, with what to write."""
    shown = re.escape(f"not {limit!r}; write max_btc=1 or max_btc=")
    with pytest.raises(hercle.ConfigurationError, match=shown):
        hercle.connect("simulator", max_btc=limit)
    with pytest.raises(hercle.ConfigurationError, match=shown):
        hercle.app(environment="simulator", max_btc=limit)


@pytest.mark.parametrize("limit", ["0.002", None])
def test_up_to_the_limit(server: HubProcess, limit: str | None) -> None:
    """As much as the limit may be asked for; without one as much as there will ever be."""
    most = limit or 21_000_000
    with hercle.connect(url=server.url, api_key=server.key, journal=False, max_btc=limit) as hub:
        assert hub.create_invoice(most).warnings == ()
        with pytest.raises(hercle.InvalidRequest):
            hub.create_invoice(Decimal(most) + Decimal("0.00000001"))
    assert server.created() == 1


# -- rows ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dry_run", [False, True])
def test_rows(hub: hercle.Hub, server: HubProcess, dry_run: bool) -> None:
    """A batch names all rows above the limit by number, and what was meant, before any is sent."""
    rows = [
        {"amount_btc": 1},
        {"amount_btc": "1000"},
        {"amount_sat": 200_000_000},
        {"amount_btc": 2, "amount_sat": 200_000_000},
        hercle.InvoiceRequest(3),
        hercle.InvoiceRequest(amount_sat=400_000_000),
    ]
    with pytest.raises(hercle.InvalidRequest) as caught:
        hub.create_invoices(rows, batch_id="b", progress=False, dry_run=dry_run)
    head, *found = str(caught.value).splitlines()
    assert head.startswith("5 of 6 rows cannot be sent, and nothing was")
    assert [line.partition(":")[0] for line in found] == [f"row {number}" for number in range(1, 6)]
    assert [("amount_sat=" in line) for line in found] == [True, False, False, True, False]
    assert all(LIMIT in line for line in found)
    assert server.stats()["received"] == []


def test_known_rows(hub: hercle.Hub, server: HubProcess) -> None:
    """Rows whose invoices are known are returned though they are above the limit."""
    rows = [{"amount_btc": 5, "client_id": "a"}, {"amount_btc": 1, "client_id": "b"}]
    with hercle.connect(url=server.url, api_key=server.key, journal=False, max_btc=None) as generous:
        generous.create_invoices(rows, progress=False)
        generous._core.max_msat = hub._core.max_msat
        assert list(generous.create_invoices(rows, progress=False)["status"]) == ["open", "open"]
        with pytest.raises(hercle.InvalidRequest, match="1 of 3 rows"):
            generous.create_invoices([*rows, {"amount_btc": 5, "client_id": "c"}], progress=False)
    assert server.created() == 2


# -- what is known is not sent -------------------------------------------------------------------------------


def test_a_known_invoice(server: HubProcess, journal: str) -> None:
    """An invoice that another kernel made is returned whatever the limit is now: nothing is sent."""
    with connect(server, journal, max_btc=None) as generous, connect(server, journal) as careful:
        made = generous.create_invoice(5, "Car", client_id="car")
        again = careful.create_invoice(5, "Car", client_id="car")
        assert (again.reused, again.payment_request) == (True, made.payment_request)
        assert careful.create_invoice(5, "Car", client_id="car").reused
        with pytest.raises(hercle.InvalidRequest, match="used for another invoice"):
            careful.create_invoice(6, "Car", client_id="car")
        with pytest.raises(hercle.InvalidRequest, match=re.escape(LIMIT)):
            careful.create_invoice(5, "Car", client_id="another")
    with connect(server, journal) as later:
        frame = later.create_invoices([{"amount_btc": 5, "memo": "Car", "client_id": "car"}], progress=False)
        assert list(frame["status"]) == ["open"]
    assert sent(server) == ["car"]


def test_an_unknown_outcome(server: HubProcess, journal: str) -> None:
    """A creation of unknown outcome stays one, and is not refused as if it were new."""
    with connect(server, journal, max_btc=None) as generous:
        server.mode(noReply=True)
        with pytest.raises(hercle.OutcomeUnknown):
            generous.create_invoice(5, "Car", client_id="car", timeout=0.3)
    server.mode()
    with connect(server, journal) as careful:
        assert careful.create_invoice(5, "Car", client_id="car").reused
    assert sent(server) == ["car"]


def test_a_journal_that_cannot_be_read(server: HubProcess, journal_file: str) -> None:
    """Where the journal cannot be looked at, what is above the limit is refused all the same."""
    with connect(server, journal_file) as hub:
        edit(journal_file, "ALTER TABLE hercle_invoices RENAME TO elsewhere")
        with pytest.raises(hercle.InvalidRequest, match=re.escape(LIMIT)):
            hub.create_invoice(5)
        edit(journal_file, "ALTER TABLE elsewhere RENAME TO hercle_invoices")
        assert hub.create_invoice(1).warnings == ()
    assert server.created() == 1


# -- bare commands -------------------------------------------------------------------------------------------


def bare(hub: hercle.Hub, way: str) -> Callable[..., Any]:
    """`command` or `invoke` with a ClientId, so that both take the amount first."""
    if way == "command":
        return lambda method, *args: hub.command(method, *args, client_id="a", timeout=5)
    return lambda method, *args: hub.invoke(method, "a", *args, timeout=5)


@pytest.mark.parametrize("way", ["command", "invoke"])
@pytest.mark.parametrize(
    "amount",
    [
        *(1000, 1000.0, Decimal(1000), Decimal("1E+3"), "1000", " 1,000.00 ", "1e3", np.int64(1000)),
        *(np.float32(1000), np.array(1000), np.str_("1000")),
    ],
    ids=lambda amount: f"{type(amount).__name__} {amount}",
)
def test_bare_commands(hub: hercle.Hub, server: HubProcess, way: str, amount: Any) -> None:
    """A bare creation above the limit is not sent, however its method is spelt and its amount is written."""
    for method in (CREATE, CREATE.lower(), CREATE.upper()):
        with pytest.raises(hercle.InvalidRequest) as caught:
            bare(hub, way)(method, amount, None, 24)
        satoshis = 'if you meant satoshis, write Decimal("0.00001")'
        assert str(caught.value) == f"1,000 {LIMIT}; {satoshis}; {MEANT.format(1000)}"
    assert server.stats()["received"] == []


@pytest.mark.parametrize("way", ["command", "invoke"])
@pytest.mark.parametrize(
    ("amount", "says"),
    [
        (25_000_000, "25,000,000 BTC is more than the 21,000,000 BTC that will ever exist; if you meant"),
        (Decimal("21000000.5"), "21000000.5 BTC is more than the 21,000,000 BTC that will ever exist."),
        ("1e999999999", "1E+999999999 BTC is more than the 21,000,000 BTC that will ever exist."),
        (10**5_000, "10000"),
    ],
    ids=["whole", "fraction", "exponent", "digits"],
)
def test_bare_commands_beyond_all(server: HubProcess, way: str, amount: Any, says: str) -> None:
    """Without a limit of the user's a bare creation may not ask for more than all bitcoin."""
    with hercle.connect(url=server.url, api_key=server.key, journal=False, max_btc=None) as hub:
        with pytest.raises(hercle.InvalidRequest) as caught:
            bare(hub, way)(CREATE, amount, None, 24)
        assert str(caught.value).startswith(says)
        assert "max_btc" not in str(caught.value)
        bare(hub, way)(CREATE, 1000, None, 24)
    assert sent(server) == ["a"]


@pytest.mark.parametrize("way", ["command", "invoke"])
@pytest.mark.parametrize(
    "arguments", [(), (None, None, 24), ("ten", None, 24), (True, None, 24), ([5], None, 24)]
)
def test_bare_commands_that_the_hub_judges(hub: hercle.Hub, way: str, arguments: tuple[Any, ...]) -> None:
    """What is no number here goes out as it is, and the hub says what it thinks of it."""
    with pytest.raises(hercle.CommandRejected):
        bare(hub, way)(CREATE, *arguments)


def test_other_methods(hub: hercle.Hub) -> None:
    """The limit holds for creations alone."""
    hub.invoke("SubscribePairPriceChannel", "a", "BTCUSDT", 1000)
    hub.invoke("UnsubscribePairPriceChannel", "a", "BTCUSDT", 1000)
    with pytest.raises(hercle.CommandRejected, match="does not exist"):
        hub.invoke("NoSuchMethod", "a", 1000)


# -- faces ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("draft", "says"),
    [
        (
            Draft("1000", BTC),
            f"1,000 {LIMIT}; if you meant satoshis, choose sat as the unit and type it again; "
            f"{MEANT.format(1000)}",
        ),
        (Draft("1.5", BTC), f"1.5 {LIMIT}; {MEANT.format(2)}"),
        (Draft("500000000", SAT), f"5 {LIMIT}; {MEANT.format(5)}"),
    ],
)
def test_a_form(hub: hercle.Hub, server: HubProcess, draft: Draft, says: str) -> None:
    """The form says it at the amount before anything is pressed, and a press sends nothing."""
    steps = Steps(hub, limit_msat=MAX_MSAT)
    steps.do(steps.creation.edit, draft)
    assert steps["problems"] == {"amount": says}
    assert steps["code"] == ""
    steps.create(draft)
    assert (steps["phase"], steps["problems"]) == ("draft", {"amount": says})
    assert sent(server) == []
    steps.create(Draft("1", BTC))
    steps.until("created")


def test_a_form_and_a_known_invoice(server: HubProcess) -> None:
    """The form returns a known invoice above the limit, as a call does."""
    with hercle.connect(url=server.url, api_key=server.key, journal=False, max_btc=None) as hub:
        made = hub.create_invoice(5, client_id="car")
        hub._core.max_msat = check_max_btc(1)
        hub.form(amount_btc=5, client_id="car", expiry_hours=None).close()
        steps = Steps(hub, Draft("5", expiry="default", client_id="car"), MAX_MSAT)
        assert steps["problems"] == {}
        steps.create(steps.creation.draft)
        steps.until("created")
        assert steps.made[0].payment_request == made.payment_request
    assert sent(server) == ["car"]


def test_another_one_of_a_known_invoice(hub: hercle.Hub, server: HubProcess) -> None:
    """Asked for again under a new ClientId, what is above the limit is told at the amount."""
    steps = Steps(hub, limit_msat=MAX_MSAT)
    server.mode(noReply=True)
    hub.timeout = 0.3
    steps.create(Draft("0.5", BTC))
    steps.until("unknown")
    hub._core.max_msat = check_max_btc("0.1")
    steps.press(steps.creation.create_new)
    steps.until("draft")
    assert list(steps["problems"]) == ["amount"]
    assert len(sent(server)) == 1


@pytest.mark.parametrize("plain", [False, True])
def test_a_form_on_screen(hub: hercle.Hub, server: HubProcess, plain: bool) -> None:
    """Both forms show it beside the amount, and the plain one lets nobody press Create."""
    form = hub.form(amount_btc="0.001", plain=plain)
    face: Any = form._face
    if plain:
        face._amount.value = "1000"
        until(lambda: face._create.disabled)
        assert "this hub&#x27;s limit of 1 BTC" in face._problems.value
    else:
        assert isinstance(face, LiveForm)
        fields = face.state["fields"] | {"amount": "1000"}
        face._handle_custom_msg({"type": "edit", "fields": fields, "mark": "m"}, [])
        until(lambda: LIMIT in face.state["problems"].get("amount", ""))
    form.close()
    assert sent(server) == []


def test_a_default_of_a_form(hub: hercle.Hub) -> None:
    """A default above the limit is refused in the cell, with the words of a call."""
    with pytest.raises(hercle.InvalidRequest, match=r"1,000 BTC .* write amount_sat=1000;"):
        hub.form(amount_btc=1000)
    with pytest.raises(hercle.InvalidRequest, match=re.escape(NO_SATOSHIS)):
        hub.form(amount_sat=1_000 * 10**8)


def test_a_console(hub: hercle.Hub, server: HubProcess) -> None:
    """The console says it before it asks anything."""
    from hercle_nb.widgets._console import Console

    console = Console(hub, lambda: None)
    console.send(CREATE, {"AmountBtc": "1000"}, 0)
    assert LIMIT in console.view()["told"]
    assert console.view()["phase"] == "idle"
    assert sent(server) == []


def test_an_app() -> None:
    """The app's hub has the limit that the app was given."""
    app = hercle.app(environment="simulator", max_btc=2000)
    assert isinstance(app, HercleApp)
    app._connecting.connect("simulator", "", "", 0)
    settled()
    hub = until(lambda: app.hub)
    assert hub.create_invoice(2000).amount_btc == 2000
    with pytest.raises(hercle.InvalidRequest, match=r"limit of 2,000 BTC"):
        hub.create_invoice(2001)
    app.close()
