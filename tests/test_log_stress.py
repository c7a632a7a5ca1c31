"""Reading the log without pause while events pour in from real hubs."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import hercle_nb as hercle
from tests.fast import fast_hub, until
from tests.servers import KEY

if TYPE_CHECKING:
    import pandas as pd

    from tests.servers import HubProcess

TOTAL = 100_000
PUSHES = 40


def pour(server: HubProcess, count: int) -> None:
    """Have the hub push so many events, side by side."""
    with ThreadPoolExecutor(4) as pool:
        for number in range(PUSHES):
            body = {"subject": f"burst.{number}", "count": count // PUSHES, "target": "subscriptions"}
            pool.submit(server.post, "push", body)


def test_every_reading_is_a_prefix(server: HubProcess) -> None:
    """While 100,000 events arrive, whatever a thread reads is the beginning of what is there in the end."""
    readings: list[pd.DataFrame] = []
    with hercle.connect(url=server.url, api_key=KEY, journal=False) as hub:
        until(lambda: server.stats()["connections"])
        done = threading.Event()

        def read() -> None:
            while not done.is_set():
                readings.append(hub.events)

        reader = threading.Thread(target=read)
        reader.start()
        try:
            pour(server, TOTAL)
            until(lambda: hub.stats["events"] >= TOTAL, 120)
        finally:
            done.set()
            reader.join()
        final = hub.events
    events = final[final["kind"] == "event"]
    assert len(events) == TOTAL
    assert dict(events["subject"].value_counts()) == {f"burst.{n}": TOTAL // PUSHES for n in range(PUSHES)}
    for number in range(PUSHES):
        one = events.loc[events["subject"] == f"burst.{number}", "data"]
        assert [data["sequence"] for data in one] == list(range(TOTAL // PUSHES))
    assert len(readings) > 3
    lengths = [len(frame) for frame in readings]
    assert lengths == sorted(lengths)
    raws, contents = final["raw"].tolist(), final["data"].tolist()
    for frame in readings[:: max(1, len(readings) // 20)]:
        assert frame.index.equals(final.index[: len(frame)])
        assert frame["raw"].tolist()[1:] == raws[1 : len(frame)]  # the first is a NaN
        assert all(mine is theirs for mine, theirs in zip(frame["data"], contents, strict=False))
        assert frame["received_at"].equals(final["received_at"].iloc[: len(frame)])


def test_reading_while_rows_are_evicted(server: HubProcess) -> None:
    """With a small log, whatever is read meanwhile is contiguous, and every row stands at its own seq."""
    total = 40_000
    readings: list[pd.DataFrame] = []
    with fast_hub(server.url, max_events=3_000) as hub:
        until(lambda: server.stats()["connections"])
        done = threading.Event()

        def read() -> None:
            while not done.is_set():
                readings.append(hub.events)
                assert len(readings[-1]) <= 3_301

        reader = threading.Thread(target=read)
        reader.start()
        try:
            pour(server, total)
            until(lambda: hub.stats["events"] >= total, 120)
        finally:
            done.set()
            reader.join()
        readings.append(hub.events)
        dropped = hub.stats["events_dropped"]
    assert dropped > total - 3_300
    seen: dict[int, str] = {}
    for frame in readings[:: max(1, len(readings) // 50)]:
        assert list(frame.index) == list(range(frame.index[0], frame.index[0] + len(frame)))
        for seq, subject in frame["subject"].items():
            assert seen.setdefault(int(str(seq)), subject) == subject
    last = readings[-1]
    assert last.index[0] == dropped
    assert last.loc[last["subject"] == "log.evicted", "data"].iloc[-1]["rows_in_all"] <= dropped
