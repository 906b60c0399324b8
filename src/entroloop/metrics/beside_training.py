"""The rows of the table of metrics that look beside a training set: memorization and copying."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from entroloop.metrics.copying import (
    c_t_of,
    cosine_distances,
    fld_gap_of,
    fld_rows_of,
    mifid_of,
)
from entroloop.metrics.metric import ANY, REAL, UNSELECTED, G, Metric, R, RowStatistic, T, mean_of
from entroloop.metrics.moments import rank_note
from entroloop.metrics.neighbourhood import (
    auth_rows_of,
    generalization_ratio_of,
    leave_one_out_of,
    memorized_rows_of,
    nearest_distances_of,
)
from entroloop.metrics.sets import Sets
from entroloop.samples import Array, Float64


def _nearness(sets: Sets) -> Float64:
    """Return the degree of memorization of each generated row: d₂/d₁, inf for a copy."""
    d = sets.nearest(G, "train_whole").distances
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = d[:, -1] / d[:, 0]
    return np.where(d[:, 0] == 0, np.inf, ratio)


def _ratio_rows(sets: Sets) -> RowStatistic:
    own = leave_one_out_of(sets, T)
    return RowStatistic(
        nearest_distances_of(sets, G, T), lambda distances: float(distances.mean()) / own
    )


def _where(flagged: Callable[[Sets], Array]) -> Callable[[Sets], Float64]:
    return lambda sets: np.where(flagged(sets), _nearness(sets), -np.inf)


def _copying_rows(sets: Sets, held_out: str = R) -> RowStatistic:
    found = c_t_of(sets, held_out)
    return RowStatistic(found.distances, lambda _: found.statistic(), found.resampled)


BESIDE_TRAINING: dict[str, Metric] = {
    "generalization_score": mean_of(
        (G, T), G, lambda s: nearest_distances_of(s, G, T),
        "mean distance to the nearest training row; low means memorization",
        beside=("generalization_score_reference", "generalization_score_unselected"),
    ),
    "generalization_score_reference": mean_of(
        (R, T), R, lambda s: nearest_distances_of(s, R, T),
        "the same for held-out real rows: what a perfect generator would score",
    ),
    "generalization_score_unselected": mean_of(
        (UNSELECTED, T), UNSELECTED, lambda s: nearest_distances_of(s, UNSELECTED, T),
        "the same for unselected rows like the training set's: its null after generation 1",
    ),
    "generalization_ratio_real": Metric(
        (G, REAL), lambda s: generalization_ratio_of(s, REAL),
        "how near samples lie to the real training rows, over these rows' own spacing",
        every_row=True, counted=True,
    ),
    "memorized_fraction_real": mean_of(
        (G, REAL), G, lambda s: memorized_rows_of(s, of=REAL),
        "share of generated rows three times nearer to one real training row than to the next",
        bounds=(0.0, 1.0),
    ),
    "generalization_ratio": Metric(
        (G, T), generalization_ratio_of,
        "the score over the training set's own leave-one-out distance; it does not fall with scale",
        _ratio_rows, G, every_row=True,
    ),
    "memorized_fraction": mean_of(
        (G, T), G, memorized_rows_of,
        "share of generated rows three times nearer to one training row than to the next",
        bounds=(0.0, 1.0), pairs=_where(memorized_rows_of),
        beside=("memorized_fraction_reference",),
    ),
    "memorized_fraction_reference": mean_of(
        (R, T), R, lambda s: memorized_rows_of(s, who=R),
        "the same share of held-out real rows: what chance makes of it", bounds=(0.0, 1.0),
    ),
    "auth_pct": mean_of(
        (G, T), G, auth_rows_of,
        "percentage farther from the nearest training row than that row is from its neighbour",
        scale=100.0, bounds=(0.0, 100.0), pairs=_where(lambda s: ~auth_rows_of(s)),
        comparable="with dgm-eval's AuthPct",
    ),
    "c_t": Metric(
        (G, T, R), lambda s: c_t_of(s).statistic(),
        "are generated rows nearer to training rows than held-out rows are? far below 0: yes",
        _copying_rows, f"{G} and {R}", every_row=True, bounds=ANY, pairs=_nearness,
        beside=("c_t_unselected",),
    ),
    "c_t_unselected": Metric(
        (G, T, UNSELECTED), lambda s: c_t_of(s, UNSELECTED).statistic(),
        "the same against unselected rows like the training set's: the null after generation 1",
        lambda s: _copying_rows(s, UNSELECTED), f"{G} and {UNSELECTED}",
        every_row=True, bounds=ANY,
    ),
    "fld": Metric(
        (G, T, R), lambda s: float(fld_rows_of(s).mean()),
        "likelihood of held-out rows lost by modelling with generated rows, not training rows",
        every_row=True, counted=True, bounds=ANY, pairs=_nearness, on_request=True,
    ),
    "fld_gap": Metric(
        (G, T, R), fld_gap_of,
        "FLD on training rows minus FLD on held-out rows; below 0: overfitting",
        every_row=True, counted=True, bounds=ANY, pairs=_nearness, on_request=True,
    ),
    "mifid": Metric(
        (G, T, R), mifid_of,
        "Fréchet distance, increased if generated rows point the same way as training rows",
        wide="on request", pairs=lambda s: -cosine_distances(s), note=rank_note, smooth=1.0,
    ),
}  # fmt: skip
