"""The pieces that cards are made of, and how a hub shows itself: as text, and as HTML.

The HTML needs no script and no network. Styles are inline and take their colours from the page, so that it
reads in light and dark alike. It is made of elements that sanitisers let pass (nbconvert's takes tables,
`<img>` and `<bdi>` apart), and says the same without its styles.

Everything from outside goes through `visible`, and through `outside` or `warning` on its way into HTML.
"""

from __future__ import annotations

import unicodedata
from html import escape
from typing import TYPE_CHECKING

from hercle_nb import amounts

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from datetime import datetime

    from hercle_nb._face import Face

STATUS_ICONS = {
    "open": "◷",
    "paid": "✓",
    "expired": "⊘",
    "closed": "■",
    "rejected": "✗",
    "unknown": "?",
    "connecting": "…",
    "connected": "●",
    "reconnecting": "↻",
}
NETWORKS = {"bc": "mainnet", "tb": "testnet", "tbs": "signet", "bcrt": "regtest"}

MOST_CHARACTERS = 1_000  # of one text from outside; a memo has 639 at most
_MOST_ACCENTS = 4  # on one letter: more than any script stacks, few enough not to cover the lines above

_CARD = (
    "border:1px solid rgba(128,128,128,.5);border-radius:6px;padding:12px 16px;max-width:840px;"
    "font-family:system-ui,sans-serif;font-size:14px;line-height:1.5;overflow-wrap:anywhere"
)
_FACTS = "list-style:none;margin:0;padding:0;flex:1 1 300px;min-width:0"
_FACT = "display:flex;flex-wrap:wrap;margin:0 0 2px"
_NAME = "font-weight:normal;opacity:.75;flex:0 0 8.5em;padding-right:8px"
_VALUE = "flex:1 1 12em;min-width:0"
_CODE = "font-size:12px;background:none;padding:0;color:inherit;white-space:pre-wrap;word-break:break-all"
_WARNING = "border-left:4px solid #c62828;padding:4px 10px;margin:8px 0;font-weight:600"
_SIMULATED = "This is the embedded simulator: its invoices are on regtest and nobody can pay them."

# Unicode's categories
_INVISIBLE = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})  # controls, formats, surrogates, line ends
_ACCENTS = frozenset({"Mn", "Me"})
_EMOJI = frozenset({"So", "Sk"})  # and the tones of skin
_JOINER = "\u200d"
# what else has no shape (Default_Ignorable_Code_Point), and the blank of Braille; not U+FE0E and U+FE0F,
# which choose between the two shapes of an emoji
_BLANK = frozenset(
    {0x034F, 0x115F, 0x1160, 0x17B4, 0x17B5, 0x2065, 0x2800, 0x3164, 0xFFA0}
    | {*range(0x180B, 0x1810), *range(0xFE00, 0xFE0E), *range(0xFFF0, 0xFFF9), *range(0xE0000, 0xE1000)}
)


def hub_text(hub: Face) -> str:
    """A hub in two or three lines: where, how it is, what it has seen."""
    lines = [f"Hercle hub, {hub.environment}: {hub.state}, {hub.url}", f"  {_counts(hub)}"]
    if place := _place_of_the_journal(hub):
        lines.append(f"  Journal: {visible(place)}")
    lines += [f"  {text}" for text in _of_the_journal(hub)]
    if hub.environment == "simulator":
        lines.append(f"  {_SIMULATED}")
    if error := hub.stats["last_error"]:
        lines.append(f"  {visible(error)}")
    return "\n".join(lines)


def hub_card(hub: Face) -> str:
    """A hub as an HTML card."""
    error, place = hub.stats["last_error"], _place_of_the_journal(hub)
    return card(
        heading("Hercle hub", hub.environment),
        line(f"{STATUS_ICONS[hub.state]} {hub.state}"),
        warnings([error] if error else []),
        facts({"URL": code(hub.url), "So far": _counts(hub)} | ({"Journal": code(place)} if place else {})),
        *map(line, _of_the_journal(hub)),
        line(_SIMULATED) if hub.environment == "simulator" else "",
    )


def visible(text: str, most: int = MOST_CHARACTERS) -> str:
    """A text from outside on one line of bounded length; what cannot be seen becomes a mark, as ⟨U+202E⟩."""
    shown, accents = [], 0
    for place, letter in enumerate(text[:most]):
        category = unicodedata.category(letter)
        if letter == _JOINER and _joins(text, place):
            shown.append(letter)
            continue
        accents = accents + 1 if category in _ACCENTS else 0
        hidden = category in _INVISIBLE or ord(letter) in _BLANK or accents > _MOST_ACCENTS
        shown.append(f"⟨U+{ord(letter):04X}⟩" if hidden else letter)
    rest = f"… ({len(text):,} characters)" if len(text) > most else ""
    return "".join(shown) + rest


