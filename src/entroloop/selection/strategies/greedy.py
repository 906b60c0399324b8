"""Greedy selection: exact farthest-point sampling by blocks.

Farthest-point sampling (Gonzalez 1985; the paper's Greedy Selection) adds, again and again, the row
whose nearest chosen row is farthest:

    p_{t+1} = argmax_i min_{j ≤ t} d(x_i, p_j).

Done by a pass over the pool for every pick it runs at the speed of memory. Here the rows of largest
value form a block; picks are made within it as long as they beat every bound outside, and are then
applied to the pool at once, by one matrix multiply. The picks are those of the definition, index by
index: `Bounds` and `Block` keep rounding from deciding, and neither the blocks nor the shards that
a pool lies in can change them (docs/selection-engine.md).
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from entroloop.errors import InputError
from entroloop.pools.shard import Shard
from entroloop.pools.tree import PickedInTree, Tree
from entroloop.samples import Array
from entroloop.selection.block import Block
from entroloop.selection.budget import SHARDED_BLOCK_ROWS
from entroloop.selection.state import Picks, SelectionState
from entroloop.selection.stopping import Watch
from entroloop.system.threads import products_in_one_thread

BLOCK_ROWS = 320
TREE_PICKS = 2048  # made between two reports of progress
WIDE, WIDE_BLOCK_ROWS = 1024, 768  # rows of so many values cost more to fetch: fetch them less


@products_in_one_thread()
def greedy(state: SelectionState, *, first: int | None = None) -> Picks:
    """Pick, n times, the row whose nearest chosen row is farthest; the lowest index wins ties.

    first: the first pick (default: drawn by the seed); with `initial` rows it is the row farthest
    from those. Rows at distance 0 come last, in index order. Fewer than n where `Stopping` says so.

    Raises InputError for a `first` that cannot be picked.
    """
    pool, picks = state.pool, state.resumed_picks()
    watch = state.watch(picks)
    if first is None and not pool.count:
        first = int(state.rng.choice(state.selectable))
    if first is not None and not picks.indices:
        take_first(state, picks, _checked_first(state, first), watch)
    if state.in_tree:
        pick_in_tree(state, picks, state.selectable, Tree.farthest)
        return picks
    if state.groups is None and watch is None:  # they fill quotas, and count as covered
        pool.sharded.tell(Shard.set_aside_copies)
    target = block_rows(state)
    while picks.missing and not (watch and watch.enough):
        found = pool.farthest(target)
        if found.copies:
            if watch is None:
                state.fill_with_duplicates(picks, state.selectable)
            break
        block = state.block(found)
        pick_while_above(state, block, found.level, picks.missing)
        if watch is not None:
            watch.keep(block)
        state.accept(picks, block)
    if state.stopping is not None and picks.missing:
        picks.stopped_by = state.stopping.reason
        if state.progress is not None:
            state.progress(len(picks.indices), len(picks.indices))
    return picks


def block_rows(state: SelectionState) -> int:
    """Return how many rows a block is to have."""
    if len(state.pool.sharded) > 1:
        return SHARDED_BLOCK_ROWS
    return WIDE_BLOCK_ROWS if state.width >= WIDE else BLOCK_ROWS


def take_first(state: SelectionState, picks: Picks, first: int, watch: Watch | None = None) -> None:
    """Make a given row the first pick."""
    if state.in_tree:
        state.accept_from_tree(picks, state.pool.pick_in_tree(Tree.take, first))
        return
    block = state.block(state.pool.row(first))
    state.take(block, 0)
    if watch is not None:
        watch.keep(block)
    state.accept(picks, block)


def pick_in_tree(
    state: SelectionState, picks: Picks, copies: Array, how: Callable[..., PickedInTree],
    *arguments: float,
) -> None:  # fmt: skip
    """Make all picks in the tree of a pool whose rows have few values; how: a method of `Tree`.

    copies: the order in which copies of picks fill up.
    """
    while picks.missing:
        count = min(picks.missing, TREE_PICKS)
        found = state.pool.pick_in_tree(how, *arguments, count)
        state.accept_from_tree(picks, found)
        if len(found.index) < count:
            left = copies[state.pool.selectable[copies]]
            state.fill_with_duplicates(picks, left)
            return


def pick_while_above(state: SelectionState, block: Block, level: float, missing: int) -> None:
    """Pick within a block as long as the best row certainly beats all rows outside it.

    level: no row outside the block has a larger value. The first pick needs no such test: the block
    was made so that a row of it has the largest value of all.
    """
    while missing:
        if state.groups is None:
            missing -= block.take_above(level, missing)
            if not missing:
                return
        best = block.best()
        value = block.values[best]
        if block.count and value - block.error <= level:
            return
        if value <= block.error and block.defining(best) <= 0:
            return  # copies of what is chosen: they come last
        state.take(block, best)
        missing -= 1


def _checked_first(state: SelectionState, first: object) -> int:
    if isinstance(first, bool) or not isinstance(first, int | np.integer):
        raise InputError(f"first must be a whole number, the index of a row; got {first!r}")
    last = len(state.pool) - 1
    if not (0 <= first <= last and state.pool.selectable[first]):
        raise InputError(f"first must be a row that can be picked, 0 … {last}; got {first}")
    return int(first)
