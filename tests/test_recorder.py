"""Recording: every row is in a part that is complete, whatever happens to the process or its folder."""

from __future__ import annotations

import gc
import re
import sys
import threading
import time
import weakref
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pandas as pd
import pyarrow.parquet as pq
import pytest

from hercle_nb import recorder as recorder_module
from hercle_nb.errors import ConfigurationError, InvalidRequest
from hercle_nb.log import EventLog
from hercle_nb.log_parquet import read_parquet, write_parquet
from hercle_nb.recorder import Recorder, close_all
from tests.fast import until
from tests.rows import NOON, assert_same, price, prices, visible
from tests.servers import interrupt_after, python

if TYPE_CHECKING:
    from pathlib import Path

PART = r"date=\d{4}-\d\d-\d\d/part-\d{8}T\d{12}Z-[0-9a-f]{8}-\d{12}\.parquet"


def seqs(folder: Path) -> list[int]:
    """The numbers of all rows in a folder, part after part."""
    return [
        seq for part in sorted(folder.rglob("*.parquet")) for seq in pq.read_table(part)["seq"].to_pylist()
    ]


def test_from_the_first_row_to_the_last(tmp_path: Path) -> None:
    """It begins with what the log keeps and ends with what is there at `cancel`."""
    log = EventLog()
    log.append(price(0), 1)
    recorder = Recorder(log, tmp_path / "made" / "events")
    assert repr(recorder) == f"<Recorder recording: 0 rows in 0 parts, {tmp_path}/made/events>"
    assert visible(recorder.folder) == []
    log.append(price(1), 1)
    recorder.cancel()
    assert (recorder.parts, recorder.rows, recorder.lost, recorder.error) == (1, 2, 0, None)
    assert repr(recorder) == f"<Recorder ended: 2 rows in 1 parts, {tmp_path}/made/events>"
    assert all(re.fullmatch(PART, part) for part in visible(recorder.folder))
    assert_same(read_parquet(recorder.folder), log)
    log.append(price(2), 1)
    recorder.cancel()
    recorder.close()
    assert read_parquet(recorder.folder).rows() == log.rows()[:2]


def test_parts_while_it_runs(tmp_path: Path) -> None:
    """Every so often what has come is written as a part, and nothing where nothing came."""
    log = EventLog()
    recorder = Recorder(log, str(tmp_path), timedelta(seconds=1))
    for count in (1, 2):
        log.append(price(count), 1)
        until(lambda count=count: recorder.parts == count)
        assert recorder.rows == count
    time.sleep(1.2)
    recorder.cancel()
    assert recorder.parts == 2
    assert_same(read_parquet(tmp_path), log)


