"""Correlation over generations, with an interval that treats a run's points as dependent."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from entroloop.errors import InputError
from entroloop.samples import Array
from entroloop.seeding import rng_for


@dataclass(frozen=True)
class Correlation:
    """Pearson r and the slope of y on x; the intervals are None if there is only one seed."""

    r: float
    slope: float
    n: int
    runs: int
    interval: tuple[float, float] | None
    slope_interval: tuple[float, float] | None = None


def pearson(x: ArrayLike, y: ArrayLike) -> float:
    """Return Pearson's r of two sequences; NaN if one is constant or they have fewer than 3 points.

    >>> round(pearson([1, 2, 3], [2, 4, 6]), 12)
    1.0
    """
    x, y = np.asarray(x, dtype=np.float64), np.asarray(y, dtype=np.float64)
    if len(x) < 3 or x.min() == x.max() or y.min() == y.max():
        return float("nan")
    return float(np.corrcoef(x, y)[0, 1])


def partial_correlation(x: ArrayLike, y: ArrayLike, given: ArrayLike) -> float:
    """Return Pearson's r of what is left of x and y when their linear dependence on z is taken off.

    (r_xy − r_xz r_yz)/√((1 − r_xz²)(1 − r_yz²)), z = given; NaN where that is undefined.

    >>> partial_correlation([1, 2, 3, 4], [1, 3, 2, 5], given=[1, 2, 3, 4])
    nan
    """
    xy, xz, yz = pearson(x, y), pearson(x, given), pearson(y, given)
    left = (1 - xz * xz) * (1 - yz * yz)
    return (xy - xz * yz) / math.sqrt(left) if left > 1e-12 else float("nan")


def correlation(
    x: ArrayLike, y: ArrayLike, *, run: ArrayLike, seed_of_run: ArrayLike, draws: int = 2000
) -> Correlation:
    """Return r and the slope with 95 % intervals: percentiles of a bootstrap over whole runs.

    run, seed_of_run: the run that each point belongs to, and that run's seed. With only one seed
    the arms share their random numbers, which says nothing about the spread: no interval.
    Points that are not finite are left out.
    """
    xs: Array = np.asarray(x, dtype=np.float64)
    ys: Array = np.asarray(y, dtype=np.float64)
    of_run, of_seed = np.asarray(run), np.asarray(seed_of_run)
    if not len(xs) == len(ys) == len(of_run) == len(of_seed):
        raise InputError("x, y, run and seed_of_run must have the same length")
    finite = np.isfinite(xs) & np.isfinite(ys)
    xs, ys, of_run = xs[finite], ys[finite], of_run[finite]
    names = np.unique(of_run)
    interval = slope_interval = None
    if len(np.unique(of_seed[finite])) > 1:
        rows = [np.flatnonzero(of_run == name) for name in names]
        rng = rng_for(0, 0, "bootstrap")
        drawn = []
        for _ in range(draws):
            chosen = np.concatenate([rows[i] for i in rng.integers(len(rows), size=len(rows))])
            drawn.append((pearson(xs[chosen], ys[chosen]), _slope(xs[chosen], ys[chosen])))
        low, high = np.nanpercentile(drawn, [2.5, 97.5], axis=0)
        interval = (float(low[0]), float(high[0]))
        slope_interval = (float(low[1]), float(high[1]))
    r, slope = pearson(xs, ys), _slope(xs, ys)
    return Correlation(r, slope, len(xs), len(names), interval, slope_interval)


def _slope(x: Array, y: Array) -> float:
    """Return the least-squares slope of y on x, or NaN if x is constant."""
    spread = float(np.square(x - x.mean()).sum()) if len(x) > 1 else 0.0
    return float(((x - x.mean()) * (y - y.mean())).sum()) / spread if spread else float("nan")
