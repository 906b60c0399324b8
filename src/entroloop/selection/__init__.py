"""Selection: choose the n most informative rows of a pool."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from entroloop.errors import InputError, unknown_name
from entroloop.pools.hosts import Engine, InProcess, Places
from entroloop.pools.rows import HeldRows, Rows, is_rows, rows_of
from entroloop.samples import Array, as_vectors, check_rows
from entroloop.selection.checkpoint import Journal
from entroloop.selection.pool import METRICS, begin, check, plan
from entroloop.selection.quotas import QUOTAS
from entroloop.selection.result import Context, Selection, away
from entroloop.selection.state import Picks, Progress, Task
from entroloop.selection.strategies.baselines import (
    center_matching,
    covariance_matching,
    ds3,
    kmeans,
    latent_space_filter,
    semdedup,
    top_quality,
)
from entroloop.selection.strategies.coreset import composable_coreset
from entroloop.selection.strategies.greedy import greedy
from entroloop.selection.strategies.random import random
from entroloop.selection.strategies.threshold_decay import threshold_decay
from entroloop.system.progress_line import progress_on_stderr

STRATEGIES: dict[str, Callable[..., Picks]] = {
    "random": random,
    "greedy": greedy,
    "threshold_decay": threshold_decay,
    "composable_coreset": composable_coreset,
    "kmeans": kmeans,
    "center_matching": center_matching,
    "covariance_matching": covariance_matching,
    "ds3": ds3,
    "semdedup": semdedup,
    "latent_space_filter": latent_space_filter,
    "top_quality": top_quality,
}
# Those whose pool can lie in several places.
SPREAD = ("greedy", "threshold_decay", "random", "composable_coreset")
# Those that need more than rows: they cannot be an arm's strategy.
NEED_MORE = {"ds3": "reference", "latent_space_filter": "real", "top_quality": "scores"}
# float64 arrays of the pool's size that a strategy holds at its peak.
COPIES = {
    "kmeans": 3, "center_matching": 3, "covariance_matching": 7, "ds3": 3, "semdedup": 3,
    "latent_space_filter": 4,
}  # fmt: skip

__all__ = ["NEED_MORE", "STRATEGIES", "Picks", "Selection", "select"]


def select(
    x: Any,
    n: int,
    strategy: str = "greedy",
    *,
    metric: str = "euclidean",
    initial: Any = None,
    candidates: Any = None,
    groups: Any = None,
    quota: str = "proportional",
    weights: Any = None,
    seed: int = 0,
    device: str = "auto",
    engine: Engine | None = None,
    journal: str | Path | None = None,
    progress: bool | Progress = False,
    **strategy_args: Any,
) -> Selection:
    """Choose n rows of the pool x (m, d), float16/32/64 or uint8; memory maps are read in blocks.

    metric: euclidean, cosine, manhattan or mahalanobis. initial: indices of the pool (1-d,
    integer) or rows from outside it (2-d) that count as chosen already and are never returned.
    candidates: mask or indices of the rows that may be chosen. groups (m,) with quota
    "proportional" or "equal": exact numbers from each group, distances taken across all.
    weights (m,), positive: they multiply a row's distance. device: auto, cpu or cuda. engine: where
    the pool is to lie in several places (`RayEngine`; not for every strategy); the picks are the
    same. journal: a file that keeps the picks of greedy and threshold_decay, from which the same
    call goes on after a stop; remove it once the result is safe. progress: True for what it will
    take and its progress on standard error, or a function of (made, wanted); an exception that it
    raises cancels. strategy_args: `first` (greedy); `threshold`, `decay`, `order`, `strength`
    (threshold_decay); see the strategies.

    Raises InputError for n outside 1 … candidates, rows that are NaN or infinite (by index), names
    in no table, groups too small, or too little memory.

    >>> select(np.array([[0.0], [1.0], [5.0]]), 2, first=0).indices.tolist()
    [0, 2]
    """
    lazy = engine is not None and is_rows(x)
    array = None if lazy else _as_vectors(x)
    rows = _checked_lazily(x) if array is None else rows_of(array)
    for kind, name, table in (
        ("strategy", strategy, STRATEGIES), ("metric", metric, METRICS), ("quota", quota, QUOTAS),
    ):  # fmt: skip
        if name not in table:
            raise unknown_name(kind, name, table)
    if engine is not None and strategy not in SPREAD:
        raise InputError(
            f"strategy {strategy} needs the pool in one place; on engine {engine.name} take one "
            f"of {', '.join(SPREAD)}"
        )
    m, d = rows.shape
    open_rows, initial_index, outside = _what_may_be_chosen(m, d, candidates, initial)
    allowed = int(open_rows.sum())
    if isinstance(n, bool) or not isinstance(n, int | np.integer) or not 1 <= n <= allowed:
        raise InputError(f"n must be a whole number in 1 … {allowed} (the candidates); got {n}")
    of_group = quotas = None
    if groups is not None:
        of_group, quotas = _groups_and_quotas(groups, open_rows, int(n), quota)
        open_rows &= quotas[of_group] > 0
    given = len(initial_index) + len(outside)
    held = rows if engine is not None or array is None else HeldRows(array)
    weights = _checked_weights(weights, m)
    with _places(held, engine) as places:
        needs = plan(rows, int(n), metric, given, COPIES.get(strategy, 0), len(places.bounds) - 1)
        check(needs)
        telling = _progress(progress, f"{n:,} of {m:,} rows: {needs}")
        begun = begin(
            places, rows, needs, metric, open_rows, weights, initial_index, outside, int(n), device,
            checked=not lazy,
        )  # fmt: skip
        kept = None if journal is None else Journal(Path(journal), {
            "rows": rows.identity(), "n": int(n), "strategy": strategy,
            "args": {k: _plain(v) for k, v in strategy_args.items()}, "seed": seed,
            "metric": metric, "open": _digest(open_rows),
            "given": _digest(begun.given), "groups": _digest(of_group), "quotas": _digest(quotas),
            "weights": _digest(weights),
        })  # fmt: skip
        here = places.part(0).rows if isinstance(places, InProcess) else None
        task = Task(
            begun.pool, int(n), seed, d, here, of_group, quotas, weights is not None, telling, kept
        )
        picks = _run(strategy, task, strategy_args)
        context = Context(
            begun.given if here is None else here, begun.pool.space, open_rows, begun.given, groups
        )
        if engine is not None:
            context = away(context, begun.pool, picks, seed)
        if kept is not None:
            kept.finish(picks.indices, picks.values, picks.duplicates)
    return Selection.of(picks, seed, begun.pool, context)


@contextmanager
def _places(rows: Rows, engine: Engine | None) -> Iterator[Places]:
    places: Places = InProcess(rows, [0, rows.shape[0]]) if engine is None else engine.hold(rows)
    try:
        yield places
    finally:
        places.close()


def _run(strategy: str, task: Task, strategy_args: dict[str, Any]) -> Picks:
    try:
        return STRATEGIES[strategy](task, **strategy_args)
    except TypeError as error:
        if "unexpected keyword argument" not in str(error):
            raise
        raise InputError(f"strategy {strategy}: {str(error).split('() ')[-1]}") from None


def _as_array(x: Any) -> Array:
    if type(x).__module__.startswith("torch"):
        x = x.detach().cpu().numpy()
    return x if isinstance(x, np.ndarray) else np.asarray(x)


def _as_vectors(x: Any) -> Array:
    array = as_vectors(_as_array(x))
    check_rows(array, "the pool")
    return array


def _checked_lazily(rows: Rows) -> Rows:
    """Refuse rows that no distance can be taken of; their values are looked at where they lie."""
    if rows.dtype.kind not in "fiu" or 0 in rows.shape:
        raise InputError(
            f"the pool must be numeric rows (n, d); got shape {rows.shape}, dtype {rows.dtype}"
        )
    return rows


def _plain(value: Any) -> Any:
    """Return a value as JSON can hold it, arrays by a hash of all that they hold."""
    if value is None or isinstance(value, bool | int | float | str):
        return value
    array = np.asarray(value)
    return _digest(array.astype(str) if array.dtype == object else array)


def _digest(x: Any) -> str | None:
    """Return a hash of an array, None for None."""
    if x is None:
        return None
    array = np.ascontiguousarray(x)
    return hashlib.sha256(f"{array.dtype}{array.shape}".encode() + array.tobytes()).hexdigest()


def _what_may_be_chosen(
    m: int, d: int, candidates: Any, initial: Any
) -> tuple[Array, Array, Array]:
    """Return the mask of rows that may be chosen, the initial rows' indices, and rows outside."""
    open_rows = np.ones(m, dtype=bool)
    if candidates is not None:
        open_rows[:] = False
        open_rows[_checked_index(candidates, m, "candidates")] = True
    index, outside = np.empty(0, dtype=np.int64), np.empty((0, d), dtype=np.uint8)
    if initial is not None:
        given = _as_array(initial)
        if given.ndim == 2:
            check_rows(given, "initial", minimum=0)
            outside = given
            if outside.shape[1] != d:
                raise InputError(f"initial has {outside.shape[1]} values a row, the pool {d}")
        else:
            index = _checked_index(given, m, "initial")
            open_rows[index] = False
    return open_rows, index, outside


