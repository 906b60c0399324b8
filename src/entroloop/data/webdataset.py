"""Tar shards in the WebDataset layout: KEY.png (or .jpg, .webp) beside KEY.cls."""

from __future__ import annotations

import re
import tarfile
from fnmatch import fnmatch
from pathlib import Path
from typing import Literal

import numpy as np
from pydantic import Field

from entroloop.data.decoding import IMAGE_SUFFIXES, read_images
from entroloop.data.images import Prepared
from entroloop.data.reading import reading
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
        shards = [path] if path.is_file() else sorted(path.rglob("*"))
        shards = [p for p in shards if p == path or fnmatch(p.name, self.files)]
        if not shards:
            raise InputError(f"data.path {self.path}: there is no shard named {self.files}")
        images: list[tuple[str, bytes]] = []
        classes: dict[str, str] = {}
        for shard in shards:
            with reading(shard, "tar shard"), tarfile.open(shard) as tar:
                for member in tar:
                    file = tar.extractfile(member) if member.isfile() else None
                    if file is None:
                        continue
                    key, _, ending = f"{shard.name}/{member.name}".rpartition(".")
                    if f".{ending.lower()}" in IMAGE_SUFFIXES:
                        images.append((key, file.read()))
                    elif ending == self.label:
                        classes[key] = file.read().decode().strip()
        read = read_images(iter(images), self.strict, str(path), self.change)
        names = [images[i][0] for i in read.kept]
        return self.real(read.data, self._labels(names, classes), read.skipped)

    def _labels(self, names: list[str], classes: dict[str, str]) -> np.ndarray | None:
        if self.label is None:
            return None
        missing = [name for name in names if name not in classes]
        if missing:
            raise InputError(
                f"image {missing[0]} has no .{self.label} file beside it ({len(missing)} in all); "
                "set data.label, or null if there are no labels"
            )
        found = [classes[name] for name in names]
        whole = all(re.fullmatch(r"-?[0-9]{1,18}", text) for text in found)
        return np.array([int(text) for text in found] if whole else found)
