"""Samples with their labels, ids and provenance, and the real data of a study."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from entroloop.errors import InputError
from entroloop.modalities.table import Schema

Array = NDArray[Any]
Float64 = NDArray[np.float64]


@dataclass(frozen=True)
class SampleSet:
    """Samples of one or several generations.

    data: (n, d) float vectors, (n, height, width, channels) uint8 images in 0..255, or (n, length)
    uint8 texts (see `modalities.text`).
    provenance: (n,) int32, the generation that made each row; 0 is real data.
    source_index: (n,) int64, the row's index within its generation.
    labels: (n,) int64 or None. groups: stretches of columns of which a row has one category.
    noise_seeds: (n,) int64, the seed of the noise that a generator made each row of, where a
    training is to know it; else None.
    """

    data: Array
    provenance: NDArray[np.int32]
    source_index: NDArray[np.int64]
    labels: NDArray[np.int64] | None = None
    groups: tuple[tuple[int, int], ...] = ()
    noise_seeds: NDArray[np.int64] | None = None

    def __post_init__(self) -> None:
        n = len(self.data)
        columns = (self.provenance, self.source_index, self.labels, self.noise_seeds)
        if any(column is not None and len(column) != n for column in columns):
            raise InputError(f"a sample set of {n} rows has labels or provenance of another length")

    def __len__(self) -> int:
        return len(self.data)

    @classmethod
    def of_generation(
        cls, data: Array, generation: int, labels: NDArray[np.int64] | None = None
    ) -> SampleSet:
        """Return a set whose rows all come from one generation, indexed in order."""
        n = len(data)
        provenance = np.full(n, generation, dtype=np.int32)
        return cls(data, provenance, np.arange(n, dtype=np.int64), labels)

    def take(self, rows: Array | slice) -> SampleSet:
        """Return the given rows, in the given order."""
        labels, noise_seeds = (
            None if column is None else column[rows] for column in (self.labels, self.noise_seeds)
        )
        own = self.provenance[rows], self.source_index[rows]
        return SampleSet(self.data[rows], *own, labels, self.groups, noise_seeds)

    @property
    def ids(self) -> list[str]:
        """One name a row: `real-17` for real data, `g3-17` for row 17 of generation 3."""
        pairs = zip(self.provenance.tolist(), self.source_index.tolist(), strict=True)
        return [f"real-{i}" if g == 0 else f"g{g}-{i}" for g, i in pairs]


@dataclass(frozen=True)
class Decoder:
    """A linear map from rows to images: pixels = row · components + mean, rounded, in 0..255.

    components: (d, values) float64. mean: (values,). shape: (h, w, c) of an image.
    """

    components: Float64
    mean: Float64
    shape: tuple[int, ...]

    def __call__(self, rows: Array) -> NDArray[np.uint8]:
        """Return rows (n, d) as uint8 images (n, h, w, c)."""
        pixels = as_vectors(rows).astype(np.float64) @ self.components + self.mean
        images: NDArray[np.uint8] = np.rint(np.clip(pixels, 0, 255)).astype(np.uint8)
        return images.reshape(len(images), *self.shape)


@dataclass(frozen=True)
class RealData:
    """All real data of a study: what a source loads, and what a study folder holds.

    data: (n, d) float vectors, (n, h, w, c) uint8 images or (n, length) uint8 texts. labels: (n,)
    int64 or None.
    image_shape: (h, w) or (h, w, c) where vectors are images, for showing them. skipped: reason by
    name of what could not be read. decoder: makes images of rows that stand for images. schema: the
    columns of rows that stand for those of a table.
    """

    data: Array
    labels: NDArray[np.int64] | None = None
    image_shape: tuple[int, ...] | None = None
    skipped: dict[str, str] = field(default_factory=dict)
    decoder: Decoder | None = None
    schema: Schema | None = None

    def samples(self) -> SampleSet:
        """Return it as generation 0."""
        return replace(SampleSet.of_generation(self.data, 0, self.labels), groups=self.groups)

    @property
    def groups(self) -> tuple[tuple[int, int], ...]:
        """See `SampleSet`."""
        return () if self.schema is None else self.schema.groups

    def valid(self, rows: Array) -> Array:
        """Return what a model made as rows that real data could be: one category of each group."""
        return rows if self.schema is None else self.schema.valid(rows)


class MixedImages:
    """Images of different sizes or modes, (h, w, c) uint8 each, which only networks take.

    They are decoded where they are used: together they may not fit in memory. shapes: of each.
    identity: tells the images of some rows from others.
    """

    def __init__(
        self,
        shapes: Sequence[tuple[int, ...]],
        decoded: Callable[[int], Array],
        identity: Callable[[Sequence[int]], str],
    ) -> None:
        self.shapes, self._identity, self._decoded = list(shapes), identity, decoded
        self.dtype: np.dtype[Any] = np.dtype(np.uint8)

    def __len__(self) -> int:
        return len(self.shapes)

    @property
    def shape(self) -> tuple[int, ...]:
        """The number of images; nothing else is common to all."""
        return (len(self),)

    def __getitem__(self, row: int | np.integer[Any]) -> Array:
        return self._decoded(range(len(self))[row])

    def identity(self) -> str:
        """Return what tells these images from others."""
        return self._identity(range(len(self)))

    def take(self, rows: Array | Sequence[int]) -> MixedImages:
        """Return the given images, in the given order."""
        kept = [int(row) for row in rows]
        return MixedImages(
            [self.shapes[i] for i in kept],
            lambda i: self._decoded(kept[i]),
            lambda some: self._identity([kept[i] for i in some]),
        )


def concatenate(sets: Sequence[SampleSet]) -> SampleSet:
    """Return the rows of all sets in order; labels are kept where every set has them."""
    labels = [s.labels for s in sets if s.labels is not None]
    return SampleSet(
        np.concatenate([np.asarray(s.data) for s in sets]),
        np.concatenate([s.provenance for s in sets]),
        np.concatenate([s.source_index for s in sets]),
        np.concatenate(labels) if len(labels) == len(sets) else None,
        sets[0].groups,
    )


def as_vectors(data: Array) -> Array:
    """Return rows as vectors: images are flattened, vectors come back as they are."""
    return data if data.ndim == 2 else data.reshape(len(data), -1)


def check_rows(data: Array, name: str, minimum: int = 1) -> None:
    """Refuse rows that no estimate can be made of: too few, not numeric, NaN or infinite.

    Raises InputError that names the set, and the first bad rows by index.
    """
    if data.ndim < 2 or data.dtype.kind not in "fiu" or 0 in data.shape[1:]:
        raise InputError(
            f"{name} must be numeric rows (n, d) or images (n, h, w, c); "
            f"got shape {data.shape}, dtype {data.dtype}"
        )
    if len(data) < minimum:
        raise InputError(f"{name} holds {len(data)} rows; at least {minimum} are needed")
    if data.dtype.kind == "f":
        bad = nonfinite_rows(data)
        if len(bad):
            raise invalid_rows(name, len(bad), bad[:5].tolist())


def invalid_rows(
    name: str, count: int, first: Sequence[int], mend: str = "remove or repair them"
) -> InputError:
    """Return the error for rows with NaN or infinite values: how many, and the first of them."""
    shown = ", ".join(map(str, first[:5])) + (", …" if count > min(len(first), 5) else "")
    return InputError(f"{name} holds NaN or infinite values in {count} rows (rows {shown}); {mend}")


def nonfinite_rows(data: Array, block: int = 8192) -> NDArray[np.int64]:
    """Return the indices of rows with NaN or infinite values, read in blocks."""
    found = [np.empty(0, dtype=np.int64)]
    for start in range(0, len(data), block):
        rows = as_vectors(data[start : start + block])
        if not (np.isfinite(rows.min()) and np.isfinite(rows.max())):  # NaN shows in both
            found.append(start + np.flatnonzero(~np.isfinite(rows).all(axis=1)))
    return np.concatenate(found)
