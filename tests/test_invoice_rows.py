"""The rows of the table of invoices: each invoice one number for life, and every change of it sent once."""

from __future__ import annotations

import json
import time
from dataclasses import replace
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

import hercle_nb as hercle
from hercle_nb import amounts
from hercle_nb.widgets import _invoice_rows
from hercle_nb.widgets._invoice_rows import COLUMNS, InvoiceRows
from tests.answers import answer, foreign, pay_to
from tests.faces import Browser
from tests.fast import until
from tests.hostile import HOSTILE
from tests.scripted import ScriptedHub, scripted_hub

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.servers import HubProcess

NAMES = [column.name for column in COLUMNS]
TEA = foreign("Tea")
MOST_MSAT = amounts.MAX_SAT * 1_000


class Shown:
    """The rows as a browser has them: those there were, and what was sent since."""

    def __init__(self, hub: hercle.Hub) -> None:
        self.source = InvoiceRows(hub)
        self._rows = {row[0]: row for row in self.source.latest()}
        self.source.begin()

    def look(self) -> list[list[Any]]:
        """Take what is sent by one look."""
        news, skipped = self.source.fresh()
        assert skipped == 0
        for row in news:
            self._rows.pop(row[0], None)
            if len(row) > 1:
                self._rows[row[0]] = row
        return news

    def until(self, *wanted: tuple[str | None, str]) -> None:
        """Look until there are rows of these ClientIds and states alone, in the order of their numbers."""

        def there() -> bool:
            self.look()
            return [(row["client_id"], row["status"]) for row in self.rows()] == list(wanted)

        until(there)
        assert self.look() == []

    def only(self) -> dict[str, Any]:
        """The one row there is, by its columns."""
        (row,) = self.rows()
        return row

    def rows(self) -> list[dict[str, Any]]:
        """The rows by number."""
        return [dict(zip(NAMES, row, strict=True)) for _, row in sorted(self._rows.items())]


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every look is one, however soon it comes after the one before."""
    monkeypatch.setattr(_invoice_rows, "_LOOK", 0.0)


@pytest.fixture
def hub(simulator: HubProcess) -> Iterator[hercle.Hub]:
    """A hub connected to the simulator."""
    with hercle.connect(url=simulator.url, api_key=simulator.key, journal=False, timeout=10) as hub:
        yield hub


@pytest.fixture
def scripted() -> Iterator[ScriptedHub]:
    """A hub whose list says whatever a test wants."""
    with scripted_hub() as server:
        yield server


@pytest.fixture
def listed(scripted: ScriptedHub) -> Iterator[hercle.Hub]:
    """A hub connected to that one."""
    with hercle.connect(url=scripted.url, api_key=scripted.key, journal=False, timeout=10) as hub:
        yield hub


def entries(count: int) -> list[dict[str, Any]]:
    """Entries of a list, whose payment requests cannot be read."""
    return [
        {"id": f"inv_{n}", "status": "OPEN", "encodedPaymentRequest": f"lnbcrt1x{n}"} for n in range(count)
    ]


def lose(hub: hercle.Hub, simulator: HubProcess, client_id: str) -> None:
    """Create an invoice whose answer never comes."""
    simulator.mode(noReply=True)
    with pytest.raises(hercle.OutcomeUnknown):
        hub.create_invoice(0.001, "Coffee", client_id=client_id, timeout=0.3)
    simulator.mode()


def answer_late(simulator: HubProcess, client_id: str, subject: str, **data: Any) -> None:
    """Let the hub say after all how a creation ended."""
    event = {"subject": subject, "clientId": client_id, "data": data}
    simulator.post("raw", json.dumps({"type": 1, "target": "executionEvents", "arguments": [event]}) + "␞")


def test_created_here(hub: hercle.Hub) -> None:
    """An invoice made here is a row with everything in its column, and is sent once."""
    shown = Shown(hub)
    invoice = hub.create_invoice("0.001", "Coffee", client_id="order-17")
    hub.create_invoice(amount_sat=5)
    assert [row[0] for row in shown.look()] == [1, 2]
    assert shown.look() == []
    assert shown.rows()[0] == {
        "number": 1,
        "status": "open",
        "amount_btc": "0.00100000",
        "amount_sat": "100000",
        "asked_sat": None,
        "memo": "Coffee",
        "created_at": f"{invoice.created_at:%Y-%m-%dT%H:%M:%S}+00:00",
        "expires_at": f"{invoice.expires_at:%Y-%m-%dT%H:%M:%S}+00:00",
        "updated_at": None,
        "client_id": "order-17",
        "id": invoice.id,
        "payment_hash": invoice.payment_hash,
    }
    assert shown.rows()[1]["memo"] is None
    assert shown.source.item(1) == invoice


@pytest.mark.parametrize("number", [None, "1", 1.0, 99, -1, [1], {}])
def test_no_such_number(hub: hercle.Hub, number: Any) -> None:
    """What is the number of no row is nobody's."""
    hub.create_invoice(amount_sat=5)
    assert Shown(hub).source.item(number) is None


