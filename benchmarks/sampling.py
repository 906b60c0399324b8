"""Sampling with few steps against DDPM's 1,000, at equal Fréchet distance, in one run.

python benchmarks/sampling.py --data DIR --network PATH [--size unet48] [--device cuda] [--n 10240]
    [--steps K] [--seeds 3] [--sampler-steps 20 30 50]

For each seed one network is trained on n images of the folder (parquet), and samples n with DDPM
1,000 and with DPM-Solver++ at each number of steps; the Fréchet distance to held-out images is
taken on the network's features. A number of steps holds if the upper 95 % bound of the paired
increase over DDPM is at most the larger of 2 % and DDPM's own deviation between seeds.
"""

from __future__ import annotations

import argparse
import time

import numpy as np
from scipy.stats import t as student

from entroloop.data.images import Parquet
from entroloop.features import extractor_for
from entroloop.generators import draw
from entroloop.generators.unet.model import UNetDiffusion, UNetDiffusionModel
from entroloop.metrics.moments import frechet_distance
from entroloop.samples import SampleSet
from entroloop.system.progress_line import no_progress


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", required=True)
    parser.add_argument("--files", default="train*")
    parser.add_argument("--network", required=True)
    parser.add_argument("--size", default="unet48")
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--n", type=int, default=10_240)
    parser.add_argument("--steps", type=int, default=10_000)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--ddpm-steps", type=int, default=1000)
    parser.add_argument("--sampler-steps", type=int, nargs="+", default=[20, 30, 50])
    options = parser.parse_args()
    n, extractor = options.n, extractor_for(f"torchscript:{options.network}", options.device)
    source = Parquet(path=options.data, files=options.files, n_train=n, n_reference=n)
    data = source.load().data
    train, held_out = SampleSet.of_generation(data[:n], 0), extractor(data[n : 2 * n])
    gpu = options.device == "cuda"
    settings = UNetDiffusion(
        size=options.size, steps=options.steps, lr=4e-4, ema=0.999,
        precision="bf16" if gpu else "no", sampling_batch=1024 if gpu else 64,
    )  # fmt: skip
    samplers = {f"ddpm {options.ddpm_steps}": ("ddpm", options.ddpm_steps)}
    samplers |= {f"dpm_solver++ {k}": ("dpm_solver++", k) for k in options.sampler_steps}
    seconds = {name: [] for name in samplers}
    distances = {name: [] for name in samplers}
    for seed in range(options.seeds):
        model = settings.fit(
            train, seed=seed, device=options.device, threads=2, progress=print_share
        )
        for name, (sampler, steps) in samplers.items():
            changed = settings.model_copy(update={"sampler": sampler, "sampler_steps": steps})
            same = UNetDiffusionModel(changed, model.row_format, model.unet, options.device, 2)
            start = time.perf_counter()
            images = draw(same, seed, 1, 0, n, no_progress)
            seconds[name].append(time.perf_counter() - start)
            distances[name].append(
                frechet_distance(generated=extractor(images), reference=held_out)
            )
            print(f"seed {seed}, {name}: {seconds[name][-1]:.1f} s, Fréchet {distances[name][-1]:.4g}",
                  flush=True)  # fmt: skip
    base, *others = samplers
    own = float(np.std(distances[base], ddof=1)) if options.seeds > 1 else float("nan")
    allowed = max(0.02 * float(np.mean(distances[base])), own)
    for name in others:
        increase = np.subtract(distances[name], distances[base])
        spread = increase.std(ddof=1) / np.sqrt(len(increase)) if len(increase) > 1 else np.nan
        upper = increase.mean() + student.ppf(0.975, max(1, len(increase) - 1)) * spread
        faster = np.median(np.divide(seconds[base], seconds[name]))
        print(f"{name}: {faster:.1f} times fewer seconds; increase {increase.mean():.3g}, upper 95 % "
              f"bound {upper:.3g}, allowed {allowed:.3g}: {'holds' if upper <= allowed else 'does not hold'}")  # fmt: skip


def print_share(done: int, total: int) -> None:
    if done % max(1, total // 5) == 0:
        print(f"training {done / total:.0%}", flush=True)


if __name__ == "__main__":
    main()
