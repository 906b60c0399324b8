"""Tables of the page: cells that know their text, and the number that sorts and exports."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from entroloop.system.numbers import MISSING, number, with_interval

Interval = tuple[float, float]


@dataclass(frozen=True)
class Cell:
    """A cell.

    text: what is read. value: what sorts and is exported, NaN for words. interval: exported in
    columns of its own. detail: a second, smaller line. kind: better, worse, supported, against (a
    sign and a colour), opposite (a sign), best (bold, marked), greyed (not to be judged), or "".
    points: drawn as a strip of dots, one a seed. spark: points of a curve in a box of 100 × 24.
    """

    text: str
    value: float = math.nan
    interval: Interval | None = None
    detail: str = ""
    kind: str = ""
    points: tuple[float, ...] = ()
    spark: str = ""

    @property
    def strip(self) -> list[tuple[float, float]]:
        """Places of the points in a box of 100 wide, with 0 at the place that comes last."""
        low, high = min(0.0, *self.points), max(0.0, *self.points)
        width = high - low or 1.0
        return [(5 + 90 * (x - low) / width, x) for x in (*self.points, 0.0)]


@dataclass(frozen=True)
class Column:
    """A column: its heading, what it means, whether it holds words, and its arm if it has one.

    best: "low" or "high", where one side is better.
    """

    heading: str
    says: str = ""
    words: bool = False
    arm: int | None = None
    best: str = ""


@dataclass(frozen=True)
class Row:
    """A row, and the arm that hides and shows it."""

    cells: list[Cell]
    arm: int | None = None


@dataclass(frozen=True)
class Table:
    """A table of the page. name: its id, and that of files made of it."""

    name: str
    caption: str
    columns: list[Column]
    rows: list[Row] = field(default_factory=list)

    def with_best(self) -> Table:
        """Return the table with the best value of each column marked, where there are several."""
        best = [self._best(i, column.best) for i, column in enumerate(self.columns)]
        rows = [
            replace(row, cells=[
                replace(cell, kind="best") if cell.text == mark and not cell.kind else cell
                for cell, mark in zip(row.cells, best, strict=True)
            ])
            for row in self.rows
        ]  # fmt: skip
        return replace(self, rows=rows)

    def _best(self, i: int, side: str) -> str | None:
        """Return the text of the best cell of a column: what looks equal is equally good."""
        finite = [row.cells[i] for row in self.rows if math.isfinite(row.cells[i].value)]
        if not side or len({cell.text for cell in finite}) < 2:
            return None
        return (min if side == "low" else max)(finite, key=lambda cell: cell.value).text


def words(text: str, kind: str = "") -> Cell:
    """Return a cell of words."""
    return Cell(text or MISSING, kind=kind)


def figure(value: float, interval: Interval | None = None) -> Cell:
    """Return a cell of a number, with its interval where there is one."""
    return Cell(with_interval(value, interval), value, interval)


def strip_of(points: Sequence[float]) -> Cell:
    """Return a cell that draws the values of seeds."""
    return Cell(", ".join(map(number, points)) or MISSING, points=tuple(points))
