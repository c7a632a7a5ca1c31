"""What the console does: one command after the other, without widgets. For the interface thread.

A query is sent at once. Anything else may change something, so it is shown and asked about first, and never
sent again by itself. A press names the turn that it was made in, as in `_creation`.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from hercle_nb import amounts, commands
from hercle_nb._log_table import json_text
from hercle_nb.errors import HercleError, InvalidRequest
from hercle_nb.invoice_request import check_client_id
from hercle_nb.widgets import _interface
from hercle_nb.widgets._draft import CUSTOM, DEFAULT, Draft
from hercle_nb.widgets._event_rows import bounded

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Mapping
    from concurrent.futures import Future

    from hercle_nb.hub import Hub

Phase: TypeAlias = Literal["idle", "confirm", "waiting"]

OTHER = "other"
_WITHDRAW = "WithdrawLightning"
SPENDS = (
    f"{_WITHDRAW} spends money, and this toolkit spends none: a slip in a notebook would be final. "
    "Use Hercle's own portal for it."
)
HINTS = {
    "ClientId": "made for you",
    "AmountBtc": "0.001",
    "Memo": "none",
    "ExpiryHours": "hub's default (24)",
    "PairName": "BTCUSDT",
    "Size": "1",
    "Method": "GetBalances",
    "Arguments": '["BTCUSDT", 1]',
}
_OTHER_FIELDS = ["Method", "ClientId", "Arguments"]
_LONGEST = 200_000  # characters of an answer that a browser is sent; Jupyter's server drops what is too much


def choices() -> list[tuple[str, list[str]]]:
    """The commands that can be chosen, each with the names of its arguments, and any other at the end."""
    known = sorted(commands.DOCUMENTED, key=lambda name: (not commands.changes_nothing(name), name))
    return [
        *((name, [] if name == _WITHDRAW else list(commands.DOCUMENTED[name].arguments)) for name in known),
        (OTHER, _OTHER_FIELDS),
    ]


@dataclass(frozen=True)
class Plan:
    """A command that is about to be sent.

    Attributes:
        words: The method and its arguments, as JSON.
        run: Makes what sends it, once, and gives its answer as JSON.
        asks: Whether it is asked about first.
    """

    words: str
    run: Callable[[], Coroutine[Any, Any, str]]
    asks: bool


class Console:
    """One command at a time.

    Args:
        hub: Where commands go; kept alive.
        on_change: Called when `view` gives something else.
    """

    def __init__(self, hub: Hub, on_change: Callable[[], object]) -> None:
        self._hub = hub
        self._on_change = on_change
        self._phase: Phase = "idle"
        self._turn = 0
        self._plan: Plan | None = None
        self._told = ""
        self._sent = ""
        self._answer = ""

    def view(self) -> dict[str, Any]:
        """What a face shows, as JSON takes it."""
        question = ""
        if self._phase == "confirm" and self._plan is not None:
            question = (
                f"This may change something on {self._hub.environment}, and is sent once: {self._plan.words}"
            )
        return {
            "phase": self._phase,
            "turn": self._turn,
            "question": question,
            "told": self._told,
            "sent": self._sent,
            "answer": self._answer,
        }

    def send(self, command: str, fields: Mapping[str, str], turn: int) -> None:
        """Send a command, or ask about it first."""
        if self._phase != "idle" or turn != self._turn:
            return
        self._told = self._sent = self._answer = ""
        try:
            self._plan = self._planned(
                command, {name: text if name == "Memo" else text.strip() for name, text in fields.items()}
            )
        except HercleError as error:
            self._told = str(error)
            self._step("idle")
            return
        if self._plan.asks:
            self._step("confirm")
        else:
            self._go()

    def confirm(self, turn: int) -> None:
        """Send what was asked about."""
        if self._phase == "confirm" and turn == self._turn:
            self._go()

    def back(self, turn: int) -> None:
        """Do not send it."""
        if self._phase == "confirm" and turn == self._turn:
            self._step("idle")

    def _go(self) -> None:
        if self._plan is None:
            return
        self._sent = self._plan.words
        self._step("waiting")
        try:
            future, _ = self._hub._portal.submit(self._plan.run())
        except HercleError as error:
            self.fail(error)
        else:
            _interface.when_done(future, self._answered, self.fail)

    def _answered(self, done: Future[str]) -> None:
        self._answer = bounded(done.result(), _LONGEST) or ""
        self._step("idle")

    def fail(self, error: Exception) -> None:
        """Say what went wrong."""
        self._told = str(error) if isinstance(error, HercleError) else f"{type(error).__name__}: {error}"
        self._step("idle")

    def _step(self, phase: Phase) -> None:
        self._phase = phase
        self._turn += 1
        self._on_change()

    # -- what the fields mean ------------------------------------------------------------------------------

    def _planned(self, command: str, fields: Mapping[str, str]) -> Plan:
        """What is to be sent.

        Raises:
            InvalidRequest: A field breaks a rule, or the command spends money.
        """
        method = (fields.get("Method", "") if command == OTHER else command).strip()
        if method.lower() == _WITHDRAW.lower():
            raise InvalidRequest(SPENDS)
        if not method:
            raise InvalidRequest("Type the name of a method, such as GetBalances.")
        if command == OTHER and method.lower() == commands.CREATE.lower():
            raise InvalidRequest(
                f"Choose {commands.CREATE} in the list of commands: there its amount, memo and expiry are "
                "checked, and what comes of it is kept among the invoices."
            )
        client_id = check_client_id(fields.get("ClientId") or None)
        if command == commands.CREATE:
            return self._creation(client_id, fields)
        if command in (commands.SUBSCRIBE, commands.UNSUBSCRIBE):
            return self._feed(command, fields)
        arguments = _list(fields.get("Arguments", "")) if command == OTHER else []
        return self._command(method, client_id, arguments)

    def _command(self, method: str, client_id: str, arguments: list[Any]) -> Plan:
        hub = self._hub

        async def run() -> str:
            event = await hub.aio.command(method, *arguments, client_id=client_id, timeout=hub.timeout)
            return event.raw or json_text(event.data)

        asks = not commands.changes_nothing(method)
        return Plan(f"{method} {json_text([client_id, *arguments])}", run, asks)

    def _creation(self, client_id: str, fields: Mapping[str, str]) -> Plan:
        hub, hours = self._hub, fields.get("ExpiryHours", "")
        draft = Draft(
            amount=fields.get("AmountBtc", ""),
            memo=fields.get("Memo", ""),
            expiry=CUSTOM if hours else DEFAULT,
            hours=hours,
            client_id=client_id,
        )
        if problems := draft.problems(hub._core.creating.max_msat(client_id)):
            raise InvalidRequest(" ".join(problems.values()))
        request = draft.request(client_id)

        async def run() -> str:
            invoice = await hub._core.creating.create(request, hub.timeout)
            asked = invoice.asked_msat
            return json_text(
                {
                    "id": invoice.id,
                    "clientId": invoice.client_id,
                    "amountBtc": invoice.amount_btc,
                    **({} if asked is None else {"askedBtc": amounts.msat_to_btc(asked)}),
                    "expiresAt": invoice.expires_at.isoformat(),
                    "encodedPaymentRequest": invoice.payment_request,
                    "warnings": invoice.warnings,
                }
            )

        msat = request.amount_msat
        amount = f"{amounts.format_btc(msat)} = {amounts.format_sat(msat)}"
        return Plan(f"{commands.CREATE} {json_text(request.arguments)} ({amount})", run, asks=True)

    def _feed(self, command: str, fields: Mapping[str, str]) -> Plan:
        hub, pair, size = self._hub, fields.get("PairName", ""), _number(fields.get("Size") or "1")

        async def subscribe() -> str:
            feed = await hub.aio.prices(pair, size, timeout=hub.timeout)
            return json_text({"subscribed": feed.pair, "size": feed.size})

        async def unsubscribe() -> str:
            feed = hub._core.feeds.of(pair)
            if feed is None:
                raise InvalidRequest(f"No prices of {pair!r} are subscribed.")
            feed.cancel()
            return json_text({"unsubscribed": pair})

        run = subscribe if command == commands.SUBSCRIBE else unsubscribe
        return Plan(f"{command} {json_text([pair, size])}", run, asks=False)


def _list(text: str) -> list[Any]:
    """The arguments after the ClientId."""
    try:
        found = json.loads(text or "[]", parse_float=Decimal)
    except (ValueError, RecursionError) as error:
        raise InvalidRequest(f'Arguments must be a JSON array such as ["BTCUSDT", 1]: {error}.') from None
    if not isinstance(found, list):
        raise InvalidRequest(f'Arguments must be a JSON array such as ["BTCUSDT", 1], not {text[:40]}.')
    return found


def _number(text: str) -> Decimal:
    number = Decimal(text) if text.replace(".", "", 1).isdigit() and text.isascii() else None
    if number is None:
        raise InvalidRequest(f"Size is a number above 0 such as 1 or 0.5, not {amounts.shown(text)}.")
    return number
