"""Realism: how much a row looks like known real rows, as weights of a selection."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from entroloop.distances.neighbors import nearest
from entroloop.errors import InputError, unknown_name
from entroloop.samples import Array, Float64, as_vectors


def realism_weights(x: Array, real: Array, *, form: str = "distance", k: int = 1) -> Float64:
    """Return how real each row of x (n, d) looks beside real rows (m, d), in (0, 1], float64 (n,).

    Let δ be a row's distance to its k-th nearest real row, and η_j the same of real row j among the
    others. distance: min(1, median(η)/δ)²; so a row that lies no farther from real rows than these
    from one another has weight 1. inverse: min(1, median(η)/δ), milder. conformal: the p-value
    (1 + #{j: η_j ≥ δ})/(m + 1) of "x is one more real row" (Vovk et al. 2005).

    Raises InputError for an unknown form, or fewer than k + 1 real rows.

    >>> realism_weights(np.array([[0.5], [9.0]]), np.array([[0.0], [1.0], [2.0]])).round(3).tolist()
    [1.0, 0.02]
    """
    if form not in REALISM:
        raise unknown_name("form of realism", form, REALISM)
    x, real = as_vectors(np.asarray(x)), as_vectors(np.asarray(real))
    if not 1 <= k < len(real):
        raise InputError(f"realism needs at least {k + 1} real rows; got {len(real)}")
    if x.shape[1] != real.shape[1]:
        raise InputError(f"rows have {x.shape[1]} values, real rows {real.shape[1]}")
    own = nearest(real, real, k, exclude_same_index=True).distances[:, -1]
    return REALISM[form](nearest(x, real, k).distances[:, -1], own)


def _inverse(distances: Float64, own: Float64) -> Float64:
    typical = float(np.median(own))
    with np.errstate(divide="ignore", invalid="ignore"):
        found: Float64 = np.minimum(1.0, typical / distances)
    # Copies of real rows are as real as can be, even where real rows are copies of one another.
    return np.maximum(np.where(distances == 0, 1.0, found), SMALLEST)


def _conformal(distances: Float64, own: Float64) -> Float64:
    above = len(own) - np.searchsorted(np.sort(own), distances, side="left")
    found: Float64 = (1.0 + above) / (len(own) + 1)
    return found


SMALLEST = 1e-12
REALISM: dict[str, Callable[[Float64, Float64], Float64]] = {
    "distance": lambda distances, own: np.maximum(np.square(_inverse(distances, own)), SMALLEST),
    "inverse": _inverse,
    "conformal": _conformal,
}
