"""A block: the few rows that can be picked next, with all distances among them.

Within a block picks are made one by one, in the order that the definition demands: float64 values
with a bound, and the definition itself wherever two values are nearer to each other than the bound.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from entroloop.distances.multipliers import KERNELS
from entroloop.distances.spaces import DEFINING_KERNELS, WORTH, Space, exact_pairs
from entroloop.pools.bounds import LARGEST
from entroloop.samples import Array, Float64
from entroloop.system import compiled

A_CALL = 25_000  # numbers that are subtracted in the time that `defining` takes for one pair
VAGUE = 0.01  # an error that is so large beside all values leaves most of them in doubt


class Block:
    """Rows of a block and their weighted values to all picks, those made in the block included.

    index: of the rows in the pool. values: defining values to the picks before the block. weights:
    to the power of the space. Up to `LARGEST` rows all distances are computed at once; a larger
    block, which only exact ties can bring about, takes the definition itself, one column a pick.

    Within a block, with b_i the value to the picks before and M the matrix of values among its
    rows, the value of row i is min(b_i, w_i min_p M_ip) over the block's picks p: M is float64 and
    off by at most `error`, so that two rows are told apart only where they differ by more than
    2 error, and by the definition otherwise. Where that is so of so many that defining all of M is
    less work, or where the error is no small part of the largest value, M becomes the definition,
    and the error 0.
    """

    def __init__(
        self,
        *,
        index: NDArray[np.int64],
        rows: Array,
        values: Float64,
        weights: Float64,
        space: Space,
    ) -> None:
        self.index, self.rows, self.base, self.weights = index, rows, values, weights
        self._space = space
        self.values = values.copy()  # −inf for rows that cannot be picked any more
        self._picks = np.empty(len(index), dtype=np.int64)
        self._taken = np.empty(len(index))  # values when taken, off by less than the error
        self.count = 0  # of picks in this block
        self._matrix: Float64 | None = None
        self._defined = len(index) > LARGEST  # whether values are the defining ones
        self.error = 0.0
        self._subtracted: float = 0  # numbers so far, by `defining`, calls included
        if self._defined:
            self._load_loops()
        else:
            self._matrix, error = space.matrix(rows)  # symmetric: a row of it is read at once
            if (weights != 1).any():
                self._matrix *= weights
            self.error = error * float(weights.max(initial=0.0))
            if self.error > VAGUE * values.max(initial=0.0):
                self._define_all()

    @property
    def picks(self) -> NDArray[np.int64]:
        """The positions of the picks so far, in order."""
        return self._picks[: self.count]

    def take(self, position: int) -> None:
        """Pick a row: the values of the others fall."""
        self._taken[self.count] = self.values[position]
        self._picks[self.count] = position
        self.count += 1
        if self._matrix is None:
            others = self._space.exact(self.rows, self.rows[position]) * self.weights
        else:
            others = self._matrix[position]
        np.minimum(self.values, others, out=self.values)
        self.values[position] = -np.inf

    def take_above(self, level: float, most: int) -> int:
        """Pick the row of largest value again and again, by compiled loops, where those are loaded,
        as long as it certainly comes next and beats a level; return how many, at most `most`.
        """
        if (kernels := self._kernels()) is None:
            return 0
        return self._taken_since(kernels.pick_above(*self._state(level, most)))

    def take_by_share(self, share: float, level: float, eligible: int, most: int) -> int:
        """Pick the first `eligible` row of a share of the largest value, as `take_above`."""
        if (kernels := self._kernels()) is None:
            return 0
        return self._taken_since(kernels.pick_by_share(*self._state(level, most), share, eligible))

    def take_in_order(self, position: int, level: float, most: int) -> tuple[int, int]:
        """Pick the rows above a level, as `take_above`; return how many, and the next position."""
        if (kernels := self._kernels()) is None:
            return 0, position
        count, position = kernels.pick_in_order(*self._state(level, most), position)
        return self._taken_since(count), position

    def _kernels(self) -> Any | None:
        return None if self._matrix is None else compiled.loaded(KERNELS)

    def _state(self, level: float, most: int) -> tuple[Any, ...]:
        most = min(self.count + most, len(self.index))
        return (
            self._matrix, self.values, self._picks, self._taken,
            self.count, most, level, self.error,
        )  # fmt: skip

    def _taken_since(self, count: int) -> int:
        before, self.count = self.count, count
        return count - before

    def keep(self, count: int) -> None:
        """Keep only the first `count` picks; no further one can be made in this block."""
        self.count = count

    def drop(self, positions: Array) -> None:
        """Take rows out of what can be picked."""
        self.values[positions] = -np.inf

    def best(self) -> int:
        """Return the position of the row of largest value; the lowest index wins ties."""
        values = self.values
        position = int(values.argmax())
        if self._defined:
            return position  # values are the defining ones, and argmax takes the first of equals
        largest = values[position]
        values[position] = -np.inf
        next_largest = values[values.argmax()]
        values[position] = largest
        if next_largest < largest - 2 * self.error:
            return position
        rivals = np.flatnonzero(values >= largest - 2 * self.error)
        return int(rivals[int(np.argmax([self.defining(int(r)) for r in rivals]))])

    def _load_loops(self) -> None:
        """Load the compiled loops for defining values, if those of all pairs are worth it."""
        compiled.pays(DEFINING_KERNELS, self.rows.size * len(self.rows), WORTH)

    def _define_all(self) -> None:
        """Make all values the defining ones."""
        assert self._matrix is not None
        self._load_loops()
        self._taken[: self.count] = self.radii()
        for i, row in enumerate(self.rows):  # by half: (a − b)² and (b − a)² are the same
            found = self._space.exact(self.rows[i:], row)
            self._matrix[i, i:], self._matrix[i:, i] = found, found
        self._matrix *= self.weights
        self._defined, self.error = True, 0.0
        left = np.flatnonzero(self.values > -np.inf)
        near = self._matrix[np.ix_(self.picks, left)].min(axis=0, initial=np.inf)
        self.values[left] = np.minimum(self.base[left], near)

    def defining(self, position: int) -> float:
        """Return the defining value of a row to all picks so far, weighted."""
        if self._defined or not self.count:
            return float(self.values[position])
        picks, limit = self.picks, self.values[position] + 2 * self.error
        assert self._matrix is not None
        near = picks[self._matrix[picks, position] <= limit]
        self._subtracted += A_CALL + len(near) * self.rows.shape[1]
        if self._subtracted > self.rows.size * len(self.rows):
            self._define_all()
            return float(self.values[position])
        if not len(near):
            return float(self.base[position])
        found = self._space.exact(self.rows[near], self.rows[position])
        return min(float(self.base[position]), float(found.min() * self.weights[position]))

    def radii(self) -> Float64:
        """Return the defining value of each pick when it was taken."""
        if self._defined:
            return self._taken[: self.count].copy()
        assert self._matrix is not None
        picks = self.picks
        values = self.base[picks].copy()
        near = self._matrix[picks][:, picks]  # of a pick and a later one
        j, i = np.nonzero(near <= self._taken[: self.count] + 2 * self.error)
        j, i = j[j < i], i[j < i]
        exact = exact_pairs(self._space, self.rows, picks[i], self.rows, picks[j])
        np.minimum.at(values, i, exact * self.weights[picks[i]])
        return values
