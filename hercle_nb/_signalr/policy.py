"""What to do when an attempt fails or a connection is lost: decisions alone, without I/O and without a clock.

Better than the official JavaScript client, which gives up after four attempts: ours goes on for ever, capped
and with jitter, and says what it is doing.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import TYPE_CHECKING

from hercle_nb._signalr.failures import AttemptFailed, Finality
from hercle_nb.errors import ConnectionFailed, HercleError

if TYPE_CHECKING:
    from collections.abc import Callable

DELAYS = (0.0, 2.0, 10.0, 30.0)  # seconds; the official clients' own
MAX_DELAY = 60.0  # after those: anything from 0 to this ("full jitter"), so that clients do not come in step
PATIENCE = 2.0  # the longest delay while somebody waits for the first connection
STABLE = 5.0  # seconds a connection must last before the delays begin anew
GOODBYE_MEMORY = 60.0  # seconds a connection must last before the hub's goodbye is forgotten


@dataclass(frozen=True)
class Ending:
    """How a connection ended.

    Attributes:
        reason: For a person.
        goodbye: The hub said so itself, and not that one may come back.
        too_large: A message was larger than this client takes.
        slept: This computer was asleep.
    """

    reason: str
    goodbye: bool = False
    too_large: bool = False
    slept: bool = False


@dataclass(frozen=True)
class Retry:
    """Try again, after so many seconds."""

    delay: float


@dataclass(frozen=True)
class GiveUp:
    """It is over; every further call raises this."""

    error: HercleError


class Policy:
    """Decides, from what has happened so far, what comes next.

    Args:
        uniform: Gives a random number from 0 to 1.
    """

    def __init__(self, uniform: Callable[[], float] = random.random) -> None:
        self._uniform = uniform
        self._step = 0
        self._goodbye_said = False

    def first_failed(self, failure: AttemptFailed) -> Retry | GiveUp:
        """An attempt at the first connection failed, while somebody waits for it."""
        if failure.finality is not Finality.NEVER:
            return GiveUp(failure.error)
        return self._retry(failure, longest=PATIENCE)

    def failed(self, failure: AttemptFailed) -> Retry | GiveUp:
        """An attempt to reconnect failed: a captive portal or a changing network may be in the way."""
        if failure.finality is Finality.ALWAYS:
            return GiveUp(failure.error)
        return self._retry(failure, longest=MAX_DELAY)

    def lost(self, ending: Ending, lasted: float) -> Retry | GiveUp:
        """A connection that lasted so many seconds ended."""
        if lasted >= STABLE or ending.slept:
            self._step = 0
        if lasted >= GOODBYE_MEMORY:
            self._goodbye_said = False
        if ending.goodbye:
            if self._goodbye_said:
                return GiveUp(ConnectionFailed(f"The hub ended the connection twice: {ending.reason}."))
            self._goodbye_said = True  # once may be a redeployment
        return Retry(self._next_delay())

    def woke(self) -> None:
        """The computer slept during a delay: an attempt is due now, and the network may take a moment."""
        self._step = 1

    def _retry(self, failure: AttemptFailed, longest: float) -> Retry:
        return Retry(max(min(self._next_delay(), longest), failure.retry_after or 0.0))

    def _next_delay(self) -> float:
        step, self._step = self._step, self._step + 1
        return DELAYS[step] if step < len(DELAYS) else MAX_DELAY * self._uniform()
