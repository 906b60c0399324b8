"""Realism: how much a row looks like known real rows, as weights of a selection."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from entroloop.distances.neighbors import nearest
from entroloop.errors import InputError, unknown_name
from entroloop.samples import Array, Float64, as_vectors


def realism_weights(x: Array, real: Array, *, form: str = "tail", k: int = 1) -> Float64:
    """Return how real each row of x (n, d) looks beside real rows (m, d), in (0, 1], float64 (n,).

    Let δ be a row's distance to its k-th nearest real row, and η_j the same of real row j among the
    others; q_s(η) is their s quantile. Forms:
    - tail: min(1, q₀.₉₉(η)/δ)⁴, which leaves all but strays as they are;
    - distance: min(1, q₀.₅(η)/δ)², which favours what lies near real rows;
    - conformal: min(1, p/0.05), p = (1 + #{j: η_j ≥ δ})/(m + 1) the conformal p-value of "x is one
      more real row" (Vovk et al. 2005).

    Distances are Euclidean. Raises InputError for an unknown form, rows of different width, or
    fewer than k + 1 real rows.

    >>> line = np.arange(5.0)[:, None]
    >>> realism_weights(np.array([[0.5], [6.0]]), line).tolist()
    [1.0, 0.0625]
    """
    if form not in REALISM:
        raise unknown_name("form of realism", form, REALISM)
    return REALISM[form](*distances_to_real(x, real, k))


def conformal_p(x: Array, real: Array, *, k: int = 1) -> Float64:
    """Return the conformal p-value of each row of x (n, d) as one more of real rows (m, d), (n,).

    (1 + #{j: η_j ≥ δ})/(m + 1), δ and η as in `realism_weights`. Of rows from the source of the
    real ones it is about uniform, so that a share α of them has p ≤ α.
    """
    return conformal_of(*distances_to_real(x, real, k))


def distances_to_real(x: Array, real: Array, k: int = 1) -> tuple[Float64, Float64]:
    """Return δ of each row of x, and η of each real row, of which all forms are made."""
    x, real = as_vectors(np.asarray(x)), as_vectors(np.asarray(real))
    if not 1 <= k < len(real):
        raise InputError(f"realism needs at least {k + 1} real rows; got {len(real)}")
    if x.shape[1] != real.shape[1]:
        raise InputError(f"rows have {x.shape[1]} values, real rows {real.shape[1]}")
    own = nearest(real, real, k, exclude_same_index=True).distances[:, -1]
    return nearest(x, real, k).distances[:, -1], own


def _power(quantile: float, power: int) -> Callable[[Float64, Float64], Float64]:
    def form(delta: Float64, own: Float64) -> Float64:
        # Copies of real rows are as real as can be, even where real rows are copies themselves.
        far = delta > 0
        ratio = np.ones(len(delta))
        ratio[far] = np.minimum(1.0, float(np.quantile(own, quantile)) / delta[far])
        return np.maximum(ratio**power, SMALLEST)

    return form


def conformal_of(delta: Float64, own: Float64) -> Float64:
    """See `conformal_p`."""
    above = len(own) - np.searchsorted(np.sort(own), delta, side="left")
    found: Float64 = (1.0 + above) / (len(own) + 1)
    return found


SMALLEST = 1e-12
REALISM: dict[str, Callable[[Float64, Float64], Float64]] = {
    "tail": _power(0.99, 4),
    "distance": _power(0.5, 2),
    "conformal": lambda delta, own: np.minimum(1.0, conformal_of(delta, own) / 0.05),
}
