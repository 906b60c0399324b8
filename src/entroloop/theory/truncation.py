"""Diffusion that stops its sampling early: perfect otherwise, it is a low-pass filter."""

from __future__ import annotations

import numpy as np
from numpy.polynomial.hermite_e import hermeval

from entroloop.samples import Float64
from entroloop.theory.case import Case, Curve

N, GENERATIONS, REAL, TIME = 40, 12, 0.3, 0.15
ORDERS = (1, 2, 3, 4)
MODES, SHARES, SHARPNESS = np.array([1.6, -0.8]), np.array([0.5, 0.5]), 0.9
LEFT = "Hermite coefficient that is left, real = 1"


def _hermite(order: int, x: Float64) -> Float64:
    found: Float64 = hermeval(x, np.eye(order + 1)[order])
    return found


# Of real rows, r · mode + √(1 − r²) · noise: r^k times that of the modes.
REAL_COEFFICIENTS = np.array([
    SHARPNESS**k * (SHARES @ _hermite(k, MODES)) for k in ORDERS
])  # fmt: skip


def _real(rng: np.random.Generator, shape: tuple[int, int]) -> Float64:
    modes = MODES[(rng.random(shape) >= SHARES[0]).astype(int)]
    noise = rng.standard_normal(shape)
    found: Float64 = SHARPNESS * modes + np.sqrt(1 - SHARPNESS**2) * noise
    return found


def _generations(rng: np.random.Generator, loops: int, real: float, times: Float64) -> Float64:
    """Return the coefficients of what each generation samples, (orders, generations, loops).

    The score is exact and so is sampling, but for the last stretch of time: samples are training
    rows with the noise of that time.
    """
    found = np.empty((len(ORDERS), len(times), loops))
    rows = _real(rng, (loops, N))
    for g, time in enumerate(times):
        if g:
            drawn = np.take_along_axis(rows, rng.integers(N, size=(loops, N)), axis=1)
            rows = np.where(rng.random((loops, N)) < real, _real(rng, (loops, N)), drawn)
        rows = np.exp(-time) * rows
        rows += np.sqrt(-np.expm1(-2 * time)) * rng.standard_normal((loops, N))
        for i, order in enumerate(ORDERS):
            found[i, g] = _hermite(order, rows).mean(axis=1) / REAL_COEFFICIENTS[i]
    return found


_at = np.arange(1.0, GENERATIONS + 1)
_constant, _annealed = np.full(GENERATIONS, TIME), TIME / _at


def _simulate(rng: np.random.Generator, loops: int) -> Float64:
    mixed = _generations(rng, loops, REAL, _constant)
    alone = _generations(rng, loops, 0.0, _constant)
    annealed = _generations(rng, loops, REAL, _annealed)
    return np.concatenate([mixed, alone[2:3], annealed[2:3]])


def _expected(order: int, real: float, times: Float64) -> Float64:
    left, found = 1.0, []
    for time in times:
        left = np.exp(-order * time) * (real + (1 - real) * left)
        found.append(left)
    return np.array(found)


TRUNCATION = Case(
    "truncation", "Sampling that stops early: a low-pass filter",
    f"Reverse diffusion that stops at time {TIME}, with a perfect score and {REAL:.0%} fresh real "
    "rows: the coefficient of order k goes to αe^(−kt)/(1 − (1 − α)e^(−kt)) of the real one, the "
    "lower the finer its structure; a time that is annealed to 0 brings it back.",
    ("2606.13796",), "generation", _at,
    (
        *(Curve(LEFT, f"order {k}", "c ← e^(−kt)(α + (1 − α)c)", _expected(k, REAL, _constant))
          for k in ORDERS),
        Curve(LEFT, "order 3, no real rows", "e^(−3Tt)", _expected(3, 0.0, _constant)),
        Curve(LEFT, "order 3, annealed", "the same with t/T", _expected(3, REAL, _annealed)),
    ),
    _simulate,
)  # fmt: skip
