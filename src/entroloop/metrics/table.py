"""The table of metrics: what each needs, how it is computed, and where its interval comes from.

One row here and one function in a family's file add a metric to records, `measure` and pages.
"""

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
from entroloop.metrics.drift import (
    drift_coverage_of,
    drift_fidelity_of,
    drift_novelty_of,
    hubness_of,
    spikiness,
)
from entroloop.metrics.entropy import (
    duplicate_fraction,
    entropy_of,
    intrinsic_dimension_mle_of,
    intrinsic_dimension_of,
)
from entroloop.metrics.fourier import fkea_of, ken_of
from entroloop.metrics.frequencies import high_frequency_loss_of
from entroloop.metrics.kernels import inception_score_of, kernel_distance_of, vendi_score_of
from entroloop.metrics.manifold import K, balls, coverage_rows_of
from entroloop.metrics.metric import (
    ANY,
    BESIDES,
    REAL,
    UNSELECTED,
    G,
    Metric,
    R,
    RowStatistic,
    T,
    floor_of,
    mean_of,
)
from entroloop.metrics.moments import (
    effective_rank,
    frechet_distance_infinity_of,
    frechet_distance_of,
    total_variance,
)
from entroloop.metrics.neighbourhood import (
    auth_rows_of,
    generalization_ratio_of,
    leave_one_out_of,
    memorized_rows_of,
    nearest_distances_of,
)
from entroloop.metrics.originals import OF_ORIGINALS
from entroloop.metrics.sets import ROLES, Sets
from entroloop.metrics.sliced import sliced_wasserstein_of
from entroloop.metrics.tails import tail_coverage_rows_of, tail_share_of
from entroloop.plugins import Plugin, PluginError, Table
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


def _coverage(sets: Sets) -> float:
    return float(coverage_rows_of(sets).mean())


def _entropy_note(role: str, intrinsic: bool = False) -> Callable[[Sets], str]:
    def note(sets: Sets) -> str:
        e = entropy_of(sets, role, intrinsic=intrinsic)
        dimension = f", taken at dimension {e.dimension:.3g}" if intrinsic else ""
        return (
            f"d = {e.d}, k = {e.k}{dimension}, duplicates {e.duplicate_fraction:.3g}, smallest "
            f"distance {e.min_distance:.3g}; only differences at the same n, d, k and features "
            "mean anything"
        )

    return note


def _entropy(role: str, says: str, *, intrinsic: bool = False) -> Metric:
    return Metric(
        (role,),
        lambda sets: entropy_of(sets, role, intrinsic=intrinsic).nats,
        says,
        bounds=ANY,
        pairs_within=role,
        note=_entropy_note(role, intrinsic),
    )


def _rank_note(sets: Sets) -> str:
    n, d = min(len(sets["generated"]), len(sets["reference"])), sets["generated"].shape[1]
    if n > d:
        return ""
    return f"{n} rows of {d} values: the covariances have rank ≤ {n - 1}, so the figure is biased"


FID = "with FID libraries on the same features and numbers of rows"
PRDC = "with prdc (k = 5) if no rows are equal"

