"""What the connect panel does: from an environment, a URL and a key to a hub. For the interface thread.

The key comes in one message, goes into an `ApiKey`, which shows as ``[secure]``, and stays there.
"""

from __future__ import annotations

import logging
import os
import sys
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from hercle_nb._face import start
from hercle_nb.aio import AsyncHub
from hercle_nb.config import ENVIRONMENTS, ApiKey, resolve_environment
from hercle_nb.errors import HercleError
from hercle_nb.hub import Hub
from hercle_nb.widgets import _interface

if TYPE_CHECKING:
    from collections.abc import Callable
    from concurrent.futures import Future

    from hercle_nb._portal import Portal

Phase: TypeAlias = Literal["offline", "connecting", "online"]

KEY = "hercle_api_key"  # what the message that holds a key calls it
_TIMEOUT = 30.0  # seconds for connecting, and of the hub's verbs


class Connecting:
    """Makes one hub at a time.

    Args:
        environment: What is chosen at first; None for what `hercle.connect` would take.
        url: The hub's URL at first; None for the environment's own.
        journal: As `hercle.connect` takes it.
        max_btc: The same.
        network: The same.
        on_change: Called when `view` gives something else.

    Attributes:
        hub: The hub, once it is connected, until it is let go.

    Raises:
        ConfigurationError: There is no such environment.
    """

    def __init__(
        self,
        environment: str | None,
        url: str | None,
        journal: Any,
        on_change: Callable[[], object],
        *,
        max_btc: Any = 1,
        network: str | None = None,
    ) -> None:
        self.hub: Hub | None = None
        self._environment = resolve_environment(environment, has_url=url is not None)
        self._url = url or ""
        self._journal = journal
        self._max_btc = max_btc
        self._network = network
        self._on_change = on_change
        self._phase: Phase = "offline"
        self._turn = 0
        self._told = ""
        self._portal: Portal | None = None  # of the hub, from the beginning
        self._ended = False

    def view(self) -> dict[str, Any]:
        """What a face shows, as JSON takes it; never the key."""
        hub = self.hub
        return {
            "phase": self._phase,
            "turn": self._turn,
            "environment": self._environment if hub is None else hub.environment,
            "url": self._url,
            "at": "" if hub is None else hub.url,
            "variable": bool(os.environ.get("HERCLE_API_KEY", "").strip()),
            "told": self._told,
        }

    def connect(self, environment: str, url: str, key: str, turn: int) -> None:
        """Begin to connect; never waits."""
        if self._ended or self._phase != "offline" or turn != self._turn:
            return
        self._environment, self._told = environment, ""
        self._step("connecting")
        simulated, url = environment == ENVIRONMENTS[0], url.strip()
        try:
            given = ApiKey(key, "the field API key") if key and not simulated else None
            core, portal = start(
                environment,
                given,
                None if simulated else url or None,
                allow_insecure=False,
                journal=self._journal,
                max_btc=self._max_btc,
                network=self._network,
                max_events=1_000_000,
                max_bytes=1 << 30,
            )
        except HercleError as error:
            self.fail(error)
            return
        self._portal, self._url = portal, url  # not before: a URL that is refused may hold a password

        def connected(done: Future[None]) -> None:
            if self._ended:
                return
            if (error := done.exception()) is not None:
                self.fail(error)
            else:
                self.hub = Hub(AsyncHub(core, portal, _TIMEOUT))
                self._step("online")

        future, _ = portal.submit(core.connect(_TIMEOUT))
        _interface.when_done(future, connected, self.fail)

    def leave(self, turn: int) -> None:
        """Let the hub go, without waiting for its goodbye."""
        if self._phase == "online" and turn == self._turn:
            self._let_go()
            self._step("offline")

    def end(self) -> None:
        """The same for good, also while it connects; does nothing the second time."""
        self._ended = True
        self._let_go()

    def _let_go(self) -> None:
        portal, self._portal, self.hub = self._portal, None, None
        if portal is not None:
            portal.request_stop()

    def fail(self, error: BaseException) -> None:
        """Say what went wrong, with no hub."""
        self._let_go()
        self._told = str(error) if isinstance(error, HercleError) else f"{type(error).__name__}: {error}"
        self._step("offline")

    def _step(self, phase: Phase) -> None:
        self._phase = phase
        self._turn += 1
        self._on_change()


def keep_keys_out_of_logs() -> None:
    """At level DEBUG the kernel logs every message from a browser; not the one that holds a key."""
    loggers: list[Any] = [logging.getLogger("Comm")]
    # not imported by us: where there is no kernel, it would take over what widgets talk through
    kernelapp: Any = sys.modules.get("ipykernel.kernelapp")
    if kernelapp is not None and kernelapp.IPKernelApp.initialized():
        application = kernelapp.IPKernelApp.instance()
        loggers += [application.log, application.kernel.log]
    for logger in loggers:
        real = logger.logger if isinstance(logger, logging.LoggerAdapter) else logger
        if _holds_no_key not in real.filters:
            real.addFilter(_holds_no_key)


def _holds_no_key(record: logging.LogRecord) -> bool:
    return KEY not in f"{record.msg} {record.args}"