def _joins(text: str, place: int) -> bool:
    """Whether a joiner stands between two emoji, which it makes one."""
    before, after = text[:place].rstrip("\ufe0f")[-1:], text[place + 1 : place + 2]
    return all(part and unicodedata.category(part) in _EMOJI for part in (before, after))


def outside(text: str) -> str:
    """A text from outside as HTML; it cannot change the direction of what surrounds it."""
    # what <bdi> does, by an element that sanitisers know
    return f'<span dir="auto" style="white-space:pre-wrap">{escape(visible(text))}</span>'


def code(text: str) -> str:
    """A key, hash, id or address as HTML."""
    return f'<code dir="auto" style="{_CODE}">{escape(visible(text))}</code>'


def time_text(time: datetime) -> str:
    """A moment in UTC, such as ``2026-11-24 12:00:00 UTC``."""
    return f"{time:%Y-%m-%d %H:%M:%S} UTC"


def amount_text(amount_msat: int | None) -> str:
    """An amount in both units, or that the payer chooses it."""
    if amount_msat is None:
        return "any amount"
    return f"{amounts.format_btc(amount_msat)} = {amounts.format_sat(amount_msat)}"


def amount_heading(amount_msat: int | None) -> str:
    """The same as the heading of a card."""
    if amount_msat is None:
        return heading("Any amount", "the payer chooses it")
    return heading(amounts.format_btc(amount_msat), amounts.format_sat(amount_msat))


def network_text(currency: str) -> str:
    """A network by name and by its code in payment requests."""
    return f"{NETWORKS[currency]} ({currency})"


def card(*pieces: str) -> str:
    """Pieces of HTML in a frame."""
    return f'<div style="{_CARD}">{"".join(pieces)}</div>'


def heading(text: str, more: str) -> str:
    """The first line of a card, and something quieter beside it."""
    return (
        f'<div><b style="font-size:20px;font-weight:600">{escape(text)}</b> '
        f'<span style="opacity:.75;white-space:nowrap">{escape(more)}</span></div>'
    )


def line(text: str) -> str:
    """A text of our own on a line of its own."""
    return f"<div>{escape(text)}</div>"


def warnings(texts: Iterable[str]) -> str:
    """Sentences that must not be overlooked, a box each."""
    boxes = (f'<div role="alert" style="{_WARNING}">⚠ {escape(visible(text))}</div>' for text in texts)
    return "".join(boxes)


def facts(rows: Mapping[str, str]) -> str:
    """Names and their values, which are HTML."""
    items = (
        f'<li style="{_FACT}"><b style="{_NAME}">{name}</b> <span style="{_VALUE}">{value}</span></li>'
        for name, value in rows.items()
    )
    return f'<ul style="{_FACTS}">{"".join(items)}</ul>'


def beside(*pieces: str) -> str:
    """Pieces of HTML side by side where there is room, else one below the other."""
    return f'<div style="display:flex;flex-wrap:wrap;gap:16px;margin:8px 0">{"".join(pieces)}</div>'


def whole_request(html: str) -> str:
    """A payment request, which is HTML, in a block that one click selects as a whole."""
    style = f"{_CODE};display:block;user-select:all;-webkit-user-select:all"
    return f'<div style="opacity:.75">Payment request</div><code style="{style}">{html}</code>'


def few(texts: Iterable[str], most: int) -> list[str]:
    """The first of many texts, and how many others there are."""
    every = list(texts)
    return every if len(every) <= most else [*every[:most], f"and {len(every) - most:,} others"]


def count(number: int, noun: str) -> str:
    """A number of things, in the singular or the plural."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def _counts(hub: Face) -> str:
    stats = hub.stats
    made = list(hub._core.book.creations.values())
    invoices = sum(call.invoice is not None and not call.remembered for call in made)
    more = f", {stats['events_dropped']:,} older rows evicted" if stats["events_dropped"] else ""
    if stats["callback_drops"]:
        more += f", {stats['callback_drops']:,} evicted before slow callbacks saw them"
    if unresolved := len(hub._core.book.unresolved()):
        more = f", {unresolved:,} of unknown outcome (see hub.unresolved){more}"
    return f"{count(stats['events'], 'event')}, {count(invoices, 'invoice')} created{more}"


def _place_of_the_journal(hub: Face) -> str:
    """Where commands and answers are kept; empty where they are not."""
    journal = hub._core.memory.journal
    return "" if journal is None else str(journal.place)


def _of_the_journal(hub: Face) -> list[str]:
    """What earlier kernels left open, and what is wrong, a line each."""
    memory = hub._core.memory
    if memory.journal is None:
        return [] if hub.environment == "simulator" else ["No journal: when this kernel ends, it forgets."]
    return [text for text in (memory.report, memory.trouble) if text]
