"""The console: any command of the hub, chosen and filled in."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING, Any

import ipywidgets
import traitlets

from hercle_nb.display import card, code, line, visible, warnings
from hercle_nb.widgets import _interface
from hercle_nb.widgets._box import Box, close, sendable
from hercle_nb.widgets._console import HINTS, OTHER, SPENDS, Console, choices
from hercle_nb.widgets._frontend import LiveWidget, Region, available
from hercle_nb.widgets._invoice_detail import json_html

if TYPE_CHECKING:
    from collections.abc import Callable

    from hercle_nb.hub import Hub

_LABEL = "Console"


class CommandConsole(Box):
    """Sends any command but those that spend money, and shows what answers it. It keeps its hub alive.

    Args:
        hub: The hub.
        plain: Use ipywidgets alone; also done where anywidget is missing.
    """

    without_kernel = "A console for commands stands here while a kernel is running: run this cell to use it."

    def __init__(self, hub: Hub, *, plain: bool = False) -> None:
        plain = plain or not available()
        console = Console(hub, self._change)
        self._face: PlainConsole | LiveConsole = (PlainConsole if plain else LiveConsole)(console)
        self._console = console
        super().__init__([*([] if plain else [Region(_LABEL)]), self._face])
        self.add_class("hn-console-box")

    def _change(self) -> None:
        self._face.show(self._console.view())


class LiveConsole(LiveWidget):
    """The fields and buttons, drawn by the browser; see the face ``console``.

    From the browser: ``{type: "send", command, fields, turn}``, and ``{type, turn}`` with the type
    ``confirm`` or ``back``.

    Attributes:
        options: The commands with the names of their arguments, what is shown in empty fields, and why some
            commands are not sent.
        state: What `Console.view` gives.
    """

    options: Any = traitlets.Dict().tag(sync=True)
    state: Any = traitlets.Dict().tag(sync=True)

    def __init__(self, console: Console) -> None:
        self._console = console
        options = {"commands": choices(), "hints": HINTS, "spends": SPENDS}
        super().__init__(face="console", options=options, state=sendable(console.view()))

    def show(self, view: dict[str, Any]) -> None:
        """Show what the console has come to; on the interface thread."""
        self.state = sendable(view)

    def _answer(self, message: dict[str, Any]) -> None:
        kind, turn, fields = message.get("type"), message.get("turn"), message.get("fields")
        if not isinstance(turn, int):
            return
        if kind == "send" and isinstance(fields, dict):
            texts = {str(name): text for name, text in fields.items() if isinstance(text, str)}
            self._console.send(str(message.get("command")), texts, turn)
        elif kind == "confirm":
            self._console.confirm(turn)
        elif kind == "back":
            self._console.back(turn)

    def _fail(self, error: Exception) -> None:
        self._console.fail(error)  # a new turn: the browser waits for one


class PlainConsole(Box):
    """The same on ipywidgets alone.

    Args:
        console: What the buttons drive.
    """

    def __init__(self, console: Console) -> None:
        self._console = console
        self._arguments = dict(choices())
        self._command = ipywidgets.Dropdown(options=list(self._arguments), description="Command")
        self._fields = {
            name: ipywidgets.Text(description=name, placeholder=hint) for name, hint in HINTS.items()
        }
        self._send = self._button("Send", self._press)
        self._confirm = self._button("Yes, send it", console.confirm)
        self._back = self._button("Back", console.back)
        self._buttons = ipywidgets.HBox([self._send])
        self._told = ipywidgets.HTML()
        self._inputs = Box([])
        super().__init__([self._command, self._inputs, self._buttons, self._told])
        self._view = console.view()
        self._command.observe(lambda _: _interface.post(self._choose), "value")
        for field in (self._command, *self._fields.values()):
            field.observe(lambda _: _interface.post(self._edited), "value")
        self._choose()

    def show(self, view: dict[str, Any]) -> None:
        """Show what the console has come to; on the interface thread."""
        self._view = view
        confirm = view["phase"] == "confirm"
        self._buttons.children = [self._confirm, self._back] if confirm else [self._send]
        self._send.disabled = view["phase"] == "waiting"
        question = view["question"]
        texts = [line(visible(question, len(question)))] if question else []
        if view["sent"]:
            texts.append(f"<div>{code(view['sent'])}</div>")
        texts.append(warnings(filter(None, [view["told"]])))
        if view["answer"]:
            texts.append(json_html(view["answer"]))
        self._told.value = card(*texts) if any(texts) else ""

    def close(self) -> None:
        """Go, with what is not shown just now; does nothing the second time."""
        for widget in (*self._fields.values(), self._send, self._confirm, self._back):
            close(widget)
        super().close()

    def _button(self, label: str, press: Callable[[int], None]) -> Any:
        button = ipywidgets.Button(description=label)

        def pressed(_: Any) -> None:
            turn = self._view["turn"]  # of the page that was pressed
            _interface.post(lambda: press(turn), self._console.fail)

        button.on_click(pressed)
        return button

    def _choose(self) -> None:
        names = self._arguments[self._command.value]
        self._inputs.children = [self._fields[name] for name in names]
        spends = not names and self._command.value != OTHER
        self._send.disabled = spends
        self._told.value = f"<p>{escape(SPENDS)}</p>" if spends else ""

    def _edited(self) -> None:
        """What was asked about is not what the fields say now."""
        self._console.back(self._view["turn"])

    def _press(self, turn: int) -> None:
        command = self._command.value
        fields = {name: self._fields[name].value for name in self._arguments[command]}
        self._console.send(command, fields, turn)
