"""Threshold decay: accept in visiting order what is far enough, then lower the threshold.

The paper's Threshold Decay Filter, with the certainty and at the speed of greedy selection: rows
are visited in blocks, one after the other within a block by the block's own distances, and one
multiply applies a block's picks to the rows that may still matter. A row whose upper bound is below
the threshold is passed over without any work.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from entroloop.distances.spaces import Space
from entroloop.errors import InputError
from entroloop.pools.shard import Shard
from entroloop.pools.tree import Tree
from entroloop.samples import Array
from entroloop.selection.block import Block
from entroloop.selection.pool import only, visited_then
from entroloop.selection.state import Picks, SelectionState
from entroloop.selection.strategies.greedy import TREE_PICKS, greedy, pick_in_tree, take_first
from entroloop.system.threads import products_in_one_thread

BLOCK = 512  # rows that a visit returns
TARGET, AHEAD = 256, 512  # by strength: rows of largest value, and next ones in visiting order
SHARDED_BLOCK = 1536  # of a pool over several shards: fewer rounds
LARGEST_DECAY = 1 - 1e-7
FEW_DECAYS, DECAYS_AT_ONCE = 16, 4096


@products_in_one_thread()
def threshold_decay(
    state: SelectionState,
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
    visiting = _checked_order(state, order)
    if strength is not None:
        if threshold is not None or decay is not None:
            raise InputError("give strength, or threshold and decay, not both")
        return _by_strength(state, visiting, _number("strength", strength))
    decay = 0.95 if decay is None else _number("decay", decay)
    if not 0 <= decay <= LARGEST_DECAY:
        raise InputError(
            f"decay must lie in [0, 1), at most {LARGEST_DECAY}; got {decay} (for the limit of 1 "
            "take the strategy greedy)"
        )
    if threshold is None:
        threshold = _default_threshold(state, visiting)
    threshold = _number("threshold", threshold)
    if not 0 <= threshold < np.inf:
        raise InputError(f"threshold must be finite and not negative; got {threshold}")
    return _passes(state, visiting, threshold, decay)


def _number(name: str, value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float | np.number):
        raise InputError(f"{name} must be a number; got {value!r}")
    return float(value)


def _passes(state: SelectionState, order: NDArray[np.int64], tau: float, decay: float) -> Picks:
    """Pass over the rows, from a threshold τ on, until all picks are made."""
    pool, picks = state.pool, state.resumed_picks()
    position = 0
    if state.checkpoint is not None:
        tau = state.checkpoint.state.get("tau", tau)
        position = int(state.checkpoint.state.get("position", 0))
    _set_order(state, order)
    if state.in_tree:
        return _passes_in_tree(state, picks, order, tau, decay, position)
    while picks.missing:
        largest = _visit(state, picks, tau, position)
        if not picks.missing:
            break
        if tau == 0 or largest <= 0:  # what is left is at distance 0
            state.fill_with_duplicates(picks, order[pool.selectable[order]])
            break
        tau, position = _next_threshold(tau, decay, largest, pool.space), 0
    return picks


def _set_order(state: SelectionState, order: NDArray[np.int64], share: float = 1) -> None:
    """Set the visiting order, and leave out copies of rows that come before them in it: whatever is
    picked they have no larger value. They count where quotas do, or where any value is enough.
    """
    state.pool.set_order(order)
    if state.groups is None and share > 0 and not state.in_tree:
        state.pool.sharded.tell(Shard.set_aside_copies, True)


def _next_threshold(tau: float, decay: float, largest: float, space: Space) -> float:
    """Return the first of decay τ, decay² τ, … that a value up to `largest` may exceed.

    Multiplied step by step, as passes that accept nothing would do.
    """
    for _ in range(FEW_DECAYS):  # mostly one of them will do
        tau *= decay
        if space.value_of(tau) < largest or tau == 0:
            return tau
    while True:
        steps = np.full(DECAYS_AT_ONCE, decay)
        steps[0] = tau * decay
        taus = np.multiply.accumulate(steps)
        found = np.flatnonzero((space.value_of(taus) < largest) | (taus == 0))
        if len(found):
            return float(taus[found[0]])
        if taus[-1] == taus[-2]:  # the smallest numbers round to themselves: the limit is 0
            return 0.0
        tau = float(taus[-1])


def _visit(state: SelectionState, picks: Picks, tau: float, position: int) -> float:
    """Make one pass from a position in the order: accept what has a value > τ² to all accepted.

    Returns an upper bound of all values.
    """
    pool, largest = state.pool, np.inf
    level = float(pool.space.value_of(tau))
    while picks.missing and position < len(pool):
        found = pool.visit(position, level, BLOCK if len(pool.sharded) == 1 else SHARDED_BLOCK)
        position, largest = found.frontier + 1, found.largest
        if len(found.index):
            block = state.block(found)
            _accept_in_order(state, block, level, picks.missing)
            state.accept(picks, block, tau=tau, position=position)
    return largest


def _passes_in_tree(
    state: SelectionState,
    picks: Picks,
    order: NDArray[np.int64],
    tau: float,
    decay: float,
    position: int,
) -> Picks:
    """Make the same passes in the tree of a pool whose rows have few values."""
    while picks.missing:
        count = min(picks.missing, TREE_PICKS)
        found = state.pool.pick_in_tree(Tree.visit, position, tau, decay, count)
        position, tau = found.position, found.threshold
        state.accept_from_tree(picks, found, tau=tau, position=position)
        if len(found.index) < count:
            state.fill_with_duplicates(picks, order[state.pool.selectable[order]])
    return picks


def _accept_in_order(state: SelectionState, block: Block, level: float, missing: int) -> None:
    """Accept the rows of a block, in order, whose defining value exceeds the level."""
    position = 0
    while missing and position < len(block.index):
        if state.groups is None:
            taken, position = block.take_in_order(position, level, missing)
            missing -= taken
            if not missing or position == len(block.index):
                return
        far = block.values[position:] > level - block.error
        step = int(far.argmax())
        if not far[step]:
            return
        position += step
        if block.values[position] > level + block.error or block.defining(position) > level:
            state.take(block, position)
            missing -= 1
        position += 1


def _by_strength(state: SelectionState, order: NDArray[np.int64], strength: float) -> Picks:
    if not 0 <= strength <= 1:
        raise InputError(f"strength must lie in [0, 1]; got {strength}")
    if strength == 1:
        return greedy(state, first=None if state.pool.count else int(order[0]))
    pool, picks = state.pool, state.resumed_picks()
    share = float(pool.space.value_of(strength))
    if not pool.count:
        take_first(state, picks, int(order[0]))
    _set_order(state, order, share)
    if state.in_tree and share > 0:
        pick_in_tree(state, picks, order, Tree.by_share, share)
        return picks
    ahead = AHEAD
    while picks.missing:
        farthest = pool.farthest(TARGET)
        if farthest.copies and share > 0:
            state.fill_with_duplicates(picks, order[pool.selectable[order]])
            break
        largest = float(farthest.values.max(initial=0.0))
        # A level near the largest value keeps the rows that may be eligible few.
        level = max(farthest.level, 0.95 * largest or -1.0)
        farthest = only(farthest, np.flatnonzero(farthest.values >= level))
        visited = pool.visit(0, max(share * level, 0.0), ahead, strict=False)
        block = state.block(visited_then(visited, farthest))
        _pick_by_share(state, block, share, level, len(visited.index), picks.missing)
        state.accept(picks, block)
        # Where none of those ahead was eligible, look further ahead.
        ahead = AHEAD if block.count else 2 * ahead
    return picks


def _pick_by_share(
    state: SelectionState, block: Block, share: float, level: float, eligible: int, missing: int
) -> None:
    """Pick the first eligible row of at least `share` of the largest value, while that is known.

    The first `eligible` rows of the block are in visiting order, the others have large values. No
    row outside the block has a larger value than `level`.
    """
    while missing:
        if state.groups is None and share > 0:
            missing -= block.take_by_share(share, level, eligible, missing)
            if not missing:
                return
        found = _eligible(block, share, level, eligible)
        if found is None or not len(found):
            return
        state.take(block, int(found[0]))
        missing -= 1


def _eligible(block: Block, share: float, level: float, eligible: int) -> NDArray[np.int64] | None:
    """Return the positions of rows that reach their share; None where the largest is not known."""
    if share == 0:
        return np.flatnonzero(block.values[:eligible] > -np.inf)
    best = block.best()
    largest = block.values[best]
    if (block.count and largest - block.error <= level) or largest == -np.inf:
        return None
    if largest <= block.error and block.defining(best) <= 0:
        return None
    doubt = 2 * block.error
    found = np.flatnonzero(block.values[:eligible] >= share * largest - doubt)
    if len(found) and block.values[found[0]] <= share * largest + doubt:
        limit = share * block.defining(best)
        found = found[[block.defining(int(position)) >= limit for position in found]]
    return found


def _checked_order(state: SelectionState, order: Array | None) -> NDArray[np.int64]:
    """Return the selectable rows in visiting order."""
    m, selectable = len(state.pool), state.pool.selectable
    if order is None:
        order = state.rng.permutation(m)
    else:
        order = np.asarray(order)
        if order.dtype.kind not in "iu" or order.shape != (m,) or not _is_permutation(order):
            raise InputError(f"order must be a permutation of the pool's indices 0 … {m - 1}")
        order = order.astype(np.int64)
    return order if selectable.all() else order[selectable[order]]


def _is_permutation(order: NDArray[Any]) -> bool:
    if order.min() < 0 or order.max() >= len(order):
        return False
    return int(np.bincount(order.astype(np.int64)).max()) == 1


def _default_threshold(state: SelectionState, order: NDArray[np.int64]) -> float:
    pool = state.pool
    return float(pool.space.distance_of(pool.largest_value_to(pool.sharded.take(order[:1])[0])))
