"""A mistyped keyword is told what was meant."""

from __future__ import annotations

import inspect
from typing import Any

import pytest

from hercle_nb._keywords import with_helpful_keywords


class Shop:
    """Something with a method."""

    @with_helpful_keywords
    def order(self, what: str, *, amount_btc: Any = None, memo: str | None = None) -> tuple[Any, ...]:
        """Order something."""
        return what, amount_btc, memo


def test_right_keywords() -> None:
    """A right call is passed on as it is."""
    assert Shop().order("tea", memo="green") == ("tea", None, "green")
    assert Shop().order(what="tea", amount_btc=1) == ("tea", 1, None)


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("amout_btc", "order() takes no keyword 'amout_btc'; did you mean amount_btc?"),
        ("Memo", "order() takes no keyword 'Memo'; did you mean memo?"),
        ("zzz", "order() takes no keyword 'zzz'."),
        ("self_", "order() takes no keyword 'self_'."),
    ],
)
def test_wrong_keyword(name: str, says: str) -> None:
    """A keyword that there is not is a TypeError with the nearest one, if one is near, and all there are."""
    with pytest.raises(TypeError) as raised:
        Shop().order("tea", **{name: "x"})
    assert str(raised.value) == f"{says} It takes what, amount_btc, memo."


def test_other_mistakes() -> None:
    """What else is wrong with a call is Python's own error."""
    with pytest.raises(TypeError, match="missing 1 required positional argument: 'what'"):
        Shop().order(memo="green")  # type: ignore[call-arg]


def test_help() -> None:
    """Help shows the method as it was written."""
    assert Shop.order.__doc__ == "Order something."
    assert list(inspect.signature(Shop.order).parameters) == ["self", "what", "amount_btc", "memo"]
