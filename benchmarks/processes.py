"""The programs that `bench_speed.py` starts: the server, and each peer in a process of its own."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

ROOT = Path(__file__).resolve().parent.parent
NODE_MODULES = ROOT / "tests" / "js" / "node_modules"
PATIENCE = 300  # seconds for one peer

_ENVIRONMENT = {name: value for name, value in os.environ.items() if not name.startswith("HERCLE_")}


class NotMeasured(Exception):
    """A peer gave no figure; the text says why."""


class NotHere(NotMeasured):
    """What it needs is not installed on this machine."""


def peer(name: str, *arguments: object) -> dict[str, Any]:
    """Run a program of `benchmarks/peers` and return what it prints.

    Raises:
        NotMeasured: It failed, or took too long.
    """
    return _measured([sys.executable, "-m", f"benchmarks.peers.{name}", *map(str, arguments)])


def official(*arguments: object) -> dict[str, Any]:
    """Run the official JavaScript client.

    Raises:
        NotHere: There is no node, or no client.
        NotMeasured: It failed, or took too long.
    """
    node = shutil.which("node")
    if node is None or not (NODE_MODULES / "@microsoft" / "signalr").is_dir():
        raise NotHere("node or the official client is not here: npm ci --prefix tests/js")
    return _measured([node, "benchmarks/peers/official.cjs", *map(str, arguments)])


def importing(module: str) -> dict[str, Any]:
    """Let a new interpreter import a module, and return the seconds that it takes.

    Raises:
        NotMeasured: It cannot.
    """
    code = (
        f"import json, time; began = time.perf_counter(); import {module}; "
        "print(json.dumps({'seconds': time.perf_counter() - began}))"
    )
    return _measured([sys.executable, "-c", code])


@contextmanager
def blast_server() -> Iterator[str]:
    """The URL of a new `blast.py`; it ends with its standard input, however this process ends."""
    command = [sys.executable, "-m", "benchmarks.blast"]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT
    ) as process:
        assert process.stdout is not None  # noqa: S101  # typing: it is a pipe
        line = process.stdout.readline()
        if not line.startswith("listening on "):
            raise NotMeasured("the server of prepared events did not start")
        yield line.split()[-1]


def _measured(command: Sequence[str]) -> dict[str, Any]:
    environment = _ENVIRONMENT | {"PYTHONPATH": str(ROOT), "NODE_PATH": str(NODE_MODULES)}
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=PATIENCE, cwd=ROOT, env=environment, check=False
        )
    except subprocess.TimeoutExpired:
        raise NotMeasured(f"no result in {PATIENCE} s") from None
    if done.returncode:
        said = done.stderr.strip().splitlines() or ["nothing said"]
        sys.stderr.write(done.stderr)
        raise NotMeasured(f"status {done.returncode}: {said[-1]}")
    result: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return result
