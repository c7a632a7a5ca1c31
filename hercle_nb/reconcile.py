"""Which creations of unknown outcome the hub's own list of invoices settles. No I/O.

The list carries no ClientId, so a creation is matched by what was asked for and when; only if exactly one
invoice fits it, and only if that invoice fits no other creation.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from hercle_nb.bolt11 import decode_payment_request, peek_amount
from hercle_nb.errors import PaymentRequestError

if TYPE_CHECKING:
    from collections.abc import Container, Iterable

    from hercle_nb.bolt11 import PaymentRequest
    from hercle_nb.calls import Call

TOLERANCE = 60.0  # seconds; the hub's clock is known by its Date header alone


@dataclass(frozen=True)
class Listed:
    """An invoice of the hub's list whose payment request can be read."""

    fields: dict[str, Any]
    decoded: PaymentRequest


def settled_by_list(
    unsettled: Iterable[Call], items: Any, claimed: Container[str], *, now: float
) -> dict[Call, Listed]:
    """Each creation that exactly one invoice of the list fits, with that invoice; see `fitting`."""
    found = fitting(unsettled, items, claimed, now=now)
    return {call: listed[0] for call, listed in found.items() if len(listed) == 1}


def fitting(
    unsettled: Iterable[Call], items: Any, claimed: Container[str], *, now: float
) -> dict[Call, list[Listed]]:
    """Each creation with the invoices of the list that fit it.

    Args:
        unsettled: Creations that were sent and whose outcome is unknown.
        items: The data of ``lightspark.invoices.snapshot``.
        claimed: Payment requests that belong to other creations already.
        now: By the hub's clock, in seconds since 1970.
    """
    calls = [call for call in unsettled if call.request is not None and call.hub_time is not None]
    amounts = {call.request.amount_msat for call in calls if call.request is not None}
    found: dict[Call, list[Listed]] = {call: [] for call in calls}
    for listed in _readable(items, amounts, claimed):
        takers = [call for call in calls if _fits(call, listed, now)]
        for call in takers:
            # one that several creations fit counts twice for each, so that none of them gets it
            found[call] += [listed] * len(takers)
    return found


def _readable(items: Any, amounts: set[int], claimed: Container[str]) -> Iterable[Listed]:
    for fields in items if isinstance(items, list) else []:
        text = fields.get("encodedPaymentRequest") if isinstance(fields, dict) else None
        # the amount stands in front, so most of a long list need not be decoded
        if isinstance(text, str) and text not in claimed and peek_amount(text) in amounts:
            try:
                yield Listed(fields, decode_payment_request(text))
            except PaymentRequestError:
                continue


def _fits(call: Call, listed: Listed, now: float) -> bool:
    assert call.request is not None  # noqa: S101  # typing: the caller chose those that have both
    assert call.hub_time is not None  # noqa: S101
    earliest = call.hub_time - TOLERANCE
    latest = (call.lost_at or now) + TOLERANCE
    return earliest <= listed.decoded.timestamp <= latest and not call.request.differences(listed.decoded)
