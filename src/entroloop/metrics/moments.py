"""Measures based on means and covariances, in float64."""

from __future__ import annotations

import numpy as np

from entroloop.errors import InputError
from entroloop.metrics.sets import Sets
from entroloop.metrics.sharded import moments_of
from entroloop.pools.hosts import PoolEngine
from entroloop.samples import Array, Float64, as_vectors, check_rows
from entroloop.seeding import rng_for

SIZES = 10  # number of sample sizes that the extrapolation is fitted to


def total_variance(x: Array) -> float:
    """Return the trace of the covariance (divisor n − 1) of rows x (n, d), n ≥ 2."""
    x = as_vectors(np.asarray(x))
    check_rows(x, "x", minimum=2)
    x64 = x.astype(np.float64)
    x64 -= x64[0]  # equal rows must have no variance, despite rounding in their mean
    return float(x64.var(axis=0, ddof=1).sum())


def spectrum(x: Array) -> Float64:
    """Return the eigenvalues of the covariance (divisor n − 1) of rows x (n, d), descending."""
    x = as_vectors(np.asarray(x))
    check_rows(x, "x", minimum=2)
    rows = centred(x)
    narrow = rows.shape[1] <= len(rows)
    gram = rows.T @ rows if narrow else rows @ rows.T  # same eigenvalues
    values = np.clip(np.linalg.eigvalsh(gram)[::-1], 0, None) / (len(rows) - 1)
    more = np.zeros(max(0, x.shape[1] - len(values)))
    return np.concatenate([values, more])


def effective_rank(x: Array) -> float:
    """Return exp of the entropy of the normalized spectrum of rows x (n, d): 1 … d.

    The number of directions that carry the variance (Roy & Vetterli 2007).

    Raises InputError if all rows are equal.
    """
    values = spectrum(x)
    if values.sum() == 0:
        raise InputError("all rows are equal, so they have no spectrum")
    shares = values[values > 0] / values.sum()
    return float(np.exp(-(shares * np.log(shares)).sum()))


def frechet_distance(
    *, generated: Array, reference: Array, engine: PoolEngine | None = None
) -> float:
    """Return the Fréchet distance between Gaussians fitted to two sets of rows, n ≥ 2 each.

    ‖μ₁ − μ₂‖² + tr(Σ₁ + Σ₂ − 2 (Σ₁^{1/2} Σ₂ Σ₁^{1/2})^{1/2}), covariances with divisor n − 1,
    in float64 by symmetric eigendecomposition (Dowson & Landau 1982; Heusel et al. 2017). Only
    figures on the same features and numbers of rows can be compared. engine: distributes the rows
    over shards (`RayEngine`); the value agrees to rounding.
    """
    if engine is not None:
        sets = {"generated": generated, "reference": reference}
        return moments_of(sets, engine, lambda g, r: _between(g, _rooted(r)))
    return frechet_distance_of(Sets(generated=generated, reference=reference))


def frechet_distance_of(sets: Sets, reference: str = "reference") -> float:
    """Return the Fréchet distance between the generated rows and those of another role."""
    g, r = sets["generated"], sets[reference]
    _enough(g, r)
    if max(len(g), len(r)) <= g.shape[1]:
        return _between_few(g, r)
    rooted = sets.once(("rooted", id(r)), lambda: _rooted(_moments(r)))
    return _between(_moments(g), rooted)


def _between_few(g: Array, r: Array) -> float:
    """Return the distance for at most as many rows as features, without d × d matrices.

    tr (Σ₁^{1/2} Σ₂ Σ₁^{1/2})^{1/2} is the sum of the singular values of X Yᵀ, with X and Y the
    centred rows divided by the square roots of their divisors.
    """
    x, y = (centred(rows) / np.sqrt(len(rows) - 1) for rows in (g, r))
    difference = g.mean(axis=0, dtype=np.float64) - r.mean(axis=0, dtype=np.float64)
    cross = np.linalg.svd(x @ y.T, compute_uv=False).sum()
    traces = np.square(x).sum() + np.square(y).sum()
    return float(max(difference @ difference + traces - 2 * cross, 0.0))


def frechet_distance_infinity(*, generated: Array, reference: Array, seed: int = 0) -> float:
    """Return the Fréchet distance extrapolated to infinitely many generated rows.

    The distance is biased by about c/n. Return the intercept of a line fitted over 1/n to its
    values at ten numbers of generated rows, from n/10 (at least 2 d) to n (Chong & Forsyth 2020;
    draws by the seed). The bias from the number of reference rows remains.

    Raises InputError for fewer than 4 d generated rows, where the bias is not linear in 1/n.
    """
    return frechet_distance_infinity_of(Sets(generated=generated, reference=reference, seed=seed))


def frechet_distance_infinity_of(sets: Sets) -> float:
    """See `frechet_distance_infinity`."""
    g, r = sets["generated"], sets["reference"]
    _enough(g, r)
    least = max(20, 4 * g.shape[1])
    if len(g) < least:
        raise InputError(
            f"the extrapolation needs at least {least} generated rows (4 for each feature); got "
            f"{len(g)}"
        )
    goal = _rooted(_moments(r))
    order = rng_for(sets.seed, 0, "extrapolation").permutation(len(g))
    sizes = np.unique(np.linspace(max(len(g) // 10, 2 * g.shape[1]), len(g), SIZES).astype(int))
    values = [_between(_moments(g[order[:n]]), goal) for n in sizes]
    return float(np.polyfit(1 / sizes, values, 1)[1])


Moments = tuple[Float64, Float64]


def rank_note(sets: Sets) -> str:
    """Say where generated and reference rows are too few for covariances of full rank."""
    n, d = min(len(sets["generated"]), len(sets["reference"])), sets["generated"].shape[1]
    if n > d:
        return ""
    return f"{n} rows of {d} values: the covariances have rank ≤ {n - 1}, so the figure is biased"


def _enough(g: Array, r: Array) -> None:
    if min(len(g), len(r)) < 2:
        raise InputError("the Fréchet distance needs at least 2 rows in each set")


def centred(x: Array) -> Float64:
    """Return rows (n, d) minus their mean, float64; equal rows become exactly 0."""
    x64: Float64 = x.astype(np.float64)
    x64 -= x64[0]
    x64 -= x64.mean(axis=0)
    return x64


def _moments(x: Array) -> Moments:
    rows = centred(x)
    return x.mean(axis=0, dtype=np.float64), rows.T @ rows / (len(rows) - 1)


def _rooted(moments: Moments) -> tuple[Float64, Float64, Float64]:
    mean, covariance = moments
    values, vectors = np.linalg.eigh(covariance)
    root = (vectors * np.sqrt(np.clip(values, 0, None))) @ vectors.T
    return mean, covariance, root


def _between(a: Moments, b: tuple[Float64, Float64, Float64]) -> float:
    """Return the distance between two Gaussians; the second includes its covariance's root."""
    difference = a[0] - b[0]
    cross = np.linalg.eigvalsh(b[2] @ a[1] @ b[2])
    traces = np.trace(a[1]) + np.trace(b[1])
    distance = difference @ difference + traces - 2 * np.sqrt(np.clip(cross, 0, None)).sum()
    return float(max(distance, 0.0))
