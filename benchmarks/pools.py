"""Pools of the benchmarks: fixed generator, seed and share of near-duplicates."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np

NEAR_DUPLICATES = 0.1  # of the rows are another row plus noise of 1e-4 a value


def clustered(
    n: int, d: int, seed: int = 0, dtype: str = "float32", block: int = 65_536
) -> np.ndarray:
    """Return n rows of d values: a random two-layer map of a 24-dimensional mixture of 64
    Gaussians plus noise, one in ten a near-duplicate of another.
    """
    rng = np.random.default_rng(seed)
    centres = 1.5 * rng.standard_normal((64, 24))
    first = rng.standard_normal((24, 128)).astype(np.float32) / 5
    second = rng.standard_normal((128, d)).astype(np.float32) / 11
    x = np.empty((n, d), dtype=np.float32)
    for start in range(0, n, block):
        rows = x[start : start + block]
        z = centres[rng.integers(64, size=len(rows))] + rng.standard_normal((len(rows), 24))
        np.matmul(np.tanh(z.astype(np.float32) @ first), second, out=rows)
        rows += 0.05 * rng.standard_normal(rows.shape, dtype=np.float32)
    copies = rng.permutation(n)[: int(NEAR_DUPLICATES * n)]
    noise = 1e-4 * rng.standard_normal((len(copies), d), dtype=np.float32)
    x[copies] = x[rng.integers(n, size=len(copies))] + noise
    if dtype == "uint8":
        return np.clip(127.5 + 50 * x, 0, 255).astype(np.uint8)
    return x.astype(dtype, copy=False)


def isotropic(n: int, d: int, dtype: str = "float32") -> np.ndarray:
    """Return rows of a normal distribution: nothing that a selection could make use of."""
    return np.random.default_rng(0).standard_normal((n, d)).astype(dtype)


def with_copies(n: int, d: int) -> np.ndarray:
    """Return `clustered` rows of which half are exact copies of the others."""
    x = clustered(n // 2, d)
    return np.concatenate([x, x])[np.random.default_rng(0).permutation(2 * len(x))]


def with_outliers(n: int, d: int) -> np.ndarray:
    """Return `clustered` rows, one in a thousand at a distance of about 1e6."""
    x = clustered(n, d)
    x[::1000] += 1e6 / np.sqrt(d) * np.random.default_rng(0).standard_normal(x[::1000].shape)
    return x


def far_cluster(n: int, d: int) -> np.ndarray:
    """Return isotropic rows around one point far from the origin."""
    return isotropic(n, d) + np.float32(1000)


def tight_clusters(n: int, d: int) -> np.ndarray:
    """Return two clusters so tight and far apart that float64 products tell no two rows apart."""
    x = isotropic(n, d, "float64") * 1e-4
    x[n // 2 :] += 1000
    return x


def memory_mapped(n: int, d: int) -> np.memmap:
    """Return `clustered` rows as a float32 memory map in the folder of temporary files."""
    path = Path(tempfile.gettempdir()) / f"entroloop-benchmark-{n}x{d}.npy"
    if not path.exists():
        np.save(path, clustered(n, d))
    return np.load(path, mmap_mode="r")
