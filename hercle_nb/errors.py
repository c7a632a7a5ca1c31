"""Every error that this package raises, as one tree.

    HercleError
    ├── ConfigurationError (ValueError)      a setting is missing or contradicts another; nothing was tried
    ├── InvalidRequest (ValueError)          an argument breaks a rule; nothing was sent
    ├── AuthenticationError (PermissionError) the hub refused the key
    ├── ConnectionFailed (ConnectionError)   no hub there, not a hub, or the connection is closed
    ├── JournalError (OSError)               the journal cannot be used; nothing was sent
    ├── HubTimeout (TimeoutError)            no answer in time to something that changes nothing
    ├── CommandRejected (RuntimeError)       the hub said no, with its words
    ├── OutcomeUnknown (RuntimeError)        sent, but nobody knows whether the hub did it
    ├── PaymentRequestError (ValueError)     a text that is not a payment request, with a code
    ├── NotPaid (RuntimeError)               an invoice that ended without a payment
    └── WrongThread (RuntimeError)           a blocking call on the thread it would block

Each also subclasses the builtin a user would catch. No message of ours holds an API key; what a hub
says is shown as it came.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from datetime import datetime

    from hercle_nb.events import HubEvent
    from hercle_nb.invoices import Invoice


class HercleError(Exception):
    """Base of every error of this package. ``pickle`` and ``copy`` keep its text, attributes and notes."""

    def __reduce__(self) -> tuple[Any, ...]:
        reduced: tuple[Any, ...] = super().__reduce__()  # type: ignore[assignment]
        _, args, *state = reduced
        return _made_again, (type(self), args), *state


def _made_again(kind: type[HercleError], args: tuple[Any, ...]) -> HercleError:
    """An error without its attributes, which follow: its ``__init__`` takes other arguments than these."""
    error = kind.__new__(kind, *args)
    (OSError if isinstance(error, OSError) else Exception).__init__(error, *args)
    return error


class ConfigurationError(HercleError, ValueError):
    """A setting is missing, unknown or contradicts another; nothing was tried."""


class InvalidRequest(HercleError, ValueError):
    """An argument breaks a rule of the hub or of Lightning; nothing was sent."""


class AuthenticationError(HercleError, PermissionError):
    """The hub refused the API key (401 or 403); the message says where the key came from."""


class ConnectionFailed(HercleError, ConnectionError):
    """No connection: nothing listens there, it is not a hub, or the connection is closed."""


class JournalError(HercleError, OSError):
    """The journal cannot be read or written; nothing was sent, since it would not be recorded."""


class HubTimeout(HercleError, TimeoutError):
    """No answer in time, to a call that changes nothing or that was never sent."""


class CommandRejected(HercleError, RuntimeError):
    """The hub refused a command; nothing was done.

    Attributes:
        subject: The subject of the answering event, or None if the completion itself refused.
        http_status: ``httpStatusCode`` of the answer, or None.
        message: The hub's own words.
        event: The answering event, or None.
    """

    subject: str | None
    http_status: int | None
    message: str
    event: HubEvent | None

    def __init__(
        self,
        text: str,
        *,
        message: str,
        subject: str | None = None,
        http_status: int | None = None,
        event: HubEvent | None = None,
    ) -> None:
        super().__init__(text)
        self.message = message
        self.subject = subject
        self.http_status = http_status
        self.event = event


class OutcomeUnknown(HercleError, RuntimeError):
    """A command was sent and may or may not have been carried out; never sent again by itself.

    Attributes:
        client_id: The command's ClientId, or None where it had none.
        method: The hub method.
        sent_at: When it was handed to the connection (UTC).
    """

    client_id: str | None
    method: str
    sent_at: datetime

    def __init__(self, text: str, *, client_id: str | None, method: str, sent_at: datetime) -> None:
        super().__init__(text)
        self.client_id = client_id
        self.method = method
        self.sent_at = sent_at


class PaymentRequestError(HercleError, ValueError):
    """A text that cannot be read as a BOLT 11 payment request.

    Attributes:
        code: The machine-readable reason, such as ``bad_checksum``.
    """

    code: str

    def __init__(self, text: str, *, code: str) -> None:
        super().__init__(text)
        self.code = code


class NotPaid(HercleError, RuntimeError):
    """An invoice that one waited for ended without a payment.

    Attributes:
        status: ``expired`` or ``closed``.
        invoice: The invoice as it stands.
    """

    status: str
    invoice: Invoice

    def __init__(self, text: str, *, status: str, invoice: Invoice) -> None:
        super().__init__(text)
        self.status = status
        self.invoice = invoice


class WrongThread(HercleError, RuntimeError):
    """A blocking call was made on the hub's own thread, where it would wait for itself."""
