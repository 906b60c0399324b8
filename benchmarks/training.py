"""Training images a second against the reference pipeline, in one run.

python benchmarks/training.py [--size tiny|unet48] [--device cpu|cuda] [--steps K] [--repeats R]
    [--precision no|bf16|fp16] [--compile]

The baseline restates the reference code's pipeline: a folder of PNGs, one loader worker, transforms
of each image with Pillow, an eager network (fp16 on a GPU), batch 128, loss.item() in every step;
in a process of its own, as it would run. The two take turns.
Images are random uint8: what they show costs nothing. On a GPU the counted FLOPs, the rate they
make, and the matrix-multiply rate of that GPU are printed, too.
"""

from __future__ import annotations

import argparse
import multiprocessing
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from entroloop.generators.unet.model import UNetDiffusion
from entroloop.generators.unet.sampling import noise_scheduler
from entroloop.generators.unet.training import Training
from entroloop.samples import SampleSet
from entroloop.system.memory import freed_memory_kept
from selection import shown

SIDE, CHANNELS, IMAGES, BATCH = 32, 3, 2048, 128


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size", default="tiny")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--steps", type=int, default=10)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--precision")
    parser.add_argument("--compile", action="store_true")
    options = parser.parse_args()
    on_gpu = options.device == "cuda"
    precision = options.precision or ("bf16" if on_gpu else "no")
    settings = UNetDiffusion(
        size=options.size, steps=10**6, precision=precision, compile=options.compile
    )
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (IMAGES, SIDE, SIDE, CHANNELS), dtype=np.uint8)
    print(f"torch {torch.__version__}, {torch.get_num_threads()} threads, {options.size}, "
          f"{SIDE}×{SIDE}×{CHANNELS}, batch {BATCH}, {options.device}, {precision}")  # fmt: skip
    ours, theirs = [], []
    training = Training(settings, settings.network(images.shape[1:], 0),
                        SampleSet.of_generation(images, 0), seed=0,
                        device=options.device, threads=torch.get_num_threads())  # fmt: skip
    with tempfile.TemporaryDirectory() as folder, freed_memory_kept():
        for i, image in enumerate(images):
            Image.fromarray(image).save(Path(folder) / f"{i:05}.png")
        here, there = multiprocessing.Pipe()
        process = multiprocessing.get_context("spawn").Process(
            target=serve, args=(there, settings, Path(folder), options)
        )
        process.start()
        here.recv()
        for _ in range(3):  # warm up
            training.advance()
        for _ in range(options.repeats):
            ours.append(images_a_second(training.advance, options))
            here.send("go on")
            theirs.append(here.recv())
        here.send(None)
        process.join()
    ratios = [a / b for a, b in zip(ours, theirs, strict=True)]
    print(f"entroloop {shown(ours, '{:.0f}')} images/s, reference pipeline {shown(theirs, '{:.0f}')}: "
          f"{shown(ratios)} times")  # fmt: skip
    if on_gpu:
        flops = counted_flops(training.plain)
        print(f"{flops / 1e9:.2f} GFLOP an image and step; {np.median(ours) * flops / 1e12:.1f} TFLOP/s; "
              f"multiply rate {multiply_rate() / 1e12:.0f} TFLOP/s")  # fmt: skip


def serve(pipe, settings: UNetDiffusion, folder: Path, options: argparse.Namespace) -> None:
    """Run the reference pipeline whenever asked, and answer with its images a second."""
    reference = Reference(settings, folder, options.device)
    for _ in range(3):  # warm up
        reference.step()
    pipe.send("ready")
    while pipe.recv() is not None:
        pipe.send(images_a_second(reference.step, options))
    reference.end()


def images_a_second(work, options: argparse.Namespace) -> float:
    synchronize(options.device)
    start = time.perf_counter()
    for _ in range(options.steps):
        work()
    synchronize(options.device)
    return BATCH * options.steps / (time.perf_counter() - start)


def synchronize(device: str) -> None:
    if device == "cuda":
        torch.cuda.synchronize()


class Pngs(torch.utils.data.Dataset):
    """A folder of PNGs: decoded, flipped at random and normalized one by one."""

    def __init__(self, folder: Path) -> None:
        self.files = sorted(folder.glob("*.png"))

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, i: int) -> torch.Tensor:
        image = Image.open(self.files[i]).convert("RGB")
        image = image.resize((SIDE, SIDE), Image.Resampling.BILINEAR)
        if np.random.random() < 0.5:
            image = image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
        x = torch.from_numpy(np.asarray(image).copy()).permute(2, 0, 1).float() / 255
        return (x - 0.5) / 0.5


class Reference:
    """The reference code's training loop."""

    def __init__(self, settings: UNetDiffusion, folder: Path, device: str) -> None:
        self.device = device
        self.unet = settings.network((SIDE, SIDE, CHANNELS), 0).to(device)
        self.optimizer = torch.optim.AdamW(
            self.unet.parameters(), lr=1e-4, betas=(0.95, 0.999), weight_decay=1e-6
        )
        self.scheduler = noise_scheduler(settings)
        self.scaler = torch.amp.GradScaler(enabled=device == "cuda")
        self.loader = torch.utils.data.DataLoader(
            Pngs(folder), batch_size=BATCH, shuffle=True, num_workers=1, drop_last=True
        )
        self.batches = iter(self.loader)
        self.log: list[float] = []

    def step(self) -> None:
        """Make one step."""
        batch = next(self.batches, None)
        if batch is None:
            self.batches = iter(self.loader)
            batch = next(self.batches)
        clean = batch.to(self.device)
        noise = torch.randn(clean.shape, device=self.device)
        t = torch.randint(0, 1000, (len(clean),), device=self.device)
        noisy = self.scheduler.add_noise(clean, noise, t)
        with torch.autocast(self.device, dtype=torch.float16, enabled=self.device == "cuda"):
            loss = torch.nn.functional.mse_loss(self.unet(noisy, t).sample.float(), noise)
        self.scaler.scale(loss).backward()
        self.scaler.unscale_(self.optimizer)
        torch.nn.utils.clip_grad_norm_(self.unet.parameters(), 1.0)
        self.scaler.step(self.optimizer)
        self.scaler.update()
        self.optimizer.zero_grad()
        self.log.append(loss.detach().item())

    def end(self) -> None:
        """Stop the loader."""
        del self.batches


def counted_flops(unet: torch.nn.Module) -> float:
    """Return the operations of one image in a training step: forward, and twice that backward."""
    from torch.utils.flop_counter import FlopCounterMode

    x = torch.randn(1, CHANNELS, SIDE, SIDE, device="cuda")
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        unet(x, torch.zeros(1, device="cuda", dtype=torch.int64))
    return 3 * counter.get_total_flops()


def multiply_rate() -> float:
    a = torch.randn(8192, 8192, device="cuda", dtype=torch.bfloat16)
    for _ in range(3):
        a @ a
    torch.cuda.synchronize()
    start = time.perf_counter()
    for _ in range(10):
        a @ a
    torch.cuda.synchronize()
    return 10 * 2 * 8192**3 / (time.perf_counter() - start)


if __name__ == "__main__":
    main()
