"""Measures based on inner products and class probabilities: KID, Vendi, RKE, inception score."""

from __future__ import annotations

import numpy as np

from entroloop.distances.transforms import unit_rows
from entroloop.errors import InputError
from entroloop.metrics.sets import Sets
from entroloop.samples import Array, Float64

MOST_ROWS = 10_000  # of each set: as many pairs as a hundred subsets of 1,000 rows have


def kernel_distance(*, generated: Array, reference: Array, seed: int = 0) -> float:
    """Return the kernel distance (KID): the unbiased MMD² over all pairs of rows.

    k(x, y) = (x·y/d + 1)³, of at most 10,000 rows of each set, which the seed draws. Being
    unbiased, it can fall below 0. Means over random subsets (Bińkowski et al. 2018) have the same
    expectation, and a larger error.

    Raises InputError if a set has fewer than 2 rows.
    """
    return kernel_distance_of(Sets(generated=generated, reference=reference, seed=seed))


def kernel_distance_of(sets: Sets) -> float:
    """See `kernel_distance`."""
    if min(len(sets[role]) for role in ("generated", "reference")) < 2:
        raise InputError("the kernel distance needs at least 2 rows in each set")
    own, others, between = (
        sets.mean_over_pairs(a, b, _cubic, MOST_ROWS)
        for a, b in (("generated",) * 2, ("reference",) * 2, ("generated", "reference"))
    )
    return own + others - 2 * between


def _cubic(x: Float64, y: Float64) -> Float64:
    k = x @ y.T
    k /= x.shape[1]
    k += 1
    square = np.square(k)  # ten times as fast as a power
    square *= k
    return square


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
