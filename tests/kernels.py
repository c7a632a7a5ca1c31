"""Kernels of any Python and any ipykernel, and cells queued in them as Run All queues them."""

from __future__ import annotations

import json
import queue
import sys
import time
from contextlib import contextmanager
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

import pytest
from jupyter_client.kernelspec import KernelSpecManager
from jupyter_client.manager import KernelManager

from tests.environments import variables

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from jupyter_client.blocking.client import BlockingKernelClient

# each treats threads and messages in its own way; the installed one is among them
VERSIONS = sorted({"6.31.0", "7.0.1", "7.3.0", "7.4.0", version("ipykernel")})
RUN = [  # hercle.run between cells that wait for their turn
    "import asyncio\nimport hercle_nb as hercle\nhub = hercle.connect('simulator')\nturns = []",
    "turns.append(hercle.run(asyncio.sleep(0.01, 'run')))",
    "turns.append('queued')",
    "turns.append(hercle.run(hub.aio.create_invoice(0.001, 'Coffee', 24)).status)",
    "turns.append('queued')\nhub.close()",
    "assert turns == ['run', 'queued', 'open', 'queued'], turns",
]
# zmq's sockets are jupyter_client's to close in order
MARKS = pytest.mark.filterwarnings(
    "default::ResourceWarning", "default::pytest.PytestUnraisableExceptionWarning"
)


@contextmanager
def kernel(
    folder: Path, *, python: Path | str = sys.executable, before: Path | None = None
) -> Iterator[BlockingKernelClient]:
    """A kernel that is ready; a folder is its home and where it runs.

    Args:
        folder: Made if it is not there.
        python: The kernel's Python.
        before: A folder of packages that go before that Python's own.
    """
    folder.mkdir(parents=True, exist_ok=True)
    environment = variables(folder) | ({"PYTHONPATH": str(before)} if before else {})
    manager = KernelManager(
        kernel_spec_manager=KernelSpecManager(kernel_dirs=[]), connection_file=str(folder / "kernel.json")
    )
    manager.kernel_spec.argv[0] = str(python)
    manager.start_kernel(env=environment, cwd=str(folder), extra_arguments=["--log-level=ERROR"])
    client = manager.blocking_client()
    client.start_channels()
    try:
        client.wait_for_ready(timeout=60)
        yield client
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)
        manager.cleanup_resources()


def code_cells(notebook: Path) -> list[str]:
    """The source of every code cell."""
    cells = json.loads(notebook.read_text())["cells"]
    return ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"]


def send(client: BlockingKernelClient, cells: list[str], *, stop_on_error: bool = True) -> dict[str, str]:
    """Queue cells all at once; returns them by their message's id."""
    return {client.execute(cell, stop_on_error=stop_on_error): cell for cell in cells}


def answers(client: BlockingKernelClient, sent: dict[str, str], seconds: float = 120) -> list[dict[str, Any]]:
    """What the kernel answers to each of the cells that were sent; fails if it leaves one waiting."""
    got: dict[str, dict[str, Any]] = {}
    deadline = time.monotonic() + seconds
    while waiting := [cell for name, cell in sent.items() if name not in got]:
        try:
            reply = client.get_shell_msg(timeout=max(0, deadline - time.monotonic()))
        except queue.Empty:
            raise AssertionError(f"cells without an answer: {waiting}") from None
        if (name := reply["parent_header"].get("msg_id")) in sent:
            got[name] = reply["content"]
    return [got[name] for name in sent]


def run_queued(client: BlockingKernelClient, cells: list[str]) -> None:
    """Queue cells all at once; fails unless every one of them runs."""
    for cell, answer in zip(cells, answers(client, send(client, cells)), strict=True):
        assert answer["status"] == "ok", "\n".join([cell, *answer.get("traceback", ["was not run"])])