def test_created_elsewhere(hub: hercle.Hub, simulator: HubProcess) -> None:
    """An invoice that only the hub's list knows is a row without a ClientId."""
    shown = Shown(hub)
    with hercle.connect(url=simulator.url, api_key=simulator.key, journal=False) as other:
        made = other.create_invoice("0.001", "Tea")
    hub.refresh_invoices()
    shown.look()
    row = shown.only()
    assert (row["number"], row["client_id"], row["id"], row["memo"]) == (1, None, made.id, "Tea")


def test_any_amount(listed: hercle.Hub, scripted: ScriptedHub) -> None:
    """An amount that the payer chooses is called any; one that cannot be read is null, as is its hash."""
    scripted.invoices += [{"id": "inv_0", "encodedPaymentRequest": pay_to(amount_msat=None)}, *entries(1)]
    listed.refresh_invoices()
    chosen, unread = Shown(listed).rows()
    assert (chosen["amount_btc"], chosen["amount_sat"], chosen["asked_sat"]) == ("any", None, None)
    assert (unread["amount_btc"], unread["payment_hash"], unread["memo"]) == (None, None, None)


def test_another_amount_than_asked_for() -> None:
    """The amounts of a row are the payment request's, and what was asked for stands beside them."""
    for msat, shown in ((1_500, ("0.000000015", "1.5")), (None, ("any", None))):
        doubtful = answer(encodedPaymentRequest=pay_to(amount_msat=msat))
        row = dict(zip(NAMES, _invoice_rows._row(1, doubtful, "open"), strict=True))
        assert (row["amount_btc"], row["amount_sat"], row["asked_sat"]) == (*shown, "100000")


def test_unknown_then_found(hub: hercle.Hub, simulator: HubProcess) -> None:
    """A creation without an answer is a row of what was asked, and keeps its number as an invoice."""
    lose(hub, simulator, "lost")
    shown = Shown(hub)
    row = shown.only()
    assert (row["number"], row["status"], row["amount_sat"]) == (1, "unknown", "100000")
    assert row["created_at"] is not None
    assert [row[name] for name in ("expires_at", "id", "payment_hash")] == [None] * 3
    hub.refresh_invoices()
    assert [row[:2] for row in shown.look()] == [[1, "open"]]
    assert shown.only()["client_id"] == "lost"


def test_rejected(hub: hercle.Hub, simulator: HubProcess) -> None:
    """A creation that the hub refused is a row."""
    shown = Shown(hub)
    simulator.mode(errorSubject="execution.invoice.error")
    with pytest.raises(hercle.CommandRejected):
        hub.create_invoice(0.001, "Coffee", client_id="refused")
    shown.look()
    assert (shown.only()["status"], shown.only()["client_id"]) == ("rejected", "refused")


