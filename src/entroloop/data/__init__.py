"""Real data: one file per source, and the split into training set, reference and reserve; features
and generators do not live here.
"""

from __future__ import annotations

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from entroloop.errors import InputError
from entroloop.samples import RealData
from entroloop.seeding import rng_for


class Source(Protocol):
    """The settings of a source, and how to load its data."""

    n_train: int
    n_reference: int

    def load(self) -> RealData:
        """Load all the real data."""


def split_order(n: int, labels: NDArray[np.int64] | None, seed: int) -> NDArray[np.int64]:
    """Return a seeded random order of n rows in which every stretch is stratified by label.

    The first N rows are the training set, the next ones the reference and the rest the reserve. A
    larger N extends a smaller one, and no row belongs to two of the parts.
    """
    rng = rng_for(seed, 0, "split")
    order = rng.permutation(n)
    if labels is None:
        return order
    # Row j of a class of m rows goes to the fraction (j + u)/m, which spreads all classes evenly.
    position = np.empty(n)
    for label in np.unique(labels):
        members = order[labels[order] == label]
        position[members] = (np.arange(len(members)) + rng.random()) / len(members)
    return order[np.argsort(position[order], kind="stable")]


def check_sizes(n: int, n_train: int, n_reference: int) -> None:
    """Reject a split that is larger than the data."""
    if n_train + n_reference > n:
        raise InputError(
            f"data.n_train + data.n_reference = {n_train} + {n_reference} = "
            f"{n_train + n_reference} is more than the {n} rows of the data; lower one of them"
        )
