"""Rectified flow of vectors: the MLP of `mlp_diffusion`, straight paths, few-step sampling.

Notation: x_t = (1 − t) x₀ + t ε, t in [0, 1]; the network predicts the velocity ε − x₀ (Liu et al.
2023; Lipman et al. 2023).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import Field

from entroloop.generators.flow_steps import integrated
from entroloop.generators.mlp_training import MLPSettings, predicted

if TYPE_CHECKING:  # torch takes seconds to import: only fitting and sampling import it
    from torch import Tensor

    from entroloop.generators.mlp_training import Parameters


class FlowMatching(MLPSettings):
    """Settings: those of `MLPSettings`, and how noise follows the flow to rows.

    sampler: `euler`, or `heun`, which evaluates the network twice a step and is of second order.
    sampler_steps: evaluations of the network. Under the paradigm `reflow` each row is trained with
    the noise that it was made of, which straightens the paths, so that fewer steps do.
    """

    SAMPLING: ClassVar[tuple[str, ...]] = ("sampler", "sampler_steps", "truncation")
    COUPLES: ClassVar[bool] = True
    name: Literal["flow_matching"] = "flow_matching"
    sampler: Literal["euler", "heun"] = "euler"
    sampler_steps: int = Field(default=24, ge=1)

    def mixed(self, rows: Tensor, noise: Tensor, t: Tensor) -> tuple[Tensor, Tensor]:
        """Return (1 − t) x₀ + t ε, and ε − x₀."""
        t = t[:, None]
        return (1 - t) * rows + t * noise, noise - rows

    def solve(self, weights: Parameters, noise: Tensor, limits: tuple[float, float]) -> Tensor:
        """Follow the velocity from noise (n, d) at t = 1 to rows at t = 0, within the limits."""
        import torch

        def velocity(x: Tensor, t: float) -> Tensor:
            return predicted(weights, self, x, torch.full((len(x),), t, device=x.device))

        rows = integrated(velocity, noise, self.sampler, self.sampler_steps, self.truncation)
        return rows.clamp(*limits)
