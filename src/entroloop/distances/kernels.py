"""Compiled loops: Manhattan distances, rows caught up with new picks, picks within a block.

They hold no lock of Python's while they run, so that threads do not wait for each other.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy.linalg.cython_blas  # noqa: F401  # what multiplies in compiled loops

from entroloop.distances import defining_kernels  # noqa: F401  # loaded together: see spaces.py
from entroloop.system.compiled import compiled

LANES = 64  # columns that are looked at together: whole vectors of every processor
U = np.uint64  # unsigned places: a signed one may count from the end, and loops that must ask
# whether it does are not made of vector instructions

# Sums in any order, fused or not: the bounds of approximate values hold for each (`rounding`).
_compiled = compiled("nnan", "nsz", "reassoc", "contract")


@_compiled
def city_block(rows: Any, picks: Any, out: Any) -> None:
    """Set out (m, p) to Σ |x_i − y_j| of rows (m, d) and picks (p, d), in their dtype."""
    m, d = rows.shape
    fours, pairs = m // 4 * 4, len(picks) // 2 * 2
    zero = rows.dtype.type(0)
    for i in range(0, fours, 4):  # each value that is read serves two or four sums
        x, y, z, w = rows[i], rows[i + 1], rows[i + 2], rows[i + 3]
        for j in range(0, pairs, 2):
            p, q = picks[j], picks[j + 1]
            xp = yp = zp = wp = xq = yq = zq = wq = zero
            for k in range(U(d)):
                xp += abs(x[k] - p[k])
                yp += abs(y[k] - p[k])
                zp += abs(z[k] - p[k])
                wp += abs(w[k] - p[k])
                xq += abs(x[k] - q[k])
                yq += abs(y[k] - q[k])
                zq += abs(z[k] - q[k])
                wq += abs(w[k] - q[k])
            out[i, j], out[i + 1, j], out[i + 2, j], out[i + 3, j] = xp, yp, zp, wp
            right = j + 1
            out[i, right], out[i + 1, right], out[i + 2, right], out[i + 3, right] = xq, yq, zq, wq
    for i in range(m):
        for j in range(pairs if i < fours else 0, len(picks)):
            total = zero
            for k in range(U(d)):
                total += abs(rows[i, k] - picks[j, k])
            out[i, j] = total


@_compiled
def catch_up(
    rows: Any, at: Any, picks: Any, squares: Any, sizes: Any, error: Any, seen: Any,
    least: Any, second: Any, third: Any, where: Any, rival: Any, unit: float,
    outlines: Any, pick_outlines: Any, doubt: Any, sketched: bool, pair: float,
    again: int, at_once: int, gathered: Any, gathered_outlines: Any, memory: Any,
) -> Any:  # fmt: skip
    """Merge the picks that rows miss into what they know of their nearest (m,), least … rival
    (`NearestPicks`).

    A row's value to a pick is (|x|² + |y|² − 2 x·y) · unit. Picks farther than least + 2 error may
    be left out. rows (·, d): prepared; at (m,): which of them; sizes, error, seen (m,): of those,
    by ascending `seen`. picks (p, d): all so far, prepared; squares (p,): their squared lengths.
    sketched: whether outlines (·, k) of rows and pick_outlines (p, k) tell which pairs are near
    (`Sketches`; doubt (m,)). pair: the work of a single pair in products of many. again, at_once:
    as in `_windows`. gathered (b, d), gathered_outlines (b, k), memory (b · at_once,): overwritten,
    for b rows at once. Returns the work that was done after sketches, and what it would have been
    without.
    """
    done = whole = 0.0
    halves = (squares / 2).astype(picks.dtype)
    for start in range(0, len(at), len(gathered)):
        some = slice(start, start + len(gathered))
        work = _catch_up_block(
            rows, at[some], picks, squares, halves, sizes[some], error[some], seen[some],
            least[some], second[some], third[some], where[some], rival[some],
            unit, outlines, pick_outlines, doubt[some],
            sketched, pair, again, at_once, gathered, gathered_outlines, memory,
        )  # fmt: skip
        done += work[0]
        whole += work[1]
    return done, whole


@_compiled
def _catch_up_block(
    rows: Any, at: Any, picks: Any, squares: Any, halves: Any, sizes: Any, error: Any, seen: Any,
    least: Any, second: Any, third: Any, where: Any, rival: Any, unit: float,
    outlines: Any, pick_outlines: Any, doubt: Any, sketched: bool, pair: float,
    again: int, at_once: int, gathered: Any, gathered_outlines: Any, memory: Any,
) -> Any:  # fmt: skip
    """See `catch_up`."""
    m, count = len(at), len(picks)
    limit = np.empty(m, picks.dtype)
    near = np.empty(m, np.int64)
    done = whole = 0.0
    fetched = outlined = 0
    begin = i = q = 0
    if m:
        begin = seen[0]
    while begin < count:
        i = _end_of_window(seen, i, begin, again, at_once)
        end = seen[i] if i < m else count
        for first in range(begin, end, at_once):
            stop = min(first + at_once, end)
            p = stop - first
            while q < m and seen[q] < stop:  # those that miss some of these picks
                q += 1
            if sketched and first:
                for r in range(outlined, q):
                    near[r] = r
                _gather(outlines, at, near, outlined, q, gathered_outlines)
                outlined = q
                tile = memory[: q * p].reshape(q, p)
                np.dot(gathered_outlines[:q], pick_outlines[first:stop].T, tile)
                for r in range(q):
                    limit[r] = _limit(least[r], error[r], doubt[r], sizes[r], unit)
                pairs, found = _count_at_most(tile, limit, near)
                work, others = pairs * pair, found * (pair + p)
                done += min(work, others)
                whole += q * (pair + p)
                if work < others:
                    _merge_pairs(
                        tile, limit, seen, first, rows, at, sizes, error, doubt, picks[first:stop],
                        squares[first:stop], unit, least, second, third, where, rival,
                    )  # fmt: skip
                    continue
                _gather(rows, at, near, 0, found, gathered)
                fetched = 0
            else:
                found = q
                for r in range(q):
                    near[r] = r
                _gather(rows, at, near, fetched, q, gathered)
                fetched = q
            tile = memory[: found * p].reshape(found, p)
            np.dot(gathered[:found], picks[first:stop].T, tile)
            _merge_gains(
                tile,
                halves[first:stop],
                near,
                seen,
                first,
                sizes,
                error,
                unit,
                least,
                second,
                third,
                where,
                rival,
            )
        begin = end
    return done, whole


@_compiled
def _gather(rows: Any, at: Any, which: Any, start: int, stop: int, into: Any) -> None:
    """Set rows start … stop − 1 of `into` to rows[at[which]]."""
    for r in range(start, stop):
        row = at[which[r]]
        for k in range(U(rows.shape[1])):
            into[r, k] = rows[row, k]


@_compiled
def _end_of_window(seen: Any, i: int, begin: int, again: int, at_once: int) -> int:
    """Return the first row from i on that starts a range of picks of its own; see `_windows`."""
    repeated = 0
    while i < len(seen):
        value, j = seen[i], i
        while j < len(seen) and seen[j] == value:
            j += 1
        repeated += (j - i) * (value - begin)
        if repeated > again or value - begin >= at_once:
            return i
        i = j
    return i


@_compiled
def _count_at_most(tile: Any, limit: Any, near: Any) -> Any:
    """Set `near` to the lines of a tile that have a value of at most limit; return how many such
    values there are, and how many such lines.
    """
    pairs = found = 0
    for r in range(len(tile)):
        line, most, some = tile[r], limit[r], 0
        for j in range(len(line)):
            some += line[j] <= most
        pairs += some
        if some:
            near[found] = r
            found += 1
    return pairs, found


@_compiled
def _limit(least: float, error: float, doubt: float, size: float, unit: float) -> float:
    """Return the largest product of sketches whose pick may be within doubt of a row's nearest."""
    value = (least + 2 * error) / unit - size**2 + doubt
    return value + 2e-7 * abs(value) + 1e-44  # in float32 it is rounded to no smaller number


