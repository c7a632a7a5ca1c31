"""What is shown of one invoice: card, payment request, raw JSON, and the events that mention it."""

from __future__ import annotations

import gc
import json
import re
import time
import weakref
from contextlib import contextmanager
from dataclasses import replace
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

import hercle_nb as hercle
from hercle_nb.bolt11 import decode_payment_request
from hercle_nb.book import Book
from hercle_nb.log import EventLog
from hercle_nb.widgets._invoice_detail import InvoiceDetail, laid_out, mentions, needles
from tests.answers import foreign, pay_to
from tests.faces import assert_harmless, html
from tests.fast import until
from tests.hostile import HOSTILE
from tests.scripted import scripted_hub
from tests.test_listed import _with_another_signature, entry

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.servers import HubProcess

TEA = foreign("Tea", id="inv_1")
NOT_YET = "The hub's list has not shown it so far"


@pytest.fixture
def hub(simulator: HubProcess) -> Iterator[hercle.Hub]:
    """A hub connected to the simulator."""
    with hercle.connect(url=simulator.url, api_key=simulator.key, journal=False, timeout=10) as hub:
        yield hub


@contextmanager
def opened(hub: hercle.Hub, item: Any) -> Iterator[str]:
    """All HTML of an opened invoice or creation, once its events are there."""
    detail = InvoiceDetail(hub, item, plain=False)
    try:
        until(lambda: "Looking…" not in html(detail))
        yield html(detail)
    finally:
        detail.close()


def log_of(*messages: str) -> EventLog:
    """A log of such messages."""
    log = EventLog()
    log.extend([message.encode() for message in messages], 1)
    return log


def message(data: Any, **names: str) -> str:
    """An event of the hub's, as it writes them."""
    argument = {"subject": "some.thing", **names, "data": data}
    return json.dumps(
        {"type": 1, "target": "executionEvents", "arguments": [argument]}, separators=(",", ":")
    )


def seqs(log: EventLog, client_id: str | None = None, item: Any = TEA) -> list[int]:
    """The events that mention an invoice."""
    events, total = mentions(log, needles(item), client_id)
    assert total >= len(events)
    return [event.seq for event in events]


# -- JSON as it is shown -------------------------------------------------------------------------------------

_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    # what is not seen becomes a mark: the one such character that JSON writes as itself
    | st.text().map(lambda text: text.replace("\x7f", "")),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text('a\\"{}[]:, \n', max_size=5), inner),
    max_leaves=12,
)


@given(_values, st.sampled_from([None, 0, 3]), st.sampled_from([(",", ":"), (" , ", " : ")]))
@example({}, None, (",", ":"))
@example([[], {}, [{}]], None, (",", ":"))
def test_laid_out_is_the_same(value: Any, indent: int | None, separators: tuple[str, str]) -> None:
    """JSON laid out is the same JSON, however it was laid out before, and laid out again the same text."""
    shown = laid_out(json.dumps(value, indent=indent, separators=separators))
    assert json.loads(shown) == value
    assert laid_out(shown) == shown


@pytest.mark.parametrize("number", ["0.10", "1.000000000000000000001", "1E400", "-0", "7" * 5_000, "1e-7"])
def test_digits_stay(number: str) -> None:
    """A number is shown digit for digit."""
    assert laid_out(f'{{"a":{number},"b":[{number}]}}') == (
        f'{{\n  "a": {number},\n  "b": [\n    {number}\n  ]\n}}'
    )


def test_what_is_not_seen_is_marked() -> None:
    """A character that turns the direction, or has no shape, shows as a mark; so does half a character."""
    assert laid_out('["a\u202eb\u200b","\ud800"]') == '[\n  "a⟨U+202E⟩b⟨U+200B⟩",\n  "⟨U+D800⟩"\n]'


@given(st.text(st.sampled_from('ab1 "\\{}[],:\n')))
@example('{"memo":"cut in the mid')
@example('dle of a text","id":"inv_1"}')
def test_half_a_text(text: str) -> None:
    """What is no JSON is laid out all the same, and loses nothing but white space."""
    shown = re.sub(r"⟨U\+000A⟩", "", laid_out(text))
    assert re.sub(r"\s", "", shown) == re.sub(r"\s", "", text)


def test_words_stay_apart() -> None:
    """Words that are no JSON keep the space between them."""
    assert laid_out('{"a":1}… the whole of it').endswith("}… the whole of it")


def test_laying_out_is_quick() -> None:
    """A message of any form takes time in proportion to its length."""
    began = time.monotonic()
    for text in ("a " * 100_000, "{" * 10_000, '"' + "\\" * 100_001, "[]" * 50_000, " " * 100_000):
        laid_out(text)
    assert time.monotonic() - began < 10


# -- events --------------------------------------------------------------------------------------------------


