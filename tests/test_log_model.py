"""Any course of events, readings, expansions, evictions and exports gives the rows of a naive model.

The model keeps a list and takes each message apart with `json`, one by one; the log keeps chunks, takes them
apart in batches by another library, and forgets what is too much.
"""

from __future__ import annotations

import json
import tempfile
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, invariant, precondition, rule
from pandas.testing import assert_frame_equal

from hercle_nb.events import COMMAND, CONNECTION, EVENT, Content, read_event, read_events, to_text
from hercle_nb.log import EventLog
from hercle_nb.readers import Reader, needles
from tests.test_log import DTYPES, check_columns

NUMBERS = (
    st.integers() | st.decimals(allow_nan=False, allow_infinity=False) | st.sampled_from([0, -0.0, 1e22])
)
VALUES = st.recursive(
    st.none() | st.booleans() | NUMBERS | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)
ODD = st.sampled_from(
    [
        *(b"garbage", b"{}", b"[]", b'{"type":1}', b'{"type":42}', b"\xff\xfe", b'"\xc3', b'{"type":1.0}'),
        *(b'{"type":1,"target":"t","arguments":[]}', b'{"type":1,"target":"t","arguments":[1,2]}'),
        *(b'{"type":1,"target":"t","arguments":[{"data":"\\ud800","subject":"x"}]}', b"[" * 3_000, b"1e9"),
        *(b'{"type":1,"target":"t","arguments":[{"data":' + b"9" * 5_000 + b"}]}", b'{"type":1,"type":2}'),
        *(b'{"type":1,"target":"t","arguments":[{"data":NaN}]}', b'{"type":1,"target":null,"arguments":[7]}'),
        *(b'{"type":1,"target":"t","arguments":[{"data":1,"data":2,"subject":"s"}]}', b' {"type":1}'),
        *(b'{"type":1,"target":"t","arguments":[{"data":1e999999999999999999999}]}', b'{"type":true}'),
        *(b'{"type":1,"target":"t","arguments":[{"subject":5,"data":1}]}', b'{"type":1,"target":"t"}'),
        *(b'{"type":1,"target":"t","arguments":[{"data":{"a":1}}],"x":2}', b"\xef\xbb\xbf{}"),
    ]
)


def to_json(value: Any) -> str:
    """JSON with `Decimal` as a plain number."""
    if isinstance(value, Decimal):
        return str(value)
    if isinstance(value, list):
        return f"[{','.join(map(to_json, value))}]"
    if isinstance(value, dict):
        return f"{{{','.join(f'{json.dumps(key)}:{to_json(item)}' for key, item in value.items())}}}"
    return json.dumps(value, ensure_ascii=False)


@st.composite
def messages(draw: st.DrawFn) -> bytes:
    """A message as a hub may send it."""
    if draw(st.integers(0, 4)) == 0:
        return draw(ODD)
    keys = draw(
        st.lists(st.sampled_from(["subject", "clientId", "channel", "topic", "type", "x"]), unique=True)
    )
    envelope = {key: draw(st.sampled_from(["a.b", "a.c", "é", "", None])) for key in keys}
    if draw(st.integers(0, 5)):
        data = draw(VALUES)
        envelope["data"] = to_json(data) if draw(st.booleans()) and isinstance(data, list | dict) else data
    target = draw(st.sampled_from(["executionEvents", "subscriptions"]))
    text = f'{{"type":1,"target":"{target}","arguments":[{to_json(envelope)}]}}'
    return text.encode("utf-8", "surrogatepass")


@given(st.lists(messages() | st.binary(max_size=40), max_size=20))
@settings(max_examples=300, deadline=None)
def test_batches_read_like_one_by_one(batch: list[bytes]) -> None:
    """What is taken apart in a batch is what `json` makes of each message, types included."""
    singly = [read_event(to_text(message)) for message in batch]
    assert repr(read_events(batch)) == repr(singly)
    assert repr(read_events(map(to_text, batch))) == repr(singly)


class Known(NamedTuple):
    """A row of the model."""

    kind: str
    connection: int
    raw: str | None
    content: Content


