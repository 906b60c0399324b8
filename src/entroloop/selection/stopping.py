"""How many rows to choose: a number, a share of the candidates, or until the picks suffice.

Greedy's picks are nested: its first k are its choice of k. So one run decides when to stop, pick by
pick, whatever blocks the picks are made in.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from fractions import Fraction
from math import ceil
from typing import Any

import numpy as np
from numpy.typing import NDArray

from entroloop.distances.spaces import exact_pairs
from entroloop.errors import InputError
from entroloop.pools.shard import Shard
from entroloop.samples import Array, Float64
from entroloop.selection.block import Block
from entroloop.selection.pool import Pool

NUMBER = r"(?:\d+(?:\.\d*)?|\.\d+)"
TILE_VALUES = 2**20  # of distances that are held at once


def number_of(n: Any, allowed: int) -> int:
    """Return how many of `allowed` candidates n stands for: a whole number, or a share "10%".

    A share is rounded up. Raises InputError for anything else, and for numbers out of reach.

    >>> number_of("12.5%", 60)
    8
    """
    if isinstance(n, str):
        share = re.fullmatch(rf"\s*({NUMBER})\s*%\s*", n)
        if share is None or not 0 < Fraction(share[1]) <= 100:
            raise InputError(f"n must be a whole number, or a share such as '10%'; got {n!r}")
        return ceil(Fraction(share[1]) / 100 * allowed)
    if isinstance(n, float):
        raise InputError(f"n must be a whole number; got {n} (a share is written as '10%')")
    if isinstance(n, bool) or not isinstance(n, int | np.integer) or not 1 <= n <= allowed:
        raise InputError(f"n must be a whole number in 1 … {allowed} (the candidates); got {n}")
    return int(n)


@dataclass(frozen=True)
class Stopping:
    """When greedy stops before it has made n picks.

    min_distance: it picks no row that is nearer than this to the picks before; None for any.
    coverage: it stops with the first pick by which at least this share of the candidates lies
    nearer than min_distance to a pick; None for all. knee: of what was picked it keeps the picks up
    to the knee of the curve of radii.
    """

    min_distance: float | None = None
    coverage: Fraction | None = None
    knee: bool = False

    @classmethod
    def of(cls, min_distance: Any, until: Any, strategy: str, *, grouped: bool) -> Stopping | None:
        """Return what was asked for, checked; None for exactly n picks."""
        if min_distance is None and until is None:
            return None
        if strategy != "greedy" or grouped:
            what = f"strategy {strategy}" if strategy != "greedy" else "groups, which fix numbers"
            raise InputError(
                f"min_distance and until go with strategy greedy without groups; got {what}"
            )
        number = isinstance(min_distance, int | float | np.number)
        valid = number and not isinstance(min_distance, bool) and 0 < min_distance < np.inf
        if min_distance is not None and not valid:
            raise InputError(f"min_distance must be a number above 0; got {min_distance!r}")
        distance = None if min_distance is None else float(min_distance)
        if until is None or until == "knee":
            return cls(distance, knee=until == "knee")
        found = re.fullmatch(rf"coverage=({NUMBER})", str(until))
        if found is None or not 0 < Fraction(found[1]) <= 1:
            raise InputError(
                f"until must be 'knee', or 'coverage=0.95' with a share in (0, 1]; got {until!r}"
            )
        if distance is None:
            raise InputError(
                "until coverage needs min_distance, the distance within which a pick covers a row"
            )
        return cls(distance, Fraction(found[1]))

    @property
    def reason(self) -> str:
        """What stops greedy before n picks, as `Selection.stopped_by` tells."""
        if self.coverage is not None:
            return "coverage"
        return "duplicates" if self.min_distance is None else "min_distance"


class Watch:
    """The picks of greedy under way, watched for the moment to stop.

    candidates: how many rows could be picked at the start, those picked before a stop included.
    """

    def __init__(self, stopping: Stopping, pool: Pool, candidates: int) -> None:
        self._pool, self._limit = pool, stopping.min_distance
        self._needed: int | None = None
        self.enough = False  # no further pick is wanted
        if stopping.coverage is not None:
            self._needed = ceil(stopping.coverage * candidates)
            value = pool.space.value_of(self._limit)
            uncovered = sum(pool.sharded.ask(Shard.apply, count_uncovered, value))
            self._covered = candidates - uncovered
            self.enough = self._covered >= self._needed

    def keep(self, block: Block) -> None:
        """Cut the picks of a block where greedy is to stop."""
        if self._limit is None:
            return
        below = self._pool.space.distance_of(block.radii()) < self._limit
        stop = int(below.argmax()) if below.any() else block.count
        self.enough = stop < block.count
        if self._needed is not None and stop:
            value = self._pool.space.value_of(self._limit)
            rows = block.rows[block.picks[:stop]]
            answers = self._pool.sharded.ask(Shard.apply, newly_covered, rows, value)
            covered = self._covered + np.cumsum(np.sum(answers, axis=0))
            if covered[-1] >= self._needed:
                stop, self.enough = 1 + int((covered >= self._needed).argmax()), True
            self._covered = int(covered[-1])
        block.keep(stop)


def count_uncovered(shard: Shard, value: float) -> int:
    """Return how many selectable rows of a shard have a value ≥ `value` to the picks so far."""
    return len(_uncovered(shard, value))


def _uncovered(shard: Shard, value: float) -> NDArray[np.int64]:
    bounds = shard.bounds
    if not bounds.count:
        return np.flatnonzero(bounds.selectable)
    index = bounds.above(value)
    doubt = np.flatnonzero(bounds.lower(index) < value)
    exact = bounds.exact(index[doubt])
    bounds.tighten(index[doubt], exact)
    return np.delete(index, doubt[exact < value])


def newly_covered(shard: Shard, picks: Array, value: float) -> NDArray[np.int64]:
    """Return for each new pick (k, d) how many rows of a shard it covers as the first of all.

    A pick covers the rows whose weighted value to it is below `value`, by the definition: where
    float64 products leave a doubt the differences of the stored rows decide.
    """
    bounds, counts = shard.bounds, np.zeros(len(picks), dtype=np.int64)
    index, space = _uncovered(shard, value), shard.bounds.space
    prepared, sizes = space.prepare(picks, np.float64)
    largest = float(sizes.max(initial=0))
    for part in np.array_split(index, len(index) * len(picks) // TILE_VALUES + 1):
        rows, own = space.prepare(bounds.rows[part], np.float64)
        weights = bounds.weights_of(part)[:, None]
        values = space.tile(rows, own, prepared) * space.unit * weights
        slack = space.bound(own, largest, np.float64)[:, None] * weights
        within: Any = values < value
        i, j = np.nonzero(np.abs(values - value) <= slack)
        exact = exact_pairs(space, bounds.rows, part[i], picks, j)
        within[i, j] = bounds.weighted(exact, part[i]) < value
        counts += np.bincount(within.argmax(axis=1)[within.any(axis=1)], minlength=len(picks))
    return counts


def knee_of(radii: Float64) -> int:
    """Return how many picks lie up to the knee of the curve of their radii, which never rises.

    Kneedle (Satopää, Albrecht, Irwin and Raghavan 2011) for a decreasing, convex curve without
    noise: with n and the radius both brought to [0, 1] over the curve, the knee is where the curve
    lies farthest below its chord, the first of equal points. The infinite radius of a first pick is
    left out; a curve of fewer than three points, or of one height, has no knee and is kept whole.

    >>> knee_of(np.array([np.inf, 8.0, 2.0, 1.5, 1.0, 0.5]))
    3
    """
    first = int(np.isinf(radii[:1]).sum())
    curve = radii[first:]
    if len(curve) < 3 or curve[0] == curve[-1]:
        return len(radii)
    x = np.linspace(0, 1, len(curve))
    y = (curve - curve[-1]) / (curve[0] - curve[-1])
    return first + 1 + int((1 - x - y).argmax())
