"""Rows of logs as a hub might have made them, hostile ones too, and small disks to write them to."""

from __future__ import annotations

import contextlib
import json
import random
import shutil
import subprocess
import tempfile
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import strategies as st
from pandas.testing import assert_frame_equal

from hercle_nb._log_table import sent_content
from hercle_nb._signalr.protocol import invocation_text
from hercle_nb._store import Row
from hercle_nb.events import COMMAND, CONNECTION, EVENT, Content
from hercle_nb.log import EventLog

if TYPE_CHECKING:
    from collections.abc import Iterator

NOON = 1_795_262_400_000_000  # 2026-11-21 12:00 UTC, in microseconds
HALF_DAY = 43_200_000_000

HOSTILE = [
    "",
    "garbage",
    "\x00\x1e",
    "null",
    "[]",
    "{}",
    '{"type":6}',
    '{"type":1}',
    '{"type":1,"arguments":[]}',
    '{"type":1,"target":"t","arguments":[1,2]}',
    '{"type":1,"target":5,"arguments":[{"subject":5,"data":1}]}',
    '{"type":1,"target":"t","arguments":[{"type":"incomplete","data":null}]}',
    '{"type":1,"arguments":[{"type":"incomplete","data":null}]}',
    '{"type":1,"arguments":[{"type":"incomplete","subject":"s","data":null}]}',
    '{"type":1.0,"target":"t","arguments":[{"data":1}]}',
    '{"type":true,"target":"t","arguments":[{"data":1}]}',
    '{"type":1,"target":"t","arguments":[{"data":1,"data":{"b":2}}]}',
    '{"type":1,"target":"t","arguments":[{"data":NaN}]}',
    '{"type":1,"target":"t","arguments":[{"data":{"a":-Infinity,"b":0.10}}]}',
    '{"type":1,"target":"t","arguments":[{"data":1E400}]}',
    '{"type":1,"target":"t","arguments":[{"data":[1e999999999999999999]}]}',
    '{"type":1,"target":"t","arguments":[{"data":[NaN,1e999999999999]}]}',
    '{"type":1,"target":"t","arguments":[{"data":%s}]}' % ("7" * 5_000),
    '{"type":1,"target":"t","arguments":[{"data":[NaN,%s]}]}' % ("7" * 5_000),
    '{"type":1,"target":"t","arguments":[{"data":%s}]}' % ("[" * 100 + "]" * 100),
    '{"type":1,"target":"t","arguments":[{"data":%s}]}' % ("[" * 100_000 + "]" * 100_000),
    '{"type":1,"target":"t","arguments":[{"data":"\\ud800","subject":"\\udfff"}]}',
    '{"type":1,"target":"t","arguments":[{"data":"\\ud83d\\ude00 \\u0000","subject":"é"}]}',
    '{"type":1,"target":"t","arguments":[{"data":"{\\"a\\":1.50}"}]}',
    '{"type":1,"target":"t","arguments":[{"data":"{\\"a\\":NaN}"}]}',
    '{"type":1,"target":"t","arguments":[{"data":" [1, 2"}]}',
    '{"type":1,"target":"t","arguments":[{"data":"{\\"a\\":\\"\\\\ud800\\"}"}]}',
    '{"type":1,"target":"t","arguments":[{"data":"x\udcff\udc80"}]}',
    '{"type":1,"target":"t","arguments":[{"pair":"BTCUSDT","price":64123.770}]}',
    '{"type":1,"target":"t","arguments":["text"]}',
    '\ufeff{"type":1,"target":"t","arguments":[{"data":1}]}',
]

