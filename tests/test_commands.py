"""Verdicts: which event can answer which command, and whether it says yes, no, or nothing certain."""

from __future__ import annotations

import json
from dataclasses import replace
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hercle_nb import commands
from hercle_nb.commands import CREATE, DOCUMENTED, can_answer, can_answer_unnamed
from hercle_nb.log import EventLog

if TYPE_CHECKING:
    from hercle_nb.events import HubEvent

CREATED = "execution.invoice.created"
QUERIES = {"GetLightningInvoices", "GetBalances"}
SUBSCRIPTIONS = {"SubscribePairPriceChannel", "UnsubscribePairPriceChannel"}


def event(subject: str | None = None, data: Any = None, target: str = "executionEvents") -> HubEvent:
    """Return an event as the log gives it; without a subject the bare envelope."""
    envelope = {"data": data} if subject is None else {"subject": subject, "data": data}
    log = EventLog()
    return log.event(log.append(json.dumps({"type": 1, "target": target, "arguments": [envelope]}), 1))


def test_the_documented_commands() -> None:
    """The table is the documentation's, and names are found without regard to case."""
    assert DOCUMENTED[CREATE].arguments == ("ClientId", "AmountBtc", "Memo", "ExpiryHours")
    assert set(DOCUMENTED) == {CREATE, "WithdrawLightning"} | QUERIES | SUBSCRIPTIONS
    for name, command in DOCUMENTED.items():
        assert commands.documented(name.swapcase()) is command
        assert command.arguments[0] == "ClientId"
        assert (command.answer is None) == (name in SUBSCRIPTIONS)
    assert commands.documented("GetBalance") is None


@pytest.mark.parametrize("method", [*DOCUMENTED, "getbalances", "GetLightningInvoice", "", "Anything"])
def test_only_known_queries_change_nothing(method: str) -> None:
    """Only documented queries and subscriptions change nothing; any other method may have."""
    known = {name.lower() for name in QUERIES | SUBSCRIPTIONS}
    assert commands.changes_nothing(method) == (method.lower() in known)


@pytest.mark.parametrize(
    ("subject", "error"),
    [
        ("preChecksError", True),
        ("PRECHECKSERROR", True),
        ("execution.error", True),
        ("execution.invoice.ERROR", True),
        (".error", True),
        ("error", False),
        ("executionerror", False),
        ("execution.errors", False),
        ("error.execution", False),
        (CREATED, False),
        ("", False),
        (None, False),
    ],
)
def test_error_subjects(subject: str | None, *, error: bool) -> None:
    """`preChecksError` and whatever ends in `.error` are errors, in any case."""
    assert commands.is_error(subject) is error
    if subject is not None:
        assert commands.is_refusal(event(subject, {"httpStatusCode": 200})) is error
        assert commands.is_success(event(subject, {"httpStatusCode": 200})) is not error


@pytest.mark.parametrize(
    ("status", "success", "refusal"),
    [
        *((200, True, False), (201, True, False), (299, True, False)),
        *((400, False, True), (404, False, True), (499, False, True)),
        *((500, False, False), (504, False, False), (302, False, False), (199, False, False)),
        *((0, False, False), (-1, False, False), (10**100, False, False)),
    ],
)
def test_statuses(status: int, *, success: bool, refusal: bool) -> None:
    """2xx is a success, 4xx a refusal, and anything else proves nothing either way."""
    answer = event(CREATED, {"httpStatusCode": status})
    assert commands.http_status(answer.data) == status
    assert (commands.is_success(answer), commands.is_refusal(answer)) == (success, refusal)


@given(st.integers())
def test_no_status_is_both(status: int) -> None:
    """No answer is a success and a refusal at once."""
    answer = event(CREATED, {"httpStatusCode": status})
    assert not (commands.is_success(answer) and commands.is_refusal(answer))


@pytest.mark.parametrize("data", [None, "text", [], {}, {"httpStatusCode": None}])
def test_answers_without_a_status(data: Any) -> None:
    """An answer without a status is a success by its subject alone."""
    assert commands.http_status(data) is None
    assert commands.is_success(event(CREATED, data))
    assert not commands.is_refusal(event(CREATED, data))


@pytest.mark.parametrize(
    ("status", "read"),
    [
        ("201", 201),
        (Decimal("200.0"), 200),
        ("400", 400),
        (True, 0),
        ("OK", 0),
        (Decimal("200.5"), 0),
        ([], 0),
    ],
)
def test_odd_statuses(status: Any, read: int) -> None:
    """A status written as a text or with a fraction of 0 counts; one that cannot be read proves nothing."""
    answer = replace(event(CREATED), data={"httpStatusCode": status})
    assert commands.http_status(answer.data) == read
    assert commands.is_success(answer) == (read in (200, 201))
    assert commands.is_refusal(answer) == (read == 400)


