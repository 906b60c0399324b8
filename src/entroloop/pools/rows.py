"""Descriptions of where the rows of a pool lie, which a process elsewhere can open in part.

Rows kept in another way (row groups of parquet files, say) need an object with the members of
`Rows`; arrays and memory maps are wrapped by `rows_of`.
"""

from __future__ import annotations

import hashlib
import mmap
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from entroloop.errors import InputError
from entroloop.samples import Array


class Rows(Protocol):
    """Rows (m, d) that can be opened in part, in another process too."""

    @property
    def shape(self) -> tuple[int, int]:
        """The number of rows, and of values in each."""

    @property
    def dtype(self) -> np.dtype[Any]:
        """The dtype of the values."""

    def between(self, start: int, stop: int) -> Rows:
        """Return rows start … stop − 1, as a description that another process can open."""

    def open(self) -> Array:
        """Return the rows as an array, memory-mapped where possible."""

    def identity(self) -> str:
        """Return text that distinguishes these rows from others."""


@dataclass(frozen=True, eq=False)
class ArrayRows:
    """Rows in memory: they travel to the process that opens them."""

    array: Array

    @property
    def shape(self) -> tuple[int, int]:
        """See `Rows`."""
        return self.array.shape[0], self.array.shape[1]

    @property
    def dtype(self) -> np.dtype[Any]:
        """See `Rows`."""
        return self.array.dtype

    def between(self, start: int, stop: int) -> ArrayRows:
        """See `Rows`."""
        return ArrayRows(np.ascontiguousarray(self.array[start:stop]))

    def open(self) -> Array:
        """See `Rows`."""
        return self.array

    def identity(self) -> str:
        """See `Rows`: a hash of the content."""
        digest = hashlib.sha256(f"{self.dtype}{self.shape}".encode())
        for start in range(0, len(self.array), 8192):
            digest.update(np.ascontiguousarray(self.array[start : start + 8192]).data)
        return digest.hexdigest()


@dataclass(frozen=True)
class MappedRows:
    """Rows of a file in C order, from an offset in bytes on; only the description travels."""

    path: Path
    dtype: np.dtype[Any]
    shape: tuple[int, int]
    offset: int

    def between(self, start: int, stop: int) -> MappedRows:
        """See `Rows`."""
        bytes_before = start * self.shape[1] * self.dtype.itemsize
        shape = (stop - start, self.shape[1])
        return MappedRows(self.path, self.dtype, shape, self.offset + bytes_before)

    def open(self) -> Array:
        """See `Rows`; raises InputError where the file cannot be read from here."""
        try:
            return np.memmap(self.path, self.dtype, "r", self.offset, self.shape)
        except (OSError, ValueError) as error:
            raise InputError(
                f"{self.path} cannot be read by a worker ({error}); put it on a path that all "
                "machines share"
            ) from None

    def identity(self) -> str:
        """See `Rows`: file, offset, size and modification time."""
        found = self.path.stat()
        return f"{self} {found.st_size} {found.st_mtime_ns}"


@dataclass(frozen=True, eq=False)
class JoinedRows:
    """Rows of several sources, one after the other, concatenated only where they are opened.

    Raises InputError for sources of different numbers of values.
    """

    pieces: Sequence[Rows]
    dtype: np.dtype[Any]

    @classmethod
    def of(cls, pieces: Sequence[Rows]) -> JoinedRows:
        """Return the rows of all pieces, in the common dtype."""
        widths = sorted({piece.shape[1] for piece in pieces})
        if len(widths) > 1:
            raise InputError(
                f"the sources of a pool hold rows of {widths[0]} and of {widths[-1]} values; bring "
                "them to one"
            )
        return cls(pieces, np.result_type(*(piece.dtype for piece in pieces)))

    @property
    def shape(self) -> tuple[int, int]:
        """See `Rows`."""
        return sum(piece.shape[0] for piece in self.pieces), self.pieces[0].shape[1]

    def between(self, start: int, stop: int) -> JoinedRows:
        """See `Rows`."""
        found: list[Rows] = []
        first = 0
        for piece in self.pieces:
            a, b = max(start - first, 0), min(stop - first, piece.shape[0])
            if a < b:
                found.append(piece.between(a, b))
            first += piece.shape[0]
        return JoinedRows(found, self.dtype)

    def open(self) -> Array:
        """See `Rows`; a single piece of the common dtype is not copied."""
        opened = [piece.open() for piece in self.pieces]
        if len(opened) == 1 and opened[0].dtype == self.dtype:
            return opened[0]
        return np.concatenate([np.asarray(x, dtype=self.dtype) for x in opened])

    def identity(self) -> str:
        """See `Rows`."""
        return " ".join(piece.identity() for piece in self.pieces)


def is_rows(x: Any) -> bool:
    """Whether x is a description of rows already."""
    return hasattr(x, "between") and hasattr(x, "open")


def rows_of(x: Array | Rows) -> Rows:
    """Return an array (m, d) as rows that can be opened in part."""
    if not isinstance(x, np.ndarray):
        return x
    # A map with private changes is not what its file holds.
    if isinstance(x, np.memmap) and x.filename and x.mode != "c" and x.flags.c_contiguous:
        pages = np.frombuffer(getattr(x, "_mmap"), np.uint8)  # noqa: B009  # x may be a view that starts later
        first = x.offset - x.offset % mmap.ALLOCATIONGRANULARITY
        offset = first + _address(x) - _address(pages)
        return MappedRows(Path(x.filename).resolve(), x.dtype, (x.shape[0], x.shape[1]), offset)
    return ArrayRows(x)


def _address(x: Array) -> int:
    return int(x.__array_interface__["data"][0])
