"""A normal distribution, refitted by mean and variance (divisor: the number of rows)."""

from __future__ import annotations

import numpy as np

from entroloop.samples import Array, Float64
from entroloop.theory.case import Case, Curve, empirical

N, GENERATIONS, FRESH = 20, 12, 0.2
KEPT, OFF = "fitted variance, real = 1", "squared error of the fitted mean"
Fit = tuple[Float64, Float64]  # mean and variance of each loop


def _fit(rows: Float64) -> Fit:
    return rows.mean(axis=1), rows.var(axis=1)


def _drawn(rng: np.random.Generator, fit: Fit, n: int) -> Float64:
    mean, variance = fit
    noise = rng.standard_normal((len(mean), n))
    return mean[:, None] + np.sqrt(variance)[:, None] * noise


def _replace(rng: np.random.Generator, rows: Float64) -> list[Fit]:
    fits = [_fit(rows)]
    for _ in range(GENERATIONS - 1):
        fits.append(_fit(_drawn(rng, fits[-1], N)))
    return fits


def _accumulate(rng: np.random.Generator, rows: Float64) -> list[Fit]:
    fits = [_fit(rows)]
    for _ in range(GENERATIONS - 1):
        rows = np.concatenate([rows, _drawn(rng, fits[-1], N)], axis=1)
        fits.append(_fit(rows))
    return fits


def _subsample(rng: np.random.Generator, rows: Float64) -> list[Fit]:
    """N rows of all generations, drawn anew each time."""
    fits = [_fit(rows)]
    for _ in range(GENERATIONS - 1):
        rows = np.concatenate([rows, _drawn(rng, fits[-1], N)], axis=1)
        some = np.argpartition(rng.random(rows.shape), N, axis=1)[:, :N]
        fits.append(_fit(np.take_along_axis(rows, some, axis=1)))
    return fits


def _fresh(rng: np.random.Generator, rows: Float64) -> list[Fit]:
    fits, new = [_fit(rows)], round(FRESH * N)
    for _ in range(GENERATIONS - 1):
        real = rng.standard_normal((len(rows), new))
        fits.append(_fit(np.concatenate([real, _drawn(rng, fits[-1], N - new)], axis=1)))
    return fits


def _simulate(rng: np.random.Generator, loops: int) -> Float64:
    rows = rng.standard_normal((loops, N))
    found = [paradigm(rng, rows) for paradigm in (_replace, _accumulate, _fresh, _subsample)]
    variances = [[variance for _, variance in fits] for fits in found]
    errors = [[np.square(mean) for mean, _ in fits] for fits in found[:3]]
    return np.array(variances + errors)


def _fresh_expected() -> tuple[Float64, Float64]:
    s, v = 1 - 1 / N, 1 / N
    found = [(s, v)]
    for _ in range(GENERATIONS - 1):
        pooled = FRESH + (1 - FRESH) * s
        s = (1 - 1 / N) * pooled + FRESH * (1 - FRESH) * v
        v = (1 - FRESH) ** 2 * v + pooled / N
        found.append((s, v))
    both = np.array(found)
    return both[:, 0], both[:, 1]


_at = np.arange(1.0, GENERATIONS + 1)
_kept: Array = np.cumprod([1 - 1 / N] * GENERATIONS)
_kept_all: Array = np.cumprod(1 - 1 / (N * _at**2))
_held, _off = _fresh_expected()

GAUSSIAN = Case(
    "gaussian", "A Gaussian that is fitted to its own samples",
    f"{N} rows a generation: replacing loses variance at a constant rate, accumulating keeps most "
    f"of it for ever, and a share of {FRESH:.0%} fresh real rows holds it at a fixed point.",
    ("2305.17493", "2404.01413", "2410.16713"), "generation", _at,
    (
        Curve(KEPT, "replace", "(1 − 1/n)^T", _kept),
        Curve(KEPT, "accumulate", "∏_{t≤T} (1 − 1/(n t²))", _kept_all),
        Curve(KEPT, "fresh", "a linear recursion with a fixed point", _held),
        empirical(KEPT, "accumulate_subsample", GENERATIONS),
        Curve(OFF, "replace", "1 − (1 − 1/n)^T", 1 - _kept),
        Curve(OFF, "accumulate", "1 − ∏_{t≤T} (1 − 1/(n t²))", 1 - _kept_all),
        Curve(OFF, "fresh", "a linear recursion with a fixed point", _off),
    ),
    _simulate,
)  # fmt: skip
