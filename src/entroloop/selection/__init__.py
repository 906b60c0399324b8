"""Selection: choose the n most informative rows of a pool."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from entroloop.errors import InputError, unknown_name
from entroloop.samples import as_vectors, check_rows
from entroloop.selection.greedy import greedy
from entroloop.selection.picks import Picks
from entroloop.selection.random import random
from entroloop.selection.threshold_decay import threshold_decay

STRATEGIES: dict[str, Callable[..., Picks]] = {
    "random": random,
    "greedy": greedy,
    "threshold_decay": threshold_decay,
}


DISTANCES = {"euclidean": "‖a − b‖"}
QUOTAS = {"equal": "the same number from each group"}


@dataclass(frozen=True)
class Selection:
    """The chosen rows of a pool.

    indices: int64 (n,), in pick order. radii: float64 (n,), the distance of each pick to those
    before it (inf for the first; NaN where a strategy knows none). stopped_by: "n", or
    "duplicates" where copies had to fill up. duplicates: how many picks lie at distance 0.
    """

    indices: NDArray[np.int64]
    radii: NDArray[np.float64]
    stopped_by: str
    duplicates: int


def select(
    x: Any,
    n: int,
    strategy: str = "greedy",
    *,
    metric: str = "euclidean",
    initial: Any = None,
    candidates: Any = None,
    groups: Any = None,
    quota: str = "equal",
    seed: int = 0,
    **strategy_args: Any,
) -> Selection:
    """Choose n rows of the pool x (m, d), float or uint8.

    initial: indices of the pool (1-d, integer) or rows from outside it (2-d) that count as chosen
    already and are never returned. candidates: mask or indices of the rows that may be chosen.
    groups (m,): `random` takes the same number from each. strategy_args: first (greedy);
    threshold, decay, order, strength (threshold_decay).

    Raises InputError for n outside 1 … candidates, bad rows, or an unknown strategy.

    >>> select(np.array([[0.0], [1.0], [5.0]]), 2, first=0).indices.tolist()
    [0, 2]
    """
    x = as_vectors(np.asarray(x))
    check_rows(x, "the pool")
    for kind, name, table in (
        ("strategy", strategy, STRATEGIES), ("metric", metric, DISTANCES), ("quota", quota, QUOTAS),
    ):  # fmt: skip
        if name not in table:
            raise unknown_name(kind, name, table)
    allowed = np.ones(len(x), dtype=bool)
    if candidates is not None:
        allowed[:] = False
        allowed[np.asarray(candidates)] = True
    initial_rows = None
    if initial is not None:
        initial_rows = np.asarray(initial)
        if initial_rows.ndim == 1:
            allowed[initial_rows] = False
            initial_rows = x[initial_rows]
        if initial_rows.shape[1] != x.shape[1]:
            raise InputError(
                f"initial has {initial_rows.shape[1]} values a row, the pool {x.shape[1]}"
            )
    rows = np.flatnonzero(allowed)
    if not 1 <= n <= len(rows):
        raise InputError(f"n must lie in 1 … {len(rows)} (the candidates); got {n}")
    if groups is not None:
        strategy_args["groups"] = np.asarray(groups)[rows]
    pool = x if len(rows) == len(x) else x[rows]
    try:
        picks = STRATEGIES[strategy](pool, n, seed=seed, initial=initial_rows, **strategy_args)
    except TypeError as error:
        if "unexpected keyword argument" not in str(error):
            raise
        raise InputError(f"strategy {strategy}: {str(error).split('() ')[-1]}") from None
    return Selection(
        rows[np.array(picks.indices, dtype=np.int64)],
        np.sqrt(np.array(picks.squared_radii)),
        "duplicates" if picks.duplicates else "n",
        picks.duplicates,
    )
