"""What every face is: a box of widgets, and plain HTML where there is no kernel."""

from __future__ import annotations

import json
from html import escape
from typing import Any

import ipywidgets

from hercle_nb._pickling import StaysHere


class Box(StaysHere, ipywidgets.VBox):  # type: ignore[misc]  # ipywidgets is published without types
    """A box that closes what is in it with itself, and leaves its last state to viewers without a kernel."""

    _instead = "make one where the hub is, with hub.form(), hub.inspector(), hub.monitor() or hercle.app()"
    without_kernel = "run this cell to use it."  # a subclass says what stands here

    def last_state(self) -> str:
        """What was shown at last, as plain HTML."""
        return ""

    def close(self) -> None:
        """Go; does nothing the second time."""
        for child in self.children:
            close(child)
        super().close()
        _close_helpers(self)

    def _repr_mimebundle_(self, **kwargs: Any) -> Any:
        """The widget, and what nbconvert, GitHub and a reopened notebook show in its place."""
        bundle = super()._repr_mimebundle_(**kwargs)
        if bundle:
            bundle["text/html"] = f"<p><em>{escape(self.without_kernel)}</em></p>{self.last_state()}"
            bundle["text/plain"] = f"{type(self).__name__}: {self.without_kernel}"
        return bundle


def close(widget: Any) -> None:
    """Close a widget with what is in it, and with its layout and style, which ipywidgets would keep."""
    if not isinstance(widget, Box):
        for child in getattr(widget, "children", ()):
            close(child)
    widget.close()
    _close_helpers(widget)


def _close_helpers(widget: Any) -> None:
    for part in ("layout", "style"):
        if (model := getattr(widget, part, None)) is not None:
            model.close()


def sendable(value: Any) -> Any:
    """A value as a message takes it: UTF-8 has no form for half a character, which becomes a mark."""
    return json.loads(json.dumps(value, ensure_ascii=False).encode(errors="replace"))
