"""The gallery: what every notebook has in common, and what is stored in it.

nbval runs them cell by cell and compares what is stored; `test_queued_cells` queues all of their cells.
"""

from __future__ import annotations

import ast
import re
from base64 import b64decode
from io import BytesIO
from pathlib import Path
from typing import Any

import nbformat
import pytest
from PIL import Image

from scripts.outputs import METADATA, STORED, store
from tests.kernels import code_cells

FOLDER = Path(__file__).parent.parent / "notebooks"
NOTEBOOKS = sorted(FOLDER.glob("*.ipynb"))
APP = "app"  # what Voilà serves: a cell, and nothing to read
GALLERY = [
    "01-quickstart",
    "02-events-as-data",
    "03-price-stream",
    "04-bulk-and-recovery",
    "05-inspect-and-decode",
    "06-forms-and-app",
    "07-errors-and-reconnects",
    "08-team-journal-and-parquet",
]
LIVE = {"01-quickstart", "06-forms-and-app"}  # their forms are there to be used, so the hub stays

NEEDS_NOTHING = "It needs no account and no network: the hub is a **simulator** inside this kernel."
HOW_TO_RUN = "Run the cells from top to bottom, one by one or all at once."
OPENING = 'import hercle_nb as hercle\n\nhub = hercle.connect("simulator")\nhub'
SCREENFUL = 50  # lines of code that are not blank
WIDE = 120  # characters of a line of prose
LARGE = 60_000  # bytes of a picture

CHANGES = {  # what is another at each run, or on each machine
    "a UUID": r"\b[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\b",
    "an id of the hub's": r"\binv_[0-9a-f]{16}\b",
    "a date since 2020": r"\b20[2-9]\d-\d\d-\d\d\b",  # the examples of BOLT 11 are of 2017
    "an address in memory": r"\b0x[0-9a-f]{6,}\b",
    "a port": r"(127\.0\.0\.1|localhost):\d+",
    "an invoice of the simulator's": r"\blnbcrt",
    "a path": r"(^|[\s'\"(])(~|[A-Za-z]:\\|/(home|root|Users|tmp|private|var|work)/)",
    "a generated id": r"\bid=['\"]|url\(#|<style type",
}

each = pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda path: path.stem)
each_of_the_gallery = pytest.mark.parametrize("stem", GALLERY)


def read(notebook: Path | str) -> Any:
    """A notebook by its path, or by its name in the gallery."""
    return nbformat.read(FOLDER / f"{notebook}.ipynb" if isinstance(notebook, str) else notebook, 4)


def links(stem: str) -> list[str]:
    """Where the prose of a notebook links to, outside addresses left out."""
    prose = "\n".join(cell.source for cell in read(stem).cells if cell.cell_type == "markdown")
    return [target for target in re.findall(r"\]\(([^)]+)\)", prose) if "://" not in target]


def test_the_gallery_is_complete() -> None:
    """There are these notebooks and no others."""
    assert [path.stem for path in NOTEBOOKS] == [*GALLERY, APP]


@each_of_the_gallery
def test_the_same_opening(stem: str) -> None:
    """A title, what is shown, what it needs, how to run it; then imports and a hub of the simulator."""
    first, second, *_ = read(stem).cells
    title, shown, *others, how = first.source.split("\n\n")
    assert (first.cell_type, second.cell_type) == ("markdown", "code")
    assert re.fullmatch(r"# \S.*", title)
    assert shown[0] not in "#-|"
    assert [other.replace("\n", " ").startswith(NEEDS_NOTHING) for other in others] == [True]
    assert how == HOW_TO_RUN
    assert second.source.endswith(OPENING)
    *above, _hub, _shown = ast.parse(second.source).body
    assert all(isinstance(statement, ast.Import | ast.ImportFrom) for statement in above)


@each_of_the_gallery
def test_under_a_screenful(stem: str) -> None:
    """All the code of a notebook fits a screen."""
    lines = [line for source in code_cells(FOLDER / f"{stem}.ipynb") for line in source.splitlines()]
    assert 0 < len([line for line in lines if line.strip()]) <= SCREENFUL


@each_of_the_gallery
def test_the_same_ending(stem: str) -> None:
    """The last words say where to go next; the hub is closed, except where a form is there to be used."""
    cells = read(stem).cells
    assert cells[-1].cell_type == "markdown"
    assert "## Where to go next\n\n- [" in cells[-1].source
    closes = "hub.close()" in code_cells(FOLDER / f"{stem}.ipynb")[-1].splitlines()
    assert closes is (stem not in LIVE)


@each_of_the_gallery
def test_links_lead_somewhere(stem: str) -> None:
    """A notebook links to at least two others, never to itself, and each is there."""
    targets = links(stem)
    assert len(targets) >= 2
    assert set(targets) <= {f"{other}.ipynb" for other in GALLERY if other != stem}


