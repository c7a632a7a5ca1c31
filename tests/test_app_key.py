"""The key of the app: it goes to the hub, and is in no state, no message back, no text and no log."""

from __future__ import annotations

import gc
import json
import logging
import sys
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import ipywidgets
import pytest

import hercle_nb as hercle
from hercle_nb.widgets._connecting import KEY, keep_keys_out_of_logs
from tests.faces import html, settled, widgets
from tests.fast import until
from tests.test_app import Page, threads

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.servers import HubProcess

SECRET = "the-key-of-this-test"


@pytest.fixture
def page() -> Iterator[Page]:
    """An app."""
    page = Page()
    yield page
    page.app.close()
    settled()


@pytest.fixture
def keyed(server: HubProcess) -> HubProcess:
    """A hub that takes that key alone."""
    server.post("key", {"key": SECRET})
    return server


def deliver(page: Page, content: dict[str, Any]) -> dict[str, Any]:
    """Bring a message as the kernel does, which logs it; what is left of it."""
    message = {"content": {"data": {"method": "custom", "content": content}}, "buffers": []}
    page.panel.comm.handle_msg(message)
    settled()
    until(lambda: page["phase"] != "connecting")
    settled()
    return message


def everything(app: Any) -> str:
    """All that a notebook, a log of reprs or a debugger could show of an app and its hub."""
    hub, connecting = app.hub, app._connecting
    parts = [app, app._panel, connecting]
    if hub is not None:
        core = hub._core
        parts += [
            hub,
            hub.aio,
            hub.log,
            core,
            core.supervisor,
            core.supervisor._transport,
            core.supervisor._key,
        ]
    shown = [repr(part) for part in parts] + [repr(vars(part)) for part in parts]
    shown += [repr(one.get_state()) for one in widgets().values()]
    shown += [json.dumps(ipywidgets.Widget.get_manager_state(), default=repr)]
    shown += [app._repr_mimebundle_()["text/html"], html(app)]
    if hub is not None:
        shown += [hub._repr_html_(), hub.events.to_csv(), repr(hub.stats)]
    return "\n".join(shown)


def test_connected(page: Page, keyed: HubProcess, caplog: pytest.LogCaptureFixture) -> None:
    """After connecting and creating, with every logger at DEBUG, the key is nowhere but in the key itself."""
    caplog.set_level(logging.DEBUG)
    content = {"type": "connect", "environment": "sandbox", "url": keyed.url, KEY: SECRET, "turn": 0}
    message = deliver(page, content)
    assert page["phase"] == "online"
    hub = page.app.hub
    assert hub is not None
    hub.create_invoice(amount_sat=5)
    assert SECRET not in everything(page.app)
    assert SECRET not in repr(page.browser.messages)
    assert KEY not in content
    assert SECRET not in repr(message)
    deliver(page, {"type": "leave", "turn": page["turn"]})
    until(lambda: threads() == [])
    assert SECRET not in everything(page.app)
    assert "handle_msg" in caplog.text  # of the message that leaves
    assert SECRET not in caplog.text + repr([vars(record) for record in caplog.records])


def test_refused(page: Page, keyed: HubProcess, caplog: pytest.LogCaptureFixture) -> None:
    """A wrong key is told by where it came from, never by itself, and the panel is as before."""
    caplog.set_level(logging.DEBUG)
    wrong = "another-key-of-this-test"
    content = {"type": "connect", "environment": "sandbox", "url": keyed.url, KEY: wrong, "turn": 0}
    message = deliver(page, content)
    assert page["phase"] == "offline"
    assert "the field API key" in page["told"]
    assert page.app.hub is None
    until(lambda: threads() == [])
    shown = everything(page.app) + caplog.text + repr([message, page.browser.messages])
    assert wrong not in shown
    page.connect("sandbox", keyed.url, SECRET)


@pytest.mark.parametrize(
    "key", ["two words-of-a-key", "key\n", "schlüssel-of-a-key", "\ud800-of-a-key", 7, None, ["k"]]
)
def test_odd_keys(page: Page, keyed: HubProcess, key: Any, caplog: pytest.LogCaptureFixture) -> None:
    """What cannot be a key is refused without a word of it, and without asking the hub."""
    caplog.set_level(logging.DEBUG)
    content = {"type": "connect", "environment": "sandbox", "url": keyed.url, KEY: key, "turn": 0}
    deliver(page, content)
    assert (page["phase"], bool(page["told"])) == ("offline", True)
    assert KEY not in content
    assert "of-a-key" not in everything(page.app) + caplog.text + repr(page.browser.messages)
    assert keyed.stats()["requests"] == []


def test_ignored_messages_lose_it_too(page: Page) -> None:
    """Any message is rid of its key, also one that means nothing."""
    for content in (
        {"type": "connect", KEY: SECRET},
        {"type": "leave", KEY: SECRET, "turn": 0},
        {"type": "connect", KEY: SECRET, "turn": 99, "environment": "sandbox", "url": ""},
        {KEY: SECRET},
    ):
        deliver(page, content)
        assert KEY not in content
    assert SECRET not in everything(page.app)


def test_variable(page: Page, keyed: HubProcess, monkeypatch: pytest.MonkeyPatch) -> None:
    """With an empty field the variable's key is used; that there is one is shown, never what it is."""
    monkeypatch.setenv("HERCLE_API_KEY", SECRET)
    page.connect("sandbox", keyed.url, "")
    assert page["variable"] is True
    assert SECRET not in everything(page.app) + repr(page.browser.messages)


