"""What a training has to do with the generations before it: weights of rows, and of models.

Besides the settings of these remedies, which generators share.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Self, TypeVar

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, model_validator

from entroloop.samples import Float64, SampleSet

T = TypeVar("T")


def unset(value: object) -> bool:
    """Whether a setting of a remedy asks for nothing; such settings enter no key."""
    return value is None or value == 0 or value == "scratch"


class WeighsRows(BaseModel):
    """real_weight: the share that real rows have together in what is learned, see `row_weights`;
    null: every row counts alike.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)
    real_weight: float | None = Field(default=None, gt=0, le=1, exclude_if=unset)


class Remedies(WeighsRows):
    """extrapolation: w > 0 makes (1 + w) θ₀ − w θ of what was learned, θ, with θ₀ that of the
    previous generation: a step away from what training on this generation's rows did (Neon, arXiv
    2510.03597). truncation: the ratio τ of noise to signal at which sampling stops and takes the
    clean rows that the model expects; 0 samples to the end.
    """

    extrapolation: float = Field(default=0.0, ge=0, exclude_if=unset)
    truncation: float = Field(default=0.0, ge=0, exclude_if=unset)

    @property
    def needs_previous(self) -> bool:
        """Whether `fit` reads the previous generation's model."""
        raise NotImplementedError

    @model_validator(mode="after")
    def _extrapolation_needs_the_previous_model(self) -> Self:
        if self.extrapolation and not self.needs_previous:
            raise ValueError("extrapolation needs init: finetune, to have weights to step back to")
        return self


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