def test_much_is_written_earlier(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Many rows and much text are not kept waiting, in parts of bounded size, so that no eviction wins."""
    monkeypatch.setattr(recorder_module, "_MAX_ROWS", 100)
    recorder = Recorder(prices(250), tmp_path / "rows")
    until(lambda: recorder.rows == 250)
    assert [pq.read_metadata(part).num_rows for part in sorted(recorder.folder.rglob("*.parquet"))] == [
        100,
        100,
        50,
    ]
    recorder.cancel()
    monkeypatch.setattr(recorder_module, "_MAX_TEXT", 1_000)
    log = EventLog(max_events=60)
    recorder = Recorder(log, tmp_path / "text")
    for number in range(200):
        log.append(price(number), 1)
        if number % 20 == 0:
            until(lambda: recorder._taken == log.next_seq)
    until(lambda: recorder.rows > 150)
    assert all(pq.read_metadata(part).num_rows < 10 for part in recorder.folder.rglob("*.parquet"))
    recorder.cancel()
    assert recorder.lost == 0
    assert seqs(recorder.folder) == list(range(log.next_seq))


def test_midnight(tmp_path: Path) -> None:
    """A part never spans two dates, whatever the clock of this computer says."""
    midnight = NOON + 12 * 3_600_000_000
    log = prices(5, midnight - 2, step_us=1, first=7)
    recorder = Recorder(log, tmp_path)
    recorder.cancel()
    names = [re.sub("-[0-9a-f]{8}-", "-ID-", name) for name in visible(tmp_path)]
    assert names == [
        "date=2026-11-21/part-20261121T235959999998Z-ID-000000000007.parquet",
        "date=2026-11-22/part-20261122T000000000000Z-ID-000000000009.parquet",
    ]
    assert_same(read_parquet(tmp_path), log)


@pytest.mark.parametrize(
    "every", ["1s", "2h", "1500ms", "1min 30s", timedelta(seconds=1), pd.Timedelta("1D")]
)
def test_spans(every: Any, tmp_path: Path) -> None:
    """Any span of a second or more will do."""
    Recorder(EventLog(), tmp_path, every).cancel()


@pytest.mark.parametrize(
    "every", ["999ms", "5", "soon", "", "-5min", "NaT", "1e99 D", 300, None, timedelta(0)]
)
def test_wrong_spans(every: Any, tmp_path: Path) -> None:
    """Anything else is refused, and nothing is made."""
    with pytest.raises(InvalidRequest, match='a span of at least a second, such as "5min"'):
        Recorder(EventLog(), tmp_path / "events", every)
    assert list(tmp_path.iterdir()) == []


def test_without_pyarrow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without pyarrow the extra to install is named, and nothing is made."""
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(ConfigurationError, match=r"pip install 'hercle_nb\[parquet\]'"):
        Recorder(EventLog(), tmp_path / "events")
    assert list(tmp_path.iterdir()) == []


def test_the_same_cell_twice(tmp_path: Path) -> None:
    """Recording the same log into the same folder again goes on where it stopped: no row is there twice."""
    log = EventLog()
    for number in range(6):
        log.append(price(number), 1)
        recorder = Recorder(log, tmp_path)
        if number % 3 == 0:
            recorder.cancel()
    assert sum(thread.name == "hercle-recorder" for thread in threading.enumerate()) == 1
    recorder.cancel()
    assert seqs(tmp_path) == list(range(6))
    for part in tmp_path.rglob("*.parquet"):
        part.unlink()
    Recorder(log, tmp_path).cancel()  # what was deleted is written again
    assert_same(read_parquet(tmp_path), log)


def test_two_at_once(tmp_path: Path) -> None:
    """Two logs in one folder do not get in each other's way, nor one log in two folders."""
    one, two = EventLog(), EventLog()
    recorders = [Recorder(one, tmp_path / "a"), Recorder(two, tmp_path / "a"), Recorder(one, tmp_path / "b")]
    for number in range(100):
        one.append(price(number), 1)
        two.append(price(1_000 + number), 1)
    for recorder in recorders:
        recorder.cancel()
    frame = read_parquet(tmp_path / "a").frame()
    ids = [data["id"] for data in frame["data"]]
    assert sorted(ids) == [*range(100), *range(1_000, 1_100)]
    assert [i for i in ids if i < 1_000] == list(range(100))
    assert frame["received_at"].is_monotonic_increasing
    assert_same(read_parquet(tmp_path / "b"), one)


def test_restart_into_the_same_folder(tmp_path: Path) -> None:
    """What a second kernel records comes after what the first one did."""
    for start in (0, 50):
        recorder = Recorder(prices(50, NOON + start * 1_000_000), tmp_path)
        recorder.cancel()
    frame = read_parquet(tmp_path).frame()
    assert frame.index.tolist() == list(range(100))
    assert [data["id"] for data in frame["data"]] == [*range(50), *range(50)]
    with pytest.raises(InvalidRequest, match="choose a folder of its own"):
        write_parquet(prices(1), tmp_path, partition_by="date")


def test_a_folder_of_others(tmp_path: Path) -> None:
    """A folder that holds an export is refused: whoever reads it would find rows twice."""
    write_parquet(prices(2), tmp_path, partition_by="date")
    with pytest.raises(InvalidRequest, match=r"holds date=2026-11-21/events\.parquet"):
        Recorder(prices(2), tmp_path)
    (tmp_path / "date=2026-11-21" / "events.parquet").rename(tmp_path / "part-0.parquet")  # as Spark names it
    with pytest.raises(InvalidRequest, match=r"holds part-0\.parquet"):
        Recorder(prices(2), tmp_path)


def test_what_is_kept_alive(tmp_path: Path) -> None:
    """The keeper lives as long as the recording, and no longer; nor does the log."""

    class Keeper:
        pass

    log, keeper = EventLog(), Keeper()
    watched, log_watched = weakref.ref(keeper), weakref.ref(log)
    recorder = Recorder(log, tmp_path, keeper=keeper)
    del keeper
    gc.collect()
    assert watched() is not None
    recorder.cancel()
    assert watched() is None
    del recorder, log
    gc.collect()
    assert log_watched() is None


def test_closing_all_of_one_log(tmp_path: Path) -> None:
    """Closing a hub closes the recorders of its log, and of no other; it can be done without waiting."""
    one, two = prices(3), prices(3)
    recorders = [Recorder(log, tmp_path / name) for log, name in ((one, "a"), (one, "b"), (two, "c"))]
    close_all(one)
    assert [recorder.parts for recorder in recorders] == [1, 1, 0]
    close_all(two, wait=False)
    until(lambda: "ended" in repr(recorders[2]))
    assert recorders[2].parts == 1


def test_interrupted_cancel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An interrupt ends the waiting at once; the part is written all the same."""
    slow = threading.Event()
    write_rows = recorder_module.write_rows
    monkeypatch.setattr(recorder_module, "write_rows", lambda *args: (slow.wait(10), write_rows(*args)))
    recorder = Recorder(prices(3), tmp_path)
    with interrupt_after(0.2), pytest.raises(KeyboardInterrupt):
        recorder.cancel()
    slow.set()
    recorder.cancel()
    assert_same(read_parquet(tmp_path), prices(3))


def test_exit_and_fork(tmp_path: Path) -> None:
    """A script that ends without cancelling has written everything; its forked child writes nothing."""
    done = python(
        """
        import os, sys, warnings
        from hercle_nb.log import EventLog
        from hercle_nb.recorder import Recorder
        warnings.filterwarnings("ignore", "This process .* is multi-threaded", DeprecationWarning)
        log = EventLog()
        recorder = Recorder(log, sys.argv[1])
        for number in range(10):
            log.append(f"{number}", 1)
        if child := os.fork():
            assert os.waitpid(child, 0)[1] == 0
        else:
            recorder.cancel()
            sys.exit()
        """,
        str(tmp_path),
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert seqs(tmp_path) == list(range(10))
