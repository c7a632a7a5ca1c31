"""What a pool's worker does, in a module that a spawned process can import."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import hercle_nb as hercle

if TYPE_CHECKING:
    from hercle_nb.errors import HercleError

SENT = datetime(2026, 12, 1, 12, tzinfo=UTC)


def fail(error: HercleError) -> None:
    """Raise what was handed over."""
    raise error


def unanswered(client_id: str) -> Any:
    """Create an invoice that the hub never answers."""
    with hercle.connect("simulator") as hub:
        hub.simulator.faults.noReply = True
        return hub.create_invoice(0.001, "Tea", client_id=client_id, timeout=0.3)


def refused(client_id: str) -> Any:
    """Create an invoice that the hub refuses."""
    with hercle.connect("simulator") as hub:
        hub.simulator.faults.errorSubject = "execution.invoice.error"
        return hub.create_invoice(0.001, "Tea", client_id=client_id)


def created(client_id: str) -> Any:
    """Create an invoice."""
    with hercle.connect("simulator") as hub:
        return hub.create_invoice(0.001, "Tea", 24, client_id=client_id)


def bring_back_a_hub(_: str) -> Any:
    """Connect, and return what cannot be returned."""
    with hercle.connect("simulator") as hub:
        return hub
