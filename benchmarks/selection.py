"""Selection against the reference code, the peers and the machine's multiply rate, in one run.

python benchmarks/selection.py [core] [decay] [shapes] [busy] [uint8] [memmap] [growth] [assign] [cuda]
--repeats K, --reference-seconds S, --only NAME. Prints ratios; a figure is the median of K runs [min, max].
"""

from __future__ import annotations

import argparse
import os
import platform
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import numpy as np
import torch
from scipy.spatial.distance import cdist

import entroloop as el
import reference
from entroloop.system.usage import measured
from pools import (
    NEAR_DUPLICATES,
    clustered,
    far_cluster,
    isotropic,
    memory_mapped,
    tight_clusters,
    with_copies,
    with_outliers,
)

N, D, PICKS = 16_384, 384, 8_192


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("workloads", nargs="*", default=["core", "decay", "growth"])
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--reference-seconds", type=float, default=600)
    parser.add_argument("--only", default="", help="of shapes: those whose name holds this")
    options = parser.parse_args()
    print(f"python {platform.python_version()}, numpy {np.__version__}, torch {torch.__version__}")
    print(
        f"pools: seed 0, near-duplicates {NEAR_DUPLICATES:.0%}; {torch.get_num_threads()} threads"
    )
    for workload in options.workloads:
        WORKLOADS[workload](options)


def timed(work: Callable[[], object], pause: float = 0.5) -> float:
    # Idle threads of the library used before spin for a while, and would count; a processor that
    # sleeps meanwhile is slow to wake, so wait by working.
    until = time.perf_counter() + pause
    while time.perf_counter() < until:
        pass
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def shown(values: list[float], form: str = "{:.2f}") -> str:
    low, middle, high = np.min(values), np.median(values), np.max(values)
    return f"{form.format(middle)} [{form.format(low)}, {form.format(high)}]"


def multiply_rate(x: np.ndarray) -> float:
    """Return the better of NumPy's and torch's float32 rate now, in operations a second."""
    picks = x[:512].astype(np.float32)
    rows = x[: min(len(x), 16_384)].astype(np.float32)
    operations = 2.0 * rows.shape[0] * rows.shape[1] * 512
    a, b = torch.from_numpy(rows), torch.from_numpy(picks)
    best = float("inf")
    for multiply in (lambda: rows @ picks.T, lambda: a @ b.T):
        best = min([best, timed(multiply), *(timed(multiply, 0) for _ in range(5))])
    return operations / best


def median_distance(x: np.ndarray) -> float:
    rng = np.random.default_rng(0)
    i, j = rng.integers(len(x), size=(2, 20_000))
    return float(np.median(np.linalg.norm(x[i].astype(np.float64) - x[j], axis=1)))


def core(options: argparse.Namespace) -> None:
    """Greedy, 16,384 × 384 → 8,192, against the reference greedy, skmatter and fpsample."""
    x = clustered(N, D)
    el.select(x, PICKS, first=0)
    few = 200
    reference_seconds, skmatter_seconds, fpsample_seconds = [], [], []
    ours, shares, rates = [], [], []
    for _ in range(options.repeats):
        rate = multiply_rate(x)
        seconds = timed(lambda: el.select(x, PICKS, first=0))
        rate = max(rate, multiply_rate(x))
        rates.append(rate / 1e9)
        ours.append(seconds)
        shares.append(2.0 * N * PICKS * D / seconds / rate)
        reference_seconds.append(timed(lambda: reference.greedy(x, few)) / few * PICKS)
        if _installed("skmatter"):
            from skmatter.sample_selection import FPS

            peer = FPS(n_to_select=300, initialize=0)
            skmatter_seconds.append(timed(partial(peer.fit, x)) / 300 * PICKS)
        if _installed("fpsample"):
            import fpsample

            fpsample_seconds.append(
                timed(lambda: fpsample.fps_sampling(x, 300, start_idx=0)) / 300 * PICKS
            )
    print(f"greedy {N:,} × {D} → {PICKS:,}: {shown(ours)} s")
    print(f"  multiply rate {shown(rates, '{:.0f}')} GFLOP/s")
    print(f"  N·n·D·2 / time over that rate: {shown(shares)}")
    for name, seconds in (
        ("reference greedy", reference_seconds),
        (f"skmatter {_version('skmatter')}", skmatter_seconds),
        (f"fpsample {_version('fpsample')} vanilla", fpsample_seconds),
    ):
        if seconds:
            ratios = [a / b for a, b in zip(seconds, ours, strict=True)]
            print(f"  {name}: {shown(seconds)} s (extrapolated from its first picks), "
                  f"{shown(ratios, '{:.0f}')} times slower")  # fmt: skip
    same = el.select(x, few, first=0).indices == reference.greedy(x, few)
    print(f"  first {few} picks equal to the reference's float32 picks: {same.sum()}")


