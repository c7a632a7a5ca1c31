"""What `bench_speed.py` found: each figure a ratio to a peer, as a Markdown table and as JSON."""

from __future__ import annotations

import json
import statistics
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from pathlib import Path


class Target(NamedTuple):
    """What a ratio has to be.

    Attributes:
        sign: ``≥`` or ``≤``.
        value: The bound.
        hard: Missing it fails the run; else it is a stretch.
    """

    sign: str
    value: float
    hard: bool = True

    def met(self, ratio: float) -> bool:
        """Whether a ratio is good enough."""
        return ratio >= self.value if self.sign == "≥" else ratio <= self.value

    def __str__(self) -> str:
        return f"{self.sign} {self.value}{'' if self.hard else ' (stretch)'}"


@dataclass
class Figure:
    """One line of the table.

    Attributes:
        name: What was measured.
        peer: What it is compared with.
        unit: Of both.
        ours: One value a round.
        theirs: One value a round; none for a figure that stands alone.
        target: For the median of the ratios, or None.
        promise: What has to hold whatever the ratio is.
        problems: What was lost or went wrong in our own runs; any is a failure.
        missing: Why there are no values.
        excused: They are missing because this machine lacks a program, not because one failed.
        remark: What else is worth knowing.
    """

    name: str
    peer: str
    unit: str
    ours: list[float] = field(default_factory=list)
    theirs: list[float] = field(default_factory=list)
    target: Target | None = None
    promise: str = ""
    problems: list[str] = field(default_factory=list)
    missing: str = ""
    excused: bool = False
    remark: str = ""

    @property
    def ratios(self) -> list[float]:
        """Ours to theirs, round by round."""
        return [ours / theirs for ours, theirs in zip(self.ours, self.theirs, strict=False)]

    @property
    def verdict(self) -> str:
        """``yes``, ``no`` or, without a target or a value, a dash."""
        if self.problems:
            return "no"
        if self.missing:
            return "—"
        if self.target is None:
            return "yes" if self.promise else "—"
        return "yes" if self.target.met(statistics.median(self.ratios)) else "no"

    @property
    def failed(self) -> bool:
        """Whether this figure fails the run."""
        if self.missing and not self.excused:
            return True
        stretch = self.target is not None and not self.target.hard
        return bool(self.problems) or (self.verdict == "no" and not stretch)

    def line(self) -> str:
        """The line."""
        cells = [self.name, f"not measured: {self.missing}", self.peer, "", "", ""]
        if not self.missing:
            cells[1] = f"{_short(self.ours)} {self.unit}"
            cells[2] = f"{self.peer}: {_short(self.theirs)} {self.unit}" if self.theirs else self.peer
        if self.ratios and not self.missing:
            low, high = min(self.ratios), max(self.ratios)
            cells[3] = f"{statistics.median(self.ratios):.2f} ({low:.2f}–{high:.2f})"
        cells[4] = self.promise if self.target is None else str(self.target)
        cells[5] = self.verdict
        return f"| {' | '.join(cells)} |"


def table(figures: list[Figure], machine: dict[str, Any]) -> str:
    """All figures as Markdown, then remarks and problems."""
    lines = [
        "| figure | ours | peer | ratio (min–max) | target | met? |",
        "|---|---|---|---|---|---|",
        *(figure.line() for figure in figures),
        "",
        "Medians; each ratio is of one round. " + ", ".join(f"{key} {machine[key]}" for key in machine) + ".",
    ]
    lines += [f"- {figure.name}: {figure.remark}" for figure in figures if figure.remark]
    lines += [f"- **{figure.name}: {problem}**" for figure in figures for problem in figure.problems]
    return "\n".join(lines) + "\n"


def write(folder: Path, figures: list[Figure], machine: dict[str, Any]) -> None:
    """Write ``bench.md`` and ``bench.json``."""
    folder.mkdir(exist_ok=True)
    (folder / "bench.md").write_text(table(figures, machine))
    content = [asdict(figure) | {"ratios": figure.ratios, "met": figure.verdict} for figure in figures]
    text = json.dumps({"machine": machine, "figures": content}, indent=2, ensure_ascii=False)
    (folder / "bench.json").write_text(text + "\n")


def _short(values: list[float]) -> str:
    value = statistics.median(values)
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"
