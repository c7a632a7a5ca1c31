"""The app, without a browser: where it connects, what there is behind the panel, and how it ends."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

import pytest

import hercle_nb as hercle
from hercle_nb.widgets.console import CommandConsole
from hercle_nb.widgets.form import InvoiceForm
from hercle_nb.widgets.inspector import InvoiceInspector
from hercle_nb.widgets.monitor import EventMonitor
from tests.faces import Browser, assert_harmless, settled, widgets
from tests.fast import until
from tests.servers import python

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from hercle_nb.widgets.app import HercleApp
    from tests.servers import HubProcess


class Page:
    """An app as a browser shows it and presses it."""

    def __init__(self, **options: Any) -> None:
        self.app: HercleApp = hercle.app(**options)
        self.panel: Any = self.app._panel
        self.browser = Browser(self.panel)

    def __getitem__(self, name: str) -> Any:
        return self.panel.state[name]

    def say(self, kind: str, turn: Any = None, **content: Any) -> None:
        """Press something on the page as it is, or as it was in that turn."""
        self.browser.say(kind, turn=self["turn"] if turn is None else turn, **content)
        settled()

    def connect(
        self, environment: str = "simulator", url: str = "", key: str = "", wanted: str = "online"
    ) -> None:
        """Press Connect, and wait for what comes of it."""
        self.say("connect", environment=environment, url=url, hercle_api_key=key)
        until(lambda: self["phase"] != "connecting")
        settled()
        assert self["phase"] == wanted, self["told"]


@pytest.fixture
def page() -> Iterator[Page]:
    """An app."""
    page = Page()
    yield page
    page.app.close()
    settled()


@pytest.fixture
def open_app() -> Iterator[Callable[..., HercleApp]]:
    """Make apps that are closed at the end."""
    made: list[HercleApp] = []

    def make(**options: Any) -> HercleApp:
        made.append(hercle.app(**options))
        return made[-1]

    yield make
    for app in made:
        app.close()
    settled()


def threads() -> list[str]:
    """The threads of hubs and simulators."""
    return [
        thread.name for thread in threading.enumerate() if thread.name in ("hercle-hub", "hercle-simulator")
    ]


# -- what it begins with -------------------------------------------------------------------------------------


@pytest.mark.parametrize("plain", [False, True])
@pytest.mark.parametrize(
    ("options", "variables", "environment"),
    [
        ({}, {}, "simulator"),
        ({"environment": "production"}, {}, "production"),
        ({"url": "https://example.com/hub"}, {}, "sandbox"),
        ({}, {"HERCLE_ENV": "production"}, "production"),
        ({}, {"HERCLE_API_KEY": "some-key"}, "sandbox"),
        (
            {"environment": "simulator"},
            {"HERCLE_ENV": "production", "HERCLE_API_KEY": "some-key"},
            "simulator",
        ),
    ],
)
def test_presets(
    options: dict[str, str],
    variables: dict[str, str],
    environment: str,
    open_app: Any,
    monkeypatch: pytest.MonkeyPatch,
    *,
    plain: bool,
) -> None:
    """It begins with the environment that `connect` would take, and does not connect by itself."""
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    app = open_app(**options, plain=plain)
    view = app._connecting.view()
    assert (view["phase"], view["environment"], view["url"]) == (
        "offline",
        environment,
        options.get("url", ""),
    )
    assert view["variable"] is ("HERCLE_API_KEY" in variables)
    assert app.hub is None
    assert app.last_state() == f"<p>{environment}: offline</p>"
    if plain:
        assert (app._panel._environment.value, app._panel._url.value) == (environment, options.get("url", ""))
    else:
        assert app._panel.state == view
        assert app._panel.environments == ["simulator", "sandbox", "production"]
    assert threads() == []


def test_no_such_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """An environment that there is not is refused, and its source named."""
    before = widgets()
    with pytest.raises(hercle.ConfigurationError, match="environment must be one of simulator, sandbox"):
        hercle.app(environment="sandbx")
    monkeypatch.setenv("HERCLE_ENV", "elsewhere")
    with pytest.raises(hercle.ConfigurationError, match="the variable HERCLE_ENV must be one of"):
        hercle.app()
    assert widgets().keys() == before.keys()


def test_keyword() -> None:
    """A mistyped keyword is told what was meant; there is none for a key."""
    with pytest.raises(TypeError, match="did you mean environment"):
        hercle.app(enviroment="sandbox")  # type: ignore[call-arg]
    with pytest.raises(TypeError, match=r"no keyword 'api_key'"):
        hercle.app(api_key="some-key")  # type: ignore[call-arg]


# -- connecting ----------------------------------------------------------------------------------------------


def test_simulator(page: Page) -> None:
    """The simulator needs nothing; behind the panel there are the four faces, and the hub for other cells."""
    page.connect("simulator", "https://elsewhere.example/", "a-key-nobody-needs")
    hub = page.app.hub
    assert hub is not None
    assert (page["environment"], page["at"], page["told"]) == ("simulator", hub.url, "")
    (tabs,) = page.app._faces.children
    assert [type(face) for face in tabs.children] == [
        InvoiceForm,
        InvoiceInspector,
        EventMonitor,
        CommandConsole,
    ]
    assert list(tabs.titles) == ["New invoice", "Invoices", "Hub events", "Console"]
    assert tabs.selected_index == 0
    hub.create_invoice(amount_sat=5, memo="Coffee")
    until(lambda: tabs.children[1]._table.state["notes"][1] == "1 invoice")
    assert page.app.last_state().startswith("<p>simulator: online</p>")
    assert "Coffee" in page.app.last_state()


def test_a_hub_elsewhere(page: Page, server: HubProcess) -> None:
    """A URL and a key lead to any hub."""
    page.connect("sandbox", f" {server.url} ", server.key)
    hub = page.app.hub
    assert hub is not None
    assert (hub.environment, hub.url, hub.state) == ("sandbox", server.url, "connected")
    assert str(hub._core.memory.journal.place).endswith("/sandbox.sqlite3")
    hub.create_invoice(amount_sat=5)
    assert server.created() == 1


def test_twice_from_one_page(page: Page, simulator: HubProcess) -> None:
    """However often Connect is pressed there is one hub."""
    simulator.mode(negotiateDelayMs=200)
    for _ in range(3):
        page.say("connect", 0, environment="sandbox", url=simulator.url, hercle_api_key=simulator.key)
        page.say("connect", environment="sandbox", url=simulator.url, hercle_api_key=simulator.key)
    until(lambda: page["phase"] == "online")
    page.say("connect", environment="sandbox", url=simulator.url, hercle_api_key=simulator.key)
    page.say("connect", 0, environment="sandbox", url=simulator.url, hercle_api_key=simulator.key)
    assert simulator.stats()["connectionsEver"] == 1
    assert threads() == ["hercle-hub"]
    assert len(page.app._faces.children) == 1


@pytest.mark.parametrize("plain", [False, True])
def test_leave(plain: bool) -> None:
    """Leaving ends the hub with its threads and closes the faces; then one can connect again."""
    before = widgets()
    app = hercle.app(plain=plain)
    panel, connecting = widgets(), app._connecting
    for _ in range(2):
        connecting.connect("simulator", "", "", connecting.view()["turn"])
        until(lambda: app.hub is not None and app._faces.children)
        hub = app.hub
        assert hub is not None
        connecting.leave(connecting.view()["turn"] - 1)  # on a page of before
        assert str(hub.state) == "connected"
        connecting.leave(connecting.view()["turn"])
        assert app.hub is None
        assert app._faces.children == ()
        until(lambda: threads() == [])
        assert str(hub.state) == "closed"
        settled()
        left = [one for name, one in widgets().items() if name not in panel]
        assert [type(one).__name__ for one in left if type(one).__module__.startswith("hercle_nb")] == []
        assert plain or left == []
    app.close()
    settled()
    assert plain or widgets().keys() == before.keys()


def test_leave_message(page: Page) -> None:
    """The browser's button leaves."""
    page.connect()
    page.say("leave")
    assert (page["phase"], page["at"], page["told"]) == ("offline", "", "")
    assert page.app.hub is None


