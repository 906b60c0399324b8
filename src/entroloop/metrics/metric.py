"""What a metric is: what it needs, how it is computed, and where its interval comes from."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from entroloop.metrics.sets import Sets
from entroloop.samples import Array, Float64

G, T, R = "generated", "train", "reference"
UNSELECTED, REAL = "unselected", "real"  # roles that only studies have
BESIDES = ("probabilities", "images")  # what a metric may need that is no role
OWN = "with no other library"
ANY = (float("-inf"), float("inf"))
WIDE = 1024  # features; beyond this, costly eigendecompositions run on request only


@dataclass(frozen=True)
class RowStatistic:
    """One value per row of a role, and the statistic of these values or of a resample of them.

    resampled: takes a generator and a number, and returns so many bootstraps of the statistic;
    without it, values are drawn with replacement.
    """

    values: Float64
    statistic: Callable[[Array], float]
    resampled: Callable[[np.random.Generator, int], Float64] | None = None


@dataclass(frozen=True)
class Metric:
    """How a metric is computed.

    needs: the roles it uses, and what else (`BESIDES`). value: computes the metric from sets. says:
    its meaning, in a clause. rows, resampled: the metric as a statistic of the rows of a role (or
    two), which are resampled for the interval, given the other sets; without them the interval
    comes from half-samples of all sets, unless `counted`. error: instead of both, the standard
    error over new rows of `resampled`. every_row: use all rows given; otherwise
    use as many rows of each set as the smallest has. bounds: the range of possible values. pairs:
    for metrics of copying, how strongly each generated row triggers the metric (−inf: not at all).
    smooth: how much of the second-order part of halves is taken off the variance: all of it for
    smooth functions of moments with little bias of their own, a quarter where simulated coverage
    asks for that (benchmarks/intervals.py). fewest: rows that an interval takes, by the same
    simulation. pairs_within: the role whose near-copies of one another take its interval away.
    beside: metrics to show with it where the sets allow: its null or its floor. comparable: the
    figures it can be compared with. version: of what it computes; part of the keys of records that
    name it, above 1.
    """

    needs: tuple[str, ...]
    value: Callable[[Sets], float]
    says: str
    rows: Callable[[Sets], RowStatistic] | None = None
    resampled: str = ""
    error: Callable[[Sets], float] | None = None
    every_row: bool = False
    counted: bool = False
    bounds: tuple[float, float] = (0.0, float("inf"))
    pairs: Callable[[Sets], Float64] | None = None
    on_request: bool = False
    smooth: float = 0.0
    fewest: int = 8
    pairs_within: str = ""
    beside: tuple[str, ...] = ()
    wide: str = ""  # at d > WIDE: "no interval", or "on request"
    comparable: str = OWN
    note: Callable[[Sets], str] = lambda sets: ""  # noqa: ARG005
    version: int = 1


def mean_of(
    needs: tuple[str, ...],
    resampled: str,
    rows: Callable[[Sets], Array],
    says: str,
    *,
    scale: float = 1.0,
    every_row: bool = True,
    bounds: tuple[float, float] = (0.0, float("inf")),
    pairs: Callable[[Sets], Float64] | None = None,
    on_request: bool = False,
    beside: tuple[str, ...] = (),
    comparable: str = OWN,
) -> Metric:
    """Return a metric equal to scale times the mean of one value per row."""

    def statistic(values: Array) -> float:
        return scale * float(values.mean())

    return Metric(
        needs,
        lambda sets: statistic(rows(sets).astype(np.float64)),
        says,
        lambda sets: RowStatistic(rows(sets).astype(np.float64), statistic),
        resampled,
        every_row=every_row,
        bounds=bounds,
        pairs=pairs,
        on_request=on_request,
        beside=beside,
        comparable=comparable,
    )


def floor_of(value: Callable[[Sets], float], says: str) -> Metric:
    """Return a metric between the real training rows and the reference: what real data have."""
    return Metric(
        (REAL, R),
        lambda sets: value(Sets(generated=sets[REAL], reference=sets[R], seed=sets.seed)),
        f"the same of real rows: {says}", bounds=ANY, counted=True,
    )  # fmt: skip