def test_field_outranks_variable(page: Page, keyed: HubProcess, monkeypatch: pytest.MonkeyPatch) -> None:
    """A key that is typed is the one that is used."""
    monkeypatch.setenv("HERCLE_API_KEY", "a-key-that-is-wrong")
    page.connect("sandbox", keyed.url, SECRET)


def test_gone_with_the_hub(page: Page, simulator: HubProcess) -> None:
    """After leaving nothing holds the key any more."""
    simulator.post("key", {"key": SECRET})
    page.connect("sandbox", simulator.url, SECRET)
    page.say("leave")
    until(lambda: threads() == [])

    def held() -> list[Any]:
        gc.collect()
        from hercle_nb.config import ApiKey

        return [one for one in gc.get_objects() if isinstance(one, ApiKey) and one._key == SECRET]

    until(lambda: held() == [])


# -- logs ----------------------------------------------------------------------------------------------------


def test_kernel_logs(caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> None:
    """The loggers that a kernel writes its messages to drop those with a key, and nothing else."""
    application, kernel = logging.getLogger("FakeApplication"), logging.getLogger("FakeKernel")
    running = SimpleNamespace(log=application, kernel=SimpleNamespace(log=logging.LoggerAdapter(kernel, {})))
    fake = SimpleNamespace(initialized=lambda: True, instance=lambda: running)
    monkeypatch.setitem(sys.modules, "ipykernel.kernelapp", SimpleNamespace(IPKernelApp=fake))
    for _ in range(2):
        keep_keys_out_of_logs()
    caplog.set_level(logging.DEBUG)
    secret = {"type": "connect", KEY: SECRET}
    for logger in (logging.getLogger("Comm"), application, kernel):
        assert len(logger.filters) == 1
        caplog.clear()
        logger.debug("   Content: %s\n   --->\n   ", {"data": {"content": secret}})
        logger.debug("handle_msg[%s](%s)", "id", secret)
        logger.debug(f"{secret}")  # noqa: G004  # as others write it
        logger.warning("%s", secret)
        logger.debug("", extra={})
        logger.debug("another message: %s", {"type": "leave"})
        logger.warning("a warning")
        assert [record.getMessage() for record in caplog.records] == [
            "",
            "another message: {'type': 'leave'}",
            "a warning",
        ]
        logger.filters.clear()


def test_odd_records_pass(caplog: pytest.LogCaptureFixture) -> None:
    """A record that cannot be written does not fail where it is made."""
    keep_keys_out_of_logs()
    record = logging.LogRecord("Comm", logging.DEBUG, __file__, 1, "%d and %d", ("one",), None)
    assert logging.getLogger("Comm").filter(record)


# -- plain ---------------------------------------------------------------------------------------------------


@pytest.fixture
def plain() -> Iterator[Any]:
    """An app that uses ipywidgets alone."""
    app = hercle.app(plain=True)
    yield app
    app.close()
    settled()


def fields(widget: Any) -> list[str]:
    """What can be typed into."""
    own = [widget.description] if isinstance(widget, ipywidgets.Text | ipywidgets.Textarea) else []
    return own + [name for child in getattr(widget, "children", ()) for name in fields(child)]


def test_plain_has_no_field_for_it(plain: Any) -> None:
    """Without a front end of our own there is no field for a key, and it is said how to give one."""
    assert fields(plain) == ["URL"]
    shown = html(plain)
    assert "HERCLE_API_KEY" in shown
    assert 'api_key="ask"' in shown
    assert "hub.form()" in shown


def test_plain_simulator(plain: Any) -> None:
    """The simulator is a press away, and can be left again."""
    panel = plain._panel
    assert (panel._connect.disabled, panel._leave.disabled) == (False, True)
    panel._connect.click()
    panel._connect.click()  # on the page as it was
    until(lambda: plain.hub is not None and not panel._leave.disabled)
    settled()
    assert panel._connect.disabled
    assert panel._url.disabled
    assert threads().count("hercle-hub") == 1
    assert "Connected to simulator" in panel._told.value
    assert "HERCLE_API_KEY" not in panel._told.value
    panel._leave.click()
    until(lambda: plain.hub is None and not panel._connect.disabled)
    until(lambda: threads() == [])
    assert plain._faces.children == ()


def test_plain_variable(plain: Any, keyed: HubProcess, monkeypatch: pytest.MonkeyPatch) -> None:
    """The variable's key is used, and shown nowhere; without one that is told, as text."""
    panel = plain._panel
    panel._environment.value, panel._url.value = "sandbox", keyed.url
    panel._connect.click()
    until(lambda: "No API key for sandbox" in panel._told.value)
    assert 'role="alert"' in panel._told.value
    monkeypatch.setenv("HERCLE_API_KEY", SECRET)
    panel._connect.click()
    until(lambda: plain.hub is not None)
    settled()
    assert keyed.url in panel._told.value
    assert SECRET not in everything(plain)


def test_plain_tells_as_text(plain: Any) -> None:
    """What is told is text."""
    plain._connecting.fail(hercle.ConnectionFailed("<img src=x onerror=alert(1)>"))
    assert "&lt;img src=x" in plain._panel._told.value
    assert "<img" not in plain._panel._told.value
