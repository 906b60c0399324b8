"""Spread: whether rows vary less than real rows do."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from entroloop.samples import Array

Z = 1.645  # one-sided 95 %


@dataclass(frozen=True)
class Spread:
    """The spread of rows beside that of real ones.

    ln_ratio: ln(tr S/tr S′), S and S′ the covariances of the rows and of the real rows. error: its
    standard error.
    """

    ln_ratio: float
    error: float

    @property
    def lost(self) -> bool:
        """Whether the rows vary less than real ones, beyond chance (one-sided 95 %)."""
        return self.ln_ratio < -Z * self.error


def spread_beside(rows: Array, real: Array) -> Spread:
    """Return the spread of rows (n, d) beside that of real rows (m, d).

    tr S is the mean of |x − x̄|², whose variance over rows gives the error of its logarithm (the
    error of x̄ is of second order).
    """
    (ours, error), (theirs, other) = _ln_trace(rows), _ln_trace(real)
    return Spread(ours - theirs, float(np.hypot(error, other)))


def _ln_trace(x: Array) -> tuple[float, float]:
    x = np.asarray(x, dtype=np.float64)
    squares = np.square(x - x.mean(axis=0)).sum(axis=1)
    n, mean = len(x), float(squares.mean())
    if n < 2 or mean == 0:  # nothing varies: as narrow as can be, if the other does
        return -np.inf if n > 1 else 0.0, 0.0
    return float(np.log(squares.sum() / (n - 1))), float(squares.std(ddof=1) / np.sqrt(n) / mean)
