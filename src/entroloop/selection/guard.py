"""The guard of a guarded selection: real rows that decide, or what stands in for them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from entroloop.errors import InputError
from entroloop.samples import Array, as_vectors, check_rows
from entroloop.selection.state import SelectionState

FEWEST = 16  # guard rows


@dataclass(frozen=True)
class Guard:
    """Rows that decide, and rows that realism refers to, transformed; and where they came from.

    in_pool: whether they stand in for a guard, so that the pool may hold them.
    """

    rows: Array
    weighing: Array
    note: str = ""
    in_pool: bool = False


def guard_for(
    state: SelectionState, guard: Array | None, reference: Array | None, generations: Array | None
) -> Guard | None:
    """Return the guard, or what stands in for it; None where nothing real is known."""
    if guard is not None and reference is not None:
        return _enough(
            Guard(checked_rows(state, guard, "guard"), checked_rows(state, reference, "reference"))
        )
    if guard is not None:  # the same rows cannot both shape a choice and judge it
        note = "half of the guard decides, the other half is what realism refers to"
        return _enough(_halved(state, checked_rows(state, guard, "guard"), note))
    if reference is not None:
        note = (
            "no guard: half of the reference rows stand in, and choices that hold these very rows "
            "look nearer than they are"
        )
        return _enough(_halved(state, checked_rows(state, reference, "reference"), note, True))
    if generations is not None:
        return _oldest(state, np.asarray(generations))
    return None


def _oldest(state: SelectionState, generations: Array) -> Guard | None:
    """Return half of the oldest rows as a stand-in, which then cannot be picked."""
    oldest = generations.min()
    own = np.flatnonzero((generations == oldest) & state.pool.selectable)
    kept = np.sort(state.rng.permutation(own)[: len(own) // 2])
    if len(kept) < 2 * FEWEST or len(state.selectable) - len(kept) < state.n:
        return None
    state.pool.selectable[kept] = False
    note = (
        f"no guard: half of the pool's rows of generation {oldest}, its oldest, stand in and "
        "cannot be picked"
    )
    return _halved(state, state.pool.sharded.take(kept), note, True)


def _halved(state: SelectionState, rows: Array, note: str, in_pool: bool = False) -> Guard:
    order = state.rng.permutation(len(rows))
    half = len(rows) // 2
    return Guard(rows[np.sort(order[:half])], rows[np.sort(order[half:])], note, in_pool)


def _enough(guard: Guard) -> Guard:
    if len(guard.rows) < FEWEST:
        given = len(guard.rows) + (len(guard.weighing) if guard.note else 0)
        needed = 2 * FEWEST if guard.note else FEWEST
        raise InputError(f"guarded needs at least {needed} guard rows; got {given}")
    return guard


def checked_rows(state: SelectionState, given: Array, name: str) -> Array:
    """Return rows from outside, checked, as the pool compares rows."""
    rows = as_vectors(np.asarray(given))
    check_rows(rows, name, minimum=1)
    if rows.shape[1] != state.width:
        raise InputError(f"{name} has {rows.shape[1]} values a row, the pool {state.width}")
    return state.pool.transformed(rows)
