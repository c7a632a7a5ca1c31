"""The event log: nothing lost, nothing reordered, and frames that do not change once handed out."""

from __future__ import annotations

import json
import threading
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pandas.testing import assert_frame_equal

from hercle_nb._columns import Columns
from hercle_nb.events import COMMAND, CONNECTION, Content, read_events
from hercle_nb.log import EventLog

TEXT = pd.StringDtype("python", na_value=np.nan)
DTYPES = {
    "received_at": pd.DatetimeTZDtype("us", "UTC"),
    "kind": pd.CategoricalDtype(["event", "command", "connection"]),
    "connection": np.dtype("int32"),
    "target": TEXT,
    "subject": TEXT,
    "client_id": TEXT,
    "data": np.dtype("object"),
    "channel": TEXT,
    "topic": TEXT,
    "type": TEXT,
    "raw": TEXT,
}
PRICE = {"id": 1, "pair": "BTCUSDT", "buyPrice": 64_123.77}


def event(number: int = 0, data: Any = PRICE, **fields: Any) -> str:
    """Return an invocation with an envelope."""
    envelope = {"subject": f"s.{number}", "clientId": f"c-{number}", "data": data, **fields}
    return json.dumps({"type": 1, "target": "subscriptions", "arguments": [envelope]})


def filled(count: int, **limits: int) -> EventLog:
    """Return a log of so many events."""
    log = EventLog(**limits)
    for number in range(count):
        log.append(event(number), 1)
    return log


def check_columns(frame: pd.DataFrame) -> None:
    """Fail unless index and columns have the names, order and dtypes of the contract."""
    assert list(frame.columns) == list(DTYPES)
    assert frame.dtypes.to_dict() == DTYPES
    assert [str(frame[name].dtype) for name in ("target", "raw", "received_at")] == [
        *("str", "str", "datetime64[us, UTC]")
    ]
    assert (frame.index.name, frame.index.dtype) == ("seq", np.dtype("int64"))
    assert isinstance(frame.index, pd.RangeIndex)
    assert frame["received_at"].is_monotonic_increasing


def test_columns_of_an_empty_log() -> None:
    """An empty log's frame has every column with its dtype, and keeps them when the first event comes."""
    log = EventLog()
    check_columns(log.frame())
    assert (len(log), len(log.frame()), repr(log)) == (0, 0, "EventLog(0 rows)")
    log.append(event(), 1)
    check_columns(log.frame())
    assert len(log.frame()) == 1


@pytest.mark.parametrize(
    "data",
    [None, "text", 5, 0.5, True, [], [1], {}, {"a": [1]}, "2026-11-22T00:00:00Z", "NaN", 10**30],
)
def test_columns_whatever_the_data(data: Any) -> None:
    """However uniform the data of all rows, no column's dtype follows it."""
    log = EventLog()
    for _ in range(3):
        log.append(event(data=data, channel=data, topic=data), 1)
        check_columns(log.frame())
    kept = log.frame()["data"].tolist()
    assert kept == [Decimal("0.5") if data == 0.5 else data] * 3
    assert [type(value) for value in kept] == [Decimal if data == 0.5 else type(data)] * 3


def test_a_row_says_what_was_received() -> None:
    """A frame's row and the `HubEvent` of its seq say the same, in the same columns."""
    log = EventLog()
    before = datetime.now(UTC)
    log.append(event(3, channel="ch", topic="to", type="message"), 2)
    log.append('{"invocation":1}', 2, COMMAND, Content(target="GetBalances", client_id="c", data=["c"]))
    log.append(None, 2, CONNECTION, Content(subject="connection.closed", data={"reason": "bye"}))
    log.append(event(4)[:-5], 2, content=Content(type="incomplete"))
    log.append("garbage", 3)
    frame = log.frame()
    check_columns(frame)
    assert frame["kind"].tolist() == ["event", "command", "connection", "event", "event"]
    assert frame["connection"].tolist() == [2, 2, 2, 2, 3]
    assert frame["type"].tolist()[3:] == ["incomplete", "not JSON"]
    assert frame["data"].tolist()[1:3] == [["c"], {"reason": "bye"}]
    assert frame.at[0, "data"]["buyPrice"] == Decimal("64123.77")
    for seq, row in frame.iterrows():
        one = log.event(int(str(seq)))
        assert one.seq == seq
        assert before - timedelta(milliseconds=1) <= one.received_at <= datetime.now(UTC)
        for name in DTYPES:
            value = getattr(one, name)
            assert row[name] == value or (value is None and (name == "data" or pd.isna(row[name])))


