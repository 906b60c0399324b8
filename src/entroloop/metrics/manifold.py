"""Precision, recall, density and coverage: which rows lie within the other set's neighbourhoods."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from entroloop.distances.neighbors import count_within
from entroloop.errors import InputError
from entroloop.metrics.sets import Sets
from entroloop.samples import Array, Float64

K = 5  # neighbours that a neighbourhood reaches to (Naeem et al. 2020)


def precision(*, generated: Array, reference: Array, k: int = K) -> float:
    """Return the share of generated rows within the neighbourhood of some reference row.

    The neighbourhood of a row reaches to its k-th nearest distinct row of its own set
    (Kynkäänniemi et al. 2019). High: generated rows look real.
    """
    return float((balls(Sets(generated=generated, reference=reference), k) > 0).mean())


def recall(*, generated: Array, reference: Array, k: int = K) -> float:
    """Return the share of reference rows within the neighbourhood of some generated row.

    Precision with the roles swapped (Kynkäänniemi et al. 2019). High: real variety is reached.
    """
    sets = Sets(generated=generated, reference=reference)
    return float((balls(sets, k, of="reference", around="generated") > 0).mean())


def density(*, generated: Array, reference: Array, k: int = K) -> float:
    """Return how many reference neighbourhoods hold a generated row, over k, on average.

    (Naeem et al. 2020.) 1 where the sets are alike; above where generated rows crowd in dense
    regions.
    """
    return float(balls(Sets(generated=generated, reference=reference), k).mean() / k)


def coverage(*, generated: Array, reference: Array, k: int = K) -> float:
    """Return the share of reference rows with a generated row in their neighbourhood.

    (Naeem et al. 2020.)
    """
    return float(coverage_rows_of(Sets(generated=generated, reference=reference), k).mean())


def balls(
    sets: Sets, k: int = K, of: str = "generated", around: str = "reference"
) -> NDArray[np.int64]:
    """Return for each row of one role how many neighbourhoods of another hold it."""
    return count_within(sets[of], sets[around], radii(sets, around, k))


def coverage_rows_of(sets: Sets, k: int = K) -> NDArray[np.bool_]:
    """Return which reference rows have a generated row in their neighbourhood."""
    near = sets.nearest("reference", "generated").distances[:, 0]
    result: NDArray[np.bool_] = near <= radii(sets, "reference", k)
    return result


def radii(sets: Sets, role: str, k: int) -> Float64:
    """Return the distance of each row to its k-th nearest distinct row of the set."""
    own = sets.own(role)
    if not 1 <= k <= own.k:
        raise InputError(
            f"k = {k} needs {k + 1} distinct rows in {role} (and k ≤ 20); it has {len(own.first)}"
        )
    return own.neighbors.distances[:, k - 1][own.inverse]
