"""Data sets from the Hugging Face Hub, loaded with the datasets library."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Literal

import numpy as np

from entroloop.data.image_stream import read_images
from entroloop.data.images import Prepared
from entroloop.data.inputs.hugging_face import library, loaded
from entroloop.errors import InputError
from entroloop.samples import RealData


class Hub(Prepared):
    """Settings: the data set.

    id: as on the Hub, such as ylecun/mnist. config: one of the data set's configurations. revision:
    a commit, for repeatable results. The image column is found by its type.
    """

    source: Literal["hub"] = "hub"
    id: str
    split: str = "train"
    config: str | None = None
    revision: str | None = None

    def load(self) -> RealData:
        """Return uint8 images (n, h, w, 1 or 3), which datasets downloads once.

        Raises InputError if datasets is not installed, or the data set cannot be loaded or lacks
        images or the label.
        """
        where = f"data.id {self.id}"
        table = loaded(self.id, self.config, self.split, self.revision, where)
        datasets = library()
        column = next(
            (c for c, kind in table.features.items() if isinstance(kind, datasets.Image)), None
        )
        if column is None:
            raise InputError(f"{where} has no image column; it has {table.column_names}")
        if self.label is not None and self.label not in table.column_names:
            raise InputError(
                f"{where} has no column '{self.label}'; it has "
                f"{', '.join(table.column_names)}: set data.label"
            )
        cells = table.cast_column(column, datasets.Image(decode=False))[column]
        read = read_images(_contents(cells), self.strict, self.id, self.change, total=len(table))
        assert isinstance(read.data, np.ndarray)
        labels = None if self.label is None else np.asarray(table[self.label])[read.kept]
        return self.real(read.data, labels, read.skipped)


def _contents(cells: Any) -> Iterator[tuple[str, bytes]]:
    for i, cell in enumerate(cells):
        yield str(i), (cell or {}).get("bytes") or b""
