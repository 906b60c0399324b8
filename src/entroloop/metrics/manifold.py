"""Precision, recall, density and coverage: rows within the other set's neighbourhoods."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from entroloop.errors import InputError
from entroloop.metrics.sets import Sets
from entroloop.samples import Array, Float64

K = 5  # a neighbourhood reaches to the K-th neighbour (Naeem et al. 2020)


def precision(*, generated: Array, reference: Array, k: int = K) -> float:
    """Return the share of generated rows within the neighbourhood of some reference row.

    A row's neighbourhood reaches to its k-th nearest distinct row in its own set
    (Kynkäänniemi et al. 2019). High values mean that generated rows look real.
    """
    return float((balls(Sets(generated=generated, reference=reference), k) > 0).mean())


def recall(*, generated: Array, reference: Array, k: int = K) -> float:
    """Return the share of reference rows within the neighbourhood of some generated row.

    Precision with the roles swapped (Kynkäänniemi et al. 2019). High values mean that the
    generated rows reach the variety of the real ones.
    """
    sets = Sets(generated=generated, reference=reference)
    return float((balls(sets, k, of="reference", around="generated") > 0).mean())


def density(*, generated: Array, reference: Array, k: int = K) -> float:
    """Return the mean number of reference neighbourhoods that contain a generated row, over k.

    1 if the sets are alike; above 1 if generated rows crowd in dense regions (Naeem et al. 2020).
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
    """Return, for each row of one role, the number of another role's neighbourhoods around it."""
    return sets.within(of, around, radii(sets, around, k))


def coverage_rows_of(sets: Sets, k: int = K) -> NDArray[np.bool_]:
    """Return which reference rows have a generated row in their neighbourhood."""
    near = sets.nearest("reference", "generated").distances[:, 0]
    result: NDArray[np.bool_] = near <= radii(sets, "reference", k)
    return result


def radii(sets: Sets, role: str, k: int) -> Float64:
    """Return the distance from each row to its k-th nearest distinct row in the set."""
    own = sets.own(role)
    if not 1 <= k <= own.k:
        raise InputError(
            f"k = {k} needs {k + 1} distinct rows in {role} (and k ≤ 20); it has {len(own.first)}"
        )
    return own.neighbors.distances[:, k - 1][own.inverse]