# -- the end -------------------------------------------------------------------------------------------------


def test_close(simulator: HubProcess) -> None:
    """Closing ends the hub and closes all there is, once or twice; later presses do nothing."""
    before = widgets()
    page = Page()
    page.connect("sandbox", simulator.url, simulator.key)
    hub = page.app.hub
    assert hub is not None
    page.app.close()
    page.app.close()
    until(lambda: hub.state == "closed")
    assert page.app.hub is None
    page.browser.say("connect", turn=page.app._connecting._turn, environment="simulator")
    page.browser.say("connect", turn=page["turn"], environment="simulator")
    settled()
    until(lambda: threads() == [])
    assert widgets().keys() == before.keys()


@pytest.mark.parametrize("plain", [False, True])
def test_close_while_it_connects(simulator: HubProcess, *, plain: bool) -> None:
    """An app that is closed before its hub is connected ends that as well."""
    before = widgets()
    simulator.mode(negotiateDelayMs=300)
    app = hercle.app(plain=plain)
    app._connecting.connect("sandbox", simulator.url, simulator.key, 0)
    assert app._connecting.view()["phase"] == "connecting"
    app.close()
    until(lambda: threads() == [])
    settled()
    assert app.hub is None
    assert widgets().keys() == before.keys()


def test_without_a_kernel(page: Page) -> None:
    """A viewer without a kernel shows a sentence and where it was connected."""
    page.connect()
    bundle = page.app._repr_mimebundle_()
    assert "run this cell to use it" in bundle["text/html"]
    assert "simulator: online" in bundle["text/html"]
    assert_harmless(bundle["text/html"])


def test_leaves_other_widgets_alone() -> None:
    """Outside a kernel it does not import one, which would take over what widgets talk through."""
    done = python(
        """
        import sys, ipywidgets, hercle_nb
        mine = ipywidgets.HTML("mine")
        app = hercle_nb.app()
        assert not [name for name in sys.modules if name.startswith("ipykernel")]
        mine.close()
        app.close()
        """
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
