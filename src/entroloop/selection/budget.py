"""What a selection takes: memory, operations, and over several shards rounds, bytes and seconds.

The cost over shards has a form that follows from the algorithm; its constants are fitted to
measured runs by `benchmarks/scale.py model`, which also tells how well they predict a size that
they were not fitted to (docs/scale.md). They are those of one thread a shard and clustered data.
"""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass

import numpy as np

from entroloop.distances.table import DISTANCES
from entroloop.errors import InputError
from entroloop.pools.rows import MappedRows, Rows
from entroloop.pools.sketches import sketch_bytes
from entroloop.pools.tree import pays, tree_bytes
from entroloop.samples import Float64
from entroloop.system.memory import available_bytes

SHARDED_BLOCK_ROWS = 1024  # of a greedy block over several shards: fewer rounds than small ones
ROUNDS = (13.1, 0.29)  # of such blocks: the first, and what √n adds
SECONDS = (1.4, 1.7e-11)  # of `terms`
WORKING_BYTES = 256 * 2**20  # tiles, blocks and what libraries hold


@dataclass(frozen=True)
class Cost:
    """Rounds, bytes over the network in both directions, and seconds."""

    rounds: int
    network_bytes: int
    seconds: float


@dataclass(frozen=True, kw_only=True)
class Budget:
    """What a selection takes in each shard: bytes beyond the pool, and operations at most.

    centred_copy: whether a centred copy of the rows fits. in_tree: picks are made in a tree of
    boxes. available: bytes of memory here, where
    that is known. cost: of greedy, over several shards.
    """

    bytes: int
    operations: float
    centred_copy: bool
    available: int | None
    in_tree: bool = False
    shards: int = 1
    cost: Cost | None = None

    def __str__(self) -> str:
        size = f"{self.bytes / 2**30:.2f} GiB beyond the pool"
        work = f"at most {self.operations:.1e} operations"
        text = f"{size}, {work}" + ("" if self.centred_copy else ", rows read anew for each use")
        if self.cost is None:
            return text
        network = self.cost.network_bytes / 2**30
        return (
            f"{text}, in each of {self.shards} shards; greedily about {self.cost.rounds} rounds, "
            f"{network:.2g} GiB over the network, {self.cost.seconds:.0f} s"
        )

    def check(self) -> None:
        """Refuse what cannot fit on this machine.

        Raises InputError that says what it would take and what there is.
        """
        if self.available is not None and self.bytes > self.available:
            raise _too_large(self.bytes, self.available, "")

    def check_machines(self, memory: list[tuple[str, int | None]]) -> None:
        """Refuse what does not fit on a machine together with its other shards.

        memory: the machine of each shard, and its available bytes.
        """
        for machine, shards in Counter(machine for machine, _ in memory).items():
            free = [bytes for name, bytes in memory if name == machine and bytes is not None]
            if free and shards * self.bytes > min(free):
                raise _too_large(
                    shards * self.bytes, min(free), f" on {machine}, for {shards} shards"
                )


def _too_large(needed: int, free: int, where: str) -> InputError:
    return InputError(
        f"this selection takes {needed / 2**30:.1f} GiB and {free / 2**30:.1f} GiB are free{where};"
        " choose fewer rows, features of fewer values, or a smaller dtype"
    )


def budget_for(
    rows: Rows,
    n: int,
    metric: str,
    *,
    initial: int = 0,
    copies: int = 0,
    shards: int = 1,
) -> Budget:
    """Return the memory and operations needed per shard to select n rows.

    initial: how many rows count as chosen already. copies: float64 arrays of the pool's size that
    the strategy makes.
    """
    (m, d), dtype = rows.shape, rows.dtype
    m = -(-m // shards)
    transformed = DISTANCES[metric].learn is not None
    item = 8 if transformed else dtype.itemsize
    picks = (n + initial) * d * (item + 4 + 8)  # as stored, in float32, and again in float64
    in_tree = shards == 1 and pays(m, d, n + initial)
    state = m * (7 * 8 + 8 + 10) + in_tree * tree_bytes(m, d)
    available = available_bytes()
    least = m * d * 8 * transformed + picks + state + WORKING_BYTES + copies * m * d * 8
    copy = m * d * 4 + sketch_bytes(m + n + initial, d)
    # A memory map is left on disk where a copy would take more than half of what there is.
    limit = float("inf") if available is None else available / 2 / shards
    if isinstance(rows, MappedRows):
        limit = min(limit, 2**30)
    fits = least + copy <= limit
    return Budget(
        bytes=least + copy * fits,
        operations=2.0 * m * (n + initial) * d,
        centred_copy=fits,
        available=available,
        in_tree=in_tree,
        shards=shards,
        cost=cost(rows.shape[0], n, d, item, shards) if shards > 1 else None,
    )


def rounds(n: int) -> float:
    """Return about how many rounds n picks take: the more are chosen, the more a block gives."""
    return ROUNDS[0] + ROUNDS[1] * math.sqrt(n)


def terms(m: int, n: int, d: int, shards: int) -> Float64:
    """Return what time is linear in: 1 for the start, and a shard's multiplications m n d / shards.

    Bounds leave 30 to 40 % of them to be done, at every size tried. Fetching rows once a round was
    a third term, and was fitted to nothing.
    """
    return np.array([1.0, m * n * d / shards])


def cost(m: int, n: int, d: int, itemsize: int, shards: int) -> Cost:
    """Return the cost of choosing n of m rows of d values over several shards.

    Each round every shard sends its share of a block (rows, index, value, weight) and receives all
    picks of the previous round.
    """
    row = d * itemsize
    up = rounds(n) * SHARDED_BLOCK_ROWS * (row + 24)
    down = n * (row + 8) * shards
    seconds = float(np.dot(SECONDS, terms(m, n, d, shards)))
    return Cost(round(rounds(n)), round(up + down), seconds)
