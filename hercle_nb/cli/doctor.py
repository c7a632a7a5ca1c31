"""``hercle-nb doctor``: what is installed and set, how far a connection comes, and what to do about it."""

from __future__ import annotations

import platform
import shutil
import sys
import textwrap
from typing import TYPE_CHECKING

import click

from hercle_nb import __version__
from hercle_nb.cli.finding import Finding
from hercle_nb.cli.installed import jupyter, packages

if TYPE_CHECKING:
    from collections.abc import Iterator

_COLOURS = {"ok": "green", "note": "yellow", "BAD": "red"}


def examine(environment: str | None, url: str | None) -> bool:
    """Print every finding as it is found; whether nothing is broken."""
    system = f"Python {platform.python_version()}, {platform.system()} {platform.machine()}"
    click.echo(f"hercle_nb {__version__}, {system}\n{sys.executable}")
    parts = {
        "Packages": packages(),
        "Jupyter": jupyter(),
        "Settings and connection": way(environment, url),
    }
    broken = False
    for title, findings in parts.items():
        click.echo(f"\n{title}")
        for finding in findings:
            _show(finding)
            broken |= finding.mark == "BAD"
    verdict = "Something is broken: what is marked BAD says what to do." if broken else "Nothing is broken."
    click.echo(f"\n{verdict}")
    return not broken


def way(environment: str | None, url: str | None) -> Iterator[Finding]:
    """Go the way of a connection, as far as the packages that are installed let us."""
    try:
        from hercle_nb.cli.reach import hub
    except ImportError as error:
        yield Finding("BAD", f"the connection cannot be tried: {error}", "Mend the packages first")
    else:
        yield from hub(environment, url)


def _show(finding: Finding) -> None:
    mark = click.style(f"{finding.mark:<4}", fg=_COLOURS[finding.mark])
    click.echo(f"{mark}  {_wrapped(finding.text).lstrip()}")
    if finding.advice:
        click.echo(_wrapped(f"-> {finding.advice}"))


def _wrapped(text: str) -> str:
    return textwrap.fill(
        text,
        min(shutil.get_terminal_size().columns, 100),
        initial_indent=" " * 6,
        subsequent_indent=" " * 6,
        break_long_words=False,  # names and commands stay whole, to be copied
        break_on_hyphens=False,
    )
