"""Settings of image diffusion with a U-Net: network, training and sampling."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal, Self

from pydantic import Field, model_validator

from entroloop.generators.between_generations import Remedies

# Block widths, layers per block, normalization groups. The paper's sizes have attention in the
# fifth down and the second up block; `tiny`, for CPUs, in its last down and first up block.
SIZES: dict[str, tuple[tuple[int, ...], int, int]] = {
    "tiny": ((16, 32, 32), 1, 8),
    **{f"unet{w}": ((w, w, 2 * w, 2 * w, 4 * w, 4 * w), 2, 16) for w in (32, 48, 64, 128)},
}

Share = Annotated[float, Field(ge=0, lt=1)]


class UNetSettings(Remedies):
    """Settings of a U-Net, its training and sampling; the defaults are the paper's.

    steps: optimizer steps, each of `accumulation` batches of `batch_size` images; None for as many
    as there are batches in `epochs` passes over the training set. lr: reached after `warmup` steps,
    then a cosine falls to 0. ema: maximum decay of an exponential moving average of the weights
    (diffusers' EMAModel with power 3/4), which samples instead of the final weights; None for no
    average. precision: of the forward pass, bf16 and fp16 on a GPU. init: start each generation
    from new weights, or from the previous generation's. classes: train class-conditionally on
    labels 0 … classes − 1, each dropped with probability `label_dropout`; samples follow the class
    shares of the training set, and guidance_scale w gives ε(x) + w (ε(x | class) − ε(x)) (Ho &
    Salimans 2022).

    An extrapolation needs `init: finetune`. Real rows weigh in the loss. The truncation is σ/α with
    pixels in [−1, 1].

    checkpoint_every: steps between checkpoints, from which a killed training resumes.
    """

    SAMPLING: ClassVar[tuple[str, ...]] = (
        "sampler", "sampler_steps", "sampling_batch", "guidance_scale", "truncation",
    )  # fmt: skip
    COUPLES: ClassVar[bool] = False
    name: str
    size: Literal["tiny", "unet32", "unet48", "unet64", "unet128"] = "unet48"
    epochs: int = Field(default=501, ge=1)
    steps: int | None = Field(default=None, ge=1)
    batch_size: int = Field(default=128, ge=1)
    accumulation: int = Field(default=1, ge=1)
    lr: float = Field(default=1e-4, gt=0)
    betas: tuple[Share, Share] = (0.95, 0.999)
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
    sampler: str
    sampler_steps: int
    sampling_batch: int = Field(default=256, ge=1)

    @model_validator(mode="after")
    def _guidance_needs_classes(self) -> Self:
        if self.guidance_scale != 1 and self.classes is None:
            raise ValueError("guidance_scale needs classes: the number of classes in the labels")
        return self

    @property
    def needs_previous(self) -> bool:
        """Whether training starts from the previous generation's model."""
        return self.init == "finetune"

    @property
    def attends(self) -> int:
        """The level that has attention, of 0, 1, …."""
        return len(SIZES[self.size][0]) - (1 if self.size == "tiny" else 2)

    @property
    def stride(self) -> int:
        """Height and width are padded to a multiple of this."""
        return int(2 ** (len(SIZES[self.size][0]) - 1))


class DiffusionSettings(UNetSettings):
    """Settings of diffusion beside those of the network.

    sampler_steps: the paper uses 1,000 with ddpm; dpm_solver++ needs 20.
    """

    prediction: Literal["epsilon", "sample", "v_prediction"] = "epsilon"
    beta_schedule: Literal["linear", "squaredcos_cap_v2"] = "linear"
    train_timesteps: int = Field(default=1000, ge=2)
    sampler: Literal["ddpm", "ddim", "dpm_solver++"] = "ddpm"
    sampler_steps: int = Field(default=1000, ge=2)

    @model_validator(mode="after")
    def _no_more_steps_than_times(self) -> Self:
        if self.sampler_steps > self.train_timesteps:
            raise ValueError(
                f"sampler_steps {self.sampler_steps} is more than train_timesteps "
                f"{self.train_timesteps}"
            )
        return self
