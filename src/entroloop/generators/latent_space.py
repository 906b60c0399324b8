"""Spaces of few numbers in which images are generated: how rows get there and back."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from entroloop.errors import InputError
from entroloop.samples import Array, Float64
from entroloop.seeding import seed_for

if TYPE_CHECKING:
    from torch import Tensor

CHANNELS = (32, 64)  # of the two convolutions, each of which halves height and width
BATCH = 64


class Space(Protocol):
    """A space of latents: what maps rows in [−1, 1] (n, d) there, and back."""

    tensors: dict[str, Tensor]

    def encode(self, rows: Array) -> Array:
        """Return latents (n, components), float32."""

    def decode(self, latents: Array) -> Float64:
        """Return rows (n, d)."""


class Components:
    """Principal components: z = (x − mean) Cᵀ and x = z C + mean, C orthonormal."""

    def __init__(self, tensors: dict[str, Tensor], shape: tuple[int, ...]) -> None:
        self.tensors = tensors
        self.mean, self.components = (tensors[name].numpy() for name in ("mean", "components"))

    @classmethod
    def fitted(cls, x: Array, shape: tuple[int, ...], k: int, seed: int, steps: int) -> Components:  # noqa: ARG003
        """Return the k components of most variance of rows x (n, d); fewer where there are none."""
        import torch
        from sklearn.utils.extmath import randomized_svd

        mean = x.mean(axis=0, dtype=np.float64)
        random = seed_for(seed, 0, "latent space") % 2**31
        _, _, found = randomized_svd(x - mean, min(k, *x.shape), random_state=random)
        tensors = {"mean": mean, "components": np.ascontiguousarray(found, dtype=np.float64)}
        return cls({name: torch.from_numpy(value) for name, value in tensors.items()}, shape)

    def encode(self, rows: Array) -> Array:
        """Return latents (n, components), float32."""
        latents: Array = ((rows - self.mean) @ self.components.T).astype(np.float32)
        return latents

    def decode(self, latents: Array) -> Float64:
        """Return rows (n, d)."""
        rows: Float64 = latents.astype(np.float64) @ self.components + self.mean
        return rows


class Autoencoder:
    """Two convolutions and a linear layer down to the latents, and the same way back.

    Images are centred and divided by one scale first.
    """

    def __init__(self, tensors: dict[str, Tensor], shape: tuple[int, ...]) -> None:
        self.tensors, self.shape = tensors, shape
        self.mean, self.scale = tensors["mean"].numpy(), float(tensors["scale"])
        weights = {name: p for name, p in tensors.items() if name not in ("mean", "scale")}
        self.nets = networks(shape, weights["encoder.5.bias"].shape[0])
        self.nets.load_state_dict(weights)
        self.nets.eval()

    @classmethod
    def fitted(cls, x: Array, shape: tuple[int, ...], k: int, seed: int, steps: int) -> Autoencoder:
        """Train on images x (n, h · w · c) by squared error; one CPU gives the same bits."""
        import torch

        if len(shape) != 3:
            raise InputError(
                f"an autoencoder takes images (h, w, c); the training set holds rows of shape "
                f"{shape}: use generator.space=pca"
            )
        rng = torch.Generator().manual_seed(seed_for(seed, 0, "latent space"))
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed_for(seed, 0, "autoencoder"))
            nets = networks(shape, k)
        mean = x.mean(axis=0, dtype=np.float64)
        scale = float(np.sqrt(np.square(x - mean).mean())) or 1.0
        images = torch.from_numpy(((x - mean) / scale).astype(np.float32))
        optimizer = torch.optim.AdamW(nets.parameters(), lr=2e-3)
        schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
        for _ in range(steps):
            rows = images[torch.randint(len(images), (min(BATCH, len(images)),), generator=rng)]
            framed = _framed(rows, shape)
            loss = (nets["decoder"](nets["encoder"](framed)) - framed).square().mean()
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            optimizer.step()
            schedule.step()
        tensors = {name: p.detach().clone() for name, p in nets.state_dict().items()}
        tensors |= {"mean": torch.from_numpy(mean), "scale": torch.tensor(scale).double()}
        return cls(tensors, shape)

    def encode(self, rows: Array) -> Array:
        """Return latents (n, components), float32."""
        images = (rows - self.mean) / self.scale
        return self._mapped(lambda x: self.nets["encoder"](_framed(x, self.shape)), images)

    def decode(self, latents: Array) -> Float64:
        """Return rows (n, d)."""
        height, width = self.shape[:2]

        def images(z: Tensor) -> Tensor:
            made: Tensor = self.nets["decoder"](z)[:, :, :height, :width]
            return made.permute(0, 2, 3, 1).flatten(1)

        rows: Float64 = self._mapped(images, latents).astype(np.float64) * self.scale + self.mean
        return rows

    def _mapped(self, function: Callable[[Tensor], Tensor], rows: Array) -> Array:
        import torch

        x = torch.from_numpy(np.ascontiguousarray(rows.astype(np.float32)))
        with torch.inference_mode():
            found: Array = torch.cat([function(part) for part in torch.split(x, 256)]).numpy()
        return found


def networks(shape: tuple[int, ...], k: int) -> Any:
    """Return a new encoder and decoder for images (h, w, c), with k latents."""
    from torch import nn

    height, width, channels = shape
    a, b = CHANNELS
    size = (-(-height // 4), -(-width // 4))
    inner = b * size[0] * size[1]
    return nn.ModuleDict({
        "encoder": nn.Sequential(
            nn.Conv2d(channels, a, 4, 2, 1), nn.SiLU(), nn.Conv2d(a, b, 4, 2, 1), nn.SiLU(),
            nn.Flatten(), nn.Linear(inner, k),
        ),
        "decoder": nn.Sequential(
            nn.Linear(k, inner), nn.Unflatten(1, (b, *size)), nn.SiLU(),
            nn.ConvTranspose2d(b, a, 4, 2, 1), nn.SiLU(),
            nn.ConvTranspose2d(a, channels, 4, 2, 1),
        ),
    })  # fmt: skip


def _framed(rows: Tensor, shape: tuple[int, ...]) -> Tensor:
    """Return rows (n, h · w · c) as images (n, c, …), padded to multiples of 4."""
    import torch.nn.functional as F

    height, width = shape[:2]
    images = rows.reshape(len(rows), *shape).permute(0, 3, 1, 2)
    return F.pad(images, (0, -width % 4, 0, -height % 4), mode="replicate")


SPACES: dict[str, type[Components] | type[Autoencoder]] = {
    "pca": Components,
    "autoencoder": Autoencoder,
}
