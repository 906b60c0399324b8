"""Compiled loops that divide rows among the boxes of a tree (`tree_kernels.Boxes`), by halves."""

from __future__ import annotations

from typing import Any

import numpy as np

from entroloop.pools.tree_kernels import LEAF
from entroloop.system.compiled import compiled

_compiled = compiled("nnan", "nsz")  # as in tree_kernels


@_compiled
def _middle(a: float, b: float, c: float) -> float:
    return max(min(a, b), min(max(a, b), c))


@_compiled
def _near_median(x: Any, first: int, stop: int) -> float:
    """Return a value near the median of x from `first` on: the median of three of three."""
    step = (stop - first) / 9
    a = _of_three(x, first, step, 0.5)
    b = _of_three(x, first, step, 3.5)
    c = _of_three(x, first, step, 6.5)
    return _middle(a, b, c)


@_compiled
def _of_three(x: Any, first: int, step: float, at: float) -> float:
    a = x[first + int(step * at)]
    b = x[first + int(step * (at + 1))]
    c = x[first + int(step * (at + 2))]
    return _middle(a, b, c)


# Both loops below move a row by a number that is computed, not by a branch: which way it goes no
# processor can guess.
@_compiled
def _parted(x: Any, into: Any, first: int, stop: int, limit: float) -> Any:
    """Copy x from `first` on, those below a limit first; return where they end."""
    low, high = np.uint64(first), np.uint64(stop - 1)
    for i in range(np.uint64(first), np.uint64(stop)):
        below = x[i] < limit
        into[low if below else high] = x[i]
        low += np.uint64(below)
        high -= np.uint64(not below)
    return np.int64(low)


@_compiled
def _median(x: Any, spare: Any, first: int, stop: int, middle: int) -> tuple[float, int]:
    """Return the value that would lie at `middle` if x were sorted from `first` on, and how many
    equal ones would lie before it; moves them.
    """
    while stop - first > 1:
        pivot = _near_median(x, first, stop)
        end = _parted(x, spare, first, stop, pivot)
        if middle < end:
            stop = end
        elif end > first:
            first = end
        else:  # the pivot is the least of them: those equal to it come first
            end = _parted(x, spare, first, stop, np.nextafter(pivot, np.inf))
            if middle < end:
                return pivot, middle - first
            first = end
        x, spare = spare, x
    return x[first], 0


@_compiled
def _sampled(
    rows: Any, first: int, stop: int, j: int, size: int, at: int, x: Any, spare: Any
) -> float:
    """Return the value at a place of an evenly spread sample of column j, if it were sorted."""
    step = (stop - first) / size
    for i in range(size):
        x[first + i] = rows[first + int(step * (i + 0.5)), j]
    return _median(x, spare, first, first + size, first + at)[0]