def test_mentions() -> None:
    """An event mentions an invoice by the hub's id, the payment hash or the payment request."""
    log = log_of(
        message({"id": "inv_1"}),
        message({"invoice": {"paymentHash": TEA.payment_hash}}),
        message([{"id": "inv_2"}, {"encodedPaymentRequest": TEA.payment_request}]),
        message(json.dumps({"id": "inv_1"})),  # data as a text
        message({"id": "inv_2"}),
        "not JSON: " + TEA.payment_request,
    )
    assert seqs(log) == [0, 1, 2, 3, 5]


@pytest.mark.parametrize("other", ["inv_10", "xinv_1", "inv_1-a"])
def test_no_mention(other: str) -> None:
    """An id that only begins or ends like this one is another invoice's."""
    assert seqs(log_of(message({"id": other}, clientId=other))) == []


def test_client_id() -> None:
    """An event that carries the ClientId is found, however it is written; one with it in a memo is not."""
    log = log_of(
        message({}, clientId="order-17"),
        message({}, clientId="order-17").replace("order-17", "\\u006frder\\u002d17"),
        message({}, clientId="order-170"),
        message({"memo": "order-17"}),
    )
    assert seqs(log, "order-17") == [0, 1]
    assert seqs(log, "order-17", item=None) == [0, 1]
    assert seqs(log, None, item=None) == []


def test_newest_fifty() -> None:
    """All mentions are counted, and the newest fifty are given, wherever in a long log they stand."""
    log = log_of(*(message({"id": "inv_1" if n % 100 == 0 else "inv_2"}) for n in range(12_000)))
    events, total = mentions(log, needles(TEA), None)
    assert total == 120
    assert [event.seq for event in events] == list(range(7_000, 12_000, 100))


def test_evicted() -> None:
    """What the log has no more is not looked for."""
    log = EventLog(10, 1 << 30)
    log.extend([message({"id": "inv_1"}).encode() for _ in range(5_000)], 1)
    assert seqs(log) == list(range(log.evicted, 5_000))


@pytest.mark.parametrize("text", ["\ud800", '"', "\\", "é", '"a"'])
def test_odd_ids(text: str) -> None:
    """No id of a hub's makes the search fail."""
    item = replace(TEA, id=text, payment_hash=None, payment_request="lnbcrt1x")
    log = log_of(message({"id": text}), message({"id": "inv_2"}), message({"text": "lnbcrt1x"}))
    assert 2 in seqs(log, item=item)
    assert 1 not in seqs(log, item=item)


def test_long_message(hub: hercle.Hub, simulator: HubProcess) -> None:
    """Of a long message what is around the mention is shown, and where the whole of it is."""
    invoice = hub.create_invoice("0.001", "Coffee and cake")
    entries = [{"id": f"other_{n}", "memo": "Tea and cake"} for n in range(300)]
    entries.insert(150, {"id": invoice.id, "memo": "Coffee and cake"})
    simulator.post("push", {"target": "someList", "arguments": [{"subject": "a.list", "data": entries}]})
    event = hub.wait_for("a.list", since=0)
    with opened(hub, invoice) as shown:
        part = shown[shown.index(f"Row {event.seq} ·") : shown.index("Row 2 ·")]
    assert f"hub.log.event({event.seq}).raw" in part
    assert f"&quot;id&quot;: &quot;{invoice.id}&quot;,\n" in part
    assert "&quot;Coffee and cake&quot;" in part
    assert "other_149" not in part
    assert "other_150" in part
    assert "other_299" not in part


# -- the whole of it -----------------------------------------------------------------------------------------


def test_created(hub: hercle.Hub) -> None:
    """An invoice made here: its card, its payment request decoded, the answer; not listed yet."""
    invoice = hub.create_invoice("0.001", "Coffee", client_id="order-17")
    hub.create_invoice("0.002", "Tea")
    with opened(hub, invoice) as shown:
        assert "order-17" in shown
        assert "Decoded payment request" in shown
        assert NOT_YET in shown
        assert "Events that mention it (1)" in shown
        assert "execution.invoice.created" in shown
        assert "0.002" not in shown
        assert_harmless(shown)


def test_listed(hub: hercle.Hub) -> None:
    """Once the hub's list has shown it, its entry is there, digit for digit, and the list is an event."""
    invoice = hub.create_invoice("0.001", "Coffee")
    hub.refresh_invoices()
    with opened(hub, invoice) as shown:
        assert NOT_YET not in shown
        listed = hub._core.book.listed(invoice)
        assert listed is not None
        for name, value in listed.items():
            said = value if isinstance(value, int | Decimal) else f"&quot;{value}&quot;"
            assert f"&quot;{name}&quot;: {'null' if value is None else said}" in shown
        assert "Events that mention it (2)" in shown
        assert "lightspark.invoices.snapshot" in shown


