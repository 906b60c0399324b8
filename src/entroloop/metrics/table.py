"""The table of metrics: what each needs, how it is computed, and where its interval comes from.

One row here and one function in a family's file add a metric to records, `measure` and pages. The
rows of metrics that look beside a training set, beside the reference, or at texts and tables as
they are, stand in `beside_training.py`, `beside_reference.py` and `originals.py`.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from entroloop.metrics.beside_reference import BESIDE_REFERENCE
from entroloop.metrics.beside_training import BESIDE_TRAINING
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
from entroloop.metrics.fourier import bandwidth_of, fkea_error, fkea_of, ken_error_of, ken_of
from entroloop.metrics.kernels import vendi_score_of
from entroloop.metrics.metric import (
    ANY,
    BESIDES,
    UNSELECTED,
    G,
    Metric,
    R,
    T,
    floor_of,
)
from entroloop.metrics.moments import (
    effective_rank,
    total_variance,
)
from entroloop.metrics.originals import OF_ORIGINALS
from entroloop.metrics.sets import ROLES, Sets
from entroloop.plugins import Plugin, PluginError, Table
from entroloop.system.numbers import number, percent


def _entropy_note(role: str, intrinsic: bool = False) -> Callable[[Sets], str]:
    def note(sets: Sets) -> str:
        e = entropy_of(sets, role, intrinsic=intrinsic)
        dimension = f", taken at dimension {number(e.dimension)}" if intrinsic else ""
        return (
            f"d = {e.d}, k = {e.k}{dimension}, duplicates {percent(e.duplicate_fraction)}, "
            f"smallest distance {number(e.min_distance)}; only differences at the same n, d, k and "
            "features mean anything"
        )

    return note


def _bandwidth_note(sets: Sets) -> str:
    return f"at the bandwidth {number(bandwidth_of(sets))} of these real rows, taken as given"


def _entropy(role: str, says: str, *, intrinsic: bool = False) -> Metric:
    return Metric(
        (role,),
        lambda sets: entropy_of(sets, role, intrinsic=intrinsic).nats,
        says,
        bounds=ANY,
        pairs_within=role,
        note=_entropy_note(role, intrinsic),
    )


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
    **BESIDE_TRAINING,
    **BESIDE_REFERENCE,
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
        on_request=True, resampled=G, error=partial(fkea_of, what=fkea_error), fewest=40,
        note=_bandwidth_note,
    ),
    "fkea_rke": Metric(
        (G, R), lambda s: fkea_of(s, 2), "the same of order 2, which counts modes, in nats",
        bounds=ANY, on_request=True, resampled=G, error=lambda s: fkea_of(s, 2, fkea_error),
        fewest=40, note=_bandwidth_note,
    ),
    "ken": Metric(
        (G, R), ken_of, "entropy of modes more than twice as frequent as among real rows, in nats",
        on_request=True, beside=("ken_floor",),
        resampled=f"{G} and {R}", error=ken_error_of, note=_bandwidth_note,
    ),
    "ken_floor": floor_of(ken_of, "what two draws of them show"),
    "ken_lost": Metric(
        (G, R), lambda s: ken_of(s, R, G),
        "entropy of modes of real rows less than half as frequent among generated ones, in nats",
        on_request=True, beside=("ken_floor",),
        resampled=f"{G} and {R}", error=lambda s: ken_error_of(s, R, G),
        note=_bandwidth_note,
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
    "memorized_fraction", "memorized_fraction_reference", "auth_pct",
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
