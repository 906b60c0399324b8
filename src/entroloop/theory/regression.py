"""Linear regression whose labels come from the model of the generation before."""

from __future__ import annotations

import numpy as np

from entroloop.samples import Array, Float64
from entroloop.theory.case import Case, Curve

N, D, GENERATIONS = 20, 4, 10
ERROR = "squared error of the coefficients"


def _simulate(rng: np.random.Generator, loops: int) -> Float64:
    """True coefficients are 0, the noise 1, covariates standard normal and new each time."""
    replaced = np.zeros((loops, D))
    gram, moment = np.zeros((loops, D, D)), np.zeros((loops, D))
    pooled: Array = np.zeros((loops, D))
    errors = np.empty((2, GENERATIONS, loops))
    for g in range(GENERATIONS):
        x, noise = rng.standard_normal((loops, N, D)), rng.standard_normal((loops, N))
        own = np.einsum("lni,lnj->lij", x, x)
        off = np.einsum("lni,ln->li", x, noise)
        replaced += np.linalg.solve(own, off[..., None])[..., 0]
        gram += own
        moment += np.einsum("lij,lj->li", own, pooled) + off
        pooled = np.linalg.solve(gram, moment[..., None])[..., 0]
        errors[:, g] = np.square(replaced).sum(axis=1), np.square(pooled).sum(axis=1)
    return errors[[0, 1, 1]]


_at = np.arange(1.0, GENERATIONS + 1)
_one = D / (N - D - 1)

REGRESSION = Case(
    "regression", "Linear regression on its own predictions",
    f"{N} rows of {D} values a generation: the error grows linearly where rows are replaced, and "
    "stays below π²/6 times that of the real rows where they accumulate.",
    ("2404.01413", "2402.07712"), "generation", _at,
    (
        Curve(ERROR, "replace", "T σ²d/(n − d − 1)", _at * _one),
        Curve(ERROR, "accumulate", "Σ_{t≤T} σ²d/(t (t n − d − 1))",
              np.cumsum(D / (_at * (_at * N - D - 1)))),
        Curve(ERROR, "accumulate, bound", "≤ π²/6 · σ²d/(n − d − 1)",
              np.full(GENERATIONS, np.pi**2 / 6 * _one), "at most"),
    ),
    _simulate,
)  # fmt: skip
