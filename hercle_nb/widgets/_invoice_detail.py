"""All there is about one invoice: its card, its payment request taken apart, its events and its raw JSON."""

from __future__ import annotations

import asyncio
import re
from collections import deque
from html import escape
from typing import TYPE_CHECKING, Any

import ipywidgets

from hercle_nb._log_table import json_text
from hercle_nb.display import amount_heading, card, code, facts, line, time_text, visible, warnings
from hercle_nb.errors import HercleError
from hercle_nb.invoices import Invoice
from hercle_nb.widgets import _interface
from hercle_nb.widgets._box import Box
from hercle_nb.widgets.card import InvoiceCard

if TYPE_CHECKING:
    from concurrent.futures import Future

    from hercle_nb.calls import Call
    from hercle_nb.events import HubEvent
    from hercle_nb.hub import Hub
    from hercle_nb.log import EventLog
    from hercle_nb.widgets._invoice_rows import Item

_SHOWN = 50  # events
_BATCH = 4_096  # rows looked at at a time
_AROUND = 2_000  # characters of a long message before and after the first mention
_PRE = (
    "white-space:pre-wrap;overflow-wrap:anywhere;max-height:300px;overflow:auto;margin:4px 0;padding:8px;"
    "font-size:12px;background:none;color:inherit;border:1px solid rgba(128,128,128,.5)"
)
_PIECES = re.compile(r'"(?:[^"\\]|\\.)*"?|[{}\[\],:]|\s+|[^"{}\[\],:\s]+', re.DOTALL)


class InvoiceDetail(Box):
    """What the inspector shows of the invoice that was chosen.

    Args:
        hub: The hub that knows it; kept alive until `close`.
        item: The invoice, or the call of a creation that came to none.
        plain: Use ipywidgets alone.
    """

    def __init__(self, hub: Hub, item: Item, *, plain: bool) -> None:
        if isinstance(item, Invoice):
            top: Any = InvoiceCard(hub, item, plain=plain)
            parts = (
                []
                if item.decoded is None
                else [_part("Payment request taken apart", item.decoded._repr_html_())]
            )
            listed = hub._core.book.listed(item)
            told = "The hub's list has not shown it so far; Refresh asks for it."
            raw = f"<p>{told}</p>" if listed is None else json_html(json_text(listed))
            parts.append(_part("Raw JSON", raw))
        else:
            top = ipywidgets.HTML(_creation_card(item))
            parts = []
        self._events = ipywidgets.HTML(_part("Events", "<p>Looking…</p>"))
        super().__init__([top, ipywidgets.HTML("".join(parts)), self._events])
        self.add_class("hn-detail-box")
        self._needles = needles(item)
        search = asyncio.to_thread(mentions, hub.log, self._needles, item.client_id)
        try:
            found, _ = hub._portal.submit(search)
        except HercleError:  # the hub is closed, and so is its thread; the log is there
            _interface.post(lambda: self._show(*mentions(hub.log, self._needles, item.client_id)))
        else:
            _interface.when_done(found, self._found)

    def _found(self, done: Future[tuple[list[HubEvent], int]]) -> None:
        self._show(*done.result())

    def _show(self, events: list[HubEvent], total: int) -> None:
        newest = f", the newest {_SHOWN}" if total > _SHOWN else ""
        items = "".join(_event(event, self._needles) for event in reversed(events))
        self._events.value = _part(f"Events that mention it ({total:,}{newest})", items or "<p>None.</p>")


def needles(item: Item) -> list[str]:
    """What an event holds that mentions an invoice, besides its ClientId."""
    if not isinstance(item, Invoice):
        return []
    texts = (item.id, item.payment_hash, item.payment_request)
    return [text for text in texts if text]


def mentions(log: EventLog, texts: list[str], client_id: str | None) -> tuple[list[HubEvent], int]:
    """The last events that mention one of these texts or carry that ClientId, and how many do in all."""
    wanted = tuple(text.encode() for text in [*texts, *filter(None, [client_id])])
    found: deque[HubEvent] = deque(maxlen=_SHOWN)
    total, place, end = 0, log.evicted, log.next_seq
    while wanted and place < end:
        events, _, after = log.read(place, _BATCH, wanted)
        for event in events:
            raw = event.raw or ""
            if any(text in raw for text in texts) or (client_id and event.client_id == client_id):
                found.append(event)
                total += 1
        if after == place:
            break
        place = after
    return list(found), total


def laid_out(text: str) -> str:
    """A JSON text laid out by its own characters: a number stays digit for digit, half a text is no error."""
    depth, shown = 0, []
    pieces = [piece for piece in _PIECES.findall(text) if piece.strip()]
    for place, piece in enumerate(pieces):
        before, after = pieces[place - 1 : place], pieces[place + 1 : place + 2]
        if piece in "{[":
            depth += 1
            empty = bool(after) and after[0] in "}]"
            shown.append(piece if empty else f"{piece}\n{'  ' * depth}")
        elif piece in "}]":
            depth = max(0, depth - 1)
            empty = bool(before) and before[0] in "{["
            shown.append(piece if empty else f"\n{'  ' * depth}{piece}")
        else:
            shown.append({",": f",\n{'  ' * depth}", ":": ": "}.get(piece) or visible(piece, len(piece)))
    return "".join(shown)


def _part(title: str, html: str) -> str:
    """Something that opens by a click or a key; JupyterLab is not to take that key."""
    return (
        '<details style="margin:4px 2px"><summary data-lm-suppress-shortcuts="true" '
        f'style="cursor:pointer;font-weight:600">{escape(title)}</summary>{html}</details>'
    )


def json_html(text: str) -> str:
    label = 'tabindex="0" role="group" aria-label="JSON" data-lm-suppress-shortcuts="true"'
    return f'<pre {label} style="{_PRE}">{escape(laid_out(text))}</pre>'


def _event(event: HubEvent, texts: list[str]) -> str:
    raw = event.raw or ""
    if len(raw) > 2 * _AROUND:  # the hub's list, say: not thousands of other invoices
        place = min((at for text in texts if (at := raw.find(text)) >= 0), default=0)
        begin, end = max(0, place - _AROUND), place + _AROUND
        more = f"… the whole of it is hub.log.event({event.seq}).raw"
        raw = f"{'… ' if begin else ''}{raw[begin:end]}{more if end < len(raw) else ''}"
    name = event.subject or event.target or event.type or "event"
    return _part(visible(f"Row {event.seq} · {event.received_at:%H:%M:%S.%f} · {name}"), json_html(raw))


def _creation_card(call: Call) -> str:
    """A creation that came to no invoice."""
    request, rejection = call.request, call.rejection
    refused = rejection is not None
    icon = "✗ rejected" if refused else "? unknown: it may or may not have been carried out"
    said = (
        str(rejection)
        if refused
        else "Nothing is sent again by itself. Refresh looks for it in the hub's list."
    )
    known = {"ClientId": code(call.client_id or "")}
    if request is not None:
        known["Memo"] = "<em>none</em>" if request.memo is None else escape(visible(request.memo))
    if call.sent_at is not None:
        known["Sent"] = time_text(call.sent_at)
    return card(
        amount_heading(None if request is None else request.amount_msat),
        line(icon),
        warnings([said]) if refused else line(said),
        facts(known),
    )
