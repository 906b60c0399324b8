"""A Gaussian with full covariance, fitted by maximum likelihood; its collapse has a closed form."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Literal

import numpy as np
from safetensors.numpy import load_file, save_file

from entroloop.generators.between_generations import Remedies, extrapolated, row_weights
from entroloop.generators.row_format import RowFormat, read_row_format, write_settings
from entroloop.samples import Array, SampleSet
from entroloop.seeding import normal_rows
from entroloop.system.progress_line import Progress


class Gaussian(Remedies):
    """Settings: those of remedies alone. The covariance has divisor n and no jitter.

    Real rows weigh in the moments. Extrapolated are mean and covariance (negative variances become
    0); where the rows are n samples of the previous generation, w takes the mean covariance from
    (1 − 1/n) Σ₀ to (1 + w/n) Σ₀. The truncation is in units of the root mean variance s̄; samples
    keep the share s/√(s² + τ² s̄²) of the standard deviation s along each principal axis.
    """

    SAMPLING: ClassVar[tuple[str, ...]] = ("truncation",)
    name: Literal["gaussian"] = "gaussian"

    @property
    def needs_previous(self) -> bool:
        """Whether `fit` reads the previous generation's model."""
        return self.extrapolation > 0

    def fit(
        self,
        training_set: SampleSet,
        *,
        seed: int,
        device: str,
        threads: int,
        progress: Progress,
        scratch: Path | None = None,
        previous: Path | None = None,
    ) -> GaussianModel:
        """Return the maximum-likelihood N(μ, Σ); seed, device and threads have no effect."""
        row_format = RowFormat.of(training_set.data)
        x = row_format.encode(training_set.data, np.float64)
        share = row_weights(training_set, self.real_weight)
        if share is None:
            mean = x.mean(axis=0)
            covariance = (x - mean).T @ (x - mean) / len(x)
        else:
            mean = share @ x
            covariance = (x - mean).T @ (share[:, None] * (x - mean))
        if self.extrapolation and previous is not None:
            fitted = {"mean": mean, "covariance": covariance}
            made = extrapolated(_moments(previous), fitted, self.extrapolation)
            mean, covariance = made["mean"], made["covariance"]
        values, vectors = np.linalg.eigh(covariance)
        factor = vectors * np.sqrt(np.clip(values, 0, None))
        progress(1, 1)
        return GaussianModel(row_format, mean, factor, self.truncation)

    def stored_bytes(self, shape: tuple[int, ...], rows: int) -> int:
        """Return the size of the mean and the covariance factor, float64."""
        d = math.prod(shape)
        return 8 * d * (d + 1)

    def load(self, folder: Path, *, device: str, threads: int) -> GaussianModel:
        """Read a model that `GaussianModel.save` wrote."""
        tensors = load_file(folder / "gaussian.safetensors")
        row_format = read_row_format(folder)
        return GaussianModel(row_format, tensors["mean"], tensors["factor"], self.truncation)


def _moments(folder: Path) -> dict[str, Array]:
    """Return mean and covariance of a saved model."""
    tensors = load_file(folder / "gaussian.safetensors")
    return {"mean": tensors["mean"], "covariance": tensors["factor"] @ tensors["factor"].T}


@dataclass(frozen=True)
class GaussianModel:
    """N(mean, factor factorᵀ): mean (d,), factor (d, d) with orthogonal columns, float64."""

    class_shares: ClassVar[None] = None

    row_format: RowFormat
    mean: Array
    factor: Array
    truncation: float = 0.0
    batch: int = 256

    def sample(self, seeds: Sequence[int], labels: Array | None = None) -> Array:
        """Return mean + factor z, with z standard normal, drawn by each seed, and truncated."""
        z = normal_rows(seeds, len(self.mean)).astype(np.float64)
        if self.truncation:
            variances = np.square(self.factor).sum(axis=0)
            noise = self.truncation**2 * variances.mean()
            z *= np.sqrt(variances / np.maximum(variances + noise, np.finfo(float).tiny))
        return self.row_format.decode(self.mean + z @ self.factor.T)

    def save(self, folder: Path) -> None:
        """Write gaussian.safetensors and model.json."""
        tensors = {"mean": self.mean, "factor": np.ascontiguousarray(self.factor)}
        save_file(tensors, folder / "gaussian.safetensors")
        write_settings(folder, self.row_format, generator="gaussian")
