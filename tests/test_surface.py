"""The public surface: its names, its documentation, and that its two faces are one."""

from __future__ import annotations

import doctest
import importlib
import inspect
import pkgutil

import pytest

import hercle_nb as hercle

PUBLIC = [
    *(
        "AsyncHub",
        "AuthenticationError",
        "CommandRejected",
        "ConfigurationError",
        "ConnectionFailed",
        "EventLog",
    ),
    *(
        "HercleError",
        "Hub",
        "HubEvent",
        "HubTimeout",
        "InvalidRequest",
        "Invoice",
        "InvoiceRequest",
        "JournalError",
        "NotPaid",
    ),
    *("OutcomeUnknown", "PaymentRequest", "PaymentRequestError", "Resolution", "Subscription"),
    *("WrongThread", "__version__", "app", "client_id"),
    *("connect", "connect_async", "decode_payment_request", "run", "to_sat"),
]
VERBS = [
    *("batch", "close", "command", "create_invoice", "create_invoices", "export_invoices", "invoice"),
    *("invoke", "on_event", "on_paid", "prices", "refresh_invoices", "resolve", "wait_for", "wait_paid"),
]
NEVER_WAIT = {
    "batch",
    "export_invoices",
    "invoice",
    "on_event",
    "on_paid",
}  # one definition serves both faces
ONLY_SYNC = {"aio", "form", "inspector", "monitor"}  # the way to the other face, and widgets
ONLY_ASYNC = {"stream"}  # an async iterator
MODULES = [
    m.name for m in pkgutil.walk_packages(hercle.__path__, "hercle_nb.") if not m.name.endswith("__main__")
]


def test_public_names() -> None:
    """The exported names are exactly these; adding one is a decision."""
    assert sorted(hercle.__all__) == sorted(PUBLIC)
    for name in PUBLIC:
        assert hasattr(hercle, name)


def signature(function: object) -> list[tuple[str, object, object, object]]:
    """Names, kinds, defaults and annotations, as written."""
    parameters = inspect.signature(function).parameters.values()
    return [(p.name, p.kind, p.default, p.annotation) for p in parameters]


@pytest.mark.parametrize("name", VERBS)
def test_faces_are_alike(name: str) -> None:
    """A verb and its awaitable twin have the same parameters, return type and summary."""
    sync, twin = getattr(hercle.Hub, name), getattr(hercle.AsyncHub, name)
    assert signature(sync) == signature(twin)
    assert inspect.signature(sync).return_annotation == inspect.signature(twin).return_annotation
    assert inspect.iscoroutinefunction(twin) == (name not in NEVER_WAIT)
    assert summary(sync) == summary(twin)


def test_connects_are_alike() -> None:
    """`connect_async` takes what `connect` takes, with the same defaults."""
    assert signature(hercle.connect) == signature(hercle.connect_async)


def test_no_verb_on_one_face_only() -> None:
    """What one face has, the other has."""
    sync = {name for name in dir(hercle.Hub) if not name.startswith("_")}
    twin = {name for name in dir(hercle.AsyncHub) if not name.startswith("_")}
    assert sync - ONLY_SYNC == twin - ONLY_ASYNC
    assert set(VERBS) <= twin


def summary(function: object) -> str:
    """A docstring's first line."""
    return (inspect.getdoc(function) or "").splitlines()[0]


@pytest.mark.parametrize("module", MODULES)
def test_examples_run(module: str) -> None:
    """Every example in a docstring gives what it says it gives, on the simulator."""
    tests = doctest.DocTestFinder().find(importlib.import_module(module))
    runner = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS)
    for test in tests:
        runner.run(test)
    assert runner.failures == 0
