"""A mistyped keyword is told what was meant."""

from __future__ import annotations

import difflib
import functools
import inspect
from typing import TYPE_CHECKING, ParamSpec, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

P = ParamSpec("P")
R = TypeVar("R")


def with_helpful_keywords(function: Callable[P, R]) -> Callable[P, R]:
    """Let a call with a keyword that there is not say which there are."""
    names = [name for name in inspect.signature(function).parameters if name != "self"]

    @functools.wraps(function)
    def checked(*args: P.args, **kwargs: P.kwargs) -> R:
        for name in kwargs:
            if name not in names:
                meant = difflib.get_close_matches(name, names, 1)
                guess = f"; did you mean {meant[0]}?" if meant else "."
                raise TypeError(
                    f"{function.__name__}() takes no keyword {name!r}{guess} It takes {', '.join(names)}."
                )
        return function(*args, **kwargs)

    return checked
