"""What the comparison of guarded selection costs: choices of a pool against a guard.

python benchmarks/guarded.py [--pool 32768] [--width 64] [--guard 1000] [--choices 8] [--repeats 5]

Median [least, most] seconds of comparing the choices, each of half the pool, with a random one: all
distances to the guard and among chosen rows, exact. Beside it, in the same run, the time of one
greedy selection of the same size, and the naive way: one choice after the other, all pairs by SciPy
(on a sixteenth of the rows, scaled up).
"""

from __future__ import annotations

import argparse
import time

import numpy as np
from scipy.spatial.distance import cdist

import entroloop as el
from entroloop.distances.table import DISTANCES
from entroloop.selection.discrepancy import compare


def seconds(function, repeats: int) -> str:
    """Return median [least, most] of a call's time."""
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        function()
        times.append(time.perf_counter() - start)
    return f"{np.median(times):.2f} [{min(times):.2f}, {max(times):.2f}] s"


def main() -> None:
    """Print the times."""
    parser = argparse.ArgumentParser(description=__doc__)
    for name, value in (("pool", 32768), ("width", 64), ("guard", 1000), ("choices", 8),
                        ("repeats", 5)):  # fmt: skip
        parser.add_argument(f"--{name}", type=int, default=value)
    given = parser.parse_args()
    rng = np.random.default_rng(0)
    pool = rng.standard_normal((given.pool, given.width)).astype(np.float32)
    guard = rng.standard_normal((given.guard, given.width)).astype(np.float32)
    half = given.pool // 2
    sets = {
        "random" if i == 0 else str(i): rng.permutation(given.pool)[:half]
        for i in range(given.choices + 1)
    }
    x = rng.standard_normal((4096, 1024)).astype(np.float32)
    start = time.perf_counter()
    for _ in range(10):
        x @ x.T
    rate = 10 * 2 * 4096**2 * 1024 / (time.perf_counter() - start) / 1e9
    print(f"multiply rate {rate:.0f} GFLOP/s; pool {given.pool:,} × {given.width}")
    euclidean = DISTANCES["euclidean"]
    took = seconds(lambda: compare("random", sets, pool, guard, euclidean), given.repeats)
    print(f"compare {given.choices} choices of {half:,} with {given.guard:,} guard rows: {took}")
    took = seconds(lambda: el.select(pool, half, "greedy", device="cpu"), given.repeats)
    print(f"greedy, {half:,}: {took}")
    part = pool[: half // 4]
    start = time.perf_counter()
    cdist(part, part).mean()
    cdist(part, guard).mean()
    naive = (time.perf_counter() - start) * 16 * (given.choices + 1)
    print(f"one after the other, all pairs by SciPy (scaled up): {naive:.1f} s")


if __name__ == "__main__":
    main()
