"""Diffusion in a space of few numbers: `mlp_diffusion` on latents, decoded to rows.

With it colour images train in about a minute on a CPU; what the space loses is told in the records.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Literal

import numpy as np
from pydantic import Field

from entroloop.generators.latent_space import SPACES, Space
from entroloop.generators.mlp_diffusion import MLPDiffusion
from entroloop.generators.row_format import RowFormat, read_row_format, write_settings
from entroloop.samples import Array, SampleSet
from entroloop.system.progress_line import Progress
from entroloop.system.threads import intra_op_threads

if TYPE_CHECKING:
    from entroloop.generators.mlp_training import MLPModel


class LatentDiffusion(MLPDiffusion):
    """Settings: those of `mlp_diffusion`, which is trained on latents, and of their space.

    The space is fitted anew to each training set; with `init: finetune` that of generation 1 is
    kept. The records tell `reconstruction_error`, the share of the training rows' variance that
    encoding and decoding lose: of samples that lie in such a space already it is near 0.

    space: `pca`, the principal components of the training rows, or `autoencoder`, a small
    convolutional one for images. components: values of a latent. autoencoder_steps: of its
    training.
    """

    name: Literal["latent_diffusion"] = "latent_diffusion"  # type: ignore[assignment]
    space: Literal["pca", "autoencoder"] = "pca"
    components: int = Field(default=64, ge=1)
    autoencoder_steps: int = Field(default=600, ge=1)

    def fit(  # type: ignore[override]
        self,
        training_set: SampleSet,
        *,
        seed: int,
        device: str,
        threads: int,
        progress: Progress,
        scratch: Path | None = None,
        previous: Path | None = None,
    ) -> LatentModel:
        """Fit the space, and train a denoiser of latents."""
        row_format = RowFormat.of(training_set.data)
        x = row_format.encode(training_set.data)
        going_on = previous if self.init == "finetune" else None
        with intra_op_threads(threads):
            if going_on is not None:
                space = self._load_space(going_on, row_format)
            else:
                space = SPACES[self.space].fitted(
                    x, row_format.shape, self.components, seed, self.autoencoder_steps
                )
            latents = space.encode(x)
            lost = np.square(space.decode(latents) - x).sum()
        variance = np.square(x - x.mean(axis=0, dtype=np.float64)).sum()
        inner = self._inner().fit(
            dataclasses.replace(training_set, data=latents),
            seed=seed, device=device, threads=threads, progress=progress,
            previous=None if going_on is None else going_on / "denoiser",
        )  # fmt: skip
        error = float(lost / variance) if variance else 0.0
        return LatentModel(self, row_format, space, inner, error, threads)

    def _inner(self) -> MLPDiffusion:
        """Return what is trained on latents."""
        given = {key: getattr(self, key) for key in MLPDiffusion.model_fields if key != "name"}
        return MLPDiffusion(**given)

    def _load_space(self, folder: Path, row_format: RowFormat) -> Space:
        from safetensors.torch import load_file

        return SPACES[self.space](load_file(folder / "space.safetensors"), row_format.shape)

    def stored_bytes(self, shape: tuple[int, ...], rows: int) -> int:
        """Return the size of the denoiser and of the space."""
        return super().stored_bytes((self.components,), rows) + 8 * math.prod(shape) * (
            self.components + 1
        )

    def load(  # type: ignore[override]
        self, folder: Path, *, device: str, threads: int
    ) -> LatentModel:
        """Read a model that `LatentModel.save` wrote."""
        inner = self._inner().load(folder / "denoiser", device=device, threads=threads)
        row_format = read_row_format(folder)
        space = self._load_space(folder, row_format)
        return LatentModel(self, row_format, space, inner, math.nan, threads)


@dataclass(frozen=True)
class LatentModel:
    """A denoiser of latents with their space; error: the share of variance that the space loses."""

    class_shares: ClassVar[None] = None

    settings: LatentDiffusion
    row_format: RowFormat
    space: Space
    inner: MLPModel
    error: float
    threads: int
    batch: int = 256

    def sample(self, seeds: Sequence[int], labels: Array | None = None) -> Array:
        """Return one decoded row per seed."""
        latents = self.inner.sample(seeds, labels)
        with intra_op_threads(self.threads):
            return self.row_format.decode(self.space.decode(latents))

    def save(self, folder: Path) -> None:
        """Write denoiser/, space.safetensors and model.json, which tells the error."""
        from safetensors.torch import save_file

        (folder / "denoiser").mkdir()
        self.inner.save(folder / "denoiser")
        tensors = {name: value.contiguous() for name, value in self.space.tensors.items()}
        save_file(tensors, folder / "space.safetensors")
        write_settings(
            folder,
            self.row_format,
            generator=self.settings.model_dump(mode="json"),
            told={"reconstruction_error": self.error},
        )
