"""What the simulated hub can do wrong, or differently from its documentation.

The names are the words of the reference hub's ``POST /control/mode``, so that a switch reads alike in a
notebook and on the wire; ``omitUserId`` alone is our own.
"""

# ruff: noqa: N815 (the names are the JSON's own)

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any


@dataclass(slots=True)
class Faults:
    """The switches, all off; an unknown name is an AttributeError.

    Attributes:
        dataAsString: ``data`` is a string of JSON, as the error page draws it.
        omitClientId: The envelope has no ``clientId``.
        omitUserId: Balances and the list's invoices have no ``userId``: whose they are is not told.
        bareEnvelope: The envelope is only ``{"data": …}``, as the command page draws it.
        rejectDuplicateClientId: The second use of a ClientId gets ``preChecksError``.
        replyTwice: Each event comes twice.
        noReply: The command runs, its event never comes.
        replyBeforeCompletion: The event comes before the completion.
        dropBeforeReply: The command runs, then the hub ends the connection.
        replyDelayMs: The event comes that much later.
        reverseInBatchesOf: Events leave in reverse order, so many at a time.
        hubError: The method throws a HubException with this text before it does anything.
        crash: The method throws an ordinary exception before it does anything.
        errorSubject: A creation is answered with this subject, say ``execution.invoice.error``.
        failStatus: A creation is answered with this ``httpStatusCode`` and no invoice.
        negotiateStatus: The next ``negotiateFailures`` negotiations get this HTTP status.
        negotiateFailures: How many more of them fail.
        retryAfterSeconds: They carry this ``Retry-After``.
        negotiateDelayMs: Negotiating takes that much longer.
        redirect: Negotiating sends the client to another path with another token, as Azure SignalR does.

    Example:
        >>> faults = Faults(noReply=True)
        >>> faults.replyDelayMs = 250
        >>> faults.clear()
        >>> faults.noReply, faults.replyDelayMs
        (False, 0)
    """

    dataAsString: bool = False
    omitClientId: bool = False
    omitUserId: bool = False
    bareEnvelope: bool = False
    rejectDuplicateClientId: bool = False
    replyTwice: bool = False
    noReply: bool = False
    replyBeforeCompletion: bool = False
    dropBeforeReply: bool = False
    replyDelayMs: int = 0
    reverseInBatchesOf: int = 0
    hubError: str | None = None
    crash: bool = False
    errorSubject: str | None = None
    failStatus: int | None = None
    negotiateStatus: int | None = None
    negotiateFailures: int = 0
    retryAfterSeconds: int | None = None
    negotiateDelayMs: int = 0
    redirect: bool = False

    def clear(self) -> None:
        """Turn everything off."""
        self.replace({})

    def replace(self, switches: dict[str, Any]) -> None:
        """Set these switches and turn all others off; names in any case, unknown ones are ignored.

        Raises:
            ValueError: A value of the wrong type; nothing was changed.
        """
        given = {name.lower(): value for name, value in switches.items()}
        chosen = {}
        for field in fields(self):
            value = given.get(field.name.lower(), field.default)
            kinds = {name.strip() for name in str(field.type).split("|")}
            if type(value).__name__.replace("NoneType", "None") not in kinds:
                raise ValueError(f"{field.name} is {field.type}, not {value!r}")
            chosen[field.name] = value
        for name, value in chosen.items():
            setattr(self, name, value)

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), tuple(self.as_json().values())  # protocols 0 and 1 take no slots

    def as_json(self) -> dict[str, Any]:
        """Return the switches by name."""
        return {field.name: getattr(self, field.name) for field in fields(self)}
