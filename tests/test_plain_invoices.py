"""The inspector on ipywidgets alone: its table, its filters, and what is chosen in it."""

from __future__ import annotations

import re
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

import hercle_nb as hercle
from hercle_nb import payments
from hercle_nb.widgets._invoice_rows import _row
from hercle_nb.widgets._plain_invoices import _name
from tests.answers import answer, pay_to
from tests.faces import assert_harmless, html, settled
from tests.fast import until
from tests.hostile import HOSTILE
from tests.scripted import scripted_hub
from tests.servers import python

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hercle_nb.widgets.inspector import InvoiceInspector
    from tests.servers import HubProcess


@pytest.fixture
def hub(simulator: HubProcess) -> Iterator[hercle.Hub]:
    """A hub connected to the simulator, with three invoices and a refusal."""
    with hercle.connect(url=simulator.url, api_key=simulator.key, journal=False, timeout=10) as hub:
        for name, memo in (("first", "Coffee"), ("second", "Tea"), ("third", "Iced coffee")):
            hub.create_invoice(amount_sat=5, memo=memo, client_id=name)
        simulator.mode(errorSubject="execution.invoice.error")
        with pytest.raises(hercle.CommandRejected):
            hub.create_invoice(0.001, "Cake", client_id="refused")
        simulator.mode()
        yield hub


@pytest.fixture
def inspector(hub: hercle.Hub) -> Iterator[InvoiceInspector]:
    """A plain inspector of that hub."""
    inspector = hub.inspector(plain=True)
    yield inspector
    inspector.close()
    settled()


@pytest.fixture
def table(inspector: InvoiceInspector) -> Any:
    """Its table, once it is up to date."""
    until(lambda: len(inspector._table._chosen.options) == 5)
    return inspector._table


def numbers(table: Any) -> list[int]:
    """The rows shown, by their numbers."""
    return [int(number) for number in re.findall(r"<tr><td[^>]*><bdi>(\d+)</bdi>", table._table.value)]


def button(table: Any, label: str) -> Any:
    """The button of that label."""
    return next(one for one in table.children[0].children if getattr(one, "description", "") == label)


def test_names() -> None:
    """In the list to choose from, any amount is told from one that is unknown."""
    made = answer(encodedPaymentRequest=pay_to(amount_msat=1_500))
    unread = replace(made, amount_msat=None, payment_hash=None)
    names = [
        _name(_row(number, one, "open"))
        for number, one in enumerate((made, replace(made, amount_msat=None), unread))
    ]
    memo = "Payment for services"
    assert names == [
        f"0: open, 0.000000015 BTC, {memo}",
        f"1: open, any amount, {memo}",
        f"2: open, unknown amount, {memo}",
    ]


def test_rows(table: Any, hub: hercle.Hub) -> None:
    """All invoices are rows, refused ones too, and what comes is added."""
    assert numbers(table) == [1, 2, 3, 4]
    assert "✗ rejected" in table._table.value
    assert "0.00000005" in table._table.value
    hub.create_invoice(amount_sat=6)
    until(lambda: numbers(table) == [1, 2, 3, 4, 5])
    hub.close()
    until(lambda: ">Closed<" in table._table.value)


def test_filter(table: Any) -> None:
    """The filter finds invoices by any of their texts, in any case of letters."""
    for text, found in (
        ("COFFEE", [1, 3]),
        ("second", [2]),
        ("0.001", [4]),
        ("none such", []),
        ("", [1, 2, 3, 4]),
    ):
        table._filter.value = text
        until(lambda: numbers(table) == found)  # noqa: B023  # it is waited for here


def test_state(table: Any) -> None:
    """The state chosen is the only one shown, together with the filter."""
    table._state.value = "rejected"
    until(lambda: numbers(table) == [4])
    table._state.value = "open"
    table._filter.value = "coffee"
    until(lambda: numbers(table) == [1, 3])
    assert list(table._state.options) == ["all", "open", "paid", "expired", "closed", "rejected", "unknown"]


def test_choose(table: Any, inspector: InvoiceInspector, hub: hercle.Hub) -> None:
    """One is chosen by its number, shown, and stays chosen and open while others come."""
    labels = [label for label, _ in table._chosen.options]
    assert labels[1] == "4: rejected, 0.00100000 BTC, Cake"
    assert labels[4] == "1: open, 0.00000005 BTC, Coffee"
    table._chosen.value = 1
    until(lambda: "first" in html(inspector._detail))
    (detail,) = inspector._detail.children
    hub.create_invoice(amount_sat=6)
    until(lambda: len(table._chosen.options) == 6)
    settled()
    assert table._chosen.value == 1
    assert inspector._detail.children == (detail,)
    table._chosen.value = 4
    until(lambda: "ACCOUNT_LOCKED" in html(inspector._detail))
    assert detail.comm is None
    table._chosen.value = None
    until(lambda: html(inspector._detail) == "")


