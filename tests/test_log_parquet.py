"""A log as Parquet: nothing is lost on the way back, and every tool reads the same numbers."""

from __future__ import annotations

import json
import math
import sys
import warnings
from decimal import Decimal
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, example, given, settings

from hercle_nb import _json
from hercle_nb._log_table import schema
from hercle_nb._store import Row
from hercle_nb.errors import ConfigurationError, InvalidRequest
from hercle_nb.events import COMMAND, CONNECTION, EVENT, Content
from hercle_nb.log import EventLog
from hercle_nb.log_parquet import read_parquet, write_parquet
from tests.rows import HALF_DAY, HOSTILE, NOON, assert_same, logs, prices, visible

ANY = settings(max_examples=100, deadline=None, suppress_health_check=list(HealthCheck))
TEXTS = ("kind", "target", "subject", "client_id", "channel", "topic", "type", "raw")


def valid(value: Any) -> Any:
    """A value as JSON can say it: no half characters, NaN or infinity."""
    if isinstance(value, str):
        return "".join("\ufffd" if "\ud800" <= letter <= "\udfff" else letter for letter in value)
    if isinstance(value, list):
        return [valid(item) for item in value]
    if isinstance(value, dict):
        return {valid(key): valid(item) for key, item in value.items()}
    return None if isinstance(value, float) and not math.isfinite(value) else value


@given(log=logs())
@ANY
def test_what_is_written_is_read(log: EventLog) -> None:
    """Whatever a log holds, the same frame and the same bytes come back, from one file or from many."""
    with TemporaryDirectory() as folder:
        back = read_parquet(write_parquet(log, Path(folder, "a.parquet")))
        assert_same(back, log)
        if len(log):
            assert_same(read_parquet(write_parquet(log, Path(folder, "days"), partition_by="date")), log)


@given(log=logs())
@example(log=EventLog.restored([Row(index, NOON, EVENT, 1, raw, None) for index, raw in enumerate(HOSTILE)]))
@ANY
def test_columns_say_what_the_frame_says(log: EventLog) -> None:
    """The columns hold what the frame holds, data as strict JSON or null; where UTF-8 refuses, U+FFFD."""
    with TemporaryDirectory() as folder:
        path = write_parquet(log, Path(folder, "a.parquet"))
        assert_same(read_parquet(path), log)
        rows = pq.read_table(path).to_pylist()
    frame = log.frame().reset_index()
    assert len(rows) == len(frame)
    for said, row in zip(rows, frame.to_dict("records"), strict=True):
        for name in ("seq", "received_at", "connection"):
            assert said[name] == row[name]
        for name in TEXTS:
            if name == "raw" and said["raw_bytes"] is not None and said["raw"] is not None:
                assert said["raw"] == said["raw_bytes"].decode(errors="replace")
            else:
                assert said[name] == (None if pd.isna(row[name]) else valid(row[name]))
        if said["data"] is None:
            assert row["data"] is None
        else:
            json.loads(said["data"], parse_constant=pytest.fail, parse_int=str)
            assert _json.decode(said["data"]) == valid(row["data"])