_OWN: dict[str, Metric] = {
    "entropy_train": _entropy(T, "how spread out the training set is; it falls as models collapse"),
    "entropy_samples": _entropy(G, "how spread out the generated rows are"),
    "entropy_train_intrinsic": _entropy(
        T, "the same at the estimated dimension of the set (TwoNN)", intrinsic=True
    ),
    "entropy_samples_intrinsic": _entropy(
        G, "the same at the estimated dimension of the set (TwoNN)", intrinsic=True
    ),
    "intrinsic_dimension": Metric(
        (G,), lambda s: intrinsic_dimension_of(s.own(G)),
        "dimension of the surface that generated rows lie near (TwoNN)", pairs_within=G,
        fewest=500,
    ),
    "intrinsic_dimension_mle": Metric(
        (G,), lambda s: intrinsic_dimension_mle_of(s.own(G)),
        "the same by maximum likelihood over 20 neighbours", pairs_within=G,
        fewest=500,
    ),
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
    "fld": mean_of(
        (G, T, R), R, fld_rows_of,
        "likelihood of held-out rows lost by modelling with generated rows, not training rows",
        bounds=ANY, pairs=_nearness, on_request=True,
    ),
    "fld_gap": Metric(
        (G, T, R), fld_gap_of,
        "FLD on training rows minus FLD on held-out rows; below 0: overfitting",
        every_row=True, counted=True, bounds=ANY, pairs=_nearness, on_request=True,
    ),
    "mifid": Metric(
        (G, T, R), mifid_of,
        "Fréchet distance, increased if generated rows point the same way as training rows",
        wide="on request", pairs=lambda s: -cosine_distances(s), note=_rank_note, smooth=1.0,
    ),
    "frechet_distance": Metric(
        (G, R), frechet_distance_of,
        "distance between the sets as Gaussians: quality and variety in one",
        wide="no interval", comparable=FID, note=_rank_note, smooth=1.0,
        beside=("frechet_distance_floor",),
    ),
    "frechet_distance_floor": floor_of(frechet_distance_of, "its bias at these numbers"),
    "frechet_distance_infinity": Metric(
        (G, R), frechet_distance_infinity_of,
        "the same, extrapolated to infinitely many generated rows",
        wide="on request", comparable=FID, note=_rank_note, smooth=1.0,
        bounds=ANY,
        fewest=500,
    ),
    "kernel_distance": Metric(
        (G, R), kernel_distance_of,
        "KID: like the Fréchet distance, but unbiased at any number of rows",
        comparable="with KID libraries (third-degree kernel, subsets of 1,000)",
        bounds=ANY, smooth=1.0, beside=("kernel_distance_floor",),
    ),
    "kernel_distance_floor": floor_of(kernel_distance_of, "0 up to chance"),
    "inception_score": Metric(
        (G, "probabilities"), inception_score_of,
        "is each row's class certain, and do the rows cover many classes?",
        comparable="with one-split inception scores of the same network",
    ),
    "sliced_wasserstein": Metric(
        (G, R), sliced_wasserstein_of, "transport distance along 256 random lines",
    ),
    "precision": Metric(
        (G, R), lambda s: float((balls(s) > 0).mean()),
        "share of generated rows within a real neighbourhood",
        comparable=PRDC, bounds=(0.0, 1.0),
    ),
    "recall": Metric(
        (G, R), lambda s: float((balls(s, of=R, around=G) > 0).mean()),
        "share of real rows within a generated neighbourhood",
        comparable=PRDC, bounds=(0.0, 1.0),
    ),
    "density": Metric(
        (G, R), lambda s: float(balls(s).mean() / K),
        "how many real neighbourhoods contain a generated row, over k", comparable=PRDC,
    ),
    "coverage": Metric(
        (G, R), _coverage, "share of real rows with a generated row in their neighbourhood",
        comparable=PRDC, bounds=(0.0, 1.0), beside=("coverage_floor",),
    ),
    "coverage_floor": floor_of(_coverage, "the most to hope for"),
    "coverage_distance": Metric(
        (G, R), lambda s: float(nearest_distances_of(s, R, G).mean()),
        "mean distance from a real row to its nearest generated row",
    ),
    "tail_share": Metric(
        (G, R), tail_share_of,
        "share of rows beyond the 95 % quantile of real distances to the mean; 0.05 is right",
        bounds=(0.0, 1.0), on_request=True,
    ),
    "tail_coverage": mean_of(
        (G, R), R, tail_coverage_rows_of,
        "share of real rows in the tails with a generated row in their neighbourhood",
        every_row=False, bounds=(0.0, 1.0), on_request=True, beside=("tail_coverage_floor",),
    ),
    "tail_coverage_floor": floor_of(
        lambda s: float(tail_coverage_rows_of(s).mean()), "the most to hope for"
    ),
    "high_frequency_loss": Metric(
        (G, R, "images"), high_frequency_loss_of,
        "by how much the share of power in fine detail is below that of real images, in nats",
        bounds=ANY, on_request=True, smooth=1.0,
    ),
    "total_variance": Metric(
        (G,), lambda s: total_variance(s[G]), "trace of the covariance of generated rows",
        smooth=1.0,
    ),
    "effective_rank": Metric(
        (G,), lambda s: effective_rank(s[G]), "how many directions carry the variance",
        wide="no interval", smooth=0.25,
    ),
    "vendi_score": Metric(
        (G,), lambda s: vendi_score_of(s, 1.0),
        "effective number of distinct rows (cosine similarity)",
        wide="no interval", comparable="with vendi-score on the same features", smooth=0.25,
    ),
    "rke": Metric(
        (G,), lambda s: vendi_score_of(s, 2.0), "effective number of modes (order 2)",
        wide="no interval", comparable="with vendi-score of order 2 on the same features",
    ),
    "fkea": Metric(
        (G, R), fkea_of,
        "entropy of the Gaussian kernel's spectrum, at the scale of real rows, in nats",
        on_request=True, smooth=0.25,
    ),
    "fkea_rke": Metric(
        (G, R), lambda s: fkea_of(s, 2), "the same of order 2, which counts modes, in nats",
        bounds=ANY, on_request=True,
    ),
    "ken": Metric(
        (G, R), ken_of, "entropy of modes more than twice as frequent as among real rows, in nats",
        on_request=True, beside=("ken_floor",),
    ),
    "ken_floor": floor_of(ken_of, "what two draws of them show"),
    "ken_lost": Metric(
        (G, R), lambda s: ken_of(s, R, G),
        "entropy of modes of real rows less than half as frequent among generated ones, in nats",
        on_request=True, beside=("ken_floor",),
    ),
    "hubness": Metric(
        (G,), lambda s: hubness_of(s, G),
        "skewness of neighbour counts; above 1.4, distrust neighbour-based metrics here",
        bounds=ANY, counted=True,
    ),
    "spikiness": Metric(
        (G,), lambda s: spikiness(s[G]), "negentropy along the first two principal components",
        wide="no interval",
        bounds=ANY,
    ),
    "drift_fidelity": Metric(
        (G, T, R), drift_fidelity_of, "loss of fidelity: generated rows farther from real ones",
        bounds=ANY,
    ),
    "drift_coverage": Metric(
        (G, T, R), drift_coverage_of, "loss of coverage: real rows farther from generated ones",
        bounds=ANY,
    ),
    "drift_novelty": Metric(
        (G, T, R), drift_novelty_of,
        "loss of novelty: nearer to training rows than to held-out ones",
        bounds=ANY, beside=("drift_novelty_unselected",),
    ),
    "drift_novelty_unselected": Metric(
        (G, T, UNSELECTED), lambda s: drift_novelty_of(s, UNSELECTED),
        "the same against unselected rows like the training set's: the null after generation 1",
        bounds=ANY,
    ),
    "duplicate_fraction": Metric(
        (T,), lambda s: duplicate_fraction(s["train_whole"]),
        "share of exact copies in the training set",
        every_row=True, counted=True,
    ),
    **OF_ORIGINALS,
}  # fmt: skip