def decay(options: argparse.Namespace) -> None:
    """Threshold decay on the same pool, against the reference rule."""
    x, threshold = clustered(N, D), median_distance(clustered(N, D))
    order = np.random.default_rng(0).permutation(N)

    def ours() -> el.Selection:
        return el.select(x, PICKS, "threshold_decay", threshold=threshold, decay=0.95, order=order)

    ours()
    seconds, against_greedy, strength = [], [], []
    for _ in range(options.repeats):
        greedy = timed(lambda: el.select(x, PICKS, first=0))
        seconds.append(timed(ours))
        against_greedy.append(seconds[-1] / greedy)
        strength.append(timed(lambda: el.select(x, PICKS, "threshold_decay", strength=0.5)))
    print(f"threshold decay {N:,} × {D} → {PICKS:,}, threshold {threshold:.2f}: {shown(seconds)} s")
    print(f"  over greedy's time: {shown(against_greedy)}; strength 0.5: {shown(strength)} s")
    accepted, passes = reference.threshold_decay(
        x, PICKS, threshold, 0.95, order, options.reference_seconds
    )
    mine = ours().indices.tolist()
    print(
        f"  equal to the reference's {len(accepted):,} accepted: {mine[: len(accepted)] == accepted}"
    )
    if len(accepted) == PICKS:
        whole = passes[-1][0] if passes else 0.0
        how = "run to its end"
    else:
        # Every later pass tests at least as many rows against at least as many accepted ones, so
        # the rate of acceptance in the last passes carried on is a lower bound.
        (t0, n0), (t1, n1) = passes[-3], passes[-1]
        whole = t1 + (PICKS - n1) * (t1 - t0) / max(n1 - n0, 1)
        how = f"{n1:,} accepted in {len(passes)} passes and {t1:.0f} s, the last two carried on"
    print(f"  reference rule: {whole:.0f} s ({how}), {whole / np.median(seconds):.0f} times slower")


def shapes(options: argparse.Namespace) -> None:
    """Every kind of pool, those on which we are slow among them: times over a peer's or a multiply's.

    A peer is the better of fpsample's k-d line over its heights; the multiply is that of all pairs of
    rows and picks at the better rate of the run; cdist is SciPy's, of all rows and 300 picks, carried on.
    """
    pools: list[tuple[str, Callable[[], np.ndarray], int, dict[str, str], str]] = [
        ("isotropic 100,000 × 2", lambda: isotropic(100_000, 2), 10_000, {}, "fpsample"),
        ("isotropic 100,000 × 3", lambda: isotropic(100_000, 3), 10_000, {}, "fpsample"),
        ("isotropic 1,000,000 × 3", lambda: isotropic(1_000_000, 3), 50_000, {}, "fpsample"),
        ("isotropic 100,000 × 8", lambda: isotropic(100_000, 8), 5_000, {}, "fpsample"),
        ("isotropic 20,000 × 384", lambda: isotropic(20_000, 384), 10_000, {}, "multiply"),
        ("isotropic 20,000 × 768", lambda: isotropic(20_000, 768), 2_000, {}, "multiply"),
        ("isotropic 50,000 × 32", lambda: isotropic(50_000, 32), 5_000, {}, "multiply"),
        ("clustered 16,384 × 384", lambda: clustered(16_384, 384), 8_192, {}, "multiply"),
        ("half exact copies, 16,384 × 384", lambda: with_copies(16_384, 384), 8_000, {}, "multiply"),
        ("cosine 16,384 × 384", lambda: clustered(16_384, 384), 8_192, {"metric": "cosine"}, "multiply"),
        ("outliers at 1e6, 16,384 × 384", lambda: with_outliers(16_384, 384), 8_192, {}, "multiply"),
        ("a cluster at 1,000, 16,384 × 384", lambda: far_cluster(16_384, 384), 8_192, {}, "multiply"),
        ("two tight clusters, 2,000 × 64", lambda: tight_clusters(2_000, 64), 1_000, {}, "multiply"),
        ("two tight clusters, 6,000 × 64", lambda: tight_clusters(6_000, 64), 3_000, {}, "multiply"),
        ("uint8 16,384 × 768", lambda: clustered(16_384, 768, dtype="uint8"), 8_192, {}, "multiply"),
        ("manhattan 12,000 × 48", lambda: clustered(12_000, 48), 3_000, {"metric": "manhattan"}, "cdist"),
        ("10 of 200 × 64", lambda: isotropic(200, 64), 10, {}, "multiply"),
    ]  # fmt: skip
    for name, make, n, arguments, against in pools:
        if options.only not in name:
            continue
        _shape(options.repeats, name, make(), n, arguments, against)
    memory = np.zeros(2**27)
    rate = 2 * memory.nbytes / min(timed(memory.copy, 0) for _ in range(5))
    print(f"memory: {rate / 1e9:.1f} GB/s copied")