def test_filtered_away(table: Any, inspector: InvoiceInspector) -> None:
    """What is filtered away is not chosen any more."""
    table._chosen.value = 1
    until(lambda: "first" in html(inspector._detail))
    table._filter.value = "tea"
    until(lambda: table._chosen.value is None)
    until(lambda: html(inspector._detail) == "")


def test_refresh(table: Any, hub: hercle.Hub, simulator: HubProcess) -> None:
    """A press asks for the hub's list, and what it says is shown."""
    simulator.post(f"pay/{hub.invoice('second').id}")
    button(table, "Refresh").click()
    until(lambda: "✓ paid" in table._table.value)
    assert "the hub&#x27;s list as of" in table._table.value


@pytest.mark.parametrize("label", ["Refresh", "Wait for payments"])
def test_closed_hub(table: Any, hub: hercle.Hub, label: str) -> None:
    """What a press cannot do is said."""
    hub.close()
    button(table, label).click()
    until(lambda: "hercle.connect() for a new one." in table._table.value)


def test_refusal(table: Any, simulator: HubProcess) -> None:
    """The hub's refusal is said, as text."""
    simulator.mode(hubError="<b>not now</b>")
    button(table, "Refresh").click()
    until(lambda: "&lt;b&gt;not now&lt;/b&gt;" in table._table.value)


def test_wait(table: Any, hub: hercle.Hub, simulator: HubProcess, monkeypatch: pytest.MonkeyPatch) -> None:
    """While payments are waited for that is said, and they are seen; a second press ends it."""
    monkeypatch.setattr(payments, "POLL", 0.1)
    button(table, "Wait for payments").click()
    until(lambda: "every few seconds" in table._table.value)
    simulator.post(f"pay/{hub.invoice('third').id}")
    until(lambda: "✓ paid" in table._table.value)
    button(table, "Wait for payments").click()
    until(lambda: "every few seconds" not in table._table.value)
    until(lambda: not hub._core.payments._polling)


def test_error_is_shown(table: Any, hub: hercle.Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the invoices cannot be read the table says so, until they can be again."""
    with monkeypatch.context() as patch:
        patch.setattr(hub._core.book, "invoices", lambda: 1 / 0)
        until(lambda: "could not be brought up to date: ZeroDivisionError" in table._table.value)
    hub.create_invoice(amount_sat=6)
    until(lambda: numbers(table) == [1, 2, 3, 4, 5])


def test_at_most_twice_a_second(table: Any, hub: hercle.Hub) -> None:
    """However many invoices come, the table changes at most twice a second."""
    changes: list[Any] = []
    table._table.observe(changes.append, "value")
    began = time.monotonic()
    for _ in range(60):
        hub.create_invoice(amount_sat=6)
    until(lambda: numbers(table)[-1] == 64)
    assert len(numbers(table)) == 50
    assert len(changes) <= 2 * (time.monotonic() - began) + 1


def test_hostile() -> None:
    """What a hub sends is text, in the table and in what can be chosen."""
    with scripted_hub() as server:
        server.invoices += [
            {"id": text, "memo": text, "status": text, "encodedPaymentRequest": f"lnbcrt1{n}"}
            for n, text in enumerate([*HOSTILE[:45], "\ud800"])
        ]
        with hercle.connect(url=server.url, api_key=server.key, journal=False) as hub:
            hub.refresh_invoices()
            inspector = hub.inspector(plain=True)
            try:
                until(lambda: len(numbers(inspector._table)) == 46)
                assert_harmless(html(inspector))
                assert "\u202e" not in html(inspector)
                "".join(label for label, _ in inspector._table._chosen.options).encode()
            finally:
                inspector.close()
                settled()


def test_without_anywidget() -> None:
    """Where anywidget is missing the inspector is plain, and says nothing about it."""
    done = python(
        """
        import sys
        sys.modules["anywidget"] = None
        import hercle_nb
        with hercle_nb.connect("simulator") as hub:
            inspector = hub.inspector()
            print(type(inspector._table).__name__)
            inspector.close()
        """
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "PlainInvoices\n", "")
