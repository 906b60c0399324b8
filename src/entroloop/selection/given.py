"""What a caller gives `select`: arrays as they are, all else loaded, in one feature space."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from entroloop.data.inputs.arrays import as_array
from entroloop.data.inputs.refused import why_refused
from entroloop.data.loading import load
from entroloop.data.sets import FileSet
from entroloop.errors import InputError
from entroloop.features import Extractor, extractor_for
from entroloop.pools.rows import Rows, is_rows
from entroloop.samples import Array

ROWS_OF_STRATEGIES = ("guard", "reference")  # arguments of strategies that are rows, too


@dataclass
class Given:
    """Turns what a caller gives into rows (m, d) of one space, the pool first.

    features: the name of an extractor; one that is fitted is fitted to the pool. column, resize,
    mode: of `load`. columns: of the pool, to keep for groups and weights.
    """

    features: str
    device: str
    column: str | Sequence[str] | None
    resize: int | None
    mode: str | None
    columns: Sequence[str] = ()
    pool: FileSet | None = None
    _extractor: Extractor | None = field(default=None, init=False)
    _shape: tuple[int, ...] = field(default=(), init=False)

    def pool_of(self, x: Any) -> Array | Rows:
        """Return the rows of the pool."""
        if is_rows(x):
            if self.features != "raw":
                raise InputError(f"rows that lie elsewhere take features raw; got {self.features}")
            described: Rows = x
            return described
        extractor = extractor_for(self.features, self.device)
        data = self._data(x, "the pool", extractor, self.columns)
        self._extractor = extractor.fitted_to(data)
        self._shape = data.shape[1:]
        return self._extractor(data)

    def rows_of(self, x: Any, name: str) -> Array:
        """Return rows from outside the pool, in its space."""
        extractor = self._extractor or extractor_for("raw")  # of a pool that lies elsewhere
        data = self._data(x, name, extractor)
        if len(self._shape) > 1 < data.ndim - 1 and data.shape[1:] != self._shape:
            raise InputError(
                f"{name} holds images of shape {data.shape[1:]}, the pool of {self._shape}; bring "
                "both to one: resize=, mode="
            )
        return extractor(data)

    def initial_of(self, initial: Any) -> Any:
        """Return rows from outside, or indices of the pool as they are."""
        if initial is None:
            return None
        if isinstance(initial, list | tuple | range) or getattr(initial, "ndim", 0) == 1:
            with suppress(InputError):  # images of different sizes, say
                index = as_array(initial, "initial")
                if index.ndim < 2 and index.dtype.kind not in "UO":
                    return index
        return self.rows_of(initial, "initial")

    def column_of(self, given: Any) -> Any:
        """Return a column of the pool by its name, and what is no name as it is."""
        if not isinstance(given, str):
            return given
        if self.pool is None:  # rows that lie elsewhere; where columns are read, this one was
            raise InputError(f"the pool has no column '{given}'; give one value a row")
        return self.pool.columns[given]

    def _data(self, x: Any, name: str, extractor: Extractor, columns: Sequence[str] = ()) -> Any:
        plain = isinstance(x, np.ndarray) and x.ndim > 0 and why_refused(x) is None
        if plain and x.dtype.kind != "U" and not (self.resize or self.mode or columns):
            return x if x.ndim > 1 else x.reshape(len(x), -1)  # memory maps stay such
        found = load(
            x, name=name, column=self.column, columns=list(columns), resize=self.resize,
            mode=self.mode, mixed=extractor.mixed, strict=True,
        )  # fmt: skip
        if columns:
            self.pool = found
        return found.data
