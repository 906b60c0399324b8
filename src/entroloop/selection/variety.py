"""Variety: whether generated rows repeat each other and what they were trained on, and look real.

A generator that memorizes makes rows that lie nearer to the rest of the pool than real rows do.
Where they also lie as near to real rows that nobody trained on as real rows do, what the pool lacks
is variety; where they lie farther, they are strays, which a choice that spreads would take first.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from entroloop.distances.neighbors import nearest
from entroloop.samples import Array, Float64

Z = 1.645  # one-sided 95 %


@dataclass(frozen=True)
class Variety:
    """How generated rows lie in their pool and beside real rows, as logarithms of ratios.

    copying: ln of their mean distance to the nearest other row of the pool, over that of real rows
    which the pool does not hold; below 0 they repeat what is there. straying: ln of their mean
    distance to the nearest guard row, over that of other real rows; above 0 they are less real than
    real rows. Each with its standard error.
    """

    copying: float
    copying_error: float
    straying: float
    straying_error: float

    @property
    def lost(self) -> bool:
        """Whether rows copy beyond chance and do not stray beyond chance, one-sided 95 % each."""
        return self.copying < -Z * self.copying_error and self.straying <= Z * self.straying_error


def variety_of(
    pool: Array, generated: int, guard: Array, real: Array, *, count: int, in_pool: bool = False
) -> Variety:
    """Return the variety of the first `generated` rows of a pool (n, d), of `count` at most.

    guard (m, d): real rows that nobody trained on. real: other real rows. in_pool: whether the pool
    holds the guard's rows, so that each is left out where it is compared with the pool.
    Distances are Euclidean. The errors are those of the means over rows, to first order:
    SD(δ)/(√n mean δ) each, n the rows that are looked at.
    """
    rows = pool[: min(generated, count)]
    if not len(rows) or len(pool) < 2:
        return Variety(np.nan, np.nan, np.nan, np.nan)
    own = nearest(rows, pool, exclude_same_index=True).distances[:, 0]
    theirs, next_to = nearest(guard, pool, 2).distances.T
    if in_pool:  # a row that the pool holds is at distance 0 of itself, which says nothing
        theirs = np.where(theirs > 0, theirs, next_to)
    to_guard = nearest(rows, guard).distances[:, 0]
    of_real = nearest(real, guard).distances[:, 0]
    return Variety(*_ln_ratio(own, theirs), *_ln_ratio(to_guard, of_real))


def _ln_ratio(a: Float64, b: Float64) -> tuple[float, float]:
    """Return ln(mean a/mean b) and its standard error."""
    if not a.any() or not b.any():  # copies alone
        return (-np.inf if b.any() else np.inf if a.any() else 0.0), 0.0
    (ln_a, error), (ln_b, other) = _ln_mean(a), _ln_mean(b)
    return ln_a - ln_b, float(np.hypot(error, other))


def _ln_mean(x: Float64) -> tuple[float, float]:
    mean = float(x.mean())
    error = float(x.std(ddof=1) / (np.sqrt(len(x)) * mean)) if len(x) > 1 else np.inf
    return float(np.log(mean)), error
