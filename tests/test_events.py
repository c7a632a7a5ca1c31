"""Events: every shape of envelope that the documentation draws, and everything else a hub may send."""

from __future__ import annotations

import dataclasses
import json
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hercle_nb.events import Content, HubEvent, read_event, read_message

CREATED = {"httpStatusCode": 201, "id": "inv_1", "message": "ok", "encodedPaymentRequest": "lnbcrt1"}
FULL = {
    "channel": "eventName",
    "topic": "execution",
    "subject": "execution.invoice.created",
    "type": "message",
    "clientId": "my-invoice-123",
    "data": CREATED,
}
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=15,
)
KEYS = ("type", "target", "arguments", "channel", "topic", "subject", "clientId", "data", "error")


def invocation(*arguments: Any, target: Any = "executionEvents") -> str:
    """Return an invocation as a hub sends it."""
    return json.dumps({"type": 1, "target": target, "arguments": list(arguments)})


def test_full_envelope() -> None:
    """Every field of a full envelope has its place."""
    assert read_event(invocation(FULL)) == Content(
        target="executionEvents",
        subject="execution.invoice.created",
        client_id="my-invoice-123",
        data=CREATED,
        channel="eventName",
        topic="execution",
        type="message",
    )


def test_data_as_a_json_string() -> None:
    """Data drawn as a JSON string is the same event as data drawn as an object or array."""
    for data in (CREATED, [CREATED], [], {}):
        drawn = invocation({**FULL, "data": data})
        for text in (json.dumps(data), json.dumps(data, indent=2), f"\r\n {json.dumps(data)}\n"):
            assert read_event(invocation({**FULL, "data": text})) == read_event(drawn)


def test_bare_envelope() -> None:
    """The command pages' `{"data": …}` alone is an event without subject and ClientId."""
    content = read_event(invocation({"data": CREATED}))
    assert content == Content(target="executionEvents", data=CREATED)


@pytest.mark.parametrize(
    ("argument", "data"),
    [
        ({"data": "AmountBtc must be positive"}, "AmountBtc must be positive"),
        ({"data": "{half"}, "{half"),
        ({"data": "{'a': 1}"}, "{'a': 1}"),
        ({"data": ""}, ""),
        ({"data": "5"}, "5"),
        ({"data": "null"}, "null"),
        ({"data": None}, None),
        ({"data": 0.1}, Decimal("0.1")),
        ({"data": False}, False),
        ({"data": '{"a": 0.30000000000000001}'}, {"a": Decimal("0.30000000000000001")}),
        ({"data": "[1e9999999999999999999]"}, "[1e9999999999999999999]"),
        ({"data": "\ud800"}, "\ud800"),
        ({"subject": "s"}, {"subject": "s"}),
        ({"id": 5, "price": 1}, {"id": 5, "price": 1}),
        ({}, {}),
        ([1, 2], [1, 2]),
        ('{"data": 1}', {"data": 1}),
        ("text", "text"),
        (None, None),
        (7, 7),
    ],
)
def test_data(argument: Any, data: Any) -> None:
    """Data is decoded where it is a JSON object or array, and what came otherwise."""
    raw = invocation(argument)
    assert read_event(raw).data == data
    assert type(read_event(raw).data) is type(data)
    assert read_event(raw).target == "executionEvents"


@pytest.mark.parametrize("value", [5, None, True, ["a"], {"a": 1}, 0.5])
def test_fields_of_another_type(value: Any) -> None:
    """An envelope's field that is no text is missing; the rest is kept."""
    content = read_event(invocation(dict.fromkeys(FULL, value) | {"data": CREATED}, target=value))
    assert content == Content(data=CREATED)


def test_number_of_arguments() -> None:
    """No argument, several and none at all are events too; of several, all are kept."""
    assert read_event(invocation()) == Content(target="executionEvents")
    assert read_event(invocation(FULL, 2)) == Content(target="executionEvents", data=[FULL, 2])
    for arguments in (None, "text", {"0": FULL}):
        message = {"type": 1, "target": "t", "arguments": arguments}
        assert read_event(json.dumps(message)) == Content(target="t", type="no arguments", data=message)
    assert read_event('{"type":1,"target":"t"}').type == "no arguments"


def test_targets() -> None:
    """Any target is kept as it is written."""
    for target in ("subscriptions", "EXECUTIONEVENTS", "never heard of", "", "\ud800"):
        assert read_event(invocation(FULL, target=target)).target == target


