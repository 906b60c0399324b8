"""Training of a U-Net: images as uint8 on the device, no host synchronization in a step.

accelerate provides mixed precision and gradient accumulation. What a step depends on is kept by
`checkpoint.py`.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from entroloop.errors import InputError
from entroloop.generators.batch_in_parts import BatchInParts
from entroloop.generators.between_generations import row_weights
from entroloop.generators.unet.sampling import frame, noise_scheduler
from entroloop.generators.unet.settings import DiffusionSettings, UNetSettings
from entroloop.samples import SampleSet
from entroloop.seeding import seed_for

if TYPE_CHECKING:
    import torch
    from torch import Tensor


class Training:
    """The state of a training, and how one step changes it.

    threads: CPU threads, each of which takes part of a batch.
    """

    def __init__(
        self,
        settings: UNetSettings,
        unet: Any,
        training_set: SampleSet,
        *,
        seed: int,
        device: str,
        threads: int,
    ) -> None:
        import torch

        self.settings, self.device = settings, device
        self.accelerator = self._new_accelerator()
        self._place_data(training_set, frame(unet))
        self._size_batches(len(self.images))
        self._prepare_network(unet.to(device))
        self._share_batches(threads)
        self.prepare_noise(training_set)
        self.rng = torch.Generator(device=device).manual_seed(seed_for(seed, 0, "training"))
        self.order = torch.empty(0, dtype=torch.int64, device=device)
        self.step = 0

    def prepare_noise(self, training_set: SampleSet) -> None:
        """Prepare x_t = √ᾱ_t x_0 + √(1 − ᾱ_t) ε (Ho et al. 2020, equation 4)."""
        assert isinstance(self.settings, DiffusionSettings)
        alphas = noise_scheduler(self.settings).alphas_cumprod.to(self.device)
        self.alphas, self.sigmas = alphas.sqrt(), (1 - alphas).sqrt()

    def _new_accelerator(self) -> Any:
        from accelerate import Accelerator
        from accelerate.state import AcceleratorState

        AcceleratorState._reset_state(reset_partial_state=True)  # drops another model's precision
        return Accelerator(
            cpu=self.device == "cpu",
            mixed_precision=self.settings.precision,
            gradient_accumulation_steps=self.settings.accumulation,
        )

    def _place_data(self, training_set: SampleSet, size: tuple[int, int]) -> None:
        """Move uint8 images (n, c, h, w) and classes to the device; size: the padded size."""
        import torch

        data = np.asarray(training_set.data)
        images = torch.from_numpy(np.ascontiguousarray(data.transpose(0, 3, 1, 2)))
        self.images = images.to(self.device)
        self.labels = None
        if self.settings.classes is not None and training_set.labels is not None:
            self.labels = torch.from_numpy(training_set.labels).to(self.device)
        self.counts = None  # how much each row counts, 1 on average
        if (share := row_weights(training_set, self.settings.real_weight)) is not None:
            counts = (share * len(share)).astype(np.float32)
            self.counts = torch.from_numpy(counts).to(self.device)
        self.pad = _padding(images.shape[2], images.shape[3], size)

    def _size_batches(self, n: int) -> None:
        """Set the batch size, this process's part of a batch, and the total number of steps."""
        settings, world = self.settings, self.accelerator.num_processes
        self.size = min(settings.batch_size, n)
        self.part = slice(self.accelerator.process_index, None, world)
        if self.size % world:
            raise InputError(
                f"a batch of {self.size} does not divide among {world} processes; change "
                "generator.batch_size or the number of processes"
            )
        self.total = settings.steps or settings.epochs * math.ceil(n / self.size)

    def _prepare_network(self, unet: Any) -> None:
        """Set up the network, its weight average and the optimizer."""
        import torch
        from diffusers.training_utils import EMAModel

        settings = self.settings
        if self.device == "cuda":
            unet = unet.to(memory_format=torch.channels_last)
        self.plain = unet
        self.ema = None if settings.ema is None else EMAModel(
            unet.parameters(), decay=settings.ema, use_ema_warmup=True, power=0.75, foreach=True
        )  # fmt: skip
        optimizer = torch.optim.AdamW(
            unet.parameters(), lr=settings.lr, betas=settings.betas,
            weight_decay=settings.weight_decay, fused=True,
        )  # fmt: skip
        self.unet, self.optimizer = self.accelerator.prepare(unet, optimizer)
        if settings.compile:
            self.unet = torch.compile(self.unet)

    def _share_batches(self, threads: int) -> None:
        """Split batches among CPU threads, if possible."""
        import torch

        # Threads cannot share compiled code or the random generator of dropout, and processes sum
        # their gradients while computing them.
        settings = self.settings
        together = (
            self.accelerator.num_processes > 1
            or settings.compile
            or settings.precision == "fp16"
            or _drops_out(self.plain)
        )
        self.in_parts = None
        if self.device == "cpu" and threads > 1 and not together:
            self.in_parts = BatchInParts(list(self.plain.parameters()), min(threads, self.size))
            torch.set_num_threads(1)  # until the training ends, see `UNetDiffusion.fit`

    def advance(self) -> Tensor:
        """Take one optimizer step and return its loss, still on the device."""
        import torch

        settings = self.settings
        self.plain.train()
        rate = settings.lr * _schedule(self.step, settings.warmup, self.total)
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        losses = []
        for _ in range(settings.accumulation):
            with self.accelerator.accumulate(self.unet):
                batch = self.batch()
                if self.in_parts is None:
                    loss = self.loss(*batch)
                    self.accelerator.backward(loss)
                else:
                    loss = self.in_parts.backward(self.loss, batch, 1 / settings.accumulation)
                if self.accelerator.sync_gradients:
                    self.accelerator.clip_grad_norm_(
                        self.plain.parameters(), settings.gradient_clip
                    )
                self.optimizer.step()
                self.optimizer.zero_grad(set_to_none=True)
            losses.append(loss.detach())
        if self.ema is not None:
            self.ema.step(self.plain.parameters())
        self.step += 1
        return torch.stack(losses).mean()

    def batch(self) -> tuple[Tensor, Tensor, Tensor, Tensor | None, Tensor | None]:
        """Return this process's part of the next batch: images, times, noise, classes, counts."""
        import torch
        import torch.nn.functional as F

        if len(self.order) < self.size:  # each image once per epoch; leftovers join the next
            epoch = torch.randperm(len(self.images), generator=self.rng, device=self.rng.device)
            self.order = torch.cat([self.order, epoch])
        chosen, self.order = self.order[: self.size], self.order[self.size :]
        x0 = F.pad(self.images[chosen].float() / 127.5 - 1, self.pad, mode="replicate")
        if x0.device.type == "cuda":
            x0 = x0.contiguous(memory_format=torch.channels_last)
        t, noise = self.times(len(x0)), self.noise(chosen, x0.shape)
        classes = None if self.labels is None else self._classes(chosen)[self.part]
        # Every process draws the whole batch and takes its part: together they take the step that
        # a single process would take.
        counts = None if self.counts is None else self.counts[chosen][self.part]
        return x0[self.part], t[self.part], noise[self.part], classes, counts

    def times(self, n: int) -> Tensor:
        """Draw n times."""
        import torch

        return torch.randint(len(self.alphas), (n,), generator=self.rng, device=self.rng.device)

    def noise(self, chosen: Tensor, shape: torch.Size) -> Tensor:
        """Return the noise of the chosen rows, drawn."""
        import torch

        return torch.randn(shape, generator=self.rng, device=self.rng.device)

    def loss(
        self,
        x0: Tensor,
        t: Tensor,
        noise: Tensor,
        classes: Tensor | None,
        counts: Tensor | None = None,
    ) -> Tensor:
        """Return the mean loss over the images, each counted as often as `counts` says."""
        import torch.nn.functional as F

        given = {} if classes is None else {"class_labels": classes}
        alpha, sigma = (v[t][:, None, None, None] for v in (self.alphas, self.sigmas))
        found: Tensor = self.unet(alpha * x0 + sigma * noise, t, **given).sample.float()
        assert isinstance(self.settings, DiffusionSettings)
        kind = self.settings.prediction
        if kind == "sample":  # by the signal-to-noise ratio, as in diffusers' training example
            squares = (alpha / sigma).square() * (found - x0).square()
        else:
            target = noise if kind == "epsilon" else alpha * noise - sigma * x0
            squares = F.mse_loss(found, target, reduction="none")
        weighted = squares if counts is None else counts[:, None, None, None] * squares
        mean: Tensor = weighted.mean()
        return mean

    def _classes(self, chosen: Tensor) -> Tensor:
        """Return the rows' classes, some dropped: the network learns with and without a class."""
        import torch

        assert self.labels is not None
        draw = torch.rand(len(chosen), generator=self.rng, device=self.rng.device)
        none = torch.full_like(chosen, self.settings.classes or 0)
        return torch.where(draw < self.settings.label_dropout, none, self.labels[chosen])

    def finished(self) -> Any:
        """Return the network with the weights used for sampling.

        Raises RuntimeError if processes that trained together have unequal weights.
        """
        import torch

        with torch.no_grad():
            total = torch.stack([p.double().sum() for p in self.plain.parameters()]).sum()
        sums = self.accelerator.gather(total.reshape(1).float())
        if bool(torch.isfinite(sums).all()) and not bool((sums == sums[0]).all()):
            raise RuntimeError("the weights differ between processes: a bug in entroloop")
        if self.ema is not None:
            self.ema.copy_to(self.plain.parameters())
        if self.in_parts is not None:
            self.in_parts.close()
        self.accelerator.free_memory()
        return self.plain


def _drops_out(unet: Any) -> bool:
    import torch

    return any(isinstance(m, torch.nn.Dropout) and m.p > 0 for m in unet.modules())


def _schedule(step: int, warmup: int, total: int) -> float:
    """Return the factor on the learning rate: linear warm-up, then half a cosine to 0."""
    if step < warmup:
        return step / max(1, warmup)
    return 0.5 * (1 + math.cos(math.pi * min(1.0, (step - warmup) / max(1, total - warmup))))


def _padding(height: int, width: int, size: tuple[int, int]) -> tuple[int, int, int, int]:
    """Return the left, right, top and bottom padding up to the network's image size."""
    rows, columns = size[0] - height, size[1] - width
    if rows < 0 or columns < 0:
        raise InputError(
            f"images of {width} × {height} are larger than the {size[1]} × {size[0]} that the "
            "network takes; set data.resize"
        )
    return columns // 2, columns - columns // 2, rows // 2, rows - rows // 2
