"""Image diffusion with diffusers' U-Net, as in the paper: settings, and the trained model.

Training is in `unet_training.py`, sampling in `unet_sampling.py`. A model is stored as a diffusers
pipeline folder that `DDPMPipeline.from_pretrained` loads, plus model.json for the rows' format.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal, Self

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, model_validator

from entroloop.errors import InputError
from entroloop.generators import Progress
from entroloop.generators.cpu_threads import intra_op_threads
from entroloop.generators.row_format import RowFormat, read_row_format, write_settings
from entroloop.samples import Array, SampleSet
from entroloop.seeding import seed_for
from entroloop.system.memory import freed_memory_kept

# Block widths, layers a block, groups of the norms. The paper's have attention in the fifth down
# and the second up block; `tiny` is for CPUs, with attention in its last down and first up block.
SIZES: dict[str, tuple[tuple[int, ...], int, int]] = {
    "tiny": ((16, 32, 32), 1, 8),
    **{f"unet{w}": ((w, w, 2 * w, 2 * w, 4 * w, 4 * w), 2, 16) for w in (32, 48, 64, 128)},
}


class UNetDiffusion(BaseModel):
    """Settings of training and sampling; the defaults are the paper's.

    steps: optimizer steps; None takes `epochs` passes over the training set. ema: an exponential
    moving average of the weights (diffusers' EMAModel with power 3/4, at most this decay) samples
    in place of the last ones; None: no average. precision: of the forward pass, bf16 and fp16 on a
    GPU. init: each generation's network from new weights, or from those of the generation before.
    classes: train class-conditionally on labels 0 … classes − 1, each dropped with `label_dropout`;
    samples take classes with the training set's shares, and guidance_scale w follows
    ε(x) + w (ε(x | class) − ε(x)) (Ho & Salimans 2022).

    checkpoint_every: steps between checkpoints, from which a killed training goes on.
    sampler_steps of 1,000 with ddpm is the paper's; dpm_solver++ needs 20.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)
    SAMPLING: ClassVar[tuple[str, ...]] = (
        "sampler", "sampler_steps", "sampling_batch", "guidance_scale",
    )  # fmt: skip
    name: Literal["unet_diffusion"] = "unet_diffusion"
    size: Literal["tiny", "unet32", "unet48", "unet64", "unet128"] = "unet48"
    prediction: Literal["epsilon", "sample", "v_prediction"] = "epsilon"
    beta_schedule: Literal["linear", "squaredcos_cap_v2"] = "linear"
    train_timesteps: int = Field(default=1000, ge=2)
    epochs: int = Field(default=501, ge=1)
    steps: int | None = Field(default=None, ge=1)
    batch_size: int = Field(default=128, ge=1)
    accumulation: int = Field(default=1, ge=1)
    lr: float = Field(default=1e-4, gt=0)
    betas: tuple[float, float] = (0.95, 0.999)
    weight_decay: float = Field(default=1e-6, ge=0)
    warmup: int = Field(default=500, ge=0)
    gradient_clip: float = Field(default=1.0, gt=0)
    ema: float | None = Field(default=None, gt=0, lt=1)
    init: Literal["scratch", "finetune"] = "scratch"
    classes: int | None = Field(default=None, ge=2)
    label_dropout: float = Field(default=0.1, ge=0, lt=1)
    guidance_scale: float = Field(default=1.0, ge=0)
    precision: Literal["no", "bf16", "fp16"] = "no"
    compile: bool = False
    checkpoint_every: int = Field(default=1000, ge=1)
    sampler: Literal["ddpm", "ddim", "dpm_solver++"] = "ddpm"
    sampler_steps: int = Field(default=1000, ge=2)
    sampling_batch: int = Field(default=256, ge=1)

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
        """Train a U-Net; `scratch` holds the checkpoints of a training that was stopped."""
        from entroloop.generators.unet.training import Training, train

        row_format = RowFormat.of(training_set.data)
        check_images(row_format, self)
        shares = self.shares_of(training_set)
        with intra_op_threads(threads), freed_memory_kept():
            if self.init == "finetune" and previous is not None:
                unet = load_network(previous)
            else:
                unet = self.network(row_format.shape, seed_for(seed, 0, "initialization"))
            training = Training(self, unet, training_set, seed, device, threads)
            unet = train(training, progress, scratch)
        return UNetDiffusionModel(self, row_format, unet, device, threads, shares)

    @property
    def needs_previous(self) -> bool:
        """Tell whether training starts from the model of the generation before."""
        return self.init == "finetune"

    @model_validator(mode="after")
    def _guidance_needs_classes(self) -> Self:
        if self.guidance_scale != 1 and self.classes is None:
            raise ValueError("guidance_scale needs classes: how many the labels name")
        return self

    def shares_of(self, training_set: SampleSet) -> list[float] | None:
        """Return how often each class occurs, None for a model without classes.

        Raises InputError for labels that are missing or beyond the classes.
        """
        if self.classes is None:
            return None
        labels = training_set.labels
        if labels is None:
            raise InputError(
                "generator.classes needs labels, which the data (or a generator without classes) "
                "lacks; name the column with data.label, or leave classes out"
            )
        if labels.min() < 0 or labels.max() >= self.classes:
            raise InputError(
                f"labels reach from {labels.min()} to {labels.max()}; generator.classes = "
                f"{self.classes} takes 0 … {self.classes - 1}"
            )
        counts = np.bincount(labels, minlength=self.classes)
        return [float(count) / len(labels) for count in counts]

    def stored_bytes(self, shape: tuple[int, ...], rows: int) -> int:
        """Return the size of the weights, float32, and of a checkpoint while it trains."""
        import torch

        if len(shape) != 3:
            return 0
        with torch.device("meta"):
            count = int(sum(p.numel() for p in self.network(shape, 0).parameters()))
        return 4 * count * 2

    def load(self, folder: Path, *, device: str, threads: int) -> UNetDiffusionModel:
        """Read a model that `UNetDiffusionModel.save` wrote."""
        shares = json.loads((folder / "model.json").read_text())["class_shares"]
        unet = load_network(folder).to(device).eval()
        return UNetDiffusionModel(self, read_row_format(folder), unet, device, threads, shares)

    @property
    def stride(self) -> int:
        """What height and width are padded to a multiple of."""
        return int(2 ** (len(SIZES[self.size][0]) - 1))

    def network(self, shape: tuple[int, ...], seed: int) -> Any:
        """Return a new U-Net for images of a shape (h, w, c), its weights by the seed."""
        import torch
        from diffusers import UNet2DModel

        widths, layers, groups = SIZES[self.size]
        attends = len(widths) - (1 if self.size == "tiny" else 2)
        down = ["AttnDownBlock2D" if i == attends else "DownBlock2D" for i in range(len(widths))]
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


@dataclass(frozen=True)
class UNetDiffusionModel:
    """A trained U-Net with the format of its training rows."""

    settings: UNetDiffusion
    row_format: RowFormat
    unet: Any
    device: str
    threads: int
    class_shares: list[float] | None = None

    @property
    def batch(self) -> int:
        """Rows of one sampling call."""
        return self.settings.sampling_batch

    def sample(self, seeds: Sequence[int], labels: Array | None = None) -> Array:
        """Return one image a seed, uint8; the noise of an image comes from its seed alone."""
        from entroloop.generators.unet.sampling import sample

        with intra_op_threads(self.threads), freed_memory_kept():
            x = sample(self.settings, self.unet, seeds, labels, self.device)
        height, width = self.row_format.shape[:2]
        top, left = ((x.shape[2] - height) // 2, (x.shape[3] - width) // 2)
        images = x[:, :, top : top + height, left : left + width].transpose(0, 2, 3, 1)
        return self.row_format.decode(np.ascontiguousarray(images).reshape(len(images), -1))

    def save(self, folder: Path) -> None:
        """Write a diffusers pipeline: model_index.json, unet/, scheduler/; and model.json."""
        from diffusers import DDPMPipeline

        from entroloop.generators.unet.sampling import noise_scheduler

        DDPMPipeline(self.unet.cpu(), noise_scheduler(self.settings)).save_pretrained(folder)
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


def padded(length: int, stride: int) -> int:
    """Return the next multiple of the stride."""
    return -(-length // stride) * stride


def check_images(row_format: RowFormat, settings: UNetDiffusion) -> None:
    """Refuse rows that are no uint8 images of 1 or 3 channels, or too small for the network."""
    shape = row_format.shape
    if len(shape) != 3 or row_format.dtype != "uint8" or shape[2] not in (1, 3):
        raise InputError(
            "unet_diffusion takes images, uint8 (n, height, width, 1 or 3); the training set holds "
            f"{row_format.dtype} rows of shape {shape}: take mlp_diffusion, or a source of images"
        )
    if min(shape[:2]) <= settings.stride // 2:
        raise InputError(
            f"images of {shape[1]} × {shape[0]} are too small for {settings.size}, which halves "
            f"them {len(SIZES[settings.size][0]) - 1} times; take a smaller generator.size, or "
            "data.resize"
        )
