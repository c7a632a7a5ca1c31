"""What a browser receives of a live widget and tells it, the widgets there are, and what their HTML holds."""

from __future__ import annotations

import json
import threading
import time
from html.parser import HTMLParser
from typing import Any

from ipywidgets.widgets.widget import _instances

from hercle_nb.widgets import _interface
from hercle_nb.widgets._invoice_detail import Fold

_RUN = {"script", "img", "iframe", "object", "embed", "link", "meta", "base", "form", "input", "style"}


class Browser:
    """What a browser would receive of a live widget, and what it would say.

    Attributes:
        widget: The widget.
        messages: Everything received, each with its time.
        buffers: What came with the messages that had any.
    """

    def __init__(self, widget: Any) -> None:
        self.messages: list[tuple[float, dict[str, Any]]] = []
        self.buffers: list[bytes] = []
        self.widget = widget
        widget.comm.send = self._receive

    def _receive(self, data: dict[str, Any], buffers: Any = None, **_: Any) -> None:
        json.dumps(data, ensure_ascii=False, allow_nan=False).encode()  # as the kernel will
        self.buffers += buffers or []
        self.messages.append((time.monotonic(), data))

    def say(self, kind: str, **content: Any) -> None:
        """Send a message to the kernel."""
        self.widget._handle_custom_msg({"type": kind, **content}, [])

    def custom(self, kind: str) -> list[tuple[float, dict[str, Any]]]:
        """The messages of that type, each with its time."""
        sent = [(at, data["content"]) for at, data in list(self.messages) if data["method"] == "custom"]
        return [(at, content) for at, content in sent if content["type"] == kind]

    def sent_rows(self) -> list[list[Any]]:
        """Every row received, in the order received."""
        return [row for _, message in self.custom("rows") for row in message["rows"]]


def settled() -> None:
    """Wait until the interface thread has done all that it was given, and what that gave it."""
    for _ in range(3):
        done = threading.Event()
        _interface.post(done.set)
        assert done.wait(10)


def widgets() -> dict[str, Any]:
    """The widgets that are not closed, layouts and styles among them."""
    return dict(_instances)


def html(widget: Any) -> str:
    """All HTML in a widget, and what can be opened in it by its title."""
    own = widget.value if type(widget).__name__ == "HTML" else ""
    if isinstance(widget, Fold):
        own = widget.title
    return own + "".join(html(child) for child in getattr(widget, "children", ()))


class _Parts(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.attributes: set[tuple[str, str]] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes |= {(name, value or "") for name, value in attrs}


def assert_harmless(text: str) -> None:
    """Fail if HTML has an element or an attribute that runs, loads or leads anywhere."""
    parts = _Parts()
    parts.feed(text)
    parts.close()
    assert parts.tags.isdisjoint(_RUN)
    for name, value in parts.attributes:
        assert not name.startswith("on")
        assert name not in ("src", "srcdoc")
        assert name != "href" or value.startswith("lightning:ln")  # the wallet's link
    text.encode()  # no half characters
