"""A log as JSON lines: nothing is lost on the way, nothing half-written is read, nothing foreign either."""

from __future__ import annotations

import errno
import json
import os
import stat
from decimal import Decimal
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings

from hercle_nb._store import Row
from hercle_nb.errors import InvalidRequest
from hercle_nb.events import COMMAND, CONNECTION, EVENT, Content
from hercle_nb.log import EventLog
from hercle_nb.log_jsonl import read_jsonl, write_jsonl
from hercle_nb.log_parquet import write_parquet
from tests.rows import HOSTILE, NOON, assert_same, fill, logs, prices, small_disk, visible

if TYPE_CHECKING:
    from collections.abc import Callable

WRITERS: list[Callable[[EventLog, Any], Path]] = [
    write_jsonl,
    write_parquet,
    lambda log, path: write_parquet(log, path, partition_by="date"),
]
every_writer = pytest.mark.parametrize("write", WRITERS, ids=["jsonl", "parquet", "partitions"])


@given(log=logs())
@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
def test_what_is_written_is_read(log: EventLog) -> None:
    """Whatever a log holds, the same frame and the same bytes come back."""
    with TemporaryDirectory() as folder:
        assert_same(read_jsonl(write_jsonl(log, Path(folder, "a.jsonl"))), log)


@pytest.mark.parametrize("raw", HOSTILE, ids=range(len(HOSTILE)))
def test_hostile_messages(raw: str, tmp_path: Path) -> None:
    """Every hostile message survives, complete or incomplete."""
    log = EventLog.restored(
        [
            Row(7, NOON, EVENT, 1, raw, None),
            Row(8, NOON, EVENT, 1, raw, Content(type="incomplete")),
        ]
    )
    assert_same(read_jsonl(write_jsonl(log, tmp_path / "a.jsonl")), log)


def test_what_a_file_looks_like(tmp_path: Path) -> None:
    """A header, then an object a line, in ASCII; commands and changes say what raw does not."""
    sent = '{"type":1,"target":"GetBalances","arguments":["c",0.10]}'
    content = Content(target="GetBalances", client_id="c", data=["c", Decimal("0.10")])
    change = Content(subject="connection.lost", data={"reason": "é😀\ud800", "seconds": Decimal("0.10")})
    rows = [
        Row(5, NOON, EVENT, 1, "x\udcffé", None),
        Row(6, NOON + 1, COMMAND, 1, sent, content),
        Row(7, NOON + 1, CONNECTION, 2, None, change),
    ]
    path = write_jsonl(EventLog.restored(rows), tmp_path / "a.jsonl")
    time = "2026-11-21T12:00:00.00000"
    assert path.read_bytes().decode("ascii").splitlines() == [
        '{"hercle_nb": "event log", "format": 1, "first_seq": 5, "rows": 3}',
        f'{{"seq":5,"received_at":"{time}0+00:00","kind":"event","connection":1,"raw":"x\\udcff\\u00e9"}}',
        f'{{"seq":6,"received_at":"{time}1+00:00","kind":"command","connection":1,'
        f'"raw":{json.dumps(sent)},"client_id":"c"}}',
        f'{{"seq":7,"received_at":"{time}1+00:00","kind":"connection","connection":2,"raw":null,'
        '"subject":"connection.lost","data":{"reason":"\\u00e9\\ud83d\\ude00\\ud800","seconds":0.10}}',
    ]
    assert read_jsonl(path).rows() == rows


@pytest.mark.parametrize("first", [0, 3])
def test_truncated_anywhere(first: int, tmp_path: Path) -> None:
    """A file cut off after any byte but its last is refused, with the line where it ends."""
    path = write_jsonl(prices(2, first=first), tmp_path / "a.jsonl")
    whole = path.read_bytes()
    for length in range(len(whole) - 1):
        path.write_bytes(whole[:length])
        with pytest.raises(InvalidRequest, match=r"[Ll]ine \d.*(only what to_jsonl wrote|copy)") as caught:
            read_jsonl(path)
        assert str(path) in str(caught.value)
    path.write_bytes(whole[:-1])  # nothing but the last line's end is missing
    assert_same(read_jsonl(path), prices(2, first=first))
    path.write_bytes(b"".join(whole.splitlines(keepends=True)[:2]))
    with pytest.raises(InvalidRequest, match=r"ends after 1 of 2 rows \(line 2\): it was cut off"):
        read_jsonl(path)


@pytest.mark.parametrize(
    "content",
    [b"", b"\n", b"a,b\n1,2\n", b'{"seq":0}\n', b"PAR1\x00\xff\xfe", b'{"hercle_nb":"journal"}\n', b"[]\n"],
)
def test_foreign_files(content: bytes, tmp_path: Path) -> None:
    """A file of something else is refused by its first line."""
    path = tmp_path / "foreign.jsonl"
    path.write_bytes(content)
    with pytest.raises(InvalidRequest, match=r"Line 1 of .*foreign\.jsonl is not the header of a log"):
        read_jsonl(path)


def test_a_folder_or_nothing(tmp_path: Path) -> None:
    """A folder is refused with the verb that reads it; a file that is not there is what it is."""
    with pytest.raises(InvalidRequest, match="is a folder; read_jsonl reads a file"):
        read_jsonl(tmp_path)
    with pytest.raises(FileNotFoundError, match="missing"):
        read_jsonl(tmp_path / "missing")


