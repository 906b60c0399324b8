"""What one step of a run may use: real data, and the generations before it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from entroloop.data import split_order
from entroloop.distances.neighbors import nearest
from entroloop.features import Extractor
from entroloop.modalities.table import Schema
from entroloop.samples import Array, Float64, RealData, SampleSet, as_vectors, concatenate
from entroloop.seeding import seed_for
from entroloop.selection.strategies import Strategy
from entroloop.store.folder import Store
from entroloop.store.stages import read_real, read_training_set
from entroloop.study.build import Built
from entroloop.study.paradigms import Composition
from entroloop.study.plan import Step


class History:
    """The rows that a step may use, gathered from the store."""

    def __init__(self, step: Step, built: Built, store: Store) -> None:
        self.step, self.built, self.store = step, built, store

    @cached_property
    def _source(self) -> RealData:
        return read_real(self.store)

    @cached_property
    def real(self) -> SampleSet:
        """All real data; `source_index` is the row in the source."""
        return self._source.samples()

    @cached_property
    def _order(self) -> NDArray[np.int64]:
        return split_order(len(self.real), self.real.labels, self.step.seed)

    @property
    def schema(self) -> Schema | None:
        """The columns of the real data, where it is a table."""
        return self._source.schema

    def valid(self, rows: Array) -> Array:
        """Return what a model made as rows that real data could be; see `RealData`."""
        return self._source.valid(rows)

    def _split(self, start: int, stop: int | None) -> SampleSet:
        return self.real.take(self._order[start:stop])

    def features(self, extractor: Extractor) -> Extractor:
        """Return an extractor of this study's rows, fitted to the real training data."""
        return extractor.seeing(self._source.decoder).fitted_to(self.real_train().data)

    @property
    def as_images(self) -> Callable[[Array], Array] | None:
        """What makes images (n, h, w[, c]) of rows; None where they stand for none."""
        source = self._source
        if source.decoder is not None:
            return source.decoder
        shape = source.data.shape[1:] if source.data.ndim == 4 else source.image_shape
        return (lambda rows: rows.reshape(len(rows), *shape)) if shape else None

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

    def guard(self) -> SampleSet:
        """The guard: the last rows of the reserve."""
        return self._split(len(self.real) - self.built.config.guard, None)

    def samples_of(self, key: str, generation: int, n: int) -> SampleSet:
        """The first n samples of a generation."""
        labels = self.store.sample_labels(key)
        found = SampleSet.of_generation(
            self.store.samples(key)[:n], generation, None if labels is None else labels[:n]
        )
        return replace(found, groups=self._source.groups)

    def generation(self, g: int) -> SampleSet:
        """The candidates that generation g offers: real training data, or its samples."""
        if g == 0:
            return self.real_train()
        n = self.step.arm.oversample * self.built.config.n_train
        return self.samples_of(self.step.history[g - 1], g, n)

    def unselected(self, provenance: NDArray[np.signedinteger]) -> SampleSet | None:
        """Return rows like a training set's that no model of the run was trained on, or None.

        provenance: of the training set. Each generation gives its share in it: the real data rows
        of the reference, another generation samples beyond those that were candidates.
        """
        wanted = self.built.config.unselected
        parts = []
        first = self.step.arm.oversample * self.built.config.n_train
        for g, count in enumerate(np.bincount(provenance)):
            n = round(wanted * count / len(provenance))
            if n and g == 0:
                parts.append(self.reference().take(np.arange(min(n, len(self.reference())))))
            elif n:
                rows = self.samples_of(self.step.history[g - 1], g, first + n)
                parts.append(rows.take(np.arange(first, len(rows))))
        return concatenate(parts) if parts else None

    def kept(self, composition: Composition) -> SampleSet | None:
        """The rows that join without selection, or None."""
        parts = []
        if composition.previous:
            assert self.step.previous is not None
            parts.append(read_training_set(self.store, self.step.previous, self.step.history))
        if composition.real:
            parts.append(self.real_train())
        if composition.fresh[1] > composition.fresh[0]:
            parts.append(self.fresh(*composition.fresh))
        if composition.guard:
            parts.append(self.guard().take(np.arange(composition.guard)))
        return concatenate(parts) if parts else None

    def needed_by(
        self,
        strategy: Strategy,
        candidates: SampleSet,
        kept: SampleSet | None,
        features: Extractor,
    ) -> dict[str, Any]:
        """Return the arguments that a strategy cannot work without, by name.

        reference: the real training rows (the held-out reference judges, and selects nothing).
        guard: the guard. joined: the rows kept without selection, None for none. generations: which
        generation made each candidate. real: which candidates are real. scores: minus the distance
        of each candidate to the nearest real training row, itself left out, so that it is high
        where a row looks most like others. baseline: real rows, and the first N samples of each
        generation, which are all that an arm without oversampling has.
        """
        n = self.built.config.n_train
        makers: dict[str, Callable[[], Any]] = {
            "real": lambda: candidates.provenance == 0,
            "generations": lambda: candidates.provenance,
            "baseline": lambda: (candidates.provenance == 0) | (candidates.source_index < n),
            "joined": lambda: None if kept is None else as_vectors(features(kept.data)),
            "guard": lambda: (
                as_vectors(features(self.guard().data)) if self.built.config.guard else None
            ),
            "reference": lambda: as_vectors(features(self.real_train().data)),
            "scores": lambda: self._scores(candidates, features),
        }
        return {name: makers[name]() for name in strategy.needs}

    def _scores(self, candidates: SampleSet, features: Extractor) -> Float64:
        real = self.real_train()
        rows = as_vectors(features(real.data))
        found = nearest(as_vectors(features(candidates.data)), rows, 2)
        own = candidates.source_index[:, None] == real.source_index[found.indices]
        itself = own & (candidates.provenance == 0)[:, None]
        others: Float64 = np.where(itself, np.inf, found.distances)
        scores: Float64 = -others.min(axis=1)
        return scores

    def training_set(self) -> SampleSet:
        """The training set of this step, with the noise of its rows where that is asked for."""
        rows = read_training_set(self.store, self.step.training_set, self.step.history)
        if self.step.composition is None or not self.step.composition.coupled:
            return rows
        pairs = zip(rows.provenance.tolist(), rows.source_index.tolist(), strict=True)
        seeds = [seed_for(self.step.seed, g, "sample", i) for g, i in pairs]
        return replace(rows, noise_seeds=np.array(seeds, dtype=np.int64))
