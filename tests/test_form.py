"""The form, without a browser: its fields, its one press, and what it shows."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

import pytest

import hercle_nb as hercle

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from hercle_nb.widgets.form import InvoiceForm
    from tests.servers import HubProcess


@pytest.fixture
def form(hub: hercle.Hub) -> Iterator[InvoiceForm]:
    """A form on a hub."""
    form = hub.form(amount_btc="0.001", memo="Coffee")
    yield form
    form.close_all()


def until(condition: Callable[[], object]) -> None:
    """Wait for what the hub's thread is about to do."""
    deadline = time.monotonic() + 5
    while not condition():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.005)


def test_creates_an_invoice(form: InvoiceForm) -> None:
    """A press creates what the fields say and shows it."""
    form._press()
    until(lambda: form.invoice)
    assert form.invoice.amount_sat == 100_000
    assert form.invoice.decoded.description == "Coffee"
    assert form.invoice.expiry_hours == 24
    assert form.invoice.payment_request in form._result.value
    assert form._problem.value == ""


def test_pressed_often_creates_once(form: InvoiceForm, server: HubProcess) -> None:
    """However often and from however many threads it is pressed, before and after the answer, one is made."""
    server.mode(replyDelayMs=50)
    threads = [threading.Thread(target=form._create.click) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert form._create.disabled
    until(lambda: form.invoice)
    form._create.click()
    form._press()
    assert server.created() == 1


def test_a_press_does_not_block(form: InvoiceForm, server: HubProcess) -> None:
    """The callback returns at once, however long the hub takes."""
    server.mode(replyDelayMs=1000)
    began = time.monotonic()
    form._press()
    assert time.monotonic() - began < 0.5


def test_another_invoice(form: InvoiceForm, server: HubProcess) -> None:
    """After an invoice the button rests until another one is asked for."""
    form._press()
    until(lambda: not form._another.disabled)
    form._another.click()
    assert not form._create.disabled
    assert form._result.value == ""
    first = form.invoice
    form._press()
    until(lambda: form.invoice is not first)
    assert server.created() == 2


@pytest.mark.parametrize(
    ("amount", "unit", "says"),
    [
        ("", "BTC", "plain decimal number"),
        ("0,001", "BTC", "plain decimal number"),
        ("0", "BTC", "more than 0"),
        ("0.5", "sat", "whole number of satoshis"),
        ("22000000", "BTC", "21,000,000"),
        ("<b>1</b>", "BTC", "&lt;b&gt;"),
    ],
)
def test_bad_amount(form: InvoiceForm, server: HubProcess, amount: str, unit: str, says: str) -> None:
    """A bad amount is told in the error area, escaped, and the button can be pressed again."""
    form._unit.value, form._amount.value = unit, amount
    form._press()
    assert says in form._problem.value
    assert 'role="alert"' in form._problem.value
    assert not form._create.disabled
    assert server.created() == 0
    form._unit.value, form._amount.value = "sat", "5"
    form._press()
    until(lambda: form.invoice)


def test_hub_refuses(form: InvoiceForm, server: HubProcess) -> None:
    """The hub's refusal is shown in its words; the mended request is sent under a new ClientId."""
    server.mode(errorSubject="execution.invoice.error")
    form._press()
    until(lambda: "The account may not create invoices" in form._problem.value)
    server.mode()
    until(lambda: not form._create.disabled)
    form._press()
    until(lambda: form.invoice)
    assert form._problem.value == ""


def test_unknown_outcome_is_not_sent_again(form: InvoiceForm, server: HubProcess) -> None:
    """After a time-out the same press sends nothing, and adopts the answer once it has come."""
    form._hub.timeout = 0.1
    server.mode(replyDelayMs=300)
    form._press()
    until(lambda: "may or may not" in form._problem.value)
    until(lambda: not form._create.disabled)
    until(lambda: form._hub.stats["events"])
    form._press()
    until(lambda: form.invoice)
    assert form.invoice.reused
    assert server.created() == 1


def test_closed_hub(form: InvoiceForm) -> None:
    """A press after the hub was closed says what to do."""
    form._hub.close()
    form._press()
    assert "hercle.connect()" in form._problem.value


def test_unit_converts(form: InvoiceForm) -> None:
    """Changing the unit converts the amount, never reinterprets it; the other unit is shown beside it."""
    assert form._echo.value == "= 100\u202f000 sat"
    form._unit.value = "sat"
    assert form._amount.value == "100000"
    assert form._echo.value == "= 0.00100000 BTC"
    form._amount.value = "x"
    assert form._echo.value == ""
    form._unit.value = "BTC"
    assert form._amount.value == ""


def test_defaults(hub: hercle.Hub) -> None:
    """Defaults fill the fields, are checked like any request, and a typo is a TypeError."""
    form = hub.form(amount_sat=5, expiry_hours=5)
    assert (form._unit.value, form._amount.value, form._expiry.value) == ("sat", "5", 5)
    form.close_all()
    assert hub.form(expiry_hours=None)._expiry.value is None
    with pytest.raises(hercle.InvalidRequest):
        hub.form(amount_btc=0.1 + 0.2)
    with pytest.raises(hercle.InvalidRequest):
        hub.form(memo="a\nb")
    with pytest.raises(TypeError, match="amout_btc"):
        hub.form(amout_btc=1)


def test_callbacks(form: InvoiceForm) -> None:
    """`on_created` is called with each invoice; one that raises is logged, not shown."""
    made = []
    form.on_created(lambda _: 1 / 0)
    form.on_created(made.append)
    form._press()
    until(lambda: made)
    assert made == [form.invoice]


def test_without_a_kernel(form: InvoiceForm) -> None:
    """A viewer without a kernel shows a sentence, and the invoice if there is one."""
    assert "running" in form._repr_mimebundle_()["text/html"]
    form._press()
    until(lambda: form.invoice)
    assert form.invoice.payment_request in form._repr_mimebundle_()["text/html"]
