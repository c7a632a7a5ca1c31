"""``hercle-nb record``: every event in Parquet, until it is interrupted or the hub says goodbye."""

from __future__ import annotations

import os
import pty
import signal
import socket
import subprocess
from typing import TYPE_CHECKING

import pytest

from hercle_nb import EventLog
from tests.commands_run import PROGRAM, ended, environment, line_with, run, running
from tests.fast import until
from tests.journals import sent
from tests.servers import KEY

if TYPE_CHECKING:
    from pathlib import Path

    from tests.servers import HubProcess


def ours(log: EventLog) -> list[int]:
    """The connection of each event that a test pushed."""
    events = log.frame(kind="event")
    connections: list[int] = events.loc[events["raw"].str.contains('"ours"'), "connection"].tolist()
    return connections


@pytest.mark.parametrize("by", ["SIGINT", "SIGTERM", "SIGHUP"])
def test_until_interrupted(server: HubProcess, tmp_path: Path, by: str) -> None:
    """Every event is in the folder once it ended, however it was told to end; a lost connection is a row."""
    folder = tmp_path / "events"
    with running("record", str(folder), "--url", server.url, HERCLE_API_KEY=KEY) as process:
        assert str(folder) in line_with(process, "Recording")
        server.lose()
        assert process.stderr is not None
        assert "UTC, the connection is lost: " in process.stderr.readline()
        assert process.stderr.readline().endswith("UTC, the connection is back\n")
        server.post("push", {"target": "executionEvents", "arguments": [{"ours": 1}], "count": 150})
        server.lose("drop")  # politely: it is heard after the events
        assert "UTC, the connection is lost: " in process.stderr.readline()
        status, said, complained = ended(process, by)
    log = EventLog.read_parquet(folder)
    assert (status, complained.count("\n")) == (0, complained.count("is back\n"))
    assert said == f"{len(log):,} rows in 1 files.\n"
    assert ours(log) == [2] * 150
    assert len(log.gaps) == 2


def test_prices(server: HubProcess, tmp_path: Path) -> None:
    """A pair that is named is subscribed to."""
    with running(
        *("record", str(tmp_path), "--url", server.url, "--prices", "BTCUSDT", "--prices", "ETHUSDT"),
        HERCLE_API_KEY=KEY,
    ) as process:
        line_with(process, "Recording")
        until(lambda: sent(server, "SubscribePairPriceChannel") == 2)
        assert ended(process)[0] == 0


@pytest.mark.parametrize("what", ["key", "nobody", "file"])
def test_failure(server: HubProcess, tmp_path: Path, what: str) -> None:
    """What cannot be recorded is exit status 1 and a sentence; no folder is left behind, no key shown."""
    folder = tmp_path / "events"
    url, key = server.url, "wrong-key" if what == "key" else KEY
    if what == "nobody":
        url = "http://127.0.0.1:9/hub"
    if what == "file":
        (tmp_path / "file").touch()
        folder = tmp_path / "file" / "events"
    done = run("record", str(folder), "--url", url, HERCLE_API_KEY=key)
    words = {
        "key": "refused the API key from the variable HERCLE_API_KEY",
        "nobody": "refused",
        "file": str(folder),
    }
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("Error: ")
    assert words[what] in done.stderr
    assert key not in done.stderr
    assert not folder.exists()


def test_the_hub_says_goodbye(server: HubProcess, tmp_path: Path) -> None:
    """A hub that ends it for good is exit status 1, and what was heard before is in the folder."""
    with running("record", str(tmp_path / "events"), "--url", server.url, HERCLE_API_KEY=KEY) as process:
        line_with(process, "Recording")
        server.post("push", {"target": "executionEvents", "arguments": [{"ours": 1}], "count": 3})
        server.post("key", {"key": "another"})
        server.lose("drop")
        said, complained = process.communicate(timeout=60)
    assert process.returncode == 1
    assert "Error: " in complained
    assert "refused the API key" in complained
    assert " rows in 1 files.\n" in said
    assert ours(EventLog.read_parquet(tmp_path / "events")) == [1] * 3


def test_the_key_is_asked_for(server: HubProcess, tmp_path: Path) -> None:
    """Without a variable the key is asked for at the terminal, and not shown there."""
    ours, theirs = pty.openpty()
    with subprocess.Popen(
        [PROGRAM, "record", str(tmp_path / "events"), "--url", server.url],
        env=environment(),
        pass_fds=[theirs],
        preexec_fn=lambda: os.login_tty(theirs),  # getpass asks the terminal of its session
    ) as process:
        os.close(theirs)
        seen = b""
        while b"Recording" not in seen:
            seen += os.read(ours, 1_000)
            if seen.endswith(b"Hercle API key (sandbox): "):
                os.write(ours, KEY.encode() + b"\n")
        assert KEY.encode() not in seen
        process.send_signal(signal.SIGINT)
        assert process.wait(30) == 0
    os.close(ours)


def test_ignored_signals_stay_ignored(server: HubProcess, tmp_path: Path) -> None:
    """Under nohup a terminal that is closed does not end it."""
    with running("record", str(tmp_path), "--url", server.url, nohup=True, HERCLE_API_KEY=KEY) as process:
        line_with(process, "Recording")
        process.send_signal(signal.SIGHUP)
        server.lose()
        assert process.stderr is not None
        assert "the connection is lost" in process.stderr.readline()
        assert ended(process)[0] == 0


def test_interrupted_before_it_records(tmp_path: Path) -> None:
    """An interrupt while it connects is no failure."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}/hub"
        with running("record", str(tmp_path / "events"), "--url", url, HERCLE_API_KEY=KEY) as process:
            silent.accept()[0].close()  # it has begun to connect
            assert ended(process) == (0, "", "")
