"""All pairs of a pool's rows within a radius, over the shards that hold it.

Each shard sorts a stretch of its rows and is asked for the pairs of other stretches with it, its
own among them. Of two shards one is asked for their pairs, by turns, so that all have about as much
to do. Every answer is kept in a checkpoint. Where far too many pairs lie within the radius, a draw
of rows tells before the search begins.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise, zip_longest

import numpy as np
from numpy.typing import NDArray

from entroloop.cleaning.checkpoint import PairCheckpoint
from entroloop.distances.ranges import Values, as_float64
from entroloop.distances.table import DISTANCES
from entroloop.distances.within import Pairs
from entroloop.errors import InputError
from entroloop.pools.hosts import ShardedRows
from entroloop.pools.rows import Rows
from entroloop.pools.shard import PairSearch, Shard
from entroloop.samples import Float64
from entroloop.seeding import rng_for
from entroloop.system.progress_line import Progress

SORTED_BYTES = 2**30  # of a stretch that is sorted, in float32
ASKED_ROWS, ASKED_BYTES = 131_072, 2**27  # of a stretch of queries, in float64
DRAWN, DRAWN_BYTES = 2048, 2**27  # rows, in float64, that tell beforehand how many pairs there are
CERTAIN = 5  # standard errors
FEW = 10  # pairs that tell no quantile


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
    if not checkpoint.done:
        _refuse_too_many(shards, rows.shape[1], np.flatnonzero(kept), metric, radius, most)
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
            distances = np.concatenate([f.distances for f in (*checkpoint.found, *pairs)])
            told = f"{done / total:.1%} of the pool was searched"
            raise _too_many(distances, most, done / total, radius, told)
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


def _refuse_too_many(
    shards: ShardedRows,
    width: int,
    kept: NDArray[np.int64],
    metric: str,
    radius: float,
    most: int,
) -> None:
    """Refuse a radius within which there are certainly more than `most` pairs of the rows kept.

    Of m rows a and m others b, drawn at random, the share p of pairs (a, b) within the radius
    estimates that of all pairs. Pairs that share a row depend on one another: the variance of p is
    at most about that of the rows' own shares, var_a/m + var_b/m. What lies within `CERTAIN` of its
    roots is left to the search itself.

    Raises InputError that names a smaller radius.
    """
    total = len(kept) * (len(kept) - 1) // 2
    m = min(DRAWN, len(kept) // 2, DRAWN_BYTES // (8 * width))
    if total <= most or m < 2:
        return
    drawn = rng_for(0, 0, "pairs").choice(len(kept), 2 * m, replace=False)
    learn = DISTANCES[metric].learn
    values: Values = as_float64 if learn is None else learn(tuple)
    x = values(shards.take(kept[drawn]))
    with np.errstate(over="ignore", invalid="ignore"):  # of rows that the search refuses
        x = x - x.mean(axis=0)
        squares = np.einsum("ij,ij->i", x, x)
        tile = squares[:m, None] + squares[m:] - 2 * x[:m] @ x[m:].T
        within = tile <= radius * radius
    error = np.sqrt(sum(within.mean(axis=axis).var(ddof=1) for axis in (0, 1)) / m)
    share = float(within.mean())
    if (share - CERTAIN * error) * total > most:
        told = f"about {share * total:.2g}, by {m:,} × {m:,} rows, before the search"
        raise _too_many(np.sqrt(tile[within].clip(0)), most, m * m / total, radius, told)


def _too_many(distances: Float64, most: int, done: float, radius: float, told: str) -> InputError:
    """Return the error; distances: of the pairs found in a part `done` of all."""
    # As many again where the search has not been; a third of what fits leaves room for chance.
    fit = most * done / 3
    smaller = float(np.quantile(distances, min(fit / len(distances), 1.0))) if fit > FEW else 0.0
    mend = f"try a threshold of {smaller:.3g}" if 0 < smaller < radius else "try a far smaller one"
    return InputError(
        f"more than {most:,} pairs lie within {radius:g} ({told}); {mend}, or allow more pairs "
        "(most_pairs, 24 bytes each)"
    )