@_compiled
def _median_of_column(
    rows: Any, first: int, stop: int, middle: int, j: int, x: Any, spare: Any
) -> tuple[float, int]:
    """Return `_median` of column j of rows first … stop − 1; x, spare: as long as all rows."""
    size = min((stop - first) >> 4, 1024)  # of the sample
    if size >= 16:
        # Two values of a sample are likely to lie around the median, twice as far from its own
        # as that deviates: those outside are counted, and only those between are looked through.
        apart = int(np.sqrt(size))
        low = _sampled(rows, first, stop, j, size, size // 2 - apart, x, spare)
        high = _sampled(rows, first, stop, j, size, size // 2 + apart, x, spare)
        below, end = np.uint64(0), np.uint64(first)
        for i in range(np.uint64(first), np.uint64(stop)):
            value = rows[i, j]
            below += np.uint64(value < low)
            x[end] = value
            end += np.uint64((value >= low) & (value <= high))
        at, last = middle - np.int64(below), np.int64(end)
        if first <= at < last:
            return _median(x, spare, first, last, at)
    for i in range(np.uint64(first), np.uint64(stop)):
        x[i] = rows[i, j]
    return _median(x, spare, first, stop, middle)


@_compiled
def _divide(
    here: Any, there: Any, spare: Any, first: int, stop: int, middle: int, j: int, zeros: Any
) -> float:
    """Move rows first … stop − 1 from here to there so that column j is no larger before `middle`
    than from it on, and each half keeps its order; return the value between them.
    """
    (rows, index), (to_rows, to_index), (x, spare_x) = here, there, spare
    # `equal` rows of the value between go before the middle: those before `edge`.
    value, equal = _median_of_column(rows, first, stop, middle, j, x, spare_x)
    edge = first
    while equal > 0:
        equal -= rows[edge, j] == value
        edge += 1
    low, high = np.uint64(first), np.uint64(middle)
    for i in range(np.uint64(first), np.uint64(stop)):
        before = (rows[i, j] < value) | ((rows[i, j] == value) & (i < np.uint64(edge)))
        to = low if before else high
        low += np.uint64(before)
        high += np.uint64(not before)
        to_index[to] = index[i]
        for k in range(np.uint64(len(zeros))):
            to_rows[to, k] = rows[i, k]
    return value


@_compiled
def _fill_leaf(
    boxes: Any, here: Any, weights: Any, leaf: int, start: int, stop: int, zeros: Any
) -> None:
    (rows, index), box, count = here, leaf + len(boxes.own), stop - start
    for k in range(LEAF):
        boxes.own[leaf, k] = index[start + k] if k < count else -1
        boxes.least[leaf, k] = np.inf if k < count else -1.0
    for k in range(count):
        boxes.slot[index[start + k]] = leaf * LEAF + k
        if len(weights):
            boxes.weights[leaf, k] = weights[index[start + k]]
    for j in range(len(zeros)):
        low, high = np.inf, -np.inf
        for k in range(count):
            x = rows[start + k, j]
            boxes.rows[leaf, j, k] = x
            low, high = min(low, x), max(high, x)
        boxes.rows[leaf, j, count:] = 0
        boxes.low[box // 8, j, box % 8], boxes.high[box // 8, j, box % 8] = low, high


@_compiled
def _copy(parts: Any, sides: Any, i: int, to_parts: Any, to_sides: Any, to: int) -> None:
    """Set a part and its sides to others."""
    for k in range(parts.shape[1]):
        to_parts[to, k] = parts[i, k]
    for side in range(2):
        for j in range(sides.shape[2]):
            to_sides[to, side, j] = sides[i, side, j]


@_compiled
def divide(
    boxes: Any, here: Any, there: Any, spare: Any, weights: Any, parts: Any, sides: Any, until: int,
    zeros: Any,
) -> Any:  # fmt: skip
    """Divide rows among boxes, from those in `parts` down to leaves, or to boxes from `until` on.

    here, there: rows (q, d) and their index (q,), between which every halving moves them; spare:
    two times memory for q values. weights: of all rows of the pool, or none of any. parts (·, 4):
    boxes, where their rows start and stop, and whether they are there (1) or here (0); sides
    (·, 2, d): theirs. zeros: d of them, which tell a compiler how many. Returns the parts that are
    left and their sides. A box is halved at the median of its widest side, where its sides are
    those of the box above, cut at the medians.
    """
    leaves, d = len(boxes.own), here[0].shape[1]
    # Depth first, so that the rows of a box stay in the cache.
    pending = np.empty((len(parts) + 64, 4), np.int64)
    around = np.empty((len(parts) + 64, 2, d))
    for count in range(len(parts)):
        _copy(parts, sides, count, pending, around, count)
    count, left = len(parts), np.int64(0)
    left_parts, left_sides = np.empty((until, 4), np.int64), np.empty((until, 2, d))
    while count:
        count -= 1
        box, start, stop, moved = pending[count]
        now, then = (there, here) if moved else (here, there)
        if box >= leaves:
            _fill_leaf(boxes, now, weights, box - leaves, start, stop, zeros)
            continue
        if box >= until:
            _copy(pending, around, count, left_parts, left_sides, left)
            left += 1
            continue
        widest: Any = np.int64(0)
        for j in range(1, d):
            if (
                around[count, 1, j] - around[count, 0, j]
                > around[count, 1, widest] - around[count, 0, widest]
            ):
                widest = j
        middle = (start + stop) >> 1
        if middle < stop:
            value = _divide(now, then, spare, start, stop, middle, widest, zeros)
            _copy(pending, around, count, pending, around, count + 1)
            around[count, 1, widest] = around[count + 1, 0, widest] = value
        for below, a, b in ((2 * box, start, middle), (2 * box + 1, middle, stop)):
            pending[count, 0], pending[count, 1], pending[count, 2] = below, a, b
            pending[count, 3] = 1 - moved
            count += 1
    return left_parts[:left], left_sides[:left]


@_compiled
def draw_in(boxes: Any) -> None:
    """Set the sides of all boxes that are no leaves to what their rows take."""
    for box in range(len(boxes.own) - 1, 0, -1):
        a, b = 2 * box, 2 * box + 1
        for j in range(boxes.low.shape[1]):
            boxes.low[box // 8, j, box % 8] = min(
                boxes.low[a // 8, j, a % 8], boxes.low[b // 8, j, b % 8]
            )
            boxes.high[box // 8, j, box % 8] = max(
                boxes.high[a // 8, j, a % 8], boxes.high[b // 8, j, b % 8]
            )
