"""What a release consists of, and that it works where nothing else of this project is."""

from __future__ import annotations

import ast
import importlib.metadata
import os
import subprocess
import sys
import tarfile
import tomllib
import urllib.request
import zipfile
from email import message_from_bytes
from pathlib import Path
from typing import NamedTuple

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import hercle_nb as hercle
from tests import pages
from tests.commands_run import line_with
from tests.environments import ROOT, copy_of_the_project, fresh_environment, online, pythons, variables
from tests.kernels import MARKS, RUN, code_cells, kernel, run_queued

pytestmark = MARKS

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
JUNK = [  # what a release must not take along
    "hercle_nb/__pycache__/amounts.cpython-311.pyc",
    "notebooks/.ipynb_checkpoints/01-quickstart-checkpoint.ipynb",
    "notebooks/.env",
    "notebooks/journal.sqlite",
    "tests/.hypothesis/examples",
]
SMOKE = """
import importlib.resources
import hercle_nb as hercle
with hercle.connect("simulator") as hub:
    invoice = hub.create_invoice(0.001, "Coffee", 24)
    hub.simulator.pay(invoice)
    paid = hub.wait_paid(invoice, timeout=60)
package = importlib.resources.files(hercle)
print(hercle.__version__, paid.status, paid.amount_sat, len(hub.events) > 2, package / "py.typed")
"""


class Release(NamedTuple):
    """The two files of a release, and where they were built.

    Attributes:
        source: A copy of the project, with junk in it.
        files: Its files, before anything was built.
        wheel: The wheel, built from the sdist.
        sdist: The sdist.
    """

    source: Path
    files: set[str]
    wheel: Path
    sdist: Path


def files(folder: Path) -> set[str]:
    """All files in a folder, by their path in it."""
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


@pytest.fixture(scope="module")
def release(tmp_path_factory: pytest.TempPathFactory) -> Release:
    """Build the release of this checkout."""
    source = copy_of_the_project(tmp_path_factory.mktemp("source"))
    for name in JUNK:
        (source / name).parent.mkdir(exist_ok=True)
        (source / name).write_text("junk")
    before = files(source)
    built = tmp_path_factory.mktemp("dist")
    online([sys.executable, "-m", "build", "--installer", "uv", "--outdir", str(built), str(source)])
    (wheel,), (sdist,) = built.glob("*.whl"), built.glob("*.tar.gz")
    assert len(list(built.iterdir())) == 2
    return Release(source, before, wheel, sdist)


def shipped(release: Release, *folders: str) -> set[str]:
    """The files in some folders of the project, without junk."""
    return {name for name in release.files - set(JUNK) if name.startswith(tuple(f"{f}/" for f in folders))}


def test_building_leaves_nothing(release: Release) -> None:
    """Building writes into the output folder alone."""
    assert files(release.source) == release.files


def test_the_index_would_take_it(release: Release) -> None:
    """Twine finds nothing to complain about, the README included."""
    command = [sys.executable, "-m", "twine", "--no-color", "check", "--strict"]
    done = subprocess.run(
        [*command, str(release.wheel), str(release.sdist)], capture_output=True, text=True, check=False
    )
    assert done.stdout.count("PASSED") == 2, done.stdout + done.stderr
    assert done.returncode == 0


def test_wheel(release: Release) -> None:
    """The wheel holds the package with its types, front end and notebooks, its licence, and nothing else."""
    information = f"hercle_nb-{hercle.__version__}.dist-info"
    with zipfile.ZipFile(release.wheel) as wheel:
        names = set(wheel.namelist())
    own = {f"{information}/{name}" for name in ("METADATA", "RECORD", "WHEEL", "entry_points.txt")}
    notebooks = {f"hercle_nb/{name}" for name in shipped(release, "notebooks")}
    assert names == {
        *shipped(release, "hercle_nb"),
        *notebooks,
        *own,
        f"{information}/licenses/LICENSE",
    }
    assert {"hercle_nb/py.typed", "hercle_nb/widgets/static/hercle.js"} < names
    assert {"hercle_nb/notebooks/01-quickstart.ipynb", "hercle_nb/notebooks/app.ipynb"} < names


def test_sdist(release: Release) -> None:
    """The sdist holds the package, the notebooks and what is said about them, and nothing else."""
    folder = f"hercle_nb-{hercle.__version__}"
    with tarfile.open(release.sdist) as sdist:
        names = {member.name.removeprefix(f"{folder}/") for member in sdist.getmembers() if member.isfile()}
    about = {".gitignore", "CHANGELOG.md", "LICENSE", "PKG-INFO", "README.md", "pyproject.toml"}
    assert names == shipped(release, "hercle_nb", "notebooks") | about


def test_no_path_of_this_machine(release: Release) -> None:
    """No file of a release names a folder of the machine that built it."""
    with zipfile.ZipFile(release.wheel) as wheel, tarfile.open(release.sdist) as sdist:
        contents = {name: wheel.read(name) for name in wheel.namelist()}
        contents |= {
            member.name: file.read() for member in sdist.getmembers() if (file := sdist.extractfile(member))
        }
    here = [f"{folder}/".encode() for folder in (ROOT, release.source, Path.home())]
    assert [name for name, content in contents.items() if any(path in content for path in here)] == []


