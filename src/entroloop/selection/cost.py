"""What a greedy selection over several places costs: rounds, bytes, seconds.

The form follows from the algorithm; the constants are fitted to measured runs by
`benchmarks/scale.py model`, which also tells how well they predict a size they were not fitted to
(docs/scale.md). They are those of one thread a place and of clustered data, whose bounds leave a
few percent of all multiplications to be done.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from entroloop.samples import Float64
from entroloop.selection.greedy import SPREAD_BLOCK_ROWS

ROUNDS_AT_LEAST, PICKS_A_ROUND = 23.0, 480.0  # of blocks of SPREAD_BLOCK_ROWS
SECONDS = (1.0, 5.0e-9, 1.7e-11, 1.0e-6)  # of `terms`


@dataclass(frozen=True)
class Cost:
    """Rounds, bytes over the network in both directions, and seconds."""

    rounds: int
    network_bytes: int
    seconds: float


def terms(m: int, n: int, d: int, parts: int) -> Float64:
    """Return what time is linear in.

    1: actors and their start. m d/S: reading and centring a part. m n d/S: its multiplications.
    n d: picks within blocks, in one place, while the others wait.
    """
    return np.array([1.0, m * d / parts, m * n * d / parts, n * d])


def cost(m: int, n: int, d: int, itemsize: int, parts: int) -> Cost:
    """Return the cost of n of m rows of d values in so many places.

    Each round every part sends its share of a block (rows, index, value, weight) and is told all
    picks of the round before.
    """
    rounds = ROUNDS_AT_LEAST + n / PICKS_A_ROUND
    row = d * itemsize
    up = rounds * SPREAD_BLOCK_ROWS * 1.1 * (row + 24)
    down = n * (row + 8) * parts
    seconds = float(np.dot(SECONDS, terms(m, n, d, parts)))
    return Cost(round(rounds), round(up + down), seconds)
