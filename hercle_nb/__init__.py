"""Jupyter toolkit for Hercle's SignalR hub: create Lightning invoices, log every event.

    import hercle_nb as hercle

    hub = hercle.connect()                                       # no key: a simulator inside this process
    invoice = hub.create_invoice(0.001, "Payment for services", 24)
    hub.events                                                   # every hub event so far, a DataFrame

Importing it starts nothing, patches nothing, and imports nothing: each name brings its module when it is
first used (PEP 562).
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hercle_nb._run import run
    from hercle_nb.aio import AsyncHub, connect_async
    from hercle_nb.amounts import to_sat
    from hercle_nb.bolt11 import PaymentRequest, decode_payment_request
    from hercle_nb.book import Resolution
    from hercle_nb.errors import (
        AuthenticationError,
        CommandRejected,
        ConfigurationError,
        ConnectionFailed,
        HercleError,
        HubTimeout,
        InvalidRequest,
        JournalError,
        NotPaid,
        OutcomeUnknown,
        PaymentRequestError,
        WrongThread,
    )
    from hercle_nb.events import HubEvent
    from hercle_nb.hub import Hub, connect
    from hercle_nb.invoice_request import InvoiceRequest
    from hercle_nb.invoices import Invoice
    from hercle_nb.log import EventLog
    from hercle_nb.subscriptions import Subscription
    from hercle_nb.widgets.app import app

__version__ = "0.1.0"

_MODULES = {
    "_run": "run",
    "aio": "AsyncHub connect_async",
    "amounts": "to_sat",
    "book": "Resolution",
    "bolt11": "PaymentRequest decode_payment_request",
    "client_ids": "client_id",
    "errors": "AuthenticationError CommandRejected ConfigurationError ConnectionFailed HercleError "
    "HubTimeout InvalidRequest JournalError NotPaid OutcomeUnknown PaymentRequestError WrongThread",
    "events": "HubEvent",
    "hub": "Hub connect",
    "invoice_request": "InvoiceRequest",
    "invoices": "Invoice",
    "log": "EventLog",
    "subscriptions": "Subscription",
    "widgets.app": "app",
}
_HOME = {name: module for module, names in _MODULES.items() for name in names.split()}

__all__ = [
    "AsyncHub",
    "AuthenticationError",
    "CommandRejected",
    "ConfigurationError",
    "ConnectionFailed",
    "EventLog",
    "HercleError",
    "Hub",
    "HubEvent",
    "HubTimeout",
    "InvalidRequest",
    "Invoice",
    "InvoiceRequest",
    "JournalError",
    "NotPaid",
    "OutcomeUnknown",
    "PaymentRequest",
    "PaymentRequestError",
    "Resolution",
    "Subscription",
    "WrongThread",
    "__version__",
    "app",
    "client_id",
    "connect",
    "connect_async",
    "decode_payment_request",
    "run",
    "to_sat",
]


def __getattr__(name: str) -> Any:
    from importlib import import_module

    if name == "simulator":
        return import_module(f"{__name__}.simulator")
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return __all__
