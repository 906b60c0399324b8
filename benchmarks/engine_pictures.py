"""The figures of docs/selection-engine.md, drawn from the engine's own state on small pools.

python benchmarks/engine_pictures.py [FOLDER]      (default: docs/pictures)
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

from entroloop.distances.extents import centre_and_reach
from entroloop.distances.multipliers import NumpyMultiplier
from entroloop.distances.spaces import Euclidean
from entroloop.pools.bounds import Bounds
from entroloop.pools.sketches import Sketch

WIDTH, HEIGHT, EDGE = 560, 300, 46
INK, GREY, BLUE, RED, GREEN = "#1f2430", "#9aa3b2", "#2563eb", "#c2410c", "#15803d"


class Figure:
    """An SVG with one pair of axes."""

    def __init__(
        self, title: str, x: tuple[str, float, float], y: tuple[str, float, float]
    ) -> None:
        self._x, self._y = x, y
        self._parts = [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" '
            'font-family="sans-serif" font-size="12">',
            f"<title>{title}</title>",
            f'<rect width="{WIDTH}" height="{HEIGHT}" fill="white"/>',
        ]
        right, bottom = WIDTH - 14, HEIGHT - EDGE
        self._parts.append(
            f'<path d="M{EDGE} 16V{bottom}H{right}" fill="none" stroke="{INK}" stroke-width="1"/>'
        )
        self.words((EDGE + right) / 2, HEIGHT - 14, x[0], anchor="middle")
        self._parts.append(
            f'<text x="16" y="{bottom / 2}" fill="{INK}" text-anchor="middle" '
            f'transform="rotate(-90 16 {bottom / 2})">{y[0]}</text>'
        )

    def at(self, x: float, y: float) -> tuple[float, float]:
        """Return where a point of the axes lies."""
        (_, left, right), (_, low, high) = self._x, self._y
        return (
            EDGE + (x - left) / (right - left) * (WIDTH - 14 - EDGE),
            HEIGHT - EDGE - (y - low) / (high - low) * (HEIGHT - EDGE - 16),
        )

    def dots(self, x: np.ndarray, y: np.ndarray, colour: str, size: float = 2.2) -> None:
        """Draw points."""
        for a, b in zip(x, y, strict=True):
            px, py = self.at(float(a), float(b))
            self._parts.append(f'<circle cx="{px:.1f}" cy="{py:.1f}" r="{size}" fill="{colour}"/>')

    def bar(self, x: float, low: float, high: float, colour: str, width: float = 2) -> None:
        """Draw a vertical line."""
        (px, bottom), (_, top) = self.at(x, low), self.at(x, high)
        self._parts.append(
            f'<path d="M{px:.1f} {bottom:.1f}V{top:.1f}" stroke="{colour}" stroke-width="{width}"/>'
        )

    def line(self, x: np.ndarray, y: np.ndarray, colour: str, dash: str = "") -> None:
        """Draw a line through points."""
        points = " ".join(f"{a:.1f},{b:.1f}" for a, b in map(self.at, x, y))
        self._parts.append(
            f'<polyline points="{points}" fill="none" stroke="{colour}" stroke-width="1.5" '
            f'stroke-dasharray="{dash}"/>'
        )

    def level(self, y: float, words: str, colour: str = RED) -> None:
        """Draw a dashed horizontal line with its meaning."""
        left, right = self._x[1], self._x[2]
        self.line(np.array([left, right]), np.array([y, y]), colour, "5 4")
        px, py = self.at(right, y)
        self.words(px, py - 5, words, colour, "end")

    def words(
        self, x: float, y: float, text: str, colour: str = INK, anchor: str = "start"
    ) -> None:
        """Write text at a point of the picture."""
        self._parts.append(
            f'<text x="{x:.1f}" y="{y:.1f}" fill="{colour}" text-anchor="{anchor}">{text}</text>'
        )

    def write(self, path: Path) -> None:
        """Write the file."""
        path.write_text("\n".join([*self._parts, "</svg>\n"]))


def pool_of(rng: np.random.Generator, n: int, d: int) -> np.ndarray:
    centres = 3 * rng.standard_normal((6, d))
    return (centres[rng.integers(6, size=n)] + rng.standard_normal((n, d))).astype(np.float32)


def bounds_of(x: np.ndarray, picks: int) -> Bounds:
    space = Euclidean(*centre_and_reach(x), NumpyMultiplier())
    return Bounds(x, space, selectable=np.ones(len(x), dtype=bool), capacity=picks)


def picked(bounds: Bounds, n: int) -> list[int]:
    """Pick n rows by the definition, telling the bounds; few rows are brought up to date."""
    chosen = [0]
    bounds.add(bounds.rows[[0]])
    while len(chosen) < n:
        _, index, _ = bounds.level_set(24, 12)
        best = int(index[np.argmax(bounds.exact(index))])
        chosen.append(best)
        bounds.add(bounds.rows[[best]])
    return chosen


def block(folder: Path) -> None:
    """Values in descending order, the rows of a block, and the level that no other row exceeds."""
    x = pool_of(np.random.default_rng(1), 260, 2)
    bounds = bounds_of(x, 40)
    picked(bounds, 20)
    level, index, _ = bounds.level_set(60, 40)
    bounds.refresh(np.arange(len(x)))
    values = bounds.exact(np.arange(len(x)))
    order = np.argsort(-values)
    inside = np.isin(order, index)
    figure = Figure(
        "A block",
        ("rows, by value", -3, len(x)),
        ("value to the nearest pick", 0, values.max() * 1.1),
    )
    ranks = np.arange(len(x))
    figure.dots(ranks[~inside], values[order][~inside], GREY)
    figure.dots(ranks[inside], values[order][inside], BLUE, 3)
    figure.level(level, "level: no row outside the block has more")
    figure.words(*figure.at(len(index) + 4, values.max() * 0.85), f"block: {len(index)} rows", BLUE)
    figure.write(folder / "engine-block.svg")


def lazy_bounds(folder: Path) -> None:
    """Old upper bounds and present values: most rows were not looked at since."""
    x = pool_of(np.random.default_rng(2), 220, 2)
    bounds = bounds_of(x, 60)
    picked(bounds, 30)
    upper = bounds.upper.copy()
    level, _, _ = bounds.level_set(24, 12)
    space, every = bounds.space, np.arange(len(x))
    values = np.min([space.exact(x, pick) for pick in bounds.picks], axis=0)
    order = np.argsort(-values)
    top = float(values.max()) * 1.6
    figure = Figure(
        "Lazy bounds", ("rows, by value", -3, len(x)), ("value, and its upper bound", 0, top)
    )
    for rank, row in enumerate(order):
        figure.bar(rank, values[row], min(upper[row], top), GREY, 1.2)
    fresh = bounds.seen[order] == bounds.count
    figure.dots(every[~fresh], values[order][~fresh], GREY, 1.8)
    figure.dots(every[fresh], values[order][fresh], BLUE, 2.6)
    figure.level(level, "level: below it an old bound is enough")
    known = f"brought up to date for this block: {int(fresh.sum())} of {len(x)} rows"
    figure.words(*figure.at(len(x) * 0.35, top * 0.93), known, BLUE)
    figure.write(folder / "engine-bounds.svg")


def sketches(folder: Path) -> None:
    """Squared distances of pairs and the bounds that sketches give, with what they spare."""
    rng = np.random.default_rng(3)
    scales = np.geomspace(1, 0.05, 24)
    x = ((scales * rng.standard_normal((160, 24))) @ rng.standard_normal((24, 96))).astype(
        np.float32
    )
    space = Euclidean(*centre_and_reach(x), NumpyMultiplier())
    prepared, sizes = space.prepare(x, np.float32)
    directions = np.linalg.svd(prepared.astype(np.float64), full_matrices=False)[2][:4].T
    sketch = Sketch(directions)
    rows, picks = slice(0, 120), slice(120, 160)
    of_picks = sketch.of_picks(sketch.of_rows(prepared[picks], sizes[picks]), sizes[picks])
    lower = (
        sketch.of_rows(prepared[rows], sizes[rows]) @ of_picks.T + np.square(sizes[rows])[:, None]
    )
    exact = np.square(
        prepared[rows][:, None].astype(np.float64) - prepared[picks][None].astype(np.float64)
    ).sum(axis=2)
    nearest = np.partition(exact, 3, axis=1)[:, 3]  # as if some nearer picks were known
    spared = lower > nearest[:, None]
    top = float(exact.max()) * 1.05
    figure = Figure("Sketches", ("squared distance", 0, top), ("what the sketches say", 0, top))
    figure.line(np.array([0, top]), np.array([0, top]), GREY, "5 4")
    drawn = rng.permutation(exact.size)[:900]
    for flag, colour in ((True, GREEN), (False, RED)):
        some = drawn[spared.ravel()[drawn] == flag]
        figure.dots(exact.ravel()[some], np.maximum(lower.ravel()[some], 0), colour, 1.5)
    share = f"{spared.mean():.0%} of the pairs need no distance"
    figure.words(*figure.at(top * 0.08, top * 0.92), share, GREEN)
    figure.words(*figure.at(top * 0.08, top * 0.84), "the others are multiplied in full", RED)
    figure.write(folder / "engine-sketches.svg")


def ties(folder: Path) -> None:
    """Approximate values with their error bars, beside the definition, where two rows tie."""
    rng = np.random.default_rng(4)
    x = rng.integers(0, 5, (60, 3)).astype(np.float32)
    x[30:, 0] += 900  # two groups far apart: float32 tells the rows of each apart only roughly
    bounds = bounds_of(x, 12)
    picked(bounds, 10)
    every = np.arange(len(x))
    bounds.refresh(every)
    values = bounds.exact(every)
    top = np.argsort(-values, kind="stable")[:9]
    least, error = bounds.least[top], bounds.error[top]
    low, high = float((least - error).min()), float((least + error).max())
    pad = 0.15 * (high - low)
    figure = Figure(
        "Exact ties", ("rows of largest value", -1, len(top)), ("value", low - pad, high + pad)
    )
    best = values[top].max()
    for rank, row in enumerate(top):
        tied = values[row] == best
        figure.bar(rank, least[rank] - error[rank], least[rank] + error[rank], GREY, 6)
        figure.dots(np.array([rank]), values[[row]], RED if tied else BLUE, 4)
        px, py = figure.at(rank, low - pad * 0.7)
        figure.words(px, py, str(row), RED if tied else INK, "middle")
    figure.words(*figure.at(len(top) * 0.5, high + pad * 0.6), "grey: what float32 can be off by")
    figure.words(*figure.at(len(top) * 0.5, high + pad * 0.15), "red: equal by the definition", RED)
    figure.write(folder / "engine-ties.svg")


if __name__ == "__main__":
    target = Path(sys.argv[1] if len(sys.argv) > 1 else Path(__file__).parents[1] / "docs/pictures")
    for draw in (block, lazy_bounds, sketches, ties):
        draw(target)
