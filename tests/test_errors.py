"""The tree of errors: what catches what, and what each carries."""

from __future__ import annotations

import builtins
import inspect
import re
from datetime import UTC, datetime

import pytest

import hercle_nb as hercle
from hercle_nb import errors
from hercle_nb.errors import HercleError

BUILTINS = {
    "ConfigurationError": ValueError,
    "InvalidRequest": ValueError,
    "AuthenticationError": PermissionError,
    "ConnectionFailed": ConnectionError,
    "JournalError": OSError,
    "HubTimeout": TimeoutError,
    "CommandRejected": RuntimeError,
    "OutcomeUnknown": RuntimeError,
    "PaymentRequestError": ValueError,
    "NotPaid": RuntimeError,
    "WrongThread": RuntimeError,
}
CLASSES = {
    name: value
    for name, value in vars(errors).items()
    if inspect.isclass(value) and value.__module__ == errors.__name__
}


def test_the_tree_is_complete() -> None:
    """There are exactly the contract's errors, all public, and the module's docstring draws them all."""
    assert CLASSES.keys() == {"HercleError", *BUILTINS}
    for name, value in CLASSES.items():
        assert getattr(hercle, name) is value
    drawn = re.findall(r"[├└]── (\w+) \((\w+)\)", errors.__doc__ or "")
    assert dict(drawn) == {name: builtin.__name__ for name, builtin in BUILTINS.items()}


@pytest.mark.parametrize("name", BUILTINS)
def test_each_is_also_the_builtin_a_user_would_catch(name: str) -> None:
    """Each error is a HercleError and the contract's builtin, shadows no builtin, and is no other's child."""
    assert CLASSES[name].__bases__ == (HercleError, BUILTINS[name])
    assert name not in dir(builtins)
    for other in BUILTINS.keys() - {name}:
        assert not issubclass(CLASSES[name], CLASSES[other])


@pytest.mark.parametrize(
    "name",
    [
        "ConfigurationError",
        "InvalidRequest",
        "AuthenticationError",
        "ConnectionFailed",
        "JournalError",
        "HubTimeout",
    ],
)
def test_plain_errors_show_their_text(name: str) -> None:
    """An error that carries nothing else is its text, those over OSError too."""
    assert str(CLASSES[name]("what to do next")) == "what to do next"


def test_attributes() -> None:
    """The others carry what a program needs to decide, by name."""
    now = datetime.now(UTC)
    rejected = hercle.CommandRejected("text", message="no", subject="s", http_status=400, event=5)
    assert (rejected.message, rejected.subject, rejected.http_status, rejected.event) == ("no", "s", 400, 5)
    bare = hercle.CommandRejected("text", message="no")
    assert (bare.subject, bare.http_status, bare.event) == (None, None, None)
    unknown = hercle.OutcomeUnknown("text", client_id=None, method="M", sent_at=now)
    assert (unknown.client_id, unknown.method, unknown.sent_at) == (None, "M", now)
    unreadable = hercle.PaymentRequestError("text", code="too_long")
    assert unreadable.code == "too_long"
    unpaid = hercle.NotPaid("text", status="expired", invoice=5)
    assert (unpaid.status, unpaid.invoice) == ("expired", 5)
    for error in (rejected, bare, unknown, unreadable, unpaid):
        assert str(error) == "text"
