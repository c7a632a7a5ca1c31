"""The invoices of a hub as a table shows them: created here or elsewhere, refused and unknown ones too."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Any, TypeAlias

from hercle_nb import amounts
from hercle_nb.display import STATUS_ICONS, count
from hercle_nb.invoice_display import is_unread
from hercle_nb.invoices import Invoice
from hercle_nb.states import STATES, state_of_creation
from hercle_nb.widgets._event_rows import bounded
from hercle_nb.widgets._table import RING, Column, Row

if TYPE_CHECKING:
    from datetime import datetime

    from hercle_nb.calls import Call
    from hercle_nb.hub import Hub

Item: TypeAlias = "Invoice | Call"  # of a creation that came to no invoice, the call

ANY = "any"  # in place of an amount that the payer chooses
COLUMNS = [
    Column("number", "No.", kind="number", width="4.5em"),
    Column(
        "status",
        "State",
        width="8em",
        filter="choice",
        labels={state: f"{STATUS_ICONS[state]} {state}" for state in STATES},
    ),
    Column("amount_btc", "BTC", kind="amount", width="8em", labels={ANY: "any amount"}),
    Column("amount_sat", "sat", kind="amount", width="7.5em", filter="range", unit="sat"),
    Column("asked_sat", "Asked (sat)", kind="amount", width="7.5em"),
    Column("memo", "Memo", width="15em"),
    Column("created_at", "Created (UTC)", kind="moment", width="13.5em", filter="days", unit="UTC"),
    Column("expires_at", "Expires (UTC)", kind="moment", width="13.5em"),
    Column("updated_at", "Updated (UTC)", kind="moment", width="13.5em"),
    Column("client_id", "ClientId", width="10em"),
    Column("id", "Hub id", width="10em"),
    Column("payment_hash", "Payment hash", width="10em"),
]
NEWEST_FIRST = 6  # the column to sort by

_LONGEST = 300  # characters of a text
_PIECE = 200  # rows at a time
_LOOK = 0.5  # seconds between two looks at all invoices


class InvoiceRows:
    """The invoices of a hub, each under a number of its own; a `Source`. It keeps the hub alive.

    Args:
        hub: The hub.

    Attributes:
        notice: What the table is to say besides.
        pressed: Which of the table's actions are.
    """

    def __init__(self, hub: Hub) -> None:
        self.notice = ""
        self.pressed: dict[str, bool] = {}
        self._hub = hub
        self._numbers: dict[str, int] = {}  # of ClientIds and payment hashes
        self._next = 1
        self._known: dict[int, tuple[Item, str, Row]] = {}
        self._changed: dict[int, None] = {}
        self._looked_at = 0.0
        self._lock = threading.Lock()  # a cell shows the last state on another thread
        self._look()

    def item(self, number: Any) -> Item | None:
        """The invoice of that number, or the call that came to none."""
        known = self._known.get(number) if isinstance(number, int) else None
        return None if known is None else known[0]

    def latest(self, count: int = RING) -> list[Row]:
        """The rows of the last invoices, at most so many."""
        with self._lock:
            self._look()
            return [row for _, _, row in list(self._known.values())[-count:]]

    def begin(self) -> None:
        """Let `fresh` go on from what there is now."""
        with self._lock:
            self._look()
            self._changed.clear()

    def fresh(self) -> tuple[list[Row], int]:
        """Rows that have changed, and a key alone for one that is gone; none is ever left out."""
        with self._lock:
            if time.monotonic() - self._looked_at >= _LOOK:
                self._look()
            numbers = list(self._changed)[:_PIECE]
            for number in numbers:
                del self._changed[number]
            return [self._known[number][2] if number in self._known else [number] for number in numbers], 0

    def state(self) -> dict[str, Any]:
        """The hub's state, how many invoices there are, and how old the hub's list is."""
        hub = self._hub
        total = len(self._known)
        shown = f"the last {RING:,} of {total:,} invoices" if total > RING else count(total, "invoice")
        asked_at = hub._core.lists.asked_at
        looked = "the hub's list was not asked for yet"
        if asked_at is not None:
            looked = f"the hub's list as of {asked_at:%H:%M:%S} UTC"
        return {
            "state": hub.state,
            "reason": hub._last_error() or "",
            "notes": [hub.environment, shown, looked],
            "notice": self.notice,
            "pressed": self.pressed,
        }

    def ended(self) -> bool:
        """Whether nothing can change any more; an invoice can expire after its hub was closed."""
        return False

    def _look(self) -> None:
        """Find what has changed since the look before."""
        self._looked_at = time.monotonic()
        book = self._hub._core.book
        seen: set[int] = set()
        items: list[Item] = [*book.invoices(), *book.without_invoice()]
        for item in items:
            number = self._number(item, seen)
            seen.add(number)
            status = _status(item)
            known = self._known.get(number)
            if known is None or known[0] is not item or known[1] != status:
                self._known[number] = item, status, _row(number, item, status)
                self._changed[number] = None
        for number in self._known.keys() - seen:
            del self._known[number]
            self._changed[number] = None

    def _number(self, item: Item, taken: set[int]) -> int:
        """An item's number: the one it had by its ClientId or its payment hash, else a new one."""
        names = [f"c {item.client_id}"] if item.client_id else []
        if isinstance(item, Invoice):
            names.append(f"h {item.payment_hash or item.id or item.payment_request}")
        had = (self._numbers.get(name) for name in names)
        number = next((number for number in had if number is not None and number not in taken), None)
        if number is None:
            number = self._next
            self._next += 1
        for name in names:
            if self._numbers.setdefault(name, number) in taken:  # two invoices may have one payment hash
                self._numbers[name] = number
        return number


def _status(item: Item) -> str:
    if isinstance(item, Invoice):
        return item.status
    return state_of_creation(refused=item.rejection is not None)


def _row(number: int, item: Item, status: str) -> Row:
    asked = item if isinstance(item, Invoice) else item.request
    msat = None if asked is None else asked.amount_msat
    invoice = item if isinstance(item, Invoice) else None
    by_payer = invoice is not None and not is_unread(invoice)
    return [
        number,
        status,
        _btc(msat) if msat is not None else ANY if by_payer else None,
        None if msat is None else _sat(msat),
        None if invoice is None or invoice.asked_msat is None else _sat(invoice.asked_msat),
        bounded(None if asked is None else asked.memo, _LONGEST),
        _iso(item.created_at if isinstance(item, Invoice) else item.sent_at),
        _iso(None if invoice is None else invoice.expires_at),
        _iso(None if invoice is None else invoice.updated_at),
        bounded(item.client_id, _LONGEST),
        bounded(None if invoice is None else invoice.id, _LONGEST),
        bounded(None if invoice is None else invoice.payment_hash, _LONGEST),
    ]


def _btc(msat: int) -> str:
    whole, fraction = divmod(msat, amounts.MSAT_PER_BTC)
    places = f"{fraction:011d}"
    return f"{whole}.{places[:8]}{places[8:].rstrip('0')}"


def _sat(msat: int) -> str:
    sat, fraction = divmod(msat, amounts.MSAT_PER_SAT)
    return f"{sat}.{fraction:03d}".rstrip("0") if fraction else str(sat)


def _iso(moment: datetime | None) -> str | None:
    return None if moment is None else moment.isoformat(timespec="seconds")
