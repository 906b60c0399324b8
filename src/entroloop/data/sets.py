"""A set of rows as it was loaded, and what a caller may ask of its reader."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from entroloop.data.decoding import Change, Look
from entroloop.data.image_stream import DecodedImages
from entroloop.data.made_by import look_for_maker
from entroloop.errors import InputError, one_line
from entroloop.samples import Array
from entroloop.system.progress_line import Progress, no_progress

LABEL = "label"  # the column of classes: subfolders, .cls files, or a table's own
MADE_BY = "made_by"  # the column of what a file's metadata says of its origin


@dataclass
class FileSet:
    """Rows loaded from one source: a file, a folder, a table, an array.

    data: an array of rows (n, d) or of uint8 images (n, h, w, c), `MixedImages` where sizes differ
    and that was allowed, or (if lazy) rows that stay in their files. ids: one name per row. index:
    each row's index in the source, counting skipped rows. skipped: the reason for each skipped id.
    columns: extra columns of the source, for groups and weights. paths: the file of each row, if
    every row is a file. remarks: what one may not expect of what was read, with how many.
    """

    name: str
    data: Any
    ids: list[str]
    index: Array
    skipped: dict[str, str] = field(default_factory=dict)
    columns: dict[str, Array] = field(default_factory=dict)
    paths: list[Path] | None = None
    remarks: dict[str, int] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.ids)

    @classmethod
    def of_rows(
        cls, name: str, data: Any, columns: Mapping[str, Array] | None = None, **more: Any
    ) -> FileSet:
        """Return a set of rows that have no names of their own: they are numbered."""
        n = data.shape[0]
        ids = [str(i) for i in range(n)]
        return cls(name, data, ids, np.arange(n), columns=dict(columns or {}), **more)

    @classmethod
    def of_images(
        cls,
        name: str,
        read: DecodedImages,
        ids: Sequence[str],
        *,
        columns: Mapping[str, Array] | None = None,
        paths: Sequence[Path] | None = None,
        remarks: Mapping[str, int] | None = None,
    ) -> FileSet:
        """Return the images that were read, and what is known of each item for those alone."""
        kept = np.array(read.kept)
        own = {column: np.asarray(values)[kept] for column, values in (columns or {}).items()}
        if read.seen:
            own[MADE_BY] = np.array(read.seen)
        return cls(
            name,
            read.data,
            [ids[i] for i in read.kept],
            kept,
            read.skipped,
            own,
            None if paths is None else [paths[i] for i in read.kept],
            {**(remarks or {}), **read.remarks},
        )

    def keep(self, rows: Array) -> None:
        """Keep only these rows."""
        self.data = self.data[rows] if isinstance(self.data, np.ndarray) else self.data.take(rows)
        self.index = self.index[rows]
        self.ids = [self.ids[i] for i in rows]
        self.paths = None if self.paths is None else [self.paths[i] for i in rows]
        self.columns = {name: values[rows] for name, values in self.columns.items()}


@dataclass(frozen=True, kw_only=True)
class Asked:
    """What is asked of a reader.

    name: of the set, for messages. strict: refuse corrupt images instead of skipping them. columns:
    extra columns to keep, which must be there; None: the labels, where there are any. column: the
    column or columns that hold the data, where a reader would take another. files: a pattern that
    the names of a folder's files must match. change: applied to each image before sizes are
    compared. mixed: images may differ in size. lazy: leave embeddings in their parquet files.
    progress: of images, where their number is known.
    """

    name: str = "data"
    strict: bool = False
    columns: tuple[str, ...] | None = None
    column: tuple[str, ...] | None = None
    files: str = "*"
    change: Change | None = None
    mixed: bool = False
    lazy: bool = False
    progress: Progress = no_progress

    def wants(self, column: str) -> bool:
        """Return whether a column was asked for by its name."""
        return self.columns is not None and column in self.columns

    def kept(self, there: Sequence[str], where: str) -> list[str]:
        """Return which of a source's columns to keep beside the data.

        Raises InputError for one that is not there.
        """
        if self.columns is None:
            return [LABEL] if LABEL in there else []
        missing = [c for c in self.columns if c not in there]
        if missing:
            raise InputError(
                f"{where} has no column '{missing[0]}'; it has {named(there) or 'none'}"
            )
        return list(self.columns)

    @property
    def look(self) -> Look | None:
        """What is taken of each image file beside its pixels."""
        return look_for_maker if self.wants(MADE_BY) else None

    def refuse_image_options(self, where: str) -> None:
        """Refuse what only images can be asked for."""
        if self.change is not None:
            raise InputError(f"{where} holds vectors; --resize and --mode go with images")


def named(columns: Sequence[str]) -> str:
    """Return the first names of a table's columns, as a message can hold them."""
    names = ", ".join(one_line(name, 40) for name in columns[:20])
    return names + (f", … ({len(columns):,} in all)" if len(columns) > 20 else "")
