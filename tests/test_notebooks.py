"""The notebooks as Run All runs them: every cell queued at once; nbval runs them cell by cell."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path

import pytest
from jupyter_client.manager import KernelManager

NOTEBOOKS = sorted((Path(__file__).parent.parent / "notebooks").glob("*.ipynb"))


def code_cells(notebook: Path) -> list[str]:
    """The source of every code cell."""
    cells = json.loads(notebook.read_text())["cells"]
    return ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"]


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda path: path.stem)
def test_all_cells_queued_at_once(notebook: Path, tmp_path: Path) -> None:
    """Every cell of a notebook runs when all are queued at once, and none is left waiting."""
    manager = KernelManager(kernel_name="python3", connection_file=str(tmp_path / "kernel.json"))
    manager.kernel_spec.argv[0] = sys.executable
    manager.start_kernel(cwd=str(tmp_path), extra_arguments=["--log-level=ERROR"])
    client = manager.blocking_client()
    client.start_channels()
    try:
        client.wait_for_ready(timeout=60)
        waiting = {client.execute(source): source for source in code_cells(notebook)}
        while waiting:
            reply = client.get_shell_msg(timeout=60)
            source = waiting.pop(reply["parent_header"].get("msg_id"), None)
            content = reply["content"]
            assert content["status"] == "ok" or source is None, "\n".join(
                [str(source), *content["traceback"]]
            )
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)
        manager.cleanup_resources()


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda path: path.stem)
def test_nothing_private_is_stored(notebook: Path) -> None:
    """A shipped notebook holds no widget state, no error, no path of a machine."""
    text = notebook.read_text()
    assert "widget-state+json" not in text
    assert '"output_type": "error"' not in text
    assert not re.search(r"/(home|root|Users)/", text)
