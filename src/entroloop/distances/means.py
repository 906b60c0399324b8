"""Mean values between rows and sets of rows, from one pass of tiles over all pairs."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from entroloop.distances.spaces import Space
from entroloop.samples import Array, Float64

ROWS, COLUMNS = 512, 8192  # of a tile

Compared = Callable[[Array], Array]  # of distances, elementwise


def mean_to_others(
    space: Space, rows: Array, shares: Float64, others: Array, compared: Compared
) -> tuple[Float64, Float64]:
    """Return means of f(distance) between rows (n, d) and others (m, d), as `space` compares them.

    shares (k, n): the weight of each row in each set, each line summing to 1. compared: f. First:
    the mean from each set to each of others, (k, m); second: from each row to all others, (n,).
    Distances are those of float32 tiles, off by 1e-6 of the largest or less in the mean; sums are
    taken in float64.
    """
    x, sizes = space.prepare(rows, np.float32)
    y, _ = space.prepare(others, np.float32)
    of_sets, of_rows = np.zeros((len(shares), len(others))), np.empty(len(rows))
    for i in range(0, len(rows), ROWS):
        part = slice(i, i + ROWS)
        tile = compared(_distances(space, x[part], sizes[part], y))
        of_sets += shares[:, part] @ tile
        of_rows[part] = tile.mean(axis=1, dtype=np.float64)
    return of_sets, of_rows


def mean_to_sets(space: Space, rows: Array, shares: Float64, compared: Compared) -> Float64:
    """Return the mean of f(distance) from each row to each set, (n, k) float64.

    As `mean_to_others`. A row of a set counts with itself, f(0). F 1_A/|A| for all sets at once,
    each pair of rows computed once: by blocks above the diagonal of the symmetric matrix F.
    """
    x, sizes = space.prepare(rows, np.float32)
    found = np.zeros((len(rows), len(shares)))
    for i in range(0, len(rows), ROWS):
        part = slice(i, min(i + ROWS, len(rows)))
        for j in range(i, len(rows), COLUMNS):
            columns = slice(j, min(j + COLUMNS, len(rows)))
            tile = compared(_distances(space, x[part], sizes[part], x[columns]))
            found[part] += tile @ shares[:, columns].T
            below = max(part.stop - columns.start, 0)  # those rows have had these pairs above
            found[columns][below:] += tile[:, below:].T @ shares[:, part].T
    return found


def _distances(space: Space, rows: Array, sizes: Float64, columns: Array) -> Array:
    values = space.tile(rows, sizes, columns)
    np.maximum(values, 0, out=values)
    values *= values.dtype.type(space.unit)
    found: Array = space.distance_of(values)
    return found
