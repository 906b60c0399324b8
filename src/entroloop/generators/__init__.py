"""What is trained in each generation, one file a generator; what it is trained on is not here.

A generator is its validated settings; `fit` returns a model, which samples, saves and is loaded.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar, Protocol

import numpy as np

from entroloop.samples import Array, SampleSet
from entroloop.seeding import class_labels, seed_for
from entroloop.system.progress_line import Progress


class Model(Protocol):
    """A trained generator."""

    @property
    def batch(self) -> int:
        """Rows of one sampling call; always the same, so that a row never depends on it."""

    @property
    def class_shares(self) -> Sequence[float] | None:
        """How often each class is drawn; None where samples have no labels."""

    def sample(self, seeds: Sequence[int], labels: Array | None = None) -> Array:
        """Return one row for each seed, in the dtype and shape of the training rows.

        labels: (len(seeds),) int64, the class of each, where there are class shares.
        """

    def save(self, folder: Path) -> None:
        """Write the model into an existing empty folder: safetensors and JSON only."""


class Generator(Protocol):
    """The settings of a generator, and how to train it.

    SAMPLING names the settings that matter to sampling only: a change of those trains nothing.
    needs_previous: whether `fit` reads the model of the generation before; it enters the key.
    """

    SAMPLING: ClassVar[tuple[str, ...]]

    @property
    def needs_previous(self) -> bool:
        """Whether training starts from the model of the generation before."""

    def fit(
        self,
        training_set: SampleSet,
        *,
        seed: int,
        device: str,
        threads: int,
        progress: Progress,
        scratch: Path | None = None,
        previous: Path | None = None,
    ) -> Model:
        """Train a new model on the training set.

        scratch: a folder, not there yet or left by this training when it was stopped, for
        checkpoints; `fit` removes it in the end. previous: where the model of the generation
        before was saved; None in generation 1.
        """

    def stored_bytes(self, shape: tuple[int, ...], rows: int) -> int:
        """Return about how much disk a model takes, for rows of a shape and so many of them."""

    def load(self, folder: Path, *, device: str, threads: int) -> Model:
        """Read a model that `Model.save` wrote."""


def draw(
    model: Model, seed: int, generation: int, start: int, stop: int, progress: Progress
) -> Array:
    """Return samples start … stop−1 of a generation.

    Sample i depends on its own seed only. Whole batches are computed, aligned at multiples of
    the batch, so that the same arithmetic makes row i whatever range is asked for: N samples are
    bitwise a prefix of 2N.
    """
    rows = []
    for first in range(start - start % model.batch, stop, model.batch):
        seeds = [seed_for(seed, generation, "sample", i) for i in range(first, first + model.batch)]
        labels = None
        if model.class_shares is not None:
            last = first + model.batch
            labels = class_labels(seed, generation, first, last, model.class_shares)
        rows.append(model.sample(seeds, labels)[max(start - first, 0) : stop - first])
        progress(min(first + model.batch, stop) - start, stop - start)
    return np.concatenate(rows)