class LogMachine(RuleBasedStateMachine):
    """A log beside its model."""

    frames = Bundle("frames")

    def __init__(self) -> None:
        super().__init__()
        self.log = EventLog(max_events=30, max_bytes=6_000)
        self.rows: dict[int, Known] = {}
        self.connection = 1
        self.reader = Reader(self.log, 0)
        self.read: list[int] = []

    def _note(self, first: int, *rows: Known) -> None:
        """Take rows into the model, and the row of an eviction that they brought about."""
        self.rows.update(enumerate(rows, first))
        if self.log.next_seq > first + len(rows):
            said = {"rows": None, "rows_in_all": self.log.evicted}
            self.rows[first + len(rows)] = Known(
                CONNECTION, self.connection, None, Content(subject="log.evicted", data=said)
            )
        assert self.log.next_seq == max(self.rows) + 1

    @rule(batch=st.lists(messages(), min_size=1, max_size=12))
    def extend(self, batch: list[bytes]) -> None:
        """Events arrive together."""
        first = self.log.extend(batch, self.connection)
        self._note(
            first,
            *(Known(EVENT, self.connection, to_text(raw), read_event(to_text(raw))) for raw in batch),
        )

    @rule(name=st.sampled_from(["c", "d"]))
    def command(self, name: str) -> None:
        """A command is sent."""
        raw = f'{{"type":1,"invocationId":"1","target":"GetBalances","arguments":["{name}"]}}'
        content = Content(target="GetBalances", client_id=name, data=[name])
        self._note(
            self.log.append(raw, self.connection, COMMAND, content),
            Known(COMMAND, self.connection, raw, content),
        )

    @rule()
    def incomplete(self) -> None:
        """The end of a message is missing."""
        content = Content(type="incomplete")
        self._note(
            self.log.append('{"type":1,', self.connection, content=content),
            Known(EVENT, self.connection, '{"type":1,', content),
        )

    @rule()
    def lose(self) -> None:
        """The connection is lost and made again."""
        before = self.log.next_seq
        self.log.record_loss(self.connection, "cut")
        lost = Content(subject="connection.lost", data={"reason": "cut"})
        self._note(before, Known(CONNECTION, self.connection, None, lost))
        self.connection += 1
        before = self.log.next_seq
        self.log.record_return(self.connection, 2)
        data = self.log.event(before).data
        assert list(data) == ["seconds", "attempts", "reason"]
        back = Content(subject="connection.back", data=data)
        self._note(before, Known(CONNECTION, self.connection, None, back))
        assert len(self.log.gaps) == self.connection - 1

    @rule(target=frames)
    def frame(self) -> tuple[pd.DataFrame, pd.DataFrame]:
        """The frame has the model's rows that are kept."""
        frame = self.log.frame()
        check_columns(frame)
        self._compare(frame, range(self.log.evicted, self.log.next_seq))
        return frame, frame.copy(deep=True)

    @rule(
        kind=st.sampled_from([None, EVENT, COMMAND, CONNECTION]),
        since=st.integers(-5, 400),
        last=st.integers(0, 40),
    )
    def part(self, kind: str | None, since: int, last: int) -> None:
        """A part of the frame is that part of the model's rows."""
        frame = self.log.frame(kind, since, last)
        seqs = [
            seq
            for seq in range(max(since, self.log.evicted), self.log.next_seq)
            if kind is None or self.rows[seq].kind == kind
        ]
        self._compare(frame, seqs[len(seqs) - last :] if last < len(seqs) else seqs)
        assert frame.dtypes.to_dict() == DTYPES

    @rule(handed=frames)
    def unchanged(self, handed: tuple[pd.DataFrame, pd.DataFrame]) -> None:
        """What was handed out stays as it was."""
        assert_frame_equal(*handed)

    @rule(handed=frames)
    def write(self, handed: tuple[pd.DataFrame, pd.DataFrame]) -> None:
        """Writing to what was handed out harms nothing."""
        frame = handed[0].copy(deep=False)
        if len(frame):
            frame.iloc[0, frame.columns.get_loc("subject")] = "mine"
            frame["data"] = 1
            frame["connection"] += 1

    @rule(seq=st.integers(0, 400))
    def event(self, seq: int) -> None:
        """One row as an event."""
        if self.log.evicted <= seq < self.log.next_seq:
            event, known = self.log.event(seq), self.rows[seq]
            assert (event.kind, event.connection, event.raw) == (known.kind, known.connection, known.raw)
            assert event.subject == known.content.subject
        else:
            with pytest.raises(LookupError):
                self.log.event(seq)

    @rule(pattern=st.sampled_from(["*", "a.*", "é", "a.[bc]"]))
    def events(self, pattern: str) -> None:
        """A reader sees each event that may match once, in order, but for what was evicted before."""
        begin, missed = self.reader.next, self.reader.missed
        seen = []
        while self.reader.behind:
            seen += [event.seq for event in self.reader.read(needles(pattern))]
        begin += self.reader.missed - missed
        assert begin == max(begin, self.log.evicted)
        fits = {"*": lambda _: True, "a.*": lambda s: s in ("a.b", "a.c")}.get(pattern)
        fits = fits or (lambda s: s in (("é",) if pattern == "é" else ("a.b", "a.c")))
        must = [
            seq
            for seq in range(begin, self.log.next_seq)
            if self.rows[seq].kind == EVENT and fits(self.rows[seq].content.subject)
        ]
        assert set(must) <= set(seen)
        assert seen == sorted(set(seen))

    @rule(subject=st.sampled_from(["a.b", "é", "none"]))
    def expand(self, subject: str) -> None:
        """The data of one subject has a row for each event, or for each element of an array."""
        seqs = []
        for seq in range(self.log.evicted, self.log.next_seq):
            known = self.rows[seq]
            if known.kind == EVENT and known.content.subject == subject:
                data = known.content.data
                seqs += [seq] * (len(data) if isinstance(data, list) else 1)
        assert self.log.expand(subject).index.tolist() == seqs
        assert self.log[subject].index.tolist() == seqs

    @precondition(lambda self: len(self.log))
    @rule()
    def export(self) -> None:
        """A log written and read again is the same log."""
        with tempfile.TemporaryDirectory() as folder:
            jsonl = EventLog.read_jsonl(self.log.to_jsonl(Path(folder) / "log.jsonl"))
            self.log.to_parquet(Path(folder) / "log.parquet")
            parquet = EventLog.read_parquet(Path(folder) / "log.parquet")
        for copy in (jsonl, parquet):
            assert [row.raw for row in copy.rows()] == [row.raw for row in self.log.rows()]
            ours, theirs = self.log.frame(), copy.frame()
            assert_frame_equal(ours.drop(columns="data"), theirs.drop(columns="data"))
            assert repr(ours["data"].tolist()) == repr(theirs["data"].tolist())

    @invariant()
    def bounded(self) -> None:
        """No more is kept than was asked for, and a tenth."""
        assert len(self.log) <= 33
        kept = [self.rows[seq].raw or "" for seq in range(self.log.evicted, self.log.next_seq)]
        assert len(kept) <= 2 or sum(len(raw.encode("utf-8", "surrogateescape")) for raw in kept) <= 6_600

    def _compare(self, frame: pd.DataFrame, seqs: range | list[int]) -> None:
        assert frame.index.tolist() == list(seqs)
        known = [self.rows[seq] for seq in seqs]
        assert frame["kind"].tolist() == [row.kind for row in known]
        assert frame["connection"].tolist() == [row.connection for row in known]
        for name in ("target", "subject", "client_id", "channel", "topic", "type"):
            texts = [getattr(row.content, name) for row in known]
            assert frame[name].tolist() == [np.nan if text is None else text for text in texts]
        assert frame["raw"].tolist() == [np.nan if row.raw is None else row.raw for row in known]
        for data, row in zip(frame["data"], known, strict=True):
            if row.content.subject != "log.evicted":
                assert repr(data) == repr(row.content.data)


