"""Whether picks are outliers: how many lie farther from real rows than these from one another."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from entroloop.distances.table import Distance
from entroloop.metrics.intervals import wilson
from entroloop.samples import Array

QUANTILE = 0.99
WORK = 2e10  # products of a search, at most; rows beyond that are left out at random
FEWEST = 100  # real rows
CHANCE = 0.01


@dataclass(frozen=True)
class Outlying:
    """How many picks lie beyond the 0.99 quantile of distances among real rows.

    share: of the picks; interval: its 95 % score interval; distance: the quantile; picks, real: how
    many rows were looked at. p: the chance of so many outliers, or more, among picks drawn like
    the real rows.
    """

    share: float
    interval: tuple[float, float]
    distance: float
    picks: int
    real: int
    p: float

    @property
    def too_many(self) -> bool:
        """Whether more picks are outliers than chance explains."""
        return self.p < CHANCE


def outlying(
    picks: Array, real: Array, own: NDArray[np.int64], distance: Distance, seed: int
) -> Outlying | None:
    """Return how many picks (n, d) are outliers of real rows (m, d), both transformed.

    own (n,): which real row a pick is itself, −1 where it is none. Real rows are cut into two
    halves at random: the distance of a real row is to the nearest of the half that it is not in,
    so that no row is its own neighbour, picked or not; that of a pick which is no real row is to
    the nearest of one half. Of picks drawn like the real rows a share of 0.01 is expected. None for
    fewer than 100 real rows.
    """
    from scipy.stats import betabinom  # as much as all else that starting takes

    rng = np.random.default_rng(seed)
    most = int(np.sqrt(WORK / real.shape[1]))
    drawn = rng.permutation(len(real))[:most]
    if len(drawn) < FEWEST:
        return None
    first, second = drawn[: len(drawn) // 2], drawn[len(drawn) // 2 :]
    among = np.full(len(real), np.nan)
    among[first] = distance.nearest(real[first], real[second])
    among[second] = distance.nearest(real[second], real[first])
    shown = rng.permutation(len(picks))[:most]
    found = np.where(own[shown] < 0, np.nan, among[own[shown]])
    others = np.isnan(found)
    if others.any():
        found[others] = distance.nearest(picks[shown[others]], real[second])
    # Of a new row the chance to lie beyond the r-th of m is Beta(m − r + 1, r).
    m, n, r = len(drawn), len(shown), math.ceil(QUANTILE * len(drawn))
    limit = float(np.sort(among[drawn])[r - 1])
    count = int((found > limit).sum())
    p = float(betabinom.sf(count - 1, n, m - r + 1, r))
    return Outlying(count / n, wilson(count / n, n), limit, n, m, p)
