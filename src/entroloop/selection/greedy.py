"""Greedy selection: farthest-point sampling (Gonzalez 1985; the paper's Greedy Selection)."""

from __future__ import annotations

import numpy as np

from entroloop.errors import InputError
from entroloop.samples import Array
from entroloop.selection.picks import Distances, Picks


def greedy(
    x: Array, n: int, *, seed: int, initial: Array | None = None, first: int | None = None
) -> Picks:
    """Pick, n times, the row whose nearest chosen row is farthest; the lowest index wins ties.

    The first pick is `first`, or drawn by the seed; with `initial` rows it is the row farthest
    from those. Rows at distance 0 come last, in index order.
    """
    if first is not None and not 0 <= first < len(x):
        raise InputError(f"first must be an index of the pool, 0 … {len(x) - 1}; got {first}")
    distances = Distances(x, initial)
    picks = Picks(n)
    if first is None and initial is None:
        first = int(np.random.default_rng(seed).integers(len(x)))
    if first is not None and n > 0:
        picks.add(first, distances.choose(first))
    while picks.missing:
        farthest = int(distances.squared.argmax())
        if distances.squared[farthest] <= 0:
            picks.fill_with_duplicates(np.flatnonzero(distances.squared == 0))
            break
        picks.add(farthest, distances.choose(farthest))
    return picks
