"""Commands under way: which one an event answers, and what its caller hears if none does."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest

from hercle_nb.calls import AtLoss, Call, Calls
from hercle_nb.commands import CREATE
from hercle_nb.errors import CommandRejected, HercleError, HubTimeout, InvalidRequest, OutcomeUnknown
from hercle_nb.log import EventLog
from tests.answers import NOW, answer, ask, pay_to

if TYPE_CHECKING:
    from hercle_nb.events import HubEvent

SNAPSHOT = "lightspark.invoices.snapshot"
SENT = datetime(2026, 11, 22, 12, 34, 56, tzinfo=UTC)
New = Callable[..., Call]


@pytest.fixture
def new() -> Iterator[New]:
    """Make calls whose futures belong to a loop that is closed afterwards."""
    loop = asyncio.new_event_loop()

    def make(method: str, client_id: str | None = None, **fields: Any) -> Call:
        call = Call(method, client_id, **fields)
        call.completion, call.answer = loop.create_future(), loop.create_future()
        return call

    yield make
    loop.close()


@pytest.fixture
def creating(new: New) -> Callable[..., Call]:
    """Make creations: a ClientId and what differs from the command page's example."""
    sent = {"hub_time": NOW.timestamp()}
    return lambda name, **changes: new(CREATE, name, request=ask(client_id=name, **changes), **sent)


class AtOnce(Calls):
    """A register that events reach as soon as the calls are sent."""

    def answered_by(
        self, event: HubEvent, now: float = NOW.timestamp(), ours: Callable[[Call], bool] = lambda _: True
    ) -> Call | None:
        """The one call that an event answers."""
        return super().answered_by(event, now, ours)


def open_calls(*calls: Call) -> AtOnce:
    """Return a register in which these calls wait for an answer."""
    register = AtOnce()
    for call in calls:
        register.expect_answer(call)
    return register


def event(data: Any = None, target: str = "executionEvents", **envelope: Any) -> HubEvent:
    """Return an event as the log gives it."""
    message = {"type": 1, "target": target, "arguments": [{**envelope, "data": data}]}
    log = EventLog()
    return log.event(log.append(json.dumps(message), 1))


def created(client_id: str | None = None, status: int = 201, **changes: Any) -> HubEvent:
    """Return a created event whose payment request has some arguments changed."""
    data = {"httpStatusCode": status, "id": "inv_1", "encodedPaymentRequest": pay_to(**changes)}
    return event(data, subject="execution.invoice.created", **({"clientId": client_id} if client_id else {}))


# -- by ClientId -------------------------------------------------------------------------------------------


def test_answers_are_matched_by_client_id(creating: New, new: New) -> None:
    """An event with a ClientId answers that command, however alike others are, and no other."""
    a, b, balances = creating("a"), creating("b"), new("GetBalances", "c")
    calls = open_calls(a, b, balances)
    assert calls.answered_by(created("a")) is a
    assert calls.answered_by(created("b")) is b
    assert (
        calls.answered_by(event({"assets": []}, clientId="c", subject="account.balances.snapshot"))
        is balances
    )
    for stranger in ("A", "a ", "d", "inv_1"):
        assert calls.answered_by(created(stranger)) is None


def test_a_client_id_answers_whatever_the_content(creating: New) -> None:
    """With the ClientId even a wrong payment request is the answer; it is the invoice that warns."""
    call = creating("a")
    calls = open_calls(call)
    assert calls.answered_by(created("a", amount_msat=1_000)) is call
    assert calls.answered_by(event({"httpStatusCode": 201}, clientId="a")) is call
    assert calls.answered_by(event("AmountBtc", clientId="a", subject="preChecksError")) is call
    assert calls.answered_by(event({}, clientId="a", subject="account.error")) is call
    assert calls.answered_by(event([], clientId="a", subject=SNAPSHOT)) is None
    assert calls.answered_by(event({}, clientId="a", subject="execution.feeds.priceUpdate")) is None
    assert calls.answered_by(event({"httpStatusCode": 201}, clientId="a", target="subscriptions")) is None


