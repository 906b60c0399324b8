"""Sliced Wasserstein distance: optimal transport along random lines."""

from __future__ import annotations

import numpy as np

from entroloop.metrics.sets import Sets
from entroloop.samples import Array, Float64
from entroloop.seeding import rng_for

DIRECTIONS = 256


def sliced_wasserstein(
    *, generated: Array, reference: Array, directions: int = DIRECTIONS, seed: int = 0
) -> float:
    """Return the sliced 2-Wasserstein distance of two sets of rows, in units of the features.

    √(mean over directions θ of W₂²(θ·generated, θ·reference)), θ drawn uniformly on the sphere
    with the seed (Bonneel et al. 2015). A shift by v gives ‖v‖/√d in expectation.
    """
    sets = Sets(generated=generated, reference=reference, seed=seed)
    return sliced_wasserstein_of(sets, directions)


def sliced_wasserstein_of(sets: Sets, directions: int = DIRECTIONS) -> float:
    """See `sliced_wasserstein`."""

    def along_lines(x: Array) -> Float64:
        rng = rng_for(sets.seed, 0, "directions")
        theta = rng.standard_normal((x.shape[1], directions))
        theta /= np.sqrt(np.square(theta).sum(axis=0))
        lines: Float64 = x.astype(np.float64) @ theta
        return lines

    name = f"along {directions} lines"
    a, b = (sets.in_order(role, name, along_lines) for role in ("generated", "reference"))
    # Quantiles between all jumps of the two distribution functions, each with its probability.
    m, n = a.shape[1], b.shape[1]
    steps = np.union1d(np.arange(1, m + 1) / m, np.arange(1, n + 1) / n)
    widths = np.diff(steps, prepend=0.0)
    middle = steps - widths / 2
    i, j = (np.minimum((middle * k).astype(int), k - 1) for k in (m, n))
    return float(np.sqrt((np.square(a[:, i] - b[:, j]) @ widths).mean()))
