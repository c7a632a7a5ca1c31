"""Run every notebook in a kernel of its own and store what a reader on GitHub should see: `make outputs`.

Outputs are stored in the cells that are tagged so, and in no other: `nbval-check-output` where they are the
same at each run, which nbval compares from then on, and `stored-picture` for charts.
"""

from __future__ import annotations

import sys
import tempfile
from base64 import b64decode, b64encode
from io import BytesIO
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from PIL import Image

NOTEBOOKS = Path(__file__).resolve().parent.parent / "notebooks"
STORED = {"nbval-check-output", "stored-picture"}
METADATA = {
    "kernelspec": {"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"},
    "language_info": {"name": "python"},  # without the version of whoever ran it
}
COLOURS = 64  # of a picture; charts have few, and their files become small


def store(path: Path) -> None:
    """Run a notebook from top to bottom, and write it with the outputs of its tagged cells alone."""
    notebook = nbformat.read(path, as_version=4)
    with tempfile.TemporaryDirectory() as folder:
        client = NotebookClient(
            notebook,
            timeout=120,
            record_timing=False,
            store_widget_state=False,
            resources={"metadata": {"path": folder}},
            extra_arguments=["--log-level=ERROR"],  # on loopback its warning about plain TCP says nothing
        )
        client.execute()
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    for number, cell in enumerate(code, 1):
        tags = cell.metadata.get("tags", [])
        cell.metadata = {"tags": tags} if tags else {}
        cell.outputs = cell.outputs if STORED.intersection(tags) else []
        cell.execution_count = number if cell.outputs else None  # nbval fails outputs without a number
        for output in cell.outputs:
            if output.output_type == "execute_result":
                output.execution_count = number
            if "image/png" in output.get("data", {}):
                output.data["image/png"] = plain(output.data["image/png"])
    title = {name: text for name, text in notebook.metadata.items() if name == "title"}  # of Voilà's page
    notebook.metadata = METADATA | title
    nbformat.write(notebook, path)


def plain(png: str) -> str:
    """The same picture without what matplotlib notes about itself, in few colours."""
    with Image.open(BytesIO(b64decode(png))) as picture, BytesIO() as file:
        picture.convert("RGB").quantize(COLOURS).save(file, "PNG", optimize=True)
        return b64encode(file.getvalue()).decode()


def main() -> int:
    """Store the outputs of the notebooks named, or of all."""
    for path in [Path(name) for name in sys.argv[1:]] or sorted(NOTEBOOKS.glob("*.ipynb")):
        store(path)
        print(f"{path.name}: {path.stat().st_size / 1024:.0f} KB", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
