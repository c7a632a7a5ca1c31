"""The hub's documented commands, and what an answer to one says.

Source: https://documentation.hercle.financial (the command pages); what they leave open is assumed, each
assumption in one function here.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING, Any

from hercle_nb import _json
from hercle_nb.errors import InvalidRequest

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hercle_nb.events import HubEvent

CREATE = "CreateLightningInvoice"
LIST = "GetLightningInvoices"
BALANCES = "GetBalances"
SUBSCRIBE = "SubscribePairPriceChannel"
UNSUBSCRIBE = "UnsubscribePairPriceChannel"
PRICE = "execution.feeds.priceUpdate"  # the subject of a feed's events
ANSWERS_TARGET = "executionevents"  # targets are matched without regard to case, as SignalR clients do

_PRE_CHECKS = "precheckserror"  # the arguments failed validation


@dataclass(frozen=True)
class Command:
    """A documented command.

    Attributes:
        answer: Subject of the answering event; None where the completion alone answers.
        changes_nothing: A query or subscription: safe to ask again, never an unknown outcome.
        arguments: Names of the positional arguments.
    """

    answer: str | None
    changes_nothing: bool
    arguments: tuple[str, ...]


_PAIR = ("ClientId", "PairName", "Size")
DOCUMENTED = {
    CREATE: Command("execution.invoice.created", False, ("ClientId", "AmountBtc", "Memo", "ExpiryHours")),
    LIST: Command("lightspark.invoices.snapshot", True, ("ClientId",)),
    BALANCES: Command("account.balances.snapshot", True, ("ClientId",)),
    SUBSCRIBE: Command(None, True, _PAIR),
    UNSUBSCRIBE: Command(None, True, _PAIR),
    "WithdrawLightning": Command(
        "execution.withdrawal.lightspark.created", False, ("ClientId", "PaymentRequestHash")
    ),
}
AMOUNT = DOCUMENTED[CREATE].arguments.index("AmountBtc")
_BY_NAME = {name.lower(): command for name, command in DOCUMENTED.items()}


def documented(method: str) -> Command | None:
    """The documented command of that name; the hub does not mind upper and lower case."""
    return _BY_NAME.get(method.lower())


def changes_nothing(method: str) -> bool:
    """Whether a method is known to be a query or subscription; any other may have changed something."""
    command = documented(method)
    return command is not None and command.changes_nothing


def asked_btc(method: str, arguments: Sequence[Any]) -> Decimal | None:
    """The amount that a bare creation asks for; None for another method, and where only the hub can tell.

    A text counts as the number that a lenient hub reads in it, commas between its digits or not.
    """
    if method.lower() != CREATE.lower() or len(arguments) <= AMOUNT:
        return None
    value = arguments[AMOUNT]
    try:
        if not isinstance(value, str | Decimal):
            value = _json.decode(_json.encode(value))  # the number on the wire
        elif isinstance(value, str):
            value = Decimal(value.strip().replace(",", ""))
    except (InvalidRequest, ValueError, InvalidOperation):
        return None
    number = isinstance(value, int | Decimal) and not isinstance(value, bool)
    btc = Decimal(value) if number else None
    return btc if btc is not None and btc.is_finite() else None


_INVOCATION = b'{"type":1,"target":"'  # as ASP.NET Core writes it
HEAD = len(_INVOCATION) + len(ANSWERS_TARGET) + 1


def may_answer(message: bytes) -> bool:
    """Whether a message, or the first `HEAD` bytes of it, may be an answer; False only where it cannot."""
    target = message[len(_INVOCATION) : HEAD]
    return (
        not message.startswith(_INVOCATION)
        or target.lower() == ANSWERS_TARGET.encode() + b'"'
        or b"\\" in target  # an escape
    )


def can_answer(method: str, event: HubEvent) -> bool:
    """Whether an event that carries a command's ClientId can be its answer."""
    if (event.target or "").lower() != ANSWERS_TARGET:
        return False
    command = documented(method)
    return command is None or event.subject in (None, command.answer) or is_error(event.subject)


def can_answer_unnamed(method: str, event: HubEvent) -> bool:
    """Whether an event without a ClientId can answer this command, if nothing else is waiting.

    Only documented commands are answered like this, and only by their own subject, by an error of the same
    topic, or by the bare envelope `{"data": …}` with content of the right shape.
    """
    command = documented(method)
    if command is None or command.answer is None or (event.target or "").lower() != ANSWERS_TARGET:
        return False
    if event.subject is None:
        return _has_shape(command.answer, event.data)
    if is_error(event.subject):
        topics = event.subject.lower().split(".")[:-1]
        return topics == command.answer.split(".")[: len(topics)]  # none of preChecksError
    return event.subject == command.answer


def is_error(subject: str | None) -> bool:
    """Whether a subject is one of the documented errors: ``preChecksError`` or ``*.error``."""
    return subject is not None and (subject.lower() == _PRE_CHECKS or subject.lower().endswith(".error"))


def http_status(data: Any) -> int | None:
    """``httpStatusCode`` of an answer: None where it has none, 0 for one that cannot be read."""
    status = data.get("httpStatusCode") if isinstance(data, dict) else None
    if status is None or (isinstance(status, int) and not isinstance(status, bool)):
        return status
    text = str(status).removesuffix(".0")
    return int(text) if text.isascii() and text.isdigit() and len(text) == 3 else 0


def payment_request(data: Any) -> str | None:
    """``encodedPaymentRequest`` of an answer to a creation; None where there is none."""
    text = data.get("encodedPaymentRequest") if isinstance(data, dict) else None
    return text if isinstance(text, str) and text.strip() else None


def named_id(data: Any) -> str | None:
    """The hub's id in an answer to a creation, also where it spells the field otherwise; None for none."""
    if not isinstance(data, dict):
        return None
    found = [data[name] for name in ("id", *data) if name in data and str(name).lower() == "id"]
    value = found[0] if found else None
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    return value if isinstance(value, str) and value else None


def is_refusal(event: HubEvent) -> bool:
    """Whether an answer says that the command was not carried out: an error subject, or a status of 4xx."""
    status = http_status(event.data)
    return is_error(event.subject) or (status is not None and 400 <= status < 500)


def is_success(event: HubEvent) -> bool:
    """Whether an answer is neither an error nor of a status outside 2xx; a 5xx proves nothing either way."""
    status = http_status(event.data)
    return not is_error(event.subject) and (status is None or 200 <= status < 300)


def hub_words(event: HubEvent) -> str:
    """What the hub says in an answer, as one line for an error message."""
    data = event.data
    if isinstance(data, str) and data.strip():
        return " ".join(data.split())
    if isinstance(data, dict):
        words = [" ".join(str(data[key]).split()) for key in ("statusError", "message") if data.get(key)]
        if words:
            return ": ".join(words)
    return event.subject or "no reason given"


def completion_refusal(error: str) -> str | None:
    """The hub's words if a completion error proves that nothing was done, else None.

    ``Failed to invoke`` means that the method never ran, a ``HubException`` is the hub's own refusal; any
    other error may have come after the work was done, as ASP.NET Core words them.
    """
    _, is_hub_exception, words = error.partition("HubException: ")
    if is_hub_exception:
        return words
    return error if error.startswith("Failed to invoke ") else None


def _has_shape(answer: str, data: Any) -> bool:
    if answer.endswith(".snapshot") and "invoices" in answer:
        return isinstance(data, list)
    if answer.endswith(".created"):
        return isinstance(data, dict) and "httpStatusCode" in data
    return isinstance(data, dict) and "assets" in data