@pytest.mark.parametrize(
    ("method", "subject", "answers"),
    [
        (CREATE, CREATED, True),
        ("createlightninginvoice", CREATED, True),
        (CREATE, None, True),
        (CREATE, "preChecksError", True),
        (CREATE, "account.error", True),
        (CREATE, "lightspark.invoices.snapshot", False),
        (CREATE, "execution.feeds.priceUpdate", False),
        (CREATE, "EXECUTION.INVOICE.CREATED", False),
        ("GetBalances", "account.balances.snapshot", True),
        ("GetBalances", CREATED, False),
        ("SubscribePairPriceChannel", "execution.feeds.priceUpdate", False),
        ("SubscribePairPriceChannel", "preChecksError", True),
        ("SomethingNew", "something.new", True),
    ],
)
def test_answers_that_carry_the_client_id(method: str, subject: str | None, *, answers: bool) -> None:
    """With its ClientId a command is answered by its subject, an error or a bare envelope, on its target."""
    assert can_answer(method, event(subject)) is answers
    assert can_answer(method, event(subject, target="EXECUTIONEVENTS")) is answers
    assert not can_answer(method, event(subject, target="subscriptions"))


@pytest.mark.parametrize(
    ("method", "subject", "data", "answers"),
    [
        (CREATE, CREATED, {}, True),
        (CREATE, "preChecksError", "AmountBtc", True),
        (CREATE, "execution.error", {}, True),
        (CREATE, "Execution.Invoice.Error", {}, True),
        (CREATE, "account.error", {}, False),
        (CREATE, "lightspark.error", {}, False),
        (CREATE, "account.balances.snapshot", {}, False),
        (CREATE, None, {"httpStatusCode": 201}, True),
        (CREATE, None, {"id": 5, "pair": "BTCUSDT"}, False),
        (CREATE, None, [], False),
        (CREATE, None, "text", False),
        ("GetLightningInvoices", "lightspark.invoices.snapshot", [], True),
        ("GetLightningInvoices", "lightspark.error", {}, True),
        ("GetLightningInvoices", "execution.error", {}, False),
        ("GetLightningInvoices", None, [], True),
        ("GetLightningInvoices", None, {"httpStatusCode": 201}, False),
        ("GetBalances", None, {"assets": []}, True),
        ("GetBalances", None, {"httpStatusCode": 201}, False),
        ("GetBalances", None, [], False),
        ("GetBalances", "account.error", {}, True),
        ("WithdrawLightning", None, {"httpStatusCode": 201}, True),
        ("SubscribePairPriceChannel", None, {"httpStatusCode": 201}, False),
        ("SubscribePairPriceChannel", "preChecksError", {}, False),
        ("SomethingNew", None, {"httpStatusCode": 201}, False),
        ("SomethingNew", "preChecksError", {}, False),
    ],
)
def test_answers_without_a_client_id(method: str, subject: str | None, data: Any, *, answers: bool) -> None:
    """Without a ClientId a documented command is answered by its subject, its topic's error or its shape."""
    assert can_answer_unnamed(method, event(subject, data)) is answers
    assert not can_answer_unnamed(method, event(subject, data, target="subscriptions"))


@pytest.mark.parametrize(
    ("data", "words"),
    [
        ("AmountBtc must be positive", "AmountBtc must be positive"),
        ({"message": "no"}, "no"),
        ({"statusError": "E1", "message": "no"}, "E1: no"),
        ({"statusError": "E1", "message": None}, "E1"),
        ({"message": "two\r\n  lines\u2028more"}, "two lines more"),
        ("two\nlines", "two lines"),
        ({"message": 5}, "5"),
        ({"message": ""}, "preChecksError"),
        ({}, "preChecksError"),
        ("", "preChecksError"),
        (" \n", "preChecksError"),
        ([1], "preChecksError"),
        (None, "preChecksError"),
    ],
)
def test_hub_words(data: Any, words: str) -> None:
    """The hub's words are its message on one line, else the subject, else that there is no reason."""
    assert commands.hub_words(event("preChecksError", data)) == words
    if words == "preChecksError":
        assert commands.hub_words(event(None, data)) == "no reason given"


@pytest.mark.parametrize(
    ("error", "words"),
    [
        ("Failed to invoke 'X' due to an error on the server. HubException: Not today.", "Not today."),
        ("An unexpected error occurred invoking 'X' on the server. HubException: No: really", "No: really"),
        ("Failed to invoke 'X' due to an error on the server.",) * 2,
        ("An unexpected error occurred invoking 'X' on the server.", None),
        ("An unexpected error occurred invoking 'X' on the server. TimeoutException: late", None),
        ("Connection closed with an error.", None),
        ("", None),
    ],
)
def test_completion_errors(error: str, words: str | None) -> None:
    """Only a method that never ran, or the hub's own exception, proves that nothing was done."""
    assert commands.completion_refusal(error) == words
