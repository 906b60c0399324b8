"""Random selection: the baseline, with equal quotas where there are groups."""

from __future__ import annotations

import numpy as np

from entroloop.samples import Array
from entroloop.selection.picks import Picks, equal_quotas


def random(
    x: Array,
    n: int,
    *,
    seed: int,
    initial: Array | None = None,  # noqa: ARG001  # what is chosen already changes no random draw
    groups: Array | None = None,
) -> Picks:
    """Pick n rows evenly at random, the same number from each group; radii are not known (NaN)."""
    order = np.random.default_rng(seed).permutation(len(x))
    if groups is not None:
        names, inverse = np.unique(groups, return_inverse=True)
        quotas = equal_quotas(np.bincount(inverse, minlength=len(names)), n)
        parts = [order[inverse[order] == g][:quota] for g, quota in enumerate(quotas)]
        chosen = np.zeros(len(x), dtype=bool)
        chosen[np.concatenate(parts)] = True
        order = order[chosen[order]]
    picks = Picks(n)
    for index in order[:n]:
        picks.add(index, np.nan)
    return picks
