"""`select`: check the request, open the pool, let the strategy pick, return the result."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from copy import copy
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from entroloop.distances.table import DISTANCES
from entroloop.errors import InputError, unknown_name
from entroloop.plugins import blamed
from entroloop.pools.hosts import Hosts, InProcess, PoolEngine
from entroloop.pools.rows import ArrayRows, Rows, is_rows, rows_of
from entroloop.samples import Array, Float64, as_vectors, check_rows
from entroloop.selection.budget import Budget, budget_for
from entroloop.selection.checkpoint import Checkpoint
from entroloop.selection.given import ROWS_OF_STRATEGIES, Given
from entroloop.selection.pool import Pool
from entroloop.selection.quotas import QUOTAS
from entroloop.selection.realism import realism_weights
from entroloop.selection.request import Request, digest_of
from entroloop.selection.result import Selection, fetch
from entroloop.selection.state import SelectionState
from entroloop.selection.stopping import Stopping
from entroloop.selection.strategies import STRATEGIES
from entroloop.system.progress_line import Progress, selection_progress

Index = NDArray[np.int64]
REALISM = "realism"  # as weights


def select(
    x: Any,
    n: int | str | None = None,
    strategy: str = "greedy",
    *,
    min_distance: float | None = None,
    until: str | None = None,
    metric: str = "euclidean",
    initial: Any = None,
    candidates: Any = None,
    groups: Any = None,
    quota: str = "proportional",
    weights: Any = None,
    features: str = "raw",
    column: str | Sequence[str] | None = None,
    resize: int | None = None,
    mode: str | None = None,
    seed: int = 0,
    device: str = "auto",
    engine: PoolEngine | None = None,
    assign: bool = False,
    checkpoint: str | Path | None = None,
    progress: bool | Progress = False,
    **strategy_args: Any,
) -> Selection:
    """Choose n rows of the pool x (m, d), float16/32/64 or uint8; memory maps are read in blocks.

    n: a whole number, or a share of the candidates such as "10%", rounded up. min_distance, until
    (greedy without groups): how many follows from the data, and n is only the most there may be.
    No pick is nearer than min_distance to one before; until="coverage=0.95" stops as soon as that
    share of the candidates lies nearer than min_distance to a pick; until="knee" makes n picks and
    keeps those up to the knee of the curve of radii (see `knee_of`).
    x, like all other rows here, may be whatever `load` takes, which gets column, resize and mode: a
    folder, a table, a data set, images. A corrupt image is refused, so that indices are those of x.
    features: the space in which distances are taken, by the name of an extractor, such as dinov2.
    metric: euclidean, cosine, manhattan or mahalanobis. initial: indices of the pool (1-d,
    integer) or rows from outside it (2-d) that count as chosen already and are never returned.
    candidates: mask or indices of the rows that may be chosen. groups (m,) with quota
    "proportional" or "equal": exact numbers from each group, distances taken across all.
    weights (m,), positive: they multiply a row's distance; "realism" with guard=, real rows: those
    of `realism_weights`. Both may name a column of x. device: auto, cpu or cuda. engine: what
    distributes the pool over several processes (`RayEngine`; not for every strategy); the picks are
    the same. assign: with an engine, whether to find every row's nearest pick while the rows are
    there (`Selection.assignment`). checkpoint: a file that keeps the picks of greedy and
    threshold_decay, from which the same call goes on after a stop; remove it once the result is
    safe. progress: True for what it will take and its progress on standard error, or a function of
    (made, wanted); an exception that it raises cancels. strategy_args: `first` (greedy);
    `threshold`, `decay`, `order`, `strength` (threshold_decay); `guard`, `inner` (guarded); see the
    strategies.

    Raises InputError for n outside 1 … candidates, no row as far as min_distance, rows that are NaN
    or infinite (by index), names in no table, groups too small, or too little memory.

    >>> select(np.array([[0.0], [1.0], [5.0]]), 2, first=0).indices.tolist()
    [0, 2]
    """
    _check_names(strategy, metric, quota, engine)
    names = [c for c in (groups, weights) if isinstance(c, str) and c != REALISM]
    given = Given(features, device, column, resize, mode, columns=names)
    x, initial = given.pool_of(x), given.initial_of(initial)
    for name in {*ROWS_OF_STRATEGIES} & {*strategy_args}:
        if strategy_args[name] is not None:
            strategy_args[name] = given.rows_of(strategy_args[name], name)
    groups = given.column_of(groups)
    if isinstance(weights, str) and weights == REALISM:
        weights = _weights_by_realism(x, strategy_args, strategy)
    else:
        weights = given.column_of(weights)
    stopping = Stopping.of(min_distance, until, strategy, grouped=groups is not None)
    _check_parameters(strategy, strategy_args)
    rows, array = _as_rows(x, engine)
    request = Request.of(
        rows.shape, n, candidates=candidates, initial=initial, groups=groups, quota=quota,
        weights=weights, stopping=stopping,
    )  # fmt: skip
    with _hosts(rows, array, engine) as hosts:
        budget = _checked_budget(rows, request, metric, strategy, len(hosts.bounds) - 1)
        pool = request.opened(hosts, rows, budget, metric, device, checked=array is not None)
        # Over several processes the rows that the result needs are fetched before the pool closes.
        here = hosts.shard(0).rows if engine is None and isinstance(hosts, InProcess) else None
        asked = {"strategy": strategy, "metric": metric, "seed": seed, "args": strategy_args}
        again = partial(
            _again, hosts if here is None else here, rows, pool, request, metric,
            candidates=candidates, groups=groups, quota=quota, weights=weights, seed=seed,
            device=device,
        )  # fmt: skip
        state = SelectionState(
            pool=pool,
            n=request.n,
            seed=seed,
            width=rows.shape[1],
            rows=here,
            groups=request.groups,
            quotas=request.quotas,
            weighted=request.weights is not None,
            progress=_progress(progress, f"{request.n:,} of {len(pool):,} rows: {budget}"),
            checkpoint=_checkpoint(checkpoint, rows, pool, request.identity() | asked),
            stopping=stopping,
            again=again,
        )
        with blamed(STRATEGIES.plugin(strategy)):
            made = STRATEGIES[strategy].pick(state, **strategy_args)
        picks = request.kept(made, pool)
        context = request.context(pool, here, groups, made)
        if here is None:
            # What was picked beyond the choice, and inner selections, left their state in shards.
            if picks is not made or picks.decision is not None:
                pool = request.opened(hosts, rows, budget, metric, device, checked=True)
            context = fetch(context, pool, picks, seed, assign=assign)
        if state.checkpoint is not None:
            state.checkpoint.finish(made.indices, made.values, made.duplicates)
    return Selection.of_picks(picks, seed, pool, context)


def _again(
    where: Hosts | Array,
    rows: Rows,
    pool: Pool,
    request: Request,
    metric: str,
    strategy: str,
    n: int,
    **arguments: Any,
) -> Selection:
    """Select anew from the rows of an open pool.

    where: the hosts of its shards, whose state this replaces, or all rows, transformed already.
    """
    here = isinstance(where, np.ndarray)
    outside = pool.transformed(request.outside) if here else request.outside
    initial = outside if len(outside) else request.initial
    given = {"initial": initial, "metric": pool.distance.transformed if here else metric}
    if isinstance(where, np.ndarray):
        return select(where, n, strategy, **(given | arguments))
    return select(rows, n, strategy, engine=_Borrowed(where), **(given | arguments))


class _Borrowed:
    """Hosts that are there already, as an engine: what is selected on them does not close them."""

    name, workers = "borrowed", 1

    def __init__(self, hosts: Hosts) -> None:
        self._hosts = hosts

    def distribute(self, rows: Rows) -> Hosts:  # the hosts hold them
        """See `PoolEngine`."""
        hosts = copy(self._hosts)
        hosts.close = lambda: None  # type: ignore[method-assign]
        return hosts


def _weights_by_realism(x: Any, strategy_args: dict[str, Any], strategy: str) -> Float64:
    """Return weights="realism": those of `realism_weights` with the guard as real rows."""
    if strategy == "guarded":
        raise InputError("guarded weighs by realism itself: see its `inner`")
    guard = strategy_args.pop("guard", None)
    if guard is None:
        raise InputError('weights="realism" needs guard=: real rows to compare with')
    return realism_weights(x, guard)


def _check_names(strategy: str, metric: str, quota: str, engine: PoolEngine | None) -> None:
    STRATEGIES.find(strategy)
    _check_name("metric", metric, DISTANCES)
    _check_name("quota", quota, QUOTAS)
    if engine is not None and not STRATEGIES[strategy].sharded:
        able = ", ".join(name for name in STRATEGIES.own if STRATEGIES[name].sharded)
        raise InputError(
            f"strategy {strategy} needs the pool in one process; on engine {engine.name} take one "
            f"of {able}"
        )


def _check_parameters(strategy: str, given: dict[str, Any]) -> None:
    valid = list(inspect.signature(STRATEGIES[strategy].pick).parameters)[1:]  # not the state
    for name in given:
        if name not in valid:
            raise unknown_name(f"parameter of {strategy}", name, valid or ["(none)"])


def _check_name(kind: str, name: str, table: dict[str, Any]) -> None:
    if name not in table:
        raise unknown_name(kind, name, table)


def _as_rows(x: Any, engine: PoolEngine | None) -> tuple[Rows, Array | None]:
    """Return the pool as rows, and as an array whose values were checked, where it is one here."""
    if engine is not None and is_rows(x):
        if x.dtype.kind not in "fiu" or 0 in x.shape:
            raise InputError(
                f"the pool must be numeric rows (n, d); got shape {x.shape}, dtype {x.dtype}"
            )
        return x, None
    array = as_vectors(np.asarray(x))
    check_rows(array, "the pool")
    return rows_of(array), array


@contextmanager
def _hosts(rows: Rows, array: Array | None, engine: PoolEngine | None) -> Iterator[Hosts]:
    if engine is not None:
        hosts = engine.distribute(rows)
    else:
        assert array is not None  # rows that are not here come with an engine
        hosts = InProcess(ArrayRows(array), [0, len(array)])
    try:
        yield hosts
    finally:
        hosts.close()


def _checked_budget(
    rows: Rows, request: Request, metric: str, strategy: str, shards: int
) -> Budget:
    budget = budget_for(
        rows,
        request.n,
        metric,
        initial=len(request.initial) + len(request.outside),
        copies=STRATEGIES[strategy].copies,
        shards=shards,
    )
    budget.check()
    return budget


def _checkpoint(
    path: str | Path | None, rows: Rows, pool: Pool, asked: dict[str, Any]
) -> Checkpoint | None:
    """Return the checkpoint at a path, of this selection of these rows; None for no path."""
    if path is None:
        return None
    arguments = {name: _plain(value) for name, value in asked["args"].items()}
    more = {"args": arguments, "rows": rows.identity(), "given": digest_of(pool.initial)}
    return Checkpoint(Path(path), asked | more)


def _plain(value: Any) -> Any:
    """Return a value as JSON can hold it, arrays by a hash of all that they hold."""
    if value is None or isinstance(value, bool | int | float | str):
        return value
    array = np.asarray(value)
    return digest_of(array.astype(str) if array.dtype == object else array)


def _progress(progress: bool | Callable[[int, int], None], planned: str) -> Progress | None:
    if callable(progress):
        return progress
    return selection_progress(planned) if progress else None
