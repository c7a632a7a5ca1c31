"""Jupyter toolkit for Hercle's SignalR hub: create Lightning invoices, log every event.

    import hercle_nb as hercle

    hub = hercle.connect()                                       # no key: a simulator inside this process
    invoice = hub.create_invoice(0.001, "Payment for services", 24)
    hub.events                                                   # every hub event so far, a DataFrame

Importing it starts nothing, patches nothing, and imports neither pandas nor aiohttp nor ipywidgets.
"""

from hercle_nb._run import run
from hercle_nb.aio import AsyncHub, connect_async
from hercle_nb.amounts import to_sat
from hercle_nb.bolt11 import PaymentRequest, decode_payment_request
from hercle_nb.errors import (
    AuthenticationError,
    CommandRejected,
    ConfigurationError,
    ConnectionFailed,
    HercleError,
    HubTimeout,
    InvalidRequest,
    NotPaid,
    OutcomeUnknown,
    PaymentRequestError,
    WrongThread,
)
from hercle_nb.events import HubEvent
from hercle_nb.hub import Hub, connect
from hercle_nb.invoice_request import InvoiceRequest, client_id
from hercle_nb.invoices import Invoice
from hercle_nb.log import EventLog

__version__ = "0.1.0"

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
    "NotPaid",
    "OutcomeUnknown",
    "PaymentRequest",
    "PaymentRequestError",
    "WrongThread",
    "__version__",
    "client_id",
    "connect",
    "connect_async",
    "decode_payment_request",
    "run",
    "to_sat",
]
