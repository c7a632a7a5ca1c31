"""How an invoice shows itself: as text in three lines, and as an HTML card with its QR code."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING
from urllib.parse import quote

from hercle_nb._bolt11_paste import MAX_CHARACTERS
from hercle_nb.bolt11 import canonical
from hercle_nb.display import (
    STATUS_ICONS,
    amount_heading,
    amount_text,
    beside,
    card,
    code,
    facts,
    heading,
    line,
    network_text,
    outside,
    time_text,
    visible,
    warnings,
    whole_request,
)
from hercle_nb.errors import InvalidRequest
from hercle_nb.invoice_request import DEFAULT_EXPIRY_HOURS
from hercle_nb.states import CLOSED, EXPIRED, OPEN, PAID

if TYPE_CHECKING:
    from hercle_nb.invoices import Invoice

_PIXELS = 4  # a module
_LINK = (
    "display:inline-block;border:1px solid;border-radius:4px;padding:2px 12px;color:inherit;"
    "text-decoration:none"
)
_QR = "max-width:100%;aspect-ratio:1;-webkit-print-color-adjust:exact;print-color-adjust:exact"


def invoice_text(invoice: Invoice) -> str:
    """An invoice in three lines, and one for each warning."""
    status = invoice.status
    memo = "no memo" if invoice.memo is None else f"'{visible(invoice.memo)}'"
    proof_or_expiry = (
        f"preimage {visible(invoice.preimage or '')}"
        if status == PAID
        else " ".join(_expiry(invoice, status))
    )
    lines = [
        f"Invoice {visible(invoice.client_id or invoice.id)} ({', '.join(_state(invoice, status))}): "
        f"{_amount(invoice)}, {memo}",
        f"  {proof_or_expiry}, hub id {visible(invoice.id)}",
        f"  {_request(invoice)}",
        *(f"  WARNING: {visible(warning)}" for warning in invoice.warnings),
    ]
    return "\n".join(lines)


def invoice_card(invoice: Invoice) -> str:
    """An invoice as an HTML card: with QR code and link while it can be paid, as a receipt once it is."""
    status = invoice.status
    return card(
        _heading(invoice),
        line(f"{STATUS_ICONS[status]} {', '.join(_state(invoice, status))}"),
        warnings(invoice.warnings),
        beside(_ways_to_pay(invoice, status), facts(_facts(invoice, status))),
        whole_request(escape(_request(invoice))),
    )


def _amount(invoice: Invoice) -> str:
    """What is to be paid, and what was asked for where that is something else."""
    asked = "" if invoice.asked_msat is None else f" (asked for {amount_text(invoice.asked_msat)})"
    return f"{'unknown amount' if is_unread(invoice) else amount_text(invoice.amount_msat)}{asked}"


def _heading(invoice: Invoice) -> str:
    """The same as the heading of the card."""
    if is_unread(invoice):
        return heading("Unknown amount", "the payment request cannot be read")
    asked = "" if invoice.asked_msat is None else line(f"asked for {amount_text(invoice.asked_msat)}")
    return f"{amount_heading(invoice.amount_msat)}{asked}"


def is_unread(invoice: Invoice) -> bool:
    """Whether it is not known what is to be paid, which is not the same as any amount."""
    return invoice.amount_msat is None and invoice.payment_hash is None


def _state(invoice: Invoice, status: str) -> list[str]:
    """The state, and what there is to say about it."""
    words = [status]
    if status == CLOSED:
        words.append("the hub takes no payment any more and shows no proof of one")
    if status in (PAID, CLOSED) and invoice.updated_at:
        words.append(f"as of {time_text(invoice.updated_at)}")
    if invoice.client_id is None:
        words.append("created elsewhere")
    if invoice.reused:
        words.append("known already and not sent again")
    return words


def _facts(invoice: Invoice, status: str) -> dict[str, str]:
    rows = {"Memo": "<em>none</em>" if invoice.memo is None else outside(invoice.memo)}
    if status == PAID:
        rows["Receipt"] = "the SHA-256 of the preimage is the payment hash, which proves the payment"
    if invoice.preimage:
        rows["Preimage"] = code(invoice.preimage) + ("" if status == PAID else " (proves no payment)")
    if status != PAID:
        name, when = _expiry(invoice, status)
        rows[name.capitalize()] = f"{when}{_asked(invoice)}"
    rows["Created"] = time_text(invoice.created_at)
    if invoice.decoded:
        rows["Payment hash"] = code(invoice.decoded.payment_hash)
        rows["Payee key"] = code(invoice.decoded.payee)
        rows["Network"] = network_text(invoice.decoded.currency)
    rows["ClientId"] = "none: created elsewhere" if invoice.client_id is None else code(invoice.client_id)
    rows["Hub id"] = code(invoice.id)
    if invoice.message:
        rows["Hub's words"] = outside(invoice.message)
    return rows


def _expiry(invoice: Invoice, status: str) -> tuple[str, str]:
    return "expired" if status == EXPIRED else "expires", time_text(invoice.expires_at)


def _asked(invoice: Invoice) -> str:
    """How long it is valid, where that is what was asked for."""
    hours = invoice.expiry_hours or DEFAULT_EXPIRY_HOURS
    differs = invoice.decoded is not None and invoice.decoded.expiry_effective != hours * 3_600
    if invoice.client_id is None or differs:
        return ""
    return f" ({hours} h)" if invoice.expiry_hours else f" ({hours} h, the hub's default)"


def _request(invoice: Invoice) -> str:
    """The payment request without white space around it; of a longer text the beginning."""
    return visible(invoice.payment_request.strip(), MAX_CHARACTERS)


def _ways_to_pay(invoice: Invoice, status: str) -> str:
    """The QR code, black on white in any theme, and a link; nothing where it should not be paid."""
    if status != OPEN or invoice.alarm:
        return ""
    uri = escape(f"lightning:{quote(canonical(invoice.payment_request), safe='')}")
    link = f'<a href="{uri}" style="{_LINK}">Open in a wallet</a>'
    return f'<div style="flex:0 1 auto;min-width:0">{_qr_image(invoice)}{link}</div>'


def _qr_image(invoice: Invoice) -> str:
    try:
        qr = invoice.qr()
    except InvalidRequest:  # no QR code holds so long a payment request
        return ""
    label = f"QR code to pay {amount_text(invoice.amount_msat)}, valid until {time_text(invoice.expires_at)}"
    side = qr.symbol_size(_PIXELS, border=4)[0]
    source = qr.png_data_uri(scale=_PIXELS, border=4, dark="black", light="white")
    # a background, since sanitisers turn <img> into thousands of characters of text
    style = f"width:{side}px;{_QR};margin-bottom:8px;background:url({source}) center/contain no-repeat"
    return f'<div role="img" aria-label="{escape(label)}" style="{style}"></div>'
