"""What one run has at hand: real data, the generations before, and the training set as a table."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from entroloop.build import Built
from entroloop.data import split_order
from entroloop.paradigms import Composition
from entroloop.plan import Step
from entroloop.real import read_real
from entroloop.samples import SampleSet, concatenate
from entroloop.selection import Selection
from entroloop.store import Store

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class TrainingSet:
    """A training set with the rank and radius of each pick; −1 and NaN where a row was no pick."""

    samples: SampleSet
    pick_rank: NDArray[np.int64]
    radius: NDArray[np.float64]

    @classmethod
    def whole(cls, samples: SampleSet) -> TrainingSet:
        """Return a training set of which no row was selected."""
        n = len(samples)
        return cls(samples, np.full(n, -1, dtype=np.int64), np.full(n, np.nan))

    @classmethod
    def selected(
        cls, kept: SampleSet | None, candidates: SampleSet, selection: Selection
    ) -> TrainingSet:
        """Return the kept rows followed by the picks in their order."""
        picks = cls(
            candidates.take(selection.indices),
            np.arange(len(selection.indices), dtype=np.int64),
            selection.radii,
        )
        if kept is None:
            return picks
        before = cls.whole(kept)
        return cls(
            concatenate([before.samples, picks.samples]),
            np.concatenate([before.pick_rank, picks.pick_rank]),
            np.concatenate([before.radius, picks.radius]),
        )

    def write(self, folder: Path) -> None:
        """Write training_set.parquet: id, generation, source_index, pick_rank, radius."""
        import pandas as pd

        columns = {
            "id": self.samples.ids,
            "generation": self.samples.provenance,
            "source_index": self.samples.source_index,
            "pick_rank": self.pick_rank,
            "radius": self.radius,
        }
        pd.DataFrame(columns).to_parquet(folder / "training_set.parquet", index=False)


class History:
    """The rows that a step may use, gathered from the store."""

    def __init__(self, step: Step, built: Built, store: Store) -> None:
        self.step, self.built, self.store = step, built, store

    @cached_property
    def real(self) -> SampleSet:
        """All real data; `source_index` is the row in the source."""
        return read_real(self.store).samples()

    @cached_property
    def _order(self) -> NDArray[np.int64]:
        return split_order(len(self.real), self.real.labels, self.step.seed)

    def _split(self, start: int, stop: int | None) -> SampleSet:
        return self.real.take(self._order[start:stop])

    def real_train(self) -> SampleSet:
        """The real training data."""
        return self._split(0, self.built.config.n_train)

    def reference(self) -> SampleSet:
        """The held-out real rows."""
        n = self.built.config.n_train
        return self._split(n, n + self.built.config.n_reference)

    def fresh(self, start: int, stop: int) -> SampleSet:
        """Rows start … stop−1 of the reserve."""
        first = self.built.config.n_train + self.built.config.n_reference
        return self._split(first + start, first + stop)

    def samples_of(self, key: str, generation: int, n: int) -> SampleSet:
        """The first n samples of a generation."""
        return SampleSet.of_generation(self.store.samples(key)[:n], generation)

    def generation(self, g: int) -> SampleSet:
        """The candidates that generation g offers: real training data, or its samples."""
        if g == 0:
            return self.real_train()
        n = self.step.arm.oversample * self.built.config.n_train
        return self.samples_of(self.step.history[g - 1], g, n)

    def kept(self, composition: Composition) -> SampleSet | None:
        """The rows that join without selection, or None."""
        parts = []
        if composition.previous:
            assert self.step.previous is not None
            parts.append(self._read(self.step.previous))
        if composition.real:
            parts.append(self.real_train())
        if composition.fresh[1] > composition.fresh[0]:
            parts.append(self.fresh(*composition.fresh))
        return concatenate(parts) if parts else None

    def training_set(self) -> SampleSet:
        """The training set of this step."""
        return self._read(self.step.training_set)

    def table(self, key: str) -> pd.DataFrame:
        """The table of a training set."""
        import pandas as pd

        return pd.read_parquet(self.store.path("training_set", key) / "training_set.parquet")

    def _read(self, key: str) -> SampleSet:
        """Gather the rows of a training set, each from the generation that made it."""
        table = self.table(key)
        generations = table["generation"].to_numpy(np.int32)
        index = table["source_index"].to_numpy(np.int64)
        data = np.empty((len(table), *self.real.data.shape[1:]), dtype=self.real.data.dtype)
        for g in np.unique(generations):
            rows = generations == g
            source = self.real.data if g == 0 else self.store.samples(self.step.history[g - 1])
            data[rows] = source[index[rows]]
        return SampleSet(data, generations, index)
