"""Embeddings in parquet: a column of number lists, read by row group where they are used."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path
from typing import Any

import numpy as np

from entroloop.data.parquet import opened_parquet
from entroloop.data.reading import refuse_larger_than_memory
from entroloop.errors import InputError, one_line
from entroloop.samples import Array


@dataclass(frozen=True)
class ParquetRows:
    """Rows start … stop of a column of one parquet file; see `rows.Rows`."""

    path: Path
    column: str
    width: int
    dtype: np.dtype[Any]
    start: int
    stop: int

    @classmethod
    def of(cls, path: Path, column: str) -> ParquetRows:
        """Return all rows of a column, reading only the first row group.

        Raises InputError for a file without rows.
        """
        with opened_parquet(path) as table:
            m = table.metadata.num_rows
            if m == 0:
                raise InputError(f"{path} holds no rows")
            kind = table.schema_arrow.field(column).type
            dtype = np.dtype(kind.value_type.to_pandas_dtype())
            lists = table.read_row_group(0, columns=[column]).column(column)
            width = next((len(cell) for cell in lists if cell.is_valid), 0)
            if width == 0:
                raise InputError(f"{path}: column '{column}' holds no values in its first rows")
        whole = dtype.kind in "iu" and dtype != np.uint8
        return cls(path.resolve(), column, width, np.dtype(float) if whole else dtype, 0, m)

    @property
    def shape(self) -> tuple[int, int]:
        """See `Rows`."""
        return self.stop - self.start, self.width

    def between(self, start: int, stop: int) -> ParquetRows:
        """See `Rows`."""
        first = self.start + start
        return ParquetRows(
            self.path, self.column, self.width, self.dtype, first, first + stop - start
        )

    def open(self) -> Array:
        """See `Rows`; reads only the row groups that contain these rows.

        Raises InputError for rows of different lengths, or a file that cannot be read here.
        """
        refuse_larger_than_memory(self.path, self.shape[0] * self.width * self.dtype.itemsize)
        out = np.empty(self.shape, dtype=self.dtype)
        try:
            with opened_parquet(self.path) as table:
                groups = range(table.num_row_groups)
                counts = [table.metadata.row_group(g).num_rows for g in groups]
                for g, end in zip(groups, accumulate(counts), strict=True):
                    first = end - counts[g]
                    a, b = max(self.start, first), min(self.stop, end)
                    if a < b:
                        cells = table.read_row_group(g, columns=[self.column]).column(self.column)
                        cells = cells.slice(a - first, b - a).combine_chunks()
                        values = _values(cells, self.width)
                        out[a - self.start : b - self.start] = values.reshape(b - a, self.width)
        except _RaggedError:
            raise _ragged(self.path, self.width) from None
        except Exception as error:  # see `reading`
            text = one_line(error, 160)
            raise InputError(f"{self.path} cannot be read by a worker: {text}") from None
        return out

    def identity(self) -> str:
        """See `Rows`; combines the file, the rows, its size and its modification time."""
        found = self.path.stat()
        return f"{self} {found.st_size} {found.st_mtime_ns}"


def vectors_of(cells: Any, path: Path) -> Array:
    """Return a column of number lists as rows (n, d).

    Raises InputError for lists of different lengths, or with nulls.
    """
    cells = cells.combine_chunks()
    width = next((len(cell) for cell in cells if cell.is_valid), 0)
    itemsize = np.dtype(cells.type.value_type.to_pandas_dtype()).itemsize
    refuse_larger_than_memory(path, len(cells) * width * itemsize)
    try:
        return _values(cells, width).reshape(len(cells), width)
    except _RaggedError:
        raise _ragged(path, width) from None


class _RaggedError(Exception):
    """Rows of different lengths, or without values."""


def _ragged(path: Path, width: int) -> InputError:
    return InputError(
        f"{path}: the rows of a column of number lists differ in length or hold nulls; bring them "
        f"to {width} values each"
    )


def _values(cells: Any, width: int) -> Array:
    """Return the values of all lists, concatenated."""
    import pyarrow.compute as pc

    flat = cells.flatten()
    lengths = pc.list_value_length(cells).to_numpy(zero_copy_only=False)
    if cells.null_count or flat.null_count or (lengths != width).any():
        raise _RaggedError
    values: Array = flat.to_numpy(zero_copy_only=False)
    return values
