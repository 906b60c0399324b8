"""What a selection took, and what it left: each left-out row with the pick that covers it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from entroloop.distances.neighbors import nearest
from entroloop.report.arms import ShownArm
from entroloop.report.claims import RANDOM
from entroloop.samples import Array, Float64, SampleSet, as_vectors, concatenate
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
    generation: NDArray[np.int32]
    radius: Float64
    left: Array
    left_generation: NDArray[np.int32]
    covering: Array
    distances: Float64


def took_and_left(arm: ShownArm, generation: int, count: int) -> TookAndLeft | None:
    """Return `count` rows taken and left by an arm's selection, or None where nothing was left."""
    if generation < 2 or arm.config["strategy"] in RANDOM or count < 1:
        return None
    pool = _pool(arm, generation)
    table = read_table(arm.view.store, arm.keys[generation - 1]["training_set"])
    picks = table[table["pick_rank"] >= 0].sort_values("pick_rank")
    places = {
        place: i
        for i, place in enumerate(
            zip(pool.provenance.tolist(), pool.source_index.tolist(), strict=True)
        )
    }
    wanted = zip(picks["generation"].tolist(), picks["source_index"].tolist(), strict=True)
    chosen = np.array([places[place] for place in wanted], dtype=np.int64)
    free = np.setdiff1d(np.arange(len(pool)), chosen)
    if not len(chosen) or not len(free):
        return None
    taken = as_vectors(pool.data[chosen])
    free = spread_out(free, rows_within(len(taken), taken.shape[1]))
    found = nearest(as_vectors(pool.data[free]), taken)
    shown = spread_out(np.argsort(found.distances[:, 0], kind="stable"), count)
    first = chosen[:count]
    return TookAndLeft(
        pool.data[first], pool.provenance[first], picks["radius"].to_numpy()[:count],
        pool.data[free[shown]], pool.provenance[free[shown]],
        pool.data[chosen[found.indices[shown, 0]]], found.distances[shown, 0],
    )  # fmt: skip


def _pool(arm: ShownArm, generation: int) -> SampleSet:
    """Return the candidates that an arm's paradigm offered for a generation."""
    view, n = arm.view, arm.view.n_train
    composition = PARADIGMS[arm.config["paradigm"]](generation, n, **arm.config["paradigm_args"])
    most = int(arm.config["oversample"]) * n
    parts = []
    for g in composition.candidates:
        if g == 0:
            parts.append(view.real.samples().take(view.real_rows(arm.seed)[0]))
        else:
            made = view.store.samples(arm.keys[g - 1]["samples"])[:most]
            parts.append(SampleSet.of_generation(made, g))
    return concatenate(parts)


def rows_within(rows: int, width: int) -> int:
    """Return how many queries a search among so many rows may have within the work allowed."""
    return max(64, int(FLOATS / max(1, rows * width)))


def spread_out(index: NDArray[np.int64], count: int) -> NDArray[np.int64]:
    """Return `count` entries at even distances, the first and last among them."""
    if len(index) <= count:
        return index
    return index[np.linspace(0, len(index) - 1, count).round().astype(np.int64)]
