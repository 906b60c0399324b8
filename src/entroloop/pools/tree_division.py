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
    a = _of_three(x, first, step, 0)
    b = _of_three(x, first, step, 3)
    c = _of_three(x, first, step, 6)
    return _middle(a, b, c)


@_compiled
def _of_three(x: Any, first: int, step: float, at: int) -> float:
    a = x[first + int(step * (at + 0.5))]
    b = x[first + int(step * (at + 1.5))]
    c = x[first + int(step * (at + 2.5))]
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
def _median(x: Any, spare: Any, first: int, stop: int, middle: int) -> float:
    """Return the value that would lie at `middle` if x were sorted from `first` on; moves them."""
    while stop - first > 1:
        pivot = _near_median(x, first, stop)
        end = _parted(x, spare, first, stop, pivot)
        if middle < end:
            stop = end
        elif end > first:
            first = end
        else:  # the pivot is the least of them: those equal to it come first
            first = _parted(x, spare, first, stop, np.nextafter(pivot, np.inf))
            if middle < first:
                return pivot
        x, spare = spare, x
    return x[first]


@_compiled
def _divide(rows: Any, index: Any, spare: Any, first: int, stop: int, middle: int, j: int) -> float:
    """Move rows first … stop − 1 so that column j is no larger before `middle` than from it on,
    and each half keeps its order; return the value between them.
    """
    spare_rows, spare_index, x, spare_x = spare
    for i in range(np.uint64(first), np.uint64(stop)):
        x[i] = rows[i, j]
    value = _median(x, spare_x, first, stop, middle)
    equal = middle - first  # rows of this value that go before the middle: those before `edge`
    for i in range(np.uint64(first), np.uint64(stop)):
        equal -= rows[i, j] < value
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
        spare_index[to] = index[i]
        for k in range(rows.shape[1]):
            spare_rows[to, k] = rows[i, k]
    for i in range(np.uint64(first), np.uint64(stop)):
        index[i] = spare_index[i]
        for k in range(rows.shape[1]):
            rows[i, k] = spare_rows[i, k]
    return value


@_compiled
def _fill_leaf(boxes: Any, given: Any, index: Any, leaf: int, start: int, stop: int) -> None:
    box = leaf + len(boxes.own)
    for k in range(stop - start):
        boxes.own[leaf, k] = index[start + k]
        boxes.slot[index[start + k]] = leaf * LEAF + k
    for j in range(given.shape[1]):
        low, high = np.inf, -np.inf
        for k in range(stop - start):
            x = given[start + k, j]
            boxes.rows[leaf, j, k] = x
            low, high = min(low, x), max(high, x)
        boxes.low[box // 8, j, box % 8], boxes.high[box // 8, j, box % 8] = low, high


@_compiled
def divide(
    boxes: Any, given: Any, index: Any, spare: Any, parts: Any, sides: Any, until: int
) -> Any:
    """Divide rows among boxes, from those in `parts` down to leaves, or to boxes from `until` on.

    given (q, d), index (q,): of the rows, moved about; spare: as much memory. parts (·, 3): boxes,
    and where their rows start and stop; sides (·, 2, d): theirs. Returns the parts that are left
    and their sides. A box is halved at the median of its widest side, where its sides are those of
    the box above, cut at the medians.
    """
    leaves, d = len(boxes.own), given.shape[1]
    # Depth first, so that the rows of a box stay in the cache.
    pending = np.empty((len(parts) + 64, 3), np.int64)
    around = np.empty((len(parts) + 64, 2, d))
    count, left = len(parts), 0
    pending[:count], around[:count] = parts, sides
    left_parts, left_sides = np.empty((until, 3), np.int64), np.empty((until, 2, d))
    while count:
        count -= 1
        box, start, stop = pending[count, 0], pending[count, 1], pending[count, 2]
        if box >= leaves:
            _fill_leaf(boxes, given, index, box - leaves, start, stop)
            continue
        if box >= until:
            left_parts[left], left_sides[left] = pending[count], around[count]
            left += 1
            continue
        widest = 0
        for j in range(1, d):
            if (
                around[count, 1, j] - around[count, 0, j]
                > around[count, 1, widest] - around[count, 0, widest]
            ):
                widest = j
        middle = (start + stop) >> 1
        if middle < stop:
            value = _divide(given, index, spare, start, stop, middle, widest)
            around[count + 1] = around[count]
            around[count, 1, widest] = around[count + 1, 0, widest] = value
        pending[count, 0], pending[count, 1], pending[count, 2] = 2 * box, start, middle
        count += 1
        pending[count, 0], pending[count, 1], pending[count, 2] = 2 * box + 1, middle, stop
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
