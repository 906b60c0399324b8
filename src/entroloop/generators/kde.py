"""A kernel density estimate: training rows plus Gaussian noise of a single bandwidth."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field
from safetensors.numpy import load_file, save_file

from entroloop.generators.row_format import RowFormat, read_row_format, write_settings
from entroloop.samples import Array, SampleSet
from entroloop.system.progress_line import Progress


class KDE(BaseModel):
    """Settings: the bandwidth h of the isotropic kernel N(0, h² I).

    `scott`: h = n^(−1/(d+4)) times the root of the mean variance (Scott 1992). A sample's
    covariance is that of the training set plus h² I.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)
    SAMPLING: ClassVar[tuple[str, ...]] = ()
    needs_previous: ClassVar[bool] = False
    name: Literal["kde"] = "kde"
    bandwidth: Literal["scott"] | float = Field(default="scott")

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
    ) -> KDEModel:
        """Return the estimate; seed, device and threads have no effect."""
        row_format = RowFormat.of(training_set.data)
        x = row_format.encode(training_set.data, np.float64)
        if isinstance(self.bandwidth, str):
            n, d = x.shape
            h = n ** (-1 / (d + 4)) * float(np.sqrt(x.var(axis=0).mean()))
        else:
            h = self.bandwidth
        progress(1, 1)
        return KDEModel(row_format, x, h)

    def stored_bytes(self, shape: tuple[int, ...], rows: int) -> int:
        """Return the size of the training rows as float64."""
        return 8 * rows * math.prod(shape)

    def load(self, folder: Path, *, device: str, threads: int) -> KDEModel:
        """Read a model that `KDEModel.save` wrote."""
        tensors = load_file(folder / "kde.safetensors")
        return KDEModel(read_row_format(folder), tensors["rows"], float(tensors["bandwidth"][0]))


@dataclass(frozen=True)
class KDEModel:
    """Equally weighted kernels N(row, bandwidth² I) at the rows (n, d), float64."""

    class_shares: ClassVar[None] = None

    row_format: RowFormat
    rows: Array
    bandwidth: float
    batch: int = 256

    def sample(self, seeds: Sequence[int], labels: Array | None = None) -> Array:
        """Return, for each seed, a training row drawn uniformly, plus noise."""
        drawn = np.empty((len(seeds), self.rows.shape[1]))
        for row, seed in zip(drawn, seeds, strict=True):
            rng = np.random.default_rng(seed)
            row[:] = self.rows[rng.integers(len(self.rows))]
            row += self.bandwidth * rng.standard_normal(len(row))
        return self.row_format.decode(drawn)

    def save(self, folder: Path) -> None:
        """Write kde.safetensors and model.json."""
        tensors = {"rows": self.rows, "bandwidth": np.array([self.bandwidth])}
        save_file(tensors, folder / "kde.safetensors")
        write_settings(folder, self.row_format, generator="kde", bandwidth=self.bandwidth)
