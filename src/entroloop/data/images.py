"""Images in files: parquet files in the Hub's layout, and folders of image files."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from entroloop.data.loading import read_set
from entroloop.data.preparing import Filter, Preparation
from entroloop.errors import InputError
from entroloop.samples import Array, RealData


class Prepared(BaseModel):
    """Settings of image preparation.

    label: the column of class numbers (for folders: the subfolders, in name order); null if there
    is none. resize: the new height and width, after cropping the centre to a square. filter: the
    name of a Pillow filter. mode: grey or colour; null leaves images as they are. limit: use only
    this many rows, from the first. strict: fail on a corrupt image instead of skipping and counting
    it.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)
    n_train: int = Field(ge=2)
    n_reference: int = Field(ge=2)
    label: str | None = "label"
    resize: int | None = Field(default=None, ge=1)
    filter: Filter = "lanczos"
    mode: Literal["grey", "colour"] | None = None
    limit: int | None = Field(default=None, ge=4)
    strict: bool = False

    @property
    def change(self) -> Preparation:
        """What becomes of each image."""
        return Preparation(self.resize, self.filter, self.mode)

    def real(self, data: Array, labels: Array | None, skipped: dict[str, str]) -> RealData:
        """Return the images, with labels numbered in name order."""
        numbers = None
        if labels is not None:
            if any(label is None or label != label for label in labels.tolist()):  # or NaN
                raise InputError("some labels are null; set data.label to null, or complete them")
            numbers = np.unique(labels, return_inverse=True)[1].astype(np.int64)[: self.limit]
        return RealData(data[: self.limit], numbers, skipped=skipped)


class Files(Prepared):
    """Settings: the location of the images.

    path: a file or folder. files: a file name pattern, for folders that contain several splits.
    """

    path: str
    files: str = "*"

    def load(self) -> RealData:
        """Return uint8 images (n, h, w, 1 or 3), with labels 0, 1, … in name order."""
        columns = [self.label] if self.label else []
        found = read_set(
            Path(self.path).expanduser(),
            "data",
            strict=self.strict,
            columns=columns,
            files=self.files,
            change=self.change,
        )
        if found.data.ndim != 4:
            raise InputError(f"data.path {self.path} holds vectors, not images; use source arrays")
        labels = None if self.label is None else found.columns[self.label]
        return self.real(found.data, labels, found.skipped)


class Parquet(Files):
    """Image structs in parquet files, as the Hub stores them."""

    source: Literal["parquet"] = "parquet"


class Folder(Files):
    """A folder of image files; subfolders are classes."""

    source: Literal["folder"] = "folder"
