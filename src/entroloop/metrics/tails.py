"""Tails: whether generated rows still reach as far out as real rows do."""

from __future__ import annotations

import numpy as np

from entroloop.errors import InputError
from entroloop.metrics.manifold import K, coverage_rows_of
from entroloop.metrics.sets import Sets
from entroloop.samples import Array, Float64

QUANTILE = 0.95  # of the distances of real rows, beyond which the tails lie


def tail_share(*, generated: Array, reference: Array) -> float:
    """Return the share of generated rows (n, d) in the tails of the reference (m, d).

    The tails lie beyond the 95 % quantile of the Euclidean distances of reference rows to their
    mean: rows of the same distribution have a share of 0.05, a set that has lost its rare rows
    0, one that strays more than 0.05.

    >>> tail_share(generated=np.full((4, 1), 49.5), reference=np.arange(100.0)[:, None])
    0.0
    """
    return tail_share_of(Sets(generated=generated, reference=reference))


def tail_share_of(sets: Sets) -> float:
    """See `tail_share`."""
    real = sets["reference"]
    ours, theirs = _distances(sets["generated"], real), _distances(real, real)
    return float((ours > np.quantile(theirs, QUANTILE)).mean())


def tail_coverage(*, generated: Array, reference: Array, k: int = K) -> float:
    """Return the share of real rows in the tails that have a generated row in their neighbourhood.

    `coverage` (Naeem et al. 2020) of the reference rows farther from their mean than 95 % of them
    are. A set that has lost its rare rows falls to 0 here while `coverage` hardly moves.
    """
    return float(tail_coverage_rows_of(Sets(generated=generated, reference=reference), k).mean())


def tail_coverage_rows_of(sets: Sets, k: int = K) -> Float64:
    """Return for each reference row in the tails whether a generated row lies near it: 1 or 0."""
    distances = _distances(sets["reference"], sets["reference"])
    tail = distances > np.quantile(distances, QUANTILE)
    if not tail.any():
        raise InputError("the reference has no tails: all its rows are as far from their mean")
    return coverage_rows_of(sets, k)[tail].astype(np.float64)


def _distances(x: Array, real: Array) -> Float64:
    """Return the distance of each row to the mean of real rows."""
    found: Float64 = np.linalg.norm(
        x.astype(np.float64) - real.mean(axis=0, dtype=np.float64), axis=1
    )
    return found
