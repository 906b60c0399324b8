"""Correlation over generations, with an interval that treats a run's points as dependent."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from entroloop.errors import InputError
from entroloop.samples import Array, Float64
from entroloop.seeding import rng_for


@dataclass(frozen=True)
class Line:
    """The least-squares line at some x; low, high: its pointwise 95 % interval, None for none."""

    x: Float64
    y: Float64
    low: Float64 | None
    high: Float64 | None


@dataclass(frozen=True)
class Correlation:
    """Pearson r and the slope of y on x; the intervals are None if there is only one seed.

    line: the fit from the smallest to the largest x, None where x or y is constant.
    """

    r: float
    slope: float
    n: int
    runs: int
    interval: tuple[float, float] | None
    slope_interval: tuple[float, float] | None = None
    line: Line | None = None


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
    interval = slope_interval = drawn = None
    if len(np.unique(of_seed[finite])) > 1:
        drawn = _bootstrap(xs, ys, np.searchsorted(names, of_run), draws)
        low, high = np.nanpercentile(drawn, [2.5, 97.5], axis=0)
        interval = (float(low[0]), float(high[0]))
        slope_interval = (float(low[1]), float(high[1]))
    r, slope = pearson(xs, ys), _line(xs, ys)[0]
    line = _fit(xs, ys, drawn) if np.isfinite(r) else None
    return Correlation(r, slope, len(xs), len(names), interval, slope_interval, line)


def _bootstrap(x: Float64, y: Float64, run: NDArray[np.int64], draws: int) -> Float64:
    """Return r, slope and intercept (draws, 3) of resamples of whole runs, from each run's sums."""
    at, level = x.mean(), y.mean()
    x, y = x - at, y - level  # centred, so that differences of sums lose nothing
    n_runs = int(run.max()) + 1
    sums = np.stack([
        np.bincount(run, weights=w, minlength=n_runs)
        for w in (np.ones_like(x), x, y, x * x, y * y, x * y)
    ])  # fmt: skip
    drawn = rng_for(0, 0, "bootstrap").integers(n_runs, size=(draws, n_runs))
    n, sx, sy, sxx, syy, sxy = (own[drawn].sum(axis=1) for own in sums)
    xx, yy, xy = sxx - sx * sx / n, syy - sy * sy / n, sxy - sx * sy / n
    with np.errstate(divide="ignore", invalid="ignore"):
        varies = xx > 1e-12 * sxx
        slope = np.where(varies, xy / xx, np.nan)
        r = np.where(varies & (yy > 1e-12 * syy), xy / np.sqrt(xx * yy), np.nan)
    return np.stack([r, slope, level + (sy - slope * sx) / n - slope * at], axis=1)


def _line(x: Array, y: Array) -> tuple[float, float]:
    """Return slope and intercept of the least-squares line of y on x, or NaN if x is constant."""
    spread = float(np.square(x - x.mean()).sum()) if len(x) > 1 else 0.0
    if not spread:
        return float("nan"), float("nan")
    slope = float(((x - x.mean()) * (y - y.mean())).sum()) / spread
    return slope, float(y.mean() - slope * x.mean())


def _fit(x: Float64, y: Float64, drawn: Float64 | None) -> Line:
    """Return the line at 21 places, with percentiles of the lines of a bootstrap."""
    at = np.linspace(x.min(), x.max(), 21)
    slope, intercept = _line(x, y)
    low = high = None
    if drawn is not None:
        lines = drawn[:, 1, None] * at + drawn[:, 2, None]
        low, high = np.nanpercentile(lines, [2.5, 97.5], axis=0)
    return Line(at, intercept + slope * at, low, high)
