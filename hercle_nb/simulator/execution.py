"""The hub's five methods, with the reference hub's checks, words and answers."""

from __future__ import annotations

import asyncio
import math
import secrets
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Context, Decimal
from typing import TYPE_CHECKING, Any

from hercle_nb.simulator import wire
from hercle_nb.simulator.state import iso, without_user_id

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from hercle_nb.simulator.connection import Connection
    from hercle_nb.simulator.state import HubState

_PRICE_INTERVAL = 0.05  # seconds
_HALF_SPREAD = 320  # cents
_MOST_BTC = 21_000_000
_EXACT = Context(prec=80)  # the thread has the notebook's own context, whatever that is


class HubException(Exception):
    """What a hub method says to the client."""


class Crash(Exception):
    """What a hub method does not say to the client."""


@dataclass(frozen=True, slots=True)
class Method:
    """A hub method: its name, the types that its arguments are bound to, and what it does."""

    name: str
    parameters: tuple[str, ...]
    run: Callable[..., Awaitable[None]]


async def create_lightning_invoice(
    state: HubState,
    connection: Connection,
    client_id: str | None,
    amount_btc: Decimal,
    memo: str | None,
    expiry_hours: float | None,
) -> None:
    """Issue an invoice, or say by event why not."""
    state.invocations.append(
        {
            "method": "CreateLightningInvoice",
            "clientId": client_id,
            "amountBtc": f"{amount_btc:f}",
            "memo": memo,
            "expiryHours": _plain(expiry_hours),
        }
    )
    _fail(state)
    faults = state.faults
    amount_msat = _msat(amount_btc)
    problem = _client_id_problem(client_id)
    if problem:
        pass
    elif amount_btc <= 0:
        problem = "AmountBtc must be greater than zero"
    elif amount_msat is None:
        problem = "AmountBtc is finer than one millisatoshi, or too large"
    elif memo is not None and len(memo.encode()) > 639:
        problem = "Memo is longer than 639 bytes"
    elif expiry_hours is not None and not 0 < expiry_hours <= 720:
        problem = "ExpiryHours must be between 0 and 720"
    elif faults.rejectDuplicateClientId and (connection.user_id, client_id) in state.client_ids:
        problem = "ClientId was used before"
    if problem is not None or amount_msat is None:
        await _reply(state, connection, "preChecksError", client_id, wire.write({"message": problem}))
        return
    if faults.rejectDuplicateClientId and client_id is not None:
        state.client_ids.add((connection.user_id, client_id))
    if faults.errorSubject is not None:
        refusal = {"statusError": "ACCOUNT_LOCKED", "message": "The account may not create invoices"}
        await _reply(state, connection, faults.errorSubject, client_id, wire.write(refusal))
        return
    answer: dict[str, Any] = {
        "httpStatusCode": faults.failStatus,
        "id": None,
        "expiresAt": None,
        "message": "The invoice could not be created",
        "encodedPaymentRequest": None,
    }
    if faults.failStatus is None:
        invoice = state.issue(
            connection.user_id,
            _EXACT.multiply(amount_btc, 10**8),
            amount_msat,
            memo,
            24 if expiry_hours is None else expiry_hours,
        )
        answer = {
            "httpStatusCode": 201,
            "id": invoice.fields["id"],
            "expiresAt": invoice.fields["expiresAt"],
            "message": "Lightning invoice created successfully",
            "encodedPaymentRequest": invoice.fields["encodedPaymentRequest"],
        }
    await _reply(state, connection, "execution.invoice.created", client_id, wire.write(answer))


async def get_lightning_invoices(state: HubState, connection: Connection, client_id: str | None) -> None:
    """Send the list of the account's invoices."""
    state.invocations.append({"method": "GetLightningInvoices", "clientId": client_id})
    _fail(state)
    if problem := _client_id_problem(client_id):
        await _reply(state, connection, "preChecksError", client_id, wire.write({"message": problem}))
        return
    snapshot = state.snapshot(connection.user_id)
    await _reply(state, connection, "lightspark.invoices.snapshot", client_id, snapshot)


async def get_balances(state: HubState, connection: Connection, client_id: str | None) -> None:
    """Send the balances, which never change."""
    state.invocations.append({"method": "GetBalances", "clientId": client_id})
    bitcoin = {
        "name": "BTC",
        "available": Decimal("0.5"),
        "allocated": 0,
        "currentExposure": 0,
        "maxExposure": 1,
    }
    balances = {
        "userId": connection.user_id,
        "sequence": 1,
        "assets": [bitcoin],
        "baseCurrency": "EUR",
        "totalCurrentExposure": 0,
        "totalMaxExposure": 100_000,
        "deleted": False,
    }
    if state.faults.omitUserId:
        balances = without_user_id(balances)
    await _reply(state, connection, "account.balances.snapshot", client_id, wire.write(balances))


