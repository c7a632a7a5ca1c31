"""The hubs that tests run against, and a watch over what they leave behind."""

from __future__ import annotations

import gc
import os
import threading
import time
import uuid
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import hercle_nb as hercle
from tests.journals import Kernels
from tests.scripted import scripted_hub
from tests.servers import HubProcess

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager

    from tests.postgres import Postgres
    from tests.scripted import ScriptedHub

ROOT = Path(__file__).resolve().parent.parent
REFERENCE_HUB = Path(
    os.environ.get("HERCLE_REFERENCE_HUB", ROOT.parent / "shared" / "reference-hub" / "reference-hub")
)


@pytest.fixture(scope="session", autouse=True)
def imports_out_of_sight() -> None:
    """Take what is imported out of the collector's sight, so that looking for leaks is quick."""
    import pandas  # noqa: F401  # the largest

    gc.collect()
    gc.freeze()


@pytest.fixture(autouse=True)
def nothing_left() -> Iterator[None]:
    """Fail a test that leaves a thread behind; unclosed sockets and tasks fail it by their warnings."""
    before = set(threading.enumerate())
    yield
    gc.collect()
    deadline = time.monotonic() + 2
    while (left := set(threading.enumerate()) - before) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert not left, f"threads left behind: {left}"


@pytest.fixture(autouse=True)
def no_variables(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> None:
    """No test sees the key, the environment or the journals of whoever runs it, nor another test's."""
    monkeypatch.delenv("HERCLE_API_KEY", raising=False)
    monkeypatch.delenv("HERCLE_ENV", raising=False)
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path_factory.getbasetemp() / f"data-{uuid.uuid4().hex}"))


@pytest.fixture(scope="session")
def simulator_process() -> Iterator[HubProcess]:
    """The simulator as a program, for the whole session."""
    with HubProcess.simulator() as process:
        yield process


@pytest.fixture(scope="session")
def reference_process() -> Iterator[HubProcess]:
    """ASP.NET Core SignalR itself, for the whole session."""
    with HubProcess.reference(_reference_hub()) as process:
        yield process


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """A PostgreSQL server, for the whole session; a test that stops it starts it again."""
    pytest.importorskip("psycopg")
    from tests.postgres import Postgres

    with Postgres(_postgres_programs()) as server:
        yield server


@pytest.fixture
def postgres_url(postgres: Postgres) -> str:
    """The URL of an empty database of `postgres`."""
    if not postgres.running:  # a test that stopped it has failed
        postgres.start()
    return postgres.database()


@pytest.fixture
def journal_file(tmp_path: Path) -> str:
    """A file to be a journal."""
    return str(tmp_path / "journal.db")


@pytest.fixture(params=["sqlite", "postgresql"])
def journal(request: pytest.FixtureRequest) -> str:
    """A new journal, a file or a database of PostgreSQL's."""
    place: str = request.getfixturevalue(
        {"sqlite": "journal_file", "postgresql": "postgres_url"}[request.param]
    )
    return place


@pytest.fixture
def kernels(request: pytest.FixtureRequest, server: HubProcess, journal: str) -> Iterator[Kernels]:
    """Two kernels that share a journal."""
    with closing(Kernels(server, journal, at_once=request.param == "both at once")) as kernels:
        yield kernels


@pytest.fixture
def own_hub() -> Callable[..., AbstractContextManager[HubProcess | ScriptedHub]]:
    """Start a hub for one test alone: its name, its port (any for 0), options of the reference hub's."""

    def start(name: str, *options: str, port: int = 0) -> AbstractContextManager[HubProcess | ScriptedHub]:
        if name == "lenient":
            return scripted_hub(port)
        if name == "simulator":
            return HubProcess.simulator(port)
        return HubProcess.reference(_reference_hub(), *options, port=port)

    return start


@pytest.fixture(params=["simulator", "reference"])
def server(request: pytest.FixtureRequest) -> HubProcess:
    """A hub to connect to, once the simulator and once the reference hub, as good as new."""
    process: HubProcess = request.getfixturevalue(f"{request.param}_process")
    process.reset()
    return process


@pytest.fixture(params=["simulator", "reference", "lenient"])
def any_server(request: pytest.FixtureRequest) -> Iterator[HubProcess | ScriptedHub]:
    """As `server`, and once more the hub of these tests that can write any bytes."""
    if request.param == "lenient":
        with scripted_hub() as scripted:
            yield scripted
    else:
        process: HubProcess = request.getfixturevalue(f"{request.param}_process")
        process.reset()
        yield process


@pytest.fixture
def simulator(simulator_process: HubProcess) -> HubProcess:
    """The simulator alone, as good as new."""
    simulator_process.reset()
    return simulator_process


@pytest.fixture
def hub(server: HubProcess) -> Iterator[hercle.Hub]:
    """A hub connected to `server`."""
    with hercle.connect(url=server.url, api_key=server.key, journal=False, timeout=10) as hub:
        yield hub


def _reference_hub() -> Path:
    if not REFERENCE_HUB.exists():
        pytest.skip(f"the reference hub is not here ({REFERENCE_HUB.name}); set HERCLE_REFERENCE_HUB")
    return REFERENCE_HUB


def _postgres_programs() -> Path:
    from tests.postgres import Postgres

    if (programs := Postgres.installed()) is None:
        pytest.skip("PostgreSQL's server programs are not here; apt-get install postgresql")
    return programs