def _shape(
    repeats: int, name: str, x: np.ndarray, n: int, arguments: dict[str, str], against: str
) -> None:
    """Time one kind of pool, and print it."""

    def select(strategy: str, **more: object) -> float:
        return timed(lambda: el.select(x, n, strategy, **arguments, **more))

    select("greedy", first=0)  # compiled, tried out
    rows = []
    for _ in range(repeats):
        rate = float("nan")
        if against == "fpsample":
            theirs = _fpsample_seconds(x, n)
        elif against == "cdist":
            theirs = timed(lambda: cdist(x, x[:300], "cityblock")) / 300 * n
        else:
            rate = multiply_rate(x)
            theirs = 2.0 * x.size * n / rate
        # Greedy beside both that it is held against: the machine's speed varies.
        greedy, decay = select("greedy", first=0), select("threshold_decay")
        strength = select("threshold_decay", strength=0.5)
        rows.append((greedy, greedy / theirs, rate / 1e9, decay / greedy, strength / greedy))
    seconds, ratio, rate, decay, strength = (list(column) for column in zip(*rows, strict=True))
    print(
        f"{name} → {n:,}: {shown(seconds, '{:.3f}')} s, {shown(ratio)} of {against}'s time"
        + (f" at {np.median(rate):.0f} GFLOP/s" if against == "multiply" else "")
        + f"; threshold decay {shown(decay)}, strength 0.5 {shown(strength)} of greedy's",
        flush=True,
    )


def busy(options: argparse.Namespace) -> None:
    """Greedy alone and beside four processes that compute: how many times as long it takes, and that
    over what the share of the processors that is left to its threads would make it take.
    """
    processors = len(os.sched_getaffinity(0))
    threads = min(processors, torch.get_num_threads())
    left = min(1.0, processors / (threads + 4))  # of a processor, for each thread
    pools = (("isotropic 20,000 × 384", isotropic(20_000, 384), 10_000),
             ("clustered 16,384 × 384", clustered(16_384, 384), 8_192))  # fmt: skip
    for name, x, n in pools:

        def work(x: np.ndarray = x, n: int = n) -> object:
            return el.select(x, n, first=0)

        work()
        alone = [timed(work) for _ in range(options.repeats)]
        others = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(4)]
        try:
            beside = [timed(work, 0) for _ in range(options.repeats)]
        finally:
            for other in others:
                other.kill()
                other.wait()
        slower = [b / np.median(alone) for b in beside]
        print(f"{name} → {n:,}: alone {shown(alone)} s, beside four {shown(beside)} s: {shown(slower)} times, "
              f"{shown([s * left for s in slower])} of its share's")  # fmt: skip


def _fpsample_seconds(x: np.ndarray, n: int) -> float:
    """Return the time of fpsample's k-d line at its best height; not a number without fpsample."""
    if not _installed("fpsample"):
        return float("nan")
    import fpsample

    best = float("nan")
    for height in (3, 5, 7, 9, 11):
        with suppress(RuntimeError):  # it knows no pools of more than eight values
            work = partial(fpsample.bucket_fps_kdline_sampling, x, n, h=height, start_idx=0)
            best = np.fmin(best, timed(work, 0))
    return float(best)


def uint8(options: argparse.Namespace) -> None:
    """Greedy, 65,536 × 3,072 uint8 → 32,768: a pool of the paper's size in pixels."""
    x = clustered(65_536, 3_072, dtype="uint8")
    with measured() as usage:
        el.select(x, 32_768, first=0)
    operations = 2.0 * 65_536 * 32_768 * 3_072
    rate = multiply_rate(x)
    print(f"greedy 65,536 × 3,072 uint8 → 32,768: {usage.seconds:.0f} s, peak {usage.peak_mb:.0f} MB "
          f"of the process; rate {rate / 1e9:.0f} GFLOP/s, share of it "
          f"{operations / usage.seconds / rate:.2f}")  # fmt: skip