def test_undocumented_commands_need_the_client_id(new: New) -> None:
    """An undocumented command is answered by any event with its ClientId, and by none without."""
    call = new("SomethingNew", "a")
    calls = open_calls(call)
    assert calls.answered_by(event({}, clientId="a", subject="something.new")) is call
    for other in (
        event({}, subject="something.new"),
        event({}),
        event("x", subject="preChecksError"),
        created(),
    ):
        assert calls.answered_by(other) is None


# -- without ClientId --------------------------------------------------------------------------------------


def test_exactly_one_creation_fits(creating: New, new: New) -> None:
    """Without a ClientId a payment request answers the one creation with its amount, memo and expiry."""
    calls = open_calls(
        small := creating("a", amount_btc="0.0001"),
        other := creating("b", memo="tea"),
        short := creating("c", expiry_hours=1),
        new("GetLightningInvoices", "d"),
    )
    assert calls.answered_by(created(amount_msat=10_000_000)) is small
    assert calls.answered_by(created(description="tea")) is other
    assert calls.answered_by(created(expiry=None)) is short
    assert (
        calls.answered_by(event({"httpStatusCode": 201, "encodedPaymentRequest": pay_to(expiry=None)}))
        is short
    )
    for changes in (
        {},
        {"amount_msat": 1_000},
        {"amount_msat": None},
        {"description": "Tea"},
        {"expiry": 60},
    ):
        assert calls.answered_by(created(**changes)) is None


@pytest.mark.parametrize(
    ("seconds", "fits"), [(-10_800, False), (-61, False), (-59, True), (64, True), (66, False)]
)
def test_an_answer_of_any_age_is_none(creating: New, seconds: int, *, fits: bool) -> None:
    """Without a ClientId a payment request is an answer only if it is dated while the creation waited."""
    call, dated = creating("a"), int(NOW.timestamp()) + seconds
    calls = open_calls(call)
    assert calls.answered_by(created(timestamp=dated), NOW.timestamp() + 5) is (call if fits else None)
    call.lost_at = NOW.timestamp() + 5  # an answer that comes an hour later is as old as before
    assert calls.answered_by(created(timestamp=dated), NOW.timestamp() + 3_600) is (call if fits else None)
    assert calls.answered_by(created("a", timestamp=dated)) is call  # its ClientId says so


def test_two_alike_fit_nobody(creating: New) -> None:
    """Two creations of the same amount, memo and expiry are answered by neither's event without ClientId."""
    a, b = creating("a"), creating("b", amount_btc=None, amount_sat=100_000)
    calls = open_calls(a, b)
    assert calls.answered_by(created()) is None
    calls.forget(a)
    assert calls.answered_by(created()) is b
    memos = open_calls(creating("a", memo=None), creating("b", memo=""))
    assert memos.answered_by(created(description="")) is None
    expiries = open_calls(creating("a", expiry_hours=None), creating("b", expiry_hours=24))
    assert expiries.answered_by(created()) is None


def test_an_unreadable_payment_request_fits_nobody(creating: New) -> None:
    """Without a ClientId a payment request that cannot be read answers no command, not even a lone one."""
    calls = open_calls(creating("a"))
    for text in ("lnbcrt1garbage", pay_to()[:-1], "?"):
        assert calls.answered_by(event({"httpStatusCode": 201, "encodedPaymentRequest": text})) is None


