"""What generators with a residual MLP share: settings, training, weights that go on from the last.

Rows are centred and divided by a single scale; a generator says how clean rows and noise are mixed
at a time t in [0, 1], what the network is to predict there, and how noise becomes rows.
"""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Literal

import numpy as np
from pydantic import Field

from entroloop.generators.between_generations import Remedies, extrapolated, row_weights, unset
from entroloop.generators.loss import check_loss
from entroloop.generators.row_format import RowFormat, read_row_format, write_settings
from entroloop.samples import Array, SampleSet
from entroloop.seeding import normal_rows, seed_for
from entroloop.system.progress_line import Progress
from entroloop.system.threads import intra_op_threads

if TYPE_CHECKING:  # torch takes seconds to import: only fitting and sampling import it
    import torch
    from torch import Tensor

    Parameters = dict[str, Tensor]

FREQUENCIES = 32  # of the Fourier features of time


class MLPSettings(Remedies):
    """Settings of a residual MLP, its training, and what it has to do with the last generation.

    Training rows are centred and divided by a single scale (the root of the mean variance). The
    optimizer is AdamW with linear warm-up, cosine decay and a clipped gradient norm. Samples come
    from an exponential moving average of the weights, whose horizon is a fixed share of the
    training (`ema_share`).

    init: start from new weights, or from the previous generation's (`finetune`), which an
    extrapolation needs. Real rows weigh in the loss. The truncation is in units of the scale; where
    rows are normal with standard deviation s in a direction, samples keep the share s/√(s² + τ²) of
    it.
    """

    SAMPLING: ClassVar[tuple[str, ...]] = ("sampler_steps", "truncation")
    COUPLES: ClassVar[bool] = False
    name: str
    steps: int = Field(default=1200, ge=1)
    batch_size: int = Field(default=384, ge=1)
    width: int = Field(default=192, ge=8)
    blocks: int = Field(default=3, ge=1)
    lr: float = Field(default=8e-3, gt=0)
    weight_decay: float = Field(default=1e-6, ge=0)
    warmup: int = Field(default=100, ge=0)
    gradient_clip: float = Field(default=1.0, gt=0)
    ema_share: float = Field(default=0.05, ge=0, lt=1)
    sampler_steps: int = Field(default=24, ge=2)
    init: Literal["scratch", "finetune"] = Field(default="scratch", exclude_if=unset)

    @property
    def needs_previous(self) -> bool:
        """Whether training starts from the previous generation's model."""
        return self.init == "finetune"

    @abstractmethod
    def mixed(self, rows: Tensor, noise: Tensor, t: Tensor) -> tuple[Tensor, Tensor]:
        """Return rows (n, d) mixed with noise at times t (n,), and what is to be predicted."""

    @abstractmethod
    def solve(self, weights: Parameters, noise: Tensor, limits: tuple[float, float]) -> Tensor:
        """Return rows made of noise (n, d) by `sampler_steps` evaluations of the network.

        limits: the least and the greatest value of the training rows.
        """

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
    ) -> MLPModel:
        """Train a network; on a CPU, bitwise repeatable at a given thread count."""
        import torch

        row_format = RowFormat.of(training_set.data)
        x = row_format.encode(training_set.data)
        share = row_weights(training_set, self.real_weight)
        before = None
        if self.init == "finetune" and previous is not None:
            before = self.load(previous, device=device, threads=threads)
            mean, scale = before.mean, before.scale
        else:
            mean = x.mean(axis=0, dtype=np.float64)
            scale = float(np.sqrt(((x - mean) ** 2).mean())) or 1.0
        with intra_op_threads(threads):
            rng = torch.Generator(device=device).manual_seed(seed_for(seed, 0, "training"))
            data = torch.from_numpy(((x - mean) / scale).astype(np.float32)).to(device)
            counts = None
            if share is not None:  # of mean 1, so that the loss keeps its scale
                counts = torch.from_numpy((share * len(x)).astype(np.float32)).to(device)
            if before is None:
                init = torch.Generator().manual_seed(seed_for(seed, 0, "initialization"))
                start = initial_parameters(self, data.shape[1], init)
            else:
                start = {name: p.clone() for name, p in before.weights.items()}
            weights = {name: p.to(device).requires_grad_() for name, p in start.items()}
            noise = None
            if self.COUPLES and training_set.noise_seeds is not None:
                own = normal_rows(training_set.noise_seeds.tolist(), data.shape[1])
                noise = torch.from_numpy(own).to(device)
            average = self._train(weights, data, noise, counts, rng, progress)
        limits = (float(data.min()), float(data.max()))
        if before is not None:
            limits = (min(limits[0], before.limits[0]), max(limits[1], before.limits[1]))
            if self.extrapolation:
                average = extrapolated(before.weights, average, self.extrapolation)
        return MLPModel(self, row_format, mean, scale, limits, average, threads)

    def _train(
        self,
        weights: Parameters,
        data: Tensor,
        own_noise: Tensor | None,
        counts: Tensor | None,
        rng: torch.Generator,
        progress: Progress,
    ) -> Parameters:
        """Run the optimization; return the averaged weights.

        own_noise: what each row was made of; None to draw it. counts: how much each row counts.
        """
        import torch

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
            chosen, order = order[:size], order[size:]
            # One time in each of `size` equal strata lowers the variance of the loss.
            strata = torch.arange(size, device=data.device) / size
            t = (torch.rand(1, generator=rng, device=data.device) + strata) % 1
            if own_noise is None:
                noise = torch.randn((size, d), generator=rng, device=data.device)
            else:
                noise = own_noise[chosen]
            noisy, target = self.mixed(data[chosen], noise, t)
            squares = (predicted(weights, self, noisy, t) - target).square()
            loss = squares.mean() if counts is None else (counts[chosen] * squares.mean(1)).mean()
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
                check_loss(loss.item(), f"step {step}")
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

    def load(self, folder: Path, *, device: str, threads: int) -> MLPModel:
        """Read a model that `MLPModel.save` wrote."""
        from safetensors.torch import load_file

        tensors = load_file(folder / "denoiser.safetensors", device=device)
        mean = tensors.pop("data.mean").cpu().numpy()
        scale, low, high = tensors.pop("data.scale_and_limits").tolist()
        row_format = read_row_format(folder)
        return MLPModel(self, row_format, mean, scale, (low, high), tensors, threads)


@dataclass(frozen=True)
class MLPModel:
    """A trained network, with the centre (d,) and the scale of its training rows."""

    class_shares: ClassVar[None] = None

    settings: MLPSettings
    row_format: RowFormat
    mean: Array
    scale: float
    limits: tuple[float, float]
    weights: Parameters
    threads: int
    batch: int = 256

    def sample(self, seeds: Sequence[int], labels: Array | None = None) -> Array:
        """Return one row per seed, by the deterministic sampler of the settings."""
        import torch

        device = next(iter(self.weights.values())).device
        with intra_op_threads(self.threads), torch.inference_mode():
            noise = torch.from_numpy(normal_rows(seeds, len(self.mean))).to(device)
            x = self.settings.solve(self.weights, noise, self.limits)
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


def initial_parameters(settings: MLPSettings, d: int, rng: torch.Generator) -> Parameters:
    """Return new weights: fan-in scaled; zero in the last layer of each block and of the net."""
    import torch

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


def predicted(weights: Parameters, settings: MLPSettings, x: Tensor, t: Tensor) -> Tensor:
    """Return the network's prediction for noisy rows x (n, d) at times t (n,)."""
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
