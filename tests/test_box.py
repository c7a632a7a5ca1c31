"""What every face is: a box that closes what is in it, and says what stands here without a kernel."""

from __future__ import annotations

import json

import ipywidgets
import pytest

from hercle_nb.widgets._box import Box, sendable


class Face(Box):
    """A face."""

    without_kernel = "A <face> stands here."

    def last_state(self) -> str:
        """What was shown at last."""
        return "<p>last</p>"


def test_without_a_kernel() -> None:
    """The bundle has the widget, and for viewers without a kernel a sentence, escaped, and the last state."""
    face = Face([])
    bundle = face._repr_mimebundle_()
    assert bundle["application/vnd.jupyter.widget-view+json"]["model_id"] == face.model_id
    assert bundle["text/html"] == "<p><em>A &lt;face&gt; stands here.</em></p><p>last</p>"
    assert bundle["text/plain"] == "Face: A <face> stands here."
    face.close()


def test_closing() -> None:
    """A box closes what is in it, boxes in boxes too, and closing it again does nothing."""
    inner = ipywidgets.HTML("x")
    face = Face([Box([inner])])
    face.close()
    face.close()
    assert inner.comm is None
    assert face.comm is None


@pytest.mark.parametrize(
    ("value", "sent"),
    [
        ({"told": "a\ud800b", "turn": 1, "journal": True}, {"told": "a?b", "turn": 1, "journal": True}),
        (["é👍", {"memo": "\udfff"}, None], ["é👍", {"memo": "?"}, None]),
    ],
)
def test_sendable(value: object, sent: object) -> None:
    """Any text can be sent: half a character becomes a mark, everything else stays."""
    assert sendable(value) == sent
    json.dumps(sendable(value), ensure_ascii=False).encode()
