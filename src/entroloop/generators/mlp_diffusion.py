"""A denoising diffusion model of vectors: residual MLP, cosine schedule, few-step sampler.

Notation: x_t = α x₀ + σ ε with α = cos(πt/2), σ = sin(πt/2), t in [0, 1]
(Nichol & Dhariwal 2021); v = α ε − σ x₀ (Salimans & Ho 2022).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from entroloop.errors import InputError
from entroloop.generators.cpu_threads import intra_op_threads
from entroloop.generators.row_format import RowFormat, read_row_format, write_settings
from entroloop.samples import Array, SampleSet
from entroloop.seeding import normal_rows, seed_for
from entroloop.system.progress_line import Progress

if TYPE_CHECKING:  # torch takes seconds to import: only fitting and sampling import it
    from torch import Tensor

    Parameters = dict[str, Tensor]

FREQUENCIES = 32  # of the Fourier features of time


class MLPDiffusion(BaseModel):
    """Settings of training and sampling.

    Training rows are centred and divided by a single scale (the root of the mean variance). The
    optimizer is AdamW with linear warm-up, cosine decay and a clipped gradient norm. Samples come
    from an exponential moving average of the weights, whose horizon is a fixed share of the
    training (`ema_share`).
    """

    model_config = ConfigDict(extra="forbid", frozen=True)
    SAMPLING: ClassVar[tuple[str, ...]] = ("sampler_steps",)
    needs_previous: ClassVar[bool] = False
    name: Literal["mlp_diffusion"] = "mlp_diffusion"
    steps: int = Field(default=1200, ge=1)
    batch_size: int = Field(default=384, ge=1)
    width: int = Field(default=192, ge=8)
    blocks: int = Field(default=3, ge=1)
    prediction: Literal["v", "epsilon"] = "v"
    lr: float = Field(default=8e-3, gt=0)
    weight_decay: float = Field(default=1e-6, ge=0)
    warmup: int = Field(default=100, ge=0)
    gradient_clip: float = Field(default=1.0, gt=0)
    ema_share: float = Field(default=0.05, ge=0, lt=1)
    sampler_steps: int = Field(default=24, ge=2)

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
    ) -> MLPDiffusionModel:
        """Train a new denoiser; on a CPU, bitwise repeatable at a given thread count."""
        import torch

        row_format = RowFormat.of(training_set.data)
        x = row_format.encode(training_set.data)
        mean = x.mean(axis=0, dtype=np.float64)
        scale = float(np.sqrt(((x - mean) ** 2).mean())) or 1.0
        with intra_op_threads(threads):
            rng = torch.Generator(device=device).manual_seed(seed_for(seed, 0, "training"))
            data = torch.from_numpy(((x - mean) / scale).astype(np.float32)).to(device)
            init = torch.Generator().manual_seed(seed_for(seed, 0, "initialization"))
            weights = initial_parameters(self, data.shape[1], init)
            weights = {name: p.to(device).requires_grad_() for name, p in weights.items()}
            average = self._train(weights, data, rng, progress)
        limits = (float(data.min()), float(data.max()))
        return MLPDiffusionModel(self, row_format, mean, scale, limits, average, threads)

    def _train(
        self, weights: Parameters, data: Tensor, rng: object, progress: Progress
    ) -> Parameters:
        """Run the optimization; return the averaged weights."""
        import torch

        assert isinstance(rng, torch.Generator)
        live = list(weights.values())
        average = [p.detach().clone() for p in live]
        optimizer = torch.optim.AdamW(
            live, lr=self.lr, betas=(0.9, 0.99), weight_decay=self.weight_decay, fused=True
        )
        schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, self._lr_factor)
        n, d = data.shape
        size = min(self.batch_size, n)
        report_every = max(1, self.steps // 50)
        order = torch.empty(0, dtype=torch.int64, device=data.device)
        for step in range(self.steps):
            if len(order) < size:  # each row once per epoch; leftovers join the next epoch
                epoch = torch.randperm(n, generator=rng, device=data.device)
                order = torch.cat([order, epoch])
            x0, order = data[order[:size]], order[size:]
            # One time in each of `size` equal strata lowers the variance of the loss.
            strata = torch.arange(size, device=data.device) / size
            t = (torch.rand(1, generator=rng, device=data.device) + strata) % 1
            noise = torch.randn((size, d), generator=rng, device=data.device)
            alpha, sigma = cosine_schedule(t)
            noisy = alpha * x0 + sigma * noise
            target = alpha * noise - sigma * x0 if self.prediction == "v" else noise - sigma * noisy
            loss = (denoise(weights, self, noisy, t) - target).square().mean()
            loss.backward()  # type: ignore[no-untyped-call]
            torch.nn.utils.clip_grad_norm_(live, self.gradient_clip)
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
            schedule.step()
            # The horizon is a share of the steps so far, so that the random start is forgotten.
            decay = 1 - 1 / max(1.0, self.ema_share * (step + 1))
            with torch.no_grad():
                torch._foreach_lerp_(average, live, 1 - decay)
            if step % report_every == 0:
                if not math.isfinite(loss.item()):
                    raise InputError(
                        f"the training loss became {loss.item()} at step {step}; "
                        "lower generator.lr or generator.gradient_clip"
                    )
                progress(step, self.steps)
        progress(1, 1)
        return dict(zip(weights, average, strict=True))

    def _lr_factor(self, step: int) -> float:
        warm = min(1.0, (step + 1) / (self.warmup + 1))
        return warm * 0.5 * (1 + math.cos(math.pi * min(1.0, step / self.steps)))

    def stored_bytes(self, shape: tuple[int, ...], rows: int) -> int:
        """Return the size of the weights, float32."""
        w, d = self.width, math.prod(shape)
        return 4 * (2 * w * d + self.blocks * 2 * w * (w + FREQUENCIES))

    def load(self, folder: Path, *, device: str, threads: int) -> MLPDiffusionModel:
        """Read a model that `MLPDiffusionModel.save` wrote."""
        from safetensors.torch import load_file

        tensors = load_file(folder / "denoiser.safetensors", device=device)
        mean = tensors.pop("data.mean").cpu().numpy()
        scale, low, high = tensors.pop("data.scale_and_limits").tolist()
        row_format = read_row_format(folder)
        return MLPDiffusionModel(self, row_format, mean, scale, (low, high), tensors, threads)


@dataclass(frozen=True)
class MLPDiffusionModel:
    """A trained denoiser, with the centre (d,) and the scale of its training rows."""

    class_shares: ClassVar[None] = None

    settings: MLPDiffusion
    row_format: RowFormat
    mean: Array
    scale: float
    limits: tuple[float, float]
    weights: Parameters
    threads: int
    batch: int = 256

    def sample(self, seeds: Sequence[int], labels: Array | None = None) -> Array:
        """Return one row per seed, by deterministic DPM-Solver++(2M) (Lu et al. 2022, alg. 2)."""
        import torch

        device = next(iter(self.weights.values())).device
        with intra_op_threads(self.threads), torch.inference_mode():
            x = torch.from_numpy(normal_rows(seeds, len(self.mean))).to(device)
            x = solve(self.weights, self.settings, x, self.limits)
        return self.row_format.decode(x.cpu().numpy() * self.scale + self.mean)

    def save(self, folder: Path) -> None:
        """Write denoiser.safetensors and model.json."""
        import torch
        from safetensors.torch import save_file

        tensors = {name: p.contiguous().cpu() for name, p in self.weights.items()}
        tensors["data.mean"] = torch.from_numpy(self.mean)
        numbers = (self.scale, *self.limits)
        tensors["data.scale_and_limits"] = torch.tensor(numbers, dtype=torch.float64)
        save_file(tensors, folder / "denoiser.safetensors")
        write_settings(folder, self.row_format, generator=self.settings.model_dump())


def cosine_schedule(t: Tensor) -> tuple[Tensor, Tensor]:
    """Return α = cos(πt/2) and σ = sin(πt/2), each (n, 1)."""
    angle = (math.pi / 2) * t[:, None]
    return angle.cos(), angle.sin()


def initial_parameters(settings: MLPDiffusion, d: int, rng: object) -> Parameters:
    """Return new weights: fan-in scaled; zero in the last layer of each block and of the net."""
    import torch

    assert isinstance(rng, torch.Generator)
    w = settings.width
    shapes = {"in": (w, d), "out": (d, w)}
    for b in range(settings.blocks):
        time = (w, 2 * FREQUENCIES)
        shapes |= {f"block{b}.time": time, f"block{b}.0": (w, w), f"block{b}.1": (w, w)}
    weights = {}
    for name, shape in shapes.items():
        zero = name == "out" or (name.endswith(".1") and name.startswith("block"))
        gain = 0.0 if zero else 1 / math.sqrt(shape[1])
        weights[f"{name}.weight"] = torch.randn(shape, generator=rng) * gain
        weights[f"{name}.bias"] = torch.zeros(shape[0])
    return weights


def denoise(weights: Parameters, settings: MLPDiffusion, x: Tensor, t: Tensor) -> Tensor:
    """Return the prediction for noisy rows x (n, d) at times t (n,): v, or ε − σ x.

    (σ x is the best linear guess of ε for data of unit variance; the network learns the rest.)
    """
    import torch
    import torch.nn.functional as F

    def linear(name: str, h: Tensor) -> Tensor:
        return F.linear(h, weights[f"{name}.weight"], weights[f"{name}.bias"])

    octaves = torch.logspace(0, 1, FREQUENCIES, device=x.device)  # 1 … 10 half turns over [0, 1]
    phase = math.pi * t[:, None] * octaves
    time = torch.cat([phase.sin(), phase.cos()], dim=1)
    h = linear("in", x)
    for b in range(settings.blocks):
        inner = F.layer_norm(h, (settings.width,)) + linear(f"block{b}.time", time)
        inner = F.silu(linear(f"block{b}.0", F.silu(inner)))
        h = h + linear(f"block{b}.1", inner)
    return linear("out", F.silu(F.layer_norm(h, (settings.width,))))


def solve(
    weights: Parameters, settings: MLPDiffusion, x: Tensor, limits: tuple[float, float]
) -> Tensor:
    """Integrate noise x (n, d) at t ≈ 1 to data at t = 0 in `sampler_steps` evaluations.

    DPM-Solver++(2M): x_s = (σ_s/σ_t) x_t − α_s (e^{−h} − 1) D, h = λ_s − λ_t, λ = ln(α/σ),
    D the data prediction extrapolated from the last two; the final step returns the prediction.
    """
    import torch

    # Stop short of t = 1 (λ is undefined at α = 0) and of t = 0 (the prediction is the result).
    times = torch.linspace(0.995, 0.01, settings.sampler_steps, dtype=torch.float64)
    alphas, sigmas = torch.cos(times * math.pi / 2), torch.sin(times * math.pi / 2)
    lambdas = torch.log(alphas / sigmas).tolist()
    previous: Tensor | None = None
    for i, t in enumerate(times.tolist()):
        alpha, sigma = float(alphas[i]), float(sigmas[i])
        out = denoise(weights, settings, x, torch.full((len(x),), t, device=x.device))
        if settings.prediction == "v":
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