@_compiled
def _merge_pairs(
    tile: Any, limit: Any, seen: Any, first: int, rows: Any, at: Any, sizes: Any, error: Any,
    doubt: Any, picks: Any, squares: Any, unit: float,
    least: Any, second: Any, third: Any, where: Any, rival: Any,
) -> None:  # fmt: skip
    """Merge the pairs whose value in a tile (q, p) is at most limit (q,), multiplied one by one.

    A limit falls with the values that are found.
    """
    q, p = tile.shape
    zero = rows.dtype.type(0)
    for r in range(q):
        x, line, most, own = rows[at[r]], tile[r], limit[r], sizes[r] ** 2
        skip = max(seen[r] - first, 0)
        for block in range(skip // LANES, (p + LANES - 1) // LANES):
            start, some = U(block * LANES), False
            stop = min(start + U(LANES), U(p))
            for j in range(start, stop):
                some |= line[j] <= most
            if not some:
                continue
            for j in range(max(start, U(skip)), stop):
                if line[j] <= most:
                    y, product = picks[j], zero
                    for k in range(len(x)):
                        product += x[k] * y[k]
                    value = (own + squares[j] - 2.0 * product) * unit
                    nearer = value < least[r]
                    _learn(r, value, first + j, least, second, third, where, rival)
                    if nearer:
                        limit[r] = _limit(value, error[r], doubt[r], sizes[r], unit)
                        most = limit[r]


@_compiled
def _merge_gains(
    tile: Any, halves: Any, near: Any, seen: Any, first: int, sizes: Any, error: Any, unit: float,
    least: Any, second: Any, third: Any, where: Any, rival: Any,
) -> None:  # fmt: skip
    """Merge the pairs of rows `near` that are within doubt of the nearest, by products (·, p)."""
    p = tile.shape[1]
    for line_of in range(len(tile)):
        r, line = near[line_of], tile[line_of]
        own, skip = sizes[r] ** 2, max(seen[r] - first, 0)
        value = (own - (least[r] + 2 * error[r]) / unit) / 2  # of the gain x·y − |y|²/2
        low = tile.dtype.type(value - 2e-7 * abs(value) - 1e-44)  # rounded to no larger number
        for block in range(skip // LANES, (p + LANES - 1) // LANES):
            start, some = U(block * LANES), False
            stop = min(start + U(LANES), U(p))
            for j in range(start, stop):
                some |= line[j] - halves[j] >= low
            if not some:
                continue
            for j in range(max(start, U(skip)), stop):
                gain = line[j] - halves[j]
                if gain >= low:
                    value = (own - 2.0 * gain) * unit
                    _learn(r, value, first + j, least, second, third, where, rival)


@_compiled
def _learn(
    r: int, value: float, pick: int,
    least: Any, second: Any, third: Any, where: Any, rival: Any,
) -> None:  # fmt: skip
    """Merge the value of one pick into what a row knows of its nearest."""
    if value < least[r]:
        third[r], second[r], least[r] = second[r], least[r], value
        rival[r], where[r] = where[r], pick
    elif value < second[r]:
        third[r], second[r], rival[r] = second[r], value, pick
    else:
        third[r] = min(third[r], value)


@_compiled
def pick_above(
    matrix: Any, values: Any, picks: Any, taken: Any, count: int, most: int, level: float,
    error: float,
) -> int:  # fmt: skip
    """Pick rows of a block, the largest first, until `most` are picked or one must be looked at.

    matrix (b, b): values among the rows; values (b,): to all picks, −inf once picked. The first
    `count` of picks and taken are made; returns how many are then. It stops at a row that does not
    lead the next by more than 2 error, nor a level by more than error, nor 0.
    """
    b = len(values)
    while count < most:
        best: Any = np.int64(0)
        largest = rival = -np.inf
        for i in range(b):
            value = values[i]
            if value > largest:
                rival, best, largest = largest, i, value
            elif value > rival:
                rival = value
        if rival >= largest - 2 * error or largest - error <= level or largest <= error:
            break
        count = _take(matrix, values, picks, taken, count, best)
    return count


@_compiled
def pick_by_share(
    matrix: Any, values: Any, picks: Any, taken: Any, count: int, most: int, level: float,
    error: float, share: float, eligible: int,
) -> int:  # fmt: skip
    """Pick the first of the `eligible` rows that has a share of the largest value, again and again.

    As `pick_above`; it also stops where a share is in doubt, and where no row has it.
    """
    while count < most:
        largest = -np.inf
        for i in range(len(values)):
            largest = max(largest, values[i])
        if (count and largest - error <= level) or largest <= error:
            break
        first: Any = np.int64(0)
        while first < eligible and values[first] < share * largest - 2 * error:
            first += 1
        if first == eligible or values[first] <= share * largest + 2 * error:
            break
        count = _take(matrix, values, picks, taken, count, first)
    return count


@_compiled
def pick_in_order(
    matrix: Any, values: Any, picks: Any, taken: Any, count: int, most: int, level: float,
    error: float, position: int,
) -> Any:  # fmt: skip
    """Pick all rows above a level from a position on, in order; see `pick_above`.

    It stops at a row in doubt. Returns how many picks there are, and where it stopped.
    """
    while count < most and position < len(values):
        if values[position] > level - error:
            if values[position] <= level + error:
                break
            count = _take(matrix, values, picks, taken, count, position)
        position += 1
    return count, position


@_compiled
def _take(matrix: Any, values: Any, picks: Any, taken: Any, count: int, position: int) -> int:
    """Pick a row of a block; return how many are picked."""
    picks[count], taken[count] = position, values[position]
    others = matrix[position]
    for i in range(len(values)):
        values[i] = min(values[i], others[i])
    values[position] = -np.inf
    return count + 1
