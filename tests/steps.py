"""The steps of a form without a widget, for tests."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

from hercle_nb.widgets import _interface
from hercle_nb.widgets._creation import Creation
from hercle_nb.widgets._draft import Draft
from tests.fast import until

if TYPE_CHECKING:
    from collections.abc import Callable

    import hercle_nb as hercle
    from tests.servers import HubProcess

COFFEE = Draft(amount="0.001", memo="Coffee")
LIMIT_MSAT = 10**10  # 0.1 BTC


class Steps:
    """A creation, driven as a form drives it: on the interface thread."""

    def __init__(self, hub: hercle.Hub, draft: Draft = COFFEE, limit_msat: int = LIMIT_MSAT) -> None:
        self.views: list[dict[str, Any]] = []
        self.made: list[hercle.Invoice] = []
        self.creation = Creation(hub, draft, limit_msat, self._changed, self.made.append)

    def _changed(self) -> None:
        self.views.append(self.creation.view())

    def do(self, step: Callable[..., object], *arguments: Any, **options: Any) -> None:
        """Take a step, and wait until it is taken."""
        done = threading.Event()
        _interface.post(lambda: step(*arguments, **options))
        _interface.post(done.set)
        assert done.wait(10)

    def press(self, step: Callable[[int], object]) -> None:
        """Press a button of the page as it is now."""
        self.do(step, self["turn"])

    def create(self, draft: Draft = COFFEE, mark: str = "", **options: Any) -> None:
        """Press Create."""
        self.do(self.creation.create, draft, self["turn"], mark, **options)

    def __getitem__(self, name: str) -> Any:
        return self.creation.view()[name]

    def until(self, phase: str) -> None:
        """Wait for a phase; the ticker of a form ticks meanwhile."""

        def reached() -> bool:
            self.do(self.creation.tick)
            return bool(self["phase"] == phase)

        until(reached)


def sent(server: HubProcess) -> list[str]:
    """The ClientIds of all creations that were sent, in order."""
    calls = server.stats()["invocations"]
    return [call["clientId"] for call in calls if call["method"] == "CreateLightningInvoice"]
