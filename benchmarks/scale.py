"""Selections and studies on a local Ray cluster against the local engine, in one run.

python benchmarks/scale.py [same] [model] [study] [coreset] [paper] [--workers W] [--repeats K] [--rows M]
same: 1,000,000 × 128 → 20,000, picks and time. model: rounds, bytes and seconds of a grid of sizes,
the least of the repeats, fitted by the terms of `selection/budget.py`; then it predicts sizes outside
the grid. study:
three arms × two seeds of the digits preset. coreset: the approximate variant. paper: sizes that
were never run. Figures are medians [min, max].
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd

import entroloop as el
from entroloop.selection.budget import SECONDS, cost, rounds, terms
from pools import clustered
from selection import shown

GRID = [
    (200_000, 4000, 128), (400_000, 4000, 128), (400_000, 8000, 128), (200_000, 8000, 64),
    (400_000, 12_000, 128), (600_000, 12_000, 128), (500_000, 10_000, 64), (800_000, 16_000, 64),
]  # fmt: skip
OUTSIDE = [(500_000, 10_000, 96), (1_000_000, 20_000, 128)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("workloads", nargs="*", default=["same", "model", "study", "coreset"])
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--rows", type=int, default=1_000_000)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, el.RayEngine(options.workers) as engine:
        for workload in options.workloads:
            WORKLOADS[workload](engine, Path(folder), options)


def pool(folder: Path, m: int, d: int) -> np.ndarray:
    """Return the pool of the selection benchmark as a memory map."""
    path = folder / f"{m}x{d}.npy"
    if not path.exists():
        np.save(path, clustered(m, d))
    return np.load(path, mmap_mode="r")


def seconds(work) -> tuple[float, object]:
    start = time.perf_counter()
    found = work()
    return time.perf_counter() - start, found


def same(engine: el.RayEngine, folder: Path, options: argparse.Namespace) -> None:
    m, n, d = options.rows, options.rows // 50, 128
    x = pool(folder, m, d)
    local, spread = [], []
    for _ in range(options.repeats):
        taken, alone = seconds(lambda: el.select(x, n, first=0))
        local.append(taken)
        taken, found = seconds(lambda: el.select(x, n, first=0, engine=engine))
        spread.append(taken)
        assert np.array_equal(alone.indices, found.indices)
    ratios = [a / b for a, b in zip(spread, local, strict=True)]
    print(f"{m:,} × {d} → {n:,}: local {shown(local)} s, Ray with {engine.workers} workers "
          f"{shown(spread)} s: {shown(ratios)} times; picks equal")  # fmt: skip
    print(f"  {found.rounds} rounds, {found.bytes_moved / n:,.0f} bytes a pick "
          f"({found.bytes_moved / 2**20:.0f} MiB; a row has {d * 4})")  # fmt: skip
    (folder / f"{m}x{d}.npy").unlink()


def model(engine: el.RayEngine, folder: Path, options: argparse.Namespace) -> None:
    whole = pool(folder, max(m for m, _, _ in GRID + OUTSIDE), 128)
    parts = engine.workers

    def measured(m: int, n: int, d: int) -> tuple[float, object]:
        path = folder / "part.npy"
        np.save(path, whole[:m, :d])
        x = np.load(path, mmap_mode="r")
        runs = [
            seconds(lambda: el.select(x, n, first=0, engine=engine)) for _ in range(options.repeats)
        ]
        return min(t for t, _ in runs), runs[0][1]  # other work only adds to it

    found = [(size, *measured(*size)) for size in GRID]
    A = np.array([terms(*size, parts) for size, _, _ in found])
    b = np.array([t for _, t, _ in found])
    from scipy.optimize import nnls

    fitted, _ = nnls(A / b[:, None], np.ones(len(b)))  # relative errors count
    roots = [n**0.5 for (_, n, _), _, _ in found]
    line = np.polyfit(roots, [s.rounds for _, _, s in found], 1)
    print(f"rounds: {line[1]:.1f} + {line[0]:.2f} √n; seconds: "
          + ", ".join(f"{c:.2e}" for c in fitted) + " (in the code: "
          + ", ".join(f"{c:.2e}" for c in SECONDS) + ")")  # fmt: skip
    for size, taken, selection in [*found, *((size, *measured(*size)) for size in OUTSIDE)]:
        guess = float(terms(*size, parts) @ fitted)
        planned = cost(*size, 4, parts)
        kind = "fitted   " if size in GRID else "predicted"
        print(f"  {kind} {size[0]:>9,} × {size[2]:>3} → {size[1]:>6,}: {taken:6.2f} s, model {guess:6.2f} "
              f"({guess / taken - 1:+.0%}); {selection.rounds} rounds (model {line[1] + line[0] * size[1] ** 0.5:.0f}), "
              f"{selection.bytes_moved / 2**20:.1f} MiB (model {planned.network_bytes / 2**20:.1f})")  # fmt: skip


def study(engine: el.RayEngine, folder: Path, options: argparse.Namespace) -> None:
    arms = [
        {"paradigm": "replace", "strategy": "random"},
        {"paradigm": "accumulate_subsample", "strategy": "random"},
        {"paradigm": "accumulate_subsample", "strategy": "greedy", "oversample": 2},
    ]
    settings = {"arms": arms, "seeds": [0, 1], "device": "cpu"}
    out = folder / "local", folder / "ray"
    local, _ = seconds(lambda: list(el.run_study("digits", out=out[0], **settings)))
    spread, _ = seconds(lambda: list(el.run_study("digits", out=out[1], engine=engine, **settings)))
    a, b = (el.load_records(path) for path in out)
    columns = [c for c in a.columns if not c.startswith(("seconds", "peak"))]
    pd.testing.assert_frame_equal(a[columns], b[columns], check_exact=True)
    print(f"digits, 3 arms × 2 seeds: {len(a)} records equal in all {len(columns)} columns but times "
          f"and memory; local {local:.0f} s, Ray {spread:.0f} s")  # fmt: skip


def coreset(engine: el.RayEngine, folder: Path, options: argparse.Namespace) -> None:
    m, n, d = 400_000, 2000, 128
    x = pool(folder, m, d)
    exact_seconds, exact = seconds(lambda: el.select(x, n, first=0, engine=engine))
    for oversample in (1, 2, 4):
        taken, found = seconds(
            lambda o=oversample: el.select(x, n, "composable_coreset", oversample=o, engine=engine)
        )
        print(f"composable core-set {m:,} × {d} → {n:,}, oversample {oversample}: {taken:.1f} s "
              f"(exact {exact_seconds:.1f}), {found.rounds} rounds (exact {exact.rounds}), coverage radius "
              f"{found.coverage_radius / exact.coverage_radius:.3f} of greedy's; certified within "
              f"{found.approximation:.2f} times the best")  # fmt: skip


LINK = 1.25e9  # bytes a second of a 10 Gbit/s link
CALL = 2e-3  # seconds of one round's calls to one place, one after the other (measured: 1 to 2 ms)
DRIVER_PICK = 2e-5  # seconds of the driver for each pick in a block of 1,024 (measured below 1e-5)


def paper(engine: el.RayEngine, folder: Path, options: argparse.Namespace) -> None:
    """Put sizes that were never run into the model: one thread a machine, 10 Gbit/s links."""
    d = 768
    for m in (10**8, 10**9):
        for n in (m // 1000, m // 100):
            for parts in (64, 1024):
                found = cost(m, n, d, 4, parts)
                up = rounds(n) * 1024 * (4 * d + 24)
                down = (found.network_bytes - up) / LINK
                driver = up / LINK + n * DRIVER_PICK + rounds(n) * parts * CALL
                per = m / parts
                held = per * (4 * d + 58) + n * d * 16
                total = found.seconds + down + driver
                print(f"{m:.0e} × {d} → {n:.0e}, {parts:>5} machines: parts {hours(found.seconds)}, picks sent "
                      f"{hours(down)}, driver {hours(driver)}: {hours(total)}; {rounds(n):.0f} rounds, "
                      f"{found.network_bytes / 1e12:.2g} TB; each machine {held / 2**30:.0f} GiB, of which the "
                      f"picks {n * d * 16 / 2**30:.0f}")  # fmt: skip


def hours(seconds: float) -> str:
    """Return a time in the unit that suits it."""
    for unit, size in (("d", 86_400), ("h", 3600), ("min", 60)):
        if seconds >= size:
            return f"{seconds / size:.1f} {unit}"
    return f"{seconds:.0f} s"


WORKLOADS = {"same": same, "model": model, "study": study, "coreset": coreset, "paper": paper}

if __name__ == "__main__":
    main()
