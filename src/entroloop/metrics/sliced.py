"""Sliced Wasserstein distance: optimal transport along random lines."""

from __future__ import annotations

import numpy as np

from entroloop.metrics.sets import Sets
from entroloop.samples import Array
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
    g, r = sets["generated"], sets["reference"]
    rng = rng_for(sets.seed, 0, "directions")
    theta = rng.standard_normal((g.shape[1], directions))
    theta /= np.sqrt(np.square(theta).sum(axis=0))
    a, b = (np.sort(x.astype(np.float64) @ theta, axis=0) for x in (g, r))
    # Quantiles between all jumps of the two distribution functions, each with its probability.
    steps = np.union1d(np.arange(1, len(a) + 1) / len(a), np.arange(1, len(b) + 1) / len(b))
    widths = np.diff(steps, prepend=0.0)
    middle = steps - widths / 2
    i, j = (np.minimum((middle * len(x)).astype(int), len(x) - 1) for x in (a, b))
    return float(np.sqrt((np.square(a[i] - b[j]) * widths[:, None]).sum(axis=0).mean()))
