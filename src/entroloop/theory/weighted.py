"""A mean that is estimated from real and generated rows with weights: which weight is best."""

from __future__ import annotations

import math

import numpy as np

from entroloop.samples import Float64
from entroloop.theory.case import Case, Curve

N, GENERATIONS, MORE = 10, 30, 4  # real rows a generation; generated rows are 1 or MORE times that
GOLDEN = (math.sqrt(5) - 1) / 2
ERROR = "squared error of the mean, in that of the real rows alone"


def best_weight(real: int, generated: int) -> float:
    """Return the weight of real rows that leaves the smallest error: w² = (1 − w) real/generated.

    >>> round(best_weight(7, 7), 6) == round((5**0.5 - 1) / 2, 6)
    True
    """
    r = real / generated
    return (math.sqrt(r * r + 4 * r) - r) / 2


_at = np.sort([*np.linspace(0.1, 1, 10), GOLDEN, best_weight(N, MORE * N)])


def _simulate(rng: np.random.Generator, loops: int) -> Float64:
    real = rng.standard_normal((loops, N)).mean(axis=1)
    means = np.tile(real, (2, len(_at), 1))
    w = _at[:, None]
    for _ in range(GENERATIONS - 1):
        real = rng.standard_normal((loops, N)).mean(axis=1)
        noise = rng.standard_normal((loops, MORE * N))
        for mean, own in zip(means, (noise[:, :N], noise), strict=True):
            mean[:] = w * real + (1 - w) * (mean + own.mean(axis=1))
    found: Float64 = N * np.square(means)
    return found


def _expected(generated: int) -> Float64:
    error = np.ones_like(_at)
    for _ in range(GENERATIONS - 1):
        error = _at**2 + (1 - _at) ** 2 * (error + N / generated)
    return error


WEIGHTED = Case(
    "weighted", "The best weight of real rows",
    f"After {GENERATIONS} generations of {N} fresh real rows beside rows of the last model: with "
    f"as many generated ones the reciprocal golden ratio, {GOLDEN:.3f}, is best, and equal weights "
    "are not.",
    ("2502.18049",), "weight of the real rows", _at,
    (
        Curve(ERROR, "as many generated rows", "→ (w² + (1 − w)²)/(1 − (1 − w)²)", _expected(N)),
        Curve(ERROR, f"{MORE} times as many", f"→ (w² + (1 − w)²/{MORE})/(1 − (1 − w)²)",
              _expected(MORE * N)),
    ),
    _simulate,
)  # fmt: skip
