"""The documentation builds without a warning, leaves out no public name, and what it tells to type works."""

from __future__ import annotations

import dataclasses
import doctest
import os
import re
import shlex
import subprocess
import sys
import tomllib
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from bs4 import BeautifulSoup
from sphinx.util.inventory import InventoryFile

import hercle_nb as hercle
from hercle_nb.cli import main
from hercle_nb.simulator import Faults, Simulator
from tests import pages
from tests.browser import chromium
from tests.jupyterlab import NEEDS_CHROMIUM
from tests.pages import PAGES, ROOT, WRITTEN

if TYPE_CHECKING:
    from collections.abc import Iterator

README = ROOT / "README.md"
WRONG = ROOT / "docs" / "when-it-goes-wrong.md"
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
FOREIGN = {  # messages of others that the pages quote, each looked for in its own test
    "error: externally-managed-environment",
    "ModuleNotFoundError: No module named 'hercle_nb'",
    "Failed to load model class '...' from module '...'",
}
PROGRAMS = {"git", "npm", "python3", "rm", "sudo"}  # what a command may begin with besides our own
TOO_WIDE = """() => {
    const scrolls = node => getComputedStyle(node).overflowX !== 'visible';
    const inside = node => node.tagName !== 'ARTICLE' && (scrolls(node) || inside(node.parentElement));
    return [...document.querySelectorAll('article *')]
        .filter(node => node.getBoundingClientRect().right > innerWidth + 1 && !inside(node.parentElement))
        .map(node => node.outerHTML.slice(0, 80));
}"""  # what sticks out and cannot be scrolled by itself
WRAPPED = ["highlight-pycon", "highlight-text", "cell_output"]  # by the style sheet
BUILD = ("-m", "sphinx", "-qEW", "--keep-going", "-b", "html", "docs")


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The documentation, built as `make docs` builds it; any warning and any error in a notebook fails."""
    folder = tmp_path_factory.mktemp("documentation")
    command = [sys.executable, *BUILD, str(folder / "docs"), "-d", str(folder / "doctrees")]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode == 0, done.stderr
    return folder / "docs"


@pytest.fixture
def namespace(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[dict[str, Any]]:
    """A namespace in an empty folder; what it holds open is closed at the end."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MPLBACKEND", "agg")
    names: dict[str, Any] = {}
    yield names
    for value in names.values():
        if isinstance(value, hercle.Hub | Simulator):
            value.close()
    if "matplotlib.pyplot" in sys.modules:
        sys.modules["matplotlib.pyplot"].close("all")


# -- the reference -------------------------------------------------------------------------------------------


def public_members(kind: type) -> set[str]:
    """What a class of ours has that is public."""
    own = [base for base in kind.__mro__ if base.__module__.startswith("hercle_nb")]
    names = {name for base in own for name in vars(base)}
    if dataclasses.is_dataclass(kind):
        names |= {field.name for field in dataclasses.fields(kind)}
    return {name for name in names if not name.startswith("_")}


def test_every_public_name_is_in_the_reference(built: Path) -> None:
    """Each public name, and each public member of a public class, has a place in the built inventory."""
    with (built / "objects.inv").open("rb") as file:
        inventory = InventoryFile.load(file, "", lambda _, path: path)
    documented = {name for kind, names in inventory.items() if kind.startswith("py:") for name in names}
    wanted = {f"hercle_nb.{name}" for name in hercle.__all__}
    classes = {
        f"hercle_nb.{name}": getattr(hercle, name)
        for name in hercle.__all__
        if isinstance(getattr(hercle, name), type)
    }
    classes |= {"hercle_nb.simulator.Simulator": Simulator, "hercle_nb.simulator.Faults": Faults}
    for place, kind in classes.items():
        wanted |= {place, *(f"{place}.{name}" for name in public_members(kind))}
    assert len(wanted) > 200
    assert wanted - documented == set()


def test_every_command_has_its_help(built: Path) -> None:
    """The page on the command line shows every command and option that there is."""
    page = (built / "reference" / "command-line.html").read_text(encoding="utf-8")
    for name, command in main.commands.items():
        assert f"hercle-nb {name} [OPTIONS]" in re.sub(r"<[^>]+>", "", page)
        for option in (option for parameter in command.params for option in parameter.opts):
            assert option in page


