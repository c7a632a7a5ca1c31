"""What the connect panel does: from an environment, a URL and a key to a hub. For the interface thread.

The key comes in one message, goes into an `ApiKey`, which shows as ``[secure]``, and stays there.
"""

from __future__ import annotations

import logging
import os
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

Phase: TypeAlias = Literal["offline", "connecting", "online"]

KEY = "hercle_api_key"  # what the message that holds a key calls it
_TIMEOUT = 30.0  # seconds for connecting, and of the hub's verbs


class Connecting:
    """Makes one hub at a time.

    Args:
        environment: What is chosen at first; None for what `hercle.connect` would take.
        url: The hub's URL at first; None for the environment's own.
        on_change: Called when `view` gives something else.

    Attributes:
        hub: The hub, once it is connected, until it is let go.

    Raises:
        ConfigurationError: There is no such environment.
    """

    def __init__(self, environment: str | None, url: str | None, on_change: Callable[[], object]) -> None:
        self.hub: Hub | None = None
        self._environment = resolve_environment(environment, has_url=url is not None)
        self._url = url or ""
        self._on_change = on_change
        self._phase: Phase = "offline"
        self._turn = 0
        self._told = ""

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
        if self._phase != "offline" or turn != self._turn:
            return
        self._environment, self._url, self._told = environment, url.strip(), ""
        self._step("connecting")
        simulated = environment == ENVIRONMENTS[0]
        try:
            given = ApiKey(key, "the field API key") if key and not simulated else None
            core, portal = start(
                environment,
                given,
                None if simulated else self._url or None,
                allow_insecure=False,
                journal=None,
                max_events=1_000_000,
                max_bytes=1 << 30,
            )
        except HercleError as error:
            self._fail(error)
            return

        def connected(done: Future[None]) -> None:
            if (error := done.exception()) is not None:
                portal.request_stop()
                self._fail(error)
            else:
                self.hub = Hub(AsyncHub(core, portal, _TIMEOUT))
                self._step("online")

        future, _ = portal.submit(core.connect(_TIMEOUT))
        _interface.when_done(future, connected, self._fail)

    def leave(self, turn: int) -> None:
        """Let the hub go, without waiting for its goodbye."""
        if self._phase == "online" and turn == self._turn:
            self.end()
            self._step("offline")

    def end(self) -> None:
        """The same for good; does nothing the second time."""
        hub, self.hub = self.hub, None
        if hub is not None:
            hub._portal.request_stop()

    def _fail(self, error: BaseException) -> None:
        self._told = str(error) if isinstance(error, HercleError) else f"{type(error).__name__}: {error}"
        self._step("offline")

    def _step(self, phase: Phase) -> None:
        self._phase = phase
        self._turn += 1
        self._on_change()


def keep_keys_out_of_logs() -> None:
    """At level DEBUG the kernel logs every message from a browser; not the one that holds a key."""
    loggers: list[Any] = [logging.getLogger("Comm")]
    try:
        from ipykernel.kernelapp import IPKernelApp
    except ImportError:  # no kernel, no such message
        pass
    else:
        if IPKernelApp.initialized():
            application = IPKernelApp.instance()
            loggers += [application.log, application.kernel.log]
    for logger in loggers:
        real = logger.logger if isinstance(logger, logging.LoggerAdapter) else logger
        if _holds_no_key not in real.filters:
            real.addFilter(_holds_no_key)


def _holds_no_key(record: logging.LogRecord) -> bool:
    return record.levelno > logging.DEBUG or KEY not in record.getMessage()
