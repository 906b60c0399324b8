"""When memorization set in: a precise definition, with its error.

Each update tests, given the training set, whether samples are memorized more than held-out real
rows: the mean of one value a row, over samples and over held-out rows. With means m, variances s²
and numbers n, the gap is Δ = m(held-out) − m(samples) for the distance to the nearest training row
(the score), and m(samples) − m(held-out) for the flag d₁ < d₂/3 (copies). Its error is
z √(s²/n + s²/n) at z = 2.576. Memorization set in at the first of `SUSTAINED` updates in a row
with Δ beyond its error. With nothing memorized, 100 updates name a step in less than 1 % of
trainings, 1,000 in less than 2 % (simulated in the tests): the held-out rows' own error, which all
updates share, is in z, the samples' is averaged out by the row of updates.

The fraction with d₁ < d₂/3 leaving zero is the onset of Bonnaire et al. (2025, arXiv 2505.17638);
Favero et al. (2025, arXiv 2505.16959) count the same copies. Here it must leave that of held-out
rows. The score, which Shi et al. (2025) follow, moves earlier, but also where samples are merely
dull: the middle of the data is nearer to all of it than held-out rows are. So both are told.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from entroloop.samples import Float64

Z = 2.576  # 99 %
SUSTAINED = 3  # updates in a row
# Metric -> the sign by which memorization moves it.
SIGNS = {"generalization_score": -1, "memorized_fraction": 1}


@dataclass(frozen=True)
class Gap:
    """How far samples are memorized beyond held-out rows, and the error of that."""

    size: float
    error: float

    @property
    def beyond(self) -> bool:
        """Whether the gap exceeds its error."""
        return self.size > self.error


def gap(metric: str, samples: Float64, held_out: Float64) -> Gap:
    """Return the gap of a metric that is the mean of one value a row."""
    size = SIGNS[metric] * float(samples.mean() - held_out.mean())
    variance = samples.var() / len(samples) + held_out.var() / len(held_out)
    return Gap(size, Z * math.sqrt(variance))


def onset(steps: Sequence[int], beyond: Sequence[bool], sustained: int = SUSTAINED) -> int | None:
    """Return the first step of the first `sustained` updates in a row beyond their error, or None.

    >>> onset([10, 20, 30, 40, 50], [True, False, True, True, True])
    30
    """
    row = 0
    for at, is_beyond in enumerate(beyond):
        row = row + 1 if is_beyond else 0
        if row == sustained:
            return steps[at - sustained + 1]
    return None