def _checked_index(given: Any, m: int, name: str) -> Array:
    index = np.asarray(given)
    if index.dtype == bool and index.shape == (m,):
        return np.flatnonzero(index)
    if index.size == 0:
        return np.empty(0, dtype=np.int64)
    if index.ndim != 1 or index.dtype.kind not in "iu":
        raise InputError(f"{name} must be a mask of {m} rows, or whole numbers; got {index.dtype}")
    wrong = index[(index < 0) | (index >= m)]
    if len(wrong):
        raise InputError(f"{name} must lie in 0 … {m - 1}; got {wrong[0]}")
    return index.astype(np.int64)


def _checked_weights(weights: Any, m: int) -> Array | None:
    if weights is None:
        return None
    try:
        given: Array = np.asarray(weights, dtype=np.float64)
    except (TypeError, ValueError):
        raise InputError(f"weights must be {m} finite numbers above 0; got other values") from None
    if given.shape != (m,) or not np.isfinite(given).all() or (given <= 0).any():
        raise InputError(f"weights must be {m} finite numbers above 0; got shape {given.shape}")
    if given.max() > 1e100 or given.min() < 1e-100:
        raise InputError(
            "weights must lie in 1e-100 … 1e100: their squares are taken; rescale them"
        )
    return given


def _groups_and_quotas(groups: Any, open_rows: Array, n: int, quota: str) -> tuple[Array, Array]:
    groups = np.asarray(groups)
    if groups.dtype == object:  # nulls beside names
        groups = groups.astype(str)
    if groups.shape != open_rows.shape:
        raise InputError(f"groups must name one group a row: {open_rows.shape}; got {groups.shape}")
    names, inverse = np.unique(groups, return_inverse=True)
    sizes = np.bincount(inverse[open_rows], minlength=len(names)).astype(np.int64)
    quotas = QUOTAS[quota](sizes, n)
    short = np.flatnonzero(quotas > sizes)
    if len(short):
        raise InputError(
            f"group '{names[short[0]]}' has {sizes[short[0]]} rows to choose from, its quota is "
            f"{quotas[short[0]]}; choose fewer rows, or quota proportional"
        )
    return inverse.astype(np.int64), quotas


def _progress(progress: bool | Progress, planned: str) -> Progress | None:
    if callable(progress):
        return progress
    return progress_on_stderr(planned) if progress else None
