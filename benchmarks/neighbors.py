"""Nearest neighbours against faiss and scikit-learn, in one run.

python benchmarks/neighbors.py [peers] [pixels] [--repeats K]. Needs faiss-cpu. Prints ratios; a
figure is the median of K runs [min, max].
"""

from __future__ import annotations

import argparse
import platform
from functools import partial

import numpy as np

from entroloop.distances.neighbors import nearest
from entroloop.system.usage import measured
from pools import clustered
from selection import _version, multiply_rate, shown, timed


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("workloads", nargs="*", default=["peers", "pixels"])
    parser.add_argument("--repeats", type=int, default=5)
    options = parser.parse_args()
    print(f"python {platform.python_version()}, numpy {np.__version__}")
    for workload in options.workloads:
        WORKLOADS[workload](options.repeats)


def peers(repeats: int) -> None:
    """All pairs of 16,384 × 384 float32, k = 1 and k = 5 (itself left out, so peers ask for one more)."""
    import faiss
    from sklearn.neighbors import NearestNeighbors

    x = clustered(16_384, 384)
    index = faiss.IndexFlatL2(x.shape[1])
    index.add(x)
    nearest(x[:100], x)
    for k in (1, 5):
        ours, flat, brute, rates = [], [], [], []
        for _ in range(repeats):
            rates.append(multiply_rate(x) / 1e9)
            ours.append(timed(partial(nearest, x, x, k, exclude_same_index=True)))
            flat.append(timed(partial(index.search, x, k + 1)))
            peer = NearestNeighbors(n_neighbors=k + 1, algorithm="brute").fit(x)
            brute.append(timed(partial(peer.kneighbors, x)))
        limit = [2 * len(x) ** 2 * x.shape[1] / (1e9 * rate) for rate in rates]
        print(f"k = {k}: {shown(ours)} s; the multiply alone {shown(limit)} s")
        for name, seconds in ((f"faiss {_version('faiss-cpu')} flat", flat),
                              (f"scikit-learn {_version('scikit-learn')} brute", brute)):  # fmt: skip
            ratios = [a / b for a, b in zip(ours, seconds, strict=True)]
            print(f"  {name}: {shown(seconds)} s; ours takes {shown(ratios)} of its time")


def pixels(repeats: int) -> None:
    """All pairs of 32,768 × 3,072 uint8, k = 1."""
    x = clustered(32_768, 3_072, dtype="uint8")
    with measured() as usage:
        nearest(x, x, exclude_same_index=True)
    print(
        f"32,768 × 3,072 uint8, k = 1: {usage.seconds:.0f} s, peak {usage.peak_mb:.0f} MB of the process"
    )


WORKLOADS = {f.__name__: f for f in (peers, pixels)}

if __name__ == "__main__":
    main()
