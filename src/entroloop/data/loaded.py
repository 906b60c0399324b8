"""Whatever a path leads to as the data of a study: all that `load` takes, in one source."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import numpy as np
from pydantic import Field

from entroloop.data.images import Prepared
from entroloop.data.loading import read_set
from entroloop.data.sets import LABEL
from entroloop.errors import InputError
from entroloop.samples import RealData, check_rows


class Loaded(Prepared):
    """Settings: what to load.

    path: a file, folder or pattern, hub:ID[:SPLIT[:CONFIG]], or a list of files, as docs/loading.md
    has them. column: the columns that hold the rows, where others would be taken. files: a pattern
    for the names in a folder. label: a column of classes; `label` is taken where there is one.
    """

    source: Literal["load"] = "load"
    path: str | list[str] = Field(min_length=1)
    column: list[str] | None = None
    files: str = "*"

    def load(self) -> RealData:
        """Return vectors (n, d), or uint8 images (n, h, w, 1 or 3), with labels 0, 1, … in name
        order.

        Raises InputError for what `load` refuses, and for rows that are NaN or infinite.
        """
        several = isinstance(self.path, list)
        found = read_set(
            [Path(p) for p in self.path] if several else Path(str(self.path)).expanduser(),
            "data",
            strict=self.strict,
            columns=None if self.label in (None, LABEL) else [self.label],
            column=self.column,
            files=self.files,
            change=self.change,
        )
        data = np.asarray(found.data)
        check_rows(data, "data.path", minimum=2)
        if data.ndim == 2 and data.dtype.kind in "iu":
            data = data.astype(np.float32)
        if data.ndim != 2 and (data.ndim != 4 or data.dtype != np.uint8):
            raise InputError(
                "data.path holds neither vectors (n, d) nor uint8 images (n, h, w, 1 or 3), but "
                f"{data.dtype} of shape {data.shape}"
            )
        labels = None if self.label is None else found.columns.get(self.label)
        return self.real(data, labels, found.skipped)
