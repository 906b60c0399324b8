"""Compiled loops: Manhattan distances, and new picks merged into what rows know of their nearest.

Of the latter least, second and where (m,) are written to (see `NearestPicks`). A row's value to a
pick is (own_i + squares_j − 2 x_i·y_j) · unit, own and squares the squared lengths.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from entroloop.system.compiled import compiled

LANES = 32  # columns that are looked at together: whole vectors of every processor

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
def count_at_most(tile: Any, limit: Any, counts: Any) -> None:
    """Set counts (m,) to how many values of each line of a tile (m, p) are at most limit (m,)."""
    m, p = tile.shape
    for i in range(m):
        count, most = 0, limit[i]
        for j in range(p):
            count += tile[i, j] <= most
        counts[i] = count


@_compiled
def merge_pairs(
    tile: Any, limit: Any, skip: Any, rows: Any, index: Any, own: Any, picks: Any, squares: Any,
    unit: float, first: int, least: Any, second: Any, where: Any,
) -> None:  # fmt: skip
    """Merge the pairs whose value in a tile (m, p) is at most limit (m,).

    index (m,): of the rows in `rows`. The first `skip` (m,) picks are left out; first: the number
    of pick 0.
    """
    m, p = tile.shape
    zero = rows.dtype.type(0)
    for i in range(m):
        x, most = rows[index[i]], limit[i]
        for block in range(skip[i] // LANES * LANES, p, LANES):
            stop, some = min(block + LANES, p), False
            for j in range(block, stop):
                some |= tile[i, j] <= most
            if not some:
                continue
            for j in range(max(block, skip[i]), stop):
                if tile[i, j] <= most:
                    y, product = picks[j], zero
                    for k in range(len(x)):
                        product += x[k] * y[k]
                    value = (own[i] + squares[j] - 2.0 * product) * unit
                    if value < least[i]:
                        second[i] = min(second[i], least[i])
                        least[i], where[i] = value, first + j
                    else:
                        second[i] = min(second[i], value)


@_compiled
def merge_gains(
    gains: Any, halves: Any, skip: Any, floor: Any, own: Any,
    unit: float, first: int, least: Any, second: Any, where: Any,
) -> None:  # fmt: skip
    """Merge the picks of all rows with a gain x_i·y_j − halves_j of at least floor (m,).

    gains (m, p): x_i·y_j. halves: squares over 2. The first `skip` (m,) picks are left out; first:
    the number of pick 0.
    """
    m, p = gains.shape
    whole = p // LANES * LANES
    none = gains.dtype.type(-np.inf)
    lanes = np.empty(LANES, gains.dtype)
    for i in range(m):
        for k in range(LANES):
            lanes[k] = none
        for block in range(0, whole, LANES):
            for k in range(LANES):
                lanes[k] = max(lanes[k], gains[i, block + k] - halves[block + k])
        most = none
        for k in range(LANES):
            most = max(most, lanes[k])
        for j in range(whole, p):
            most = max(most, gains[i, j] - halves[j])
        if most < floor[i]:
            continue
        for j in range(skip[i], p):
            value = (own[i] - 2.0 * (gains[i, j] - halves[j])) * unit
            if value < least[i]:
                second[i] = min(second[i], least[i])
                least[i], where[i] = value, first + j
            elif value < second[i]:
                second[i] = value
