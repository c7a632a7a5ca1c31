"""All there is about one invoice: its card, its payment request decoded, its events and its raw JSON."""

from __future__ import annotations

import asyncio
import re
from collections import deque
from html import escape
from typing import TYPE_CHECKING, Any

import ipywidgets
import traitlets

from hercle_nb._log_table import json_text
from hercle_nb.display import amount_heading, card, code, facts, line, time_text, visible, warnings
from hercle_nb.errors import HercleError
from hercle_nb.invoices import Invoice
from hercle_nb.listed import verified
from hercle_nb.payment_request_display import payment_request_card
from hercle_nb.widgets import _interface
from hercle_nb.widgets._box import Box
from hercle_nb.widgets._frontend import LiveWidget
from hercle_nb.widgets.card import InvoiceCard

if TYPE_CHECKING:
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
    "font:12px/1.4 var(--jp-code-font-family,monospace);background:none;color:inherit;"
    "border:1px solid rgba(128,128,128,.5)"
)
_PIECES = re.compile(r'"(?:[^"\\]|\\.)*"?|[{}\[\],:]|\s+|[^"{}\[\],:\s]+(?:\s+[^"{}\[\],:\s]+)*', re.DOTALL)


class InvoiceDetail(Box):
    """What the inspector shows of the invoice that was chosen, and what becomes of it.

    Args:
        hub: The hub that knows it; kept alive until `close`.
        item: The invoice, or the call of a creation that came to none.
        plain: Use ipywidgets alone.

    Attributes:
        item: What is shown.
    """

    def __init__(self, hub: Hub, item: Item, *, plain: bool) -> None:
        self.item = item
        self._hub: Hub | None = hub  # until it is closed
        self._decoded = Section("Decoded payment request", plain=plain)
        self._raw = Section("Raw JSON", plain=plain)
        self._events = Section("Events", plain=plain)
        if isinstance(item, Invoice):
            top: Any = InvoiceCard(hub, verified(item), plain=plain)
            sections = [self._raw, self._events]
            if verified(item).decoded is not None:
                sections.insert(0, self._decoded)
        else:
            top, sections = ipywidgets.HTML(_creation_card(item)), [self._events]
        super().__init__([top, *sections])
        self.add_class("hn-detail-box")
        self.follow(item)

    def follow(self, item: Item) -> None:
        """Show what is known of it now; what is opened stays open."""
        hub = self._hub
        if hub is None:
            return
        self.item = item
        if isinstance(item, Invoice):
            invoice = verified(item)
            if invoice.decoded is not None:
                note = "<p>It is paid, so nobody is to pay this again.</p>" if invoice.paid else ""
                decoded = payment_request_card(invoice.decoded, invoice.clock_ahead)
                self._decoded.show("Decoded payment request", f"{note}{decoded}")
            listed = hub._core.book.listed(item)
            told = "The hub's list has not shown it so far; Refresh asks for it."
            self._raw.show("Raw JSON", f"<p>{told}</p>" if listed is None else json_html(json_text(listed)))
        self.look_for_events()

    def look_for_events(self) -> None:
        """Look for the events that mention it; never waits."""
        hub, texts, client_id = self._hub, needles(self.item), self.item.client_id
        if hub is None:
            return
        try:
            found, _ = hub._portal.submit(asyncio.to_thread(mentions, hub.log, texts, client_id))
        except HercleError:  # the hub is closed, and so is its thread; the log is there
            _interface.post(lambda: self._show(texts, *mentions(hub.log, texts, client_id)), self._fail)
        else:
            _interface.when_done(found, lambda done: self._show(texts, *done.result()), self._fail)

    def close(self) -> None:
        """Go, and let the hub go; does nothing the second time."""
        self._hub = None
        super().close()

    def _fail(self, error: Exception) -> None:
        words = str(error) if isinstance(error, HercleError) else f"{type(error).__name__}: {error}"
        self._events.show("Events", warnings([words]))

    def _show(self, texts: list[str], events: list[HubEvent], total: int) -> None:
        newest = f", the newest {_SHOWN}" if total > _SHOWN else ""
        items = "".join(_event(event, texts) for event in reversed(events))
        self._events.show(f"Events that mention it ({total:,}{newest})", items or "<p>None.</p>")


class Section(Box):
    """Something that opens by a click or a key, and stays open while it changes; plain it does not.

    Args:
        title: What it is called.
        plain: Use ipywidgets alone.
    """

    def __init__(self, title: str, *, plain: bool) -> None:
        self._fold = None if plain else Fold(title)
        self._html = ipywidgets.HTML("<p>Looking…</p>")
        super().__init__([self._html] if self._fold is None else [self._fold, self._html])

    def show(self, title: str, html: str) -> None:
        """Show something else."""
        if self._fold is None:
            html = _part(title, html)
        else:
            self._fold.title = title
        if self._html.value != html:
            self._html.value = html


class Fold(LiveWidget):
    """A button that shows and hides the widget after it in its box; see the face ``fold``.

    Attributes:
        title: What it says.
    """

    title = traitlets.Unicode().tag(sync=True)

    def __init__(self, title: str) -> None:
        super().__init__(face="fold", title=title)


def needles(item: Item) -> list[str]:
    """What an event holds that mentions an invoice, besides its ClientId."""
    if not isinstance(item, Invoice):
        return []
    whole_id = f'"{item.id}"' if item.id else None  # else inv_1 would be in each message about inv_10
    texts = (whole_id, item.payment_hash, item.payment_request)
    return [text for text in texts if text]


def mentions(log: EventLog, texts: list[str], client_id: str | None) -> tuple[list[HubEvent], int]:
    """The last events that mention one of these texts or carry that ClientId, and how many do in all."""
    names = [*(text.strip('"') for text in texts), *filter(None, [client_id])]
    wanted = tuple(name.encode(errors="surrogatepass") for name in names)
    found: deque[HubEvent] = deque(maxlen=_SHOWN)
    total, place, end = 0, log.evicted, log.next_seq
    while wanted and place < end:
        events, _, after = log.read(place, _BATCH, wanted)
        for event in events:
            raw = (event.raw or "").replace('\\"', '"')  # of data that is a text of JSON
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
        begin = max(begin, raw.rfind("{", begin, place))  # begins with an object rather than within a text
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
