"""Generators: the models trained in each generation, one file each; training sets live elsewhere.

A generator is its validated settings; `fit` returns a model, which can sample and be saved.
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
        """Rows per sampling call; constant, so that no row depends on it."""

    @property
    def class_shares(self) -> Sequence[float] | None:
        """How often each class is drawn; None if samples have no labels."""

    def sample(self, seeds: Sequence[int], labels: Array | None = None) -> Array:
        """Return one row per seed, with the dtype and shape of the training rows.

        labels: (len(seeds),) int64, the class of each row; given if there are class shares.
        """

    def save(self, folder: Path) -> None:
        """Write the model into an existing empty folder, as safetensors and JSON only."""


class Generator(Protocol):
    """The settings of a generator, and how to train it.

    SAMPLING: the settings that affect sampling only; changing them retrains nothing.
    needs_previous: whether `fit` reads the previous generation's model; enters the key. A class
    that trains rows with the noise they were made of says so by COUPLES = True.
    """

    SAMPLING: ClassVar[tuple[str, ...]]

    @property
    def needs_previous(self) -> bool:
        """Whether training starts from the previous generation's model."""

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

        scratch: the checkpoint folder, missing or left over from this training when it was
        stopped; `fit` removes it at the end. previous: the folder of the previous generation's
        saved model; None in generation 1.
        """

    def stored_bytes(self, shape: tuple[int, ...], rows: int) -> int:
        """Return the approximate disk size of a model trained on this many rows of this shape."""

    def load(self, folder: Path, *, device: str, threads: int) -> Model:
        """Read a model that `Model.save` wrote."""


def draw(
    model: Model, seed: int, generation: int, start: int, stop: int, progress: Progress
) -> Array:
    """Return samples start … stop−1 of a generation.

    Sample i depends only on its own seed. Whole batches are computed, aligned to multiples of the
    batch size, so that row i comes from the same arithmetic whatever the range requested: N samples
    are bitwise a prefix of 2N.
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
