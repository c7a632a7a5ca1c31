"""What the simulated hub knows: its invoices, its connections, its faults, and what it has seen."""

from __future__ import annotations

import asyncio
import hmac
import secrets
import uuid
from collections import deque
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import TYPE_CHECKING, Any

from hercle_nb.bolt11_encode import encode_payment_request
from hercle_nb.simulator import wire
from hercle_nb.simulator.faults import Faults

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable
    from decimal import Decimal

    from hercle_nb.simulator.connection import Connection

_KEPT = 20_000  # messages remembered as text
_COUNTED = 100_000  # requests and invocations remembered
FIRST_ACCOUNT = "user_1"
_BREATH = 100  # messages pushed before the loop gets to do something else


def iso(moment: datetime) -> str:
    """Write a time as the hub does: UTC, to the millisecond."""
    return f"{moment.astimezone(UTC):%Y-%m-%dT%H:%M:%S}.{moment.microsecond // 1000:03d}Z"


def without_user_id(fields: dict[str, Any]) -> dict[str, Any]:
    """Leave out whose it is."""
    return {name: value for name, value in fields.items() if name != "userId"}


@dataclass
class StoredInvoice:
    """An invoice as the snapshot shows it, and the preimage that it does not show yet."""

    fields: dict[str, Any]
    preimage: str
    text: str = ""

    def __post_init__(self) -> None:
        self.text = wire.write(self.fields)

    @property
    def user_id(self) -> str:
        """The account it belongs to."""
        return str(self.fields["userId"])

    def pay(self) -> None:
        """Close it and reveal the preimage."""
        self.fields |= {
            "status": "CLOSED",
            "updatedAt": iso(datetime.now(UTC)),
            "paymentPreimage": self.preimage,
        }
        self.text = wire.write(self.fields)