LogMachine.TestCase.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
TestLog = LogMachine.TestCase


def test_since_a_time_or_a_span() -> None:
    """``since`` takes a seq, a time with a zone and a span, each inclusive, and refuses the rest."""
    log = EventLog()
    begin = datetime(2026, 11, 23, 12, tzinfo=UTC)
    for minutes in (0, 10, 10, 20):
        now = round((begin + timedelta(minutes=minutes)).timestamp() * 1_000_000)
        log._append(now, [b"{}"], 1, EVENT)
    log.append(None, 1, CONNECTION, Content(subject="connection.closed"))
    for since in (
        1,
        begin + timedelta(minutes=10),
        pd.Timestamp(begin) + pd.Timedelta("10min"),
        (begin + timedelta(minutes=10)).astimezone(tz=None),
    ):
        assert log.frame(since=since).index.tolist() == [1, 2, 3, 4]
    assert log.frame(since=begin + timedelta(minutes=10, microseconds=1)).index.tolist() == [3, 4]
    assert log.frame(since="15min").index.tolist() == [4]
    assert log.frame(since=timedelta(seconds=30)).index.tolist() == [4]
    assert log.frame(since=99).empty
    assert log.frame(since=1, last=2).index.tolist() == [3, 4]
    assert log.frame("event", since=1, last=2).index.tolist() == [2, 3]
    for wrong in (datetime(2026, 11, 24), "yesterday", True, 1.5, pd.NaT, "NaT", [], pd.Timestamp(0)):  # noqa: DTZ001
        with pytest.raises(ValueError, match="since must be a seq"):
            log.frame(since=wrong)
    for wrong in ("events", "", 5):
        with pytest.raises(ValueError, match="kind must be one of event, command, connection"):
            log.frame(kind=wrong)
    for wrong in (-1, True, 1.5, "10"):
        with pytest.raises(ValueError, match="last must be a number of rows"):
            log.frame(last=wrong)
