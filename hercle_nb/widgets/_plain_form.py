"""The form on ipywidgets alone: for notebooks that cannot load our front end."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING, Any

import ipywidgets

from hercle_nb import amounts
from hercle_nb.display import visible
from hercle_nb.errors import InvalidRequest
from hercle_nb.widgets import _interface
from hercle_nb.widgets._box import Box, close
from hercle_nb.widgets._draft import BTC, CUSTOM, EXPIRIES, SAT, Draft, amount_text

if TYPE_CHECKING:
    from collections.abc import Callable

    from hercle_nb.widgets._creation import Creation

_BAR = "border-left:4px solid {};padding:4px 10px;overflow-wrap:anywhere;line-height:1.4"
_PROBLEM, _NOTE = _BAR.format("#c62828"), _BAR.format("#888")


class PlainForm(Box):
    """The fields and buttons, which always ask before anything is sent.

    While a kernel is busy, ipywidgets holds back what is typed but not what is pressed, so what is sent must
    be read once more.

    Args:
        creation: What the buttons drive.
    """

    def __init__(self, creation: Creation) -> None:
        self._creation = creation
        self._view = creation.view()
        self._build(creation.draft)
        super().__init__([*self._fields, self._problems, self._buttons, self._told])
        self.add_class("hn-form")
        for field in (self._amount, self._memo, self._expiry, self._hours, self._client_id):
            field.observe(lambda _: self._edited(), "value")
        self._unit.observe(
            lambda change: _interface.post(lambda: self._convert(change["old"], change["new"]), self._fail),
            "value",
        )
        self.show(self._view)

    @property
    def phase(self) -> str:
        """The phase that is shown."""
        return str(self._view["phase"])

    def close(self) -> None:
        """Go, with every field and button, shown or not; does nothing the second time."""
        parts = [part for part in vars(self).values() if isinstance(part, ipywidgets.Widget)]
        for part in (*parts, *self.children):
            close(part)
        super().close()

    def show(self, view: dict[str, Any]) -> None:
        """Show what the creation has come to; on the interface thread."""
        before, self._view = self._view, view
        used = before["fields"]["client_id"] and not view["fields"]["client_id"]
        if used and view["turn"] != before["turn"]:
            self._client_id.value = ""
        phase, waits = view["phase"], view["phase"] == "waiting"
        self._echo.value = _echo(self._amount.value.strip(), self._unit.value)
        empty = {"amount"} if not (self._amount.value or view["turn"]) else set()  # as yet
        told = [text for field, text in view["problems"].items() if field not in empty]
        self._problems.value = "".join(_box(text, _PROBLEM, "alert") for text in told)
        self._create.disabled = phase != "draft" or bool(told)
        shown = {
            "draft": [self._create],
            "confirm": [self._confirm, self._back],
            "waiting": [],
            "unknown": [self._wait, self._look, self._new],
            "created": [self._another],
        }[phase]
        if list(self._buttons.children) != shown:
            self._buttons.children = shown
        for field in (*self._inputs, self._unit):
            field.disabled = phase in ("waiting", "created", "unknown")
        texts = [view["question"], "Waiting for the hub…" if waits else ""]
        connection = f"{view['environment']} · {view['state'].capitalize()} {view['reason']}"
        notes = [*filter(None, texts), connection]
        self._told.value = "".join(
            [
                *(_box(view["told"], _PROBLEM, "alert") for _ in range(bool(view["told"]))),
                *(_box(note, _NOTE, "status") for note in notes),
            ]
        )

    def _build(self, draft: Draft) -> None:
        wide = {"width": "min(480px, 98%)"}
        self._amount = ipywidgets.Text(
            draft.amount, description="Amount", placeholder="0.001", layout={"width": "min(280px, 70%)"}
        )
        self._unit = ipywidgets.Dropdown(
            options=[BTC, SAT],
            value=draft.unit,
            description="Unit",
            layout={"width": "130px"},
            style={"description_width": "40px"},
        )
        self._echo = ipywidgets.HTML()
        self._memo = ipywidgets.Text(draft.memo, description="Memo", placeholder="none", layout=wide)
        options = [(label, value) for value, label in EXPIRIES.items()]
        self._expiry = ipywidgets.Dropdown(
            options=options, value=draft.expiry, description="Expiry", layout=wide
        )
        self._hours = ipywidgets.Text(draft.hours, description="Hours", placeholder="1 to 720", layout=wide)
        self._client_id = ipywidgets.Text(
            draft.client_id, description="ClientId", placeholder="made for you", layout=wide
        )
        self._inputs = [self._amount, self._memo, self._expiry, self._hours, self._client_id]
        self._problems, self._told = ipywidgets.HTML(), ipywidgets.HTML()
        self._create = self._button("Create invoice", self._press, primary=True)
        self._confirm = self._button(
            "Yes, create it", lambda turn: self._creation.confirm(turn), primary=True
        )
        self._back = self._button("Back", self._creation.back)
        self._wait = self._button("Keep waiting", self._creation.keep_waiting)
        self._look = self._button("Look again", self._creation.look_again)
        self._new = self._button(
            "Create a new one, the first may exist", lambda turn: self._creation.create_new(turn, ask=True)
        )
        self._another = self._button("Another invoice", self._creation.another)
        self._buttons = ipywidgets.HBox([], layout={"flex_flow": "row wrap", "margin": "4px 0"})
        row = ipywidgets.HBox([self._amount, self._unit, self._echo], layout={"flex_flow": "row wrap"})
        self._fields = [row, self._memo, self._expiry, self._hours, self._client_id]
        self._show_hours()

    def _button(self, label: str, press: Callable[[int], None], *, primary: bool = False) -> Any:
        button = ipywidgets.Button(
            description=label, button_style="primary" if primary else "", layout={"width": "auto"}
        )

        def pressed(_: Any) -> None:
            turn = self._view["turn"]  # of the page that was pressed
            _interface.post(lambda: press(turn), self._fail)

        button.on_click(pressed)
        return button

    def _press(self, turn: int) -> None:
        self._creation.create(self._draft(), turn, ask=True)

    def _draft(self) -> Draft:
        return Draft(
            self._amount.value,
            self._unit.value,
            self._memo.value,
            self._expiry.value,
            self._hours.value,
            self._client_id.value,
        )

    def _edited(self) -> None:
        """A field was changed: what was asked about before is not what it says now."""
        _interface.post(self._take, self._fail)

    def _take(self) -> None:
        self._show_hours()
        if self._draft() != self._creation.draft:
            self._creation.back(self._view["turn"])
        self._creation.edit(self._draft())

    def _convert(self, old: str, new: str) -> None:
        """Keep the amount when the unit changes: its text is converted, or cleared if it was none."""
        try:
            msat = Draft(amount=self._amount.value, unit=old).amount_msat()
        except InvalidRequest:
            self._amount.value = ""
        else:
            self._amount.value = amount_text(msat, new)
        self._take()

    def _fail(self, error: Exception) -> None:
        self.show(self._creation.view() | {"told": f"{type(error).__name__}: {error}"})

    def _show_hours(self) -> None:
        self._hours.layout.display = "" if self._expiry.value == CUSTOM else "none"


def _echo(text: str, unit: str) -> str:
    """The amount in the other unit, so that a slip of the unit is seen."""
    try:
        msat = Draft(amount=text, unit=unit).amount_msat()
    except InvalidRequest:
        return ""
    return f"= {amounts.format_sat(msat) if unit == BTC else amounts.format_btc(msat)}"


def _box(text: str, style: str, role: str) -> str:
    return f'<div role="{role}" style="{style}">{escape(visible(text))}</div>'
