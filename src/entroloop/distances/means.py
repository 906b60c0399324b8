"""Mean values between rows and sets of rows, from one pass of tiles over all pairs."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import Any

import numpy as np

from entroloop.distances.spaces import Euclidean, Space
from entroloop.samples import Array, Float64

ROWS, COLUMNS = 1024, 4096  # of a tile: it stays in the cache between its multiply and its sums
WORTH_TORCH = 2**24  # distances: fewer take NumPy less time than torch takes to start

# Of NumPy or torch, whose functions have the same names, and of float32 distances that the library
# holds: f of them, elementwise, in their place.
Compared = Callable[[Any, Any], Any]


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
            tile = compared(tiles.library, tiles.distances(part, columns))
            of_sets[:, columns] += np.asarray(weights[:, part] @ tile)
            of_rows[part] += np.asarray(tile.sum(axis=1))
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
            tile = compared(tiles.library, tiles.distances(part, columns))
            found[part] += np.asarray(tile @ weights[columns])
            below = max(part.stop - columns.start, 0)  # those rows have had these pairs above
            found[columns][below:] += np.asarray(tile[:, below:].T @ weights[part])
    return found


class _Tiles:
    """Distances between stretches of rows and of columns.

    Euclidean ones by a single multiply of augmented rows, [x, |x|², 1]·[−2y, 1, |y|²] = |x − y|²,
    since every pass over a tile besides it costs as much as the multiply. All of it by one library,
    torch where there is much: two with threads of their own, in turns, wait for each other.
    """

    def __init__(self, space: Space, rows: Array, columns: Array) -> None:
        many = len(rows) * len(columns) > WORTH_TORCH
        self.library: Any = import_module("torch") if many else np
        self._space, self._augmented = space, isinstance(space, Euclidean)
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

    def tensor(self, x: Array) -> Any:
        """Return an array as one of the library's, float32."""
        return self.library.asarray(np.ascontiguousarray(x, dtype=np.float32))

    def distances(self, part: slice, columns: slice) -> Any:
        """Return a tile of distances, (rows, columns)."""
        if self._augmented:
            tile = self._left[part] @ self._right[columns].T
            self.library.clip(tile, 0, None, out=tile)
            return self.library.sqrt(tile, out=tile)
        values = self._space.tile(self._x[part], self._sizes[part], self._y[columns])
        return self.tensor(self._space.distance_of(np.maximum(values, 0) * self._space.unit))
