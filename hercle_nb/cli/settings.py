"""Which hub a command talks to, and with which key."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

from hercle_nb.config import resolve, resolve_environment

if TYPE_CHECKING:
    from hercle_nb.config import Settings


def settings(environment: str | None, url: str | None) -> Settings:
    """Work out the hub and its key: from HERCLE_API_KEY, else by asking, where there is somebody to ask.

    Raises:
        ConfigurationError: Something is missing, unknown or contradicts another.
    """
    environment = resolve_environment(environment, has_url=url is not None)
    asked = not os.environ.get("HERCLE_API_KEY", "").strip() and sys.stdin is not None and sys.stdin.isatty()
    return resolve(environment, "ask" if asked and environment != "simulator" else None, url)
