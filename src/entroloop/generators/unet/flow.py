"""Rectified flow of images with the U-Net of `unet_diffusion`: straight paths, few-step sampling.

x_t = (1 − t) x₀ + t ε, t in [0, 1]; the network predicts the velocity ε − x₀ and is told 1000 t.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import Field

from entroloop.generators.flow_steps import integrated
from entroloop.generators.unet.model import UNetGenerator
from entroloop.generators.unet.sampling import predictor, starting_noise
from entroloop.generators.unet.training import Training
from entroloop.samples import Array, SampleSet

if TYPE_CHECKING:
    import torch
    from torch import Tensor


class UNetFlowMatching(UNetGenerator):
    """A U-Net trained as a rectified flow; its settings are those of `UNetSettings` and these.

    sampler: `euler`, or `heun`, which evaluates the network twice a step and is of second order.
    sampler_steps: evaluations of the network. Under the paradigm `reflow` each image is trained
    with the noise that it was made of.
    """

    COUPLES: ClassVar[bool] = True
    name: Literal["unet_flow_matching"] = "unet_flow_matching"
    sampler: Literal["euler", "heun"] = "euler"
    sampler_steps: int = Field(default=50, ge=1)

    def training(self, unet: Any, training_set: SampleSet, **how: Any) -> Training:
        """Return the training of a network."""
        return FlowTraining(self, unet, training_set, **how)

    def made(self, unet: Any, seeds: Sequence[int], labels: Array | None, device: str) -> Array:
        """Return images that follow the velocity from noise."""
        import torch

        noise, _ = starting_noise(unet, seeds, device)
        kind = {"bf16": torch.bfloat16, "fp16": torch.float16}.get(self.precision)
        predict = predictor(self, unet, labels, device)

        def velocity(x: Tensor, t: float) -> Tensor:
            return predict(x, torch.full((len(x),), 1000 * t, device=x.device))

        with torch.inference_mode(), torch.autocast(device, dtype=kind, enabled=kind is not None):
            x = integrated(velocity, noise, self.sampler, self.sampler_steps, self.truncation)
        result: Array = x.float().clamp(-1, 1).cpu().numpy()
        return result


class FlowTraining(Training):
    """Training of the velocity."""

    own_noise: Tensor | None

    def prepare_noise(self, training_set: SampleSet) -> None:
        """Keep the noise that each image was made of, where it is known."""
        self.own_noise = None
        if training_set.noise_seeds is not None:
            noise, _ = starting_noise(self.plain, training_set.noise_seeds.tolist(), "cpu")
            self.own_noise = noise.to(self.device)

    def times(self, n: int) -> Tensor:
        """Draw n times in [0, 1)."""
        import torch

        return torch.rand(n, generator=self.rng, device=self.rng.device)

    def noise(self, chosen: Tensor, shape: torch.Size) -> Tensor:
        """Return the noise of the chosen images: their own, or drawn."""
        return super().noise(chosen, shape) if self.own_noise is None else self.own_noise[chosen]

    def loss(
        self,
        x0: Tensor,
        t: Tensor,
        noise: Tensor,
        classes: Tensor | None,
        counts: Tensor | None = None,
    ) -> Tensor:
        """Return the mean squared error of the velocity, each image counted by `counts`."""
        given = {} if classes is None else {"class_labels": classes}
        at = t[:, None, None, None]
        found = self.unet((1 - at) * x0 + at * noise, 1000 * t, **given).sample.float()
        squares = (found - (noise - x0)).square()
        weighted = squares if counts is None else counts[:, None, None, None] * squares
        result: Tensor = weighted.mean()
        return result
