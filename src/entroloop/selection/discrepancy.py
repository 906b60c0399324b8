"""Discrepancies: how far a training set lies from real rows, with the error of a comparison.

With a function f of distance, the discrepancy of a set A from the distribution P of real rows is

    D_f(A, P) = 2 E f(|a − u|) − E f(|a − a′|) − E f(|u − u′|),    a, a′ ∈ A, u, u′ ~ P.

f(t) = t gives the energy distance (Székely & Rizzo 2013), f(t) = −exp(−t²/2h²) the squared kernel
distance (Gretton et al. 2012), h the median distance among the guard. The last term is the same for
all sets, so that guard rows u_1 … u_m estimate the difference of two sets' discrepancies without
bias. Its variance has two parts: of the guard, that of a mean of

    h_j = 2 [E f(|b − u_j|) − E f(|a − u_j|)],   b in the baseline, a in A,

and of the sets, whose rows were drawn, too: to first order a row x moves D_f(A, P) by φ_A(x)/|A|
with φ_A(x) = 2 E f(|x − u|) − 2 E f(|x − a|), less its mean. Rows that both sets have count once,
with their difference.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from entroloop.distances.extents import extent
from entroloop.distances.means import Compared, mean_to_others, mean_to_sets
from entroloop.distances.neighbors import distinct_rows
from entroloop.distances.spaces import Space
from entroloop.distances.table import Distance
from entroloop.samples import Array, Float64
from entroloop.seeding import rng_for


@dataclass(frozen=True)
class Comparisons:
    """By how much each of k sets is nearer to the real rows than the baseline, and how surely.

    names, gains (k,); covariance (k, k) of the gains' errors.
    """

    names: list[str]
    gains: Float64
    covariance: Float64

    @property
    def errors(self) -> Float64:
        """The standard error of each gain."""
        return np.sqrt(np.diag(self.covariance))

    @property
    def z(self) -> Float64:
        """Each gain in standard errors; 0 for a set that is the baseline."""
        known = self.errors > 0
        return np.where(known, self.gains / np.where(known, self.errors, 1.0), 0.0)

    def threshold(self, level: float, among: Array | None = None) -> float:
        """Return the z that the largest of k exceeds with probability `level` if no set is nearer.

        among: mask of the sets that count, by default all.

        Of normal errors with the estimated correlations, by simulation: sets that several
        strategies choose alike count nearly as one, where Bonferroni's correction would count each.
        """
        known = self.errors > 0
        if among is not None:
            known &= among
        if not known.any():
            return np.inf
        scale = self.errors[known]
        values, vectors = np.linalg.eigh(
            self.covariance[np.ix_(known, known)] / np.outer(scale, scale)
        )
        root = vectors * np.sqrt(np.maximum(values, 0))
        normal = rng_for(0, 0, "guard/threshold").standard_normal((DRAWS, len(scale)))
        return float(np.quantile((normal @ root.T).max(axis=1), 1 - level))


DRAWS = 20_000  # of the largest z


def _energy(space: Space, guard: Array) -> Compared:  # noqa: ARG001
    return lambda library, distances: distances  # noqa: ARG005


def _kernel(space: Space, guard: Array) -> Compared:
    some = guard[:1000]
    x, sizes = space.prepare(some, np.float32)
    values = np.maximum(space.tile(x, sizes, x), 0) * space.unit
    apart = space.distance_of(values[np.triu_indices(len(some), 1)])
    width = float(np.median(apart)) or 1.0

    def compared(library: Any, distances: Any) -> Any:
        library.square(distances, out=distances)
        distances *= -0.5 / width**2
        return library.negative(library.exp(distances, out=distances), out=distances)

    return compared


DISCREPANCIES: dict[str, Callable[[Space, Array], Compared]] = {
    "energy": _energy,
    "kernel": _kernel,
}


def compare(
    baseline: str,
    sets: Mapping[str, Array],
    rows: Array,
    guard: Array,
    distance: Distance,
    discrepancy: str = "energy",
) -> Comparisons:
    """Return how much nearer to the guard each set lies than the baseline.

    sets: by name, the indices of its rows in `rows` (n, d); baseline: the name of one. guard
    (m, d), m ≥ 2: real rows that took no part in choosing the sets, transformed as rows are.
    """
    used, shares = _shares(sets, len(rows))
    first, which = distinct_rows(shares)  # rounding would tell sets of the same rows apart
    shares, taken = shares[first], rows[used]
    space, _ = distance.space_for(extent(taken) + extent(guard))
    compared = DISCREPANCIES[discrepancy](space, guard)
    to_guard, row_to_guard = mean_to_others(space, taken, shares, guard, compared)
    row_to_set = mean_to_sets(space, taken, shares, compared)
    within = (shares.T * row_to_set).sum(axis=0)
    moved = 2 * (row_to_guard[:, None] - row_to_set)  # φ of each row, for each set
    moved = shares.T * (moved - (shares.T * moved).sum(axis=0))
    names = [name for name in sets if name != baseline]
    line = dict(zip(sets, which.tolist(), strict=True))
    base, others = line[baseline], [line[name] for name in names]
    h = 2 * (to_guard[base] - to_guard[others])
    gains = h.mean(axis=1) - (within[base] - within[others])
    drawn = moved[:, [base]] - moved[:, others]
    covariance = np.atleast_2d(np.cov(h)) / h.shape[1] + drawn.T @ drawn
    return Comparisons(names, gains, covariance)


def _shares(sets: Mapping[str, Array], n: int) -> tuple[Array, Float64]:
    """Return the rows that any set has, ascending, and the weight of each in each set."""
    members = np.zeros((len(sets), n))
    for line, index in zip(members, sets.values(), strict=True):
        line[index] = 1 / len(index)
    used = np.flatnonzero(members.any(axis=0))
    return used, members[:, used]
