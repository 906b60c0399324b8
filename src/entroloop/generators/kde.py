"""A kernel density estimate: training rows plus Gaussian noise of a single bandwidth."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, ClassVar, Literal

import numpy as np
from pydantic import Field
from safetensors.numpy import load_file, save_file

from entroloop.generators.between_generations import WeighsRows, row_weights
from entroloop.generators.row_format import RowFormat, read_row_format, write_settings
from entroloop.samples import Array, Float64, SampleSet
from entroloop.system.progress_line import Progress


class KDE(WeighsRows):
    """Settings: the bandwidth h ≥ 0 of the isotropic kernel N(0, h² I), in units of the rows.

    `scott`: h = n^(−1/(d+4)) times the root of the mean variance (Scott 1992). A sample's
    covariance is that of the training set plus h² I. With a weight w of the real rows, that share
    of the samples comes from them, and n is 1/Σ w² of the rows' weights.
    """

    SAMPLING: ClassVar[tuple[str, ...]] = ()
    needs_previous: ClassVar[bool] = False
    name: Literal["kde"] = "kde"
    bandwidth: Annotated[float, Field(ge=0)] | Literal["scott"] = "scott"

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
        share = row_weights(training_set, self.real_weight)
        if isinstance(self.bandwidth, str):
            n, d = x.shape
            if share is None:
                variance = x.var(axis=0).mean()
            else:
                n = 1 / float(share @ share)
                variance = share @ np.square(x - share @ x).mean(axis=1)
            h = n ** (-1 / (d + 4)) * float(np.sqrt(variance))
        else:
            h = self.bandwidth
        progress(1, 1)
        return KDEModel(row_format, x, h, share)

    def stored_bytes(self, shape: tuple[int, ...], rows: int) -> int:
        """Return the size of the training rows as float64."""
        return 8 * rows * math.prod(shape)

    def load(self, folder: Path, *, device: str, threads: int) -> KDEModel:
        """Read a model that `KDEModel.save` wrote."""
        tensors = load_file(folder / "kde.safetensors")
        bandwidth, share = float(tensors["bandwidth"][0]), tensors.get("share")
        return KDEModel(read_row_format(folder), tensors["rows"], bandwidth, share)


@dataclass(frozen=True)
class KDEModel:
    """Kernels N(row, bandwidth² I) at the rows (n, d), float64.

    share: (n,), the weight of each kernel; None for equal weights.
    """

    class_shares: ClassVar[None] = None

    row_format: RowFormat
    rows: Array
    bandwidth: float
    share: Float64 | None = None
    batch: int = 256

    def sample(self, seeds: Sequence[int], labels: Array | None = None) -> Array:
        """Return, for each seed, a training row drawn by its weight, plus noise."""
        drawn = np.empty((len(seeds), self.rows.shape[1]))
        edges = None if self.share is None else np.cumsum(self.share)
        for row, seed in zip(drawn, seeds, strict=True):
            rng = np.random.default_rng(seed)
            if edges is None:
                row[:] = self.rows[rng.integers(len(self.rows))]
            else:
                row[:] = self.rows[np.searchsorted(edges, rng.random() * edges[-1], side="right")]
            row += self.bandwidth * rng.standard_normal(len(row))
        return self.row_format.decode(drawn)

    def save(self, folder: Path) -> None:
        """Write kde.safetensors and model.json."""
        tensors = {"rows": self.rows, "bandwidth": np.array([self.bandwidth])}
        if self.share is not None:
            tensors["share"] = self.share
        save_file(tensors, folder / "kde.safetensors")
        write_settings(folder, self.row_format, generator="kde", bandwidth=self.bandwidth)