def test_columns(tmp_path: Path) -> None:
    """Columns, types and the hub's own digits, as pandas reads them."""
    sent = '{"type":1,"target":"GetBalances","arguments":["c",0.10]}'
    content = Content(target="GetBalances", client_id="c", data=["c", Decimal("0.10")])
    change = Content(subject="connection.lost", data={"reason": "x\ud800", "seconds": Decimal("0.10")})
    envelope = '{"subject":"s","clientId":"c","data":%s}'
    data = ['{"a": 1.50, "b": 1E400}', '"{\\"a\\": 2.50}"', '"text"', "null"]
    raws = ['{"type":1,"target":"t","arguments":[%s]}' % (envelope % value) for value in data]
    rows = [Row(index, NOON, EVENT, 1, raw, None) for index, raw in enumerate(raws)]
    rows += [
        Row(4, NOON, EVENT, 1, '{"type":1,"target":"t","arguments":[{"price":0.70}]}', None),
        Row(5, NOON, COMMAND, 1, sent, content),
        Row(6, NOON, CONNECTION, 1, None, change),
        Row(7, NOON, EVENT, 2, "\udcff", None),
    ]
    path = write_parquet(EventLog.restored(rows), str(tmp_path / "a.parquet"))
    assert read_parquet(path).rows() == rows
    table = pq.read_table(path)
    assert table.schema.equals(schema())
    assert ("data", pa.string()) in [(field.name, field.type) for field in table.schema]
    assert table["data"].to_pylist() == [
        '{"a": 1.50, "b": 1E400}',
        '{"a": 2.50}',
        '"text"',
        None,
        '{"price":0.70}',
        '["c",0.10]',
        '{"reason":"x\ufffd","seconds":0.10}',
        None,
    ]
    assert table["raw"].to_pylist()[5:] == [sent, None, "\ufffd"]
    assert table["raw_bytes"].to_pylist()[5] is None
    assert table["raw_bytes"].to_pylist()[7] == b"\xff"
    frame = pd.read_parquet(path)
    assert str(frame["received_at"].dtype) == "datetime64[us, UTC]"
    assert str(frame["connection"].dtype) == "int32"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A log of three days in partitions, with a file that a kill left unfinished."""
    folder = write_parquet(prices(2_000, step_us=100_000_000), tmp_path / "events", partition_by="date")
    assert len(visible(folder)) == 3
    (folder / "date=2026-11-21" / ".unfinished-1").write_bytes(b"PAR1")
    return folder


@pytest.fixture
def sums(folder: Path) -> tuple[int, int, float]:
    """What pandas finds in that folder, and in the log: rows, sum of connections, sum of prices."""
    frame, read = prices(2_000).frame(), pd.read_parquet(folder)
    found = sum(json.loads(data)["buyPrice"] for data in read["data"])
    assert found == float(sum(data["buyPrice"] for data in frame["data"]))
    assert (len(read), read["connection"].sum()) == (len(frame), frame["connection"].sum())
    return len(frame), int(frame["connection"].sum()), found


def test_duckdb_reads_partitions(folder: Path, sums: tuple[int, int, float]) -> None:
    """DuckDB finds what pandas finds, prices by its JSON functions."""
    import duckdb

    query = """
        select count(*), sum(connection), sum(cast(data->>'$.buyPrice' as double)), count(distinct date)
        from read_parquet(?, hive_partitioning = true)
    """
    with duckdb.connect() as connection:
        found = connection.execute(query, [f"{folder}/**/*.parquet"]).fetchone()
    assert found == (*sums, 3)


def test_polars_reads_partitions(folder: Path, sums: tuple[int, int, float]) -> None:
    """Polars finds what pandas finds, if the pattern leaves out what is unfinished."""
    import polars as pl

    read = pl.scan_parquet(f"{folder}/**/*.parquet", hive_partitioning=True).collect()
    found = read["data"].str.json_path_match("$.buyPrice").cast(pl.Float64)
    assert (len(read), read["connection"].sum(), found.sum()) == sums
    assert read["date"].n_unique() == 3


def test_dask_reads_partitions(folder: Path, sums: tuple[int, int, float]) -> None:
    """Dask finds what pandas finds, a partition a file."""
    import dask
    import dask.dataframe as dd

    with dask.config.set(scheduler="synchronous"), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "The inplace keyword", DeprecationWarning)  # of Dask's own making
        read = dd.read_parquet(folder)
        assert read.npartitions == 3
        found = read["data"].map(lambda data: json.loads(data)["buyPrice"], meta=("price", "float64"))
        assert (len(read), int(read["connection"].sum().compute()), found.sum().compute()) == sums


def test_hostile_rows_harm_no_query(tmp_path: Path) -> None:
    """A single hostile row does not make DuckDB's JSON functions fail for all others."""
    import duckdb

    rows = [Row(index, NOON, EVENT, 1, raw, None) for index, raw in enumerate(HOSTILE)]
    change = Content(subject="connection.lost", data={"reason": "\ud800"})
    rows.append(Row(len(rows), NOON, CONNECTION, 1, None, change))
    path = write_parquet(EventLog.restored(rows), tmp_path / "a.parquet")
    with duckdb.connect() as connection:
        found = connection.execute(
            "select sum(cast(data->>'$.price' as double)) from read_parquet(?)", [str(path)]
        )
        assert found.fetchall() == [(64123.77,)]


def test_the_same_cell_twice(tmp_path: Path) -> None:
    """Writing again replaces what was written, with more rows and days than before."""
    folder = tmp_path / "events"
    for count in (10, 2_000, 2_000):
        log = prices(count, step_us=100_000_000)
        assert_same(read_parquet(write_parquet(log, folder, partition_by="date")), log)
    assert visible(folder) == [f"date=2026-11-{day}/events.parquet" for day in (21, 22, 23)]


@pytest.mark.parametrize(
    "name", ["mine.parquet", "date=2026-11-21/part-1.parquet", "date=1999-01-01/events.parquet"]
)
def test_folders_of_others(name: str, tmp_path: Path) -> None:
    """A folder with Parquet files that would be read together with ours is refused, naming one."""
    (tmp_path / name).parent.mkdir(exist_ok=True)
    (tmp_path / name).write_text("mine")
    with pytest.raises(InvalidRequest, match=f"holds {name}.* choose a folder of its own"):
        write_parquet(prices(2), tmp_path, partition_by="date")
    assert visible(tmp_path) == [name]


