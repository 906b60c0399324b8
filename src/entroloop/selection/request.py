"""What is asked of a selection, checked before any work."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from entroloop.errors import InputError
from entroloop.pools.hosts import Hosts
from entroloop.pools.rows import Rows
from entroloop.samples import Array, Float64, check_rows
from entroloop.selection.budget import Budget
from entroloop.selection.pool import Pool, open_pool
from entroloop.selection.quotas import QUOTAS
from entroloop.selection.result import Context
from entroloop.selection.state import Picks
from entroloop.selection.stopping import Stopping, knee_of, number_of

Index = NDArray[np.int64]


@dataclass(frozen=True, kw_only=True)
class Request:
    """What was asked for, checked.

    n: how many picks. selectable: mask of the rows that can be picked. initial: rows of the pool,
    outside: other rows, that count as chosen. groups: the group of each row, by number; quotas: how
    many picks each takes. weights: of each row. stopping: what may end it before n picks.
    """

    n: int
    selectable: NDArray[np.bool_]
    initial: Index
    outside: Array
    groups: Index | None
    quotas: Index | None
    weights: Float64 | None
    stopping: Stopping | None = None

    @classmethod
    def of(
        cls,
        shape: tuple[int, int],
        n: Any,
        *,
        candidates: Any,
        initial: Any,
        groups: Any,
        quota: str,
        weights: Any,
        stopping: Stopping | None = None,
    ) -> Request:
        """Return a request for a pool of this shape; the arguments are those of `select`."""
        m, d = shape
        selectable = np.ones(m, dtype=bool)
        if candidates is not None:
            selectable[:] = False
            selectable[_checked_index(candidates, m, "candidates")] = True
        index, outside = _initial_rows(initial, m, d)
        selectable[index] = False
        allowed = int(selectable.sum())
        if n is None and stopping is None:
            raise InputError("say how many rows to choose: n, min_distance or until")
        n = number_of(max(allowed, 1) if n is None else n, allowed)
        of_group = quotas = None
        if groups is not None:
            of_group, quotas = _groups_and_quotas(groups, selectable, n, quota)
            selectable &= quotas[of_group] > 0
        return cls(
            n=n,
            selectable=selectable,
            initial=index,
            outside=outside,
            groups=of_group,
            quotas=quotas,
            weights=_checked_weights(weights, m),
            stopping=stopping,
        )

    def opened(
        self,
        hosts: Hosts,
        rows: Rows,
        budget: Budget,
        metric: str,
        device: str,
        *,
        checked: bool,
    ) -> Pool:
        """Return the pool, opened for this request."""
        return open_pool(
            hosts,
            rows,
            budget,
            metric=metric,
            selectable=self.selectable,
            weights=self.weights,
            initial=self.initial,
            outside=self.outside,
            n=self.n,
            device=device,
            checked=checked,
        )

    def kept(self, made: Picks, pool: Pool) -> Picks:
        """Return the picks that are the choice: all that were made, or those up to their knee."""
        if not made.indices:
            limit = None if self.stopping is None else self.stopping.min_distance
            raise InputError(f"no row is as far as {limit} from the initial rows: none to choose")
        if self.stopping is None or not self.stopping.knee:
            return made
        k = knee_of(pool.space.distance_of(np.array(made.values)))
        return made if k == len(made.indices) else made.first(k)

    def context(self, pool: Pool, rows: Array | None, groups: Any, made: Picks) -> Context:
        """Return what the result needs to describe the choice; rows: all of them, if here."""
        return Context(
            rows=pool.initial if rows is None else rows,
            distance=pool.distance,
            space=pool.space,
            candidates=self.selectable,
            initial=pool.initial,
            groups=groups,
            made=pool.space.distance_of(np.array(made.values)),
        )

    def identity(self) -> dict[str, Any]:
        """Return what distinguishes this request from others; JSON can hold it."""
        return {
            "n": self.n, "open": digest_of(self.selectable), "groups": digest_of(self.groups),
            "quotas": digest_of(self.quotas), "weights": digest_of(self.weights),
            "stopping": None if self.stopping is None else str(self.stopping),
        }  # fmt: skip


def digest_of(x: Any) -> str | None:
    """Return a hash of an array, None for None."""
    if x is None:
        return None
    array = np.ascontiguousarray(x)
    return hashlib.sha256(f"{array.dtype}{array.shape}".encode() + array.tobytes()).hexdigest()


def _initial_rows(initial: Any, m: int, d: int) -> tuple[Index, Array]:
    """Return the rows of the pool, and those from outside, that count as chosen already."""
    index, outside = np.empty(0, dtype=np.int64), np.empty((0, d), dtype=np.uint8)
    if initial is None:
        return index, outside
    given = np.asarray(initial)
    if given.ndim != 2:
        return _checked_index(given, m, "initial"), outside
    check_rows(given, "initial", minimum=0)
    if given.shape[1] != d:
        raise InputError(f"initial has {given.shape[1]} values a row, the pool {d}")
    return index, given


def _checked_index(given: Any, m: int, name: str) -> Index:
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


def _checked_weights(weights: Any, m: int) -> Float64 | None:
    if weights is None:
        return None
    try:
        given: Float64 = np.asarray(weights, dtype=np.float64)
    except (TypeError, ValueError):
        raise InputError(f"weights must be {m} finite numbers above 0; got other values") from None
    if given.shape != (m,) or not np.isfinite(given).all() or (given <= 0).any():
        raise InputError(f"weights must be {m} finite numbers above 0; got shape {given.shape}")
    if given.max() > 1e100 or given.min() < 1e-100:
        raise InputError(
            "weights must lie in 1e-100 … 1e100: their squares are taken; rescale them"
        )
    return given


def _groups_and_quotas(
    groups: Any, selectable: NDArray[np.bool_], n: int, quota: str
) -> tuple[Index, Index]:
    groups = np.asarray(groups)
    if groups.dtype == object:  # nulls beside names
        groups = groups.astype(str)
    if groups.shape != selectable.shape:
        raise InputError(
            f"groups must name one group a row: {selectable.shape}; got {groups.shape}"
        )
    names, inverse = np.unique(groups, return_inverse=True)
    sizes = np.bincount(inverse[selectable], minlength=len(names)).astype(np.int64)
    quotas = QUOTAS[quota](sizes, n)
    short = np.flatnonzero(quotas > sizes)
    if len(short):
        raise InputError(
            f"group '{names[short[0]]}' has {sizes[short[0]]} rows to choose from, its quota is "
            f"{quotas[short[0]]}; choose fewer rows, or quota proportional"
        )
    return inverse.astype(np.int64), quotas