def test_every_notebook_is_found() -> None:
    """The quickstart links to all the others."""
    assert sorted(links(GALLERY[0])) == [f"{stem}.ipynb" for stem in GALLERY[1:]]


@each
def test_lines_of_prose_are_short(notebook: Path) -> None:
    """No line of prose is wider than 120 characters."""
    prose = [cell.source for cell in read(notebook).cells if cell.cell_type == "markdown"]
    assert [line for text in prose for line in text.splitlines() if len(line) > WIDE] == []


@each
def test_nothing_private_is_stored(notebook: Path) -> None:
    """A shipped notebook holds no widget state, no error, no path of a machine."""
    text = notebook.read_text()
    assert "widget-state+json" not in text
    assert '"output_type": "error"' not in text
    assert not re.search(r"/(home|root|Users)/", text)


@each
def test_outputs_are_stored_where_they_are_meant_to_be(notebook: Path) -> None:
    """Tagged cells hold outputs and a number, without which nbval compares nothing; others neither."""
    cells = [cell for cell in read(notebook).cells if cell.cell_type == "code"]
    for number, cell in enumerate(cells, 1):
        tags = set(cell.metadata.get("tags", []))
        assert tags <= STORED
        assert bool(cell.outputs) is bool(tags)
        assert cell.execution_count == (number if tags else None)
        pictures = [output for output in cell.outputs if "image/png" in output.get("data", {})]
        assert bool(pictures) is ("stored-picture" in tags)


@each
def test_what_is_stored_stays_the_same(notebook: Path) -> None:
    """No id, time, path or port that changes is in an output, and no picture but PNG."""
    for cell in read(notebook).cells:
        for output in cell.get("outputs", []):
            said = {"text": output.get("text", "")} | dict(output.get("data", {}))
            assert set(said) <= {"text", "text/plain", "text/html", "image/png"}
            for text in (text for kind, text in said.items() if kind != "image/png"):
                found = [what for what, pattern in CHANGES.items() if re.search(pattern, text)]
                assert found == [], text


@each
def test_pictures_are_plain(notebook: Path) -> None:
    """A picture is small and white behind, and holds nothing but itself: no date, no version of a program."""
    for cell in read(notebook).cells:
        for output in cell.get("outputs", []):
            content = b64decode(output.get("data", {}).get("image/png", ""))
            if not content:
                continue
            assert len(content) < LARGE
            assert set(chunks(content)) <= {b"IHDR", b"PLTE", b"IDAT", b"IEND"}
            with Image.open(BytesIO(content)) as picture:
                assert picture.convert("RGBA").getpixel((0, 0)) == (255, 255, 255, 255)


@each
def test_metadata_is_nobodys(notebook: Path) -> None:
    """A notebook names its kernel without a version; cells have tags at most, and readable ids."""
    content = read(notebook)
    assert content.metadata == METADATA | ({"title": "Hercle invoices"} if notebook.stem == APP else {})
    assert all(set(cell.metadata) <= {"tags"} for cell in content.cells)
    ids = [cell.id for cell in content.cells]
    assert len(set(ids)) == len(ids)
    assert all(re.fullmatch(r"[a-z]+(-\d\d)?", identity) for identity in ids)


def test_storing_keeps_what_is_tagged(tmp_path: Path) -> None:
    """Tagged cells get outputs without the marks of a run, others none; a second time changes nothing."""
    cell = nbformat.v4.new_code_cell
    check, picture = {"tags": ["nbval-check-output"]}, {"tags": ["stored-picture"]}
    cells = [
        cell("print('secret')", id="a", metadata={"collapsed": True}, outputs=[], execution_count=7),
        cell("6 * 7", id="b", metadata=check),
        cell("import matplotlib.pyplot as plt\nplt.plot([1, 2]);", id="c", metadata=picture),
    ]
    path = tmp_path / "small.ipynb"
    nbformat.write(
        nbformat.v4.new_notebook(cells=cells, metadata={"authors": ["A. Nyone"], "title": "Small"}), path
    )
    store(path)
    once = path.read_bytes()
    stored = read(path)
    silent, checked, drawn = stored.cells
    assert stored.metadata == METADATA | {"title": "Small"}
    assert (silent.outputs, silent.execution_count, silent.metadata) == ([], None, {})
    assert (checked.execution_count, checked.outputs[0].data) == (2, {"text/plain": "42"})
    assert set(chunks(b64decode(drawn.outputs[0].data["image/png"]))) == {b"IHDR", b"PLTE", b"IDAT", b"IEND"}
    store(path)
    assert path.read_bytes() == once


def chunks(png: bytes) -> list[bytes]:
    """The names of a PNG's chunks."""
    names, at = [], 8
    while at < len(png):
        names.append(png[at + 4 : at + 8])
        at += 12 + int.from_bytes(png[at : at + 4])
    return names
