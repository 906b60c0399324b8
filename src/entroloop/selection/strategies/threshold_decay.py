"""Threshold decay: accept in visiting order what is far enough, then lower the threshold.

The paper's Threshold Decay Filter, with the certainty and at the speed of greedy selection: rows
are treated in blocks, one after the other within a block by the block's own distances, and one
multiply applies a block's picks to the rows that may still matter. A row whose upper bound is below
the threshold is passed over without any work.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from entroloop.errors import InputError
from entroloop.samples import Array
from entroloop.selection.block import Block
from entroloop.selection.rounds import joined, without
from entroloop.selection.state import Picks, Task
from entroloop.selection.strategies.greedy import greedy, take_first

BLOCK = 512  # rows that are visited at once
SPREAD_BLOCK = 1536  # of a pool in several places: fewer rounds
LARGEST_DECAY = 1 - 1e-7


def threshold_decay(
    task: Task,
    *,
    threshold: float | None = None,
    decay: float | None = None,
    order: Array | None = None,
    strength: float | None = None,
) -> Picks:
    """Pick n rows: visit them in `order`, accept one if it is farther than τ from all accepted.

    Accepted is what has a value > τ² to every accepted row (weights multiply the distance); after
    a pass τ ← decay · τ in float64, and what is left is visited again. Defaults: order, a
    permutation by the seed; threshold, the largest distance to order[0]; decay, 0.95. Once only
    rows at distance 0 are left, they fill up in visiting order.

    strength in [0, 1], instead of threshold and decay: each pick is the first row in visiting
    order whose value is at least strength² times the largest at that moment. So 0 takes order[:n],
    1 is greedy from order[0], and between them the threshold follows the radius of the data.

    Raises InputError for values outside these ranges, or an order that is no permutation.
    """
    places = _checked_order(task, order)
    if strength is not None:
        if threshold is not None or decay is not None:
            raise InputError("give strength, or threshold and decay, not both")
        return _by_strength(task, places, _number("strength", strength))
    decay = 0.95 if decay is None else _number("decay", decay)
    if not 0 <= decay <= LARGEST_DECAY:
        raise InputError(
            f"decay must lie in [0, 1), at most {LARGEST_DECAY}; got {decay} (for the limit of 1 "
            "take the strategy greedy)"
        )
    if threshold is None:
        threshold = _default_threshold(task, places)
    threshold = _number("threshold", threshold)
    if not 0 <= threshold < np.inf:
        raise InputError(f"threshold must be finite and not negative; got {threshold}")
    return _passes(task, places, threshold, decay)


def _number(name: str, value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float | np.number):
        raise InputError(f"{name} must be a number; got {value!r}")
    return float(value)


def _passes(task: Task, order: NDArray[np.int64], tau: float, decay: float) -> Picks:
    pool, picks = task.pool, task.begin()
    power, position = pool.space.power, 0
    if task.journal is not None:
        tau = task.journal.state.get("tau", tau)
        position = int(task.journal.state.get("position", 0))
    pool.set_order(order)
    while picks.missing:
        largest = _visit(task, picks, tau, position)
        if not picks.missing:
            break
        if tau == 0 or largest <= 0:  # what is left is at distance 0
            task.fill_with_duplicates(picks, order[pool.open[order]])
            break
        tau, position = _next_threshold(tau, decay, largest, power), 0
    return picks


def _next_threshold(tau: float, decay: float, largest: float, power: int) -> float:
    """Return the first of decay τ, decay² τ, … that a value up to `largest` may exceed.

    Multiplied step by step, as passes that accept nothing would do.
    """
    while True:
        steps = np.full(4096, decay)
        steps[0] = tau * decay
        taus = np.multiply.accumulate(steps)
        levels = taus * taus if power == 2 else taus
        found = np.flatnonzero((levels < largest) | (taus == 0))
        if len(found):
            return float(taus[found[0]])
        if taus[-1] == taus[-2]:  # the smallest numbers round to themselves: the limit is 0
            return 0.0
        tau = float(taus[-1])


def _visit(task: Task, picks: Picks, tau: float, position: int) -> float:
    """Make one pass from a place in the order: accept what has a value > τ² to all accepted.

    Returns a bound of all values.
    """
    pool, largest = task.pool, np.inf
    level = tau * tau if pool.space.power == 2 else tau
    while picks.missing and position < len(pool):
        found = pool.visit(position, level, BLOCK if len(pool.parts) == 1 else SPREAD_BLOCK)
        position, largest = found.frontier + 1, found.largest
        if len(found.index):
            block = task.block(found)  # with defining values: a value at the threshold decides
            _accept_in_order(task, block, level, picks.missing)
            task.accept(picks, block, tau=tau, position=position)
    return largest


def _accept_in_order(task: Task, block: Block, level: float, missing: int) -> None:
    place = 0
    while missing:
        far = block.values[place:] > level - block.error
        step = int(far.argmax())
        if not far[step]:
            return
        place += step
        if block.values[place] > level + block.error or block.defining(place) > level:
            block.take(place)
            missing -= 1
            full = task.count_group(int(block.index[place]))
            if full is not None and task.groups is not None:
                block.drop(np.flatnonzero(task.groups[block.index] == full))
        place += 1
        if place == len(block.index):
            return


def _by_strength(task: Task, order: NDArray[np.int64], strength: float) -> Picks:
    if not 0 <= strength <= 1:
        raise InputError(f"strength must lie in [0, 1]; got {strength}")
    if strength == 1:
        return greedy(task, first=None if task.pool.count else int(order[0]))
    pool, picks = task.pool, task.begin()
    share = strength * strength if pool.space.power == 2 else strength
    if not pool.count:
        take_first(task, picks, int(order[0]))
    pool.set_order(order)
    target, ahead = BLOCK // 2, BLOCK // 2
    while picks.missing:
        farthest = pool.farthest(target)
        if farthest.copies and share > 0:
            task.fill_with_duplicates(picks, order[pool.open[order]])
            break
        largest = float(farthest.values.max(initial=0.0))
        # A level near the largest value keeps the rows that may be eligible few.
        level = max(farthest.level, 0.95 * largest or -1.0)
        farthest = without(farthest, np.flatnonzero(farthest.values >= level))
        visited = pool.visit(0, max(share * level, 0.0), ahead, strict=False)
        block = task.block(joined(farthest, visited))
        _pick_by_share(task, block, share, level, len(visited.index), picks.missing)
        task.accept(picks, block)
        # Where none of those ahead was eligible, look further ahead.
        ahead = BLOCK // 2 if block.count else 2 * ahead
    return picks


def _pick_by_share(
    task: Task, block: Block, share: float, level: float, eligible: int, missing: int
) -> None:
    """Pick the first eligible row of at least `share` of the largest value, while that is known."""
    while missing:
        largest_at = block.best()
        largest = block.values[largest_at]
        if share == 0:
            found = np.flatnonzero(block.values[:eligible] > -np.inf)
        elif (block.count and largest - block.error <= level) or largest == -np.inf:
            return
        else:
            if largest <= block.error and block.defining(largest_at) <= 0:
                return
            doubt = 2 * block.error
            found = np.flatnonzero(block.values[:eligible] >= share * largest - doubt)
            if len(found) and block.values[found[0]] <= share * largest + doubt:
                limit = share * block.defining(largest_at)
                found = found[[block.defining(int(place)) >= limit for place in found]]
        if not len(found):
            return
        block.take(int(found[0]))
        missing -= 1
        full = task.count_group(int(block.index[found[0]]))
        if full is not None and task.groups is not None:
            block.drop(np.flatnonzero(task.groups[block.index] == full))


def _checked_order(task: Task, order: Array | None) -> NDArray[np.int64]:
    m = len(task.pool)
    if order is None:
        order = task.rng.permutation(m)
    order = np.asarray(order)
    if (
        order.dtype.kind not in "iu"
        or order.shape != (m,)
        or not np.array_equal(np.sort(order), np.arange(m))
    ):
        raise InputError(f"order must be a permutation of the pool's indices 0 … {m - 1}")
    places: NDArray[np.int64] = order[task.pool.open[order]].astype(np.int64)
    return places


def _default_threshold(task: Task, order: NDArray[np.int64]) -> float:
    pool = task.pool
    largest = pool.reach_from(pool.parts.take(order[:1])[0])
    return float(np.sqrt(largest)) if pool.space.power == 2 else largest
