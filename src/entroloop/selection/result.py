"""The result of a selection, the facts it can tell, and its file."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from entroloop.distances.spaces import Space
from entroloop.distances.table import Distance
from entroloop.errors import InputError
from entroloop.metrics.entropy import Entropy, knn_entropy
from entroloop.samples import Array
from entroloop.selection.decision import Decision
from entroloop.selection.pool import Pool
from entroloop.selection.state import Picks


@dataclass(frozen=True, eq=False, kw_only=True)
class Context:
    """What a choice was made from.

    rows: all rows of the pool, transformed, or, where they lie in other processes, those that are
    asked for: `fetched` has their indices, ascending. distance, space: how rows were compared.
    candidates: mask of the rows that could be chosen. initial: rows that counted as chosen. groups:
    the group of every row of the pool, or None. largest_unpicked: the largest value of a candidate
    that was not chosen, where that is known. next_value: the value of one pick more, likewise.
    """

    rows: Array
    distance: Distance
    space: Space
    candidates: NDArray[np.bool_]
    initial: Array
    groups: Any = None
    largest_unpicked: float | None = None
    fetched: NDArray[np.int64] | None = None
    next_value: float | None = None

    def take(self, index: NDArray[np.int64]) -> Array:
        """Return rows by their index in the pool."""
        own = index if self.fetched is None else np.searchsorted(self.fetched, index)
        taken: Array = self.rows[own]
        return taken


def fetch(context: Context, pool: Pool, picks: Picks, seed: int) -> Context:
    """Fetch the rows that lazy properties need before the pool closes."""
    index = np.array(picks.indices, dtype=np.int64)
    not_added = index[pool.selectable[index]]  # by strategies that never ask for distances
    if len(not_added):
        pool.add(pool.sharded.take(not_added), not_added)
    drawn = drawn_at_random(context.candidates, len(picks.indices), seed)
    fetched = np.union1d(index, drawn)
    return replace(
        context,
        rows=pool.sharded.take(fetched),
        largest_unpicked=pool.largest_unpicked(),
        fetched=fetched,
    )


def drawn_at_random(candidates: NDArray[np.bool_], n: int, seed: int) -> NDArray[np.int64]:
    """Return n candidates drawn by the seed, to compare a choice with."""
    return np.random.default_rng(seed).permutation(np.flatnonzero(candidates))[:n]


@dataclass(frozen=True, eq=False)
class Selection:
    """The chosen rows of a pool.

    indices: int64 (n,), in pick order: without groups the first k of greedy, or of threshold decay
    at fixed parameters, are the choice of k. radii: float64 (n,), the distance of each pick to
    those before it (inf for the first; NaN where a strategy knows none). stopped_by: "n", or
    "duplicates" where copies had to fill up. duplicates: picks at distance 0 to one before.
    seed: what drew. rounds, bytes_moved: questions to the pool, and the bytes of arrays that were
    sent either way where it lies in several shards. precision: "float64" where float32 could not
    tell rows apart and the blocks fell back to it; the picks are those of the definition. decision:
    of guarded, what was compared and taken (`Decision`); None for others.

    `entropy`, `entropy_random`, `coverage_radius` and `shares` are computed when first asked for,
    on the rows in which distances were taken; they are not stored.
    """

    indices: NDArray[np.int64]
    radii: NDArray[np.float64]
    stopped_by: str
    duplicates: int
    seed: int = 0
    precision: str = "float32"
    rounds: int = 0
    bytes_moved: int = 0
    context: Context | None = field(default=None, repr=False)
    decision: Decision | None = None

    @classmethod
    def of(cls, picks: Picks, seed: int, pool: Pool, context: Context) -> Selection:
        """Return the result of a strategy."""
        values = np.array(picks.values, dtype=np.float64)
        return cls(
            np.array(picks.indices, dtype=np.int64),
            context.space.distance_of(values),
            "duplicates" if picks.duplicates else "n",
            picks.duplicates,
            seed,
            pool.precision,
            pool.sharded.rounds,
            pool.sharded.bytes_moved,
            replace(context, next_value=picks.next_value),
            picks.decision,
        )

    @cached_property
    def entropy(self) -> Entropy | None:
        """The Kozachenko–Leonenko entropy of the choice; None for one row."""
        return self._entropy_of(self.indices)

    @cached_property
    def entropy_random(self) -> Entropy | None:
        """The entropy of as many candidates drawn by the seed."""
        return self._entropy_of(
            drawn_at_random(self._from.candidates, len(self.indices), self.seed)
        )

    @cached_property
    def coverage_radius(self) -> float:
        """The largest distance of a candidate that was not chosen to its nearest chosen row."""
        source = self._from
        if source.largest_unpicked is not None:
            return float(source.space.distance_of(source.largest_unpicked))
        left = source.candidates.copy()
        left[self.indices] = False
        if not left.any():
            return 0.0
        rows = source.take(np.flatnonzero(left))
        chosen = np.concatenate([source.take(self.indices), source.initial])
        return float(source.distance.nearest(rows, chosen).max())

    @cached_property
    def approximation(self) -> float | None:
        """How many times the least possible coverage radius that of this choice is at most.

        Of n + 1 rows that lie ρ apart two share a centre of any n, so that no n rows have a
        coverage radius below ρ/2. Known for composable_coreset, None for others; greedy is within
        2 times (Gonzalez 1985).
        """
        value = self._from.next_value
        if value is None:
            return None
        if value == 0:
            return 1.0
        return float(2 * self.coverage_radius / self._from.space.distance_of(value))

    @cached_property
    def shares(self) -> dict[str, float]:
        """The share of the choice that comes from each group."""
        if self._from.groups is None:
            return {}
        groups = np.asarray(self._from.groups)[self.indices].astype(str)
        names, counts = np.unique(groups, return_counts=True)
        return {str(name): int(c) / len(groups) for name, c in zip(names, counts, strict=True)}

    @property
    def _from(self) -> Context:
        if self.context is None:
            raise InputError("a selection that was loaded from a file does not hold its pool")
        return self.context

    def _entropy_of(self, indices: NDArray[np.int64]) -> Entropy | None:
        return knn_entropy(self._from.take(indices)) if len(indices) > 1 else None

    def save(self, path: str | Path) -> None:
        """Write the choice as parquet: index, rank and radius, one row a pick."""
        import pandas as pd

        table = pd.DataFrame(
            {"index": self.indices, "rank": np.arange(len(self.indices)), "radius": self.radii}
        )
        table.attrs = {
            "stopped_by": self.stopped_by, "duplicates": self.duplicates, "seed": self.seed,
            "precision": self.precision,
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
                facts["precision"],
            )
        except (OSError, ValueError, KeyError) as error:
            raise InputError(f"{path} is no saved selection: {error}") from None