class HubState:
    """One hub. Everything happens on one event loop; only `faults` may be set from elsewhere."""

    def __init__(self, api_key: str) -> None:
        self.api_key = api_key
        self.keys: dict[str, str | None] = {api_key: FIRST_ACCOUNT}  # whose each key is; None: nobody's now
        self.faults = Faults()
        self.sockets: set[Connection] = set()  # before their handshake, too
        self.connections: list[Connection] = []
        self.invoices: dict[str, StoredInvoice] = {}
        self.client_ids: set[tuple[str, str]] = set()  # account and ClientId
        self.held: list[Callable[[], Awaitable[None]]] = []
        self.connections_ever = 0
        self.requests: deque[dict[str, Any]] = deque(maxlen=_COUNTED)
        self.invocations: deque[dict[str, Any]] = deque(maxlen=_COUNTED)
        self.received: deque[str] = deque(maxlen=_KEPT)
        self.headers_seen: dict[str, None] = {}
        self.key_seen = False
        self._node_key = secrets.randbelow(2**255) + 1  # below the curve's order

    def reset(self) -> None:
        """Forget invoices, counters, faults and all keys but `api_key`; connections stay."""
        self.keys = {self.api_key: FIRST_ACCOUNT}
        self.faults.clear()
        self.connections_ever = 0
        self.key_seen = False
        for seen in (
            self.invoices,
            self.client_ids,
            self.held,
            self.requests,
            self.invocations,
            self.received,
        ):
            seen.clear()
        self.headers_seen.clear()

    def account(self, key: str) -> str | None:
        """Return whose key that is, or None for a wrong one."""
        given = key.encode("utf-8", "replace")
        for known, user_id in self.keys.items():
            if hmac.compare_digest(given, known.encode("utf-8", "replace")):
                return user_id
        return None

    def replace_key(self, key: str) -> None:
        """Take another `api_key` from now on; connections stay."""
        self.keys[self.api_key] = None
        self.keys[key] = FIRST_ACCOUNT
        self.api_key = key

    def add_key(self, user_id: str, key: str) -> bool:
        """Take another key as well; False if it is empty or another account's."""
        if not key or (self.keys.get(key) or user_id) != user_id:
            return False
        self.keys[key] = user_id
        return True

    def revoke(self, key: str) -> bool:
        """Refuse a key from now on and tear its connections down; False if it was not right anyway."""
        if self.keys.get(key) is None:
            return False
        self.keys[key] = None
        for connection in list(self.sockets):
            if connection.key == key:
                connection.cut()
        return True

    def enter(self, connection: Connection) -> None:
        """Count a connection that has introduced itself."""
        self.connections.append(connection)
        self.connections_ever += 1

    def leave(self, connection: Connection) -> None:
        """Forget a connection, if it is known."""
        if connection in self.connections:
            self.connections.remove(connection)

    def note(self, text: str, headers: dict[str, str]) -> None:
        """Remember a message as it came."""
        self.received.append(text)
        self.headers_seen |= dict.fromkeys(headers)
        self.key_seen = self.key_seen or any(key in text for key in self.keys)

    def envelope(self, channel: str, subject: str, client_id: str | None, data: str) -> str:
        """Write the event's one argument as JSON; ``data`` is JSON already."""
        payload = wire.write(data) if self.faults.dataAsString else data
        if self.faults.bareEnvelope:
            return f'{{"data":{payload}}}'
        names: dict[str, str | None] = {
            "channel": channel,
            "topic": subject.split(".")[0],
            "subject": subject,
            "type": "message",
        }
        if not self.faults.omitClientId:
            names["clientId"] = client_id
        return f'{wire.write(names)[:-1]},"data":{payload}}}'

    def event(self, target: str, subject: str, client_id: str | None, data: str) -> str:
        """Write the message of an event; ``data`` is JSON already."""
        return wire.invocation(target, f"[{self.envelope(target, subject, client_id, data)}]")

    def snapshot(self, user_id: str) -> str:
        """Write the list of an account's invoices as JSON."""
        invoices = [invoice for invoice in self.invoices.values() if invoice.user_id == user_id]
        if self.faults.omitUserId:
            return wire.write([without_user_id(invoice.fields) for invoice in invoices])
        return f"[{','.join(invoice.text for invoice in invoices)}]"

    def issue(
        self, user_id: str, amount_sat: Decimal, amount_msat: int, memo: str | None, hours: float
    ) -> StoredInvoice:
        """Issue and keep a signed invoice of an account's."""
        now = datetime.now(UTC)
        expiry = timedelta(hours=hours)
        preimage = secrets.token_bytes(32)
        payment_hash = sha256(preimage).digest()
        request = encode_payment_request(
            currency="bcrt",
            amount_msat=amount_msat,
            timestamp=int(now.timestamp()),
            payment_hash=payment_hash,
            payment_secret=secrets.token_bytes(32),
            description=memo or "",
            expiry=int(expiry.total_seconds()),
            min_final_cltv_expiry=40,
            private_key=self._node_key,
        )
        invoice_id = f"inv_{uuid.uuid4().hex[:16]}"
        fields = {
            "id": invoice_id,
            "userId": user_id,
            "email": "analyst@example.com",
            "encodedPaymentRequest": request,
            "expiresAt": iso(now + expiry),
            "status": "OPEN",
            "createdAt": iso(now),
            "updatedAt": None,
            "memo": memo,
            "paymentHash": payment_hash.hex(),
            "paymentPreimage": None,
            "nodeId": "node_1",
            "invoiceType": "STANDARD",
            "expirySecs": int(expiry.total_seconds()),
            "metadata": None,
            "umaPostTransactionData": None,
            "bitcoinNetwork": "REGTEST",
            "amountOriginalValue": amount_sat,
            "amountOriginalUnit": "SATOSHI",
            "amountPreferredCurrencyUnit": "EUR",
            "amountPreferredCurrencyValueRounded": None,
            "amountPreferredCurrencyValueApprox": None,
        }
        invoice = self.invoices[invoice_id] = StoredInvoice(fields, preimage.hex())
        return invoice

    async def push(self, messages: Iterable[str], rate: float | None = None) -> None:
        """Send messages to every connection, so many a second, or as fast as the slowest client reads."""
        loop = asyncio.get_running_loop()
        began = loop.time()
        for count, message in enumerate(messages):
            due = began + count / rate if rate else 0.0
            if due > loop.time() or count % _BREATH == 0:
                await asyncio.sleep(max(0.0, due - loop.time()))
            for connection in self.connections.copy():
                await connection.send(message)

    async def drop(self) -> None:
        """End every connection politely."""
        await asyncio.gather(*(connection.close() for connection in self.connections))

    def cut(self) -> None:
        """Tear every TCP connection down."""
        for connection in self.connections.copy():
            connection.cut()