@pytest.mark.parametrize(
    ("method", "right", "wrong"),
    [
        (CREATE, {"httpStatusCode": 400, "message": "no"}, {"message": "no"}),
        (CREATE, {"httpStatusCode": 400, "encodedPaymentRequest": None}, []),
        (CREATE, {"httpStatusCode": 400, "encodedPaymentRequest": ""}, {"assets": []}),
        ("GetLightningInvoices", [], {"httpStatusCode": 200}),
        ("GetBalances", {"assets": []}, []),
    ],
)
def test_bare_envelope(new: New, method: str, right: Any, wrong: Any) -> None:
    """`{"data": …}` alone answers a lone command by its shape, and nobody where anything else is open."""
    call = new(method, "a", request=ask() if method == CREATE else None)
    calls = open_calls(call)
    assert calls.answered_by(event(right)) is call
    assert calls.answered_by(event(wrong)) is None
    assert calls.answered_by(event(right, target="subscriptions")) is None
    calls.expect_answer(new("SomethingNew", "b"))
    assert calls.answered_by(event(right)) is None


@pytest.mark.parametrize("subject", ["preChecksError", "execution.error", "execution.invoice.error"])
def test_error_events(creating: New, new: New, subject: str) -> None:
    """An error without ClientId answers a command only if nothing else, bare invocations too, is open."""
    call, bare = creating("a"), new(CREATE)
    calls = open_calls(call)
    error = event({"message": "no"}, subject=subject)
    assert calls.answered_by(error) is call
    number = calls.number(bare)
    assert calls.answered_by(error) is None
    calls.take(number)
    calls.number(call)
    assert calls.answered_by(error) is call
    calls.expect_answer(creating("b"))
    assert calls.answered_by(error) is None


def test_error_of_another_topic(creating: New, new: New) -> None:
    """An error of another topic without ClientId is not this command's."""
    assert open_calls(creating("a")).answered_by(event({}, subject="account.error")) is None
    balances = new("GetBalances", "a")
    assert open_calls(balances).answered_by(event({}, subject="account.error")) is balances


def test_a_bare_invocation_is_answered_by_no_event(new: New) -> None:
    """A bare invocation has its completion and nothing else."""
    calls = AtOnce()
    calls.number(new(CREATE, "a"))
    assert not calls
    for any_event in (created(), created("a"), event("x", subject="preChecksError")):
        assert calls.answered_by(any_event) is None


def test_price_pushes_never_answer(creating: New, new: New) -> None:
    """No price push answers any command, wherever it is sent and whatever is open."""
    price = {"id": 1, "buyPrice": 1.5, "sellPrice": 1.4, "size": 1, "pair": "BTCUSDT", "timestamp": 1}
    pushes = [
        event(price, target, **fields)
        for target in ("subscriptions", "executionEvents")
        for fields in ({"subject": "execution.feeds.priceUpdate"}, {})
    ]
    methods = ("GetBalances", "GetLightningInvoices", "SubscribePairPriceChannel", "SomethingNew")
    for call in (creating("a"), *(new(method, "a") for method in methods)):
        assert [open_calls(call).answered_by(push) for push in pushes] == [None] * 4


@pytest.mark.parametrize("data", [None, 5, "text", [], [None], {"encodedPaymentRequest": 5}, {"a": {}}])
def test_odd_data_answers_nobody(creating: New, data: Any) -> None:
    """Data of any other shape answers no command and fails nowhere."""
    assert open_calls(creating("a")).answered_by(event(data)) is None
    assert AtOnce().answered_by(event(data)) is None


# -- the register ------------------------------------------------------------------------------------------


def test_one_open_call_for_a_client_id(creating: New, new: New) -> None:
    """A ClientId is open once; when forgotten it may be used again."""
    call, other = creating("a"), new("GetBalances", "a")
    calls = open_calls(call)
    with pytest.raises(
        InvalidRequest, match="ClientId a is still open, so nothing was sent; wait for its answer"
    ):
        calls.expect_answer(other)
    calls.forget(other)
    assert calls.answered_by(created("a")) is call
    calls.forget(call)
    calls.forget(call)
    assert (bool(calls), calls.unfinished(), calls.answered_by(created("a"))) == (False, set(), None)
    calls.expect_answer(other)
    assert calls


