"""Compiled loops over all pairs of rows: what `spaces.Manhattan` asks for."""

from __future__ import annotations

from typing import Any

from entroloop.system.compiled import compiled


# Sums in any order: the bound of an approximate value holds for each (`Manhattan.bound`).
@compiled("nnan", "nsz", "reassoc")
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
