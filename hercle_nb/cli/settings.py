"""Which hub a command talks to, and with which key."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

from hercle_nb.config import resolve, resolve_environment
from hercle_nb.errors import ConfigurationError

if TYPE_CHECKING:
    from hercle_nb.config import Settings


def settings(environment: str | None, url: str | None) -> Settings:
    """Work out the hub and its key: from HERCLE_API_KEY, else by asking, where there is somebody to ask.

    Raises:
        ConfigurationError: Something is missing, unknown or contradicts another.
    """
    environment = resolve_environment(environment, has_url=url is not None)
    if environment == "simulator" or os.environ.get("HERCLE_API_KEY", "").strip():
        return resolve(environment, None, url)
    if sys.stdin is None or not sys.stdin.isatty():
        raise ConfigurationError(
            f"No API key for {environment}: set the variable HERCLE_API_KEY, or run this in a terminal to be "
            "asked."
        )
    return resolve(environment, "ask", url)
