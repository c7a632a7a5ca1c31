"""The form on ipywidgets alone: it asks before it sends anything."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import ipywidgets
import pytest

from hercle_nb.widgets import _frontend
from hercle_nb.widgets._frontend import Region
from hercle_nb.widgets._plain_form import PlainForm
from tests.fast import until

if TYPE_CHECKING:
    from collections.abc import Iterator

    import hercle_nb as hercle
    from hercle_nb.widgets.form import InvoiceForm
    from tests.servers import HubProcess


@pytest.fixture
def plain(hub: hercle.Hub) -> Iterator[InvoiceForm]:
    """A form that uses ipywidgets alone."""
    form = hub.form(amount_btc="0.001", memo="Coffee", plain=True)
    yield form
    form.close()


def face_of(form: InvoiceForm) -> PlainForm:
    """Its fields and buttons."""
    assert isinstance(form._face, PlainForm)
    return form._face


def ask(form: InvoiceForm) -> None:
    """Press Create, and wait for the question."""
    face_of(form)._create.click()
    until(lambda: face_of(form).phase == "confirm")


def test_asks(plain: InvoiceForm, server: HubProcess) -> None:
    """The plain form asks before it sends anything, and sends once however often yes is pressed."""
    face = face_of(plain)
    ask(plain)
    assert "Create an invoice of 0.00100000 BTC" in face._told.value
    assert face._buttons.children == (face._confirm, face._back)
    face._back.click()
    until(lambda: face._buttons.children == (face._create,))
    ask(plain)
    assert server.created() == 0
    for _ in range(5):
        face._confirm.click()
    card = until(lambda: face._buttons.children == (face._another,) and plain._card)
    assert card._live is None
    assert all(field.disabled for field in (*face._inputs, face._unit))
    assert server.created() == 1


def test_edit_takes_the_question_back(plain: InvoiceForm, server: HubProcess) -> None:
    """What is typed while it asks takes the question back; the next one is about what stands there now."""
    face = face_of(plain)
    ask(plain)
    face._memo.value = "Tea"
    until(lambda: face.phase == "draft")
    face._confirm.click()
    ask(plain)
    assert "the memo “Tea”" in face._told.value
    assert server.created() == 0
    face._confirm.click()
    until(lambda: plain.invoice)
    assert plain.invoice is not None
    assert plain.invoice.memo == "Tea"


def test_unit(plain: InvoiceForm) -> None:
    """Changing the unit converts the amount, never reinterprets it; the other unit is shown beside it."""
    face = face_of(plain)
    until(lambda: face._echo.value == "= 100\u202f000 sat")
    face._unit.value = "sat"
    until(lambda: face._amount.value == "100000" and face._echo.value == "= 0.00100000 BTC")
    face._amount.value = "x"
    until(lambda: face._echo.value == "")
    face._unit.value = "BTC"
    until(lambda: face._amount.value == "")


def test_problems(plain: InvoiceForm) -> None:
    """What is wrong is told, escaped, and the button rests until it is right."""
    face = face_of(plain)
    face._amount.value = "<b>1</b>"
    until(lambda: face._create.disabled)
    assert "&lt;b&gt;" in face._problems.value
    assert 'role="alert"' in face._problems.value
    face._expiry.value = "custom"
    until(lambda: face._hours.layout.display == "" and "from 1 to 720" in face._problems.value)
    face._hours.value, face._amount.value = "5", "1"
    until(lambda: not face._create.disabled and face._problems.value == "")


def test_empty_amount(hub: hercle.Hub, server: HubProcess) -> None:
    """An amount not typed so far is no problem before the first press, and told after it."""
    form = hub.form(plain=True)
    face = face_of(form)
    assert (face._problems.value, face._create.disabled) == ("", False)
    face._create.click()
    until(lambda: "Type an amount, such as 0.001." in face._problems.value)
    face._amount.value = "1"
    until(lambda: not face._create.disabled)
    assert server.created() == 0
    form.close()


def test_another(plain: InvoiceForm, server: HubProcess) -> None:
    """Another invoice is another one, also if the first ClientId was typed."""
    face = face_of(plain)
    face._client_id.value = "mine"
    for count in (1, 2):
        ask(plain)
        face._confirm.click()
        until(lambda: face.phase == "created" and plain._card)
        assert server.created() == count
        face._another.click()
        until(lambda: face.phase == "draft")
        assert face._client_id.value == ""
        assert plain._result.children == ()


@pytest.mark.parametrize("step", ["wait", "look", "new"])
def test_unknown_outcome(plain: InvoiceForm, hub: hercle.Hub, server: HubProcess, step: str) -> None:
    """Where the outcome is unknown each of the three buttons leads to an invoice; only one makes another."""
    face = face_of(plain)
    server.mode(noReply=True)
    hub.timeout = 0.2
    ask(plain)
    face._confirm.click()
    until(lambda: face._buttons.children == (face._wait, face._look, face._new) and server.created() == 1)
    assert "may or may not" in face._told.value
    server.mode()
    hub.timeout = 20
    {"wait": face._wait, "look": face._look, "new": face._new}[step].click()
    if step == "new":
        until(lambda: face.phase == "confirm")
        assert server.created() == 1
        face._confirm.click()
    if step == "wait":
        until(lambda: face.phase == "waiting")
        hub.refresh_invoices()  # settles it, as an answer would
    until(lambda: face.phase == "created")
    assert server.created() == (2 if step == "new" else 1)


def test_error_is_shown(plain: InvoiceForm, monkeypatch: pytest.MonkeyPatch) -> None:
    """What nobody foresaw is shown in the plain form as well."""

    def fail(*_: Any, **__: Any) -> None:
        raise ZeroDivisionError("by zero")

    monkeypatch.setattr(face_of(plain)._creation, "create", fail)
    face_of(plain)._create.click()
    until(lambda: "ZeroDivisionError: by zero" in face_of(plain)._told.value)


def test_without_anywidget(hub: hercle.Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where anywidget is missing form and card are plain, and no part needs our front end."""
    monkeypatch.setattr(_frontend, "AnyWidget", ipywidgets.DOMWidget)
    form = hub.form(amount_btc="0.001")
    ask(form)
    face_of(form)._confirm.click()
    card = until(lambda: form._card)
    assert card._live is None
    assert Region not in map(type, form.children)
    form.close()