@pytest.mark.parametrize(
    ("raw", "type_", "data"),
    [
        ("", "not JSON", None),
        ("garbage", "not JSON", None),
        ('{"type":1', "not JSON", None),
        ("\x00\x1e", "not JSON", None),
        ("\ud800", "not JSON", None),
        ("{}", "not a message", {}),
        ('{"error":"x"}', "not a message", {"error": "x"}),
        ("[1]", "not a message", [1]),
        ("5", "not a message", 5),
        ('"text"', "not a message", "text"),
        ("Infinity", "not a message", float("inf")),
        ('{"type":"1"}', "not a message", {"type": "1"}),
        ('{"type":true}', "not a message", {"type": True}),
        ('{"type":1.0}', "not a message", {"type": Decimal("1.0")}),
        ('{"type":2,"item":5}', "message type 2", {"type": 2, "item": 5}),
        ('{"type":99}', "message type 99", {"type": 99}),
        ('{"type":-1}', "message type -1", {"type": -1}),
        pytest.param("[" * 100_000, "not JSON", None, id="deep"),
        pytest.param(f"{'[' * 100_000}{']' * 100_000}", "not JSON", None, id="deep and closed"),
        pytest.param("9" * 10_000, "not a message", Decimal("9" * 10_000), id="10000 digits"),
    ],
)
def test_what_is_no_invocation(raw: str, type_: str, data: Any) -> None:
    """Garbage and unknown messages are events, and their type says which."""
    assert read_event(raw) == Content(type=type_, data=data)


def test_numbers_beyond_measure() -> None:
    """NaN, infinities, integers of 10,000 digits and deep nesting in the data lose no event."""
    start, end = '{"type":1,"target":"t","arguments":[{"clientId":"a","data":', "}]}"
    nan = read_event(f"{start}NaN{end}")
    assert (nan.client_id, nan.data != nan.data) == ("a", True)
    assert read_event(f"{start}[Infinity,-Infinity]{end}").data == [float("inf"), float("-inf")]
    assert read_event(f"{start}{'9' * 10_000}{end}") == Content("t", None, "a", Decimal("9" * 10_000))
    assert read_event(f"{start}1e999999{end}").data == Decimal("1E+999999")
    assert read_event(f'{start}"{"[" * 100_000}"{end}').data == "[" * 100_000
    for hopeless in ("[" * 100_000 + "]" * 100_000, "1e1000000000000000000"):
        assert read_event(f"{start}{hopeless}{end}") == Content(type="not JSON")


def test_half_characters() -> None:
    """A lone surrogate, escaped or not, stays where it stands."""
    for text in ("\ud800", "\udfff\ud800"):
        for escaped in (True, False):
            raw = json.dumps(
                {"type": 1, "target": "t", "arguments": [{"subject": text}]}, ensure_ascii=escaped
            )
            assert read_event(raw).subject == text


@given(st.text() | st.binary().map(lambda octets: octets.decode("utf-8", "surrogateescape")))
def test_any_text_is_an_event(raw: str) -> None:
    """No text whatever makes reading fail."""
    assert isinstance(read_event(raw), Content)


@given(JSON)
def test_any_json_is_an_event(value: Any) -> None:
    """No JSON value makes reading fail, as a message, an argument, data, or data in a string."""
    text = json.dumps(value)
    raws = (text, invocation(value), invocation({"data": value}), invocation({"data": text}))
    contents = [read_event(raw) for raw in raws]
    assert all(content.target == "executionEvents" for content in contents[1:])
    assert repr(contents[2].data) == repr(read_event(raws[2]).data)
    if isinstance(value, dict | list):
        assert repr(contents[3].data) == repr(contents[2].data)


@given(
    st.dictionaries(st.sampled_from(KEYS), JSON | st.just(1)), st.dictionaries(st.sampled_from(KEYS), JSON)
)
def test_any_envelope_is_an_event(message: dict[str, Any], envelope: dict[str, Any]) -> None:
    """Known keys with any values make texts or nothing of every field that is a text."""
    for raw in (json.dumps(message), json.dumps({"type": 1, **message}), invocation(envelope)):
        content = read_event(raw)
        for field in msgspec.structs.fields(content):
            assert field.name == "data" or isinstance(getattr(content, field.name), str | None)
        kind, _ = read_message(raw)
        assert kind is None or type(kind) is int


def test_event_is_frozen() -> None:
    """A `HubEvent` cannot be changed, and its attributes are the frame's index and columns, in order."""
    event = HubEvent(0, datetime.now(UTC), "event", 1, *[None] * 8)
    with pytest.raises(dataclasses.FrozenInstanceError):
        event.subject = "x"  # type: ignore[misc]
    names = "seq received_at kind connection target subject client_id data channel topic type raw"
    assert [field.name for field in dataclasses.fields(event)] == names.split()
