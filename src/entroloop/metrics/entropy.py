"""Nearest-neighbour estimates of differential entropy and intrinsic dimension."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from entroloop.distances.neighbors import distinct_rows, nearest
from entroloop.errors import InputError
from entroloop.metrics.moments import spectrum
from entroloop.metrics.sets import Own, Sets
from entroloop.metrics.sharded import distinct_epsilon, sharded, too_few_distinct
from entroloop.pools.hosts import PoolEngine
from entroloop.samples import Array, Float64, as_vectors, check_rows
from entroloop.seeding import rng_for

NEVER_BY_CHANCE = 1e-6
ATTENUATION_DRAWS = 4  # of normal sets


@dataclass(frozen=True)
class Entropy:
    """An entropy estimate in nats, with the figures needed to interpret it.

    n: how many distinct rows it was taken over.

    Only differences at the same n, d, k and features mean anything: the estimate is biased by
    several nats in high dimension. `dimension` is d, or the intrinsic dimension used instead.
    """

    nats: float
    n: int
    d: int
    k: int
    duplicate_fraction: float
    min_distance: float
    note: str = ""
    dimension: float = math.nan


def knn_entropy(
    x: Array,
    k: int = 1,
    *,
    floor: float = 0.0,
    dimension: float | None = None,
    engine: PoolEngine | None = None,
) -> Entropy:
    """Return the Kozachenko–Leonenko estimate of the differential entropy of rows x (n, d).

    Ĥ_k = ψ(n) − ψ(k) + ln c_d + (d/n) Σ ln ε_k(x), with c_d = π^{d/2}/Γ(d/2 + 1) and ε_k(x) the
    Euclidean distance to the k-th nearest row (Kozachenko & Leonenko 1987; Shi et al. 2025 with
    k = 1). Both n and the sum are over the distinct rows: exact copies are merged, so that
    repeating rows changes nothing but `duplicate_fraction`. If all rows are equal, it is −inf.
    floor: added to every ε_k (the reference code of Shi et al. adds 1e-10 and does not merge
    copies, which floor > 0 reproduces). dimension: replaces d in the equation, for rows that
    lie near a surface of fewer dimensions (`intrinsic_dimension`). engine: distributes the rows
    over shards (`RayEngine`); the value is the same.

    Raises InputError for fewer than two rows, k outside 1 … n − 1, or k + 1 > distinct rows.

    >>> knn_entropy(np.array([[0.0], [1.0], [3.0]])).n
    3
    """
    if engine is not None:
        epsilon, distinct, n, d = distinct_epsilon(x, engine, k, floor)
    else:
        x = as_vectors(np.asarray(x))
        check_rows(x, "x", minimum=2)
        n, d = x.shape
        if not 1 <= k < n:
            raise InputError(f"k must be between 1 and n − 1 = {n - 1}; got {k}")
        first, _ = distinct_rows(x)
        distinct = len(first)
        if floor > 0:
            epsilon = nearest(x, x, k, exclude_same_index=True).distances[:, -1] + floor
        elif 1 < distinct <= k:
            raise too_few_distinct(distinct, n, k)
        elif distinct > 1:
            rows = x[first]
            epsilon = (
                _kth_gaps(rows[:, 0], k) if d == 1
                else nearest(rows, rows, k, exclude_same_index=True).distances[:, -1]
            )  # fmt: skip
    fraction = 1 - distinct / n
    if distinct == 1 and floor == 0:
        return Entropy(-math.inf, 1, d, k, fraction, 0.0, "all rows are equal")
    return _estimate(epsilon, d, k, fraction, dimension)


def _kth_gaps(x: Array, k: int) -> Float64:
    """Return the distance of each number to its k-th nearest other, in ascending order of x.

    It lies among the k before it and the k behind it.
    """
    line = np.sort(x.astype(np.float64))
    far = np.full(k, np.inf)
    padded = np.concatenate([-far, line, far])
    others = np.delete(np.lib.stride_tricks.sliding_window_view(padded, 2 * k + 1), k, axis=1)
    gaps: Float64 = np.partition(np.abs(others - line[:, None]), k - 1, axis=1)[:, k - 1]
    return gaps


def _estimate(
    epsilon: Float64, d: int, k: int, fraction: float, dimension: float | None
) -> Entropy:
    """Return the entropy from the distance of each distinct row to its k-th nearest."""
    from scipy.special import digamma, gammaln  # a quarter of what else starting takes

    n, of = len(epsilon), float(d if dimension is None else dimension)
    log_volume = of / 2 * math.log(math.pi) - gammaln(of / 2 + 1)
    nats = digamma(n) - digamma(k) + log_volume + of * float(np.log(epsilon).mean())
    return Entropy(float(nats), n, d, k, fraction, float(epsilon.min()), dimension=of)


def entropy_of(sets: Sets, role: str, *, intrinsic: bool = False) -> Entropy:
    """Return `knn_entropy` (k = 1) of one role's rows; intrinsic: at their TwoNN dimension."""
    x = sets[role]
    if len(x) < 2:
        raise InputError(f"the entropy of {role} needs at least 2 rows; it has {len(x)}")
    if len(distinct_rows(x)[0]) == 1:
        return Entropy(-math.inf, 1, x.shape[1], 1, 1 - 1 / len(x), 0.0, "all rows are equal")
    own = sets.own(role)
    dimension = intrinsic_dimension_of(own) if intrinsic else None
    if dimension is not None and not math.isfinite(dimension):
        raise InputError(
            f"{role}: neighbours lie at equal distances (a lattice): no TwoNN dimension exists"
        )
    fraction = 1 - len(own.first) / len(x)
    return _estimate(own.neighbors.distances[:, 0], x.shape[1], 1, fraction, dimension)