def test_metadata(release: Release) -> None:
    """The wheel says what it is called, needs, permits and brings, as pyproject.toml does."""
    with zipfile.ZipFile(release.wheel) as wheel:
        information = f"hercle_nb-{hercle.__version__}.dist-info"
        metadata = message_from_bytes(wheel.read(f"{information}/METADATA"))
        scripts = wheel.read(f"{information}/entry_points.txt").decode()
    assert (metadata["Name"], metadata["Version"]) == ("hercle_nb", hercle.__version__)
    assert (metadata["License-Expression"], metadata["License-File"]) == ("MIT", "LICENSE")
    assert metadata["Requires-Python"] == ">=3.11"
    assert metadata["Description-Content-Type"] == "text/markdown"
    assert set(metadata.get_all("Provides-Extra", [])) == set(PROJECT["optional-dependencies"])
    required = [Requirement(line) for line in metadata.get_all("Requires-Dist", [])]
    always = {str(requirement) for requirement in required if requirement.marker is None}
    assert always == {str(Requirement(line)) for line in PROJECT["dependencies"]}
    assert scripts == "[console_scripts]\nhercle-nb = hercle_nb.cli:main\n"


def test_without_extras(release: Release, tmp_path: Path) -> None:
    """Without any extra an invoice is created and paid, and the doctor finds nothing broken."""
    python = fresh_environment(tmp_path / "environment", str(release.wheel))
    works(python, tmp_path / "home")


@pytest.fixture(scope="module", params=pythons())
def installed(
    request: pytest.FixtureRequest, release: Release, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """A fresh environment of each Python that is here, with the wheel and its extra `lab`; its Python."""
    folder = tmp_path_factory.mktemp("environment")
    return fresh_environment(folder, f"{release.wheel}[lab]", python=pythons()[request.param])


def test_smoke(installed: Path, tmp_path: Path) -> None:
    """On each Python an invoice is created and paid, and the command answers."""
    works(installed, tmp_path / "home")


def test_readmes_first_commands(tmp_path: Path) -> None:
    """What README tells to type first works with a copy, a new environment and an empty home."""
    copy = copy_of_the_project(tmp_path / "copy")
    programs = fresh_environment(tmp_path / "environment", "pip").parent
    home = tmp_path / "home"
    home.mkdir()
    typed = {"cwd": copy, "env": variables(home) | {"PATH": f"{programs}{os.pathsep}{os.environ['PATH']}"}}
    install, demo = pages.commands(ROOT / "README.md")[:2]
    assert (install, demo) == ("pip install '.[lab]'", "hercle-nb demo")
    online(["sh", "-c", install], **typed)
    with subprocess.Popen(
        [programs / "hercle-nb", *demo.split()[1:], "--port", "0", "--no-browser"],
        **typed,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            address = line_with(process, "JupyterLab is at ").split()[-1]
            with urllib.request.urlopen(address, timeout=60) as page:
                assert "/login" not in page.url
            process.terminate()
            assert process.wait(30) == 0
        finally:
            process.kill()


def works(python: Path, home: Path) -> None:
    """Use what is installed as somebody with an empty home would."""
    home.mkdir()
    version, *invoice, typed = run(home, str(python), "-W", "error", "-c", SMOKE).split()
    assert [version, *invoice] == [hercle.__version__, "paid", "100000", "True"]
    assert Path(typed).is_file()
    assert Path(typed).is_relative_to(python.parent.parent)
    command = str(python.parent / "hercle-nb")
    assert hercle.__version__ in run(home, command, "--version")
    assert "doctor" in run(home, command, "--help")
    assert "Nothing is broken" in run(home, command, "doctor", "--environment", "simulator")


def run(home: Path, *command: str) -> str:
    """What a program prints, which ends well and says nothing else."""
    done = subprocess.run(
        command, cwd=home, env=variables(home), capture_output=True, text=True, check=False, timeout=120
    )
    assert (done.returncode, done.stderr) == (0, ""), done.stdout
    return done.stdout


def test_quickstart(installed: Path, tmp_path: Path) -> None:
    """On each Python the wheel's quickstart runs with all cells queued, and so does `hercle.run`."""
    (package,) = installed.parent.parent.glob("lib/python3.*/site-packages/hercle_nb")
    with kernel(tmp_path, python=installed) as client:
        run_queued(client, code_cells(package / "notebooks" / "01-quickstart.ipynb"))
        run_queued(client, RUN)


def test_what_notebooks_import(installed: Path, tmp_path: Path) -> None:
    """On each Python whatever a notebook imports is there."""
    run(tmp_path, str(installed), "-c", f"import {', '.join(sorted(imported()))}")


def test_what_notebooks_import_is_asked_for() -> None:
    """Whatever a notebook imports is a requirement of the package or of its extra `lab`, by name."""
    asked = [*PROJECT["dependencies"], *PROJECT["optional-dependencies"]["lab"]]
    names = {canonicalize_name(Requirement(line).name) for line in asked}
    brought_by = importlib.metadata.packages_distributions()
    others = imported() - sys.stdlib_module_names - {"hercle_nb"}
    assert {"matplotlib", "pandas"} <= others
    for module in others:
        assert names & {canonicalize_name(name) for name in brought_by[module]}, module


def imported() -> set[str]:
    """The top modules that the notebooks import."""
    found: set[str] = set()
    for notebook in (ROOT / "notebooks").glob("*.ipynb"):
        for node in ast.walk(ast.parse("\n".join(code_cells(notebook)))):
            if isinstance(node, ast.Import):
                found |= {alias.name.partition(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module:
                found.add(node.module.partition(".")[0])
    return found
