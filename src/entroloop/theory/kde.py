"""A kernel density, which draws a row and adds noise: it spreads instead of shrinking."""

from __future__ import annotations

import numpy as np

from entroloop.samples import Float64
from entroloop.theory.case import Case, Curve

N, GENERATIONS, BANDWIDTH = 20, 10, 0.5
VARIANCE = "variance of the training set, real = 1"


def _drawn(rng: np.random.Generator, rows: Float64, bandwidth: Float64) -> Float64:
    """Return N rows of each loop's density; bandwidth: (loops, 1)."""
    picked = np.take_along_axis(rows, rng.integers(rows.shape[1], size=(len(rows), N)), axis=1)
    return picked + bandwidth * rng.standard_normal((len(rows), N))


def _scott(rows: Float64) -> Float64:
    bandwidth: Float64 = rows.std(axis=1, keepdims=True) * rows.shape[1] ** -0.2
    return bandwidth


def _fixed(rows: Float64) -> Float64:
    return np.full((len(rows), 1), BANDWIDTH)


def _simulate(rng: np.random.Generator, loops: int) -> Float64:
    real = rng.standard_normal((loops, N))
    found = []
    for bandwidth in (_fixed, _scott):
        for keep in (False, True):
            rows, variances = real, [real.var(axis=1)]
            for _ in range(GENERATIONS - 1):
                new = _drawn(rng, rows, bandwidth(rows))
                rows = np.concatenate([rows, new], axis=1) if keep else new
                variances.append(rows.var(axis=1))
            found.append(variances)
    return np.array(found)


def _replaced(scott: bool) -> Float64:
    s = [1 - 1 / N]
    for _ in range(GENERATIONS - 1):
        noise = s[-1] * N**-0.4 if scott else BANDWIDTH**2
        s.append((1 - 1 / N) * (s[-1] + noise))
    return np.array(s)


def _accumulated(scott: bool) -> Float64:
    s = [1 - 1 / N]
    for t in range(1, GENERATIONS):
        noise = s[-1] * (t * N) ** -0.4 if scott else BANDWIDTH**2
        share = 1 - 1 / (N * (t + 1))
        s.append((t * s[-1] + share * (s[-1] + noise)) / (t + 1))
    return np.array(s)


KERNEL = Case(
    "kde", "A kernel density",
    f"{N} rows a generation: the variance of replaced rows grows without bound for a bandwidth by "
    f"Scott's rule, and to h²(n − 1) for a fixed one, h = {BANDWIDTH}; accumulated, a fixed "
    "bandwidth still adds h² ln T, one by Scott's rule a finite amount.",
    ("2410.16713",), "generation", np.arange(1.0, GENERATIONS + 1),
    (
        Curve(VARIANCE, "replace, fixed bandwidth", "s ← (1 − 1/n)(s + h²)", _replaced(False)),
        Curve(VARIANCE, "accumulate, fixed bandwidth",
              "s ← (t s + (1 − 1/(n(t + 1)))(s + h²))/(t + 1)", _accumulated(False)),
        Curve(VARIANCE, "replace, Scott's rule", "(1 − 1/n)^T (1 + n^(−2/5))^(T − 1)",
              _replaced(True)),
        Curve(VARIANCE, "accumulate, Scott's rule", "the same with h² = s (t n)^(−2/5)",
              _accumulated(True)),
    ),
    _simulate,
)  # fmt: skip
