"""Binder: what its image is built from, and a first visit in it, without docker.

The image's packages, ``postBuild`` and ``start`` are tried in a fresh environment of the Python that Binder
takes, where the machine has it, and as a user who may not do much, where the machine allows it.
"""

from __future__ import annotations

import json
import os
import re
import socket
import subprocess
import sys
import tempfile
import threading
import time
import tomllib
import urllib.error
import urllib.request
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import unquote

import psutil
import pytest
from jupyter_client.blocking.client import BlockingKernelClient
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.browser import chromium
from tests.environments import (
    ROOT,
    copy_of_the_project,
    fresh_environment,
    interpreters,
    online,
    variables,
)
from tests.jupyterlab import NEEDS_CHROMIUM
from tests.kernels import MARKS, code_cells, run_queued

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = MARKS

QUICKSTART = "lab/tree/notebooks/01-quickstart.ipynb"
APP = "voila/render/notebooks/app.ipynb"
LINK = re.compile(r"https://mybinder\.org/v2/gh/[\w.-]+/[\w.-]+/HEAD\?urlpath=([\w.%-]+)")
LIMIT = 10**9  # bytes: what mybinder.org promises
TOKEN = "binder-gives-each-visitor-one"
JOVYAN = 1000  # the id of Binder's user


class Image(NamedTuple):
    """What Binder's image would hold.

    Attributes:
        home: The repository, which is the user's home too.
        variables: The environment's variables in it.
        user: Who runs what is in it, as options of subprocess.
        built_with: The most memory that building it took at a time, in bytes.
    """

    home: Path
    variables: dict[str, str]
    user: dict[str, Any]
    built_with: int


