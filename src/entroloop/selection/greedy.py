"""Greedy selection: exact farthest-point sampling by blocks.

Farthest-point sampling (Gonzalez 1985; the paper's Greedy Selection) adds, again and again, the row
whose nearest chosen row is farthest. Done by a pass over the pool for every pick it runs at the
speed of memory. Here the rows of largest value form a block; picks are made within it as long as
they beat every bound outside, and then applied to the pool at once, by one matrix multiply. The
picks are those of the definition, index by index: `Shard` and `Block` keep rounding from deciding.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from entroloop.errors import InputError
from entroloop.selection.block import LARGEST, Block
from entroloop.selection.task import Picks, Task
from entroloop.shards import Shard

BLOCK_ROWS = 320
WIDE, WIDE_BLOCK_ROWS = 1024, 768  # rows of so many values cost more to fetch: fetch them less


def greedy(task: Task, *, first: int | None = None) -> Picks:
    """Pick, n times, the row whose nearest chosen row is farthest; the lowest index wins ties.

    first: the first pick (default: drawn by the seed); with `initial` rows it is the row farthest
    from those. Rows at distance 0 come last, in index order.

    Raises InputError for a `first` that cannot be picked.
    """
    shard, picks = task.shard, Picks(task.n)
    if first is None and not shard.count:
        first = int(task.rng.choice(task.open_rows))
    if first is not None:
        if isinstance(first, bool) or not isinstance(first, int | np.integer):
            raise InputError(f"first must be a whole number, the index of a row; got {first!r}")
        if not (0 <= first < len(shard.rows) and shard.open[first]):
            last = len(shard.rows) - 1
            raise InputError(f"first must be a row that can be picked, 0 … {last}; got {first}")
        take_first(task, picks, first)
    target = block_rows(shard)
    wanted = target  # how many of the largest bounds give a block of that size, once up to date
    while picks.missing:
        level, index, reached = level_set(task, wanted, target)
        if level < 0 and not (shard.exact(index) > 0).any():
            task.fill_with_duplicates(picks, index)
            break
        if len(index) > LARGEST and shard.raise_precision():
            continue
        wanted = int(np.clip(wanted * target / max(reached, 1), max(64, wanted / 2), 2 * wanted))
        block = task.block(index)
        pick_while_above(task, block, level, picks.missing)
        task.accept(picks, block.index[block.picks], block.radii())
    return picks


def block_rows(shard: Shard) -> int:
    """Return how many rows a block is to have."""
    return WIDE_BLOCK_ROWS if shard.rows.shape[1] >= WIDE else BLOCK_ROWS


def take_first(task: Task, picks: Picks, first: int) -> None:
    """Make a given row the first pick."""
    start = np.array([first])
    task.shard.refresh(start)
    task.count_group(first)
    task.accept(picks, start, task.shard.exact(start))


def level_set(task: Task, wanted: int, target: int) -> tuple[float, NDArray[np.int64], int]:
    """Return a level, the rows whose value reaches it or may, and how many bounds were looked at.

    Of the `wanted` largest bounds about `target` are left once they are up to date. The largest
    value certainly lies above the level, so that a pick can be made. Level −1 takes all rows.
    """
    shard, rank = task.shard, wanted
    level = _at_rank(shard.upper, rank)
    while True:
        index = shard.above(level)
        certain = float(shard.lower(index).max(initial=0.0))
        if level < 0 or certain > level:
            break
        if len(index):  # rows in doubt at the level itself: go just below what is certain
            level = certain * (1 - 1e-6) if certain > 0 else -1.0
        else:  # the bounds were old, all have fallen below the level
            rank *= 2
            level = _at_rank(shard.upper, rank)
    reached = len(index)
    if reached > target:  # now that bounds are up to date a higher level may do
        higher = _at_rank(shard.upper[index], target)
        if certain > higher > level:
            level, index = higher, index[shard.upper[index] >= higher]
    return level, index, reached


def _at_rank(bounds: NDArray[np.float64], rank: int) -> float:
    """Return the rank-th largest bound, −1 where there are not so many open rows."""
    if rank >= len(bounds):
        return -1.0
    level = float(np.partition(bounds, len(bounds) - rank)[len(bounds) - rank])
    return level if level >= 0 else -1.0


def pick_while_above(task: Task, block: Block, level: float, missing: int) -> None:
    """Pick within a block as long as the best row certainly beats all rows outside it."""
    while missing:
        place = block.best()
        value = block.values[place]
        if block.count and value - block.error <= level:
            return
        if value <= block.error and block.defining(place) <= 0:
            return  # copies of what is chosen: they come last
        block.take(place)
        missing -= 1
        full = task.count_group(int(block.index[place]))
        if full is not None and task.groups is not None:
            block.drop(np.flatnonzero(task.groups[block.index] == full))
