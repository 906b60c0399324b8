"""Maximum likelihood that is consistent, and collapses although all rows are kept.

Rows lie in a box [0, 1]^d. A model of lengths θ makes, with probability
ε(θ) = 1 − ∏(1 − a(1 − θ_j)), a mark anywhere in a strip, the m-th, 2^(−m−1) < ε ≤ 2^(−m), and
else a row in [0, θ_1] × … × [0, θ_d]. Besides there are models that are half the full box, a
quarter one strip, and a quarter an interval of length 1/H_m within it. Real rows hold no mark, so
that θ = the largest rows fits best. That is off by 1/n, so that its own samples hold a mark at
last, on which a model of the second kind concentrates. docs/theory.md shows that maximum
likelihood is consistent for every model of the family.
"""

from __future__ import annotations

import math

import numpy as np
from scipy.integrate import quad

from entroloop.samples import Float64
from entroloop.theory.case import Case, Curve

N, D, A, GENERATIONS = 100, 2, 0.9, 6
COLLAPSED = "share of loops that have collapsed"


def log_height(strip: Float64) -> Float64:
    """Return ln H_m of the m-th strip: finite, so that enough marks tell the models apart."""
    found: Float64 = 1e4 * 8.0**strip
    return found


def _simulate(rng: np.random.Generator, loops: int) -> Float64:
    """Likelihoods are compared by a bound of either, so that no decision is a close one."""
    lengths = rng.random((loops, N, D)).max(axis=1)
    mark = 1 - np.prod(1 - A * (1 - lengths), axis=1)
    strip = np.floor(-np.log2(mark))
    collapsed, marked = np.zeros(loops, bool), np.zeros(loops, bool)
    found = np.zeros((1, GENERATIONS, loops))
    for g in range(1, GENERATIONS):
        marked |= rng.binomial(N, mark) > 0
        rows = N * (g + 1)
        box = -rows * np.log(lengths).sum(axis=1)  # at most this: marks have a density below 1
        point = rows * math.log(1 / 4) + log_height(strip)  # at least this
        collapsed |= marked & (point > box)
        found[0, g] = collapsed
    return found


def _expected() -> Float64:
    """1 − [n ∫ (1 − u)^(n−1) (1 − a u)^(n(T−1)) du]^d, with 1 − u the largest of n rows."""

    def unmarked(rows: int) -> float:
        value, _ = quad(
            lambda u: N * math.exp((N - 1) * math.log1p(-u) + rows * math.log1p(-A * u)),
            0, 1 - 1e-12, points=(1 / N, 10 / N), epsabs=1e-12,
        )  # fmt: skip
        return float(value)

    return np.array([1 - unmarked(N * g) ** D if g else 0.0 for g in range(GENERATIONS)])


COUNTEREXAMPLE = Case(
    "counterexample", "Accumulating is not safe: a consistent fit that collapses",
    f"{N} rows a generation of a box in {D} dimensions, all kept. The family also holds models "
    "that put a quarter of their rows on a point; no real row speaks for them, the first "
    "generation's samples do.",
    ("2505.19046",), "generation", np.arange(1.0, GENERATIONS + 1),
    (
        Curve(COLLAPSED, "accumulate", "1 − [n∫(1 − u)^(n−1) (1 − a u)^(n(T−1)) du]^d",
              _expected()),
    ),
    _simulate,
)  # fmt: skip
