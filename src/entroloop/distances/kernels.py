"""Compiled loops over pairs of rows: Manhattan distances, and inner products of single pairs."""

from __future__ import annotations

from typing import Any

from entroloop.system.compiled import compiled

# Sums in any order, fused or not: the bounds of approximate values hold for each (`rounding`).
_compiled = compiled("nnan", "nsz", "reassoc", "contract")


@_compiled
def city_block(rows: Any, picks: Any, out: Any) -> None:
    """Set out (m, p) to Σ |x_i − y_j| of rows (m, d) and picks (p, d), four rows at once."""
    m, d = rows.shape
    whole = m // 4 * 4
    for i in range(0, whole, 4):
        for j in range(len(picks)):
            a = b = c = e = 0.0
            for k in range(d):
                y = picks[j, k]
                a += abs(rows[i, k] - y)
                b += abs(rows[i + 1, k] - y)
                c += abs(rows[i + 2, k] - y)
                e += abs(rows[i + 3, k] - y)
            out[i, j], out[i + 1, j], out[i + 2, j], out[i + 3, j] = a, b, c, e
    for i in range(whole, m):
        for j in range(len(picks)):
            a = 0.0
            for k in range(d):
                a += abs(rows[i, k] - picks[j, k])
            out[i, j] = a


@_compiled
def products(rows: Any, i: Any, picks: Any, j: Any, out: Any) -> None:
    """Set out (q,) to x_i·y_j of single pairs, in the precision of rows; neither is copied."""
    zero = rows.dtype.type(0)
    for q in range(len(i)):
        x, y = rows[i[q]], picks[j[q]]
        sum = zero
        for k in range(len(x)):
            sum += x[k] * y[k]
        out[q] = sum
