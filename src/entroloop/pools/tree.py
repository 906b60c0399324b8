"""An exact tree of boxes over rows of few values: picks one by one, each at its neighbours' cost.

Where a row has few values, a product of many rows and picks is no faster than its passes over
memory. There a pick lowers the values of the few rows near it, and boxes find them: a box whose
nearest corner is farther from the pick than any of its rows is from the picks before it is left
alone. The picks are the definition's, as everywhere (docs/selection-engine.md). The loops are
compiled, by numba where it is installed (`entroloop[fast]`); without it the blocks of `Bounds` make
the same picks.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from typing import Any

import numpy as np
from numpy.typing import NDArray

from entroloop.samples import Array, Float64
from entroloop.system import compiled
from entroloop.system.threads import in_threads, threads_here

WIDEST = 6  # values of a row: boxes of more leave too many rows to look at
WORTH = 1e8  # rows × picks from which compiling, or loading what was compiled, is little
KERNELS, DIVISION = "entroloop.pools.tree_kernels", "entroloop.pools.tree_division"
Index = NDArray[np.int64]
_widths: set[int] = set()  # of the rows of trees in this process: numba compiles for each


@dataclass(frozen=True, kw_only=True)
class PickedInTree:
    """Picks of a tree, in order.

    index: of the rows. values: weighted, when they were picked. position: in the visiting order, to
    go on from, with a threshold.
    """

    index: Index
    values: Float64
    position: int = 0
    threshold: float = 0.0


def pays(m: int, d: int, picks: int) -> bool:
    """Whether a tree is the least work for so many picks of m rows of d values."""
    return d <= WIDEST and compiled.pays(KERNELS, m * picks, WORTH, ready=d in _widths)


def tree_bytes(m: int, d: int) -> int:
    """Return what a tree over m rows takes, the two copies that sort them into it included."""
    leaves = _leaves(m)
    return leaves * 32 * (8 * d + 24) + leaves * (19 * d + 48) + m * (16 * d + 48)


def _leaves(m: int) -> int:
    return 1 << max(1, int(np.ceil(np.log2(max(m, 1) / 32))))


class Tree:
    """The selectable rows of a shard, with the exact value of each to the picks so far.

    rows (m, d); index: those of them that can be picked, ascending; weights (m,), to the power of
    the space, or None; power: of the space.
    """

    def __init__(self, rows: Array, index: Index, weights: Float64 | None, power: int) -> None:
        assert rows.shape[1] <= WIDEST  # from eight on NumPy sums in another order
        _widths.add(rows.shape[1])
        self._kernels: Any = import_module(KERNELS)  # loaded only by those who need it
        self._weighted = weights is not None
        self._boxes = self._grown(rows, index, weights)
        self._zeros, self._power = (0.0,) * rows.shape[1], (0.0,) * power
        none, no_bounds = np.empty(0, dtype=np.int64), np.empty(0)
        self._order = self._kernels.Order(
            none, none, none, np.empty(0, dtype=np.uint64), no_bounds, no_bounds, no_bounds
        )

    def _grown(self, rows: Array, index: Index, weights: Float64 | None) -> Any:
        """Return the boxes of the rows that can be picked, of infinite value as yet."""
        leaf, leaves, (m, d) = self._kernels.LEAF, _leaves(len(index)), rows.shape
        depth = leaves.bit_length() - 1
        first = 1 << ((depth - 1) % 3 + 1)  # halvings of the first node; all others have three
        nodes = max(leaves // 4, 2)
        reach, top = np.full((2, 8 * nodes + 1), -1.0)
        boxes = self._kernels.Boxes(
            rows=np.empty((leaves, d, leaf)),
            own=np.empty((leaves, leaf), dtype=np.int64),
            least=np.empty((leaves, leaf)),
            weights=np.ones((leaves if self._weighted else 0, leaf)),
            low=np.empty((nodes, d, 8)),
            high=np.empty((nodes, d, 8)),
            reach=reach,
            top=top,
            top_row=np.full(8 * nodes + 1, m),
            slot=np.full(m, -1),
            first=first,
        )
        some = rows if len(index) == m else rows[index]
        given = np.array(some, dtype=np.float64, order="C")
        self._divide(boxes, given, index.copy(), np.empty(0) if weights is None else weights)
        # Boxes of the levels between those of nodes belong to no node, empty ones hold nothing.
        filled: Any = boxes.own[:, 0] >= 0
        while len(filled) >= first:
            known = np.where(filled, np.inf, -1.0)
            reach[len(filled) : 2 * len(filled)] = top[len(filled) : 2 * len(filled)] = known
            filled = filled.reshape(-1, 8).any(axis=1) if len(filled) > first else filled[:0]
        reach[-1] = top[-1] = np.inf
        boxes.top_row[-1] = index[0]
        return boxes

    def _divide(self, boxes: Any, given: Float64, index: Index, weights: Float64) -> None:
        """Divide rows among the leaves, in as many threads as products may use; both are moved."""
        kernels: Any = import_module(DIVISION)
        q = len(index)
        here, there = (given, index), (np.empty_like(given), np.empty_like(index))
        spare = np.empty(q), np.empty(q)
        columns = list(given.T)  # one by one: along few columns NumPy is slow
        sides = np.array([[[c.min() for c in columns], [c.max() for c in columns]]])
        whole, each = np.array([[1, 0, q, 0]]), 1 << (threads_here() - 1).bit_length()
        # The whole, its halves, or halves of those: one for each thread.
        same, zeros = (boxes, here, there, spare, weights), (0.0,) * given.shape[1]
        parts, sides = kernels.divide(*same, whole, sides, each, zeros)

        def divide(i: int) -> None:
            own = slice(i, i + 1)
            kernels.divide(*same, parts[own], sides[own], 2 * len(boxes.own), zeros)

        in_threads(divide, range(len(parts)), threads_here())
        kernels.draw_in(boxes)

    @property
    def largest_unweighted(self) -> float:
        """The largest value of a row, without its weight."""
        return float(self._boxes.reach[-1])

    def add(self, rows: Array) -> None:
        """Add picks (k, d), of the pool or from outside."""
        given = np.array(rows, dtype=np.float64, order="C")
        self._picked(self._kernels.GIVEN, len(given), given=given)

    def take(self, row: int) -> PickedInTree:
        """Pick a row."""
        s, boxes = int(self._boxes.slot[row]), self._boxes
        value = boxes.least.flat[s] * (boxes.weights.flat[s] if self._weighted else 1.0)
        leaf = self._kernels.LEAF
        self.add(boxes.rows[s // leaf, :, s % leaf][None])
        index, values = np.array([row]), np.array([value])
        return PickedInTree(index=index, values=values)

    def farthest(self, count: int) -> PickedInTree:
        """Pick, up to `count` times, the row of largest value; the lowest index wins ties. Fewer
        where only copies of picks are left.
        """
        return self._picked(self._kernels.FARTHEST, count)

    def set_order(self, order: Index) -> None:
        """Set the visiting order: rows that can be picked."""
        size = self._kernels.GROUP
        groups = -(-len(order) // size)
        place = np.full(len(self._boxes.slot), -1)
        place[order] = np.arange(len(order))
        self._order = self._kernels.Order(
            rows=order,
            slots=self._boxes.slot[order],
            place=place,
            above=np.zeros(-(-len(order) // 64), dtype=np.uint64),
            marked=np.array([-np.inf]),
            bound=np.full(groups, np.inf),
            upper=np.full(-(-groups // size), np.inf),
        )

    def visit(self, position: int, threshold: float, decay: float, count: int) -> PickedInTree:
        """Pick, up to `count` times, the next row in visiting order that is farther than a
        threshold from all picks, from a position on; after each pass the threshold is multiplied by
        `decay`. Fewer where only copies are left.
        """
        how = self._kernels.VISIT
        return self._picked(how, count, position=position, threshold=threshold, decay=decay)

    def by_share(self, share: float, count: int) -> PickedInTree:
        """Pick, up to `count` times, the first row in visiting order of at least `share` of the
        largest value; fewer where only copies are left.
        """
        return self._picked(self._kernels.SHARE, count, share=share)

    def _picked(
        self,
        how: int,
        count: int,
        *,
        given: Array | None = None,
        position: int = 0,
        threshold: float = 0.0,
        decay: float = 0.0,
        share: float = 0.0,
    ) -> PickedInTree:
        picks, values = np.empty(count, dtype=np.int64), np.empty(count)
        made, position, threshold = self._kernels.pick(
            self._boxes, self._order, how, np.empty((0, 0)) if given is None else given, position,
            float(threshold), float(decay), float(share), self._weighted, picks, values,
            self._zeros, self._power,
        )  # fmt: skip
        return PickedInTree(
            index=picks[:made], values=values[:made], position=position, threshold=threshold
        )