def test_under_way(hub: hercle.Hub, simulator: HubProcess) -> None:
    """A creation that is waited for is no row yet; one that was never sent is none at all."""
    shown = Shown(hub)
    simulator.mode(replyDelayMs=300)
    future, _ = hub._portal.submit(hub.aio.create_invoice(0.001))
    until(lambda: simulator.created() == 1)
    assert shown.look() == []
    future.result(10)
    assert len(shown.look()) == 1


def test_elsewhere_then_ours(hub: hercle.Hub, simulator: HubProcess) -> None:
    """Where a row turns out to be a creation's invoice, that keeps its number and the other row goes."""
    lose(hub, simulator, "first")
    lose(hub, simulator, "second")
    hub.refresh_invoices()  # which is whose cannot be told
    shown = Shown(hub)
    assert [row["status"] for row in shown.rows()] == ["open", "open", "unknown", "unknown"]
    ours, other, first, second = shown.rows()
    made = next(one for one in simulator.stats()["invoices"] if one["id"] == ours["id"])
    answer_late(
        *(simulator, "first", "execution.invoice.created"),
        **{name: made[name] for name in ("id", "expiresAt", "encodedPaymentRequest")},
        httpStatusCode=201,
    )
    shown.until((None, "open"), ("first", "open"), ("second", "unknown"))
    assert [row["number"] for row in shown.rows()] == [other["number"], first["number"], second["number"]]
    assert shown.rows()[1]["id"] == ours["id"]


def test_given_back(hub: hercle.Hub, simulator: HubProcess) -> None:
    """Where the hub's own answer names another invoice than its list, both are rows, and stay so."""
    lose(hub, simulator, "lost")
    hub.refresh_invoices()
    shown = Shown(hub)
    before = shown.only()
    answer_late(
        *(simulator, "lost", "execution.invoice.created"),
        id="inv_other",
        httpStatusCode=201,
        encodedPaymentRequest=pay_to(description="Coffee"),
    )
    shown.until(("lost", "open"), (None, "open"))
    ours, back = shown.rows()
    assert (ours["number"], ours["id"]) == (before["number"], "inv_other")
    assert back["id"] == before["id"]


def test_given_back_by_a_refusal(hub: hercle.Hub, simulator: HubProcess) -> None:
    """Where the hub refuses what its list seemed to show, the invoice and the refusal are two rows."""
    lose(hub, simulator, "lost")
    hub.refresh_invoices()
    shown = Shown(hub)
    answer_late(simulator, "lost", "preChecksError", message="no")
    shown.until((None, "open"), ("lost", "rejected"))


def test_one_hash_in_two_requests(listed: hercle.Hub, scripted: ScriptedHub) -> None:
    """Two payment requests with one payment hash are two rows, each with its number at every look."""
    ours = listed.create_invoice(amount_sat=5, client_id="ours")
    scripted.invoices[0]["encodedPaymentRequest"] = pay_to(
        payment_hash=bytes.fromhex(str(ours.payment_hash)), amount_msat=1_000
    )
    listed.refresh_invoices()
    shown = Shown(listed)
    assert [(row["client_id"], row["amount_sat"]) for row in shown.rows()] == [("ours", "5"), (None, "1")]
    assert shown.look() == shown.look() == []


def test_paid(hub: hercle.Hub, simulator: HubProcess) -> None:
    """A payment is one changed row of the same number."""
    made = [hub.create_invoice(amount_sat=sat) for sat in (1, 2)]
    shown = Shown(hub)
    simulator.post(f"pay/{made[1].id}")
    hub.refresh_invoices()
    changed = {row[0]: row[1] for row in shown.look()}
    assert changed[2] == "paid"
    assert changed.get(1, "open") == "open"
    hub.refresh_invoices()
    assert shown.look() == []


def test_expired(listed: hercle.Hub, scripted: ScriptedHub) -> None:
    """That an invoice expires is one changed row, though no message says it."""
    request = pay_to(timestamp=int(time.time()), expiry=2)
    scripted.invoices.append({"id": "inv_0", "status": "OPEN", "encodedPaymentRequest": request})
    listed.refresh_invoices()
    shown = Shown(listed)
    assert shown.only()["status"] == "open"
    shown.until((None, "expired"))