def test_completions_are_taken_once(creating: New, new: New) -> None:
    """Each invocation id is new, belongs to one call, and is taken once."""
    call, bare = creating("a"), new("GetBalances")
    calls = open_calls(call)
    first, second, third = calls.number(call), calls.number(bare), calls.number(call)
    assert len({first, second, third}) == 3
    assert calls.unfinished() == {call, bare}
    assert (calls.take(second), calls.take(second), calls.take("none")) == (bare, None, None)
    calls.forget(call)
    assert (calls.take(first), calls.take(third), calls.unfinished()) == (None, None, set())


def test_fail_tells_all_who_wait(new: New) -> None:
    """A failed call's completion and answer both raise; what is known already stays, and nothing warns."""
    call = new(CREATE, "a")
    call.completion.set_result(5)
    call.fail(error := HercleError("gone"))
    call.fail(HercleError("again"))
    assert call.completion.result() == 5
    assert call.answer.exception() is error


def test_settled(new: New) -> None:
    """A call is settled by an invoice or a refusal."""
    assert not new(CREATE, "a").settled
    assert new(CREATE, "a", invoice=answer()).settled
    assert new(CREATE, "a", rejection=CommandRejected("no", message="no")).settled


def test_what_a_lost_answer_means(creating: New, new: New) -> None:
    """Unsent is a time-out, a query's too, and anything else that was sent is an unknown outcome."""
    call = creating("a")
    unsent = call.lost("no answer came in 1 s")
    assert type(unsent) is HubTimeout
    assert str(unsent) == (
        "CreateLightningInvoice with ClientId a was not sent: no answer came in 1 s. "
        "It will not be sent later."
    )
    query = new("getbalances", sent_at=SENT).lost("no answer came in 1 s")
    assert type(query) is HubTimeout
    assert str(query).endswith("It changes nothing, so ask again.")
    call.sent_at = SENT
    for each in (call, new("SomethingNew", "a", sent_at=SENT), new("WithdrawLightning", sent_at=SENT)):
        lost = each.lost("the connection was lost")
        assert isinstance(lost, OutcomeUnknown)
        assert (lost.client_id, lost.method, lost.sent_at) == (each.client_id, each.method, SENT)
        assert "was sent at 12:34:56 UTC and may or may not have been carried out" in str(lost)
        assert "It is not sent again by itself" in str(lost)
    assert "create_invoice with the same ClientId and arguments sends nothing" in str(call.lost("x"))


@pytest.mark.parametrize(
    ("method", "creation", "sent", "too_large", "decision"),
    [
        (CREATE, True, False, False, AtLoss.SEND_LATER),
        ("GetBalances", False, False, True, AtLoss.SEND_LATER),
        ("SomethingNew", False, False, False, AtLoss.SEND_LATER),
        ("GetBalances", False, True, False, AtLoss.ASK_AGAIN),
        ("getlightninginvoices", False, True, False, AtLoss.ASK_AGAIN),
        ("SubscribePairPriceChannel", False, True, False, AtLoss.ASK_AGAIN),
        ("GetLightningInvoices", False, True, True, AtLoss.FAIL),
        (CREATE, True, True, False, AtLoss.WAIT),
        (CREATE, True, True, True, AtLoss.WAIT),
        (CREATE, False, True, False, AtLoss.FAIL),
        ("WithdrawLightning", False, True, False, AtLoss.FAIL),
        ("SomethingNew", False, True, False, AtLoss.FAIL),
    ],
)
def test_at_loss(
    new: New, method: str, decision: AtLoss, *, creation: bool, sent: bool, too_large: bool
) -> None:
    """Only what changes nothing is ever sent twice, and not if its answer may have ended the connection."""
    call = new(method, "a", request=ask() if creation else None, sent_at=SENT if sent else None)
    assert call.at_loss(too_large=too_large) is decision
