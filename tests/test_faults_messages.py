"""The fault matrix, rows 45 to 54 and 65: messages that no hub should send, and messages that are too large.

Each row on every hub where it can be made: the simulator, ASP.NET Core SignalR and a lenient server.
"""

from __future__ import annotations

import logging
import math
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest
from aiohttp import WSMsgType

import hercle_nb as hercle
from tests.fast import fast_hub, healed, until
from tests.frames import run_chunk
from tests.scripted import assert_well, scripted_hub

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.scripted import AnyHub

MIB = 1024 * 1024
LIST = "GetLightningInvoices"


@pytest.fixture
def server(any_server: AnyHub) -> AnyHub:
    """Each of the three hubs, as good as new."""
    return any_server


@pytest.fixture
def hub(server: AnyHub) -> Iterator[hercle.Hub]:
    """A hub with short delays."""
    with fast_hub(server.url, timeout=30) as hub:
        yield hub


@pytest.fixture(autouse=True)
def nothing_logged(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """Fail a test during which the package logged that something of its own went wrong."""
    yield
    assert [record for record in caplog.records if record.levelno >= logging.WARNING] == []


def event(data: str, subject: str = '"a.b"') -> str:
    """Return an event as text, its data and subject as JSON."""
    argument = f'{{"subject":{subject},"clientId":"c","data":{data}}}'
    return f'{{"type":1,"target":"executionEvents","arguments":[{argument}]}}'


def rows(hub: hercle.Hub, count: int) -> Any:
    """Wait for so many events; return their rows, after what a cell would do with them: show them."""
    until(lambda: hub.stats["events"] >= count)
    frame = hub.events
    assert repr(frame)
    assert frame._repr_html_()
    assert repr(hub)
    frame = frame[frame["kind"] == "event"]
    assert len(frame) == count
    assert (frame["connection"] == 1).all()
    return frame.reset_index()


def send(hub: hercle.Hub, server: AnyHub, *messages: str) -> Any:
    """Have the hub send messages; return their rows, each of which holds its message whole."""
    for message in messages:
        server.post("raw", f"{message}␞")
    frame = rows(hub, len(messages))
    assert list(frame["raw"]) == list(messages)
    return frame


def test_row_45_not_json(hub: hercle.Hub, server: AnyHub) -> None:
    """What is not JSON is a row that says so."""
    frame = send(
        hub, server, "no json", "{", '{"type":1,"target":"exec', '{"type":6', "[1,2", "␀", " ", "é€😀"
    )
    assert list(frame["type"].unique()) == ["not JSON"]
    assert frame["data"].isna().all()
    assert_well(hub, server)


def test_row_46_unknown_type(hub: hercle.Hub, server: AnyHub) -> None:
    """A message of an unknown type, or of none, is a row with what it holds."""
    frame = send(
        hub,
        server,
        '{"type":42,"a":0.10}',
        '{"type":9,"sequenceId":1}',
        '{"type":2,"invocationId":"1","item":1}',
        '{"type":"1","target":"x"}',
        '{"type":true}',
        "{}",
        "[1]",
        "5",
        '"text"',
    )
    assert list(frame["type"]) == [
        *("message type 42", "message type 9", "message type 2"),
        *["not a message"] * 6,
    ]
    assert frame["data"].iloc[0] == {"type": 42, "a": Decimal("0.10")}
    assert_well(hub, server)


def test_row_47_extra_and_missing_fields(hub: hercle.Hub, server: AnyHub) -> None:
    """Fields that nobody knows are ignored; those that are missing or of another kind are missed by none."""
    server.post("raw", '{"type":6,"extra":1}␞{"type":3,"invocationId":"999","error":5,"x":[]}␞')  # no rows
    frame = send(
        hub,
        server,
        '{"type":1,"extra":1,"headers":{},"streamIds":[],"target":"executionEvents",'
        '"arguments":[{"subject":"a.b","data":{"n":1},"more":2}]}',
        '{"target":"executionEvents","arguments":[{"subject":"a.b","data":{"n":2}}],"type":1}',
        '{"type":1}',
        '{"type":1,"target":"half"}',
        '{"type":1,"target":5,"arguments":{}}',
        '{"type":1,"arguments":[]}',
        '{"type":1,"target":"executionEvents","arguments":[{"subject":5,"clientId":[],"data":null}]}',
        '{"type":3}',
        '{"type":3,"invocationId":1}',
    )
    assert list(frame["subject"].iloc[:2]) == ["a.b", "a.b"]
    assert list(frame["data"].iloc[:2]) == [{"n": 1}, {"n": 2}]
    assert list(frame["target"].fillna("-").iloc[2:7]) == ["-", "half", "-", "-", "executionEvents"]
    assert list(frame["type"].fillna("-").iloc[2:5]) == ["no arguments"] * 3
    assert frame[["subject", "client_id"]].iloc[2:].isna().all(axis=None)
    assert_well(hub, server)


def test_row_48_binary_frame_lenient() -> None:
    """A binary WebSocket frame is read like a text frame (lenient server: the others send text alone)."""
    with scripted_hub() as server, fast_hub(server.url) as hub:
        message = event('{"n":1}')
        server.write(f"{message}\x1e".encode(), WSMsgType.BINARY)
        server.write(b"\x00\x01\x02\xff\x1e", WSMsgType.BINARY)
        server.write(f"{message[:20]}".encode(), WSMsgType.BINARY)
        server.write(f"{message[20:]}\x1e".encode(), WSMsgType.TEXT)
        frame = rows(hub, 3)
        assert list(frame["subject"].fillna("-")) == ["a.b", "-", "a.b"]
        assert list(frame["raw"]) == [message, "\x00\x01\x02\udcff", message]
        assert_well(hub, server)


def test_row_49_five_mebibytes(hub: hercle.Hub, server: AnyHub) -> None:
    """A message of 5 MiB is an event like any other."""
    server.post("push", {"subject": "big", "padding": 5 * MIB})
    frame = rows(hub, 1)
    assert frame["data"].iloc[0]["padding"] == "x" * (5 * MIB)
    assert hub.stats["bytes_in"] > 5 * MIB
    assert_well(hub, server)


@pytest.mark.parametrize(
    ("limit", "timings"), [("16,777,216", {}), ("100,000", {"max_size": 100_000})], ids=["default", "small"]
)
def test_row_50_over_the_limit(server: AnyHub, limit: str, timings: dict[str, int]) -> None:
    """A message over the limit is reported once, as a gap that names it, and the connection heals."""
    with fast_hub(server.url, timeout=30, **timings) as hub:
        size = int(limit.replace(",", ""))
        server.post("push", {"subject": "big", "padding": size + size // 4})
        healed(hub)
        assert_well(hub, server, gaps=1)
        assert list(hub.log.gaps["reason"]) == [f"a message exceeded {limit} bytes"]
        assert list(hub.events["subject"]).count("connection.lost") == 1
        assert server.stats()["connectionsEver"] == 2


def asked(server: AnyHub) -> int:
    """How often the hub was asked for its list."""
    return [invocation["method"] for invocation in server.stats()["invocations"]].count(LIST)


def test_row_50_an_answer_over_the_limit(server: AnyHub) -> None:
    """A query whose answer is too large fails; it is not asked again for ever, not by a reconnect either."""
    with fast_hub(server.url, timeout=30, max_size=4_000) as hub:
        for _ in range(4):
            hub.create_invoice("0.001", "m" * 600, 24)
        with pytest.raises(hercle.HubTimeout, match="a message exceeded 4,000 bytes"):
            hub.command(LIST)
        healed(hub)
        assert_well(hub, server, gaps=1)
        server.lose()
        healed(hub, 2)
        assert_well(hub, server, gaps=2)
        assert asked(server) == 1


def test_row_50_a_list_over_the_limit_on_the_way_back(server: AnyHub) -> None:
    """The list that a reconnect asks for is too large: one more gap, and then it is asked for no more."""
    with fast_hub(server.url, timeout=30, max_size=4_000) as hub:
        for _ in range(4):
            hub.create_invoice("0.001", "m" * 600, 24)
        server.lose()
        healed(hub, 2)
        assert_well(hub, server, gaps=2)
        assert hub.log.gaps["reason"].iloc[1] == "a message exceeded 4,000 bytes"
        assert asked(server) == 1


def test_row_51_nested_100000_deep(hub: hercle.Hub, server: AnyHub) -> None:
    """Nesting that no JSON reader follows is a row that cannot be read; the connection stays."""
    deep = "[" * 100_000 + "]" * 100_000
    objects = '{"a":' * 100_000 + "1" + "}" * 100_000
    text = "[" * 100_000
    messages = (
        event(deep),
        event(f'"{text}"'),
        f'{{"target":"executionEvents","arguments":[{deep}],"type":1}}',
        f'{{"type":3,"invocationId":"1","result":{objects}}}',
        f'{{"type":7,"error":{deep}}}',
        deep,
        objects,
        text,
        event("[" * 400 + "0.1" + "]" * 400),
    )
    frame = send(hub, server, *messages)
    assert list(frame["type"].fillna("-")) == ["not JSON", "-", *["not JSON"] * 6, "-"]
    assert frame["data"].iloc[1] == text  # the envelope could be read, the JSON inside it could not
    inner = frame["data"].iloc[-1]
    while isinstance(inner, list):
        (inner,) = inner
    assert inner == Decimal("0.1")
    assert_well(hub, server)


def test_row_52_nan_and_infinity(hub: hercle.Hub, server: AnyHub) -> None:
    """What JSON has no word for is read all the same; as an answer it proves nothing."""
    frame = send(
        hub,
        server,
        event("[NaN,Infinity,-Infinity,1e400,-0.0]"),
        event("1e1000000000000000000000"),
        event('"[NaN]"'),
        "NaN",
        '{"type":NaN}',
        '{"target":"x","arguments":[Infinity],"type":1}',
    )
    first = frame["data"].iloc[0]
    assert math.isnan(first[0])
    assert first[1:4] == [math.inf, -math.inf, Decimal("1e400")]
    assert list(frame["type"].fillna("-")) == ["-", "not JSON", "-", "not a message", "not a message", "-"]
    server.mode(noReply=True)
    with pytest.raises(hercle.OutcomeUnknown):
        hub.create_invoice("0.001", None, 24, client_id="c", timeout=0.1)
    until(server.created)
    answer = event('{"httpStatusCode":NaN,"encodedPaymentRequest":Infinity}', '"execution.invoice.created"')
    server.post("raw", f"{answer}␞")
    rows(hub, 7)
    with pytest.raises(hercle.OutcomeUnknown):
        hub.create_invoice("0.001", None, 24, client_id="c")
    assert_well(hub, server)


def test_row_53_integers_of_10000_digits(hub: hercle.Hub, server: AnyHub) -> None:
    """A number is what the hub wrote, digit for digit, however long."""
    digits = "123456789" * 1_111 + "1"
    assert len(digits) == 10_000
    frame = send(
        hub,
        server,
        event(digits),
        event(f"[-{digits},0.{digits}]"),
        event(f'"[{digits}]"'),
        event(digits[:4_300]),
        f'{{"type":{digits}}}',
        f'{{"type":-{digits[:4_300]}}}',
        f'{{"type":3,"invocationId":{digits}}}',
    )
    number = Decimal(digits)
    assert list(frame["data"].iloc[:4]) == [
        number,
        [number.copy_negate(), Decimal(f"0.{digits}")],
        [number],
        int(digits[:4_300]),
    ]
    assert f"{frame['data'].iloc[0]:f}" == digits
    assert_well(hub, server)


def test_row_54_lone_surrogates(hub: hercle.Hub, server: AnyHub) -> None:
    """Half a character, escaped, is a text like any other: as data, as a key, as subject and ClientId."""
    frame = send(
        hub,
        server,
        event(r'"\ud800"'),
        event(r'{"\udc00":"a\ud800b"}'),
        event("1", subject=r'"\ud800.\udfff"'),
        event("1").replace('"c"', r'"\ud83d"'),
        event("1").replace("executionEvents", r"\ude00"),
        r'{"type":3,"invocationId":"\ud800"}'.replace("3", "42"),
    )
    assert list(frame["data"].iloc[:2]) == ["\ud800", {"\udc00": "a\ud800b"}]
    assert frame["subject"].iloc[2] == "\ud800.\udfff"
    assert frame["client_id"].iloc[3] == "\ud83d"
    assert frame["target"].iloc[4] == "\ude00"
    assert_well(hub, server)


def test_row_54_invalid_utf8_lenient() -> None:
    """Bytes that are not UTF-8 stand in `raw`, and the rest is read (lenient server alone sends such)."""
    with scripted_hub() as server, fast_hub(server.url) as hub:
        messages = [
            event('"ab"').encode().replace(b"ab", b"a\xff\xc3b"),
            event('"\ud800"').encode("utf-8", "surrogatepass"),
            event("1", subject='"S"').encode().replace(b'"S"', b'"\xc3\xa9\xc3"'),
            b"\xff\xfe\x00",
            b'{"type":7\xff}',
        ]
        for message in messages:
            server.write(message + b"\x1e")
        euro = event('"€"').encode() + b"\x1e"
        cut = euro.index("€".encode()) + 1  # in the middle of a character
        server.write(euro[:cut])
        server.write(euro[cut:])
        frame = rows(hub, 6)
        assert [raw.encode("utf-8", "surrogateescape") for raw in frame["raw"].iloc[:5]] == messages
        assert frame["data"].iloc[0] == "a\udcff\udcc3b"
        assert frame["subject"].iloc[2] == "é\udcc3"
        assert list(frame["type"].fillna("-")) == ["-", "-", "-", "not JSON", "not JSON", "-"]
        assert frame["data"].iloc[5] == "€"
        assert_well(hub, server)


@pytest.mark.parametrize("seed", range(5))
def test_row_65_random_frames_without_server(seed: int) -> None:
    """10,000 frames, cut and mutated at random: nothing raises, and each complete message is one row.

    A million of them: benchmarks/bench_frames.py.
    """
    frames, rows, wrong = run_chunk((seed, 2_000))
    assert frames >= 2_000
    assert rows >= 1_000
    assert wrong == []
