"""Near-duplicates against faiss range search and SemDeDup's rule; the audit of generated images.

python benchmarks/duplicates.py [pairs] [rule] [audit] [--rows N] [--repeats K]. Needs faiss-cpu. A
figure is the median of K runs [min, max]. At a million rows faiss compares 10¹² pairs: where the
threshold lets blocks of rows be left out, that is what is spared.
"""

from __future__ import annotations

import argparse
import platform
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import torch

import entroloop as el
from entroloop.samples import as_vectors
from entroloop.system.usage import measured
from pools import NEAR_DUPLICATES, clustered
from selection import _version, multiply_rate, shown, timed

D = 128
THRESHOLDS = (0.01, 0.5, 0.8)  # near-duplicates lie at 0.0016, all other rows beyond about 0.7
EPSILON = 0.05  # of SemDeDup: rows of cosine similarity above 1 − ε


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("workloads", nargs="*", default=["pairs", "rule", "audit"])
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument(
        "--faiss-rows", type=int, default=20_000, help="queries that faiss is timed on"
    )
    options = parser.parse_args()
    print(f"python {platform.python_version()}, numpy {np.__version__}, torch {torch.__version__}")
    print(
        f"pools: seed 0, near-duplicates {NEAR_DUPLICATES:.0%}; {torch.get_num_threads()} threads"
    )
    for workload in options.workloads or list(WORKLOADS):
        WORKLOADS[workload](options)


def pairs(options: argparse.Namespace) -> None:
    """All pairs of n × 128 float32 within a threshold, against faiss's flat range search."""
    import faiss

    n = options.rows
    x = clustered(n, D)
    rate = multiply_rate(x)
    print(f"{n:,} × {D}, all pairs at the multiply rate: {n * n * D / rate:.0f} s")
    index = faiss.IndexFlatL2(D)
    index.add(x)
    few = min(n, options.faiss_rows)
    for threshold in THRESHOLDS:
        ours, theirs = [], []
        for _ in range(options.repeats):
            with measured() as usage:
                seconds, found = answered(partial(el.duplicates, x, threshold))
            ours.append(seconds)
            theirs.append(timed(partial(index.range_search, x[:few], threshold**2)) * n / few)
        print(f"threshold {threshold}: {shown(ours)} s, {len(found.first):,} pairs, "
              f"{usage.peak_mb:.0f} MB of the process at most")  # fmt: skip
        ratios = [b / a for a, b in zip(ours, theirs, strict=True)]
        print(f"  faiss {_version('faiss-cpu')} flat: {shown(theirs)} s (carried on from {few:,} "
              f"queries), {shown(ratios, '{:.1f}')} times as long")  # fmt: skip
        _compare(x, index, few, threshold, found)


def answered(work: Callable[[], Any]) -> tuple[float, Any]:
    """Return the seconds that work takes, and its result."""
    answers: list[Any] = []
    return timed(lambda: answers.append(work())), answers[0]


def _compare(
    x: np.ndarray, index: object, few: int, threshold: float, found: el.Duplicates
) -> None:
    """Count the pairs of the first rows that float32 decides otherwise."""
    bounds, _, where = index.range_search(x[:few], threshold**2)
    lines = np.repeat(np.arange(few), np.diff(bounds.astype(np.int64)))
    theirs = np.unique(_key(lines, where, len(x))[lines != where])
    here = (found.first < few) | (found.second < few)
    ours = np.unique(_key(found.first[here], found.second[here], len(x)))
    print(f"  pairs of those rows: {len(ours):,}; of faiss alone {len(np.setdiff1d(theirs, ours))}, "
          f"not of faiss {len(np.setdiff1d(ours, theirs))}")  # fmt: skip


def _key(a: np.ndarray, b: np.ndarray, n: int) -> np.ndarray:
    return np.minimum(a, b).astype(np.int64) * n + np.maximum(a, b)


def rule(options: argparse.Namespace) -> None:
    """SemDeDup's rule at the same threshold: what rows of other clusters cost it."""
    from sklearn.cluster import MiniBatchKMeans

    n = options.rows
    x = clustered(n, D)
    threshold = float(np.sqrt(2 * EPSILON))
    clusters = max(1, round(n**0.5))

    def drop() -> int:
        fitted = MiniBatchKMeans(clusters, random_state=0, n_init=1, max_iter=20).fit(x)
        return _semdedup(x, fitted.labels_, fitted.cluster_centers_)

    runs = [answered(drop) for _ in range(options.repeats)]
    seconds, dropped = [s for s, _ in runs], runs[0][1]
    print(f"SemDeDup's rule, ε = {EPSILON} (chord {threshold:.3f}), {clusters:,} clusters: "
          f"{shown(seconds)} s, {dropped:,} of {n:,} rows dropped")  # fmt: skip
    try:
        runs = [
            answered(lambda: el.duplicates(x, threshold, metric="cosine"))
            for _ in range(options.repeats)
        ]
        found = runs[0][1]
        print(f"  all pairs within it, exactly: {shown([s for s, _ in runs])} s, {len(found.first):,} pairs, "
              f"{len(found.groups().dropped):,} rows dropped")  # fmt: skip
    except el.InputError as error:
        print(f"  all pairs within it: refused: {error}")


def _semdedup(x: np.ndarray, labels: np.ndarray, centres: np.ndarray) -> int:
    """Count the rows that have a row of their cluster, nearer to its centre, above 1 − ε."""
    unit = x / np.linalg.norm(x, axis=1, keepdims=True)
    dropped = 0
    for c in range(len(centres)):
        members = np.flatnonzero(labels == c)
        order = np.argsort(np.square(x[members] - centres[c]).sum(axis=1))
        members = members[order]
        alike = np.tril(unit[members] @ unit[members].T, -1)
        dropped += int((alike.max(axis=1, initial=-1) > 1 - EPSILON).sum())
    return dropped


def audit(options: argparse.Namespace) -> None:
    """The audit of 10,000 generated beside 10,000 real 32 × 32 × 3 images, in pixels."""
    n = min(options.rows, 10_000)
    x = clustered(2 * n, 3_072, dtype="uint8").reshape(2 * n, 32, 32, 3)
    seconds = []
    for _ in range(options.repeats):
        with measured() as usage:
            seconds.append(timed(lambda: el.audit(x[:n], x[n:])))
    print(f"audit of {n:,} beside {n:,} images of {as_vectors(x).shape[1]:,} values: "
          f"{shown(seconds)} s, {usage.peak_mb:.0f} MB of the process at most")  # fmt: skip


WORKLOADS = {f.__name__: f for f in (pairs, rule, audit)}

if __name__ == "__main__":
    main()
