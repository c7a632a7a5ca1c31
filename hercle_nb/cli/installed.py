"""What ``hercle-nb doctor`` knows of packages and kernels: which are missing, and which go wrong together."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import sys
from importlib.metadata import PackageNotFoundError, requires, version
from typing import TYPE_CHECKING

from packaging.requirements import Requirement
from packaging.version import Version

from hercle_nb.cli.finding import Finding

if TYPE_CHECKING:
    from collections.abc import Iterator

_INSTALL = f"{shlex.quote(sys.executable)} -m pip install"  # into this Python, whatever `pip` is
_EXTRAS = {
    "lab": "for JupyterLab, Voilà, the live faces and the notebooks",
    "parquet": "for log.to_parquet() and record",
    "excel": "to export invoices to Excel",
    "postgres": "for a journal in PostgreSQL",
}


def packages() -> Iterator[Finding]:
    """Compare what is installed with what the package's own metadata asks for."""
    declared = [Requirement(line) for line in requires("hercle_nb") or []]
    yield from _group("", [r for r in declared if r.marker is None])
    for extra in _EXTRAS:
        yield from _group(extra, [r for r in declared if r.marker and r.marker.evaluate({"extra": extra})])


def _group(extra: str, group: list[Requirement]) -> Iterator[Finding]:
    """One extra's packages, or those that are needed always."""
    have = [f"{r.name} {_version(r.name)}" for r in group if _version(r.name)]
    wrong = [
        f"{r.name} {_version(r.name)} is not {r.specifier}"
        for r in group
        if _version(r.name) and not _fits(r)
    ]
    missing = [f"{r.name}" for r in group if not _version(r.name)]
    problems = [*wrong, *([f"not installed: {', '.join(missing)}"] if missing else [])]
    if not problems:
        yield Finding("ok", f"{extra and f'[{extra}] '}{', '.join(have)}")
    elif extra:
        command = f"{_INSTALL} 'hercle_nb[{extra}]'"
        yield Finding("BAD" if wrong else "note", f"{'; '.join(problems)} ({_EXTRAS[extra]})", command)
    else:
        needed = " ".join(f"'{r.name}{r.specifier}'" for r in group if not _fits(r))
        yield Finding("BAD", "; ".join(problems), f"{_INSTALL} {needed}")


def jupyter() -> Iterator[Finding]:
    """Look for kernels that are not this Python's, and for combinations that are known to go wrong."""
    kernel, nest2 = _version("ipykernel"), _version("nest-asyncio2")
    if not kernel:
        yield Finding("note", "no kernel in this Python: a notebook that finds hercle_nb has another one")
        return
    yield from _kernel_of_jupyter()
    if Version(kernel) < Version("6.31"):
        yield Finding(
            "BAD",
            f"ipykernel {kernel} was never tried with hercle_nb",
            f"{_INSTALL} --upgrade 'ipykernel>=6.31'",
        )
    elif Version(kernel) >= Version("7.1") and (not nest2 or Version(nest2) < Version("1.7.4")):
        yield Finding(
            "note",
            f"ipykernel {kernel} with nest-asyncio loses the cells that are queued behind one that uses it; "
            "hercle.run() refuses there",
            f"{_INSTALL} 'nest-asyncio2>=1.7.4'",
        )
    elif Version(kernel) == Version("7.0.1"):
        yield Finding(
            "note",
            "ipykernel 7.0.1 loses what other packages' threads change in widgets; ours are right",
            f"{_INSTALL} --upgrade ipykernel",
        )
    else:
        nest = f"nest-asyncio2 {nest2}" if nest2 else f"nest-asyncio {_version('nest-asyncio')}"
        loses = Version(kernel) >= Version("7.1")
        but = "; a cell or package that calls nest_asyncio.apply() would lose queued cells" if loses else ""
        yield Finding("ok", f"ipykernel {kernel} and {nest}{but}")


def _kernel_of_jupyter() -> Iterator[Finding]:
    """Whether the kernel that Jupyter starts by default is this Python."""
    try:
        from jupyter_client.kernelspec import KernelSpecManager
    except ImportError:
        return
    try:
        python = KernelSpecManager().get_kernel_spec("python3").argv[0]
    except (OSError, KeyError, IndexError, ValueError) as error:  # NoSuchKernel is a KeyError
        yield Finding("note", f"Jupyter has no kernel named python3 ({type(error).__name__})")
        return
    if re.fullmatch(r"python(3(\.\d+)?)?", python):  # jupyter_client puts this Python in its place
        return
    found = shutil.which(python)
    if found is None or _folder(found) != _folder(sys.executable):
        yield Finding(
            "note",
            f"the kernel python3 of Jupyter is {python}, not this Python: hercle_nb may be missing in it",
            f"{shlex.quote(sys.executable)} -m ipykernel install --user --name hercle, then choose hercle",
        )


def _folder(python: str) -> str:
    """Where a Python is; the interpreter in it is a link where the environment is a virtual one."""
    return os.path.realpath(os.path.dirname(python))


def _version(package: str) -> str:
    """An installed version; empty where there is none."""
    try:
        return version(package)
    except PackageNotFoundError:
        return ""


def _fits(requirement: Requirement) -> bool:
    found = _version(requirement.name)
    return bool(found) and requirement.specifier.contains(found, prereleases=True)