def test_event_by_number() -> None:
    """A seq that is yet to come, or was evicted, is a LookupError that says what the log holds."""
    log = filled(30, max_events=10)
    for seq in (-1, 0, log.evicted - 1, log.evicted + len(log), 10**9):
        with pytest.raises(
            LookupError, match=f"No row {seq} in the log; it holds {len(log)} from {log.evicted}"
        ):
            log.event(seq)
    assert log.event(log.evicted + len(log) - 1).seq == log.frame().index[-1]
    with pytest.raises(LookupError):
        EventLog().event(0)


def test_missing_texts_are_nan() -> None:
    """What a row does not have is NaN, so that comparing keeps or drops it as pandas does."""
    log = filled(2)
    log.append(None, 1, CONNECTION, Content(subject="connection.closed"))
    frame = log.frame()
    assert frame["raw"].isna().tolist() == [False, False, True]
    assert len(frame[frame["client_id"] != "c-0"]) == 2
    assert frame["channel"].isna().all()


def test_hostile_texts() -> None:
    """Half characters, control characters and garbage are kept as they came, in every later reading."""
    log = EventLog()
    raws = ["\ud800", "\x00\x1e", event(data="\udfff"), "1" * 10_000, "[" * 100_000, "1e9999999999999999999"]
    for raw in raws:
        log.append(raw, 1)
        assert log.frame()["raw"].iloc[-1] == raw
    assert log.frame()["raw"].tolist() == raws
    assert log.frame()["data"].iloc[2] == "\udfff"
    check_columns(log.frame())


def test_frames_do_not_change_later() -> None:
    """A frame that was handed out is the same after more events, evictions and readings."""
    log = EventLog(max_events=20)
    handed: list[tuple[pd.DataFrame, pd.DataFrame]] = []
    for number in range(100):
        log.append(event(number), 1)
        if number % 7 == 0:
            frame = log.frame()
            handed.append((frame, frame.copy(deep=True)))
    for frame, copy in handed:
        assert_frame_equal(frame, copy)
        check_columns(frame)


def test_writing_to_a_frame_changes_no_other() -> None:
    """Whatever a cell does to its frame, the next reading knows nothing of it."""
    log = filled(5)
    untouched = log.frame().copy(deep=True)
    frame, other = log.frame(), log.frame()
    frame.loc[0, "target"] = "changed"
    frame.iloc[1, frame.columns.get_loc("raw")] = "changed"
    frame["connection"] = 9
    frame.at[2, "data"] = "changed"
    frame["new"] = 1
    frame.loc[:, "received_at"] = pd.Timestamp(0, tz="UTC")
    frame.index.name = "changed"
    frame.columns.name = "changed"
    frame.attrs["changed"] = True
    del frame["kind"]
    frame.pop("topic")
    with pytest.raises(ValueError, match="read-only"):
        other["data"].to_numpy()[0] = "changed"
    with pytest.raises(ValueError, match="read-only"):
        other["connection"].to_numpy()[0] = 9
    for name in ("received_at", "kind", "target", "raw"):  # beneath pandas' copy-on-write
        with pytest.raises(ValueError, match="read-only"):
            other[name].array[0] = other[name].array[1]
    log.append(event(5), 1)
    assert_frame_equal(other, untouched)
    assert_frame_equal(log.frame().iloc[:5], untouched)
    assert log.frame().attrs == {}
    check_columns(log.frame())


