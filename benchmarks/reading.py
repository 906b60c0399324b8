"""Reading beside decoding alone: a folder of small PNG files to a selection.

    python benchmarks/reading.py [--images 50000] [--size 32] [--choose 5000] [--repeat 3]

Makes the folder, then takes times in turns: `alone` is Pillow decoding the same files in as many
processes as there are cores, and nothing else; `load` is `el.load`; `select` is `el.select` of what
was loaded. Prints JSON: seconds with their spread, the rate of `load` over that of `alone` (the aim:
at least 0.8), that of the whole, and the peak of memory beside what the images themselves take.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

import entroloop as el
from entroloop.system.usage import measured


def written(folder: Path, n: int, size: int) -> list[str]:
    rng = np.random.default_rng(0)
    for i in range(n):
        place = folder / f"{i % 100:02}"
        place.mkdir(exist_ok=True)
        # Smooth, as pictures are: noise would not compress.
        small = rng.integers(0, 256, (4, 4, 3), dtype=np.uint8)
        Image.fromarray(small).resize((size, size)).save(place / f"{i:07}.png")
    return sorted(str(p) for p in folder.rglob("*.png"))


def decoded(paths: list[str]) -> int:
    total = 0
    for path in paths:
        with Image.open(path) as image:
            total += np.asarray(image).nbytes
    return total


def taken(function: Callable[[], Any]) -> tuple[float, Any]:
    start = time.perf_counter()
    found = function()
    return time.perf_counter() - start, found


def resident_mb() -> float:
    status = Path("/proc/self/status").read_text()
    return int(status.split("VmRSS:")[1].split()[0]) * 1024 / 1e6


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--images", type=int, default=50_000)
    parser.add_argument("--size", type=int, default=32)
    parser.add_argument("--choose", type=int, default=5_000)
    parser.add_argument("--repeat", type=int, default=3)
    asked = parser.parse_args()
    cores = len(os.sched_getaffinity(0))
    seconds: dict[str, list[float]] = {"alone": [], "load": [], "select": []}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        paths = written(folder, asked.images, asked.size)
        decoded(paths)  # so that all find the files in the cache of the system
        parts = [paths[i::cores] for i in range(cores)]
        with ProcessPoolExecutor(cores, mp_context=get_context("spawn")) as pool:
            list(pool.map(decoded, [part[:8] for part in parts]))  # started
            for _ in range(asked.repeat):
                seconds["alone"].append(taken(lambda: list(pool.map(decoded, parts)))[0])
                took, found = taken(lambda: el.load(folder))
                seconds["load"].append(took)
                took, _ = taken(partial(el.select, found.data, asked.choose))
                seconds["select"].append(took)
                found = None
        before = resident_mb()
        with measured() as usage:
            el.load(folder)
    best = {what: statistics.median(times) for what, times in seconds.items()}
    answer = {
        "images": asked.images,
        "cores": cores,
        "seconds": {
            w: {"median": best[w], "min": min(t), "max": max(t)} for w, t in seconds.items()
        },
        "load_over_alone": best["alone"] / best["load"],
        "whole_over_alone": best["alone"] / (best["load"] + best["select"]),
        "images_mb": asked.images * asked.size**2 * 3 / 1e6,
        "peak_mb_beyond": usage.peak_mb - before,
    }
    print(json.dumps(answer, indent=1))


if __name__ == "__main__":
    main()