_texts = st.text(max_size=8) | st.sampled_from(["s.created", "\udc80", "incomplete", "é😀"])
_json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | _texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_texts, inner, max_size=3),
    max_leaves=6,
)
_envelopes = st.fixed_dictionaries(
    {},
    optional={
        "subject": _texts | _json_values,
        "clientId": _texts,
        "channel": _texts,
        "topic": _texts,
        "type": _texts,
        "data": _json_values | _json_values.map(json.dumps),
    },
)
_messages = st.fixed_dictionaries(
    {"type": st.just(1) | _json_values},
    optional={"target": _texts, "arguments": st.lists(_envelopes | _json_values, max_size=2)},
)
_raws = st.one_of(
    st.binary(max_size=20).map(lambda raw: raw.decode(errors="surrogateescape")),
    st.builds(json.dumps, _messages, ensure_ascii=st.booleans()),
    st.sampled_from(HOSTILE),
)
_invocations = st.builds(
    invocation_text,
    st.none() | st.just("7"),
    st.text(max_size=8),
    st.lists(st.none() | st.integers() | st.decimals(allow_nan=False, allow_infinity=False), max_size=3),
)
_changes = st.dictionaries(_texts, st.integers() | _texts | st.just(Decimal("0.10")), max_size=3)
_events = st.tuples(
    st.just(EVENT),
    _raws.map(lambda raw: raw.encode(errors="surrogateescape").decode(errors="surrogateescape")),
    st.none() | st.just(Content(type="incomplete")),
)
_commands = st.tuples(_invocations, st.none() | st.just("c-1")).map(
    lambda sent: (COMMAND, sent[0], sent_content(*sent))
)
_connections = _changes.map(
    lambda data: (CONNECTION, None, Content(subject="connection.lost", data=data or None))
)


@st.composite
def logs(draw: st.DrawFn) -> EventLog:
    """Any log: whatever its rows, its first number, and the times between them."""
    seq, received_us = draw(st.integers(0, 10**9)), draw(st.integers(0, 2 * NOON))
    rows = []
    for kind, raw, content in draw(st.lists(_events | _commands | _connections, max_size=12)):
        received_us += draw(st.sampled_from([0, 1, 1_000_000, HALF_DAY]))
        rows.append(Row(seq + len(rows), received_us, kind, draw(st.integers(0, 99)), raw, content))
    return EventLog.restored(rows)


def price(number: int, padding: str = "") -> str:
    """A price event: its id is the number, and the price grows with it."""
    data = {"id": number, "pair": "BTCUSDT", "buyPrice": 64_000 + number / 4, "padding": padding}
    envelope = {"channel": "prices", "subject": "subscription.price", "data": data}
    return json.dumps({"type": 1, "target": "subscriptions", "arguments": [envelope]})


def prices(count: int, start_us: int = NOON, step_us: int = 1_000_000, first: int = 0) -> EventLog:
    """A log of so many price events, the first at that time."""
    return EventLog.restored(
        [
            Row(
                first + number,
                start_us + number * step_us,
                EVENT,
                1 + number % 3,
                price(first + number),
                None,
            )
            for number in range(count)
        ]
    )


def noise(length: int) -> str:
    """Text that no compression makes smaller than about three quarters of it."""
    letters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_"
    return "".join(random.choices(letters, k=length))


def assert_same(one: EventLog, other: EventLog) -> None:
    """Fail unless both logs have the same rows, frames and bytes."""
    frames = [log.frame() for log in (one, other)]
    for frame in frames:
        frame["data"] = frame["data"].map(repr)  # NaN is not itself
    assert_frame_equal(*frames, check_exact=True)
    assert [row.raw for row in one.rows()] == [row.raw for row in other.rows()]
    if len(one):
        assert (one.next_seq, one.evicted) == (other.next_seq, other.evicted)


def visible(folder: Path) -> list[str]:
    """Every file in a folder and below it, unfinished ones too, by its name within the folder."""
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


@contextmanager
def small_disk(*, size: str = "1m", read_only: bool = False) -> Iterator[Path]:
    """A file system of its own, soon full; skips the test where nobody may mount one."""
    mount, umount = shutil.which("mount"), shutil.which("umount")
    if mount is None or umount is None:
        pytest.skip("there is no mount here")
    with tempfile.TemporaryDirectory() as folder:
        options = f"size={size}{',ro' if read_only else ''}"
        command = [mount, "-t", "tmpfs", "-o", options, "none", folder]
        mounted = subprocess.run(command, capture_output=True, text=True, check=False)
        if mounted.returncode:
            pytest.skip(f"mounting a tmpfs is not permitted here ({mounted.stderr.strip()})")
        try:
            yield Path(folder)
        finally:
            subprocess.run([umount, "--lazy", folder], check=True)


def fill(disk: Path) -> Path:
    """Fill a disk to the last byte; the file to delete."""
    filler = disk / "filler"
    with filler.open("wb", buffering=0) as file, contextlib.suppress(OSError):
        while True:
            file.write(bytes(1 << 12))
    return filler
