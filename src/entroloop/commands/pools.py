"""The pools of one selection: the rows of all of them, one after the other."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from entroloop.commands.columns import class_names, features_of, named, parquet_files
from entroloop.data.sets import FileSet
from entroloop.errors import InputError
from entroloop.features import Extractor
from entroloop.pools.hosts import PoolEngine
from entroloop.pools.rows import JoinedRows, Rows, is_rows, rows_of
from entroloop.samples import Array, MixedImages


@dataclass(frozen=True, eq=False)
class Origin:
    """Where the rows of a set lie: a path, and the place of each row among all that lie there.

    ours: whether an earlier selection wrote it, so that its columns `pool` and `id` are known.
    column: what holds the rows, where that was asked for.
    """

    path: Path
    place: Array
    ours: bool = False
    column: Sequence[str] | None = None


class Pools:
    """The rows of all pools, one after the other.

    sets: the rows of each pool; origins: where they lie, set by set, for those who write them.
    """

    def __init__(self, sets: list[FileSet], origins: list[Origin] | None = None) -> None:
        self.sets, self.origins = sets, origins or []
        self.names: Array = np.repeat([s.name for s in sets], [len(s.ids) for s in sets])
        self.index: Array = np.concatenate([s.index for s in sets])
        self._starts = np.cumsum([0, *(len(s.ids) for s in sets)])

    def features(self, extractor: Extractor, engine: PoolEngine | None) -> Array | Rows:
        """Return what distances are taken of."""
        rows = [s.data if is_rows(s.data) else extractor(s.data) for s in self.sets]
        if engine is not None:
            return JoinedRows.of([rows_of(x) for x in rows])
        return rows[0] if len(rows) == 1 else np.concatenate(rows)

    def column(self, column: str | None) -> Array | None:
        """Return a column of all pools, None where none is asked for."""
        if column is None:
            return None
        for s in self.sets:
            if column not in s.columns:
                raise InputError(
                    f"pool '{s.name}' has no column '{column}'; columns come from tables, `label` "
                    "from the subfolders of images, `made_by` from their metadata, and `pool` is "
                    "the pool's name"
                )
        found = [s.columns[column] for s in self.sets]
        if len({values.dtype.kind in "iu" for values in found}) > 1:  # numbers beside names
            pairs = zip(found, self.origins, strict=True)
            found = [_by_name(values, origin.path, column) for values, origin in pairs]
        return np.concatenate(found)

    def columns_of(self, rows: Array) -> dict[str, Any]:
        """Return the columns pool, index and id of rows."""
        return {"pool": self.names[rows], "index": self.index[rows], "id": self.ids(rows)}

    @property
    def are_images(self) -> bool:
        """Whether the rows are images, of one size or of several."""
        return all(len(s.data.shape) == 4 or isinstance(s.data, MixedImages) for s in self.sets)

    def images(self, rows: Array) -> Array | None:
        """Return rows as uint8 images (n, h, w, c), None where they are none of one size."""
        if any(len(s.data.shape) != 4 for s in self.sets):
            return None
        return np.stack([np.asarray(s.data[row]) for s, row in self.chosen(rows)])

    def ids(self, rows: Array) -> list[str]:
        """Return the ids of rows."""
        return [s.ids[row] for s, row in self.chosen(rows)]

    def classes(self) -> set[str]:
        """Return the labels of all class folders, of rows that are not chosen, too."""
        return {label_of(i) for s in self.sets if s.paths is not None for i in s.ids} - {""}

    def chosen(self, rows: Array) -> Iterator[tuple[FileSet, int]]:
        """Yield the set and the row within it of each of these rows."""
        of_set = np.searchsorted(self._starts, rows, side="right") - 1
        for row, which in zip(rows.tolist(), of_set.tolist(), strict=True):
            yield self.sets[which], row - int(self._starts[which])

    def by_set(self, rows: Array) -> Iterator[tuple[FileSet, Origin, Array, Array]]:
        """Yield each set with its origin, the rows within it that are chosen, and their ranks."""
        of_set = np.searchsorted(self._starts, rows, side="right") - 1
        for which, (s, origin) in enumerate(zip(self.sets, self.origins, strict=True)):
            ranks = np.flatnonzero(of_set == which)
            yield s, origin, rows[ranks] - self._starts[which], ranks

    def refuse_without_files(self) -> None:
        """Refuse pools whose rows are no files of their own."""
        for s in self.sets:
            if s.paths is None:
                raise InputError(
                    f"pool '{s.name}' is not a folder of files: take --materialize parquet"
                )


def _by_name(values: Array, path: Path, column: str) -> Array:
    """Return class numbers by the names that their parquet file knows; other values as they are."""
    import pyarrow.parquet as pq

    files = parquet_files(path)
    kinds = features_of(pq.read_schema(files[0])) if files else {}
    names = class_names(kinds.get(column))
    if names is None or values.dtype.kind not in "iu":
        return values
    return np.array([name or "" for name in named(values.tolist(), names)])


def label_of(name: str) -> str:
    """Return the label of a file by its id: its first folder, or nothing.

    >>> label_of("cats/kittens/1.png"), label_of("1.png")
    ('cats', '')
    """
    return name.split("/")[0] if "/" in name else ""
