"""Widgets on each ipykernel that treats threads and messages in its own way, as a browser would see them."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import pytest

from tests.environments import packages
from tests.kernels import MARKS, VERSIONS, kernel

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from jupyter_client.blocking.client import BlockingKernelClient

pytestmark = MARKS
CELL = (
    "import hercle_nb as hercle\n"
    "hub = hercle.connect('simulator')\n"
    "form = hub.form(amount_btc='0.001', memo='Coffee')\n"
    "monitor = hub.monitor()\n"
    "form"
)
FIELDS = {"amount": "0.001", "unit": "BTC", "memo": "Coffee", "expiry": "24", "hours": "", "client_id": ""}


class Browser:
    """What a browser hears of a kernel's widgets, and what it says to them."""

    def __init__(self, client: BlockingKernelClient) -> None:
        self.client = client
        self.states: dict[str, dict[str, Any]] = {}  # of each widget, by its comm
        self.rows: list[Any] = []
        self.printed = ""

    def hear(self, condition: Callable[[], object], seconds: float = 30) -> None:
        """Take in messages until something holds."""
        deadline = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < deadline, f"it did not happen; printed: {self.printed}"
            if self.client.iopub_channel.msg_ready():
                self._take(self.client.get_iopub_msg(timeout=1))
            else:
                time.sleep(0.01)

    def _take(self, message: dict[str, Any]) -> None:
        content, kind = message["content"], message["msg_type"]
        if kind == "comm_open":
            self.states[content["comm_id"]] = dict(content["data"]["state"])
        elif kind == "comm_msg" and content["data"]["method"] == "update":
            self.states[content["comm_id"]] |= content["data"]["state"]
        elif kind == "comm_msg" and content["data"]["method"] == "custom":
            self.rows += content["data"]["content"].get("rows", [])
        elif kind in ("stream", "error"):
            self.printed += str(content)

    def face(self, name: str) -> str:
        """The comm of the one face of that name."""
        (comm,) = [comm for comm, state in self.states.items() if state.get("face") == name]
        return comm

    def form(self) -> dict[str, Any]:
        """What the form shows."""
        shown: dict[str, Any] = self.states[self.face("form")]["state"]
        return shown

    def say(self, face: str, subshell: str | None = None, **message: Any) -> None:
        """Send a message to a face, by a subshell as JupyterLab does where there are any."""
        data = {"method": "custom", "content": message}
        sent = self.client.session.msg("comm_msg", {"comm_id": self.face(face), "data": data})
        if subshell is not None:
            sent["header"]["subshell_id"] = subshell
        self.client.shell_channel.send(sent)

    def subshell(self) -> str | None:
        """A new subshell; None where the kernel has none."""
        self.client.control_channel.send(self.client.session.msg("create_subshell_request"))
        try:
            reply = self.client.get_control_msg(timeout=2)
        except Exception:  # noqa: BLE001  # an older kernel does not answer
            return None
        made: str | None = reply["content"].get("subshell_id")
        return made


@pytest.fixture(scope="module", params=VERSIONS)
def browser(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    """A kernel of that version with a form and a monitor, and what a browser would see of them."""
    folder = tmp_path_factory.mktemp("kernel")
    before = packages(folder / "packages", f"ipykernel=={request.param}")
    with kernel(folder / "home", before=before) as client:
        browser = Browser(client)
        client.execute("import ipykernel; print(ipykernel.__version__)")
        browser.hear(lambda: request.param in browser.printed)
        browser.printed = ""
        client.execute(CELL)
        browser.hear(lambda: [state for state in browser.states.values() if state.get("face") == "form"])
        yield browser


def test_threads_reach_the_browser(browser: Browser) -> None:
    """A press creates one invoice, and what the hub's thread brings about is seen; nothing is printed."""
    turn = browser.form()["turn"]
    for _ in range(3):
        browser.say("form", type="create", fields=FIELDS, mark="", turn=turn)
    browser.hear(lambda: browser.form()["phase"] == "created")
    browser.hear(lambda: [state for state in browser.states.values() if state.get("face") == "card"])
    browser.hear(lambda: any("execution.invoice.created" in row for row in browser.rows))
    assert len([row for row in browser.rows if "execution.invoice.created" in row]) == 1
    assert browser.printed == ""


def test_while_a_cell_computes(browser: Browser, tmp_path: Path) -> None:
    """While a cell computes events are seen; a press made meanwhile creates one invoice, sooner or later."""
    browser.say("form", type="another", turn=browser.form()["turn"])
    browser.hear(lambda: browser.form()["phase"] == "draft")
    subshell = browser.subshell()
    browser.rows.clear()
    end = tmp_path / "end"
    push = (
        "import threading; threading.Thread(target=hub.simulator.push, args=('executionEvents', {})).start()"
    )
    busy = f"import pathlib\nend = pathlib.Path({str(end)!r})\nwhile not end.exists():\n    sum(range(1_000))"
    browser.client.execute(f"{push}\n{busy}\nprint('computed')")
    browser.hear(lambda: any(row[2] == "event" for row in browser.rows))
    turn = browser.form()["turn"]
    for _ in range(3):
        browser.say("form", subshell, type="create", fields=FIELDS, mark="", turn=turn)
    assert "computed" not in browser.printed
    end.touch()
    browser.hear(lambda: browser.form()["phase"] == "created")
    browser.client.execute("print('made', len(hub.simulator._server.state.invoices))")
    browser.hear(lambda: "made 2" in browser.printed)
