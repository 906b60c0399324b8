"""Sampling from a U-Net with diffusers' schedulers, one seed per image."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from entroloop.errors import InputError
from entroloop.generators.unet.settings import DiffusionSettings, UNetSettings
from entroloop.samples import Array

if TYPE_CHECKING:
    from torch import Tensor


def noise_scheduler(settings: DiffusionSettings) -> Any:
    """Return the scheduler for training, and for sampling with ddpm."""
    from diffusers import DDPMScheduler

    return DDPMScheduler(**_common(settings), clip_sample=True)


def sampling_scheduler(settings: DiffusionSettings) -> Any:
    """Return the scheduler named in the settings, with its steps set."""
    from diffusers import DDIMScheduler, DPMSolverMultistepScheduler

    if settings.sampler == "ddpm":
        scheduler: Any = noise_scheduler(settings)
    elif settings.sampler == "ddim":
        scheduler = DDIMScheduler(**_common(settings), clip_sample=True)
    else:
        scheduler = DPMSolverMultistepScheduler(
            **_common(settings), algorithm_type="dpmsolver++", solver_order=2, thresholding=True,
            dynamic_thresholding_ratio=1.0, sample_max_value=1.0, final_sigmas_type="zero",
        )  # fmt: skip
    with warnings.catch_warnings():  # diffusers converts tensors to NumPy in a deprecated way
        warnings.filterwarnings("ignore", message="__array__", category=DeprecationWarning)
        scheduler.set_timesteps(settings.sampler_steps)
    return scheduler


def frame(unet: Any) -> tuple[int, int]:
    """Return the height and width of the images that a network takes."""
    size = unet.config.sample_size
    return (size, size) if isinstance(size, int) else (size[0], size[1])


def _common(settings: DiffusionSettings) -> dict[str, Any]:
    return {
        "num_train_timesteps": settings.train_timesteps,
        "beta_schedule": settings.beta_schedule,
        "prediction_type": settings.prediction,
    }


def in_halves(
    made: Callable[..., Array], unet: Any, seeds: Sequence[int], labels: Array | None, device: str
) -> Array:
    """Return the images that `made` makes, in [−1, 1], float32 (len(seeds), c, h, w).

    Image i depends on seeds[i] and labels[i]. If the GPU runs out of memory, the batch is halved;
    an image then stays the same to rounding.
    """
    import torch

    try:
        return made(unet, seeds, labels, device)
    except torch.OutOfMemoryError:
        if len(seeds) == 1:
            raise InputError(
                "the GPU has too little memory to sample one image; use a smaller generator.size"
            ) from None
    torch.cuda.empty_cache()
    half = len(seeds) // 2
    parts = [
        in_halves(made, unet, seeds[part], None if labels is None else labels[part], device)
        for part in (slice(half), slice(half, None))
    ]
    return np.concatenate(parts)


def starting_noise(unet: Any, seeds: Sequence[int], device: str) -> tuple[Tensor, list[Any]]:
    """Return noise (len(seeds), c, h, w), each image's by its seed, and the seeds' generators."""
    import torch
    from diffusers.utils.torch_utils import randn_tensor

    noise = [torch.Generator().manual_seed(seed) for seed in seeds]
    shape = (len(seeds), unet.config.in_channels, *frame(unet))
    return randn_tensor(shape, generator=noise, device=torch.device(device)), noise


def sampled(
    settings: DiffusionSettings, unet: Any, seeds: Sequence[int], labels: Array | None, device: str
) -> Array:
    """Return images in [−1, 1], float32 (len(seeds), c, h, w), by the sampler of the settings."""
    import torch

    scheduler = sampling_scheduler(settings)
    x, noise = starting_noise(unet, seeds, device)
    kind = {"bf16": torch.bfloat16, "fp16": torch.float16}.get(settings.precision)
    if device == "cuda":
        unet, x = (
            unet.to(memory_format=torch.channels_last),
            x.to(memory_format=torch.channels_last),
        )
    more = {"generator": noise} if settings.sampler != "dpm_solver++" else {}
    autocast = torch.autocast(device, dtype=kind, enabled=kind is not None)
    predict = predictor(settings, unet, labels, device)
    with torch.inference_mode(), autocast:
        for t in scheduler.timesteps:
            found = predict(x, t.to(device))
            if settings.truncation:
                alpha = float(scheduler.alphas_cumprod[t]) ** 0.5
                sigma = (1 - alpha**2) ** 0.5
                if sigma <= settings.truncation * alpha:
                    x = _clean(settings, found, x, alpha, sigma)
                    break
            x = scheduler.step(found, t, x, **more).prev_sample
    result: Array = x.float().clamp(-1, 1).cpu().numpy()
    return result


def _clean(
    settings: DiffusionSettings, found: Tensor, x: Tensor, alpha: float, sigma: float
) -> Tensor:
    """Return the clean images that a prediction stands for, x = α x₀ + σ ε."""
    if settings.prediction == "sample":
        return found
    if settings.prediction == "epsilon":
        return (x - sigma * found) / alpha
    return alpha * x - sigma * found


def predictor(
    settings: UNetSettings, unet: Any, labels: Array | None, device: str
) -> Callable[[Tensor, Tensor], Tensor]:
    """Return the network's prediction as a function of (x, t), with guidance if it is set."""
    import torch

    def plain(x: Tensor, t: Tensor) -> Tensor:
        return unet(x, t).sample.float()  # type: ignore[no-any-return]

    if labels is None or settings.classes is None:
        return plain
    classes = torch.from_numpy(labels).to(device)
    none = torch.full_like(classes, settings.classes)
    w = settings.guidance_scale

    def guided(x: Tensor, t: Tensor) -> Tensor:
        if w == 1:
            return unet(x, t, class_labels=classes).sample.float()  # type: ignore[no-any-return]
        both = unet(torch.cat([x, x]), t, class_labels=torch.cat([classes, none])).sample.float()
        given, free = both.chunk(2)
        return free + w * (given - free)  # type: ignore[no-any-return]

    return guided
