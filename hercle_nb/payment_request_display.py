"""How a payment request shows itself: as a few lines of text, and as an HTML card with its raw parts."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING

from hercle_nb import _bolt11_parts, amounts
from hercle_nb.display import (
    STATUS_ICONS,
    amount_heading,
    amount_text,
    beside,
    card,
    code,
    count,
    facts,
    few,
    line,
    network_text,
    outside,
    time_text,
    visible,
    warnings,
    whole_request,
)
from hercle_nb.states import hub_now

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from hercle_nb._bolt11_fields import RouteHop
    from hercle_nb._bolt11_parts import Part
    from hercle_nb.bolt11 import PaymentRequest

_FEATURES = {  # BOLT 9, by the even bit of each pair
    0: "option_data_loss_protect",
    8: "var_onion_optin",
    12: "option_static_remotekey",
    14: "payment_secret",
    16: "basic_mpp",
    24: "option_route_blinding",
    36: "option_attribution_data",
    44: "option_channel_type",
    48: "option_payment_metadata",
}
_ADDRESSES = {17: "P2PKH", 18: "P2SH"}
_FEW_LINES, _FEW_ITEMS, _MANY = 3, 8, 100
_SHORT, _LONG = 200, 600  # characters


def payment_request_text(request: PaymentRequest) -> str:
    """A payment request in a few lines, however long it is."""
    lines = [
        f"PaymentRequest on {network_text(request.currency)}: {amount_text(request.amount_msat)}, "
        f"{_description(request)}",
        f"  {_state(request, _is_late(request))}, created {time_text(request.created_at)}",
        f"  payee key {request.payee}",
        f"  payment hash {request.payment_hash}",
        f"  {', '.join(_extras(request))}",
        *(f"  NOT PAYABLE: {problem}" for problem in request.problems),
        *(f"  WARNING: {visible(warning)}" for warning in few(request.warnings, _FEW_LINES)),
        f"  {visible(request.payment_request, _LONG)}",
    ]
    return "\n".join(lines)


def payment_request_card(request: PaymentRequest, clock_ahead: float = 0.0) -> str:
    """A payment request as an HTML card: every field, then its text in coloured parts with their names.

    Args:
        request: The payment request.
        clock_ahead: Seconds that the hub's clock is ahead of this computer's.
    """
    late = _is_late(request, clock_ahead)
    return card(
        amount_heading(request.amount_msat),
        line(f"{_icon(request, late)} {_state(request, late)}"),
        warnings(request.problems),
        warnings(few(request.warnings, _FEW_ITEMS)),
        beside(facts(dict(_facts(request, late)))),
        _raw(_bolt11_parts.split(request.payment_request)),
    )


def _description(request: PaymentRequest) -> str:
    if request.description is None:
        return f"description hash {request.description_hash}"
    return f"'{visible(request.description, _SHORT)}'"


def _is_late(request: PaymentRequest, clock_ahead: float = 0.0) -> bool:
    return hub_now(clock_ahead) >= request.expires_at


def _icon(request: PaymentRequest, late: bool) -> str:
    if not request.payable:
        return STATUS_ICONS["rejected"]
    return STATUS_ICONS["expired"] if late else "✓"


def _state(request: PaymentRequest, late: bool) -> str:
    expiry = f"{'expired' if late else 'expires'} {time_text(request.expires_at)}"
    if not request.payable:
        return f"not payable, {expiry}"
    return f"not payable any more: {expiry}" if late else f"payable, {expiry}"


def _extras(request: PaymentRequest) -> Iterator[str]:
    """What the text only counts."""
    bits = few(map(str, request.feature_bits), _FEW_ITEMS)
    yield f"features {', '.join(bits)}" if bits else "no features"
    yield f"final CLTV {_blocks(request)}"
    if request.route_hints:
        yield count(len(request.route_hints), "route hint")
    if request.fallbacks:
        yield count(len(request.fallbacks), "on-chain fallback")
    if request.metadata is not None:
        yield f"metadata of {count(len(request.metadata) // 2, 'byte')}"


def _facts(request: PaymentRequest, late: bool) -> Iterator[tuple[str, str]]:
    """Every field as HTML; what there may be any number of is cut off after the first hundred."""
    if request.description is not None:
        yield "Description", outside(request.description)
    if request.description_hash is not None:
        yield "Description hash", code(request.description_hash)
    yield "Network", network_text(request.currency)
    yield "Created", time_text(request.created_at)
    yield "Expired" if late else "Expires", f"{time_text(request.expires_at)} ({_expiry(request)})"
    yield "Payee key", code(request.payee)
    yield "Payment hash", code(request.payment_hash)
    yield "Payment secret", code(request.payment_secret) if request.payment_secret else "<em>none</em>"
    yield "Final CLTV", _blocks(request)
    yield "Features", "<em>none</em>" if not request.feature_bits else _features(request.feature_bits)
    for number, route in enumerate(request.route_hints, 1):
        for place, hop in enumerate(route, 1):
            yield f"Route hint {number}, hop {place}", _hop(hop)
    for number, (version, octets) in enumerate(request.fallbacks[:_MANY], 1):
        kind = _ADDRESSES.get(version, f"witness version {version}")
        yield f"Fallback {number}", f"{kind}: {code(octets)}"
    if others := len(request.fallbacks[_MANY:]):
        yield "Fallbacks", f"and {others:,} others"
    if request.metadata is not None:
        yield "Metadata", code(request.metadata) if request.metadata else "<em>empty</em>"
    if request.ignored:
        skipped = (f"{kind} ({count(length, 'group')})" for kind, length in request.ignored)
        yield "Skipped fields", escape(", ".join(few(skipped, _MANY)))
    yield "Signature", f"{code(request.signature)} (recovery flag {request.recovery_flag})"


def _expiry(request: PaymentRequest) -> str:
    default = " by default" if request.expiry is None else ""
    return f"after {_quantity(request.expiry_effective, 's')}{default}"


def _blocks(request: PaymentRequest) -> str:
    default = " by default" if request.min_final_cltv_expiry is None else ""
    return f"{_quantity(request.min_final_cltv_expiry_effective, 'blocks')}{default}"


def _quantity(number: int, unit: str) -> str:
    """A number with its unit; in words where it has hundreds of digits."""
    return f"{number:,} {unit}" if number < 1 << 64 else f"absurdly many {unit} ({amounts.shown(number)})"


def _features(bits: Sequence[int]) -> str:
    words = (
        f"{bit} {_FEATURES.get(bit & ~1, 'unknown')} ({'optional' if bit & 1 else 'required'})"
        for bit in bits
    )
    return ", ".join(few(words, _MANY))


def _hop(hop: RouteHop) -> str:
    return (
        f"{code(hop.public_key)}, channel {hop.short_channel_id}, base fee {hop.base_fee:,} msat, "
        f"fee {hop.ppm_fee:,} ppm, CLTV delta {count(hop.cltv_expiry_delta, 'block')}"
    )


def _raw(parts: Sequence[Part]) -> str:
    """The text with each part in the colour of its kind, and which colour is what in words."""
    names = list(dict.fromkeys(part.name for part in parts))
    # evenly around the circle, and neighbours far apart; a tint leaves the page's own text readable
    stride = next(step for step in (5, 7, 11, 13) if len(names) % step)
    hues = [place * stride % len(names) * 360 // len(names) for place in range(len(names))]
    tints = {name: f"background:hsla({hue},90%,50%,.25)" for name, hue in zip(names, hues, strict=True)}
    text = "".join(
        f'<abbr title="{escape(part.name)}" style="{tints[part.name]};text-decoration:none;cursor:inherit">'
        f"{escape(part.text)}</abbr>"
        for part in parts
    )
    legend = "".join(
        f'<li style="{tint};padding:0 6px;margin:0;border-radius:3px">{escape(name)}</li>'
        for name, tint in tints.items()
    )
    style = "list-style:none;display:flex;flex-wrap:wrap;gap:4px;margin:6px 0 0;padding:0;font-size:12px"
    return f'{whole_request(text)}<ul style="{style}">{legend}</ul>'
