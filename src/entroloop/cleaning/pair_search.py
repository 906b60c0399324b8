"""All pairs of a pool's rows within a radius, over the shards that hold it.

Each shard sorts a stretch of its rows and is asked for the pairs of other stretches with it, its
own among them. Of two shards one is asked for their pairs, by turns, so that all have about as much
to do. Every answer is kept in a checkpoint.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise, zip_longest

import numpy as np
from numpy.typing import NDArray

from entroloop.cleaning.checkpoint import PairCheckpoint
from entroloop.distances.neighbors import Pairs
from entroloop.errors import InputError
from entroloop.pools.hosts import ShardedRows
from entroloop.pools.rows import Rows
from entroloop.pools.shard import PairSearch, Shard
from entroloop.system.progress_line import Progress

SORTED_BYTES = 2**30  # of a stretch that is sorted, in float32
ASKED_ROWS, ASKED_BYTES = 131_072, 2**27  # of a stretch of queries, in float64


@dataclass(frozen=True)
class _Task:
    """The pairs of two stretches [start, stop) of the pool: one is sorted, one asked for."""

    number: int
    sorted: tuple[int, int]
    asked: tuple[int, int]

    @property
    def work(self) -> int:
        """How many pairs of rows it looks at."""
        return (self.sorted[1] - self.sorted[0]) * (self.asked[1] - self.asked[0])


def pairs_of_pool(
    shards: ShardedRows,
    rows: Rows,
    kept: NDArray[np.bool_],
    *,
    metric: str,
    radius: float,
    most: int,
    checkpoint: PairCheckpoint,
    progress: Progress,
) -> Pairs:
    """Return all pairs i < j of the rows kept whose distance is at most the radius, by i, then j.

    Raises InputError, which names a smaller radius, where there are more than `most`.
    """
    queues = _queues(shards.bounds, rows.shape[1])
    total = sum(task.work for queue in queues for task in queue)
    left = [[t for t in queue if t.number not in checkpoint.done] for queue in queues]
    done = float(total - sum(task.work for queue in left for task in queue))
    for turn in zip_longest(*left):
        progress(int(done), total)
        count = sum(len(f.rows) for f in checkpoint.found)
        asked = [
            (None if task is None else _search(task, rows, kept, metric, radius, most - count),)
            for task in turn
        ]
        answers = shards.ask_each(Shard.pairs, asked)
        pairs = [answer[0] for answer in answers if answer is not None]
        parts = [0.0 if answer is None else answer[1] for answer in answers]
        done += sum(t.work * part for t, part in zip(turn, parts, strict=True) if t is not None)
        if count + sum(len(p.rows) for p in pairs) > most:
            raise _too_many([*checkpoint.found, *pairs], most, done / total, radius)
        checkpoint.add([t.number for t in turn if t is not None], pairs)
    progress(total, total)
    return _in_order(checkpoint.found)


def _search(
    task: _Task, rows: Rows, kept: NDArray[np.bool_], metric: str, radius: float, most: int
) -> PairSearch:
    (start, stop), (first, last) = task.sorted, task.asked
    return PairSearch(
        metric=metric,
        radius=radius,
        start=start,
        stop=stop,
        kept=kept[start:stop],
        queries=rows.between(first, last),
        first=first,
        asked=kept[first:last],
        most=most,
    )


def _queues(bounds: Sequence[int], width: int) -> list[list[_Task]]:
    """Return what each shard is asked, in order: stretch by stretch that it sorts.

    Of shards i and j the later one sorts if their numbers are one odd and one even, else the other.
    """
    most = max(1, SORTED_BYTES // (4 * width))
    step = max(1, min(ASKED_ROWS, ASKED_BYTES // (8 * width)))
    sorted_ = [_cut(a, b, most) for a, b in pairwise(bounds)]
    queues: list[list[_Task]] = [[] for _ in sorted_]
    number = 0
    for i, stretches in enumerate(sorted_):
        for k, own in enumerate(stretches):
            asked = [stretch for earlier in stretches[: k + 1] for stretch in _cut(*earlier, step)]
            for j, others in enumerate(sorted_):
                if j != i and i == (max(i, j) if (i + j) % 2 else min(i, j)):
                    asked += [s for other in others for s in _cut(*other, step)]
            for queries in asked:
                queues[i].append(_Task(number, own, queries))
                number += 1
    return queues


def _cut(start: int, stop: int, most: int) -> list[tuple[int, int]]:
    return [(at, min(at + most, stop)) for at in range(start, stop, most)]


def _in_order(found: Sequence[Pairs]) -> Pairs:
    """Return all pairs, the lower row first, sorted."""
    none = np.empty(0, dtype=np.int64)
    a = np.concatenate([none, *(f.queries for f in found)])
    b = np.concatenate([none, *(f.rows for f in found)])
    distances = np.concatenate([np.empty(0), *(f.distances for f in found)])
    low, high = np.minimum(a, b), np.maximum(a, b)
    order = np.lexsort((high, low))
    return Pairs(low[order], high[order], distances[order])


def _too_many(found: Sequence[Pairs], most: int, done: float, radius: float) -> InputError:
    distances = np.concatenate([f.distances for f in found])
    # As many again where the search has not been; a third of what fits leaves room for chance.
    share = most * done / len(distances) / 3
    smaller = float(np.quantile(distances, min(max(share, 0.0), 1.0)))
    mend = f"try a threshold of {smaller:.3g}" if 0 < smaller < radius else "try a far smaller one"
    return InputError(
        f"more than {most:,} pairs lie within {radius:g} ({done:.1%} of the pool was searched); "
        f"{mend}, or allow more pairs (most_pairs, 24 bytes each)"
    )
