"""Other Pythons, other packages and copies of the project, for tests that must not rest on .venv alone.

uv installs, because its cache makes the second environment a matter of seconds.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parent.parent
_OFFLINE = re.compile(
    r"dns error|client error \(Connect\)|error trying to connect|operation timed out"  # uv
    r"|NameResolutionError|NewConnectionError"  # pip
)


@cache
def interpreters() -> list[tuple[str, str]]:
    """Every released Python from 3.11 on that is here: its minor version and its program; this one first."""
    names = [f"python3.{minor}" for minor in range(11, 20)]
    folders = os.environ.get("PATH", os.defpath).split(os.pathsep)
    candidates = [
        *map(str, sorted(Path.home().glob(".pyenv/versions/3.1[1-9].*/bin/python3"))),
        *(found for folder in folders for name in names if (found := shutil.which(name, path=folder))),
    ]
    versions = {sys.executable: f"3.{sys.version_info.minor}"}
    for candidate in candidates:
        versions.setdefault(candidate, _version(candidate))
    return [(version, program) for program, version in versions.items() if version]


def pythons() -> dict[str, str]:
    """One program of each minor version; this Python's own is among them, so that there is always one."""
    found: dict[str, str] = {}
    for version, program in interpreters():
        found.setdefault(version, program)
    return found


def _version(program: str) -> str:
    """The minor version; empty for what is no release or does not run, such as a shim of pyenv's."""
    code = "import sys; v = sys.version_info; print(f'3.{v.minor}' if v.releaselevel == 'final' else '')"
    done = subprocess.run([program, "-c", code], capture_output=True, text=True, check=False)
    return done.stdout.strip() if done.returncode == 0 else ""


def variables(home: Path) -> dict[str, str]:
    """This process's variables without those of Python, Jupyter and hercle_nb, and with another home."""
    ours = ("HERCLE_", "IPYTHON", "JUPYTER_", "PYTHON", "VIRTUAL_ENV", "XDG_")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
    return kept | {"HOME": str(home)}


def fresh_environment(
    folder: Path, *requirements: str, python: str = sys.executable, copies: bool = False
) -> Path:
    """Make a virtual environment, pip included; returns its Python.

    Args:
        folder: Where it is made.
        requirements: What is installed, or options of ``pip install``.
        python: Whose environment it is.
        copies: Share no file with uv's cache, so that all can be given to another user.
    """
    _uv("venv", "--seed", "--python", python, str(folder))
    made = folder / "bin" / "python"
    options = ["--link-mode", "copy"] if copies else []
    _uv("pip", "install", *options, "--python", str(made), *requirements)
    return made


def uninstall(python: Path, *packages: str) -> None:
    """Take packages out of an environment, whoever requires them."""
    _uv("pip", "uninstall", "--python", str(python), *packages)


def packages(folder: Path, *requirements: str) -> Path:
    """Packages without what they require, in a folder that can go before another environment's own."""
    _uv("pip", "install", "--no-deps", "--target", str(folder), "--python", sys.executable, *requirements)
    return folder


def copy_of_the_project(folder: Path) -> Path:
    """Copy what is tracked and what is about to be, and nothing that tools leave in a checkout."""
    listed = subprocess.run(
        [
            shutil.which("git") or "git",
            "-c",
            "safe.directory=*",
            "ls-files",
            "-z",
            "--cached",
            "--others",
            "--exclude-standard",
        ],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    for name in listed.stdout.split("\0"):
        source, target = ROOT / name, folder / name
        if name and (source.is_file() or source.is_symlink()):
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(source, target, follow_symlinks=False)
    return folder


def online(command: list[str], **options: Any) -> str:
    """Run a program that asks the package index; returns what it prints. Skips the test without a network."""
    options["env"] = options.get("env", os.environ) | {"UV_PYTHON_DOWNLOADS": "never"}
    done = subprocess.run(command, capture_output=True, text=True, check=False, **options)
    if done.returncode != 0 and _OFFLINE.search(done.stdout + done.stderr):
        pytest.skip("the package index cannot be reached")
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    return done.stdout


def _uv(*arguments: str) -> None:
    online([sys.executable, "-m", "uv", *arguments])
