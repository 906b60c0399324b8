"""Means of a function over all pairs of two roles' rows, of many halves in one pass.

Of a set whose rows have the weights h (1 or 0), the sum over its pairs is hᵀ K h′, K the function's
values of all pairs. One pass over K gives it for all halves at once: a product with their weights.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from entroloop.samples import Array, Float64
from entroloop.system.memory import blocks
from entroloop.system.threads import in_threads, products_in_one_thread, threads_here

ROWS, COLUMNS = 256, 512  # of K at once: they stay in the cache between passes
Kernel = Callable[[Float64, Float64], Float64]  # of rows (m, d) and (p, d), all values (m, p)


@products_in_one_thread()
def pair_means(x: Array, y: Array, kernel: Kernel, of_x: Float64, of_y: Float64) -> Float64:
    """Return for each of h pairs of sets the mean of a function over its pairs.

    x (m, d), y (p, d): rows; the same array: pairs of a row with itself are left out, and K is
    symmetric: what lies above its diagonal counts twice. of_x (h, m), of_y (h, p): weights, 1 for
    the rows of each set and 0 for others; the same for the same array.
    """
    same = x is y
    rows = x.astype(np.float64)
    others = rows if same else y.astype(np.float64)
    parts = blocks(len(x), 1, ROWS)
    sums = np.zeros((len(parts), len(of_x)))

    def add(number: int) -> None:
        part, own = parts[number], of_x[:, parts[number]]
        if same:
            values = kernel(rows[part], rows[part])
            np.fill_diagonal(values, 0)
            sums[number] = np.einsum("hp,hp->h", own @ values, own)
        for start in range(part.stop if same else 0, len(y), COLUMNS):
            columns = slice(start, start + COLUMNS)
            values = kernel(rows[part], others[columns])
            found = np.einsum("hp,hp->h", own @ values, of_y[:, columns])
            sums[number] += 2 * found if same else found

    in_threads(add, range(len(parts)), threads_here())
    left, right = of_x.sum(axis=1), of_y.sum(axis=1)
    means: Float64 = sums.sum(axis=0) / (left * (right - same))
    return means
