"""Which creations of unknown outcome the hub's own list of invoices settles. No I/O.

The list carries no ClientId, so a creation is matched by the hub's id where an answer has named it, else by
what was asked for and when; only if exactly one invoice fits it, and only if that invoice fits no other
creation. Which invoices are spoken for is decided by payment hash, however their texts are spelt.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from hercle_nb.bolt11 import canonical, decode_payment_request, peek_amount
from hercle_nb.commands import named_id, payment_request
from hercle_nb.errors import PaymentRequestError

if TYPE_CHECKING:
    from collections.abc import Container, Iterable

    from hercle_nb.bolt11 import PaymentRequest
    from hercle_nb.calls import Call

TOLERANCE = 60.0  # seconds; the hub's clock is known by its Date header alone


@dataclass(frozen=True)
class Listed:
    """An invoice of the hub's list that may be a creation's.

    Attributes:
        fields: Its entry.
        hub_id: The hub's id, as it is written.
        decoded: Its payment request; None where it cannot be read.
    """

    fields: dict[str, Any]
    hub_id: str | None
    decoded: PaymentRequest | None

    @property
    def key(self) -> str:
        """What it is known by, as `Book` knows it."""
        return self.decoded.payment_hash if self.decoded else self.hub_id or ""


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
        claimed: Payment hashes of invoices that belong to other creations already; of one whose payment
            request cannot be read the hub's id.
        now: By the hub's clock, in seconds since 1970.
    """
    calls = [call for call in unsettled if call.request is not None and call.hub_time is not None]
    amounts = {call.request.amount_msat for call in calls if call.request is not None}
    ids = {call.named_id for call in calls if call.named_id is not None}
    found: dict[Call, list[Listed]] = {call: [] for call in calls}
    for listed in _readable(items, amounts, ids, claimed):
        takers = [call for call in calls if call.named_id is not None and call.named_id == listed.hub_id]
        if not takers and listed.decoded is not None:
            takers = [call for call in calls if call.named_id is None and fits(call, listed.decoded, now)]
        for call in takers:
            # one that several creations fit counts twice for each, so that none of them gets it
            found[call] += [listed] * len(takers)
    return found


def fits(call: Call, decoded: PaymentRequest, now: float) -> bool:
    """Whether a payment request is what a creation asked for, dated between its sending and its loss.

    Args:
        call: Any command.
        decoded: The payment request.
        now: By the hub's clock, in seconds since 1970.
    """
    if call.request is None or call.hub_time is None:
        return False
    earliest, latest = call.hub_time - TOLERANCE, (call.lost_at or now) + TOLERANCE
    return earliest <= decoded.timestamp <= latest and not call.request.differences(decoded)


def _readable(items: Any, amounts: set[int], ids: set[str], claimed: Container[str]) -> Iterable[Listed]:
    """The entries that may be of use, each invoice once; those with one of the ids, whatever they hold."""
    seen: set[str] = set()
    for fields in items if isinstance(items, list) else []:
        text, hub_id = payment_request(fields), named_id(fields)
        # the amount stands in front, so most of a long list need not be decoded
        if text is None or (hub_id not in ids and peek_amount(canonical(text)) not in amounts):
            continue
        try:
            decoded = decode_payment_request(text)
        except PaymentRequestError:
            if hub_id not in ids:
                continue
            decoded = None
        listed = Listed(fields, hub_id, decoded)
        if listed.key not in claimed and listed.key not in seen:
            seen.add(listed.key)
            yield listed
