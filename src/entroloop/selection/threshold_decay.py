"""Threshold decay: accept in random order what is far enough, then lower the threshold."""

from __future__ import annotations

import numpy as np

from entroloop.errors import InputError
from entroloop.neighbors import squared_distances
from entroloop.samples import Array
from entroloop.selection.greedy import greedy
from entroloop.selection.picks import Distances, Picks


def threshold_decay(
    x: Array,
    n: int,
    *,
    seed: int,
    initial: Array | None = None,
    threshold: float | None = None,
    decay: float | None = None,
    order: Array | None = None,
    strength: float | None = None,
) -> Picks:
    """Pick n rows by the paper's Threshold Decay Filter.

    Rows are visited in `order` (default: a permutation by seed); one is accepted if its squared
    distance to every accepted row is > τ²; after a pass τ ← decay · τ. Default τ₀: the largest
    distance to order[0]; decay 0.95. Once only rows at distance 0 are left, they fill up in
    visiting order.

    `strength` in [0, 1] instead of both: each pick is the first row in visiting order whose
    distance is at least `strength` times the largest one at that moment. So 0 takes order[:n],
    1 is greedy from order[0], and the threshold between follows the radius of the data itself.
    """
    order = _checked_order(order, len(x), seed)
    distances = Distances(x, initial)
    picks = Picks(n)
    if strength is not None:
        if threshold is not None or decay is not None:
            raise InputError("give strength, or threshold and decay, not both")
        return _by_strength(distances, picks, order, strength, initial)
    decay = 0.95 if decay is None else float(decay)
    if not 0 <= decay < 1:
        raise InputError(f"decay must lie in [0, 1); got {decay}")
    if threshold is None:
        threshold = float(np.sqrt(squared_distances(x, x[order[0]]).max()))
    if not 0 <= threshold < np.inf:
        raise InputError(f"threshold must be finite and not negative; got {threshold}")
    tau = float(threshold)
    while picks.missing:
        position = 0
        while picks.missing:
            ahead = np.flatnonzero(distances.squared[order[position:]] > tau * tau)
            if not len(ahead):
                break
            position += int(ahead[0])
            picks.add(order[position], distances.choose(order[position]))
        largest = distances.squared.max()
        if picks.missing and largest <= 0:
            picks.fill_with_duplicates(order[distances.squared[order] == 0])
        while picks.missing and largest <= tau * tau:  # passes that accept nothing
            tau *= decay
        tau = tau if picks.missing else 0.0
    return picks


def _by_strength(
    distances: Distances, picks: Picks, order: Array, strength: float, initial: Array | None
) -> Picks:
    if not 0 <= strength <= 1:
        raise InputError(f"strength must lie in [0, 1]; got {strength}")
    if strength == 1:
        first = None if initial is not None else int(order[0])
        return greedy(distances.x, picks.n, seed=0, initial=initial, first=first)
    while picks.missing:
        left = distances.squared[order]
        largest = left.max()
        if strength > 0 and largest <= 0:
            picks.fill_with_duplicates(order[left == 0])
            break
        least = strength * np.sqrt(largest) if strength > 0 else 0.0
        enough = (left >= 0) & (np.sqrt(np.maximum(left, 0)) >= least)
        index = int(order[np.flatnonzero(enough)[0]])
        picks.duplicates += bool(distances.squared[index] == 0)
        picks.add(index, distances.choose(index))
    return picks


def _checked_order(order: Array | None, n: int, seed: int) -> Array:
    if order is None:
        return np.random.default_rng(seed).permutation(n)
    order = np.asarray(order)
    if sorted(order.tolist()) != list(range(n)):
        raise InputError(f"order must be a permutation of the pool's indices 0 … {n - 1}")
    return order
