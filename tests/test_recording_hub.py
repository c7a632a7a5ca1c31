"""Recording a hub's log: the hub's end writes the last part, and a hub that is recorded is in use."""

from __future__ import annotations

import asyncio
import gc
from typing import TYPE_CHECKING

import pytest
from pandas.testing import assert_frame_equal

import hercle_nb as hercle
from tests.fast import fast_hub, healed, until
from tests.servers import KEY, python

if TYPE_CHECKING:
    from pathlib import Path

    from tests.servers import HubProcess

pytest.importorskip("pyarrow")


def test_closing_writes_the_last_part(server: HubProcess, tmp_path: Path) -> None:
    """After `close` the folder holds every row of the log, the goodbye among them."""
    with fast_hub(server.url) as hub:
        recorder = hub.log.record(tmp_path / "log")
        hub.create_invoice(amount_sat=7)
        server.lose()
        healed(hub)
        hub.close()
        assert (recorder.error, recorder.lost, recorder.rows) == (None, 0, len(hub.log))
        copy = hercle.EventLog.read_parquet(tmp_path / "log")
        assert_frame_equal(copy.frame().drop(columns="data"), hub.events.drop(columns="data"))
        assert copy.frame()["data"].tolist() == hub.events["data"].tolist()
        assert "connection.closed" in set(copy.frame()["subject"])
        assert_frame_equal(copy.gaps, hub.log.gaps)


def test_awaited_close_writes_the_last_part(server: HubProcess, tmp_path: Path) -> None:
    """The awaitable twin's `close` does the same."""

    async def main() -> None:
        async with await hercle.connect_async(url=server.url, api_key=KEY, journal=False) as hub:
            hub.log.record(tmp_path)
            await hub.command("GetBalances")
        assert len(hercle.EventLog.read_parquet(tmp_path)) == len(hub.log)

    asyncio.run(main())


def test_exit_writes_the_last_part(server: HubProcess, tmp_path: Path) -> None:
    """A script that ends without closing anything loses no event."""
    done = python(
        f"""
        import hercle_nb as hercle
        hub = hercle.connect(url={server.url!r}, api_key={KEY!r}, journal=False)
        hub.log.record({str(tmp_path)!r})
        hub.command("GetBalances", client_id="the-last")
        """
    )
    assert (done.returncode, done.stderr) == (0, "")
    frame = hercle.EventLog.read_parquet(tmp_path).frame()
    assert frame["client_id"].tolist().count("the-last") == 2


def test_keeps_its_hub_alive(server: HubProcess, tmp_path: Path) -> None:
    """A hub that is recorded is in use; once that is cancelled the hub closes itself."""
    hub = hercle.connect(url=server.url, api_key=KEY, journal=False)
    recorders = [hub.log.record(tmp_path)]
    del hub
    gc.collect()
    until(lambda: server.stats()["connections"])
    recorders.pop().cancel()
    gc.collect()
    until(lambda: not server.stats()["connections"])
