"""What a monitor takes of a training: the share of the time at its default interval.

    python benchmarks/monitor.py --images mnist/train-00000-of-00001.parquet --n-train 10000

Trains a U-Net of diffusers for some steps, samples by DDIM and measures, each timed by itself, and
prints update / (every · step + update), with sampling and without. Without --images: scikit-learn's
digits. Run it on quiet cores; the figure is for the model and device that it names.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from diffusers import DDIMPipeline, DDIMScheduler, UNet2DModel

import entroloop as el
from entroloop.data.loading import read_set


def images(path: Path | None) -> np.ndarray:
    if path is not None:
        x = np.asarray(read_set(path, "images").data)
    else:
        from sklearn.datasets import load_digits

        x = (load_digits().images * (255 / 16)).astype(np.uint8)[..., None]
    return x[np.random.default_rng(0).permutation(len(x))]


def timed(work: Callable[[], object], times: int, device: str) -> float:
    """Return the median seconds of some calls after one that is not timed."""
    seconds = []
    for _ in range(times + 1):
        start = time.perf_counter()
        work()
        if device == "cuda":
            torch.cuda.synchronize()
        seconds.append(time.perf_counter() - start)
    return statistics.median(seconds[1:])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=Path)
    parser.add_argument("--n-train", type=int, default=1000)
    parser.add_argument("--width", type=int, default=32, help="channels of the first block")
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--samples", type=int, default=256)
    parser.add_argument("--sampling-steps", type=int, default=50)
    parser.add_argument("--steps", type=int, default=20, help="training steps that are timed")
    parser.add_argument("--updates", type=int, default=3, help="updates that are timed")
    told = parser.parse_args()
    device = "cuda" if torch.cuda.is_available() else "cpu"
    x = images(told.images)
    train, reference = x[: told.n_train], x[told.n_train : 2 * told.n_train]
    w = told.width
    size = -(-x.shape[1] // 4) * 4  # the network halves twice
    unet = UNet2DModel(
        sample_size=size, in_channels=x.shape[3], out_channels=x.shape[3],
        block_out_channels=(w, 2 * w, 2 * w), norm_num_groups=min(w, 8), layers_per_block=2,
        down_block_types=("DownBlock2D",) * 3, up_block_types=("UpBlock2D",) * 3,
    ).to(device)  # fmt: skip
    scheduler = DDIMScheduler(num_train_timesteps=1000)
    optimizer = torch.optim.AdamW(unet.parameters(), 1e-4)
    pipeline = DDIMPipeline(unet, scheduler)
    pipeline.set_progress_bar_config(disable=True)
    rows = torch.from_numpy(train).permute(0, 3, 1, 2).float().to(device) / 127.5 - 1
    pad = size - x.shape[1]
    rows = torch.nn.functional.pad(rows, (0, pad, 0, pad), value=-1)

    def step() -> None:
        batch = rows[torch.randint(len(rows), (told.batch,), device=device)]
        noise, t = torch.randn_like(batch), torch.randint(1000, (len(batch),), device=device)
        loss = torch.nn.functional.mse_loss(
            unet(scheduler.add_noise(batch, noise, t), t).sample, noise
        )
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()

    def sample() -> np.ndarray:
        made = pipeline(told.samples, num_inference_steps=told.sampling_steps, output_type="np")
        return made.images[:, : x.shape[1], : x.shape[2]]

    monitor = el.Monitor(train=train, reference=reference, values=(0, 1), budget=None)
    made = sample()
    numbers = iter(range(1, 1000))
    seconds = {
        "step": timed(step, told.steps, device),
        "sampling": timed(sample, told.updates, device),
        "measuring": timed(lambda: monitor.update(made, next(numbers)), told.updates, device),
    }
    training = monitor.interval.every * seconds["step"]
    both = seconds["sampling"] + seconds["measuring"]
    print(json.dumps({
        "device": torch.cuda.get_device_name() if device == "cuda" else "cpu",
        "threads": torch.get_num_threads(),
        "parameters": sum(p.numel() for p in unet.parameters()),
        "train": list(train.shape), "batch": told.batch, "samples": told.samples,
        "sampling_steps": told.sampling_steps, "every": monitor.interval.every,
        "seconds": {name: round(value, 4) for name, value in seconds.items()},
        "share_measuring": seconds["measuring"] / (training + seconds["measuring"]),
        "share_with_sampling": both / (training + both),
    }, indent=1))  # fmt: skip


if __name__ == "__main__":
    main()
