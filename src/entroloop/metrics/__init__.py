"""Metrics: pure functions of feature arrays, one file per family, and the table of their names."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from entroloop.metrics.entropy import duplicate_fraction, knn_entropy
from entroloop.metrics.moments import frechet_distance, total_variance
from entroloop.metrics.neighbourhood import (
    auth_pct,
    coverage_distance,
    generalization_score,
    memorized_fraction,
)
from entroloop.samples import Array


@dataclass(frozen=True)
class Sets:
    """The features that one generation is measured on.

    generated, train: N rows each in every arm and generation, so that metrics which depend on the
    number of rows can be compared. train_whole: the whole training set. reference: held-out real.
    """

    generated: Array
    train: Array
    train_whole: Array
    reference: Array


METRICS: dict[str, Callable[[Sets], float]] = {
    "entropy_train": lambda s: knn_entropy(s.train).nats,
    "entropy_samples": lambda s: knn_entropy(s.generated).nats,
    "generalization_score": lambda s: generalization_score(generated=s.generated, train=s.train),
    "generalization_score_reference": lambda s: generalization_score(
        generated=s.reference, train=s.train
    ),
    "memorized_fraction": lambda s: memorized_fraction(generated=s.generated, train=s.train_whole),
    "frechet_distance": lambda s: frechet_distance(generated=s.generated, reference=s.reference),
    "coverage_distance": lambda s: coverage_distance(generated=s.generated, reference=s.reference),
    "total_variance": lambda s: total_variance(s.generated),
    "duplicate_fraction": lambda s: duplicate_fraction(s.train_whole),
}

# Measured on request (metrics.extra): further columns under these names.
EXTRA_METRICS: dict[str, Callable[[Sets], float]] = {
    "auth_pct": lambda s: auth_pct(generated=s.generated, train=s.train_whole),
}
