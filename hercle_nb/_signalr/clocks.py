"""The two clocks of a computer, and how their disagreement tells that it was asleep."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

NOTICED = 10.0  # seconds; shorter naps break no connection, and clocks are set by less than this


class SleepWatch:
    """Notices that the computer slept: the wall clock went on, the monotonic one stood still.

    Assumed of Linux and macOS, where the monotonic clock stops in sleep; elsewhere the silence of the hub is
    noticed instead.

    Args:
        wall: Seconds since 1970.
        monotonic: Seconds that do not count sleep.
    """

    def __init__(
        self, wall: Callable[[], float] = time.time, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self._wall = wall
        self._monotonic = monotonic
        self._apart = wall() - monotonic()

    def slept(self) -> float:
        """Seconds slept since the last call; 0 for less than is worth noticing."""
        before, self._apart = self._apart, self._wall() - self._monotonic()
        return self._apart - before if self._apart - before >= NOTICED else 0.0