# -- what the pages tell to type -----------------------------------------------------------------------------


@pytest.mark.parametrize("page", [README, *PAGES], ids=pages.name)
def test_python_runs(page: Path, namespace: dict[str, Any]) -> None:
    """A page's Python runs from top to bottom in one namespace, without a key; what needs one compiles."""
    for fence in pages.fences(page):
        if fence.kind.startswith("python"):
            code = compile("\n" * fence.line + fence.text, str(page), "exec")
            if fence.kind != "python no-run":
                exec(code, namespace)  # noqa: S102  # our own pages


@pytest.mark.parametrize("page", PAGES, ids=pages.name)
def test_examples_give_what_they_say(page: Path, namespace: dict[str, Any]) -> None:
    """A page's examples give the answers and errors that stand below them, word for word."""
    text = "\n".join(fence.text for fence in pages.fences(page) if fence.kind == "pycon")
    example = doctest.DocTestParser().get_doctest(text, {}, pages.name(page), str(page), 0)
    runner = doctest.DocTestRunner(pages.Checker(), optionflags=doctest.ELLIPSIS)
    said: list[str] = []
    runner.run(example, out=said.append, clear_globs=False)
    namespace.update(example.globs)  # to be closed
    assert runner.failures == 0, "".join(said)
    assert page != WRONG or runner.tries > 45


def test_every_fence_is_looked_at() -> None:
    """No page has a kind of code that no test knows."""
    known = r"python|python no-run|pycon|console|text|none|indented|\{(eval-rst|toctree|command-help)\}.*"
    odd = [
        (pages.name(page), fence.line, fence.kind)
        for page in [README, *PAGES]
        for fence in pages.fences(page)
        if not re.fullmatch(known, fence.kind)
    ]
    assert odd == []


@pytest.mark.parametrize("page", WRITTEN, ids=pages.name)
def test_commands_exist(page: Path) -> None:
    """What a page tells to type into a terminal is there: targets, programs, modules, extras and options."""
    for command in pages.commands(page):
        check_command(command)


def check_command(command: str) -> None:
    """Look whether a command could be run here."""
    words = shlex.split(command)
    while re.match(r"[A-Z_]+=", words[0]):  # variables for it alone
        words.pop(0)
    program, arguments = words[0].rpartition("/")[2], words[1:]
    if program == "make":
        assert make_has(arguments[0]), command
    elif program in ("pip", "pre-commit", "hercle-nb", "python"):
        check_ours(program, arguments, command)
    else:
        assert program in PROGRAMS, command


def make_has(target: str) -> bool:
    """Whether the Makefile knows a target; nothing is run."""
    command = ["make", "-n", target]
    return subprocess.run(command, cwd=ROOT, capture_output=True, timeout=60, check=False).returncode == 0


def check_ours(program: str, arguments: list[str], command: str) -> None:
    """The same for what is installed with us."""
    if program == "pip":
        for extras in re.findall(r"(?:hercle_nb|\.)\[(.+?)\]", command):
            assert set(extras.split(",")) <= PROJECT["project"]["optional-dependencies"].keys(), command
    elif program == "hercle-nb" and arguments[0] != "--help":
        main.commands[arguments[0]].make_context(arguments[0], arguments[1:])
    elif program == "python" and arguments[0] == "-m":
        assert find_spec(arguments[1]) is not None, command
    elif program == "python":
        assert (ROOT / arguments[0]).is_file(), command


# -- messages that cannot be provoked here -------------------------------------------------------------------


def test_quoted_messages_are_ours() -> None:
    """What is quoted without being run stands in the package's code, word for word but for what differs."""
    source = pages.texts_in_source()
    lines = [
        line for fence in pages.fences(WRONG) if fence.kind == "text" for line in fence.text.splitlines()
    ]
    assert len(lines) > 20
    assert set(lines) >= FOREIGN
    for line in set(lines) - FOREIGN:
        words = re.sub(r"^[A-Z]\w+: ", "", line).split("...")
        assert max(map(len, words)) > 15, line
        for part in words:
            assert part.strip(" .:") in source, part


def test_message_of_another_python() -> None:
    """A Python that does not have the package says what the page quotes."""
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", "import hercle_nb"],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.stderr.splitlines()[-1] in FOREIGN


