"""The app where it cannot connect: what is told, and that nothing is left running or written down."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

import pytest

import hercle_nb as hercle
from hercle_nb.widgets import _connecting
from tests.faces import settled
from tests.fast import until
from tests.servers import KEY
from tests.test_app import Page, threads

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.servers import HubProcess


@pytest.fixture
def page() -> Iterator[Page]:
    """An app."""
    page = Page()
    yield page
    page.app.close()
    settled()


@pytest.mark.parametrize(
    ("environment", "url", "told"),
    [
        ("sandbox", "https://me:pass-word@example.com/hub", "user or password"),
        ("sandbox", "https://example.com/hub?api_key=pass-word", "parameter 'api_key'"),
        ("sandbox", "http://example.com/hub", "Plain http would show the key"),
        ("sandbox", "ftp://example.com/hub", "must have the form https"),
        ("sandbox", "https://ex\udfffmple.com/hub", "must be ASCII"),
        ("sandbox", "https://publicapi.hercle.financial/x", "is the production hub"),
        ("nowhere", "", "must be one of simulator"),
        ("\udfff", "", "must be one of simulator"),
    ],
)
def test_refused(page: Page, environment: str, url: str, told: str) -> None:
    """What would be unsafe is refused in words; no part of the URL stays in the page's state."""
    page.connect(environment, url, "some-key", wanted="offline")
    assert told in page["told"]
    assert page.app.hub is None
    assert "pass-word" not in repr(page.browser.messages) + repr(page.panel.get_state())
    assert threads() == []
    page.connect("simulator")
    assert page["told"] == ""


@pytest.mark.parametrize("plain", [False, True])
def test_no_hub_there(monkeypatch: pytest.MonkeyPatch, *, plain: bool) -> None:
    """Where no hub answers that is told, and the panel can be used again, for the simulator say."""
    with contextlib.closing(hercle.app(plain=plain)) as app:
        connecting = app._connecting
        with monkeypatch.context() as patch:
            patch.setattr(_connecting, "_TIMEOUT", 0.4)
            connecting.connect("sandbox", "http://127.0.0.1:9/hub", KEY, 0)
            until(lambda: connecting.view()["phase"] == "offline")
        assert connecting.view()["told"]
        assert connecting.view()["url"] == "http://127.0.0.1:9/hub"
        until(lambda: threads() == [])
        connecting.connect("simulator", "", "", connecting.view()["turn"])
        until(lambda: app.hub is not None)
        assert connecting.view()["told"] == ""
    settled()


def test_no_key(page: Page, server: HubProcess) -> None:
    """Without a key, in the field or in the variable, nothing is tried."""
    page.connect("sandbox", server.url, "", wanted="offline")
    assert "No API key for sandbox" in page["told"]
    page.connect("sandbox", server.url, "a key", wanted="offline")
    assert "the field API key" in page["told"]
    assert server.stats()["requests"] == []


def test_faces_fail(page: Page, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the faces cannot be made that is told, in a new turn, and the hub is let go."""
    with monkeypatch.context() as patch:
        patch.setattr(type(page.app), "_tabs", lambda *_: 1 / 0)
        page.say("connect", environment="simulator", url="", hercle_api_key="")
        until(lambda: "ZeroDivisionError" in page["told"])
    assert (page["phase"], page.app.hub) == ("offline", None)
    until(lambda: threads() == [])
    page.connect()


@pytest.mark.parametrize(
    "content",
    [
        None,
        "connect",
        7,
        [],
        {},
        {"type": "connect"},
        {"type": "leave", "turn": "0"},
        {"type": [], "turn": 0},
    ],
)
def test_garbage(page: Page, content: Any, caplog: pytest.LogCaptureFixture) -> None:
    """What a browser says that means nothing does nothing."""
    before = dict(page.panel.state)
    page.panel._handle_custom_msg(content, [])
    settled()
    assert page.panel.state == before
    assert caplog.records == []
