"""Run the quickstart notebook without a browser and show what it made: `make demo`.

Always against the embedded simulator: the kernel sees no HERCLE_ variable, hence no key. The notebook's
file is not touched; the executed copy becomes build/quickstart.html, which needs no network to be read.
"""

from __future__ import annotations

import asyncio
import os
import re
import signal
import sys
import tempfile
import time
from pathlib import Path
from textwrap import indent

import nbformat
from jinja2 import DictLoader
from jupyter_client.kernelspec import KernelSpecManager
from jupyter_client.manager import AsyncKernelManager
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError, CellTimeoutError, DeadKernelError
from nbconvert import HTMLExporter

ROOT = Path(__file__).resolve().parent.parent
NOTEBOOK = ROOT / "notebooks" / "01-quickstart.ipynb"
PAGE = ROOT / "build" / "quickstart.html"

# What the notebook made, printed from its own objects by its own kernel.
SUMMARY = """
_sat = "a fraction of a sat" if invoice.amount_sat is None else f"{invoice.amount_sat:,} sat"
print("Environment", repr(hub), sep="\\n", end="\\n\\n")
print("Invoice")
print("ClientId  ", invoice.client_id)
print("Amount    ", f"{invoice.amount_btc:f} BTC = {_sat}")
print("Memo      ", invoice.memo)
print("Expires   ", f"{invoice.expires_at:%Y-%m-%d %H:%M:%S %Z}")
print("Payment request", invoice.payment_request, sep="\\n", end="\\n\\n")
print("Events")
print(hub.events[["received_at", "kind", "target", "subject", "client_id"]].to_string(na_rep=""))
"""

# Without the scripts that nbconvert takes from the network: there are no formulas or live widgets to draw.
OFFLINE = """{% extends 'lab/index.html.j2' %}
{% block html_head_js %}{% endblock %}
{% block html_head_js_mathjax %}{% endblock %}
{% block html_head_js_mermaidjs %}{% endblock %}"""


class CellFailed(Exception):
    """A cell raised, took too long or took the kernel with it; the text says which and how."""


async def run(notebook: nbformat.NotebookNode, scratch: Path) -> str:
    """Run every cell in this Python's own kernel, a line of progress each, and return the summary's text."""
    private = {"IPYTHONDIR": scratch / "ipython", "JUPYTER_RUNTIME_DIR": scratch / "runtime"}
    env = {name: value for name, value in os.environ.items() if not name.startswith("HERCLE_")}
    env |= {name: str(folder) for name, folder in private.items()}
    # no folder of kernel specs is looked into: what is left is the kernel of the interpreter that runs this
    manager = AsyncKernelManager(
        kernel_spec_manager=KernelSpecManager(kernel_dirs=[]), connection_file=str(scratch / "kernel.json")
    )
    client = NotebookClient(
        notebook,
        manager,
        timeout=120,
        store_widget_state=False,
        resources={"metadata": {"path": NOTEBOOK.parent}},
        extra_arguments=["--log-level=ERROR"],  # on loopback its warning about plain TCP says nothing
    )
    try:
        await client.async_start_new_kernel(env=env)
        await client.async_start_new_kernel_client()
        code_cells = [i for i, cell in enumerate(notebook.cells) if cell.cell_type == "code"]
        for number, index in enumerate(code_cells, 1):
            await run_cell(client, index, f"[{number}/{len(code_cells)}]")
        notebook.cells.append(nbformat.v4.new_code_cell(SUMMARY))
        summary = await execute(client, len(notebook.cells) - 1)
        notebook.cells.pop()
        return "".join(output.text for output in summary.outputs if output.get("name") == "stdout")
    finally:
        await stop(client, manager)


async def run_cell(client: NotebookClient, index: int, label: str) -> None:
    """Run one cell and say how long it took."""
    first = next((line for line in client.nb.cells[index].source.splitlines() if line.strip()), "(empty)")
    print(f"{label} {first:.70}", end=" ", flush=True)
    began = time.monotonic()
    await execute(client, index)
    print(f"… {time.monotonic() - began:.1f} s", flush=True)


async def execute(client: NotebookClient, index: int) -> nbformat.NotebookNode:
    """Execute one cell; where it fails, raise with the cell and the end of the error, plain text both."""
    cell = client.nb.cells[index]
    try:
        return await client.async_execute_cell(cell, index)
    except (CellExecutionError, CellTimeoutError, DeadKernelError) as error:
        if interrupted():  # nbclient takes every cancellation for a dead kernel
            raise asyncio.CancelledError from None
        plain = re.sub(r"\x1b\[[0-9;]*m", "", str(error))
        end = plain.rstrip().splitlines()[-6:]
        raise CellFailed("\n".join(["This cell failed:", indent(cell.source, "    "), "", *end])) from None


async def stop(client: NotebookClient, manager: AsyncKernelManager) -> None:
    """End the kernel, at once where we were interrupted, then what still listens to it, then the channels."""
    if manager.has_kernel:
        await manager.shutdown_kernel(now=interrupted())
    listeners = asyncio.all_tasks() - {asyncio.current_task()}
    for task in listeners:
        task.cancel()
    await asyncio.gather(*listeners, return_exceptions=True)
    if client.kc:
        client.kc.stop_channels()


def interrupted() -> bool:
    """Tell whether Ctrl-C or SIGTERM ended this run."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


def write_page(notebook: nbformat.NotebookNode) -> None:
    """Write the executed notebook as a page; widgets show their plain HTML, since their state is not kept."""
    exporter = HTMLExporter(
        extra_loaders=[DictLoader({"offline.html.j2": OFFLINE})], template_file="offline.html.j2"
    )
    body, _ = exporter.from_notebook_node(notebook, {"metadata": {"name": "Quickstart"}})
    PAGE.write_text(body, encoding="utf-8")


async def demo() -> None:
    """Run the notebook, print the summary, write the page; SIGTERM is as good as Ctrl-C."""
    task = asyncio.current_task()
    assert task is not None  # noqa: S101 - a coroutine always runs in one
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    PAGE.parent.mkdir(exist_ok=True)
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    print(f"Running {NOTEBOOK.relative_to(ROOT)} on the embedded simulator", flush=True)
    with tempfile.TemporaryDirectory(dir=PAGE.parent, prefix="kernel-") as scratch:
        summary = await run(notebook, Path(scratch))
    print(f"\n{summary}")
    write_page(notebook)
    print(f"The executed notebook is in {PAGE.relative_to(ROOT)}: open it in any browser.")


def main() -> int:
    """Run the demo and turn what may go wrong into a few lines and a status."""
    try:
        asyncio.run(demo())
    except CellFailed as error:
        print(f"\n\n{error}", file=sys.stderr)
    except FileNotFoundError as error:
        print(f"{error.filename} is missing: is this a whole checkout?", file=sys.stderr)
    except (KeyboardInterrupt, asyncio.CancelledError):
        print("\ninterrupted", file=sys.stderr)
        return 130
    else:
        return 0
    return 1


if __name__ == "__main__":
    sys.exit(main())
