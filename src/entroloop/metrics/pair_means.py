"""Means of a function over all pairs of two roles' rows, of many halves in one pass.

Of a set whose rows have the weights h (1 or 0), the sum over its pairs is hᵀ K h′, K the function's
values of all pairs. One pass over K gives it for all halves at once: a product with their weights.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from entroloop.samples import Array, Float64
from entroloop.system.threads import in_threads, products_in_one_thread, threads_here

BLOCK_VALUES = 2**19  # of K at once: they stay in the cache between passes
Kernel = Callable[[Float64, Float64], Float64]  # of rows (m, d) and (p, d), all values (m, p)


@products_in_one_thread()
def pair_means(x: Array, y: Array, kernel: Kernel, of_x: Float64, of_y: Float64) -> Float64:
    """Return for each of h pairs of sets the mean of a function over its pairs.

    x (m, d), y (p, d): rows; the same array: pairs of a row with itself are left out. of_x (h, m),
    of_y (h, p): weights, 1 for the rows of each set and 0 for others.
    """
    block = max(1, BLOCK_VALUES // len(y))
    starts = range(0, len(x), block)
    sums = np.empty((len(starts), len(of_x)))
    others = y.astype(np.float64)

    def add(number: int) -> None:
        part = slice(starts[number], starts[number] + block)
        values = kernel(x[part].astype(np.float64), others)
        if x is y:
            own = np.arange(len(values))
            values[own, part.start + own] = 0
        sums[number] = np.einsum("hp,hp->h", of_x[:, part] @ values, of_y)

    in_threads(add, range(len(starts)), threads_here())
    left, right = of_x.sum(axis=1), of_y.sum(axis=1)
    means: Float64 = sums.sum(axis=0) / (left * (right - (x is y)))
    return means
