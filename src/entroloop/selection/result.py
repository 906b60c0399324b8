"""The result of a selection."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


from entroloop.selection.task import Picks


@dataclass(frozen=True)
class Selection:
    """The chosen rows of a pool.

    indices: int64 (n,), in pick order: without groups the first k of greedy, or of threshold decay
    at fixed parameters, are the choice of k. radii: float64 (n,), the distance of each pick to
    those before it (inf for the first; NaN where a strategy knows none). stopped_by: "n", or
    "duplicates" where copies had to fill up. duplicates: picks at distance 0 to one before.
    """

    indices: NDArray[np.int64]
    radii: NDArray[np.float64]
    stopped_by: str
    duplicates: int

    @classmethod
    def of(cls, picks: Picks, power: int) -> Selection:
        """Return the result of a strategy."""
        values = np.array(picks.values, dtype=np.float64)
        return cls(
            np.array(picks.indices, dtype=np.int64),
            np.sqrt(values) if power == 2 else values,
            "duplicates" if picks.duplicates else "n",
            picks.duplicates,
        )