def memmap(options: argparse.Namespace) -> None:
    """Greedy, 1,000,000 × 128 float32 memory map → 20,000."""
    x = memory_mapped(1_000_000, 128)
    peak = [before := _private_mb()]
    el.select(x, 20_000, first=0, progress=lambda made, wanted: peak.append(_private_mb()))
    # By itself: to ask the system which pages are the map's takes 25 ms, a hundred times.
    times = [timed(lambda: el.select(x, 20_000, first=0)) for _ in range(options.repeats)]
    seconds = float(np.median(times))
    rate = multiply_rate(np.asarray(x[:16_384]))
    print(f"greedy 1,000,000 × 128 memory map → 20,000: {shown(times)} s, "
          f"{max(peak) - before:.0f} MB beyond the map's pages; rate {rate / 1e9:.0f} GFLOP/s, share "
          f"of it {2.0 * 1e6 * 20_000 * 128 / seconds / rate:.2f}")  # fmt: skip


def growth(options: argparse.Namespace) -> None:
    """Time over N·n at n = N/2."""
    figures = []
    for n in (4_096, 8_192, 16_384, 32_768):
        x = clustered(n, D)
        el.select(x, n // 2, first=0)
        trials = [timed(partial(el.select, x, n // 2, first=0)) for _ in range(options.repeats)]
        figures.append([1e9 * t / (n * (n // 2)) for t in trials])
        print(f"growth N = {n:,}: time/(N·n) {shown(figures[-1])} ns")
    print(f"  largest over second largest: {np.median(figures[-1]) / np.median(figures[-2]):.2f}")


def assign(options: argparse.Namespace) -> None:
    """What a coverage map and stopping cost, beside the selection and one pass at the multiply rate."""
    x = clustered(N, D)
    selecting, mapping, stopping, passes = [], [], [], []
    far = float(el.select(x, PICKS // 4, first=0).radii[-1])
    within = {"min_distance": far, "until": "coverage=0.9", "first": 0}
    n = len(el.select(x, **within))
    for _ in range(options.repeats):
        passes.append(2.0 * N * n * D / multiply_rate(x))
        selecting.append(timed(lambda: el.select(x, n, first=0)))
        stopping.append(timed(lambda: el.select(x, **within)))
        chosen = el.select(x, n, first=0)
        mapping.append(timed(partial(getattr, chosen, "assignment")))
    print(
        f"{N:,} × {D} → {n:,}: selection {shown(selecting)} s, until coverage {shown(stopping)} s"
    )
    print(
        f"its coverage map {shown(mapping)} s; all products at the multiply rate {shown(passes)} s"
    )


def cuda(options: argparse.Namespace) -> None:
    """65,536 × 384 → 32,768 and 1,000,000 × 768 → 100,000 on a CUDA GPU."""
    if not torch.cuda.is_available():
        print("cuda: not measured, torch sees no CUDA GPU here")
        return
    for n, d, picks, repeats in ((65_536, 384, 32_768, 3), (1_000_000, 768, 100_000, 1)):
        x = clustered(n, d)
        select = partial(el.select, x, picks, first=0, device="cuda")
        el.select(x[:8192], 4096, first=0, device="cuda")  # starts the GPU
        seconds = [timed(select) for _ in range(repeats)]
        whole = picks * reference_pick_on_gpu(x)
        print(f"cuda {torch.cuda.get_device_name()}: {n:,} × {d} → {picks:,} {shown(seconds)} s; reference "
              f"{whole:.1f} s, {whole / np.median(seconds):.1f} times slower", flush=True)  # fmt: skip


def reference_pick_on_gpu(x: np.ndarray) -> float:
    """Return the seconds that a pick takes the reference code's loop, run on the GPU."""
    rows = torch.from_numpy(x).cuda()
    distances = torch.full((len(x),), float("inf"), device="cuda")
    farthest, picks, start = 0, 500, 0.0
    for i in range(-picks, picks):
        if i == 0:  # the first picks load kernels, and take twice as long
            start = time.perf_counter()
        distances = torch.minimum(distances, torch.linalg.vector_norm(rows - rows[farthest], dim=1))
        farthest = int(torch.argmax(distances))
    return (time.perf_counter() - start) / picks


def _private_mb() -> float:
    lines = Path("/proc/self/smaps_rollup").read_text().splitlines()
    fields = dict(line.split(":", 1) for line in lines if ":" in line)
    return int(fields["Anonymous"].split()[0]) / 1000


def _installed(package: str) -> bool:
    return _version(package) != "-"


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "-"


WORKLOADS = {
    f.__name__: f for f in (core, decay, shapes, busy, uint8, memmap, growth, assign, cuda)
}

if __name__ == "__main__":
    main()
