"""Make the pictures of an invoice in JupyterLab, light and dark, on the simulator: `make pictures`."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import nbformat

from tests.jupyterlab import CHROMIUM, run_all

PICTURES = Path(__file__).resolve().parent.parent / "docs" / "pictures"
CELLS = [
    'import hercle_nb as hercle\n\nhub = hercle.connect("simulator")',
    'hub.create_invoice(0.001, "Payment for services", 24)',
]
KERNEL = {"kernelspec": {"name": "python3", "display_name": "Python 3 (ipykernel)"}}


def take(picture: Path, *, dark: bool) -> None:
    """Run the cells in JupyterLab and take a picture of the last one with the card below it."""
    cells = [nbformat.v4.new_code_cell(source) for source in CELLS]
    with tempfile.TemporaryDirectory() as folder:
        notebook = Path(folder) / "invoice.ipynb"
        nbformat.write(nbformat.v4.new_notebook(cells=cells, metadata=KERNEL), notebook)
        with run_all(Path(folder), notebook, dark=dark) as page:
            cell = page.locator(".jp-CodeCell").last
            cell.get_by_role("img", name="QR code to pay").wait_for(timeout=60_000)
            cell.screenshot(path=picture)
    print(picture.relative_to(PICTURES.parent.parent), flush=True)


def main() -> int:
    """Take both pictures, or say what is missing."""
    if CHROMIUM is None:
        print("pictures: Chromium is not here; install it with: apt-get install chromium", file=sys.stderr)
        return 1
    take(PICTURES / "invoice.png", dark=False)
    take(PICTURES / "invoice-dark.png", dark=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
