"""Correlation over generations, with an interval that respects that a run's points depend."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from entroloop.errors import InputError
from entroloop.seeding import rng_for


@dataclass(frozen=True)
class Correlation:
    """Pearson r and slope of y on x; the interval is None where there is one seed only."""

    r: float
    slope: float
    n: int
    runs: int
    interval: tuple[float, float] | None


def pearson(x: ArrayLike, y: ArrayLike) -> float:
    """Return Pearson's r of two sequences; NaN where one is constant or they are under 3.

    >>> round(pearson([1, 2, 3], [2, 4, 6]), 12)
    1.0
    """
    x, y = np.asarray(x, dtype=np.float64), np.asarray(y, dtype=np.float64)
    if len(x) < 3 or x.std() == 0 or y.std() == 0:
        return float("nan")
    return float(np.corrcoef(x, y)[0, 1])


def correlation(
    x: ArrayLike, y: ArrayLike, *, run: ArrayLike, seed_of_run: ArrayLike, draws: int = 2000
) -> Correlation:
    """Return r and slope with a 95 % interval of r: percentiles of a bootstrap over whole runs.

    run, seed_of_run: for each point the run it belongs to, and that run's seed. With one seed the
    arms share their random numbers and nothing can be said of the spread: no interval.
    Points that are not finite are left out.
    """
    x, y = np.asarray(x, dtype=np.float64), np.asarray(y, dtype=np.float64)
    run, seed_of_run = np.asarray(run), np.asarray(seed_of_run)
    if not len(x) == len(y) == len(run) == len(seed_of_run):
        raise InputError("x, y, run and seed_of_run must have one length")
    finite = np.isfinite(x) & np.isfinite(y)
    x, y, run, seed_of_run = x[finite], y[finite], run[finite], seed_of_run[finite]
    names = np.unique(run)
    slope = float(np.polyfit(x, y, 1)[0]) if len(x) > 1 and x.std() > 0 else float("nan")
    interval = None
    if len(np.unique(seed_of_run)) > 1:
        rows = [np.flatnonzero(run == name) for name in names]
        rng = rng_for(0, 0, "bootstrap")
        drawn = []
        for _ in range(draws):
            chosen = np.concatenate([rows[i] for i in rng.integers(len(rows), size=len(rows))])
            drawn.append(pearson(x[chosen], y[chosen]))
        low, high = np.nanpercentile(drawn, [2.5, 97.5])
        interval = (float(low), float(high))
    return Correlation(pearson(x, y), slope, len(x), len(names), interval)
