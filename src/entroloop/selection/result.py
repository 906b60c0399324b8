"""The result of a selection, the facts it can tell, and its file."""

from __future__ import annotations

from collections.abc import Iterator
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
from entroloop.samples import Array, Float64
from entroloop.selection.coverage_map import CoverageMap, coverage_map_here, coverage_map_of
from entroloop.selection.curve import Curve
from entroloop.selection.decision import Decision
from entroloop.selection.pool import Pool
from entroloop.selection.state import Picks
from entroloop.selection.taking import taken_from
from entroloop.system.notebook import facts_table
from entroloop.system.numbers import number


@dataclass(frozen=True, eq=False, kw_only=True)
class Context:
    """What a choice was made from.

    rows: all rows of the pool, transformed, or, where they lie in other processes, those that are
    asked for: `fetched` has their indices, ascending. distance, space: how rows were compared.
    candidates: mask of the rows that could be chosen. initial: rows that counted as chosen. groups:
    the group of every row of the pool, or None. largest_unpicked: the largest value of a candidate
    that was not chosen, where that is known. next_value: the value of one pick more, likewise.
    made: the radii of all picks that were made. assignment: where it was asked for in time.
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
    made: Float64 = field(default_factory=lambda: np.empty(0))
    assignment: CoverageMap | None = None

    def take(self, index: NDArray[np.int64]) -> Array:
        """Return rows by their index in the pool."""
        own = index if self.fetched is None else np.searchsorted(self.fetched, index)
        taken: Array = self.rows[own]
        return taken


def fetch(context: Context, pool: Pool, picks: Picks, seed: int, *, assign: bool) -> Context:
    """Fetch what lazy properties need before the pool closes."""
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
        assignment=coverage_map_of(pool, index) if assign else None,
    )


def drawn_at_random(candidates: NDArray[np.bool_], n: int, seed: int) -> NDArray[np.int64]:
    """Return n candidates drawn by the seed, to compare a choice with."""
    return np.random.default_rng(seed).permutation(np.flatnonzero(candidates))[:n]


@dataclass(frozen=True, eq=False)
class Selection:
    """The chosen rows of a pool.

    indices: int64 (n,), in pick order: without groups the first k of greedy, or of threshold decay
    at fixed parameters, are the choice of k. radii: float64 (n,), the distance of each pick to
    those before it (inf for the first; NaN where a strategy knows none). stopped_by: "n",
    "duplicates" where copies had to fill up, or what ended it before n picks: "min_distance",
    "coverage", "knee". duplicates: picks at distance 0 to one before.
    seed: what drew. rounds, bytes_moved: questions to the pool, and the bytes of arrays that were
    sent either way where it lies in several shards. precision: "float64" where float32 could not
    tell rows apart and the blocks fell back to it; the picks are those of the definition. decision:
    of guarded, what was compared and taken (`Decision`); None for others.

    `entropy`, `entropy_random`, `coverage_radius`, `shares`, `curve` and `assignment` are computed
    when first asked for, on the rows in which distances were taken; they are not stored.

    A selection is a sequence of whole numbers, the indices: `ds.select(selection)` works, and
    `x[selection]`; `of` takes the chosen rows from anything that the pool came from.
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
    def of_picks(cls, picks: Picks, seed: int, pool: Pool, context: Context) -> Selection:
        """Return the result of a strategy."""
        values = np.array(picks.values, dtype=np.float64)
        return cls(
            np.array(picks.indices, dtype=np.int64),
            context.space.distance_of(values),
            picks.stopped_by or ("duplicates" if picks.duplicates else "n"),
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

    @cached_property
    def curve(self) -> Curve:
        """Radius and entropy over the number of picks."""

        def drawn(k: int) -> Entropy | None:
            if k == len(self):
                return self.entropy_random
            return self._entropy_of(drawn_at_random(self._from.candidates, k, self.seed))

        def chosen(k: int) -> Entropy | None:
            return self.entropy if k == len(self) else self._entropy_of(self.indices[:k])

        return Curve.of(self._from.made, len(self), chosen, drawn)

    @cached_property
    def assignment(self) -> CoverageMap:
        """The nearest pick of every row of the pool, by one more pass over it.

        Raises InputError where the pool lay in other processes and `assign=True` was not given.
        """
        source = self._from
        if source.assignment is not None:
            return source.assignment
        if source.fetched is not None:
            raise InputError("the pool lay in other processes: call select with assign=True")
        return coverage_map_here(source.rows, source.distance, self.indices)

    def __len__(self) -> int:
        return len(self.indices)

    def __iter__(self) -> Iterator[int]:
        return iter(self.indices.tolist())

    def __getitem__(self, place: Any) -> Any:
        found = self.indices[place]
        return found if isinstance(found, np.ndarray) else int(found)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Array:
        return np.array(self.indices, dtype=dtype, copy=copy)

    def of(self, source: Any) -> Any:
        """Return the chosen rows of what the pool came from, in pick order and of the same kind.

        source: an array, tensor, list, pandas or polars table, Arrow table, `datasets.Dataset` or
        torch dataset (a `Subset`), with as many rows as the pool.

        Raises InputError for a source of another length, or without rows to take by number.
        """
        rows = None if self.context is None else len(self.context.candidates)
        return taken_from(source, self.indices, rows)

    def to_pandas(self) -> Any:
        """Return a table with one row a pick: index, rank, radius, group where there are groups,
        weight where the assignment was asked for.
        """
        import pandas as pd

        columns = {"index": self.indices, "rank": np.arange(len(self)), "radius": self.radii}
        if self.context is not None and self.context.groups is not None:
            columns["group"] = np.asarray(self.context.groups)[self.indices]
        assignment = self.__dict__.get("assignment")
        if assignment is None and self.context is not None:
            assignment = self.context.assignment
        if assignment is not None:
            columns["weight"] = assignment.weight
        return pd.DataFrame(columns)

    def plot(self, axes: Any = None) -> Any:
        """Draw radius and entropy over the number of picks with matplotlib; return the two axes."""
        return self.curve.plot(len(self), axes)

    def _repr_html_(self) -> str:
        """Return what was chosen as a small table, for notebooks."""
        radii = self.radii[np.isfinite(self.radii)]
        facts = {"rows": f"{len(self):,}", "stopped by": self.stopped_by}
        if len(radii):
            facts["smallest radius"] = number(float(radii.min()))
        if self.context is not None:
            facts["pool"] = f"{len(self.context.candidates):,} rows"
        if self.decision is not None:
            facts["taken"] = self.decision.taken
            facts |= {"because": self.decision.reason} if self.decision.reason else {}
        return facts_table("Selection", facts)

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
