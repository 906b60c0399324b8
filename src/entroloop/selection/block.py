"""A block: the few rows that can be picked next, with all distances among them.

Within a block picks are made one by one, in the order that the definition demands: float64 values
with a bound, and the definition itself wherever two values are nearer to each other than the bound.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from entroloop.distances.spaces import Space
from entroloop.pools.bounds import LARGEST
from entroloop.samples import Array, Float64


class Block:
    """Rows of a block and their weighted values to all picks, those made in the block included.

    values: defining values to the picks before the block. Up to `LARGEST` rows all distances are
    computed at once; a larger block, which only exact ties can bring about, takes the definition
    itself, one column a pick.
    """

    def __init__(
        self, index: NDArray[np.int64], rows: Array, values: Float64, weights: Float64, space: Space
    ) -> None:
        self.index, self.rows, self.base, self.weights = index, rows, values, weights
        self._space = space
        self.values = values.copy()
        self._picks = np.empty(len(index), dtype=np.int64)
        self._taken = np.empty(len(index))  # values when taken, off by less than the error
        self.count = 0
        self._matrix: Float64 | None = None
        self.error = 0.0
        if len(index) <= LARGEST:
            self._matrix, error = space.matrix(rows)  # symmetric: a row of it is read at once
            if (weights != 1).any():
                self._matrix *= weights
            self.error = error * float(weights.max(initial=0.0))

    @property
    def picks(self) -> NDArray[np.int64]:
        """The places of the picks so far, in order."""
        return self._picks[: self.count]

    def take(self, place: int) -> None:
        """Pick a row: the values of the others fall."""
        self._taken[self.count] = self.values[place]
        self._picks[self.count] = place
        self.count += 1
        if self._matrix is None:
            others = self._space.exact(self.rows, self.rows[place]) * self.weights
        else:
            others = self._matrix[place]
        np.minimum(self.values, others, out=self.values)
        self.values[place] = -np.inf

    def drop(self, places: Array) -> None:
        """Take rows out of what can be picked."""
        self.values[places] = -np.inf

    def best(self) -> int:
        """Return the place of the row of largest value; the lowest index of the pool wins ties."""
        values = self.values
        place = int(values.argmax())
        if self._matrix is None:
            return place  # values are the defining ones, and argmax takes the first of equals
        largest = values[place]
        values[place] = -np.inf
        next_largest = values[values.argmax()]
        values[place] = largest
        if next_largest < largest - 2 * self.error:
            return place
        rivals = np.flatnonzero(values >= largest - 2 * self.error)
        return int(rivals[int(np.argmax([self.defining(int(r)) for r in rivals]))])

    def defining(self, place: int) -> float:
        """Return the defining value of a row to all picks so far, weighted."""
        if self._matrix is None or not self.count:
            return float(self.values[place])
        picks, limit = self.picks, self.values[place] + 2 * self.error
        near = picks[self._matrix[picks, place] <= limit]
        if not len(near):
            return float(self.base[place])
        found = self._space.exact(self.rows[near], self.rows[place])
        return min(float(self.base[place]), float(found.min() * self.weights[place]))

    def radii(self) -> Float64:
        """Return the defining value of each pick when it was taken."""
        if self._matrix is None:
            return self._taken[: self.count].copy()
        picks = self.picks
        values = self.base[picks].copy()
        near = self._matrix[picks][:, picks]  # of a pick and a later one
        j, i = np.nonzero(near <= self._taken[: self.count] + 2 * self.error)
        j, i = j[j < i], i[j < i]
        exact = self._space.exact(self.rows[picks[i]], self.rows[picks[j]])
        np.minimum.at(values, i, exact * self.weights[picks[i]])
        return values
