"""What a greedy selection over several places costs: rounds, bytes, seconds.

The form follows from the algorithm; the constants are fitted to measured runs by
`benchmarks/scale.py model`, which also tells how well they predict a size they were not fitted to
(docs/scale.md). They are those of one thread a place and of clustered data.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from entroloop.samples import Float64
from entroloop.selection.strategies.greedy import SPREAD_BLOCK_ROWS

ROUNDS = (13.1, 0.29)  # of blocks of SPREAD_BLOCK_ROWS: the first, and what √n adds
SECONDS = (1.4, 1.7e-11)  # of `terms`


@dataclass(frozen=True)
class Cost:
    """Rounds, bytes over the network in both directions, and seconds."""

    rounds: int
    network_bytes: int
    seconds: float


def rounds(n: int) -> float:
    """Return about how many rounds n picks take: the more are chosen, the more a block gives."""
    return ROUNDS[0] + ROUNDS[1] * math.sqrt(n)


def terms(m: int, n: int, d: int, parts: int) -> Float64:
    """Return what time is linear in: 1 for the start, and the multiplications of a part, m n d/S.

    Bounds leave 30 to 40 % of them to be done, at every size tried. Fetching rows once a round was
    a third term, and was fitted to nothing.
    """
    return np.array([1.0, m * n * d / parts])


def cost(m: int, n: int, d: int, itemsize: int, parts: int) -> Cost:
    """Return the cost of n of m rows of d values in so many places.

    Each round every part sends its share of a block (rows, index, value, weight) and is told all
    picks of the round before.
    """
    row = d * itemsize
    up = rounds(n) * SPREAD_BLOCK_ROWS * (row + 24)
    down = n * (row + 8) * parts
    seconds = float(np.dot(SECONDS, terms(m, n, d, parts)))
    return Cost(round(rounds(n)), round(up + down), seconds)
