"""The state of an invoice or of a creation, decided in one place."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

OPEN = "open"
PAID = "paid"
EXPIRED = "expired"
CLOSED = "closed"
REJECTED = "rejected"
UNKNOWN = "unknown"
STATES = (OPEN, PAID, EXPIRED, CLOSED, REJECTED, UNKNOWN)

MOST_FOLLOWED = 86_400.0  # seconds; clocks that are further apart are no slip of a clock

_OPEN_AT_THE_HUB, _CLOSED_AT_THE_HUB = "OPEN", "CLOSED"


def followed(clock_ahead: float) -> timedelta:
    """What to add to this computer's clock to have the hub's; nothing if they are more than a day apart."""
    return timedelta(seconds=clock_ahead if abs(clock_ahead) <= MOST_FOLLOWED else 0.0)


def hub_now(clock_ahead: float) -> datetime:
    """Now by the hub's clock, as far as it is followed; in UTC."""
    return datetime.now(UTC) + followed(clock_ahead)


def state_of(*, proven: bool, hub_status: str | None, late: bool) -> str:
    """The state of an invoice that exists.

    Args:
        proven: A preimage is known that hashes to the payment hash; it beats everything else.
        hub_status: ``status`` in the hub's list, in any case of letters; None where it was never seen there.
        late: The moment of expiry is past.

    Returns:
        ``paid``, ``closed`` (the hub takes no payment any more, and shows no proof of one), ``expired`` or
        ``open``. A status that the hub's documentation does not know decides nothing.
    """
    if proven:
        return PAID
    if (hub_status or "").upper() == _CLOSED_AT_THE_HUB:
        return CLOSED
    return EXPIRED if late else OPEN


def state_of_creation(*, refused: bool) -> str:
    """The state of a creation that was sent and of which no invoice is known."""
    return REJECTED if refused else UNKNOWN


def is_documented(hub_status: str) -> bool:
    """Whether the hub's documentation knows that status of an invoice."""
    return hub_status.upper() in (_OPEN_AT_THE_HUB, _CLOSED_AT_THE_HUB)


def is_open_at_the_hub(hub_status: str | None) -> bool:
    """Whether the hub's list says that an invoice still takes a payment, whatever the clock says."""
    return (hub_status or "").upper() == _OPEN_AT_THE_HUB