@pytest.mark.parametrize("partition_by", ["day", "", "kind", ["date"], True])
def test_other_partitions(partition_by: Any, tmp_path: Path) -> None:
    """There is one way to partition."""
    with pytest.raises(InvalidRequest, match='partition_by is "date" or None, not'):
        write_parquet(prices(2), tmp_path / "a", partition_by=partition_by)


def test_truncated_anywhere(tmp_path: Path) -> None:
    """A Parquet file cut off anywhere is refused, in a folder as well."""
    path = write_parquet(prices(20), tmp_path / "a.parquet")
    whole = path.read_bytes()
    for length in range(0, len(whole), 7):
        path.write_bytes(whole[:length])
        with pytest.raises(InvalidRequest, match=r"a\.parquet is no complete Parquet file of a log"):
            read_parquet(path if length % 2 else tmp_path)


def test_foreign_files(tmp_path: Path) -> None:
    """Parquet of something else, a CSV, an empty folder and one of other files are refused by name."""
    path = tmp_path / "foreign.parquet"
    pd.DataFrame({"a": [1]}).to_parquet(path)
    with pytest.raises(InvalidRequest, match=r"foreign\.parquet .*another program wrote it"):
        read_parquet(path)
    path.write_text("a,b\n1,2\n")
    with pytest.raises(InvalidRequest, match=r"foreign\.parquet is no complete Parquet file"):
        read_parquet(tmp_path)
    path.rename(tmp_path / "foreign.csv")
    with pytest.raises(InvalidRequest, match="holds no Parquet files"):
        read_parquet(tmp_path)
    with pytest.raises(FileNotFoundError, match="missing"):
        read_parquet(tmp_path / "missing")


def changed(path: Path, table: pa.Table, version: Any = 1) -> Path:
    """Write another table with the metadata of a log of that format."""
    said = json.dumps({"format": version, "log": "x"})
    pq.write_table(table.replace_schema_metadata({"hercle_nb": said}), path)
    return path


def test_other_versions_and_columns(tmp_path: Path) -> None:
    """A newer format, missing columns, unknown kinds and rows out of order are refused."""
    path = write_parquet(prices(3), tmp_path / "a.parquet")
    table = pq.read_table(path)
    assert_same(read_parquet(changed(path, table)), prices(3))
    with pytest.raises(InvalidRequest, match=r"a\.parquet was written by a newer hercle_nb.* pip install -U"):
        read_parquet(changed(path, table, 2))
    refused = {
        "raw_bytes": (table.drop_columns(["raw_bytes"]), 1),
        "format": (table, "x"),
        "int64": (table.set_column(0, "seq", pa.array(["a", "b", "c"])), 1),
        "lacks": (table.set_column(2, "kind", pa.array(["event", "thing", "event"])), 1),
        "out of order": (pa.concat_tables([table, table]), 1),
    }
    for why, (other, version) in refused.items():
        changed(path, other, version)
        with pytest.raises(InvalidRequest, match=rf"a\.parquet is no complete Parquet file of a log .*{why}"):
            read_parquet(path)


def test_several_logs_in_one_folder(tmp_path: Path) -> None:
    """Two logs are merged in order of time and numbered from 0; a row that is there twice counts once."""
    early, late = prices(5, first=3), prices(5, NOON + 2_500_000, first=100)
    write_parquet(late, tmp_path / "a.parquet")
    write_parquet(early, tmp_path / "b.parquet")
    write_parquet(early, tmp_path / "c.parquet")
    frame = read_parquet(tmp_path).frame()
    assert frame.index.tolist() == list(range(10))
    assert frame["received_at"].is_monotonic_increasing
    assert [data["id"] for data in frame["data"]] == [3, 4, 5, 100, 6, 101, 7, 102, 103, 104]


def test_a_gap_in_one_log(tmp_path: Path) -> None:
    """Where a day's file was taken away the rest is numbered anew."""
    folder = write_parquet(prices(4, step_us=HALF_DAY, first=9), tmp_path / "events", partition_by="date")
    (folder / "date=2026-11-22" / "events.parquet").unlink()
    frame = read_parquet(folder).frame()
    assert (frame.index.tolist(), [data["id"] for data in frame["data"]]) == ([0, 1], [9, 12])


def test_without_pyarrow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without pyarrow the extra to install is named, and nothing is made."""
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    for verb in (lambda: write_parquet(prices(1), tmp_path / "a"), lambda: read_parquet(tmp_path)):
        with pytest.raises(ConfigurationError, match=r"pip install 'hercle_nb\[parquet\]'"):
            verb()
    assert visible(tmp_path) == []
