"""The result of a selection, what it says of the choice, and its file."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from entroloop.errors import InputError
from entroloop.metrics.entropy import Entropy, knn_entropy
from entroloop.neighbors import nearest
from entroloop.samples import Array
from entroloop.selection.task import Picks


@dataclass(frozen=True, eq=False)
class Selection:
    """The chosen rows of a pool.

    indices: int64 (n,), in pick order: without groups the first k of greedy, or of threshold decay
    at fixed parameters, are the choice of k. radii: float64 (n,), the distance of each pick to
    those before it (inf for the first; NaN where a strategy knows none). stopped_by: "n", or
    "duplicates" where copies had to fill up. duplicates: picks at distance 0 to one before.
    seed: what drew; groups: the group of every row of the pool, where there are any.

    `entropy`, `entropy_random`, `coverage_radius` and `shares` are computed when first asked for,
    on the rows in which distances were taken; they are not stored.
    """

    indices: NDArray[np.int64]
    radii: NDArray[np.float64]
    stopped_by: str
    duplicates: int
    seed: int = 0
    groups: Array | None = field(default=None, repr=False, compare=False)
    pool: Array | None = field(default=None, repr=False, compare=False)

    @classmethod
    def of(cls, picks: Picks, power: int, seed: int, groups: Any, pool: Array) -> Selection:
        """Return the result of a strategy."""
        values = np.array(picks.values, dtype=np.float64)
        return cls(
            np.array(picks.indices, dtype=np.int64),
            np.sqrt(values) if power == 2 else values,
            "duplicates" if picks.duplicates else "n",
            picks.duplicates,
            seed,
            None if groups is None else np.asarray(groups),
            pool,
        )

    @cached_property
    def entropy(self) -> Entropy | None:
        """The Kozachenko–Leonenko entropy of the choice; None for one row."""
        return self._entropy_of(self.indices)

    @cached_property
    def entropy_random(self) -> Entropy | None:
        """The entropy of a random choice of the same size, drawn by the seed."""
        n, m = len(self.indices), len(self._rows)
        return self._entropy_of(np.random.default_rng(self.seed).permutation(m)[:n])

    @cached_property
    def coverage_radius(self) -> float:
        """The largest distance of a row that was not chosen to its nearest chosen row."""
        left = np.setdiff1d(np.arange(len(self._rows)), self.indices)
        if not len(left):
            return 0.0
        chosen = self._rows[self.indices]
        return float(nearest(self._rows[left], chosen, device="auto").distances.max())

    @cached_property
    def shares(self) -> dict[str, float]:
        """The share of the choice that comes from each group."""
        if self.groups is None:
            return {}
        names, counts = np.unique(self.groups[self.indices], return_counts=True)
        return {
            str(name): int(c) / len(self.indices) for name, c in zip(names, counts, strict=True)
        }

    @property
    def _rows(self) -> Array:
        if self.pool is None:
            raise InputError("a selection that was loaded from a file does not hold its pool")
        return self.pool

    def _entropy_of(self, indices: NDArray[np.int64]) -> Entropy | None:
        return knn_entropy(self._rows[indices]) if len(indices) > 1 else None

    def save(self, path: str | Path) -> None:
        """Write the choice as parquet: index, rank and radius, one row a pick."""
        import pandas as pd

        table = pd.DataFrame(
            {"index": self.indices, "rank": np.arange(len(self.indices)), "radius": self.radii}
        )
        table.attrs = {
            "stopped_by": self.stopped_by, "duplicates": self.duplicates, "seed": self.seed,
        }  # fmt: skip
        table.to_parquet(path, index=False)

    @classmethod
    def load(cls, path: str | Path) -> Selection:
        """Read what `save` wrote; raises InputError for anything else."""
        import pandas as pd

        try:
            table = pd.read_parquet(path)
            facts = table.attrs
            return cls(
                table["index"].to_numpy(np.int64),
                table["radius"].to_numpy(np.float64),
                facts["stopped_by"],
                facts["duplicates"],
                facts["seed"],
            )
        except (OSError, ValueError, KeyError) as error:
            raise InputError(f"{path} is no saved selection: {error}") from None
