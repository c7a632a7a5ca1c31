"""All faces behind a panel that connects: what Voilà serves."""

from __future__ import annotations

import threading
from html import escape
from typing import TYPE_CHECKING, Any

import ipywidgets
import traitlets

from hercle_nb._keywords import with_helpful_keywords
from hercle_nb.config import ENVIRONMENTS, check_max_btc, expected_network, hidden, resolve_environment
from hercle_nb.widgets import _interface
from hercle_nb.widgets._box import Box, close, sendable
from hercle_nb.widgets._connecting import KEY, Connecting, keep_keys_out_of_logs
from hercle_nb.widgets._draft import Draft
from hercle_nb.widgets._frontend import LiveWidget, available
from hercle_nb.widgets.console import CommandConsole
from hercle_nb.widgets.form import InvoiceForm
from hercle_nb.widgets.inspector import InvoiceInspector
from hercle_nb.widgets.monitor import EventMonitor

if TYPE_CHECKING:
    from os import PathLike

    from hercle_nb.hub import Hub

_TITLES = ("New invoice", "Invoices", "Hub events", "Console")
_PLAIN_KEY = (
    "Without our front end there is no field for the key, whose text would be kept in the notebook: put it "
    "into the variable <code>HERCLE_API_KEY</code> before Jupyter starts, or connect in a cell with "
    '<code>hercle.connect("sandbox", api_key="ask")</code> and use <code>hub.form()</code>.'
)


@with_helpful_keywords
def app(
    *,
    environment: str | None = None,
    url: str | None = None,
    journal: str | PathLike[str] | bool | None = None,
    max_btc: Any = 1,
    network: str | None = None,
    plain: bool = False,
) -> HercleApp:
    """Show a panel that connects, and behind it the form, the inspector, the monitor and a console.

    A key typed into the panel goes to the hub and nowhere else: it is in no state of a widget, no log and no
    notebook. It does not connect by itself.

    Args:
        environment: What the panel begins with: ``simulator``, ``sandbox`` or ``production``. None takes the
            variable ``HERCLE_ENV``, else ``sandbox`` if there is a key or a URL, else ``simulator``.
        url: Another URL than the environment's own.
        journal: Where commands and answers are kept, as `connect` takes it.
        max_btc: The most that one invoice may ask for, likewise.
        network: Which network payment requests must name, likewise.
        plain: Use ipywidgets alone, for notebooks that cannot load anywidget's front end; there is no field
            for the key then.

    Raises:
        ConfigurationError: There is no such environment, or no such network, or ``max_btc`` is no amount.
    """
    chosen = resolve_environment(environment, has_url=url is not None)  # refused before there is a widget
    check_max_btc(max_btc)
    expected_network(network, chosen)
    return HercleApp(chosen, url, hidden(journal), max_btc=max_btc, network=network, plain=plain)


class HercleApp(Box):
    """The connect panel, and what there is once it has connected; see `app`. Its hub ends with it."""

    without_kernel = "An app for invoices stands here while a kernel is running: run this cell to use it."

    def __init__(
        self,
        environment: str | None,
        url: str | None,
        journal: Any = None,
        *,
        max_btc: Any = 1,
        network: str | None = None,
        plain: bool = False,
    ) -> None:
        self._plain = plain or not available()
        self._connecting = Connecting(
            environment, url, journal, self._change, max_btc=max_btc, network=network
        )
        self._panel: PlainPanel | LivePanel = (PlainPanel if self._plain else LivePanel)(self._connecting)
        self._faces = Box([])
        self._closing = threading.Lock()
        self._closed = False
        super().__init__([self._panel, self._faces])
        self.add_class("hn-app")
        keep_keys_out_of_logs()

    @property
    def hub(self) -> Hub | None:
        """The hub, for other cells to use; None while none is connected."""
        return self._connecting.hub

    def last_state(self) -> str:
        """Where it is connected, and what its faces show."""
        view = self._connecting.view()
        faces = [face.last_state() for tabs in self._faces.children for face in tabs.children]
        return f"<p>{escape(view['environment'])}: {escape(view['phase'])}</p>{''.join(faces)}"

    def close(self) -> None:
        """Go, and end the hub; does nothing the second time."""
        with self._closing:  # not while the faces are being made
            self._closed = True
        self._connecting.end()
        super().close()

    def _change(self) -> None:
        with self._closing:
            if not self._closed:
                self._show()

    def _show(self) -> None:
        hub, there = self._connecting.hub, self._faces.children
        self._panel.show(self._connecting.view())
        if hub is not None and not there:
            self._faces.children = [self._tabs(hub)]
        elif hub is None and there:
            self._faces.children = []
            for face in there:
                close(face)

    def _tabs(self, hub: Hub) -> Any:
        faces = [
            InvoiceForm(hub, Draft(), plain=self._plain),
            InvoiceInspector(hub, plain=self._plain),
            EventMonitor(hub, plain=self._plain),
            CommandConsole(hub, plain=self._plain),
        ]
        return ipywidgets.Tab(faces, titles=_TITLES, selected_index=0)