def test_reading_while_another_thread_records() -> None:
    """Every frame read meanwhile, by any thread, is a gapless prefix of what was recorded."""
    log = EventLog()
    total, readers = 3_000, 3
    started = threading.Barrier(readers + 1)
    frames: list[list[pd.DataFrame]] = [[] for _ in range(readers)]

    def read(into: list[pd.DataFrame]) -> None:
        started.wait()
        while not into or len(into[-1]) < total:
            frame = log.frame()
            if len(frame):
                assert log.event(len(frame) - 1).subject == f"s.{len(frame) - 1}"
            into.append(frame)

    threads = [threading.Thread(target=read, args=(into,)) for into in frames]
    for thread in threads:
        thread.start()
    started.wait()
    for number in range(total):
        log.append(event(number), 1)
    for thread in threads:
        thread.join(60)
    expected = [f"s.{number}" for number in range(total)]
    for into in frames:
        lengths = [len(frame) for frame in into]
        assert lengths == sorted(lengths)
        assert lengths[-1] == total
        for frame in into[:: max(1, len(into) // 20)]:
            check_columns(frame)
            assert frame["subject"].tolist() == expected[: len(frame)]
            assert frame.index.tolist() == list(range(len(frame)))


def test_reading_while_another_thread_evicts() -> None:
    """Every frame read while rows are evicted is contiguous, and each row stands at its own seq."""
    log = EventLog(max_events=50)
    done = threading.Event()
    frames: list[pd.DataFrame] = []

    def read() -> None:
        while not done.is_set():
            frames.append(log.frame())

    thread = threading.Thread(target=read)
    thread.start()
    seqs = {log.append(event(number), 1): f"s.{number}" for number in range(2_000)}
    done.set()
    thread.join(60)
    frames.append(log.frame())
    for frame in frames[:: max(1, len(frames) // 50)]:
        check_columns(frame)
        for seq, subject in frame["subject"].items():
            assert subject == seqs.get(int(str(seq)), "log.evicted")


def test_recording_does_not_wait_for_a_reader(monkeypatch: pytest.MonkeyPatch) -> None:
    """While a reader takes messages apart, rows are appended and evicted; it gets a whole frame."""
    begun, go_on = threading.Event(), threading.Event()

    def slowly(messages: Any) -> list[Content]:
        begun.set()
        assert go_on.wait(30)
        return read_events(messages)

    log = filled(100, max_events=100)
    monkeypatch.setattr("hercle_nb._store.read_events", slowly)
    frames: list[pd.DataFrame] = []
    thread = threading.Thread(target=lambda: frames.append(log.frame()))
    thread.start()
    try:
        assert begun.wait(30)
        for number in range(100, 250):
            log.append(event(number), 1)
        assert log.evicted > 100
        assert log.rows(log.next_seq - 1)[0].seq == log.next_seq - 1
    finally:
        go_on.set()
        thread.join()
    for frame in (*frames, log.frame()):
        check_columns(frame)
        assert frame.index[0] == log.evicted
        events = frame[frame["kind"] == "event"]
        numbers = events["subject"].str.removeprefix("s.").astype(int)
        assert (numbers.diff().dropna() == 1).all()


@pytest.mark.parametrize("when", ["before", "after"])
def test_an_interrupted_reading(monkeypatch: pytest.MonkeyPatch, when: str) -> None:
    """A reading that is interrupted, at whatever moment, neither loses nor doubles a row of the next one."""
    log = filled(10)
    append = Columns.append
    with monkeypatch.context() as patched:

        def interrupted(*arguments: Any) -> None:
            if when == "after":
                append(*arguments)
            raise KeyboardInterrupt

        patched.setattr(Columns, "append", interrupted)
        with pytest.raises(KeyboardInterrupt):
            log.frame()
    log.append(event(10), 1)
    assert log.frame()["subject"].tolist() == [f"s.{number}" for number in range(11)]
    assert [row.seq for row in log.rows()] == list(range(11))


def test_rows_between() -> None:
    """`rows` gives those from one seq on up to another, and none that was evicted or lies beyond."""
    log = filled(150, max_events=100)
    first, end = log.evicted, log.next_seq
    assert [row.seq for row in log.rows(end - 20, end - 10)] == list(range(end - 20, end - 10))
    assert [row.seq for row in log.rows(0, first + 3)] == list(range(first, first + 3))
    assert log.rows(0, first) == log.rows(end, end + 5) == []


def test_where_pandas_copies(monkeypatch: pytest.MonkeyPatch) -> None:
    """With a pandas that copies what it is given, frames are built anew and as right."""
    monkeypatch.setattr(Columns, "_shows_what_is_written", lambda *_: False)
    log = EventLog(max_events=40)
    for number in range(100):
        log.append(event(number), 1)
        if number % 10 == 0:
            assert log.frame()["subject"].iloc[-1] in (f"s.{number}", "log.evicted")
            check_columns(log.frame())


def test_eviction_by_number() -> None:
    """Of too many rows the oldest go, at least max_events stay, and each eviction is counted and a row."""
    log = EventLog(max_events=100)
    for number in range(1_000):
        seq = log.append(event(number), 7)
        assert log.event(seq).subject == f"s.{number}"
        assert len(log) <= 110
        assert len(log) >= min(number + 1, 100)
    frame = log.frame()
    check_columns(frame)
    assert frame.index[0] == log.evicted
    evictions = frame[frame["subject"] == "log.evicted"]
    assert set(evictions["kind"]) == {"connection"}
    assert set(evictions["connection"]) == {7}
    assert evictions["data"].iloc[-1]["rows_in_all"] == log.evicted
    assert evictions["data"].iloc[-1]["rows"] == 12
    assert repr(log) == f"EventLog({len(log)} rows, {log.evicted} older ones evicted)"


def test_eviction_by_size() -> None:
    """Text beyond max_bytes goes, oldest first, however few its rows; the newest row always stays."""
    log = EventLog(max_bytes=1_000)
    for _ in range(200):
        log.append("x" * 100, 1)
        assert sum(len(raw) for raw in log.frame()["raw"].dropna()) <= 1_100
    assert 9 <= log.frame()["raw"].notna().sum() <= 11
    seq = log.append("y" * 5_000, 1)
    assert log.event(seq).raw == "y" * 5_000
    log.append("z", 1)
    assert "y" * 5_000 not in log.frame()["raw"].tolist()


def test_smallest_limits() -> None:
    """Limits of one row or one character keep the newest row, and no eviction of nothing is recorded."""
    for limits in ({"max_events": 1}, {"max_bytes": 1}):
        log = EventLog(**limits)
        for number in range(20):
            seq = log.append(event(number), 1)
            assert log.event(seq).subject == f"s.{number}"
            assert len(log) <= 3
        rows = [data["rows"] for data in log.frame()["data"] if "rows" in data]
        assert 0 not in rows
        check_columns(log.frame())


@given(
    steps=st.lists(st.integers(0, 60) | st.none(), max_size=80),
    max_events=st.integers(1, 30),
    max_bytes=st.integers(1, 600),
)
@settings(max_examples=60, deadline=None)
def test_any_course_of_events(steps: list[int | None], max_events: int, max_bytes: int) -> None:
    """However long the rows, whatever the limits and whenever it is read, rows stand at the seq they got."""
    log = EventLog(max_events, max_bytes)
    rows: dict[int, str] = {}
    handed: list[tuple[pd.DataFrame, pd.DataFrame]] = []
    for step in [*steps, None]:
        if step is not None:
            raw = f"{len(rows)}".ljust(step)
            seq = log.append(raw, 1)
            assert seq not in rows
            rows[seq] = raw
            assert log.event(seq).raw == raw
            continue
        frame = log.frame()
        handed.append((frame, frame.copy(deep=True)))
        assert isinstance(frame.index, pd.RangeIndex)
        assert frame.index.tolist() == list(range(log.evicted, log.evicted + len(log)))
        assert len(log) <= max(2, max_events * 1.1)
        for seq, raw in frame["raw"].items():
            assert rows.get(int(str(seq))) == (None if pd.isna(raw) else raw)
    if rows:
        assert max(rows) in handed[-1][0].index
    for frame, copy in handed:
        assert_frame_equal(frame, copy)


def test_clock_set_back(monkeypatch: pytest.MonkeyPatch) -> None:
    """When the clock is set back the time received stands still until the clock has caught up."""
    clock = iter([100, 50, 99, 101, 101, 0])
    monkeypatch.setattr("hercle_nb.log.time", SimpleNamespace(time_ns=lambda: next(clock) * 10**9))
    log = filled(6)
    assert [time.timestamp() for time in log.frame()["received_at"]] == [100, 100, 100, 101, 101, 101]
    assert log.event(1).received_at == datetime(1970, 1, 1, 0, 1, 40, tzinfo=UTC)
