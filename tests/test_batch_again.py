"""A batch that is run again: what was made before is never made twice by a slip, and nothing advises it."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import pytest

import hercle_nb as hercle
from hercle_nb.batch.again import digest
from hercle_nb.invoice_request import InvoiceRequest
from tests.fast import fast_hub, until
from tests.journals import PAIRS, connect, fail, held, rows, sent

if TYPE_CHECKING:
    from pathlib import Path

    import pandas as pd

    from tests.servers import HubProcess

ORDERS = [
    {"n": f"A-{number}", "amount_sat": 1_000 + number, "memo": f"Order {number}"} for number in range(4)
]


def many(hub: hercle.Hub, rows: Any, **options: Any) -> pd.DataFrame:
    """Create them, without a bar."""
    return hub.create_invoices(rows, **{"progress": False} | options)


def changed(number: int, **changes: Any) -> list[dict[str, Any]]:
    """The orders with one changed."""
    return [order | (changes if at == number else {}) for at, order in enumerate(ORDERS)]


# -- without a batch_id -------------------------------------------------------------------------------------


def test_run_twice(hub: hercle.Hub, server: HubProcess, capsys: pytest.CaptureFixture[str]) -> None:
    """The same rows again without a batch_id are refused, each time, with every way to go on."""
    made = many(hub, ORDERS)
    batch_id = made.attrs["batch_id"]
    capsys.readouterr()
    for _ in range(2):
        with pytest.raises(hercle.InvalidRequest) as caught:
            many(hub, ORDERS)
        told = re.fullmatch(
            r"These 4 rows ask for the same as the batch '([0-9a-f-]{36})' of "
            r"\d{4}-\d\d-\d\d \d\d:\d\d UTC, which was made without a batch_id; nothing was sent\. "
            r"To see that one, or to go on where it was interrupted, write batch_id='\1' with the "
            r"rows in the order of then; for a list that "
            r'recurs, give it a name of its own such as batch_id="rent-2026-12"\. again=True makes each '
            r"invoice a second time\.",
            str(caught.value),
        )
        assert told is not None
        assert told[1] == batch_id
    assert "batch_id=" not in capsys.readouterr().out  # no name is given to what is not made
    assert sent(server) == 4
    assert many(hub, ORDERS, batch_id=batch_id)["id"].tolist() == made["id"].tolist()
    assert sent(server) == 4
    many(hub, ORDERS, batch_id="rent-2026-12")
    assert sent(server) == 8
    many(hub, ORDERS, again=True)
    assert sent(server) == 12


def test_alike_whatever_the_order(hub: hercle.Hub, server: HubProcess) -> None:
    """What the rows ask for counts: not their order, index, other columns or how amounts are written."""
    many(hub, ORDERS)
    other = [
        {"amount_btc": f"0.{order['amount_sat']:08d}", "Memo": order["memo"], "x": 1}
        for order in ORDERS[::-1]
    ]
    with pytest.raises(hercle.InvalidRequest, match="ask for the same"):
        many(hub, other)
    for different in (ORDERS[:3], [*ORDERS, ORDERS[0]], changed(1, memo="Tea"), changed(1, expiry_hours=24)):
        many(hub, different)
    assert sent(server) == 4 + 3 + 5 + 4 + 4


def test_a_dry_run_says_so(hub: hercle.Hub, capsys: pytest.CaptureFixture[str]) -> None:
    """A dry run of rows that were sent before says it, and is not refused."""
    many(hub, ORDERS)
    capsys.readouterr()
    planned = many(hub, ORDERS, dry_run=True)
    assert "ask for the same as the batch" in capsys.readouterr().out
    assert (planned["status"] == "not sent").all()


def test_what_was_not_sent_does_not_count(server: HubProcess) -> None:
    """Rows of which nothing left this machine may be sent again."""
    with fast_hub(server.url) as hub:
        server.mode(negotiateStatus=503, negotiateFailures=1_000)
        server.lose()
        until(lambda: hub.state == "reconnecting")
        frame = many(hub, ORDERS, timeout=0.3)
        assert (frame["status"] == "not sent").all()
        server.mode()
        assert (many(hub, ORDERS, timeout=30)["status"] == "open").all()
    assert sent(server) == 4


def test_rows_with_ids_of_their_own(hub: hercle.Hub, server: HubProcess) -> None:
    """Rows that bring their own ClientIds are the known invoices again."""
    own = [order | {"client_id": order["n"]} for order in ORDERS]
    first = many(hub, own)
    assert many(hub, own)["id"].tolist() == first["id"].tolist()
    requests = [InvoiceRequest(amount_sat=5), InvoiceRequest(amount_sat=6)]
    assert many(hub, requests)["id"].tolist() == many(hub, requests)["id"].tolist()
    assert sent(server) == 6


@PAIRS
def test_in_the_next_kernel(server: HubProcess, journal: str) -> None:
    """With a journal the next kernel knows them too, and one that is there at the same time."""
    with connect(server, journal) as first, connect(server, journal) as other:
        batch_id = many(first, ORDERS).attrs["batch_id"]
        with pytest.raises(hercle.InvalidRequest, match=batch_id):
            many(other, ORDERS)
    with connect(server, journal) as second:
        with pytest.raises(hercle.InvalidRequest, match=batch_id):
            many(second, ORDERS)
        assert (many(second, ORDERS, batch_id=batch_id)["status"] == "open").all()
        with pytest.raises(hercle.InvalidRequest, match=batch_id):  # it was made without a name all the same
            many(second, ORDERS)
    assert sent(server) == 4
    (batch,) = rows(journal, "hercle_batches")
    assert (batch.batch_id, bool(batch.named)) == (batch_id, False)
    assert {(one.batch, one.row_key) for one in rows(journal)} == {(batch.batch, str(n)) for n in range(4)}


def test_another_accounts_batch(simulator_process: HubProcess, journal_file: str) -> None:
    """A batch of another account keeps nobody from sending the same."""
    server = simulator_process
    server.reset()
    with connect(server, journal_file) as first:
        many(first, ORDERS)
    with connect(server, journal_file, api_key=server.add_key("user_2")) as second:
        assert (many(second, ORDERS)["status"] == "open").all()
    assert sent(server) == 8


def test_the_digest_is_of_what_is_asked() -> None:
    """Two lists have the same digest if they ask for the same, None and an empty memo apart."""
    one, two = InvoiceRequest(amount_sat=1, memo=None), InvoiceRequest(amount_sat=2, memo="")
    again = InvoiceRequest("0.00000001", client_id="x")
    assert digest([one, two]) == digest([two, again])
    assert (
        len({digest([one]), digest([two]), digest([one, one]), digest([InvoiceRequest(amount_sat=2)])}) == 4
    )
    assert digest([]) == ""


def test_requests_without_an_id(hub: hercle.Hub, server: HubProcess) -> None:
    """An id made for a request is none of its own: made anew the list is refused, the same is known."""

    def requests() -> list[InvoiceRequest]:
        return [InvoiceRequest(amount_sat=5), InvoiceRequest(amount_sat=6)]

    same = requests()
    first = many(hub, same)
    assert many(hub, same)["id"].tolist() == first["id"].tolist()
    with pytest.raises(hercle.InvalidRequest, match="ask for the same"):
        many(hub, requests())
    assert sent(server) == 2


@pytest.mark.parametrize("journal", [False, True])
def test_a_batch_that_grew(server: HubProcess, tmp_path: Path, *, journal: bool) -> None:
    """A batch without a name that went on with more rows is known with all of them."""
    place = str(tmp_path / "journal.db") if journal else False
    with connect(server, place) as hub:
        batch_id = many(hub, ORDERS[:2]).attrs["batch_id"]
        many(hub, ORDERS, batch_id=batch_id)
        for known in (ORDERS[:2], ORDERS):
            with pytest.raises(hercle.InvalidRequest, match=batch_id):
                many(hub, known)
    assert sent(server) == 4


@pytest.mark.parametrize("existing", ["refuse", "keep"])
def test_a_list_in_another_order(hub: hercle.Hub, server: HubProcess, existing: Any) -> None:
    """Ids made from places do not follow a list that was sorted: nothing of it is sent."""
    many(hub, ORDERS[:2], batch_id="november")
    for moved in (ORDERS[::-1], [*ORDERS[2:], *ORDERS[:2]], ORDERS[1::-1]):
        with pytest.raises(hercle.InvalidRequest) as caught:
            many(hub, moved, batch_id="november", existing=existing)
        assert "in another order than they were sent in (row" in str(caught.value)
        assert "existing=" not in str(caught.value)
    assert (many(hub, ORDERS, batch_id="november")["status"] == "open").all()
    many(hub, ORDERS[:2], batch_id="keyed", key="n")
    assert (many(hub, ORDERS[::-1], batch_id="keyed", key="n")["status"] == "open").all()
    assert sent(server) == 8


def test_a_locked_journal(server: HubProcess, journal_file: str) -> None:
    """While the journal takes nothing a batch is not begun, and says so instead of waiting on."""
    with connect(server, journal_file) as hub:
        with held(journal_file), pytest.raises(hercle.HercleError, match="nothing was sent"):
            many(hub, ORDERS, batch_id="november", timeout=0.5)
        assert (many(hub, ORDERS, batch_id="november")["status"] == "open").all()
    assert sent(server) == 4


# -- rows that differ ---------------------------------------------------------------------------------------


def test_rows_that_differ_are_named(hub: hercle.Hub, server: HubProcess) -> None:
    """A row that asks for something else is named with its order, what there is, and what it asks now."""
    many(hub, ORDERS[:3], batch_id="november", key="n")
    with pytest.raises(hercle.InvalidRequest) as caught:
        many(hub, changed(1, amount_sat=7_777), batch_id="november", key="n")
    known = many(hub, ORDERS[:3], batch_id="november", key="n")["client_id"].iloc[1]
    assert str(caught.value) == (
        "1 of 4 rows asks for something else than what was sent for them, and nothing was sent now:\n"
        "row 1 (order 'A-1'): it was 0.00001001 BTC, memo 'Order 1', expiry the hub's default, which is "
        f"open: see hub.invoice({known!r}); now it asks for 0.00007777 BTC, memo 'Order 1', expiry the hub's "
        "default\nNever sent: row 3 (order 'A-3'). existing=\"keep\" sends those alone and returns what "
        "there is for the rows above; another batch_id or client_id makes a second invoice for each order "
        "that has one or may have one."
    )
    assert sent(server) == 3


def test_every_row_in_one_report(hub: hercle.Hub, server: HubProcess) -> None:
    """Rows that differ and rows that cannot be sent for another reason are told at once."""
    many(hub, ORDERS[:2], batch_id="november", key="n")
    rows = changed(1, memo="Tea")
    rows[3] = {"n": "A-3", "amount_btc": 5}
    with pytest.raises(hercle.InvalidRequest) as caught:
        many(hub, rows, batch_id="november", key="n")
    told = str(caught.value).splitlines()
    assert told[0].startswith("2 of 4 rows cannot be sent, and nothing was")
    assert told[1].startswith("row 1: it was 0.00001001 BTC, memo 'Order 1'")
    assert told[2].startswith("row 3: 5 BTC is more than this hub's limit")
    assert told[3].startswith("Never sent: row 2 (order 'A-2').")
    assert sent(server) == 2


@PAIRS
def test_keep(server: HubProcess, journal: str) -> None:
    """existing="keep" returns the known invoice of such rows, says so, and sends the rest."""
    with connect(server, journal) as first:
        before = many(first, ORDERS[:3], batch_id="november", key="n")
    with connect(server, journal) as second:
        rows = changed(1, amount_sat=7_777)
        planned = many(second, rows, batch_id="november", key="n", existing="keep", dry_run=True)
        assert planned["status"].tolist() == ["open"] * 3 + ["not sent"]
        frame = many(second, rows, batch_id="november", key="n", existing="keep")
        assert frame["id"].tolist()[:3] == before["id"].tolist()
        assert frame["invoice_amount_sat"].tolist() == [1_000, 1_001, 1_002, 1_003]
        assert frame["amount_sat"].tolist() == [1_000, 7_777, 1_002, 1_003]
        assert (frame["status"] == "open").all()
        assert frame["error"].isna().all()
        assert frame["note"].isna().tolist() == [True, False, True, True]
        assert frame["note"].iloc[1] == (
            "kept: this row asks for 0.00007777 BTC, memo 'Order 1', expiry the hub's default"
        )
        assert second.batch().equals(frame)
    assert sent(server) == 4


def test_keep_what_is_unknown_or_refused(server: HubProcess, journal_file: str) -> None:
    """A row whose first asking is of unknown outcome, or was refused, is kept as that."""
    with connect(server, journal_file) as hub:
        fail(hub, server, "order-1", journal_file)
        rows = [{"client_id": "order-1", "amount_sat": 5}, {"client_id": "order-2", "amount_sat": 6}]
        with pytest.raises(hercle.InvalidRequest, match="may or may not have been carried out"):
            many(hub, rows)
        frame = many(hub, rows, existing="keep")
        assert frame["status"].tolist() == ["unknown", "open"]
        assert "it was 0.001 BTC" in frame["note"].iloc[0]
    assert sent(server) == 2


def test_nothing_advises_a_second_invoice(hub: hercle.Hub) -> None:
    """Whoever resumes, runs again or corrects a list is never told to take a new id without what it means."""
    many(hub, ORDERS, batch_id="november", key="n")
    hub.create_invoice(amount_sat=5, client_id="order-1")
    told = []
    for refused in (
        lambda: many(hub, changed(2, memo="Tea"), batch_id="november", key="n"),
        lambda: hub.create_invoice(amount_sat=6, client_id="order-1"),
        lambda: hub.command("CreateLightningInvoice", 1, None, 24, client_id="order-1"),
        lambda: hub.invoke("CreateLightningInvoice", "order-1", 1, None, 24),
        lambda: many(hub, [{"client_id": "order-1", "amount_sat": 6}]),
    ):
        with pytest.raises(hercle.InvalidRequest) as caught:
            refused()
        told.append(str(caught.value))
    for message in told:
        assert "second invoice" in message
        assert "hub.invoice(" in message  # how to see the first
        assert "of its own" not in message


@pytest.mark.parametrize("existing", ["", None, "Keep", True])
def test_existing_is_one_of_two(hub: hercle.Hub, existing: Any) -> None:
    """Anything else is refused, with the two that there are."""
    with pytest.raises(hercle.InvalidRequest, match='existing must be "refuse" or "keep"'):
        many(hub, ORDERS, existing=existing)
