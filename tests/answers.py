"""A request for an invoice and the answers to it, with whatever a test wants to be different."""

from __future__ import annotations

import hashlib
import json
import uuid
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from hercle_nb.bolt11_encode import encode_payment_request
from hercle_nb.invoice_request import InvoiceRequest
from hercle_nb.invoices import Invoice, read_answer

PREIMAGE = bytes(range(32))
NOW = datetime.now(UTC).replace(microsecond=0)


def id_of_0_1(*parts: object) -> str:
    """The ClientId that version 0.1 made of these parts, of which the bare texts counted."""
    namespace = uuid.UUID("6f0e4c1e-6f58-5f0b-9f0c-0d6f7c1f5a11")
    return str(uuid.uuid5(namespace, json.dumps([str(part) for part in parts])))


def ask(**changes: Any) -> InvoiceRequest:
    """Return the command page's example with some arguments changed."""
    example = {"amount_btc": 0.001, "memo": "Payment for services", "expiry_hours": 24}
    return InvoiceRequest(**({"client_id": "my-invoice-123", **example} | changes))


def pay_to(**changes: Any) -> str:
    """Return a payment request that fits `ask`, with some arguments changed."""
    arguments: dict[str, Any] = {
        "currency": "bcrt",
        "amount_msat": 100_000_000,
        "timestamp": int(NOW.timestamp()),
        "payment_hash": hashlib.sha256(PREIMAGE).digest(),
        "payment_secret": bytes(32),
        "description": "Payment for services",
        "expiry": 86_400,
        "private_key": 7,
    }
    return encode_payment_request(**(arguments | changes))


def answer(request: InvoiceRequest | None = None, **changes: Any) -> Invoice:
    """Return the invoice that an answer with some fields changed makes; None leaves a field out."""
    data = {
        "httpStatusCode": 201,
        "id": "inv_1",
        "message": "created",
        "encodedPaymentRequest": pay_to(),
        **changes,
    }
    data = {key: value for key, value in data.items() if value is not None}
    return read_answer(request or ask(), data, NOW, "")


def foreign(memo: str, **changes: Any) -> Invoice:
    """Return an invoice made elsewhere, open and with any memo, with some attributes changed."""
    made = answer(encodedPaymentRequest=pay_to(description=memo))
    unasked: dict[str, Any] = {"client_id": None, "expiry_hours": None, "warnings": (), "alarm": False}
    return replace(made, **(unasked | {"memo": memo} | changes))