def test_pieces(listed: hercle.Hub, scripted: ScriptedHub) -> None:
    """Many changes come in pieces, none of them twice and none left out."""
    shown = Shown(listed)
    scripted.invoices += entries(450)
    listed.refresh_invoices()
    pieces = [shown.look() for _ in range(4)]
    assert [len(piece) for piece in pieces] == [200, 200, 50, 0]
    assert [row["number"] for row in shown.rows()] == list(range(1, 451))


def test_thousands(listed: hercle.Hub, scripted: ScriptedHub) -> None:
    """Where nothing has changed nothing is sent, however many invoices there are."""
    scripted.invoices += entries(5_000)
    listed.refresh_invoices()
    inspector = listed.inspector()
    try:
        browser = Browser(inspector._table)
        until(lambda: len(browser.sent_rows()) == 5_000)
        rows = inspector._rows
        assert rows is not None
        looked_at = rows._looked_at
        until(lambda: rows._looked_at > looked_at + 1)
        assert len(browser.sent_rows()) == 5_000
    finally:
        inspector.close()


def test_more_than_a_browser_keeps(listed: hercle.Hub, scripted: ScriptedHub) -> None:
    """Of more than 5,000 invoices the last ones are shown, and it is said that they are not all."""
    scripted.invoices += entries(5_010)
    listed.refresh_invoices()
    source = Shown(listed).source
    assert [row[0] for row in source.latest()] == list(range(11, 5_011))
    assert source.state()["notes"][1] == "the last 5,000 of 5,010 invoices"
    assert [row[0] for row in source.latest(20)] == list(range(4_991, 5_011))


def test_state(hub: hercle.Hub) -> None:
    """The notes say how many invoices there are and how old the hub's list is, beside notice and presses."""
    source = InvoiceRows(hub)
    assert source.state()["notes"][1:] == ["0 invoices", "the hub's list was not asked for yet"]
    hub.create_invoice(amount_sat=5)
    hub.refresh_invoices()
    source.latest()
    source.notice, source.pressed = "Look.", {"wait": True}
    asked_at = hub._core.lists.asked_at
    assert source.state() == {
        "state": "connected",
        "reason": "",
        "notes": ["sandbox", "1 invoice", f"the hub's list as of {asked_at:%H:%M:%S} UTC"],
        "notice": "Look.",
        "pressed": {"wait": True},
    }
    hub.close()
    assert source.state()["state"] == "closed"
    assert not source.ended()  # an invoice can still expire


@given(st.integers(1, MOST_MSAT))
@example(1)
@example(1_500)
@example(MOST_MSAT)
def test_amounts(msat: int) -> None:
    """An amount is exact in both units, as plain text, in BTC with eight places or more."""
    row = dict(zip(NAMES, _invoice_rows._row(1, replace(TEA, amount_msat=msat), "open"), strict=True))
    btc, sat = row["amount_btc"], row["amount_sat"]
    assert set(btc + sat) <= set("0123456789.")
    assert Decimal(btc) == amounts.msat_to_btc(msat)
    assert len(btc.partition(".")[2]) >= 8
    assert Decimal(sat) * 1_000 == msat
    assert (amounts.msat_to_sat(msat) is None) == ("." in sat)


@pytest.mark.parametrize("text", [*HOSTILE, "\ud800", "a\udfff\ud800b" * 2_000, "😀" * 10_000])
def test_hostile_texts(text: str) -> None:
    """No text of a hub's keeps a row from being sent, nor fills the browser."""
    invoice = replace(TEA, memo=text, id=text, client_id=text)
    row = _invoice_rows._row(1, invoice, "open")
    assert len(json.dumps(row, ensure_ascii=False, allow_nan=False).encode()) < 6_000
