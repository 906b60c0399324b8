"""A saved diffusers pipeline as generation 1's model; later generations are trained."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from entroloop.errors import InputError, one_line
from entroloop.generators.cpu_threads import intra_op_threads
from entroloop.generators.row_format import RowFormat
from entroloop.generators.unet.model import (
    UNetDiffusion,
    UNetDiffusionModel,
    check_images,
    load_network,
)
from entroloop.samples import SampleSet
from entroloop.system.progress_line import Progress


class Pipeline(UNetDiffusion):
    """Settings: those of a U-Net, and `path`, a pipeline folder or Hub id with a UNet2DModel.

    Generation 1 uses that model unchanged. Later generations train a network of the same
    architecture, from new weights or, with init: finetune, from the previous generation's.
    """

    name: Literal["pipeline"] = "pipeline"  # type: ignore[assignment]
    path: str

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
    ) -> UNetDiffusionModel:
        """Return the given model in generation 1, a trained one afterwards."""
        if previous is not None:
            return super().fit(
                training_set, seed=seed, device=device, threads=threads, progress=progress,
                scratch=scratch, previous=previous,
            )  # fmt: skip
        row_format = RowFormat.of(training_set.data)
        check_images(row_format, self)
        unet = self._given(row_format.shape[2])
        with intra_op_threads(threads):
            unet = unet.to(device).eval()
        progress(1, 1)
        return UNetDiffusionModel(
            self, row_format, unet, device, threads, self.shares_of(training_set)
        )

    def network(self, shape: tuple[int, ...], seed: int) -> Any:
        """Return a network of the given one's architecture, its weights drawn by the seed."""
        import torch
        from diffusers import UNet2DModel

        given = self._given(shape[2])
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            return UNet2DModel.from_config(given.config)

    @property
    def stride(self) -> int:
        """1: height and width are padded to the network's own size, not to a multiple."""
        return 1

    def _given(self, channels: int) -> Any:
        try:
            unet = load_network(self.path)
        except (OSError, ValueError) as error:
            told = one_line(error, 160)
            raise InputError(
                f"generator.path {self.path} holds no pipeline with a U-Net ({told}); give a "
                "folder that DiffusionPipeline.save_pretrained wrote, or a Hub id"
            ) from None
        if unet.config.in_channels != channels:
            raise InputError(
                f"generator.path {self.path} takes images of {unet.config.in_channels} channels; "
                f"the data has {channels}: set data.mode"
            )
        return unet
