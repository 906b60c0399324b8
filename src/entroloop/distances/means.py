"""Mean values between rows and sets of rows, from one pass of tiles over all pairs."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from entroloop.distances.spaces import Euclidean, Space
from entroloop.samples import Array, Float64

if TYPE_CHECKING:
    from torch import Tensor

ROWS, COLUMNS = 1024, 4096  # of a tile: it stays in the cache between its multiply and its sums

Compared = Callable[[Any], Any]  # of a float32 tensor of distances, elementwise


def mean_to_others(
    space: Space, rows: Array, shares: Float64, others: Array, compared: Compared
) -> tuple[Float64, Float64]:
    """Return means of f(distance) between rows (n, d) and others (m, d), as `space` compares them.

    shares (k, n): the weight of each row in each set, each line summing to 1. compared: f. First:
    the mean from each set to each of others, (k, m); second: from each row to all others, (n,).
    Distances and sums within a tile are float32, off by 1e-6 of the largest or less in the mean;
    tiles are added up in float64.
    """
    tiles = _Tiles(space, rows, others)
    weights = tiles.tensor(shares)
    of_sets, of_rows = np.zeros((len(shares), len(others))), np.zeros(len(rows))
    for i in range(0, len(rows), ROWS):
        part = slice(i, i + ROWS)
        for j in range(0, len(others), COLUMNS):
            columns = slice(j, j + COLUMNS)
            tile = compared(tiles.distances(part, columns))
            of_sets[:, columns] += (weights[:, part] @ tile).numpy()
            of_rows[part] += tile.sum(dim=1).numpy()
    return of_sets, of_rows / len(others)


def mean_to_sets(space: Space, rows: Array, shares: Float64, compared: Compared) -> Float64:
    """Return the mean of f(distance) from each row to each set, (n, k) float64.

    As `mean_to_others`. A row of a set counts with itself, f(0). F 1_A/|A| for all sets at once,
    each pair of rows computed once: by blocks above the diagonal of the symmetric matrix F.
    """
    tiles = _Tiles(space, rows, rows)
    weights = tiles.tensor(shares.T)
    found = np.zeros((len(rows), len(shares)))
    for i in range(0, len(rows), ROWS):
        part = slice(i, min(i + ROWS, len(rows)))
        for j in range(i, len(rows), COLUMNS):
            columns = slice(j, min(j + COLUMNS, len(rows)))
            tile = compared(tiles.distances(part, columns))
            found[part] += (tile @ weights[columns]).numpy()
            below = max(part.stop - columns.start, 0)  # those rows have had these pairs above
            found[columns][below:] += (tile[:, below:].T @ weights[part]).numpy()
    return found


class _Tiles:
    """Distances between stretches of rows and of columns.

    Euclidean ones by a single multiply of augmented rows, [x, |x|², 1]·[−2y, 1, |y|²] = |x − y|²,
    since every pass over a tile besides it costs as much as the multiply. All of it by torch: two
    libraries with threads of their own, in turns, wait for each other.
    """

    def __init__(self, space: Space, rows: Array, columns: Array) -> None:
        import torch

        self._space, self._augmented = space, isinstance(space, Euclidean)
        self._tensor = torch.from_numpy
        x, sizes = space.prepare(rows, np.float32)
        y, lengths = space.prepare(columns, np.float32)
        self._sizes = sizes
        if not self._augmented:
            self._x, self._y = x, y
            return
        unit = np.float32(np.sqrt(space.unit))
        one = (np.ones(len(x), np.float32), np.ones(len(y), np.float32))
        squares = (np.square(sizes) * space.unit, np.square(lengths) * space.unit)
        left = np.column_stack([x * unit, squares[0].astype(np.float32), one[0]])
        right = np.column_stack([-2 * y * unit, one[1], squares[1].astype(np.float32)])
        self._left, self._right = self.tensor(left), self.tensor(right)

    def tensor(self, x: Array) -> Tensor:
        """Return an array as a float32 tensor."""
        found: Tensor = self._tensor(np.ascontiguousarray(x, dtype=np.float32))
        return found

    def distances(self, part: slice, columns: slice) -> Tensor:
        """Return a tile of distances, (rows, columns)."""
        if self._augmented:
            tile = self._left[part] @ self._right[columns].T
            return tile.clamp_min_(0).sqrt_()
        values = self._space.tile(self._x[part], self._sizes[part], self._y[columns])
        return self.tensor(self._space.distance_of(np.maximum(values, 0) * self._space.unit))
