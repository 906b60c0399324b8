"""What the page of measured sets shows beyond metrics: modes that are new or lost, and detail."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from entroloop.errors import InputError
from entroloop.metrics import Sets
from entroloop.metrics.fourier import RATIO, Mode, bandwidth, modes
from entroloop.metrics.frequencies import radial_power
from entroloop.report.figures import Chart, series_of
from entroloop.report.images import Picture, sheet, tiles
from entroloop.samples import Array
from entroloop.seeding import rng_for
from entroloop.system.numbers import percent

if TYPE_CHECKING:
    from entroloop.commands.measure import Measured

ROWS, WIDEST = 4000, 4096  # rows of a set whose modes are looked for, and values a row
EXAMPLES, COUNT = 12, 4


@dataclass(frozen=True)
class Modes:
    """One side of the comparison: its heading, what is said of it, and each mode in pictures.

    shown: (caption, picture or None) of each mode.
    """

    name: str
    says: str
    shown: list[tuple[str, Picture | None]]


def modes_shown(measured: Measured, sets: Sets) -> list[Modes]:
    """Return the modes that are new in generated rows, and those that are lost, with examples.

    Those that are heavier than any mode of one half of the reference beside the other. Empty where
    there is no reference, too few rows for halves, or rows so wide that it would take minutes.
    """
    few = min(sets.sizes().values()) < 2 * EXAMPLES
    if not sets.has("reference") or few or sets["reference"].shape[1] > WIDEST:
        return []
    rng = rng_for(sets.seed, 0, "modes")
    at = {role: _some(len(sets[role]), rng) for role in ("generated", "reference")}
    g, r = (sets[role][own] for role, own in at.items())
    try:
        width = bandwidth(r, seed=sets.seed)
    except InputError:
        return []
    half = len(r) // 2
    order = rng.permutation(len(r))
    apart = modes(r[order[:half]], r[order[half:]], bandwidth=width, count=1)
    floor = max((mode.weight for mode in apart), default=0.0)
    found = {
        "new": ("generated", modes(g, r, bandwidth=width, count=COUNT, examples=EXAMPLES)),
        "lost": ("reference", modes(r, g, bandwidth=width, count=COUNT, examples=EXAMPLES)),
    }
    return [
        _side(measured, name, role, at[role], [m for m in of if m.weight > floor], floor)
        for name, (role, of) in found.items()
    ]


def _some(n: int, rng: np.random.Generator) -> Array:
    return np.sort(rng.choice(n, min(n, ROWS), replace=False))


def _side(
    measured: Measured, name: str, role: str, at: Array, found: list[Mode], floor: float
) -> Modes:
    other = "reference" if role == "generated" else "generated"
    says = (
        f"Modes more than {RATIO:g} times as frequent among {role} as among {other} rows, by KEN; "
        f"between two halves of the reference the heaviest has {percent(floor)}."
    )
    if not found:
        says += " None is heavier here."
    shown = [(_caption(measured, role, at, mode), _picture(measured, role, at, mode))
             for mode in found]  # fmt: skip
    return Modes(name, says, shown)


def _caption(measured: Measured, role: str, at: Array, mode: Mode) -> str:
    ids = measured.sets[role].ids
    named = ", ".join(str(ids[i]) for i in at[mode.rows])
    return f"{percent(mode.weight)} of {role} rows beyond that; the clearest: {named}"


def _picture(measured: Measured, role: str, at: Array, mode: Mode) -> Picture | None:
    data = measured.sets[role].data
    if len(data.shape) != 4 or data.dtype != np.uint8:
        return None
    images = tiles(np.asarray(data[at[mode.rows]]))
    return sheet(images, EXAMPLES, f"the clearest {role} rows of a mode")


def radial_chart(measured: Measured) -> Chart | None:
    """Return the share of power by frequency of each set of images, None for other rows."""
    series = []
    for i, (role, own) in enumerate(measured.sets.items()):
        if len(own.data.shape) != 4 or min(own.data.shape[1:3]) < 2:
            continue
        some = _some(len(own.data), rng_for(0, 0, "modes"))
        frequencies, power = radial_power(np.asarray(own.data[some]))
        total = power.sum()
        if total > 0:
            series.append(series_of(i, role, frequencies, power.sum(axis=0) / total))
    return {"id": "frequencies", "kind": "lines", "title": "Share of power by frequency",
            "log": True, "x": "cycles a pixel", "series": series} if series else None  # fmt: skip
