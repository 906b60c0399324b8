"""Correlation over generations, with an interval that respects that a run's points depend."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from entroloop.errors import InputError
from entroloop.samples import Array
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
    xs: Array = np.asarray(x, dtype=np.float64)
    ys: Array = np.asarray(y, dtype=np.float64)
    of_run, of_seed = np.asarray(run), np.asarray(seed_of_run)
    if not len(xs) == len(ys) == len(of_run) == len(of_seed):
        raise InputError("x, y, run and seed_of_run must have one length")
    finite = np.isfinite(xs) & np.isfinite(ys)
    xs, ys, of_run = xs[finite], ys[finite], of_run[finite]
    names = np.unique(of_run)
    slope = float(np.polyfit(xs, ys, 1)[0]) if len(xs) > 1 and xs.std() > 0 else float("nan")
    interval = None
    if len(np.unique(of_seed[finite])) > 1:
        rows = [np.flatnonzero(of_run == name) for name in names]
        rng = rng_for(0, 0, "bootstrap")
        drawn = []
        for _ in range(draws):
            chosen = np.concatenate([rows[i] for i in rng.integers(len(rows), size=len(rows))])
            drawn.append(pearson(xs[chosen], ys[chosen]))
        low, high = np.nanpercentile(drawn, [2.5, 97.5])
        interval = (float(low), float(high))
    return Correlation(pearson(xs, ys), slope, len(xs), len(names), interval)
