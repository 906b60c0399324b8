"""Differential entropy of a sample, by nearest neighbours."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from scipy.special import digamma, gammaln

from entroloop.errors import InputError
from entroloop.neighbors import distinct_rows, nearest
from entroloop.samples import Array, as_vectors, check_rows


@dataclass(frozen=True)
class Entropy:
    """An entropy estimate in nats, with what it must be read beside.

    Only differences at the same n, d, k and features mean anything: the estimate is biased by
    several nats in high dimension.
    """

    nats: float
    n: int
    d: int
    k: int
    duplicate_fraction: float
    min_distance: float
    note: str = ""


def knn_entropy(x: Array, k: int = 1, *, floor: float = 0.0) -> Entropy:
    """Return the Kozachenko–Leonenko estimate of the differential entropy of rows x (n, d).

    Ĥ_k = ψ(n) − ψ(k) + ln c_d + (d/n) Σ ln ε_k(x), with c_d = π^{d/2}/Γ(d/2 + 1) and ε_k(x) the
    Euclidean distance to the k-th nearest distinct row (Kozachenko & Leonenko 1987; PAPER of
    Shi et al. 2025 with k = 1). Exact copies are merged as neighbours, so that they lower the
    estimate through `duplicate_fraction` only; where all rows are equal it is −inf.
    `floor` is added to every ε_k (the reference code of Shi et al. adds 1e-10 and does not merge
    copies, which floor > 0 reproduces).

    Raises InputError for fewer than two rows, k outside 1 … n − 1, or k + 1 > distinct rows.

    >>> knn_entropy(np.array([[0.0], [1.0], [3.0]])).n
    3
    """
    x = as_vectors(np.asarray(x))
    check_rows(x, "x", minimum=2)
    n, d = x.shape
    if not 1 <= k < n:
        raise InputError(f"k must be between 1 and n − 1 = {n - 1}; got {k}")
    first, inverse = distinct_rows(x)
    fraction = 1 - len(first) / n
    if floor > 0:
        epsilon = nearest(x, x, k, exclude_same_index=True).distances[:, -1] + floor
    elif len(first) == 1:
        return Entropy(-math.inf, n, d, k, fraction, 0.0, "all rows are equal")
    elif len(first) <= k:
        raise InputError(f"only {len(first)} of {n} rows are distinct; k = {k} needs {k + 1}")
    else:
        rows = x[first]
        epsilon = nearest(rows, rows, k, exclude_same_index=True).distances[:, -1][inverse]
    log_volume = d / 2 * math.log(math.pi) - gammaln(d / 2 + 1)
    nats = digamma(n) - digamma(k) + log_volume + d * float(np.log(epsilon).mean())
    return Entropy(float(nats), n, d, k, fraction, float(epsilon.min()))


def duplicate_fraction(x: Array) -> float:
    """Return 1 − (distinct rows)/(rows) of x (n, d).

    >>> duplicate_fraction(np.array([[0.0], [0.0], [1.0], [2.0]]))
    0.25
    """
    x = as_vectors(np.asarray(x))
    check_rows(x, "x")
    return 1 - len(distinct_rows(x)[0]) / len(x)