class LivePanel(LiveWidget):
    """The connect panel, drawn by the browser; see the face ``connect``.

    From the browser: ``{type: "connect", environment, url, hercle_api_key, turn}``, the one message that ever
    holds a key, and ``{type: "leave", turn}``.

    Attributes:
        environments: What there is to choose from.
        state: What `Connecting.view` gives.
    """

    environments: Any = traitlets.List().tag(sync=True)
    state: Any = traitlets.Dict().tag(sync=True)

    def __init__(self, connecting: Connecting) -> None:
        self._connecting = connecting
        super().__init__(face="connect", environments=list(ENVIRONMENTS), state=sendable(connecting.view()))

    def show(self, view: dict[str, Any]) -> None:
        """Show how far it is; on the interface thread."""
        self.state = sendable(view)

    def _answer(self, message: dict[str, Any]) -> None:
        key, turn = message.pop(KEY, ""), message.get("turn")
        if not isinstance(turn, int):
            return
        if message.get("type") == "connect":
            environment, url = str(message.get("environment", "")), str(message.get("url", ""))
            self._connecting.connect(environment, url, key if isinstance(key, str) else "", turn)
        elif message.get("type") == "leave":
            self._connecting.leave(turn)

    def _fail(self, error: Exception) -> None:
        self._connecting.fail(error)  # a new turn: the browser waits for one


class PlainPanel(Box):
    """The same on ipywidgets alone, without the field for the key.

    Args:
        connecting: What the buttons drive.
    """

    def __init__(self, connecting: Connecting) -> None:
        self._view = view = connecting.view()
        self._environment = ipywidgets.Dropdown(
            options=ENVIRONMENTS, value=view["environment"], description="Environment"
        )
        self._url = ipywidgets.Text(view["url"], description="URL", placeholder="the environment's own")
        self._connect = ipywidgets.Button(description="Connect", button_style="primary")
        self._leave = ipywidgets.Button(description="Disconnect")
        self._told = ipywidgets.HTML(f"<p>{_PLAIN_KEY}</p>")
        super().__init__(
            [
                Box([self._environment, self._url], layout={"flex_flow": "row wrap"}),
                Box([self._connect, self._leave], layout={"flex_flow": "row"}),
                self._told,
            ]
        )

        def connect(_: Any) -> None:
            where, turn = (self._environment.value, self._url.value), self._view["turn"]
            _interface.post(lambda: connecting.connect(*where, "", turn), connecting.fail)

        def leave(_: Any) -> None:
            turn = self._view["turn"]
            _interface.post(lambda: connecting.leave(turn), connecting.fail)

        self._connect.on_click(connect)
        self._leave.on_click(leave)
        self.show(view)

    def show(self, view: dict[str, Any]) -> None:
        """Show how far it is; on the interface thread."""
        self._view = view
        offline = view["phase"] == "offline"
        for field in (self._environment, self._url, self._connect):
            field.disabled = not offline
        self._leave.disabled = view["phase"] != "online"
        where = f"Connected to {view['environment']}, {view['at']}" if view["at"] else ""
        said = escape(view["told"] or where or ("" if offline else "Connecting…"))
        role = "alert" if view["told"] else "status"
        note = f"<p>{_PLAIN_KEY}</p>" if offline else ""
        self._told.value = f'<p role="{role}">{said}</p>{note}'
