"""Lazy bounds on each row's distance to its nearest pick.

Each row keeps the value to its nearest pick as last computed. Values only fall as picks are added,
so that an old value is an upper bound, and a row whose bound lies below the level in question needs
no work at all. docs/selection-engine.md explains the whole engine.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from entroloop.distances.multipliers import Multiplier
from entroloop.distances.spaces import Space
from entroloop.pools.nearest_picks import NearestPicks
from entroloop.samples import Array, Float64

SAMPLE = 1024  # bounds that tell where the largest ones lie
LARGEST = 2048  # rows in doubt at once, beyond which float64 is to tell them apart


class Bounds(NearestPicks):
    """Lazy bounds on the value of each row to its nearest pick, weighted.

        upper_i ≥ w_i min_{j ≤ count} v(x_i, p_j), −inf for a row that cannot be picked.

    w_i is the weight of the row, to the power of the space. Minima only fall as picks are added, so
    that `upper` holds however few picks a row knows.

    selectable: mask of the rows that can be picked. weights (m,): they multiply distances.
    """

    def __init__(
        self,
        rows: Array,
        space: Space,
        *,
        selectable: NDArray[np.bool_],
        capacity: int,
        dtype: Any = None,
        weights: Float64 | None = None,
        centred_copy: bool = True,
        multiplier: Multiplier | None = None,
    ) -> None:
        super().__init__(
            rows,
            space,
            capacity=capacity,
            dtype=dtype,
            centred_copy=centred_copy,
            multiplier=multiplier,
        )
        self.weights: Float64 | None = None if weights is None else space.value_of(weights)
        self.selectable = selectable.copy()
        self.upper = np.where(self.selectable, np.inf, -np.inf)

    def anew(self, capacity: int) -> Bounds:
        """Return bounds on the same rows, all selectable, without weights and without picks."""
        return Bounds(
            self.rows,
            self.space,
            selectable=np.ones(len(self.rows), dtype=bool),
            capacity=capacity,
            dtype=self._picks.dtype,
            centred_copy=self._centred_copy,
            multiplier=self._multiplier,
        )

    def exclude(self, index: Array) -> None:
        """Take rows out of what can still be picked."""
        self.selectable[index] = False
        self.upper[index] = -np.inf

    def tighten(self, index: Array, values: Float64) -> None:
        """Replace the bounds of rows that are up to date by their defining values, weighted."""
        self.upper[index] = np.where(self.selectable[index], values, -np.inf)

    def weights_of(self, index: Array) -> Float64:
        """Return the weights of rows, to the power of the space."""
        return np.ones(len(index)) if self.weights is None else self.weights[index]

    def weighted(self, values: Float64, index: Array | slice) -> Float64:
        """Return values times the weights of their rows, to the power of the space."""
        return values if self.weights is None else values * self.weights[index]

    def level_set(self, wanted: int, target: int) -> tuple[float, NDArray[np.int64], int]:
        """Return a level, the rows whose value reaches it or may, and how many were brought up to
        date. Of the `wanted` largest bounds about `target` are left once they are up to date.

        Every row that is not returned has value ≤ level, and some row certainly has more. Level −1
        takes all selectable rows.
        """
        rank = wanted
        level = _at_rank(self.upper, rank)
        while True:
            index = self.above(level)
            certain = float(self.lower(index).max(initial=0.0))
            if level < 0 or certain > level:
                break
            if len(index):  # rows in doubt at the level itself: go just below what is certain
                level = certain * (1 - 1e-6) if certain > 0 else -1.0
            else:  # the bounds were old, all have fallen below the level
                rank *= 2
                level = _at_rank(self.upper, rank)
        reached = len(index)
        if reached > target:  # now that bounds are up to date a higher level may do
            higher = _at_rank(self.upper[index], target)
            if certain > higher > level:
                level, index = higher, index[self.upper[index] >= higher]
        return level, index, reached

    def above(self, level: float) -> NDArray[np.int64]:
        """Return the selectable rows whose value is at least `level`, or may be, up to date."""
        index = np.flatnonzero(self.upper >= level)
        self.refresh(index)
        return index[self.upper[index] >= level]

    def lower(self, index: Array) -> Float64:
        """Return lower bounds of the values of rows that are up to date."""
        values = np.maximum(self.least[index] - self.error[index], 0.0)
        return self.weighted(values, index)

    def _brought_up_to_date(self, index: NDArray[np.int64]) -> None:
        """See `NearestPicks`."""
        upper = self.weighted(np.maximum(self.least[index], 0) + self.error[index], index)
        self.upper[index] = np.where(
            self.selectable[index], np.minimum(upper, self.upper[index]), -np.inf
        )

    def exact(self, index: NDArray[np.int64]) -> Float64:
        """Return `unweighted`, times the weights."""
        return self.weighted(self.unweighted(index), index)


def _at_rank(bounds: NDArray[np.float64], rank: int) -> float:
    """Return the rank-th largest bound, −1 where there are fewer selectable rows."""
    if rank >= len(bounds):
        return -1.0
    sample = bounds[:: max(1, len(bounds) // SAMPLE)]
    if (some := 2 * rank * len(sample) // len(bounds) + 16) < len(sample) // 4:
        # More than `rank` bounds reach the one that a sample has at twice that rank, as good as
        # always: only those need to be put in order.
        above = bounds[bounds >= np.partition(sample, len(sample) - some)[len(sample) - some]]
        bounds = above if len(above) > rank else bounds
    level = float(np.partition(bounds, len(bounds) - rank)[len(bounds) - rank])
    return level if level >= 0 else -1.0
