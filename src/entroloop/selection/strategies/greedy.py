"""Greedy selection: exact farthest-point sampling by blocks.

Farthest-point sampling (Gonzalez 1985; the paper's Greedy Selection) adds, again and again, the row
whose nearest chosen row is farthest. Done by a pass over the pool for every pick it runs at the
speed of memory. Here the rows of largest value form a block; picks are made within it as long as
they beat every bound outside, and then applied to the pool at once, by one matrix multiply. The
picks are those of the definition, index by index: `Shard` and `Block` keep rounding from deciding,
and neither the blocks nor the parts that a pool lies in can change them.
"""

from __future__ import annotations

import numpy as np

from entroloop.errors import InputError
from entroloop.selection.block import Block
from entroloop.selection.state import Picks, Task

BLOCK_ROWS = 320
WIDE, WIDE_BLOCK_ROWS = 1024, 768  # rows of so many values cost more to fetch: fetch them less
SPREAD_BLOCK_ROWS = 1024  # a pool in several places: fewer rounds


def greedy(task: Task, *, first: int | None = None) -> Picks:
    """Pick, n times, the row whose nearest chosen row is farthest; the lowest index wins ties.

    first: the first pick (default: drawn by the seed); with `initial` rows it is the row farthest
    from those. Rows at distance 0 come last, in index order.

    Raises InputError for a `first` that cannot be picked.
    """
    pool, picks = task.pool, task.begin()
    if first is None and not pool.count:
        first = int(task.rng.choice(task.open_rows))
    if first is not None and not picks.indices:
        if isinstance(first, bool) or not isinstance(first, int | np.integer):
            raise InputError(f"first must be a whole number, the index of a row; got {first!r}")
        if not (0 <= first < len(pool) and pool.open[first]):
            last = len(pool) - 1
            raise InputError(f"first must be a row that can be picked, 0 … {last}; got {first}")
        take_first(task, picks, int(first))
    target = block_rows(task)
    while picks.missing:
        found = pool.farthest(target)
        if found.copies:
            task.fill_with_duplicates(picks, task.open_rows)
            break
        block = task.block(found)
        pick_while_above(task, block, found.level, picks.missing)
        task.accept(picks, block)
    return picks


def block_rows(task: Task) -> int:
    """Return how many rows a block is to have."""
    if len(task.pool.parts) > 1:
        return SPREAD_BLOCK_ROWS
    return WIDE_BLOCK_ROWS if task.width >= WIDE else BLOCK_ROWS


def take_first(task: Task, picks: Picks, first: int) -> None:
    """Make a given row the first pick."""
    block = task.block(task.pool.one(first))
    block.take(0)
    task.count_group(first)
    task.accept(picks, block)


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
        if task.groups is None:
            continue
        full = task.count_group(int(block.index[place]))
        if full is not None:
            block.drop(np.flatnonzero(task.groups[block.index] == full))
