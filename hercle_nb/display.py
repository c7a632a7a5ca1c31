"""How hubs and invoices show themselves: as text, and as HTML that needs no script and no network.

Everything from outside is escaped. Styles are inline and take their colours from the page, so they read in
light and dark alike.
"""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING

from hercle_nb import amounts
from hercle_nb.errors import InvalidRequest

if TYPE_CHECKING:
    from datetime import datetime

    from hercle_nb._face import Face
    from hercle_nb.invoices import Invoice

STATUS_ICONS = {
    "open": "◷",
    "paid": "✓",
    "expired": "⌛",
    "closed": "■",
    "rejected": "✗",
    "unknown": "?",
    "connecting": "…",
    "connected": "●",
    "reconnecting": "↻",
}

_CARD = (
    "border:1px solid rgba(128,128,128,.5);border-radius:6px;padding:12px 16px;max-width:720px;"
    "font-family:system-ui,sans-serif;font-size:14px;line-height:1.5;overflow-wrap:anywhere"
)
_QUIET = (
    "opacity:.75;padding:1px 12px 1px 0;vertical-align:top;white-space:nowrap;text-align:left;"
    "font-weight:normal"
)
_WARNING = "border-left:4px solid #c62828;padding:4px 10px;margin:8px 0;font-weight:600"
_SIMULATED = "This is the embedded simulator: its invoices are on regtest and nobody can pay them."


def invoice_text(invoice: Invoice) -> str:
    """An invoice in three lines, and one for each warning."""
    reused = ", known already and not sent again" if invoice.reused else ""
    memo = "no memo" if invoice.memo is None else repr(invoice.memo)
    lines = [
        f"Invoice {_line(invoice.client_id or invoice.id)} ({invoice.status}{reused}): "
        f"{_btc(invoice)} = {_sat(invoice)}, {memo}",
        f"  expires {_time(invoice.expires_at)}, hub id {_line(invoice.id)}",
        f"  {_line(invoice.payment_request)}",
        *(f"  WARNING: {warning}" for warning in invoice.warnings),
    ]
    return "\n".join(lines)


def invoice_card(invoice: Invoice) -> str:
    """An invoice as an HTML card; with a QR code while it can be paid."""
    rows = {
        "Memo": "<em>none</em>" if invoice.memo is None else f"<bdi>{escape(invoice.memo)}</bdi>",
        "Expires": f"{_time(invoice.expires_at)}{_asked(invoice)}",
        "Created": _time(invoice.created_at),
        "ClientId": _code(invoice.client_id or "created elsewhere"),
        "Hub id": _code(invoice.id),
    }
    if invoice.payment_hash:
        rows["Payment hash"] = _code(invoice.payment_hash)
    if invoice.preimage:
        rows["Preimage"] = _code(invoice.preimage)
    note = " · known already, not sent again" if invoice.reused else ""
    return (
        f'<div style="{_CARD}">'
        f'<div><span style="font-size:20px;font-weight:600">{_btc(invoice)}</span> '
        f'<span style="opacity:.75">{_sat(invoice)}</span></div>'
        f"<div>{STATUS_ICONS[invoice.status]} {invoice.status}{note}</div>"
        f"{''.join(_warning(text) for text in invoice.warnings)}"
        f"{_qr_image(invoice)}"
        f"{_table(rows)}"
        f'<div style="opacity:.75">Payment request</div>'
        f'<div style="font-family:monospace;font-size:12px;word-break:break-all;user-select:all;'
        f'-webkit-user-select:all">{escape(invoice.payment_request)}</div>'
        "</div>"
    )


def hub_text(hub: Face) -> str:
    """A hub in two or three lines: where, how it is, what it has seen."""
    lines = [f"Hercle hub, {hub.environment}: {hub.state}, {hub.url}", f"  {_counts(hub)}"]
    if hub.environment == "simulator":
        lines.append(f"  {_SIMULATED}")
    if error := hub.stats["last_error"]:
        lines.append(f"  {error}")
    return "\n".join(lines)


def hub_card(hub: Face) -> str:
    """A hub as an HTML card."""
    notes = [_SIMULATED] if hub.environment == "simulator" else []
    error = hub.stats["last_error"]
    return (
        f'<div style="{_CARD}">'
        f'<div><span style="font-size:16px;font-weight:600">Hercle hub</span> {escape(hub.environment)}</div>'
        f"<div>{STATUS_ICONS[hub.state]} {hub.state}</div>"
        f"{_warning(error) if error else ''}"
        f"{_table({'URL': _code(hub.url), 'So far': _counts(hub)})}"
        f"{''.join(f'<div>{escape(note)}</div>' for note in notes)}"
        "</div>"
    )


def _btc(invoice: Invoice) -> str:
    return "any amount" if invoice.amount_msat is None else amounts.format_btc(invoice.amount_msat)


def _sat(invoice: Invoice) -> str:
    return "any amount" if invoice.amount_msat is None else amounts.format_sat(invoice.amount_msat)


def _counts(hub: Face) -> str:
    stats = hub.stats
    invoices = sum(call.invoice is not None for call in list(hub._core.creations.values()))
    dropped = f", {stats['events_dropped']:,} older rows evicted" if stats["events_dropped"] else ""
    if stats["callback_drops"]:
        dropped += f", {stats['callback_drops']:,} evicted before slow callbacks saw them"
    journal = "" if hub.environment == "simulator" else ", no journal"
    return f"{_count(stats['events'], 'event')}, {_count(invoices, 'invoice')} created{dropped}{journal}"


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def _time(time: datetime) -> str:
    return f"{time:%Y-%m-%d %H:%M:%S} UTC"


def _asked(invoice: Invoice) -> str:
    return " (24 h, the hub's default)" if invoice.expiry_hours is None else f" ({invoice.expiry_hours} h)"


def _line(text: str) -> str:
    """A text of the hub's on one line; its repr if it holds line ends or other invisible characters."""
    return text if text.isprintable() else repr(text)


def _code(text: str) -> str:
    return f'<code style="font-size:12px;background:none;padding:0">{escape(text)}</code>'


def _warning(text: str) -> str:
    return f'<div role="alert" style="{_WARNING}">⚠ {escape(text)}</div>'


def _table(rows: dict[str, str]) -> str:
    body = "".join(
        f'<tr style="background:none"><th scope="row" style="{_QUIET}">{name}</th>'
        f'<td style="padding:1px 0;text-align:left">{value}</td></tr>'
        for name, value in rows.items()
    )
    return f'<table style="border:0;border-collapse:collapse;margin:8px 0;font-size:14px">{body}</table>'


def _qr_image(invoice: Invoice) -> str:
    """The QR code, black on white in any theme, while the invoice can be paid and nothing is amiss."""
    try:
        code = invoice.qr()
    except InvalidRequest:
        return ""
    alt = f"QR code to pay {_btc(invoice)}, valid until {_time(invoice.expires_at)}"
    source = code.png_data_uri(scale=4, border=4, dark="black", light="white")
    image = f'<img role="img" alt="{escape(alt)}" src="{source}" style="max-width:100%">'
    return f'<div style="margin:8px 0">{image}</div>'