async def subscribe_pair_price_channel(
    state: HubState, connection: Connection, client_id: str | None, pair: str | None, size: float
) -> None:
    """Start a feed of prices, 20 a second, in place of an earlier one for the pair."""
    _note_feed(state, "SubscribePairPriceChannel", client_id, pair, size)
    if pair is None:
        raise Crash
    _stop_feed(connection, pair)
    connection.feeds[pair] = connection.start(_feed(state, connection, client_id, pair, size))


async def unsubscribe_pair_price_channel(
    state: HubState, connection: Connection, client_id: str | None, pair: str | None, size: float
) -> None:
    """Stop a pair's feed, whatever its size."""
    _note_feed(state, "UnsubscribePairPriceChannel", client_id, pair, size)
    if pair is None:
        raise Crash
    _stop_feed(connection, pair)


METHODS = {
    method.name.lower(): method
    for method in (
        Method(
            "CreateLightningInvoice", ("string", "decimal", "string", "double?"), create_lightning_invoice
        ),
        Method("GetLightningInvoices", ("string",), get_lightning_invoices),
        Method("GetBalances", ("string",), get_balances),
        Method("SubscribePairPriceChannel", ("string", "string", "double"), subscribe_pair_price_channel),
        Method("UnsubscribePairPriceChannel", ("string", "string", "double"), unsubscribe_pair_price_channel),
    )
}


async def _feed(
    state: HubState, connection: Connection, client_id: str | None, pair: str, size: float
) -> None:
    if not math.isfinite(size):  # JSON has no word for it: ASP.NET Core gives the connection up
        await connection.close(wire.BROKEN)
        return
    price = 6_400_000
    number = 0
    while True:
        price += secrets.randbelow(1001) - 500
        update = {
            "id": f"{pair}-{number}",
            "buyPrice": _from_cents(price + _HALF_SPREAD),
            "sellPrice": _from_cents(price - _HALF_SPREAD),
            "size": _plain(size),
            "pair": pair,
            "markPrice": _from_cents(price),
            "timestamp": iso(datetime.now(UTC)),
        }
        await connection.send(
            state.event("subscriptions", "execution.feeds.priceUpdate", client_id, wire.write(update))
        )
        number += 1
        await asyncio.sleep(_PRICE_INTERVAL)


def _stop_feed(connection: Connection, pair: str) -> None:
    if (feed := connection.feeds.pop(pair, None)) is not None:
        feed.cancel()


def _note_feed(state: HubState, method: str, client_id: str | None, pair: str | None, size: float) -> None:
    state.invocations.append(
        {"method": method, "clientId": client_id, "pairName": pair, "size": _plain(size)}
    )


def _fail(state: HubState) -> None:
    if state.faults.hubError is not None:
        raise HubException(state.faults.hubError)
    if state.faults.crash:
        raise Crash


def _client_id_problem(client_id: str | None) -> str | None:
    if client_id is None or not client_id.strip():
        return "ClientId is required"
    if len(client_id.encode("utf-16-le")) > 2 * 36:  # .NET counts UTF-16 units
        return "ClientId is longer than 36 characters"
    return None


def _msat(amount_btc: Decimal) -> int | None:
    msat = _EXACT.scaleb(amount_btc, 11)
    if amount_btc > _MOST_BTC or msat != msat.to_integral_value(context=_EXACT):
        return None
    return int(msat)


def _from_cents(cents: int) -> Decimal:
    return Decimal(cents).scaleb(-2, context=_EXACT)


def _plain(number: float | None) -> float | int | None:
    if number is None or not math.isfinite(number):
        return None
    return int(number) if number.is_integer() else number


async def _reply(
    state: HubState, connection: Connection, subject: str, client_id: str | None, data: str
) -> None:
    """Send a method's event, when and how the faults say."""
    faults = state.faults
    if faults.dropBeforeReply:
        await connection.close()
        return
    if faults.noReply:
        return

    async def send() -> None:
        if faults.replyDelayMs > 0:
            await asyncio.sleep(faults.replyDelayMs / 1000)
        for _ in range(2 if faults.replyTwice else 1):
            await connection.send(state.event("executionEvents", subject, client_id, data))

    if faults.reverseInBatchesOf > 1:
        state.held.append(send)
        if len(state.held) >= faults.reverseInBatchesOf:
            batch, state.held = state.held[::-1], []
            for held in batch:
                await held()
    elif faults.replyBeforeCompletion:
        await send()
    else:
        connection.start(send())