class Memory(threading.Thread):
    """Watches how much memory a program and all it has started take, in bytes; shared pages count once."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        super().__init__(name="memory")
        self.peak = 0
        self._process = psutil.Process(process.pid)
        self._end = threading.Event()

    def __enter__(self) -> Memory:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._end.set()
        self.join()

    def run(self) -> None:
        """Look again and again."""
        while not self._end.wait(0.1):
            with suppress(psutil.NoSuchProcess):
                self.look()

    def look(self) -> None:
        """Look once."""
        total = 0
        for process in [self._process, *self._process.children(recursive=True)]:
            with suppress(psutil.NoSuchProcess, psutil.ZombieProcess, psutil.AccessDenied):
                memory = process.memory_full_info()
                total += getattr(memory, "pss", memory.uss)  # only Linux knows what is shared
        self.peak = max(self.peak, total)


@pytest.fixture(scope="module")
def dockerfile(tmp_path_factory: pytest.TempPathFactory) -> str:
    """What repo2docker would have docker do."""
    copy = copy_of_the_project(tmp_path_factory.mktemp("repository"))
    options = ["--no-build", "--debug", "--user-id", str(JOVYAN), "--user-name", "jovyan"]
    return online([sys.executable, "-m", "repo2docker", *options, "."], cwd=copy)


@pytest.fixture(scope="module")
def image() -> Iterator[Image]:
    """The repository with everything installed and built, as Binder's own user where that can be."""
    python, user = _python_and_user()
    with tempfile.TemporaryDirectory(prefix="hercle-nb-binder-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        home = copy_of_the_project(folder / "jovyan")
        pins = ["--requirements", str(home / "binder" / "requirements.txt")]
        made = fresh_environment(folder / "environment", *pins, python=python, copies=True)
        if user:
            _give(folder, JOVYAN)
        path = os.pathsep.join([str(made.parent), os.defpath])
        own = variables(home) | {"PATH": path, "USER": "jovyan", "LOGNAME": "jovyan"}
        with (
            (folder / "postBuild.log").open("wb") as log,
            subprocess.Popen(
                ["./binder/postBuild"], cwd=home, env=own, stdout=log, stderr=subprocess.STDOUT, **user
            ) as building,
            Memory(building) as memory,
        ):
            building.wait(300)
        assert building.returncode == 0, (folder / "postBuild.log").read_text()
        yield Image(home, own, user, memory.peak)


def _python_and_user() -> tuple[str, dict[str, Any]]:
    """The Python that is most like Binder's, and who can run it."""
    wanted = (ROOT / "binder" / "runtime.txt").read_text().strip().removeprefix("python-")
    right = [program for version, program in interpreters() if version == wanted]
    unprivileged = {"user": JOVYAN, "group": JOVYAN, "extra_groups": []} if os.geteuid() == 0 else {}
    for program in right:
        with suppress(OSError):
            subprocess.run([program, "-c", ""], cwd="/", check=True, **unprivileged)
            return program, unprivileged
    return (right or [sys.executable])[0], {}


def _give(folder: Path, user: int) -> None:
    """Make a folder and all that is in it another user's."""
    for path in [folder, *folder.rglob("*")]:
        os.chown(path, user, user, follow_symlinks=False)


@contextmanager
def started(image: Image, command: list[str]) -> Iterator[tuple[str, Memory]]:
    """What Binder runs for a visitor; gives its address, and what it takes."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    here = ["--ip=127.0.0.1", f"--port={port}", "--ServerApp.port_retries=0", "--no-browser", "--allow-root"]
    log = image.home.parent / "server.log"
    with (
        log.open("wb") as printed,
        subprocess.Popen(
            ["./binder/start", *command, *here],
            cwd=image.home,
            env=image.variables | {"JUPYTER_TOKEN": TOKEN},
            stdout=printed,
            stderr=subprocess.STDOUT,
            **image.user,
        ) as server,
        Memory(server) as memory,
    ):
        address = f"http://127.0.0.1:{port}"
        try:
            deadline = time.monotonic() + 60
            while True:
                assert server.poll() is None, log.read_text()
                with suppress(urllib.error.URLError, ConnectionError):
                    ask(f"{address}/api/status")
                    break
                assert time.monotonic() < deadline, log.read_text()
                time.sleep(0.1)
            yield address, memory
        finally:
            kernels = psutil.Process(server.pid).children(recursive=True) if server.poll() is None else []
            server.terminate()
            server.wait(30)
            for process in psutil.wait_procs(kernels, timeout=10)[1]:
                process.kill()


def ask(url: str, body: object = None) -> str:
    """What the server answers."""
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data, {"Authorization": f"token {TOKEN}"})
    with urllib.request.urlopen(request, timeout=60) as response:
        text: str = response.read().decode()
        return text


def pins() -> list[Requirement]:
    """The requirements of Binder's image."""
    lines = (ROOT / "binder" / "requirements.txt").read_text().splitlines()
    return [Requirement(line) for line in lines if not line.startswith("#")]


def test_every_pin_is_one_version() -> None:
    """Every requirement of the image is a package of the index in one version, and named once."""
    assert {len(pin.specifier) for pin in pins()} == {1}
    assert {specifier.operator for pin in pins() for specifier in pin.specifier} == {"=="}
    assert not [pin for pin in pins() if pin.url or pin.marker]
    assert len({canonicalize_name(pin.name) for pin in pins()}) == len(pins())


def test_pins_fit_what_the_package_asks_for() -> None:
    """Whatever hercle_nb, its extra `lab` and its build ask for is pinned, in a version that will do."""
    pyproject = tomllib.loads((ROOT / "pyproject.toml").read_text())
    project = pyproject["project"]
    asked = [
        *pyproject["build-system"]["requires"],
        *project["dependencies"],
        *project["optional-dependencies"]["lab"],
    ]
    pinned = {canonicalize_name(pin.name): next(iter(pin.specifier)).version for pin in pins()}
    for requirement in map(Requirement, asked):
        assert requirement.specifier.contains(pinned[canonicalize_name(requirement.name)]), requirement


def test_one_command_makes_the_pins(tmp_path: Path) -> None:
    """What `make pins` runs makes this very file where all of its versions still fit."""
    copy = copy_of_the_project(tmp_path)
    online([sys.executable, str(copy / "scripts" / "pins.py")])
    made = (copy / "binder" / "requirements.txt").read_text()
    assert made == (ROOT / "binder" / "requirements.txt").read_text()


def test_repo2docker_accepts_it(dockerfile: str) -> None:
    """repo2docker takes the folder for what it is: that Python, the pins, the two scripts."""
    assert "environment-2epy-2d3-2e11-2dlinux" in dockerfile
    steps = [
        'pip install --no-cache-dir -r "binder/requirements.txt"',
        "RUN ./binder/postBuild",
        'ENV R2D_ENTRYPOINT="${REPO_DIR}/binder/start"',
    ]
    places = [dockerfile.index(step) for step in steps]
    assert places == sorted(places)


def test_links() -> None:
    """The README links to the two pages of Binder that are opened here, and to no other."""
    readme = (ROOT / "README.md").read_text()
    links = LINK.findall(readme)
    assert {unquote(link) for link in links} == {QUICKSTART, APP}
    assert len(links) == readme.count("//mybinder.org/v2/")


@pytest.fixture(scope="module")
def visit(image: Image, dockerfile: str) -> Iterator[tuple[str, Memory]]:
    """The server that Binder starts for a visitor: its address, and the memory it takes."""
    command = json.loads(re.findall(r"^CMD (.*)$", dockerfile, re.MULTILINE)[-1])
    with started(image, command[:2]) as running:
        yield running


def test_building_takes_little_memory(image: Image) -> None:
    """The image is built, the quickstart run in it once, in less than 1 GB."""
    assert 10**7 < image.built_with < LIMIT


def test_a_first_visit(image: Image, visit: tuple[str, Memory]) -> None:
    """The quickstart runs, all cells queued, and the app is served: on the simulator, under 1 GB in all."""
    address, memory = visit
    assert "jupyter-config-data" in ask(f"{address}/{QUICKSTART}")
    with served_kernel(image, address, QUICKSTART.removeprefix("lab/tree/")) as client:
        cells = code_cells(image.home / "notebooks" / "01-quickstart.ipynb")
        run_queued(client, [*cells, "assert hercle.connect().simulator"])
    page = ask(f"{address}/{APP}")
    assert "HercleApp" in page
    assert "simulator: offline" in page
    memory.look()
    assert 10**8 < memory.peak < LIMIT


@contextmanager
def served_kernel(image: Image, address: str, notebook: str) -> Iterator[BlockingKernelClient]:
    """The kernel that the server starts for a notebook."""
    asked = {"path": notebook, "type": "notebook", "kernel": {"name": "python3"}}
    session = json.loads(ask(f"{address}/api/sessions", asked))
    runtime = image.home / ".local" / "share" / "jupyter" / "runtime"
    client = BlockingKernelClient()
    client.load_connection_file(str(runtime / f"kernel-{session['kernel']['id']}.json"))
    client.start_channels()
    try:
        client.wait_for_ready(timeout=60)
        yield client
    finally:
        client.stop_channels()


class TestInABrowser:
    """As a visitor sees it."""

    pytestmark = NEEDS_CHROMIUM

    def test_pages(self, visit: tuple[str, Memory]) -> None:
        """The links open the quickstart, without a question about news, and an app that makes an invoice."""
        address, memory = visit
        with chromium() as browser:
            page = browser.new_page()
            page.goto(f"{address}/{QUICKSTART}?token={TOKEN}")
            page.get_by_role("heading", name="The first invoice").wait_for(timeout=60_000)
            page.get_by_text("Python 3 (ipykernel) | Idle").wait_for(timeout=60_000)
            assert page.get_by_text("official Jupyter news").count() == 0
            page.goto(f"{address}/{APP}?token={TOKEN}")
            connect = page.get_by_role("button", name="Connect", exact=True)
            connect.wait_for(timeout=60_000)
            assert page.get_by_label("Environment").input_value() == "simulator"
            connect.click()
            form = page.get_by_role("region", name="New invoice")
            form.get_by_label("Amount").fill("0.001")
            form.get_by_label("Memo").fill("Coffee")
            form.get_by_role("button", name="Create invoice").click()
            form.get_by_role("button", name="Copy payment request").wait_for()
            memory.look()
        assert memory.peak < LIMIT
