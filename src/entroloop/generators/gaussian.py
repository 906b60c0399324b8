"""A Gaussian with full covariance, fitted by maximum likelihood; its collapse has a closed form."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict
from safetensors.numpy import load_file, save_file

from entroloop.generators.row_format import RowFormat, read_row_format, write_settings
from entroloop.samples import Array, SampleSet
from entroloop.seeding import normal_rows
from entroloop.system.progress_line import Progress


class Gaussian(BaseModel):
    """Settings: none. The covariance has divisor n and no jitter."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    SAMPLING: ClassVar[tuple[str, ...]] = ()
    needs_previous: ClassVar[bool] = False
    name: Literal["gaussian"] = "gaussian"

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
        mean = x.mean(axis=0)
        covariance = (x - mean).T @ (x - mean) / len(x)
        values, vectors = np.linalg.eigh(covariance)
        progress(1, 1)
        return GaussianModel(row_format, mean, vectors * np.sqrt(np.clip(values, 0, None)))

    def stored_bytes(self, shape: tuple[int, ...], rows: int) -> int:
        """Return the size of the mean and the covariance factor, float64."""
        d = math.prod(shape)
        return 8 * d * (d + 1)

    def load(self, folder: Path, *, device: str, threads: int) -> GaussianModel:
        """Read a model that `GaussianModel.save` wrote."""
        tensors = load_file(folder / "gaussian.safetensors")
        return GaussianModel(read_row_format(folder), tensors["mean"], tensors["factor"])


@dataclass(frozen=True)
class GaussianModel:
    """N(mean, factor factorᵀ): mean (d,), factor (d, d), float64."""

    class_shares: ClassVar[None] = None

    row_format: RowFormat
    mean: Array
    factor: Array
    batch: int = 256

    def sample(self, seeds: Sequence[int], labels: Array | None = None) -> Array:
        """Return mean + factor z, with z standard normal, drawn by each seed."""
        z = normal_rows(seeds, len(self.mean)).astype(np.float64)
        return self.row_format.decode(self.mean + z @ self.factor.T)

    def save(self, folder: Path) -> None:
        """Write gaussian.safetensors and model.json."""
        tensors = {"mean": self.mean, "factor": np.ascontiguousarray(self.factor)}
        save_file(tensors, folder / "gaussian.safetensors")
        write_settings(folder, self.row_format, generator="gaussian")
