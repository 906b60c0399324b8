"""Compiled loops over a tree of boxes: what `pools/tree.py` asks for, one pick after the other.

numba compiles them for each number of values that a row has, so that the loop over values is
unrolled and those over a leaf's rows and over the boxes of a node become loops over vectors; once
compiled they are kept on disk. No flag is set that lets a compiler change how a sum is rounded:
values are the definition's, to the last bit.

Boxes halve each other, three times a *node*: a node has eight boxes, and a box that is no leaf is a
node of its own. Box b has the boxes 8b … 8b + 7 within it, and lies in node b // 8; only the first
node may have fewer. Leaves are the last boxes, `LEAF` rows in each, ascending by their index.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numba.cpython.unsafe.numbers import trailing_zeros
from numba.cpython.unsafe.tuple import tuple_setitem
from numpy.typing import NDArray

from entroloop.system.compiled import compiled

LEAF = 32  # rows of a leaf: whole vectors of every processor
GIVEN, FARTHEST, VISIT, SHARE = range(4)  # how `pick` finds the next row
GROUP = 64  # rows of a visiting order that share a bound, and such groups that share one


class Boxes(NamedTuple):
    """The arrays of a tree of `leaves` leaves; `first` is the first box of the first node.

    rows (leaves, d, LEAF) float64; own (leaves, LEAF), the index of each row, −1 where a leaf has
    fewer. least (leaves, LEAF): the value of each row to its nearest pick, −1 where there is none.
    weights: likewise, to the power of the space. low, high (nodes, d, 8): the boxes. reach
    (boxes + 1,): the largest value in a box; top: the largest weighted value, top_row: the lowest
    row that has it; those of the whole tree come last. slot: where a row of the pool lies, as
    leaf · LEAF + its place there; −1 for rows that cannot be picked.
    """

    rows: NDArray[np.float64]
    own: NDArray[np.int64]
    least: NDArray[np.float64]
    weights: NDArray[np.float64]
    low: NDArray[np.float64]
    high: NDArray[np.float64]
    reach: NDArray[np.float64]
    top: NDArray[np.float64]
    top_row: NDArray[np.int64]
    slot: NDArray[np.int64]
    first: int


class Order(NamedTuple):
    """A visiting order: rows of the pool, their slots, and the place of each row of the pool in it,
    −1 for none. above: a bit for each place, set for the rows whose value was above a level
    (`marked`, one) when that was last asked for. Upper bounds of the values of each GROUP of rows
    (`bound`), and of each GROUP of those (`upper`). Values only fall, so that all stay true.
    """

    rows: NDArray[np.int64]
    slots: NDArray[np.int64]
    place: NDArray[np.int64]
    above: NDArray[np.uint64]
    marked: NDArray[np.float64]
    bound: NDArray[np.float64]
    upper: NDArray[np.float64]


# No value is NaN, and the sign of a zero tells nothing. Neither touches rounding.
_compiled = compiled("nnan", "nsz")


@_compiled
def _value_at(boxes: Any, s: int, weighted: bool) -> float:
    """Return the weighted value of the row in a slot; −1 for none."""
    if s < 0:
        return -1.0
    value = boxes.least[s // LEAF, s % LEAF]
    return value * boxes.weights[s // LEAF, s % LEAF] if weighted else value


# In a pass one looks at the rows that are above its level when it begins: values only fall. The
# tree finds them, box by box, and bits put them in order, where a look at every row in visiting
# order would read all values at random.
@_compiled
def _mark_above(boxes: Any, order: Any, level: float, weighted: bool) -> None:
    """Set the bits of the rows whose value is above a level."""
    order.above[:], order.marked[0] = 0, level
    least, weights, own = boxes.least, boxes.weights, boxes.own
    place, above = order.place, order.above
    pending, leaves, size = np.empty(512, np.int64), len(own), np.uint64(least.shape[1])
    pending[0], count = boxes.first // 8, 1
    while count:
        count -= 1
        for box in range(8 * pending[count], 8 * pending[count] + 8):
            if boxes.top[box] <= level:
                continue
            if box < leaves:
                pending[count] = box
                count += 1
                continue
            leaf, found = box - leaves, np.uint64(0)  # a bit for each row, by vectors
            for k in range(size):
                value = least[leaf, k] * weights[leaf, k] if weighted else least[leaf, k]
                found |= np.uint64(value > level) << k
            while found != 0:
                at = place[own[leaf, np.int64(trailing_zeros(found))]]
                if at >= 0:
                    above[at >> 6] |= np.uint64(1) << np.uint64(at & 63)
                found &= found - np.uint64(1)


@_compiled
def _next_above(boxes: Any, order: Any, position: int, level: float, weighted: bool) -> int:
    """Return the first position whose bit is set and whose value is above a level still, from a
    position on; the number of positions where there is none.
    """
    word, count = position >> 6, len(order.rows)
    if position >= count:
        return count
    left = order.above[word] >> np.uint64(position & 63) << np.uint64(position & 63)
    while True:
        while left == 0:
            word += 1
            if word == len(order.above):
                return count
            left = order.above[word]
        found = (word << 6) + np.int64(trailing_zeros(left))
        if _value_at(boxes, order.slots[found], weighted) > level:
            return found
        left &= left - np.uint64(1)


@_compiled
def _reaching(boxes: Any, order: Any, limit: float, weighted: bool) -> int:
    """Return the first row in visiting order whose value is at least a limit, which one reaches."""
    for u in range(len(order.upper)):
        if order.upper[u] < limit:
            continue
        over = -1.0
        for g in range(u * GROUP, min((u + 1) * GROUP, len(order.bound))):
            if order.bound[g] >= limit:
                largest = -1.0
                for i in range(g * GROUP, min((g + 1) * GROUP, len(order.rows))):
                    value = _value_at(boxes, order.slots[i], weighted)
                    if value >= limit:
                        return order.rows[i]
                    largest = max(largest, value)
                order.bound[g] = largest
            over = max(over, order.bound[g])
        order.upper[u] = over
    return -1


@_compiled
def _lowered(threshold: float, decay: float, largest: float, power: Any) -> float:
    """Return the first of decay τ, decay² τ, … that a value up to `largest` may exceed, else 0.

    Multiplied step by step, as passes that accept nothing would do.
    """
    while True:
        before, threshold = threshold, threshold * decay
        if threshold == before:  # the smallest numbers round to themselves: the limit is 0
            return 0.0
        if _term(threshold, power) < largest:
            return threshold


# How many values a row has, and the power of the space, are told by the lengths of tuples: numba
# compiles anew for each length, knows it, and unrolls the loops over it.


@_compiled
def _term(difference: float, power: Any) -> float:
    return difference * difference if len(power) == 2 else abs(difference)


# Sums run in the order of NumPy's along a row: below eight values one after the other
# (tests/test_tree.py holds them against `Space.exact`). No tree has rows of more.
@_compiled
def _to_row(rows: Any, leaf: int, k: int, p: Any, power: Any) -> float:
    total = _term(rows[leaf, 0, k] - p[0], power)
    for j in range(1, len(p)):
        total += _term(rows[leaf, j, k] - p[j], power)
    return total


@_compiled
def _outside(low: float, high: float, p: float, power: Any) -> float:
    gap = low - p if low - p > p - high else p - high
    return _term(gap if gap > 0.0 else 0.0, power)


# Rounding is monotone: |lowⱼ − pⱼ| ≤ |xⱼ − pⱼ| for every x of a box stays true of the rounded
# values, and so does the sum in the same order. So no row of a box has a smaller value to p, as the
# definition computes it, than the box's nearest corner has.
@_compiled
def _to_box(low: Any, high: Any, node: int, k: int, p: Any, power: Any) -> float:
    total = _outside(low[node, 0, k], high[node, 0, k], p[0], power)
    for j in range(1, len(p)):
        total += _outside(low[node, j, k], high[node, j, k], p[j], power)
    return total


# Loops of a length that the compiler knows become straight lines, of which it makes vectors only by
# chance: for seven values a row it did not, at a third of the speed. So lengths are asked for.
@_compiled
def _largest_of(values: Any) -> float:
    found = values[0]
    for k in range(np.uint64(len(values))):
        found = values[k] if values[k] > found else found
    return found


# One function, where three would be read more easily: numba counts who holds an array, one atomic
# instruction for each at every call that is handed one, which for each leaf took as long again as
# all its distances.
@_compiled
def _add(boxes: Any, p: Any, power: Any, weighted: bool, work: Any) -> None:
    """Add a pick: lower the value of every row that is nearer to it than to those before it."""
    pending, nodes, near, reached, values = work
    low, high, rows, own, least = boxes.low, boxes.high, boxes.rows, boxes.own, boxes.least
    weights, reach, top, top_row = boxes.weights, boxes.reach, boxes.top, boxes.top_row
    leaves, root, whole = len(own), boxes.first // 8, len(reach) - 1
    pending[0], count, seen, found = root, 1, 0, 0
    while count:
        count -= 1
        node = pending[count]
        nodes[seen] = node
        seen += 1
        for k in range(np.uint64(len(near))):
            near[k] = _to_box(low, high, node, k, p, power)
        for k in range(8):
            box = 8 * node + k
            if near[k] < reach[box]:  # else all its rows are nearer to a pick than to this one
                if box < leaves:
                    pending[count] = box
                    count += 1
                else:
                    reached[found] = box - leaves
                    found += 1
    size = np.uint64(len(values))
    for i in range(found):
        leaf, box = reached[i], reached[i] + leaves
        for k in range(size):
            old, new = least[leaf, k], _to_row(rows, leaf, k, p, power)
            values[k] = new if new < old else old
        for k in range(size):
            least[leaf, k] = values[k]
        largest = _largest_of(values)
        reach[box] = largest
        if weighted:
            for k in range(size):
                values[k] = least[leaf, k] * weights[leaf, k]
            largest = _largest_of(values)
        at = 0
        while values[at] != largest:
            at += 1
        top[box], top_row[box] = largest, own[leaf, at]
    for i in range(seen - 1, -1, -1):  # what lies within a box before the box
        node = nodes[i]
        farthest, largest, first = -1.0, -1.0, -1
        for below in range(8 * node, 8 * node + 8):
            farthest = max(farthest, reach[below])
            value, row = top[below], top_row[below]
            if value > largest or (value == largest and row < first):
                largest, first = value, row
        box = whole if node == root else node
        reach[box], top[box], top_row[box] = farthest, largest, first


@_compiled
def pick(
    boxes: Any, order: Any, how: int, given: Any, position: int, threshold: float, decay: float,
    share: float, weighted: bool, picks: Any, values: Any, zeros: Any, power: Any,
) -> tuple[int, int, float]:  # fmt: skip
    """Make picks until there are enough, or no row is left that may be picked.

    how: GIVEN, rows from outside, `given` (k, d); FARTHEST, the row of largest value; VISIT, each
    row farther than `threshold` in visiting order, from `position` on, and after each pass from the
    first on with a threshold lowered by `decay`; SHARE, the first in visiting order of at least
    `share` of the largest value. zeros: d of them; power: as many as the power of the space.
    Returns how many picks were made, and the position and the threshold to go on from.
    """
    whole, p = len(boxes.reach) - 1, zeros
    work = (
        np.empty(512, np.int64), np.empty(len(boxes.low), np.int64), np.empty(8),
        np.empty(len(boxes.own), np.int64), np.empty(LEAF),
    )  # fmt: skip
    level = _term(threshold, power)
    for made in range(len(picks)):
        top, row = boxes.top[whole], boxes.top_row[whole]
        if how != GIVEN and top <= 0:
            return made, position, threshold
        if how == VISIT:
            while True:
                if order.marked[0] != level:
                    _mark_above(boxes, order, level, weighted)
                position = _next_above(boxes, order, position, level, weighted)
                if position < len(order.rows):
                    break
                position, threshold = 0, _lowered(threshold, decay, top, power)
                level = _term(threshold, power)
            row = order.rows[position]
            position += 1
        elif how == SHARE:
            row = _reaching(boxes, order, share * top, weighted)
        if how == GIVEN:
            for j in range(len(zeros)):
                p = tuple_setitem(p, j, given[made, j])
        else:
            leaf, k = boxes.slot[row] // LEAF, boxes.slot[row] % LEAF
            picks[made] = row
            values[made] = _value_at(boxes, boxes.slot[row], weighted)
            for j in range(len(zeros)):
                p = tuple_setitem(p, j, boxes.rows[leaf, j, k])
        _add(boxes, p, power, weighted, work)
    return len(picks), position, threshold