def _adopted(plugin: Plugin, found: object) -> Metric:
    if not isinstance(found, Metric):
        raise PluginError(f"{plugin} is no entroloop.metrics.Metric")
    originals = {f"{role} {kind}" for role in ROLES for kind in ("text", "table")}
    known = {*ROLES, "train_whole", *BESIDES, "likelihood"} | originals
    if unknown := set(found.needs) - known:
        valid = ", ".join(ROLES)
        raise PluginError(f"{plugin} needs '{min(unknown)}', which is no role; valid: {valid}")
    return found


METRICS: Table[Metric] = Table("metrics", _OWN, _adopted)

# Metrics based on distances to neighbours in another set: hubs make them say little.
BY_NEIGHBOURS = (
    "generalization_score", "generalization_score_reference", "generalization_ratio",
    "memorized_fraction", "auth_pct",
    "c_t", "precision", "recall", "density", "coverage", "coverage_distance", "drift_fidelity",
    "drift_coverage", "drift_novelty",
)  # fmt: skip
HUBS = 1.4  # hubness above which a space is called strongly skewed (Radovanović et al. 2010)

# The columns in every record of a study, in this order.
RECORDED = (
    "entropy_train", "entropy_samples", "generalization_score", "generalization_score_reference",
    "memorized_fraction", "frechet_distance", "coverage_distance", "total_variance",
    "duplicate_fraction", "generalization_ratio", "auth_pct", "generalization_score_unselected",
    "generalization_ratio_real", "memorized_fraction_real", "frechet_distance_floor",
)  # fmt: skip
