"""The official JavaScript client runs the command page's own example against the simulator."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.servers import HubProcess

FOLDER = Path(__file__).parent / "js"
PAGE_URL = "https://publicapi.sandbox.hercle.financial/ExecutionLiveServer/v1"


def test_page_example_runs_unchanged(server: HubProcess, tmp_path: Path) -> None:
    """But for URL and key, the page's code is run to the letter, and receives the created invoice."""
    node = shutil.which("node")
    if node is None or not (FOLDER / "node_modules" / "@microsoft" / "signalr").is_dir():
        pytest.skip("node or the official client is not here: npm ci --prefix tests/js")
    code = (FOLDER / "create-lightning-invoice.js").read_text()
    assert PAGE_URL in code
    assert "YOUR_API_KEY_HERE" in code
    script = tmp_path / "example.js"
    script.write_text(code.replace(PAGE_URL, server.url).replace("YOUR_API_KEY_HERE", server.key))
    with subprocess.Popen(
        [node, str(script)],
        env={"NODE_PATH": str(FOLDER / "node_modules"), "PATH": ""},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as process:
        try:
            said = _read_until(process, "encodedPaymentRequest")
        finally:
            process.kill()
    assert "Connected to WebSocket" in said
    assert "httpStatusCode: 201" in said
    assert "clientId: 'my-invoice-123'" in said
    sent = server.stats()["received"]
    assert any('"arguments":["my-invoice-123",0.001,"Payment for services",24]' in text for text in sent)


def _read_until(process: subprocess.Popen[str], word: str) -> str:
    assert process.stdout is not None
    said = ""
    for line in process.stdout:
        said += line
        if word in line:
            return said
    raise AssertionError(f"the example ended early: {said}")
