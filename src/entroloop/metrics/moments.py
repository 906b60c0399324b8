"""Measures from means and covariances, in float64."""

from __future__ import annotations

import numpy as np

from entroloop.errors import InputError
from entroloop.metrics.neighbourhood import _pair
from entroloop.samples import Array, as_vectors, check_rows


def total_variance(x: Array) -> float:
    """Return the trace of the covariance (divisor n − 1) of rows x (n, d), n ≥ 2."""
    x = as_vectors(np.asarray(x))
    check_rows(x, "x", minimum=2)
    return float(x.astype(np.float64).var(axis=0, ddof=1).sum())


def frechet_distance(*, generated: Array, reference: Array) -> float:
    """Return the Fréchet distance of the Gaussians fitted to two sets of rows, n ≥ 2 each.

    ‖μ₁ − μ₂‖² + tr(Σ₁ + Σ₂ − 2 (Σ₁^{1/2} Σ₂ Σ₁^{1/2})^{1/2}), covariances with divisor n − 1,
    in float64 by symmetric eigendecomposition (Dowson & Landau 1982; Heusel et al. 2017). Only
    figures on the same features and numbers of rows can be compared.
    """
    g, r = _pair(generated, "generated", reference, "reference")
    if min(len(g), len(r)) < 2:
        raise InputError("the Fréchet distance needs at least 2 rows in each set")
    g, r = g.astype(np.float64), r.astype(np.float64)
    difference = g.mean(axis=0) - r.mean(axis=0)
    cov_g, cov_r = np.atleast_2d(np.cov(g.T)), np.atleast_2d(np.cov(r.T))
    values, vectors = np.linalg.eigh(cov_g)
    root = (vectors * np.sqrt(np.clip(values, 0, None))) @ vectors.T
    cross = np.linalg.eigvalsh(root @ cov_r @ root)
    traces = np.trace(cov_g) + np.trace(cov_r)
    distance = difference @ difference + traces - 2 * np.sqrt(np.clip(cross, 0, None)).sum()
    return float(max(distance, 0.0))
