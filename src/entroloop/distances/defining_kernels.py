"""Compiled loops for defining values: sums over a pair of rows as NumPy adds them, to the last bit.

NumPy adds a contiguous row pairwise: up to `LEAF` terms in eight running sums, a longer row as the
sum of its halves (Higham 1993, "The accuracy of floating point summation", says why). No flag is
set that lets a compiler change how a sum is rounded.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from entroloop.system.compiled import compiled

LEAF = 128  # terms
SUMS = np.uint64(8)
DEPTH = 64  # sums that can wait for the other half of a row

_compiled = compiled()


@cache
def halving(d: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return where each leaf of d terms ends, and how many halves it completes."""
    if d <= LEAF:
        return np.array([d]), np.array([0])
    half = d // 16 * 8
    (left, of_left), (right, of_right) = halving(half), halving(d - half)
    completed = np.concatenate([of_left, of_right])
    completed[-1] += 1
    return np.concatenate([left, half + right]), completed


@_compiled
def sums_of_pairs(
    a: Any, i: Any, b: Any, j: Any, power: Any, ends: Any, completed: Any, out: Any
) -> None:
    """Set out (q,) to Σ |a[i] − b[j]|^power of pairs of rows (·, d), their values float64 first.

    power: a tuple of that length (a number would not be known to the compiler). ends, completed:
    see `halving`.
    """
    waiting, terms = np.empty(DEPTH), np.empty(LEAF)
    for pair in range(len(i)):
        x, y = a[i[pair]], b[j[pair]]
        start, held, total = np.uint64(0), np.int64(0), 0.0
        for leaf in range(len(ends)):
            end = np.uint64(ends[leaf])
            for k in range(start, end):
                terms[k - start] = _term(x[k], y[k], power)
            total = _sum(terms, end - start)
            for _ in range(completed[leaf]):
                held -= 1
                total = waiting[held] + total
            waiting[held] = total
            held += 1
            start = end
        out[pair] = total


@_compiled
def _sum(terms: Any, count: Any) -> float:
    """Return the sum of a leaf's terms, which are overwritten."""
    total = 0.0
    whole = count - count % SUMS
    if whole:
        for k in range(SUMS, whole, SUMS):
            for s in range(SUMS):
                terms[s] += terms[k + s]
        total = ((terms[0] + terms[1]) + (terms[2] + terms[3])) + (
            (terms[4] + terms[5]) + (terms[6] + terms[7])
        )
    for k in range(whole, count):
        total += terms[k]
    return total


@_compiled
def _term(x: Any, y: Any, power: Any) -> float:
    difference = np.float64(x) - np.float64(y)
    return difference * difference if len(power) == 2 else abs(difference)
