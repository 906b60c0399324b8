"""Measures based on inner products and class probabilities: KID, Vendi, RKE, inception score."""

from __future__ import annotations

import numpy as np

from entroloop.distances.transforms import unit_rows
from entroloop.errors import InputError
from entroloop.metrics.sets import Sets
from entroloop.samples import Array, Float64
from entroloop.seeding import rng_for

SUBSETS, SUBSET_ROWS = 100, 1000  # the usual choice (Bińkowski et al. 2018)


def kernel_distance(
    *, generated: Array, reference: Array, subsets: int = SUBSETS, seed: int = 0
) -> float:
    """Return the kernel distance (KID): the mean of unbiased MMD² over random subsets.

    k(x, y) = (x·y/d + 1)³ on 100 pairs of subsets of 1,000 rows, or of all rows if there are
    fewer (Bińkowski et al. 2018). Being unbiased, it can fall below 0.

    Raises InputError if a set has fewer than 2 rows.
    """
    return kernel_distance_of(Sets(generated=generated, reference=reference, seed=seed), subsets)


def kernel_distance_of(sets: Sets, subsets: int = SUBSETS) -> float:
    """See `kernel_distance`."""
    g, r = (sets[role].astype(np.float64) for role in ("generated", "reference"))
    m = min(SUBSET_ROWS, len(g), len(r))
    if m < 2:
        raise InputError("the kernel distance needs at least 2 rows in each set")
    if m == len(g) == len(r):
        return _mmd2(g, r)
    rng = rng_for(sets.seed, 0, "subsets")
    values = [
        _mmd2(g[rng.choice(len(g), m, replace=False)], r[rng.choice(len(r), m, replace=False)])
        for _ in range(subsets)
    ]
    return float(np.mean(values))


def _mmd2(x: Float64, y: Float64) -> float:
    m, d = x.shape
    within = 0.0
    for rows in (x, y):
        k = _cubed(rows @ rows.T / d + 1)
        within += (k.sum() - np.trace(k)) / (m * (m - 1))
    return float(within - 2 * _cubed(x @ y.T / d + 1).mean())


def _cubed(k: Float64) -> Float64:
    return k * k * k  # ten times as fast as a power


def vendi_score(x: Array) -> float:
    """Return the Vendi score of rows x (n, d): the effective number of distinct rows, 1 … n.

    exp(−Σ λ ln λ), with λ the eigenvalues of K/n and K the cosine similarities (Friedman & Dieng
    2023).

    Raises InputError for a row of length 0.
    """
    return vendi_score_of(Sets(generated=x), 1.0)


def rke(x: Array) -> float:
    """Return the order-2 Rényi kernel entropy score of rows x (n, d): 1/Σ λ², 1 … n.

    Counts modes (Jalali et al. 2023, here with the cosine kernel); λ as in `vendi_score`.
    """
    return vendi_score_of(Sets(generated=x), 2.0)


def vendi_score_of(sets: Sets, order: float) -> float:
    """Return the Vendi score of the generated rows, of order 1 or 2 (RKE)."""
    x = unit_rows(sets["generated"], refused="the cosine similarity of generated rows")
    gram = x.T @ x if x.shape[1] <= len(x) else x @ x.T  # same eigenvalues, up to zeros
    if order == 2:
        return float(len(x) ** 2 / np.square(gram).sum())
    values = np.linalg.eigvalsh(gram) / len(x)
    values = values[values > 1e-15]
    return float(np.exp(-(values * np.log(values)).sum()))


def inception_score(probabilities: Array) -> float:
    """Return the inception score of class probabilities (n, classes).

    exp(mean_i KL(p(y|x_i) ‖ p(y))), p(y) the mean over all rows, in one split (Salimans et al.
    2016).
    """
    return inception_score_of(
        Sets(generated=np.zeros((len(probabilities), 1)), probabilities=probabilities)
    )


def inception_score_of(sets: Sets) -> float:
    """See `inception_score`."""
    p = sets.probabilities
    if p is None:
        raise InputError("the inception score needs class probabilities, which these features lack")
    marginal = p.mean(axis=0)
    with np.errstate(divide="ignore", invalid="ignore"):
        terms = np.where(p > 0, p * (np.log(p) - np.log(marginal)), 0.0)
    return float(np.exp(terms.sum(axis=1).mean()))
