"""What a selection took, and what it left: each left-out row with the pick that covers it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from entroloop.distances.neighbors import nearest
from entroloop.report.arms import ShownArm
from entroloop.report.claims import RANDOM
from entroloop.samples import Array, Float64, as_vectors
from entroloop.store.stages import read_table
from entroloop.study.paradigms import PARADIGMS

FLOATS = 2e9  # products of a search, at most, for each arm and generation


@dataclass(frozen=True)
class TookAndLeft:
    """Some rows of a pool.

    took: the first picks, with their generation and radius. left: left-out rows from the nearest to
    a pick to the farthest, covering: the nearest pick of each, distances: to it (raw, Euclidean).
    """

    took: Array
    generation: NDArray[np.int64]
    radius: Float64
    left: Array
    left_generation: NDArray[np.int64]
    covering: Array
    distances: Float64


def took_and_left(arm: ShownArm, generation: int, count: int) -> TookAndLeft | None:
    """Return `count` rows taken and left by an arm's selection, or None where nothing was left."""
    if generation < 2 or arm.config["strategy"] in RANDOM or count < 1:
        return None
    pool = _pool(arm, generation)
    table = read_table(arm.view.store, arm.keys[generation - 1]["training_set"])
    picks = table[table["pick_rank"] >= 0].sort_values("pick_rank")
    places = {place: i for i, place in enumerate(map(tuple, pool.tolist()))}
    wanted = zip(picks["generation"].tolist(), picks["source_index"].tolist(), strict=True)
    chosen = np.array([places[place] for place in wanted], dtype=np.int64)
    free = np.setdiff1d(np.arange(len(pool)), chosen)
    if not len(chosen) or not len(free):
        return None
    taken = _rows(arm, pool[chosen])
    vectors = as_vectors(taken)
    free = spread_out(free, rows_within(len(vectors), vectors.shape[1]))
    left = _rows(arm, pool[free])
    found = nearest(as_vectors(left), vectors)
    shown = spread_out(np.argsort(found.distances[:, 0], kind="stable"), count)
    return TookAndLeft(
        taken[:count], pool[chosen[:count], 0], picks["radius"].to_numpy()[:count],
        left[shown], pool[free[shown], 0], taken[found.indices[shown, 0]],
        found.distances[shown, 0],
    )  # fmt: skip


def _pool(arm: ShownArm, generation: int) -> NDArray[np.int64]:
    """Return the candidates that an arm's paradigm offered: generation and index of each (n, 2)."""
    view, n = arm.view, arm.view.n_train
    composition = PARADIGMS[arm.config["paradigm"]](generation, n, **arm.config["paradigm_args"])
    most = int(arm.config["oversample"]) * n
    parts = []
    for g in composition.candidates:
        index = view.real_rows(arm.seed)[0] if g == 0 else np.arange(most)
        parts.append(np.stack([np.full(len(index), g), index], axis=1))
    return np.concatenate(parts)


def _rows(arm: ShownArm, places: NDArray[np.int64]) -> Array:
    """Return the rows at these places, each read from the generation that made it."""
    real = arm.view.real.data
    rows = np.empty((len(places), *real.shape[1:]), dtype=real.dtype)
    for g in np.unique(places[:, 0]):
        own = places[:, 0] == g
        source = real if g == 0 else arm.view.store.samples(arm.keys[g - 1]["samples"])
        rows[own] = source[places[own, 1]]
    return rows


def rows_within(rows: int, width: int) -> int:
    """Return how many queries a search among so many rows may have within the work allowed."""
    return max(64, int(FLOATS / max(1, rows * width)))


def spread_out(index: NDArray[np.int64], count: int) -> NDArray[np.int64]:
    """Return `count` entries at even distances, the first and last among them."""
    if len(index) <= count:
        return index
    return index[np.linspace(0, len(index) - 1, count).round().astype(np.int64)]
