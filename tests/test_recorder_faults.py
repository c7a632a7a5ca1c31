"""Recording where something goes wrong: kills, full and read-only disks, folders that go away."""

from __future__ import annotations

import errno
import logging
import random
import shutil
import signal
import subprocess
import sys
import textwrap
import time
from typing import TYPE_CHECKING

import pyarrow.parquet as pq
import pytest

from hercle_nb import recorder as recorder_module
from hercle_nb.log import EventLog
from hercle_nb.log_parquet import read_parquet
from hercle_nb.recorder import Recorder
from tests.fast import until
from tests.rows import assert_same, fill, noise, price, prices, small_disk, visible

if TYPE_CHECKING:
    from pathlib import Path

BUSY = """
    import sys
    from hercle_nb import recorder
    from hercle_nb.log import EventLog
    from tests.rows import price
    recorder._LOOK, recorder._MAX_ROWS = 0.005, 500
    log = EventLog()
    recording = recorder.Recorder(log, sys.argv[1], "1s")
    number = 0
    while True:
        log.append(price(number), 1)
        number += 1
        if number % 500 == 0:
            while recording.rows < number - 1_000:
                pass
            print(number, flush=True)
"""


@pytest.mark.parametrize("attempt", range(3))
def test_killed(attempt: int, tmp_path: Path) -> None:
    """However a process is killed, every part that is there is complete, and they miss no row."""
    process = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(BUSY), str(tmp_path)], stdout=subprocess.PIPE, text=True
    )
    with process:
        assert process.stdout is not None
        for _ in range(5 + attempt):  # then 1,500 rows at least are written, in parts of 500 at most
            process.stdout.readline()
        time.sleep(random.uniform(0, 0.3))
        process.send_signal(signal.SIGKILL)
    parts = sorted(tmp_path.rglob("*.parquet"))
    assert len(parts) >= 3
    assert all(part.name.startswith("part-") for part in parts)
    found = [seq for part in parts for seq in pq.read_table(part)["seq"].to_pylist()]
    assert found == list(range(len(found)))
    frame = read_parquet(tmp_path).frame()
    assert [data["id"] for data in frame["data"]] == found
    assert len(visible(tmp_path)) - len(parts) <= 1  # the one that was under way


def test_full_disk(caplog: pytest.LogCaptureFixture) -> None:
    """A full disk is shown and logged once; when there is space again nothing is missing."""
    with small_disk() as disk:
        log = EventLog()
        recorder = Recorder(log, disk / "events", "1s")
        log.append(price(0), 1)
        until(lambda: recorder.parts == 1)
        filler = fill(disk)
        log.append(price(1, noise(1_000)), 1)
        until(lambda: recorder.error)
        assert isinstance(recorder.error, OSError)
        assert recorder.error.errno == errno.ENOSPC
        assert "the last part could not be written: [Errno 28]" in repr(recorder)
        assert "the disk is full; free some space, or write elsewhere. The log in" in repr(recorder)
        for number in range(2, 200):
            log.append(price(number, noise(1_000)), 1)
        time.sleep(1.5)  # another attempt in vain
        assert len(log.frame()) == 200
        assert [name for name in visible(disk) if "unfinished" in name] == []
        filler.unlink()
        until(lambda: recorder.rows == 200 and recorder.error is None)
        assert (recorder.lost, recorder.parts) == (0, 2)
        recorder.cancel()
        assert_same(read_parquet(disk / "events"), log)
    errors = [record for record in caplog.records if record.levelno >= logging.ERROR]
    assert [(record.name, record.message[:17]) for record in errors] == [("hercle_nb", "recording failed,")]


def test_cancel_on_a_full_disk(caplog: pytest.LogCaptureFixture) -> None:
    """`cancel` raises when the last part cannot be written, once; `close` logs; the log is unharmed."""
    with small_disk() as disk:
        log = prices(1_000)
        recorders = [Recorder(log, disk / name) for name in ("a", "b")]
        filler = fill(disk)
        with pytest.raises(OSError, match=r"1,000 rows are not recorded: .*full.*log\.to_parquet") as caught:
            recorders[0].cancel()
        assert caught.value.errno == errno.ENOSPC
        recorders[0].cancel()
        caplog.clear()
        recorders[1].close()
        assert "1,000 rows are not recorded" in caplog.records[-1].message
        recorders[1].cancel()
        assert recorders[0].parts == recorders[1].parts == 0
        assert_same(log, prices(1_000))
        filler.unlink()
        Recorder(log, disk / "a").cancel()
        assert_same(read_parquet(disk / "a"), log)


def test_places_that_cannot_be(tmp_path: Path) -> None:
    """A folder that cannot be written to fails in the cell, with what to do."""
    (tmp_path / "file").touch()
    for folder, error in (
        (tmp_path / "file", FileExistsError),
        (tmp_path / "file" / "a", NotADirectoryError),
    ):
        with pytest.raises(error, match="write elsewhere"):
            Recorder(prices(1), folder)
    with small_disk(read_only=True) as disk:
        for folder in (disk, disk / "events"):
            with pytest.raises(OSError, match="read-only") as caught:
                Recorder(prices(1), folder)
            assert caught.value.errno == errno.EROFS
    with small_disk() as disk:
        fill(disk)
        with pytest.raises(OSError, match="the disk is full"):
            Recorder(prices(1), disk)


def test_a_folder_that_goes_away(tmp_path: Path) -> None:
    """A folder that is gone is not made again; when it is back all that waited is written."""
    log, folder = EventLog(), tmp_path / "events"
    recorder = Recorder(log, folder, "1s")
    shutil.rmtree(folder)
    log.append(price(0), 1)
    until(lambda: recorder.error)
    assert isinstance(recorder.error, FileNotFoundError)
    assert not folder.exists()
    folder.mkdir()
    until(lambda: recorder.rows == 1)
    recorder.cancel()
    assert_same(read_parquet(folder), log)


def test_rows_lost_to_eviction(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Rows that the log evicts while nothing can be written are counted, and the rest is recorded."""
    monkeypatch.setattr(recorder_module, "_MAX_ROWS", 100)
    log, folder = EventLog(max_events=200), tmp_path / "events"
    recorder = Recorder(log, folder, "1s")
    shutil.rmtree(folder)
    for number in range(2_000):
        log.append(price(number), 1)
        if number == 150:
            until(lambda: recorder.error)
    folder.mkdir()
    until(lambda: recorder.rows and not recorder.error)
    recorder.cancel()
    assert recorder.lost > 1_000
    assert recorder.lost + recorder.rows == log.next_seq
    assert f"{recorder.lost:,} lost" in repr(recorder)
    frame = read_parquet(folder).frame()
    assert frame.index.tolist() == list(range(recorder.rows))
    assert [row.raw for row in read_parquet(folder).rows()][-100:] == [row.raw for row in log.rows()][-100:]


def test_a_fault_of_our_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not even an error that nobody foresaw ends the recording."""

    def fail(*_: object) -> None:
        raise ZeroDivisionError("unforeseen")

    with monkeypatch.context() as patch:
        patch.setattr(recorder_module, "write_rows", fail)
        recorder = Recorder(prices(2), tmp_path, "1s")
        until(lambda: recorder.error)
    until(lambda: recorder.error is None)
    recorder.cancel()
    assert_same(read_parquet(tmp_path), prices(2))
