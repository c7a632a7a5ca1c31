"""Our own front end: one ES module for every live face, on anywidget.

What the module draws is decided by the synced trait ``face``. A new face is a file in ``static`` with a
function (``hercle.js`` says what it does), named in `_MODULE` and in the ``faces`` of ``hercle.js``, and a
subclass of `LiveWidget`.
"""

from __future__ import annotations

from importlib.resources import files
from typing import Any

import traitlets
from ipywidgets import DOMWidget

from hercle_nb.widgets import _interface

try:
    from anywidget import AnyWidget
except ImportError:  # it is in the extra `lab`; without it the faces show themselves plainly
    AnyWidget = DOMWidget  # type: ignore[misc]  # a stand-in that is never shown

_MODULE = (
    "pieces.js",
    "rows.js",
    "table.js",
    "form.js",
    "card.js",
    "fold.js",
    "console.js",
    "connect.js",
    "hercle.js",
)


def available() -> bool:
    """Whether there is an anywidget to make a `LiveWidget` with."""
    return AnyWidget is not DOMWidget


def _static(*names: str) -> str:
    folder = files("hercle_nb.widgets") / "static"
    return "\n".join((folder / name).read_text(encoding="utf-8") for name in names)


class LiveWidget(AnyWidget):
    """A widget that our module draws; a face is a subclass.

    What the browser says arrives in `_answer`, on the interface thread; traits are set and messages sent
    there alone.

    Attributes:
        face: Which function of the module draws it.
    """

    _esm = _static(*_MODULE)
    _css = _static("hercle.css")
    face = traitlets.Unicode().tag(sync=True)

    def __init__(self, **traits: Any) -> None:
        super().__init__(**traits)
        self.on_msg(LiveWidget._take)

    def _take(self, content: Any, _: Any) -> None:
        """Hand on what the browser says; on whatever thread the kernel takes messages."""
        if isinstance(content, dict):
            _interface.post(lambda: self._answer(content), self._fail)

    def _answer(self, message: dict[str, Any]) -> None:
        """Do what the browser asks for; on the interface thread."""

    def _fail(self, error: Exception) -> None:
        """Show what went wrong on the interface thread; there."""


class Region(LiveWidget):
    """Makes the box around it a named region for assistive technology; itself it is not seen.

    Attributes:
        label: The region's name.
    """

    label = traitlets.Unicode().tag(sync=True)

    def __init__(self, label: str) -> None:
        super().__init__(face="region", label=label)
