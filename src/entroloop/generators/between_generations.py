"""What a training has to do with the generations before it: weights of rows, and of models."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeVar

import numpy as np

from entroloop.samples import Float64, SampleSet

T = TypeVar("T")


def unset(value: object) -> bool:
    """Whether a setting of a remedy asks for nothing; such settings enter no key."""
    return value is None or value == 0 or value == "scratch"


def row_weights(training_set: SampleSet, real_weight: float | None) -> Float64 | None:
    """Return the weight of each row (n,), of sum 1; None where every row counts alike.

    The n_r real rows share `real_weight` w, w/n_r each, and the n_g generated ones 1 − w. With
    real rows that are new in every generation and n_r = n_g, the error of a fitted mean is least in
    the long run at w = (√5 − 1)/2, the reciprocal golden ratio (arXiv 2502.18049). A training set
    of real rows alone, or without any, has nothing to weigh.
    """
    real = training_set.provenance == 0
    if real_weight is None or real.all() or not real.any():
        return None
    weights: Float64 = np.where(real, real_weight / real.sum(), (1 - real_weight) / (~real).sum())
    return weights


def extrapolated(before: Mapping[str, T], after: Mapping[str, T], w: float) -> dict[str, T]:
    """Return (1 + w) θ₀ − w θ, name by name: a step away from θ, beyond θ₀ (arXiv 2510.03597).

    before: θ₀, the parameters of the previous generation. after: θ, those trained from them.

    >>> extrapolated({"mean": 1.0}, {"mean": 1.5}, 1.0)
    {'mean': 0.5}
    """
    return {name: before[name] + w * (before[name] - after[name]) for name in after}  # type: ignore[operator]