def test_escaped(hub: hercle.Hub, simulator: HubProcess) -> None:
    """What the hub says is text, in the card, in the JSON and in the events."""
    memo = "<script>alert(1)</script><img src=x onerror=alert(1)>"
    invoice = hub.create_invoice("0.001", memo)
    hub.refresh_invoices()
    subject = "<img src=x onerror=alert(1)>" * 100
    simulator.post("push", {"target": "t", "arguments": [{"subject": subject, "data": invoice.id}]})
    hub.wait_for(subject, since=0)
    with opened(hub, invoice) as shown:
        assert "Events that mention it (3)" in shown
        assert "&lt;script&gt;" in shown
        assert_harmless(shown)


def test_hostile_entries() -> None:
    """No text in any field of the hub's list is more than text, or keeps an invoice from being shown."""
    with scripted_hub() as server:
        texts = [*HOSTILE, "\ud800"]
        names = ("id", "memo", "status", "updatedAt", "paymentPreimage", "paymentHash", "userId", "expiresAt")
        server.invoices += [
            {**dict.fromkeys(names, text), "encodedPaymentRequest": request, text: {text: [text]}}
            for n, text in enumerate(texts)
            for request in (f"lnbcrt1{n}{text}", pay_to(payment_hash=bytes([n]) * 32))
        ]
        with hercle.connect(url=server.url, api_key=server.key, journal=False) as hub:
            hub.refresh_invoices()
            invoices = hub._core.book.invoices()
            assert len(invoices) == 2 * len(texts)
            for invoice in invoices:
                with opened(hub, invoice) as shown:
                    assert_harmless(shown)
                    assert NOT_YET not in shown


def test_signature_is_looked_at(hub: hercle.Hub) -> None:
    """The payment request of one made elsewhere is taken apart with its payee; a forged one is refused."""
    text = pay_to()
    for request, fits in ((text, True), (_with_another_signature(text), False)):
        hub._core.book = Book("")
        hub._core.book.merge([entry(encodedPaymentRequest=request)])
        (invoice,) = hub._core.book.invoices()
        with opened(hub, invoice) as shown:
            assert ("Decoded payment request" in shown) is fits
            assert ("cannot be read (unrecoverable)" in shown) is not fits
            assert not fits or decode_payment_request(text).payee in shown


def test_unknown(hub: hercle.Hub, simulator: HubProcess) -> None:
    """A creation without an answer: what was asked and when, that it is not sent again, no events."""
    simulator.mode(noReply=True)
    with pytest.raises(hercle.OutcomeUnknown):
        hub.create_invoice("0.001", "<b>Coffee</b>\u200b", client_id="lost", timeout=0.3)
    (call,) = hub._core.book.without_invoice()
    with opened(hub, call) as shown:
        for words in ("0.00100000 BTC", "&lt;b&gt;Coffee&lt;/b&gt;⟨U+200B⟩", ">lost<", "may or may not"):
            assert words in shown
        assert f"{call.sent_at:%Y-%m-%d %H:%M:%S} UTC" in shown
        assert "Nothing is sent again by itself." in shown
        assert "Events that mention it (0)" in shown
        assert_harmless(shown)


def test_rejected(hub: hercle.Hub, simulator: HubProcess) -> None:
    """A refused creation: the hub's words, escaped, and the event that says them."""
    simulator.mode(hubError="<img src=x onerror=alert(1)> no \u202e")
    with pytest.raises(hercle.CommandRejected):
        hub.create_invoice("0.001", client_id="refused-0")
    simulator.mode(errorSubject="execution.invoice.error")
    with pytest.raises(hercle.CommandRejected):
        hub.create_invoice("0.001", client_id="refused-1")
    first, second = hub._core.book.without_invoice()
    with opened(hub, first) as shown:
        assert "&lt;img src=x onerror=alert(1)&gt; no ⟨U+202E⟩" in shown
        assert "<em>none</em>" in shown
        assert_harmless(shown)
    with opened(hub, second) as shown:
        assert "ACCOUNT_LOCKED" in shown
        assert "Events that mention it (1)" in shown


def test_closed_hub(hub: hercle.Hub) -> None:
    """With the hub closed everything is shown as well, from its log."""
    invoice = hub.create_invoice("0.001", "Coffee")
    hub.close()
    with opened(hub, invoice) as shown:
        assert "Events that mention it (1)" in shown


def test_search_fails(hub: hercle.Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the log cannot be searched that is said."""
    invoice = hub.create_invoice("0.001", "Coffee")
    monkeypatch.setattr(hub.log, "read", lambda *_: 1 / 0)
    with opened(hub, invoice) as shown:
        assert "ZeroDivisionError: division by zero" in shown
        assert "Coffee" in shown


def test_lets_the_hub_go(simulator: HubProcess) -> None:
    """It keeps its hub until it is closed, and no longer."""
    hub = hercle.connect(url=simulator.url, api_key=simulator.key, journal=False)
    detail, gone = InvoiceDetail(hub, hub.create_invoice("0.001"), plain=False), weakref.ref(hub)
    until(lambda: "Looking…" not in html(detail))
    del hub
    gc.collect()
    assert gone() is not None
    detail.close()
    until(lambda: gc.collect() >= 0 and gone() is None)
