"""The console, without a browser: what it sends at once, what it asks about, and what it never sends."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest

import hercle_nb as hercle
from hercle_nb.widgets._console import OTHER, SPENDS
from hercle_nb.widgets.console import CommandConsole
from tests.faces import Browser, settled
from tests.fast import until
from tests.scripted import scripted_hub
from tests.servers import KEY

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.servers import HubProcess

CREATE = "CreateLightningInvoice"
COFFEE = {"AmountBtc": "0.001", "Memo": "Coffee"}


class Page:
    """A console as a browser shows it and presses it."""

    def __init__(self, hub: hercle.Hub) -> None:
        self.face = CommandConsole(hub)
        self.live: Any = self.face._face
        self.browser = Browser(self.live)

    def __getitem__(self, name: str) -> Any:
        return self.live.state[name]

    def say(self, kind: str, turn: Any = None, **content: Any) -> None:
        """Press something on the page as it is, or as it was in that turn."""
        self.browser.say(kind, turn=self["turn"] if turn is None else turn, **content)
        settled()

    def send(self, command: str, **fields: Any) -> None:
        """Press Send, and wait until the hub has answered if it was asked."""
        self.say("send", command=command, fields=fields)
        until(lambda: self["phase"] != "waiting")

    def confirm(self) -> None:
        """Press Yes, and wait for the answer."""
        self.say("confirm")
        until(lambda: self["phase"] == "idle")


@pytest.fixture
def page(hub: hercle.Hub) -> Iterator[Page]:
    """A console on a hub."""
    page = Page(hub)
    yield page
    page.face.close()
    settled()


def methods(server: HubProcess) -> list[str]:
    """The methods that the hub was asked to run, whether it has them or not."""
    received = [message for message in server.stats()["received"] if '"target"' in message]
    return [json.loads(message.rstrip("\x1e"))["target"] for message in received]


def test_choices(page: Page) -> None:
    """The documented commands, queries first, and any other; none that spends money has fields."""
    assert page.live.options["commands"] == [
        ("GetBalances", ["ClientId"]),
        ("GetLightningInvoices", ["ClientId"]),
        ("SubscribePairPriceChannel", ["ClientId", "PairName", "Size"]),
        ("UnsubscribePairPriceChannel", ["ClientId", "PairName", "Size"]),
        (CREATE, ["ClientId", "AmountBtc", "Memo", "ExpiryHours"]),
        ("WithdrawLightning", []),
        ("other", ["Method", "ClientId", "Arguments"]),
    ]
    assert page.live.options["spends"] == SPENDS


@pytest.mark.parametrize("fields", [{}, {"ClientId": " mine-1 "}])
def test_queries_go_at_once(page: Page, hub: hercle.Hub, fields: dict[str, str]) -> None:
    """A query is sent without a question, once, and its answer shown as it came."""
    page.send("GetBalances", **fields)
    assert (page["phase"], page["question"], page["told"]) == ("idle", "", "")
    answer = json.loads(page["answer"])
    assert answer["arguments"][0]["data"]["baseCurrency"] == "EUR"
    client_id = answer["arguments"][0]["clientId"]
    assert page["sent"] == f'GetBalances ["{client_id}"]'
    assert client_id == fields.get("ClientId", client_id).strip()
    hub.create_invoice(amount_sat=5, memo="Tea")
    page.send("GetLightningInvoices", **fields)
    assert [one["memo"] for one in json.loads(page["answer"])["arguments"][0]["data"]] == ["Tea"]
    assert list(hub.log.frame("command")["target"]) == ["GetBalances", CREATE, "GetLightningInvoices"]


def test_a_creation_is_asked_about(page: Page, hub: hercle.Hub, server: HubProcess) -> None:
    """A creation is sent once it is confirmed, once, and is known to the hub as any other."""
    page.send(CREATE, ClientId="order-17", **COFFEE)
    assert page["phase"] == "confirm"
    assert page["sent"] == page["answer"] == ""
    question = page["question"]
    assert question.startswith("This may change something on sandbox, and is sent once: ")
    assert f'{CREATE} ["order-17",0.001,"Coffee",null]' in question
    assert "0.00100000 BTC = 100\u202f000 sat" in question
    assert server.created() == 0
    turn = page["turn"]
    for _ in range(3):
        page.say("confirm", turn)
    until(lambda: page["phase"] == "idle")
    page.say("confirm", turn)
    answer = json.loads(page["answer"], parse_float=Decimal)
    made = hub.invoice("order-17")
    assert (answer["id"], answer["encodedPaymentRequest"]) == (made.id, made.payment_request)
    assert (answer["clientId"], answer["amountBtc"]) == ("order-17", Decimal("0.001"))
    assert "askedBtc" not in answer
    assert server.created() == 1


def test_another_amount_than_asked_for() -> None:
    """The answer tells the amount of the payment request, and what was asked for where that is another."""
    with scripted_hub() as server, hercle.connect(url=server.url, api_key=KEY, journal=False) as hub:
        server.charges = 1_000
        page = Page(hub)
        page.send(CREATE, ClientId="order-17", **COFFEE)
        page.confirm()
        answer = json.loads(page["answer"], parse_float=Decimal)
        assert (answer["amountBtc"], answer["askedBtc"]) == (Decimal("0.00000001"), Decimal("0.001"))
        page.face.close()
        settled()


def test_back(page: Page, hub: hercle.Hub, server: HubProcess) -> None:
    """What was asked about and taken back is not sent, however late it is confirmed."""
    page.send(CREATE, **COFFEE)
    turn = page["turn"]
    page.say("back")
    assert (page["phase"], page["question"], page["told"]) == ("idle", "", "")
    page.say("confirm", turn)
    page.say("confirm")
    assert server.created() == 0
    assert hub.unresolved.empty


@pytest.mark.parametrize("turn", [0, -1, 99, "2", None, 1.5])
def test_stale_presses(page: Page, server: HubProcess, turn: Any) -> None:
    """A press on a page of another turn, or on none, does nothing."""
    page.send(CREATE, **COFFEE)
    page.say("back")
    now = dict(page.live.state)
    for kind in ("send", "confirm", "back"):
        page.browser.say(kind, turn=turn, command="GetBalances", fields={})
    settled()
    assert page.live.state == now
    assert server.created() == 0


def test_one_at_a_time(page: Page, hub: hercle.Hub, server: HubProcess) -> None:
    """While an answer is waited for nothing else is sent."""
    server.mode(replyDelayMs=400)
    page.say("send", command="GetBalances", fields={})
    assert page["phase"] == "waiting"
    page.say("send", command="GetBalances", fields={})
    page.say("confirm")
    until(lambda: page["phase"] == "idle")
    assert len(hub.log.frame("command")) == 1


@pytest.mark.parametrize(
    ("command", "fields", "told"),
    [
        (CREATE, {}, "Type an amount"),
        (CREATE, {"AmountBtc": "0,001"}, "digits with at most one point"),
        (CREATE, {"AmountBtc": "0"}, "more than 0 BTC"),
        (CREATE, {"AmountBtc": "0.000000001"}, "finer than one satoshi"),
        (CREATE, {"AmountBtc": "22000000"}, "21,000,000"),
        (CREATE, {**COFFEE, "ExpiryHours": "721"}, "1 to 720"),
        (CREATE, {**COFFEE, "ExpiryHours": "1.5"}, "1 to 720"),
        (CREATE, {**COFFEE, "ExpiryHours": "24.000"}, "'24.000' is 24 or 24 thousand; type 24 or 24000."),
        (CREATE, {**COFFEE, "Memo": "x" * 640}, "640 bytes"),
        (CREATE, {**COFFEE, "Memo": "a\u202eb"}, "U+202E"),
        (CREATE, {**COFFEE, "ClientId": "x" * 37}, "36 printable"),
        ("GetBalances", {"ClientId": "with space"}, "36 printable"),
        ("SubscribePairPriceChannel", {"PairName": "BTCUSDT", "Size": "many"}, "number above 0"),
        ("SubscribePairPriceChannel", {"PairName": "BTCUSDT", "Size": "1e5"}, "number above 0"),
        ("SubscribePairPriceChannel", {"PairName": "BTCUSDT", "Size": "0"}, "number above 0"),
        ("SubscribePairPriceChannel", {"PairName": " "}, "A pair is a text"),
        (OTHER, {}, "name of a method"),
        (OTHER, {"Method": "Do", "Arguments": "{"}, "JSON array"),
        (OTHER, {"Method": "Do", "Arguments": '{"a":1}'}, "JSON array"),
        (OTHER, {"Method": "Do", "Arguments": "[" * 50_000}, "Arguments must be a JSON array"),
        (OTHER, {"Method": "Do", "Arguments": "7" * 5_000}, "JSON array"),
        (OTHER, {"Method": "SubscribePairPriceChannel"}, "hub.prices"),
        (OTHER, {"Method": "createlightninginvoice", "Arguments": "[22000000, null, null]"}, "Choose Create"),
    ],
)
def test_bad_fields(page: Page, hub: hercle.Hub, command: str, fields: dict[str, str], told: str) -> None:
    """What breaks a rule is told, nothing is sent or asked about, and the mended command goes."""
    page.send(command, **fields)
    assert told in page["told"]
    assert (page["phase"], page["answer"]) == ("idle", "")
    assert len(hub.log) == 1  # that it is connected
    page.send("GetBalances")
    assert page["told"] == ""
    assert page["answer"]


@pytest.mark.parametrize("fields", [None, "text", [1], {"ClientId": 7}, {"ClientId": None, "7": "x"}])
def test_garbage_in_fields(page: Page, fields: Any) -> None:
    """Fields that are no texts count as empty; what has no fields is no press."""
    page.say("send", command="GetBalances", fields=fields)
    until(lambda: page["phase"] == "idle")
    assert bool(page["answer"]) is isinstance(fields, dict)


@pytest.mark.parametrize(
    "name", ["WithdrawLightning", "withdrawlightning", "WITHDRAWLIGHTNING", " WithdrawLightning\t"]
)
def test_never_spends(page: Page, server: HubProcess, name: str) -> None:
    """What spends money is refused under any spelling, chosen or typed; nothing of it reaches the hub."""
    page.send(name)
    assert page["told"] == SPENDS
    page.send(name, Method="GetBalances")
    assert page["told"] == SPENDS
    page.send(OTHER, Method=name, Arguments='["lnbc1"]')
    assert page["told"] == SPENDS
    page.say("confirm")
    page.send("GetBalances")
    assert methods(server) == ["GetBalances"]


def test_prices(page: Page, hub: hercle.Hub) -> None:
    """A feed begins and ends without a question; where there is none, or another one, that is told."""
    page.send("SubscribePairPriceChannel", PairName=" BTCUSDT ", Size="0.5")
    assert json.loads(page["answer"], parse_float=Decimal) == {
        "subscribed": "BTCUSDT",
        "size": Decimal("0.5"),
    }
    assert list(hub.subscriptions.index) == ["BTCUSDT"]
    page.send("SubscribePairPriceChannel", PairName="BTCUSDT")
    assert "subscribed for 0.5" in page["told"]
    page.send("UnsubscribePairPriceChannel", PairName="BTCUSDT")
    assert json.loads(page["answer"]) == {"unsubscribed": "BTCUSDT"}
    until(lambda: hub.subscriptions.empty)
    page.send("UnsubscribePairPriceChannel", PairName="BTCUSDT")
    assert "No prices of 'BTCUSDT' are subscribed." in page["told"]


def test_any_other_method(page: Page, server: HubProcess) -> None:
    """A method that is not known to change nothing is asked about, and sent as it was shown."""
    page.send(OTHER, Method="Transfer", ClientId="mine", Arguments='["a", 0.10, 12345678901234567890, null]')
    assert page["phase"] == "confirm"
    assert 'Transfer ["mine","a",0.10,12345678901234567890,null]' in page["question"]
    assert methods(server) == []
    page.confirm()
    assert "Transfer" in page["told"]
    assert "does not exist" in page["told"]
    assert methods(server) == ["Transfer"]
    assert '["mine","a",0.10,12345678901234567890,null]' in server.stats()["received"][-1]


def test_other_query(page: Page) -> None:
    """A query that was typed goes at once as well, in any case of letters."""
    page.send(OTHER, Method="getbalances")
    assert "account.balances.snapshot" in page["answer"]


def test_a_typed_creation_is_not_sent(page: Page, server: HubProcess) -> None:
    """A creation that was typed as any other method would go unchecked and be forgotten: it is not sent."""
    page.send(OTHER, Method=" createLIGHTNINGinvoice ", Arguments='[0.001, "Coffee", 24]')
    assert page["phase"] == "idle"
    assert "Choose CreateLightningInvoice" in page["told"]
    page.confirm()
    assert server.created() == 0


def test_memo_is_kept(page: Page, server: HubProcess) -> None:
    """Spaces belong to a memo; an empty one is none."""
    for memo in (" a  b ", ""):
        page.send(CREATE, AmountBtc=" 0.001 ", Memo=memo, ExpiryHours=" 2 ")
        page.confirm()
        assert page["told"] == ""
    calls = [call for call in server.stats()["invocations"] if call["method"] == CREATE]
    assert [(call["memo"], call["expiryHours"]) for call in calls] == [(" a  b ", 2), (None, 2)]
