"""What ``hercle-nb doctor`` finds."""

from __future__ import annotations

from typing import NamedTuple


class Finding(NamedTuple):
    """What one look found.

    Attributes:
        mark: ``ok``; ``note``, which may be meant; or ``BAD``, which has to be mended.
        text: What is so.
        advice: What to do about it.
    """

    mark: str
    text: str
    advice: str = ""