def intrinsic_dimension_of(own: Own) -> float:
    """Return the TwoNN dimension, given a set's neighbours (see `intrinsic_dimension`)."""
    if own.k < 2:
        raise InputError("the intrinsic dimension needs at least 3 distinct rows")
    r = own.neighbors.distances
    logs = np.log(r[:, 1] / r[:, 0])
    total = float(logs.sum())
    return math.inf if total == 0 else (len(logs) - 1) / total


def has_near_copies(own: Own) -> bool:
    """Return whether two rows lie nearer to each other than chance explains.

    In m dimensions about n · ln 2 · (r/median)^m of n nearest distances are below r: rows are
    near-copies where that is below a millionth for the smallest. m = ln 2/median ln(r₂/r₁), since
    r₂/r₁ exceeds t with probability t^−m (Facco et al. 2017), and few pairs do not move a median.
    The spread of what depends on the logarithms of small distances is then that of the number of
    such pairs.
    """
    if own.k < 2:
        return False
    r = own.neighbors.distances
    typical, ratio = float(np.median(r[:, 0])), float(np.median(np.log(r[:, 1] / r[:, 0])))
    if typical == 0 or ratio == 0:
        return False
    smallest = float(r[:, 0].min()) / typical
    expected: float = len(r) * math.log(2) * smallest ** (math.log(2) / ratio)
    return expected < NEVER_BY_CHANCE


def intrinsic_dimension_mle_of(own: Own) -> float:
    """Return the maximum-likelihood dimension, given a set's neighbours."""
    if own.k < 2:
        raise InputError("the intrinsic dimension needs at least 3 distinct rows")
    r = own.neighbors.distances
    inverse = np.log(r[:, -1:] / r[:, :-1]).sum(axis=1) / (own.k - 1)
    mean = float(inverse.mean())
    return math.inf if mean == 0 else 1 / mean


@dataclass(frozen=True)
class Attenuation:
    """How much of a change of entropy the estimate shows, by normal sets of the same spectra.

    estimated: the change of `knn_entropy`, in nats. normal: the exact change between normal
    distributions with the sets' covariances. seen: the change of `knn_entropy` between draws from
    them. share: seen/normal. n, d: rows, and directions in which both sets vary.
    """

    estimated: float
    normal: float
    seen: float
    n: int
    d: int

    @property
    def share(self) -> float:
        """The share of the normal sets' change that the estimate shows."""
        return self.seen / self.normal if self.normal else math.nan


