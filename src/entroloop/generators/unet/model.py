"""Image diffusion with diffusers' U-Net, as in the paper: the generator and the trained model.

A model is stored as a diffusers pipeline folder, which `DDPMPipeline.from_pretrained` can load,
plus model.json for the row format.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from entroloop.errors import InputError
from entroloop.generators.between_generations import extrapolated
from entroloop.generators.row_format import RowFormat, read_row_format, write_settings
from entroloop.generators.unet.checkpoint import train
from entroloop.generators.unet.sampling import in_halves, noise_scheduler, sampled
from entroloop.generators.unet.settings import SIZES, DiffusionSettings, UNetSettings
from entroloop.generators.unet.training import Training
from entroloop.generators.unet.weight_count import weight_count
from entroloop.samples import Array, SampleSet
from entroloop.seeding import seed_for
from entroloop.system.memory import freed_memory_kept
from entroloop.system.progress_line import Progress
from entroloop.system.threads import intra_op_threads


class UNetGenerator(UNetSettings):
    """A U-Net that is trained on images, whatever it is to learn."""

    def training(self, unet: Any, training_set: SampleSet, **how: Any) -> Training:
        """Return the training of a network."""
        return Training(self, unet, training_set, **how)

    def made(self, unet: Any, seeds: Sequence[int], labels: Array | None, device: str) -> Array:
        """Return images in [−1, 1], float32 (len(seeds), c, h, w), one a seed."""
        raise NotImplementedError

    def save(self, unet: Any, folder: Path) -> None:
        """Write the network, with whatever makes images of it."""
        unet.save_pretrained(folder / "unet")

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
        """Train a U-Net, resuming from a checkpoint in `scratch` if there is one."""
        row_format = RowFormat.of(training_set.data)
        check_images(row_format, self)
        shares = self.shares_of(training_set)
        with intra_op_threads(threads), freed_memory_kept():
            if self.init == "finetune" and previous is not None:
                unet = load_network(previous)
            else:
                unet = self.network(row_format.shape, seed_for(seed, 0, "initialization"))
            training = self.training(unet, training_set, seed=seed, device=device, threads=threads)
            unet = train(training, progress, scratch)
            if self.extrapolation and previous is not None:
                before = load_network(previous).to(device).state_dict()
                unet.load_state_dict(extrapolated(before, unet.state_dict(), self.extrapolation))
        return UNetDiffusionModel(self, row_format, unet, device, threads, shares)

    def shares_of(self, training_set: SampleSet) -> list[float] | None:
        """Return the share of each class, or None for a model without classes.

        Raises InputError for labels that are missing or out of range.
        """
        if self.classes is None:
            return None
        labels = training_set.labels
        if labels is None:
            raise InputError(
                "generator.classes needs labels, which the data (or a generator without classes) "
                "lacks; name the column with data.label, or remove generator.classes"
            )
        if labels.min() < 0 or labels.max() >= self.classes:
            raise InputError(
                f"labels range from {labels.min()} to {labels.max()}; generator.classes = "
                f"{self.classes} takes 0 … {self.classes - 1}"
            )
        counts = np.bincount(labels, minlength=self.classes)
        return [float(count) / len(labels) for count in counts]

    def stored_bytes(self, shape: tuple[int, ...], rows: int) -> int:
        """Return the size of the float32 weights and of a checkpoint during training."""
        return 2 * 4 * self.weights(shape[2]) if len(shape) == 3 else 0

    def weights(self, channels: int) -> int:
        """Return how many weights a network for images of so many channels has."""
        widths, layers, _ = SIZES[self.size]
        return weight_count(widths, layers, self.attends, channels, self.classes)

    def load(self, folder: Path, *, device: str, threads: int) -> UNetDiffusionModel:
        """Read a model that `UNetDiffusionModel.save` wrote."""
        shares = json.loads((folder / "model.json").read_text("utf-8"))["class_shares"]
        unet = load_network(folder).to(device).eval()
        return UNetDiffusionModel(self, read_row_format(folder), unet, device, threads, shares)

    def network(self, shape: tuple[int, ...], seed: int) -> Any:
        """Return a new U-Net for images of shape (h, w, c), its weights drawn by the seed."""
        import torch
        from diffusers import UNet2DModel

        widths, layers, groups = SIZES[self.size]
        down = ["DownBlock2D"] * len(widths)
        down[self.attends] = "AttnDownBlock2D"
        up = [kind.replace("Down", "Up") for kind in reversed(down)]
        height, width, channels = shape
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            return UNet2DModel(
                sample_size=(padded(height, self.stride), padded(width, self.stride)),
                in_channels=channels,
                out_channels=channels,
                layers_per_block=layers,
                block_out_channels=widths,
                norm_num_groups=groups,
                num_class_embeds=None if self.classes is None else self.classes + 1,
                down_block_types=tuple(down),
                up_block_types=tuple(up),
            )


class UNetDiffusion(DiffusionSettings, UNetGenerator):
    """A U-Net trained by diffusion; its settings are those of `UNetSettings` and of diffusion."""

    name: Literal["unet_diffusion"] = "unet_diffusion"

    def made(self, unet: Any, seeds: Sequence[int], labels: Array | None, device: str) -> Array:
        """Return images by the sampler of the settings."""
        return sampled(self, unet, seeds, labels, device)

    def save(self, unet: Any, folder: Path) -> None:
        """Write a diffusers pipeline: model_index.json, unet/, scheduler/."""
        from diffusers import DDPMPipeline

        DDPMPipeline(unet, noise_scheduler(self)).save_pretrained(folder)


@dataclass(frozen=True)
class UNetDiffusionModel:
    """A trained U-Net, with the format of its training rows."""

    settings: UNetGenerator
    row_format: RowFormat
    unet: Any
    device: str
    threads: int
    class_shares: list[float] | None = None

    @property
    def batch(self) -> int:
        """Rows per sampling call."""
        return self.settings.sampling_batch

    def sample(self, seeds: Sequence[int], labels: Array | None = None) -> Array:
        """Return one uint8 image per seed; an image's noise comes from its seed alone."""
        with intra_op_threads(self.threads), freed_memory_kept():
            x = in_halves(self.settings.made, self.unet, seeds, labels, self.device)
        height, width = self.row_format.shape[:2]
        top, left = ((x.shape[2] - height) // 2, (x.shape[3] - width) // 2)
        images = x[:, :, top : top + height, left : left + width].transpose(0, 2, 3, 1)
        return self.row_format.decode(np.ascontiguousarray(images).reshape(len(images), -1))

    def save(self, folder: Path) -> None:
        """Write what the generator writes of a network, such as a pipeline; and model.json."""
        self.settings.save(self.unet.cpu(), folder)
        self.unet.to(self.device)
        write_settings(
            folder,
            self.row_format,
            generator=self.settings.model_dump(mode="json"),
            class_shares=self.class_shares,
        )


def load_network(folder: Path | str, part: str = "unet") -> Any:
    """Return the U-Net of a saved pipeline."""
    from diffusers import UNet2DModel

    return UNet2DModel.from_pretrained(str(folder), subfolder=part, use_safetensors=True)


def read_part(folder: Path | str, part: str) -> dict[str, Any]:
    """Return the configuration of a part of a saved pipeline: unet or scheduler."""
    from diffusers import DDPMScheduler, UNet2DModel

    kind = UNet2DModel if part == "unet" else DDPMScheduler
    return dict(kind.load_config(str(folder), subfolder=part))


def load_pipeline(folder: Path) -> Any:
    """Return a saved model as a pipeline of plain diffusers, with the scheduler of its training."""
    from diffusers import DDPMPipeline

    return DDPMPipeline.from_pretrained(str(folder), use_safetensors=True)


def padded(length: int, stride: int) -> int:
    """Return the next multiple of the stride."""
    return -(-length // stride) * stride


def check_images(row_format: RowFormat, settings: UNetSettings) -> None:
    """Reject rows that are not uint8 images of 1 or 3 channels, or too small for the network."""
    shape = row_format.shape
    if len(shape) != 3 or row_format.dtype != "uint8" or shape[2] not in (1, 3):
        raise InputError(
            f"{settings.name} takes images, uint8 (n, height, width, 1 or 3); the training set "
            f"holds {row_format.dtype} rows of shape {shape}: use mlp_diffusion, or a source of "
            "images"
        )
    if min(shape[:2]) <= settings.stride // 2:
        raise InputError(
            f"images of {shape[1]} × {shape[0]} are too small for {settings.size}, which halves "
            f"them {len(SIZES[settings.size][0]) - 1} times; use a smaller generator.size, or "
            "data.resize"
        )
