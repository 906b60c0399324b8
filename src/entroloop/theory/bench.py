"""Cases measured: means over many loops with their standard errors, against what theory says."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from entroloop.errors import InputError
from entroloop.samples import Float64
from entroloop.seeding import rng_for
from entroloop.system.progress_line import Progress
from entroloop.theory.case import Case, Curve

if TYPE_CHECKING:
    import pandas as pd

SEEDS = 20_000  # loops of each case
FEWEST = 1000  # loops from which a mean is near enough to normal to be judged
BLOCK = 500  # loops at once, from one random number generator
LIMIT = 4.0  # standard errors beyond which a mean deviates
COLUMNS = (
    "case",
    "chart",
    "curve",
    "at",
    "mean",
    "error",
    "expected",
    "kind",
    "deviation",
    "seeds",
)


def measure_case(case: Case, seeds: int, progress: Progress) -> pd.DataFrame:
    """Return a row for each curve and point of a case, with the columns `COLUMNS`.

    mean, error: over so many loops, with its standard error. deviation: (mean − expected)/error; 0
    for an empirical curve. Loop i depends on its own block alone, so that more seeds extend fewer.

    Raises InputError for fewer than 1,000 loops.
    """
    import pandas as pd

    if seeds < FEWEST:
        raise InputError(
            f"the theory bench needs at least {FEWEST} seeds for its errors; got {seeds}"
        )
    blocks = []
    for number in range(-(-seeds // BLOCK)):
        progress(number * BLOCK, seeds)
        blocks.append(case.simulate(rng_for(number, 0, f"theory/{case.name}"), BLOCK))
    loops = np.concatenate(blocks, axis=-1)[..., :seeds]
    progress(seeds, seeds)
    means, errors = loops.mean(axis=-1), loops.std(axis=-1, ddof=1) / math.sqrt(seeds)
    tables = []
    for curve, mean, error in zip(case.curves, means, errors, strict=True):
        tables.append(pd.DataFrame({
            "case": case.name, "chart": curve.chart, "curve": curve.name, "at": case.at,
            "mean": mean, "error": error, "expected": curve.expected, "kind": curve.kind,
            "deviation": _deviations(curve, mean, error), "seeds": seeds,
        }))  # fmt: skip
    return pd.concat(tables, ignore_index=True)


def _deviations(curve: Curve, mean: Float64, error: Float64) -> Float64:
    """Return by how many standard errors means are off; rounding is no deviation."""
    if curve.kind == "empirical":
        return np.zeros_like(mean)
    off = mean - curve.expected
    rounding = 1e-9 * np.maximum(np.abs(curve.expected), 1)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(np.abs(off) <= rounding, 0.0, off / error)


@dataclass(frozen=True)
class Verdict:
    """What a table of cases says.

    comparisons: means that were compared with theory. deviating: how many of these are off by more
    than four standard errors (above a bound only). largest: the largest deviation. by_chance: an
    upper bound of the probability that any is, if all forms are right (Bonferroni, normal means).
    """

    comparisons: int
    deviating: int
    largest: float
    by_chance: float


def verdict(table: pd.DataFrame) -> Verdict:
    """Return what a table of `measure_case` says."""
    two_sided, one_sided = table["kind"] == "equal", table["kind"] == "at most"
    sizes = np.concatenate(
        [table.loc[two_sided, "deviation"].abs(), table.loc[one_sided, "deviation"]]
    )
    tail = math.erfc(LIMIT / math.sqrt(2)) / 2
    chance = tail * (2 * int(two_sided.sum()) + int(one_sided.sum()))
    return Verdict(len(sizes), int((sizes > LIMIT).sum()), float(sizes.max(initial=0)), chance)
