"""A denoising diffusion model of vectors: residual MLP, cosine schedule, few-step sampler.

Notation: x_t = α x₀ + σ ε with α = cos(πt/2), σ = sin(πt/2), t in [0, 1]
(Nichol & Dhariwal 2021); v = α ε − σ x₀ (Salimans & Ho 2022).
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Literal

from entroloop.generators.mlp_training import MLPSettings, predicted

if TYPE_CHECKING:  # torch takes seconds to import: only fitting and sampling import it
    from torch import Tensor

    from entroloop.generators.mlp_training import Parameters


class MLPDiffusion(MLPSettings):
    """Settings: those of `MLPSettings`, and what the network predicts: v, or the noise.

    Samples come from deterministic DPM-Solver++(2M) (Lu et al. 2022, algorithm 2).
    """

    name: Literal["mlp_diffusion"] = "mlp_diffusion"
    prediction: Literal["v", "epsilon"] = "v"

    def mixed(self, rows: Tensor, noise: Tensor, t: Tensor) -> tuple[Tensor, Tensor]:
        """Return α x₀ + σ ε, and v or ε − σ x_t.

        (σ x_t is the best linear guess of ε for data of unit variance; the network learns the
        rest.)
        """
        angle = (math.pi / 2) * t[:, None]
        alpha, sigma = angle.cos(), angle.sin()
        noisy = alpha * rows + sigma * noise
        target = alpha * noise - sigma * rows if self.prediction == "v" else noise - sigma * noisy
        return noisy, target

    def solve(self, weights: Parameters, noise: Tensor, limits: tuple[float, float]) -> Tensor:
        """Integrate noise (n, d) at t ≈ 1 to data at t = 0 in `sampler_steps` evaluations.

        DPM-Solver++(2M): x_s = (σ_s/σ_t) x_t − α_s (e^{−h} − 1) D, h = λ_s − λ_t, λ = ln(α/σ),
        D the data prediction extrapolated from the last two; the final step returns the prediction.
        """
        import torch

        # Stop short of t = 1 (λ is undefined at α = 0) and of t = 0 (the prediction is the result).
        last = max(0.01, math.atan(self.truncation) * 2 / math.pi)
        times = torch.linspace(0.995, last, self.sampler_steps, dtype=torch.float64)
        alphas, sigmas = torch.cos(times * math.pi / 2), torch.sin(times * math.pi / 2)
        lambdas = torch.log(alphas / sigmas).tolist()
        previous: Tensor | None = None
        x = noise
        for i, t in enumerate(times.tolist()):
            alpha, sigma = float(alphas[i]), float(sigmas[i])
            out = predicted(weights, self, x, torch.full((len(x),), t, device=x.device))
            if self.prediction == "v":
                clean = alpha * x - sigma * out
            else:
                clean = (x - sigma * (out + sigma * x)) / alpha
            clean = clean.clamp(*limits)  # as DDPM does: stay within the training rows' range
            if i + 1 == len(lambdas):
                return clean
            h = lambdas[i + 1] - lambdas[i]
            step = clean
            if previous is not None:
                r = (lambdas[i] - lambdas[i - 1]) / h
                step = clean + (clean - previous) / (2 * r)
            x = float(sigmas[i + 1]) / sigma * x - float(alphas[i + 1]) * math.expm1(-h) * step
            previous = clean
        raise AssertionError("unreachable: sampler_steps is at least 2")
