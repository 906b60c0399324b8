"""Near-duplicates of a pool: pairs of rows, groups, and who represents each group."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from entroloop.cleaning.checkpoint import PairCheckpoint
from entroloop.cleaning.pair_search import pairs_of_pool
from entroloop.data.loading import load
from entroloop.distances.neighbors import in_order_of_first
from entroloop.distances.within import Pairs
from entroloop.errors import InputError, unknown_name
from entroloop.pools.hosts import Hosts, InProcess, PoolEngine, ShardedRows
from entroloop.pools.rows import Rows, is_rows, rows_of
from entroloop.pools.shard import Shard
from entroloop.samples import Float64, as_vectors, check_rows, invalid_rows
from entroloop.system.progress_line import Progress, ProgressLine, no_progress

MOST_PAIRS = 20_000_000  # 24 bytes each, and as much again while they are put in order
DISTANCES = ("euclidean", "cosine")
CURVE = 20  # steps from 0 to the threshold

Index = NDArray[np.int64]


@dataclass(frozen=True)
class Groups:
    """The groups of near-duplicates at a threshold: rows that pairs within it connect.

    rows (k,): the rows that are in a group, by group, then by row; groups are numbered by their
    lowest row. group (k,): of each. neighbours (k,): how many rows lie within the threshold of
    each. representative (k,): one in each group, the row of most neighbours, the lowest of these;
    rows that are preferred go before all others.
    """

    threshold: float
    n: int
    rows: Index
    group: Index
    neighbours: Index
    representative: NDArray[np.bool_]

    def __len__(self) -> int:
        """How many groups there are."""
        return int(self.representative.sum())

    @cached_property
    def dropped(self) -> Index:
        """The rows that another represents, ascending."""
        return np.sort(self.rows[~self.representative])

    @cached_property
    def kept(self) -> Index:
        """All rows of the pool but those that another represents, ascending."""
        return np.setdiff1d(np.arange(self.n), self.dropped, assume_unique=True)


@dataclass(frozen=True)
class Duplicates:
    """All pairs of near-duplicates of a pool of n rows, up to a threshold.

    first, second (p,): the rows of each pair, first < second, in this order. distances (p,):
    float64, as `metric` compares. equal (p,): pairs of equal rows; a row that equals an earlier one
    has this one pair, with the first of its kind, and beyond it the neighbours of that row.
    """

    n: int
    threshold: float
    metric: str
    first: Index
    second: Index
    distances: Float64
    equal: NDArray[np.bool_]

    def groups(self, threshold: float | None = None, *, prefer: Any = None) -> Groups:
        """Return the groups at a threshold up to the one searched (default: that one).

        prefer: mask or indices of rows that represent a group before all others, such as the real
        ones. Raises InputError for a larger threshold, since those pairs were not searched for, and
        for rows that the pool has not.
        """
        limit = self.threshold if threshold is None else threshold
        if not 0 <= limit <= self.threshold:
            raise InputError(
                f"pairs are known up to {self.threshold:g}; groups at {limit:g} need a new search"
            )
        within = self.distances <= limit
        return _groups(self, limit, within, _mask(prefer, self.n))

    def curve(self, steps: int = CURVE) -> list[dict[str, float]]:
        """Return for thresholds from 0 to the one searched how many pairs there are, and how many
        rows a choice of one a group drops.
        """
        thresholds = np.linspace(0, self.threshold, steps + 1)
        pairs = np.searchsorted(np.sort(self.distances), thresholds, side="right")
        dropped = np.searchsorted(_joining(self), thresholds, side="right")
        columns = zip(thresholds.tolist(), pairs.tolist(), dropped.tolist(), strict=True)
        return [{"threshold": t, "pairs": p, "dropped": k} for t, p, k in columns]


def duplicates(
    x: Any,
    threshold: float,
    *,
    metric: str = "euclidean",
    most_pairs: int = MOST_PAIRS,
    engine: PoolEngine | None = None,
    checkpoint: str | Path | None = None,
    progress: bool | Progress = False,
) -> Duplicates:
    """Return all pairs of rows of the pool x (m, d) at most `threshold` apart, exactly.

    x: float16/32/64 or uint8, or whatever else `load` takes; memory maps are read in blocks.
    metric: euclidean, or cosine, ‖a/‖a‖ − b/‖b‖‖ = √(2 − 2 s) of a similarity s. A distance is that
    of float64 differences of the stored values. engine: what distributes the pool over several
    processes (`RayEngine`); the pairs are the same. checkpoint: a file that keeps what was found,
    from which the same call goes on after a stop; remove it once the result is safe. progress: True
    for a line on standard error, or a function of (pairs of rows looked at, total).

    Raises InputError for a threshold below 0, rows that are NaN or infinite (by index), zero
    vectors with cosine, and more than `most_pairs` pairs; the message names a smaller threshold.

    >>> found = duplicates(np.array([[0.0], [5.0], [5.5], [0.0]]), 1.0)
    >>> found.first.tolist(), found.second.tolist(), found.distances.tolist()
    ([0, 1], [3, 2], [0.0, 0.5])
    >>> found.groups(0.1).kept.tolist()
    [0, 1, 2]
    """
    if metric not in DISTANCES:
        raise unknown_name("metric", metric, DISTANCES, "duplicates")
    number = isinstance(threshold, int | float | np.number) and not isinstance(threshold, bool)
    if not number or not 0 <= threshold < 1e100:
        raise InputError(f"threshold must be a distance, at least 0; got {threshold}")
    rows = _checked(x)
    with _hosts(rows, engine) as hosts, _shown(progress) as show:
        shards = ShardedRows(hosts)
        _refuse(shards, metric)
        first, inverse = _distinct(shards)
        kept = np.zeros(rows.shape[0], dtype=bool)
        kept[first] = True
        path = None if checkpoint is None else Path(checkpoint)
        asked = {"metric": metric, "threshold": float(threshold), "bounds": list(hosts.bounds)}
        found = pairs_of_pool(
            shards,
            rows,
            kept,
            metric=metric,
            radius=float(threshold),
            most=most_pairs,
            checkpoint=PairCheckpoint(path, asked | {"rows": rows_identity(rows)} if path else {}),
            progress=show,
        )
    return _with_copies(found, first, inverse, float(threshold), metric)


def rows_identity(rows: Rows) -> str:
    """Return a hash that distinguishes these rows from others."""
    return hashlib.sha256(rows.identity().encode()).hexdigest()


def _checked(x: Any) -> Rows:
    if is_rows(x):
        if x.dtype.kind not in "fiu" or 0 in x.shape:
            raise InputError(
                f"the pool must be numeric rows (n, d); got shape {x.shape}, dtype {x.dtype}"
            )
        rows: Rows = x
        return rows
    array = as_vectors(load(x, name="the pool", strict=True).data)
    if array.dtype.kind != "f" or not len(array):  # values are looked at by the shards
        check_rows(array, "the pool", minimum=1)
    return rows_of(array)


@contextmanager
def _hosts(rows: Rows, engine: PoolEngine | None) -> Iterator[Hosts]:
    hosts = InProcess(rows, [0, rows.shape[0]]) if engine is None else engine.distribute(rows)
    try:
        yield hosts
    finally:
        hosts.close()


@contextmanager
def _shown(progress: bool | Progress) -> Iterator[Progress]:
    if callable(progress):
        yield progress
    elif progress:
        with ProgressLine() as line:
            yield line.of("pairs of rows compared")
    else:
        yield no_progress


def _refuse(shards: ShardedRows, metric: str) -> None:
    """Refuse NaN and infinite values, and with cosine zero vectors."""
    invalid = shards.ask(Shard.invalid)
    if bad := sum(count for count, _ in invalid):
        raise invalid_rows("the pool", bad, [i for _, some in invalid for i in some])
    if metric != "cosine":
        return
    zero = shards.ask(Shard.without_length)
    if bad := sum(count for count, _ in zero):
        shown = ", ".join(str(i) for _, some in zero for i in some[:5])
        raise InputError(
            f"cosine distance is not defined for zero vectors ({bad} rows, row {shown}); drop "
            "them, or take euclidean"
        )


def _distinct(shards: ShardedRows) -> tuple[Index, Index]:
    """Return (first, inverse) as `neighbors.distinct_rows`, from 128-bit digests of rows."""
    digests = np.concatenate(shards.ask(Shard.digests))
    _, first, inverse = np.unique(
        digests.view([("a", np.uint64), ("b", np.uint64)]).ravel(),
        return_index=True, return_inverse=True,
    )  # fmt: skip
    return in_order_of_first(first, inverse)


def _with_copies(
    found: Pairs, first: Index, inverse: Index, threshold: float, metric: str
) -> Duplicates:
    """Return the pairs of distinct rows and those of copies with the first of their kind."""
    own = first[inverse]
    copies = np.flatnonzero(own != np.arange(len(own)))
    a = np.concatenate([found.queries, own[copies]])
    b = np.concatenate([found.rows, copies])
    order = np.lexsort((b, a))
    distances = np.concatenate([found.distances, np.zeros(len(copies))])
    equal = np.arange(len(a)) >= len(found.rows)
    return Duplicates(
        len(own), threshold, metric, a[order], b[order], distances[order], equal[order]
    )


def _groups(
    found: Duplicates, limit: float, within: NDArray[np.bool_], preferred: NDArray[np.bool_]
) -> Groups:
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    a, b, equal = found.first[within], found.second[within], found.equal[within]
    rows, ends = np.unique(np.concatenate([a, b]), return_inverse=True)
    k, i, j = len(rows), ends[: len(a)], ends[len(a) :]
    graph = coo_array((np.ones(len(a), dtype=np.int8), (i, j)), shape=(k, k))
    _, label = connected_components(graph, directed=False)
    _, lowest, group = np.unique(label, return_index=True, return_inverse=True)
    _, group = in_order_of_first(lowest, group)
    neighbours = _neighbours(k, i, j, equal)
    # Within a group: preferred rows, then those of most neighbours, then the lowest.
    order = np.lexsort((rows, -neighbours, ~preferred[rows], group))
    representative = np.zeros(k, dtype=bool)
    representative[order[np.unique(group[order], return_index=True)[1]]] = True
    order = np.lexsort((rows, group))
    return Groups(
        limit, found.n, rows[order], group[order], neighbours[order], representative[order]
    )


def _neighbours(k: int, i: Index, j: Index, equal: NDArray[np.bool_]) -> Index:
    """Return how many rows lie within the threshold of each of k, copies counted."""
    own = np.arange(k)
    own[j[equal]] = i[equal]  # the first of a row's kind
    alike = np.bincount(own, minlength=k)
    i, j = i[~equal], j[~equal]
    beside = np.bincount(i, alike[j], k) + np.bincount(j, alike[i], k)
    count: Index = (alike - 1 + beside).astype(np.int64)
    return count[own]


def _joining(found: Duplicates) -> Float64:
    """Return the distances, ascending, at which two groups become one: those of the edges of a
    minimum spanning forest. How many are at most t is how many rows are dropped at t.
    """
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import minimum_spanning_tree

    if not len(found.first):
        return np.empty(0)
    rows, ends = np.unique(np.concatenate([found.first, found.second]), return_inverse=True)
    i, j = ends[: len(found.first)], ends[len(found.first) :]
    # Places in the order of distances stand for them: a distance of 0 would be no edge.
    levels, at = np.unique(found.distances, return_inverse=True)
    graph = coo_array((at + 1.0, (i, j)), shape=(len(rows), len(rows)))
    edges = minimum_spanning_tree(graph.tocsr()).data.astype(np.int64) - 1
    result: Float64 = np.sort(levels[edges])
    return result


def _mask(prefer: Any, n: int) -> NDArray[np.bool_]:
    mask = np.zeros(n, dtype=bool)
    if prefer is None:
        return mask
    rows = np.asarray(prefer)
    if rows.dtype == bool and rows.shape == (n,):
        return rows
    if len(rows) and (rows.dtype.kind not in "iu" or not 0 <= rows.min() <= rows.max() < n):
        raise InputError(f"prefer must be a mask of the {n} rows, or indices in 0 … {n - 1}")
    mask[rows.astype(np.int64)] = True
    return mask
