"""What stands in the fields of the form: checked field by field, and turned into a request or a cell."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from hercle_nb import amounts
from hercle_nb.errors import InvalidRequest
from hercle_nb.invoice_request import (
    MAX_EXPIRY_HOURS,
    InvoiceRequest,
    check_amount,
    check_client_id,
    check_expiry,
    check_limit,
    check_memo,
)

if TYPE_CHECKING:
    from collections.abc import Callable

BTC, SAT = "BTC", "sat"
DEFAULT, CUSTOM = "default", "custom"
EXPIRIES = {
    "1": "1 hour",
    "24": "24 hours",
    "168": "7 days",
    "720": "30 days",
    DEFAULT: "hub's default (24 hours)",
    CUSTOM: "other…",
}


@dataclass(frozen=True)
class Draft:
    """The fields as typed; nothing about them is checked.

    Attributes:
        amount: A number in ``unit``.
        unit: ``BTC`` or ``sat``.
        memo: Empty for none.
        expiry: A key of `EXPIRIES`.
        hours: A number, for the expiry ``custom``.
        client_id: Empty for one that is made.
    """

    amount: str = ""
    unit: str = BTC
    memo: str = ""
    expiry: str = "24"
    hours: str = ""
    client_id: str = ""

    @classmethod
    def of(cls, fields: Any) -> Draft:
        """The fields that a browser sent; what is no text counts as empty."""
        known = fields if isinstance(fields, dict) else {}
        given = {name: known.get(name) for name in asdict(cls())}
        return cls(**{name: text if isinstance(text, str) else "" for name, text in given.items()})

    @classmethod
    def with_defaults(
        cls,
        amount_btc: Any,
        amount_sat: Any,
        memo: Any,
        expiry_hours: Any,
        client_id: Any,
        max_msat: int = amounts.MAX_MSAT,
    ) -> Draft:
        """The fields filled with what a cell gave.

        Raises:
            InvalidRequest: A default breaks a rule, or the amount is more than that.
        """
        empty = amount_btc is None and amount_sat is None
        request = InvoiceRequest(
            amount_btc, memo, expiry_hours, client_id, amount_sat=1 if empty else amount_sat
        )
        if not empty:
            check_limit(request, max_msat)
        unit = BTC if amount_sat is None else SAT
        hours = DEFAULT if request.expiry_hours is None else str(request.expiry_hours)
        return cls(
            amount="" if empty else amount_text(request.amount_msat, unit),
            unit=unit,
            memo=request.memo or "",
            expiry=hours if hours in EXPIRIES else CUSTOM,
            hours="" if hours in EXPIRIES else hours,
            client_id=client_id or "",
        )

    def fields(self) -> dict[str, str]:
        """The fields by name, as a browser takes them."""
        return asdict(self)

    def problems(self, max_msat: int = amounts.MAX_MSAT) -> dict[str, str]:
        """What is wrong, a sentence for each field that breaks a rule; no amount may be more than that."""
        checks: dict[str, Callable[[], object]] = {
            "amount": lambda: self._check_limit(max_msat),
            "memo": lambda: check_memo(self.memo),
            "hours": self._hours,
            "client_id": lambda: check_client_id(self.client_id or None),
        }
        words = {
            "amount": self._amount_words,
            "memo": lambda error: f"The {error}",
            "hours": lambda _: self._hours_words(),
            "client_id": _client_id_words,
        }
        found = {}
        for field, check in checks.items():
            try:
                check()
            except InvalidRequest as error:
                found[field] = words[field](str(error))
        return found

    def amount_msat(self) -> int:
        """The amount.

        Raises:
            InvalidRequest: It breaks a rule.
        """
        text = self.amount.strip()
        if self.unit not in (BTC, SAT):
            raise InvalidRequest(f"The unit must be {BTC} or {SAT}; choose one.")
        if self.unit == SAT:
            return amounts.sat_to_msat(_whole(text))
        return amounts.btc_to_msat(text)

    def _check_limit(self, max_msat: int) -> None:
        btc = amounts.msat_to_btc(self.amount_msat())
        whole = self.unit == BTC and amounts.whole(btc) is not None
        check_amount(btc, max_msat, "choose sat as the unit and type it again" if whole else None)

    def request(self, made: str) -> InvoiceRequest:
        """What the fields ask for.

        Args:
            made: The ClientId where none was typed.

        Raises:
            InvalidRequest: A field breaks a rule.
        """
        btc = amounts.msat_to_btc(self.amount_msat())
        return InvoiceRequest(btc, self.memo or None, self._hours(), self.client_id or made)

    def code(self, made: str) -> str:
        """A cell that asks for the same, under the same ClientId.

        Raises:
            InvalidRequest: A field breaks a rule.
        """
        request = self.request(made)
        amount = (
            f"amount_sat={request.amount_sat:_}"
            if self.unit == SAT
            else f'"{amount_text(request.amount_msat, BTC)}"'
        )
        rest = {"memo": request.memo, "expiry_hours": request.expiry_hours, "client_id": request.client_id}
        given = [amount, *(f"{name}={value!r}" for name, value in rest.items() if value is not None)]
        return f"invoice = hub.create_invoice({', '.join(given)})\ninvoice"

    def _hours(self) -> int | None:
        if self.expiry == DEFAULT:
            return None
        text = self.hours.strip() if self.expiry == CUSTOM else self.expiry
        return check_expiry(_whole(text))

    def _amount_words(self, error: str) -> str:
        """The rule that the amount breaks, and what to type instead."""
        text = self.amount.strip()
        example = "0.001" if self.unit == BTC else "100000"
        if not text:
            return f"Type an amount, such as {example}."
        if "max_btc" in error:
            return error
        if meaning := amounts.marked(text, fractions=self.unit == BTC):
            return f"{meaning.replace('; write ', '; type ')}."
        rule, _, advice = error.partition("; ")
        if text.startswith("-"):
            return f"An amount must be more than 0, not {amounts.shown(text)}; type it without the sign."
        if text.isascii() and text[0] != "." and text.replace(".", "", 1).isdigit():
            rule = rule.replace(repr(text), text)  # a number needs no quotes
        if "meant satoshis" in advice:
            return f"{rule}; if you meant satoshis, choose sat as the unit and type it again."
        if "finer than" in rule:
            nearest = max(1, amounts.to_sat(text)) * amounts.MSAT_PER_SAT
            return f"{rule}; type {amount_text(nearest, BTC)}."
        if "plain decimal" in rule:
            return f"{rule}; type digits with at most one point, such as {example}."
        if "whole number" in rule or "an int" in rule:
            return (
                f"An amount in satoshis is a whole number, not {amounts.shown(text)}; "
                f"type digits alone, such as {example}."
            )
        return f"{rule}."

    def _hours_words(self) -> str:
        if self.expiry == CUSTOM and (meaning := amounts.marked(self.hours)):
            return f"{meaning.replace('; write ', '; type ')}."
        shown = f", not {amounts.shown(self.hours.strip())}" if self.hours.strip() else ""
        return f"The expiry must be a whole number of hours from 1 to {MAX_EXPIRY_HOURS}{shown}."


def _whole(text: str) -> Any:
    """The integer that was typed; any other text as it is, to be refused."""
    number = amounts.whole(text)
    return text if number is None else number


def amount_text(msat: int, unit: str) -> str:
    """An amount as it is typed; in satoshis a whole number."""
    return f"{amounts.msat_to_btc(msat):f}" if unit == BTC else str(msat // amounts.MSAT_PER_SAT)


def _client_id_words(error: str) -> str:
    rule = error.partition(" hercle.client_id(")[0]
    return rule.replace("client_id", "The ClientId", 1)