def test_message_of_jupyter() -> None:
    """Jupyter's widget manager says what the page quotes where anywidget is not beside it."""
    manager = Path(sys.prefix) / "share/jupyter/labextensions/@jupyter-widgets/jupyterlab-manager/static"
    scripts = [file.read_text(encoding="utf-8") for file in manager.glob("*.js")]
    assert any(
        re.search(r"Failed to load model class '\$\{\w+\}' from module '\$\{\w+\}'", text) for text in scripts
    )


def test_every_code_of_a_payment_request_is_told() -> None:
    """The table of codes has each code that there is, and no other."""
    told = set(re.findall(r"^\| `(\w+)` \|", WRONG.read_text(encoding="utf-8"), re.MULTILINE))
    assert told == pages.refusals()


# -- links --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("page", WRITTEN, ids=pages.name)
def test_links_lead_somewhere(page: Path) -> None:
    """What a page links to inside the repository is there, headings too."""
    for link in pages.links(page):
        path, _, anchor = link.partition("#")
        if re.match(r"[a-z]+:", link):
            continue
        goal = page.parent / path if path else page
        assert goal.exists(), link
        real = Path(os.path.abspath(goal)) == goal.resolve()
        assert real, f"{link} goes through a symbolic link, which GitHub does not follow"
        assert not anchor or anchor in pages.headings(goal), link


# -- the built pages -----------------------------------------------------------------------------------------


def test_built_links_lead_somewhere(built: Path) -> None:
    """Every link from a built page to another leads to a file and a place in it."""
    read = {page: pages.Html.of(page.read_text(encoding="utf-8")) for page in built.rglob("*.html")}
    assert len(read) > 15
    for page, html in read.items():
        for link in html.goals:
            path, _, anchor = link.partition("#")
            if re.match(r"[a-z]+:", link):
                continue
            goal = (page.parent / path.partition("?")[0]).resolve() if path else page
            assert goal.exists(), (page.name, link)
            if anchor and goal in read:
                assert anchor in read[goal].anchors, (page.name, link)


def test_pages_load_nothing_from_elsewhere(built: Path) -> None:
    """No page names a script, style, picture or font of another host."""
    for page in built.rglob("*.html"):
        loaded = pages.Html.of(page.read_text(encoding="utf-8")).loaded
        assert [goal for goal in loaded if re.match(r"(https?:)?//", goal)] == []


def test_pages_hold_nothing_private(built: Path) -> None:
    """No page holds a path of this machine, a key or the state of a widget."""
    private = re.compile(r"/(?:home|root|Users)/|/tmp/(?!trial)|" + re.escape(str(ROOT)))
    for page in [*built.rglob("*.html"), *built.rglob("searchindex.js")]:
        text = page.read_text(encoding="utf-8")
        assert not private.search(text), (page.name, private.search(text))
        assert "widget-state+json" not in text


def test_code_fits_its_page(built: Path) -> None:
    """On a wide screen no line of code is cut off: there is room for 89 characters, for 82 below a name."""
    for file in built.rglob("*.html"):
        page = BeautifulSoup(file.read_text(encoding="utf-8"), "html.parser")
        for code in page.select("article .highlight pre"):
            below_a_name = code.find_parent("dl", class_="py") is not None
            if below_a_name or not code.find_parent(class_=WRAPPED):
                lines = code.get_text().splitlines()
                assert [line for line in lines if len(line) > (82 if below_a_name else 89)] == [], file.name


class TestInABrowser:
    """The built pages, as a person sees them."""

    pytestmark = NEEDS_CHROMIUM

    @pytest.mark.parametrize("scheme", ["light", "dark"])
    def test_pages_fit_and_are_alone(self, built: Path, scheme: Any) -> None:
        """A page asks no other host for anything, has no error, and is no wider than a telephone."""
        asked: list[str] = []
        errors: list[str] = []
        with chromium() as browser:
            page = browser.new_page(viewport={"width": 400, "height": 900}, color_scheme=scheme)
            page.on("request", lambda request: asked.append(request.url))
            page.on("pageerror", lambda error: errors.append(str(error)))
            for file in sorted(built.rglob("*.html")):
                page.goto(file.as_uri())
                assert page.evaluate(TOO_WIDE) == [], file.name
        assert errors == []
        assert len(asked) > 100
        assert [url for url in asked if not url.startswith(("file:", "data:"))] == []
