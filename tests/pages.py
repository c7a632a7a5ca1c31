"""What the documentation's pages hold: fences, commands, links and headings, of Markdown and notebooks."""

from __future__ import annotations

import ast
import doctest
import itertools
import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from markdown_it import MarkdownIt

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).resolve().parent.parent
PAGES = sorted((ROOT / "docs").rglob("*.md"))  # without docs/notebooks, a symbolic link
WRITTEN = [
    *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md", "benchmarks/README.md")),
    *PAGES,
    *sorted((ROOT / "notebooks").glob("*.ipynb")),
]
_MARKDOWN = MarkdownIt("commonmark").enable("table")


class Fence(NamedTuple):
    """A block of code: what stands after its opening marks, its text and where it begins."""

    kind: str
    text: str
    line: int


def name(page: Path) -> str:
    """A page's path in the repository, to name a test by."""
    return str(page.relative_to(ROOT))


def markdown(page: Path) -> str:
    """The text of a page, or of a notebook without its code."""
    text = page.read_text(encoding="utf-8")
    if page.suffix != ".ipynb":
        return text
    cells = json.loads(text)["cells"]
    return "\n\n".join("".join(cell["source"]) for cell in cells if cell["cell_type"] == "markdown")


def fences(page: Path) -> list[Fence]:
    """The blocks of code of a page, indented ones as the kind ``indented``."""
    return [
        Fence(token.info or "indented", token.content, (token.map or [0])[0] + 1)
        for token in _MARKDOWN.parse(markdown(page))
        if token.type in ("fence", "code_block")
    ]


def commands(page: Path) -> list[str]:
    """The commands that a page tells to type."""
    lines = []
    for fence in fences(page):
        if fence.kind == "console":
            typed = re.sub(r"\\\n +", "", fence.text)
            lines += [line[2:] for line in typed.splitlines() if line.startswith("$ ")]
        elif fence.kind == "indented":
            lines += fence.text.splitlines()
    return [line.partition("  #")[0].strip() for line in lines if line.strip()]


def headings(page: Path) -> set[str]:
    """The anchors of a page's headings, as GitHub makes them."""
    found: set[str] = set()
    tokens = _MARKDOWN.parse(markdown(page))
    for opened, inside in itertools.pairwise(tokens):
        if opened.type == "heading_open":
            words = "".join(part.content for part in inside.children or [])
            found.add(re.sub(r"[^\w\- ]", "", words.lower()).replace(" ", "-"))
    return found


def links(page: Path) -> Iterator[str]:
    """Where the links and pictures of a page lead."""
    for token in _MARKDOWN.parse(markdown(page)):
        for part in [token, *(token.children or [])]:
            if part.type in ("link_open", "image"):
                yield str(part.attrs.get("href") or part.attrs.get("src"))
            elif part.type in ("html_block", "html_inline"):
                yield from Html.of(part.content).goals


class Html(HTMLParser):
    """What a piece of HTML leads to, and what it loads.

    Attributes:
        goals: Every href, src and srcset.
        loaded: Those that a browser asks for by itself.
        anchors: Every id.
    """

    def __init__(self) -> None:
        super().__init__()
        self.goals: list[str] = []
        self.loaded: list[str] = []
        self.anchors: set[str] = set()

    @classmethod
    def of(cls, text: str) -> Html:
        """Read it."""
        page = cls()
        page.feed(text)
        return page

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note what an element leads to."""
        for key, value in attrs:
            if key == "id" and value:
                self.anchors.add(value)
            if key in ("href", "src", "srcset", "data") and value:
                self.goals.append(value)
                if key != "href" or (tag == "link" and dict(attrs).get("rel") not in ("search", "canonical")):
                    self.loaded.append(value)


class Checker(doctest.OutputChecker):
    """Compares errors as a notebook shows them: their names without the module."""

    def check_output(self, want: str, got: str, optionflags: int) -> bool:
        """Whether it is what was said."""
        return super().check_output(want, re.sub(r"^hercle_nb\.[\w.]+\.(\w+: )", r"\1", got), optionflags)


def texts_in_source() -> str:
    """Every text that the package's code holds, joined where they are joined there; a line each."""
    found = []
    for file in sorted((ROOT / "hercle_nb").rglob("*.py")):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                found.append(node.value)
            elif isinstance(node, ast.JoinedStr):
                found.append("".join(map(_part, node.values)))
    return "\n".join(found)


def _part(part: Any) -> str:
    """A part of an f-string; what is put in when it runs is nothing here, unless it is a text itself."""
    return part.value if isinstance(part, ast.Constant) else "\0"


def refusals() -> set[str]:
    """The codes that the reader of payment requests refuses a text with."""
    calls = (
        node
        for file in sorted((ROOT / "hercle_nb").glob("*b*.py"))
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "_refusal"
    )
    return {call.args[0].value for call in calls if isinstance(call.args[0], ast.Constant)}