def test_newer_version(tmp_path: Path) -> None:
    """A format that this version does not know is refused, and the update named."""
    path = write_jsonl(prices(1), tmp_path / "a.jsonl")
    path.write_text(path.read_text().replace('"format": 1', '"format": 2, "more": 1', 1))
    with pytest.raises(InvalidRequest, match=r"newer hercle_nb \(line 1 says format 2\).* pip install -U"):
        read_jsonl(path)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('"seq":1,', ""),
        ('"seq":1,', '"seq":"1",'),
        ('"seq":1,', '"seq":2,'),
        ('"seq":1,', '"seq":0,'),
        ('"kind":"event"', '"kind":"thing"'),
        ('"connection":2', '"connection":null'),
        ('"kind":"event"', '"kind":"connection"'),
        ("+00:00", ""),
        ("2026-11-21T", "yesterday"),
        ('{"seq"', '["seq"'),
        ('"received_at"', '"at"'),
    ],
)
def test_changed_lines(old: str, new: str, tmp_path: Path) -> None:
    """A row that lacks a field, has another type or is out of order is refused by its line."""
    path = write_jsonl(prices(3), tmp_path / "a.jsonl")
    lines = path.read_text().splitlines()
    assert old in lines[2]
    lines[2] = lines[2].replace(old, new)
    path.write_text("\n".join(lines))
    with pytest.raises(InvalidRequest, match=r"Line 3 of .*a\.jsonl is .*copy"):
        read_jsonl(path)


def test_more_rows_than_announced(tmp_path: Path) -> None:
    """Rows behind the last one are refused: two files were put together."""
    path = write_jsonl(prices(1), tmp_path / "a.jsonl")
    with path.open("a") as file:
        file.write(path.read_text().splitlines()[1].replace('"seq":0', '"seq":1'))
    with pytest.raises(InvalidRequest, match=r"Line 3 .* does not belong there"):
        read_jsonl(path)


def test_replacing_a_file(tmp_path: Path) -> None:
    """A file is replaced through a link and keeps its permissions; nothing else is left in the folder."""
    path = tmp_path / "a.jsonl"
    path.write_text("old")
    path.chmod(0o600)
    link = tmp_path / "link"
    link.symlink_to(path)
    assert write_jsonl(prices(2), str(link)) == link
    assert link.is_symlink()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert_same(read_jsonl(path), prices(2))
    assert visible(tmp_path) == ["a.jsonl", "link"]


@every_writer
def test_interrupted_writing(
    write: Callable[[EventLog, Any], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An interrupt just before the end leaves the old file and nothing else."""
    path = write(prices(2), tmp_path / "a")
    before = {file: file.read_bytes() for file in tmp_path.rglob("*") if file.is_file()}

    def interrupt(_: int) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "fsync", interrupt)
    with pytest.raises(KeyboardInterrupt):
        write(prices(9), path)
    assert {file: file.read_bytes() for file in tmp_path.rglob("*") if file.is_file()} == before


@every_writer
def test_read_only_disk(write: Callable[[EventLog, Any], Path]) -> None:
    """A read-only file system is an OSError of its own kind that says where else to write."""
    with small_disk(read_only=True) as disk, pytest.raises(OSError, match="read-only; write else") as caught:
        write(prices(2), disk / "a")
    assert caught.value.errno == errno.EROFS


@every_writer
def test_full_disk(write: Callable[[EventLog, Any], Path]) -> None:
    """On a full disk the old files are as they were, the new ones absent, and the log is unharmed."""
    with small_disk() as disk:
        log = prices(50)
        path = write(log, disk / "a")
        before = {file: file.read_bytes() for file in disk.rglob("*") if file.is_file()}
        fill(disk)
        log = prices(40_000)
        with pytest.raises(OSError, match=r"the disk is full; free some space.* is unharmed") as caught:
            write(log, path)
        assert caught.value.errno == errno.ENOSPC
        assert len(log.frame()) == 40_000
        after = {file: file.read_bytes() for file in disk.rglob("*") if file.is_file()}
        after.pop(disk / "filler")
        assert after == before


@every_writer
def test_places_that_cannot_be(write: Callable[[EventLog, Any], Path], tmp_path: Path) -> None:
    """A folder in place of a file, a file in place of a folder, a missing folder: what to do is said."""
    (tmp_path / "file").write_text("mine")
    with pytest.raises(NotADirectoryError, match="a part of the path is a file; write elsewhere"):
        write(prices(2), tmp_path / "file" / "a")
    if write is WRITERS[2]:
        assert visible(write(prices(2), tmp_path / "missing" / "a")) == ["date=2026-11-21/events.parquet"]
        with pytest.raises(FileExistsError, match="a file of that name is in the way"):
            write(prices(2), tmp_path / "file")
    else:
        with pytest.raises(FileNotFoundError, match="the folder does not exist; make it first"):
            write(prices(2), tmp_path / "missing" / "a")
        with pytest.raises(IsADirectoryError, match="it is a folder; name a file in it"):
            write(prices(2), tmp_path)
        with pytest.raises(OSError, match="not an ordinary file"):
            write(prices(2), "/dev/null")
    assert (tmp_path / "file").read_text() == "mine"
    assert not list(tmp_path.rglob(".*"))
