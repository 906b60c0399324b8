"""Tar shards in the WebDataset layout: KEY.png (or .jpg, .webp) beside KEY.cls."""

from __future__ import annotations

from fnmatch import fnmatch
from pathlib import Path
from typing import Literal

import numpy as np
from pydantic import Field

from entroloop.data.image_stream import read_images
from entroloop.data.images import Prepared
from entroloop.data.inputs.tars import Members, as_labels, refuse_missing
from entroloop.errors import InputError
from entroloop.samples import RealData


class WebDataset(Prepared):
    """Settings: the location of the tar shards.

    path: a .tar file, or a folder of them. files: a pattern for their names. label: the extension
    of the files that hold class numbers as text; null if there are none.
    """

    source: Literal["webdataset"] = "webdataset"
    path: str
    files: str = "*.tar"
    label: str | None = Field(default="cls")

    def load(self) -> RealData:
        """Return uint8 images (n, h, w, 1 or 3) in the order of the shards.

        Raises InputError for a missing or broken shard, or an image without a label.
        """
        path = Path(self.path).expanduser()
        shards = [path] if path.is_file() else sorted(p for p in path.rglob("*") if p.is_file())
        shards = [p for p in shards if p == path or fnmatch(p.name, self.files)]
        if not shards:
            raise InputError(f"data.path {self.path}: there is no shard named {self.files}")
        members = Members(shards, self.label)
        read = read_images(members.images(), self.strict, str(path), self.change)
        assert isinstance(read.data, np.ndarray)
        if self.label is None:
            return self.real(read.data, None, read.skipped)
        names = [members.names[i] for i in read.kept]
        refuse_missing(names, members.classes, self.label)
        labels = as_labels([members.classes[name] for name in names])
        return self.real(read.data, labels, read.skipped)
