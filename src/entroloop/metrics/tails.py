"""Tails: whether generated rows still reach as far out as real rows do."""

from __future__ import annotations

import numpy as np

from entroloop.metrics.sets import Sets
from entroloop.samples import Array, as_vectors, check_rows

QUANTILE = 0.95  # of the distances of real rows, beyond which the tails lie


def tail_share(*, generated: Array, reference: Array) -> float:
    """Return the share of generated rows (n, d) in the tails of the reference (m, d).

    The tails lie beyond the 95 % quantile of the Euclidean distances of reference rows to their
    mean: rows of the same distribution have a share of 0.05, a set that has lost its rare rows
    0, one that strays more than 0.05.

    >>> tail_share(generated=np.full((4, 1), 49.5), reference=np.arange(100.0)[:, None])
    0.0
    """
    rows, real = (as_vectors(np.asarray(x)).astype(np.float64) for x in (generated, reference))
    check_rows(rows, "generated")
    check_rows(real, "reference")
    centre = real.mean(axis=0)
    ours, theirs = (np.linalg.norm(x - centre, axis=1) for x in (rows, real))
    return float((ours > np.quantile(theirs, QUANTILE)).mean())


def tail_share_of(sets: Sets) -> float:
    """Return the tail share of the generated rows."""
    return tail_share(generated=sets["generated"], reference=sets["reference"])
