"""What came back, compared with what was asked for: alarms, and notes about the clocks. No I/O.

An alarm says that the payment request is another one than was asked for, so that nobody should pay it. A note
leaves the invoice as it is.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from hercle_nb.reconcile import TOLERANCE
from hercle_nb.states import MOST_FOLLOWED, followed

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

    from hercle_nb.bolt11 import PaymentRequest
    from hercle_nb.invoice_request import InvoiceRequest

BITCOIN = "bc"  # the prefix of Bitcoin itself, where money is real

_FOR_NETWORK = "the payment request is for the network "
_CLOCK = "this computer's clock is "
_NOTES = (  # how the warnings begin that are no alarm
    _CLOCK,
    "the payment request is dated ",
    "the payment request expires at ",
    "the hub's answer carried ",
    "the hub's list calls it ",
    "the hub's list was understood to mean ",
    "matched by ",
)

_UNITS = (("day", 86_400), ("hour", 3_600), ("minute", 60), ("second", 1))


def alarms(request: InvoiceRequest, decoded: PaymentRequest, currency: str) -> list[str]:
    """Why nobody should pay this payment request, a sentence each.

    Args:
        request: What was asked.
        decoded: The payment request that came.
        currency: The network expected, as in a payment request's prefix; empty for any but Bitcoin itself.
    """
    return [*request.differences(decoded), *wrong_network(decoded.currency, currency), *decoded.problems]


def wrong_network(named: str, currency: str) -> Iterator[str]:
    """Why the network that a payment request names is not the one expected, if it is not.

    Where Bitcoin itself is expected, no way to take a test network is named: goods would go for nothing.
    """
    if named == currency or (not currency and named != BITCOIN):
        return
    expected = f"where {currency!r} is expected" if currency else "which is not expected here"
    if named == BITCOIN:
        why = "paying it costs real bitcoin"
    else:
        why = "what is paid there is worth nothing" if currency == BITCOIN else "another test network"
    meant = "" if currency == BITCOIN else f'; if that is meant, connect with network="{named}"'
    yield f"{_FOR_NETWORK}{named!r}, {expected}: {why}{meant}"


def judged_here(
    warnings: tuple[str, ...], named: str | None, currency: str, *, alarm: bool
) -> tuple[tuple[str, ...], bool]:
    """The warnings and the alarm of an invoice that was judged where another network may have been expected.

    Args:
        warnings: Its warnings there.
        named: The network that its payment request names; None if it cannot be read.
        currency: The network expected here; empty for any but Bitcoin itself.
        alarm: Whether one of the warnings was an alarm.
    """
    others = tuple(text for text in warnings if not text.startswith(_FOR_NETWORK))
    here = () if named is None else tuple(wrong_network(named, currency))
    other_alarms = len(others) == len(warnings) or any(not text.startswith(_NOTES) for text in others)
    return (*here, *others), bool(here) or (alarm and other_alarms)


def clock_notes(
    decoded: PaymentRequest | None,
    hub_expiry: datetime | None,
    sent_at: datetime | None,
    received_at: datetime,
    clock_ahead: float,
) -> Iterator[str]:
    """What does not fit about the times, a sentence each; a minute is tolerated.

    Args:
        decoded: The payment request that came; None if it cannot be read.
        hub_expiry: When it expires, as the hub says; None if it does not.
        sent_at: When it was asked for, by this computer's clock; None if that is not known.
        received_at: When the answer came, by this computer's clock.
        clock_ahead: Seconds that the hub's clock is ahead of this computer's.
    """
    if abs(clock_ahead) > TOLERANCE:
        yield _other_clock(clock_ahead)
    if decoded is None:
        return
    if sent_at is not None:
        early = sent_at.timestamp() + clock_ahead - decoded.timestamp
        late = decoded.timestamp - received_at.timestamp() - clock_ahead
        if max(early, late) > TOLERANCE:
            when = f"{_span(early)} before it was asked for"
            if late > early:
                when = f"{_span(late)} after it came"
            yield f"the payment request is dated {_time(decoded.created_at)}, {when} (by the hub's clock)"
    if hub_expiry is None:
        return
    late = (decoded.expires_at - hub_expiry).total_seconds()
    if abs(late) > TOLERANCE:
        yield (
            f"the payment request expires at {_time(decoded.expires_at)}, {_span(late)} "
            f"{'later' if late > 0 else 'earlier'} than the hub says ({_time(hub_expiry)}); "
            "wallets go by the payment request"
        )


def with_clock(warnings: tuple[str, ...], clock_ahead: float) -> tuple[str, ...]:
    """Warnings that say of the clocks what is so now: where they did before, or where they are a day apart.

    Args:
        warnings: As they were.
        clock_ahead: Seconds that the hub's clock is ahead of this computer's.
    """
    others = tuple(text for text in warnings if not text.startswith(_CLOCK))
    told = len(others) < len(warnings) and abs(clock_ahead) > TOLERANCE
    return (*others, _other_clock(clock_ahead)) if told or abs(clock_ahead) > MOST_FOLLOWED else others


def _other_clock(clock_ahead: float) -> str:
    """How far this computer's clock is off, and what that means."""
    off = f"{_span(clock_ahead)} {'behind' if clock_ahead > 0 else 'ahead of'} the hub's"
    if followed(clock_ahead):
        return (
            f"{_CLOCK}{off}; what is shown here follows the hub's, but wallets and other "
            "programs on this computer do not: set it right"
        )
    return (
        f"{_CLOCK}{off}, which is too far to follow it: what is open or expired is told by "
        "this computer's; check that it is right"
    )


def _span(seconds: float) -> str:
    """A length of time in words, whatever its sign: its two largest units, such as ``1 hour 5 minutes``."""
    rest = round(abs(seconds))
    words = []
    for unit, size in _UNITS:
        number, rest = divmod(rest, size)
        if number:
            words.append(f"{number:,} {unit}{'s' if number > 1 else ''}")
    return " ".join(words[:2])


def _time(time: datetime) -> str:
    return f"{time.replace(tzinfo=None).isoformat(' ', 'seconds')} UTC"
