"""Seeds by meaning: what a random number is for decides it, never the arm, batch or worker."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray


def seed_for(seed: int, generation: int, role: str, *index: int) -> int:
    """Return the seed in [0, 2**63) of one role in one generation of one run.

    The value is a keyed hash of its arguments: stable over platforms and versions, and arms that
    ask for the same role share it (common random numbers).

    >>> seed_for(0, 1, "fit") == seed_for(0, 1, "fit") != seed_for(0, 2, "fit")
    True
    """
    text = "/".join(map(str, (int(seed), int(generation), role, *map(int, index))))
    digest = hashlib.blake2b(text.encode(), digest_size=8, person=b"entroloop").digest()
    return int.from_bytes(digest, "little") >> 1


def rng_for(seed: int, generation: int, role: str, *index: int) -> np.random.Generator:
    """Return a NumPy generator seeded by `seed_for`."""
    return np.random.default_rng(seed_for(seed, generation, role, *index))


def class_labels(
    seed: int, generation: int, start: int, stop: int, shares: Sequence[float]
) -> NDArray[np.int64]:
    """Return the classes of samples start … stop−1 of a generation, drawn with these shares.

    The class of sample i depends on its own seed only.
    """
    edges = np.cumsum(np.asarray(shares, dtype=np.float64))
    seeds = [seed_for(seed, generation, "label", i) for i in range(start, stop)]
    drawn = np.array([s / 2**63 for s in seeds]) * edges[-1]
    found: NDArray[np.int64] = np.searchsorted(edges, drawn, side="right").astype(np.int64)
    return np.minimum(found, len(edges) - 1)


def normal_rows(seeds: Sequence[int], d: int) -> NDArray[np.float32]:
    """Return standard normal rows, float32 (len(seeds), d); row i depends on seeds[i] alone."""
    rows = np.empty((len(seeds), d), dtype=np.float32)
    for row, seed in zip(rows, seeds, strict=True):
        np.random.default_rng(seed).standard_normal(out=row, dtype=np.float32)
    return rows