def entropy_attenuation(before: Array, after: Array, *, seed: int = 0) -> Attenuation:
    """Return how much of the change of entropy from one set to another the estimate can show.

    Neighbours in high dimension feel the directions of largest variance alone, so that
    `knn_entropy` shows only a part of a fall that comes from the small ones. Normal sets of the
    same n and spectra λ tell which part: their entropies differ by ½ Σ_i ln(λ_i after/λ_i before)
    exactly. before, after: (n, d), cut to equally many rows by a seeded draw. A pure change of
    scale is shown in full.

    Raises InputError for fewer than 3 rows, or rows that vary in no direction.

    >>> x = np.random.default_rng(0).standard_normal((300, 4))
    >>> round(entropy_attenuation(x, 0.5 * x).share, 6)
    1.0
    """
    a, b = as_vectors(np.asarray(before)), as_vectors(np.asarray(after))
    n = min(len(a), len(b))
    if n < 3:
        raise InputError(f"the attenuation needs at least 3 rows in each set; got {n}")
    rng = rng_for(seed, 0, "attenuation")
    a, b = (x[np.sort(rng.choice(len(x), n, replace=False))] for x in (a, b))
    spectra = [spectrum(x) for x in (a, b)]
    d = min(int((values > 1e-10 * values[0]).sum()) for values in spectra)
    if d == 0:
        raise InputError("the rows vary in no direction, so they have no spectrum")
    first, last = (values[:d] for values in spectra)
    changes = []
    for _ in range(ATTENUATION_DRAWS):
        noise = rng.standard_normal((n, d))  # shared by both: what differs is the spectrum alone
        drawn = [knn_entropy(noise * np.sqrt(values)).nats for values in (first, last)]
        changes.append(drawn[1] - drawn[0])
    return Attenuation(
        estimated=knn_entropy(b).nats - knn_entropy(a).nats,
        normal=float(0.5 * np.log(last / first).sum()),
        seen=float(np.mean(changes)),
        n=n,
        d=d,
    )


ESTIMATORS = {"two_nn": intrinsic_dimension_of, "maximum_likelihood": intrinsic_dimension_mle_of}


def intrinsic_dimension(x: Array, estimator: str = "two_nn") -> float:
    """Return the intrinsic dimension of rows x (n, D): that of the surface they lie near.

    two_nn: (n − 1)/Σ ln(r₂/r₁), r₁ and r₂ the distances to the two nearest distinct rows (Facco
    et al. 2017, by maximum likelihood). maximum_likelihood: 1/mean_i[Σ_{j<k} ln(r_k/r_j)/(k − 1)]
    with k = 20, or fewer if the set has fewer neighbours (Levina & Bickel 2004; inverses averaged,
    following MacKay & Ghahramani 2005).

    Raises InputError for an unknown estimator or fewer than 3 distinct rows.

    >>> line = np.random.default_rng(0).random((500, 1)) * np.ones((1, 9))
    >>> round(intrinsic_dimension(line))
    1
    """
    if estimator not in ESTIMATORS:
        raise InputError(f"estimator must be one of {', '.join(ESTIMATORS)}; got {estimator}")
    return ESTIMATORS[estimator](Sets(generated=x).own("generated"))


def duplicate_fraction(x: Array, *, engine: PoolEngine | None = None) -> float:
    """Return 1 − (distinct rows)/(rows) of x (n, d); engine: as for `knn_entropy`.

    >>> duplicate_fraction(np.array([[0.0], [0.0], [1.0], [2.0]]))
    0.25
    """
    if engine is not None:
        with sharded(x, engine, "x") as rows:
            return 1 - len(rows.distinct()[0]) / rows.shape[0]
    x = as_vectors(np.asarray(x))
    check_rows(x, "x")
    return 1 - len(distinct_rows(x)[0]) / len(x)
