"""Tar shards in the WebDataset layout: KEY.png (or .jpg, .webp) beside KEY.cls."""

from __future__ import annotations

import re
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from entroloop.data.decoding import IMAGE_SUFFIXES
from entroloop.data.image_stream import read_images
from entroloop.data.names import printable
from entroloop.data.reading import reading
from entroloop.data.sets import LABEL, MADE_BY, Asked, FileSet
from entroloop.errors import InputError
from entroloop.samples import Array

CLASSES = "cls"  # the ending of files that hold class numbers as text


def is_tar(thing: Any) -> bool:
    """Whether it is the path of a tar file."""
    return isinstance(thing, Path) and thing.suffix == ".tar"


def read_tar(path: Path, asked: Asked) -> FileSet:
    """Return the images of one shard."""
    return read_tars([path], asked)


def read_tars(shards: list[Path], asked: Asked) -> FileSet:
    """Return the images of shards in their order; label: what the .cls files hold."""
    members = Members(shards, CLASSES)
    where = str(shards[0])
    read = read_images(
        members.images(), asked.strict, where, asked.change, mixed=asked.mixed, look=asked.look
    )
    has_labels = bool(members.classes)
    kept = asked.kept([LABEL, MADE_BY] if has_labels else [MADE_BY], where)
    columns: dict[str, Array] = {}
    if LABEL in kept and has_labels:
        whole = [members.classes.get(name, "") for name in members.names]
        columns[LABEL] = as_labels(whole)
    ids = [printable(name) for name in members.names]
    remarks = {}
    if members.without_end:
        remarks = {"shards without the end of a tar file, cut perhaps": members.without_end}
    return FileSet.of_images(asked.name, read, ids, columns=columns, remarks=remarks)


@dataclass
class Members:
    """The images of shards and their classes, collected while the images are read.

    shards: tar files. ending: of the files that hold classes, or None. names: SHARD/KEY of each
    image. classes: by the same name. without_end: how many shards lack a tar's last blocks.
    """

    shards: list[Path]
    ending: str | None
    names: list[str] = field(default_factory=list)
    classes: dict[str, str] = field(default_factory=dict)
    without_end: int = 0

    def images(self) -> Iterator[tuple[str, bytes]]:
        """Yield name and content of each image.

        Raises InputError for a missing or broken shard.
        """
        for shard in self.shards:
            with reading(shard, "tar shard"), tarfile.open(shard) as tar:
                for member in tar:
                    file = tar.extractfile(member) if member.isfile() else None
                    if file is None:
                        continue
                    key, _, ending = f"{shard.name}/{member.name}".rpartition(".")
                    if f".{ending.lower()}" in IMAGE_SUFFIXES:
                        self.names.append(key)
                        yield key, file.read()
                    elif ending == self.ending:
                        self.classes[key] = file.read().decode().strip()
                assert tar.fileobj is not None
                tar.fileobj.seek(tar.offset)
                self.without_end += not tar.fileobj.read(tarfile.BLOCKSIZE)


def as_labels(found: list[str]) -> Array:
    """Return the texts of classes, as whole numbers where all are."""
    whole = all(re.fullmatch(r"-?[0-9]{1,18}", text) for text in found)
    return np.array([int(text) for text in found] if whole else found)


def refuse_missing(names: list[str], classes: dict[str, str], ending: str) -> None:
    """Refuse images without a class beside them."""
    missing = [name for name in names if name not in classes]
    if missing:
        raise InputError(
            f"image {missing[0]} has no .{ending} file beside it ({len(missing)} in all); "
            "set data.label, or null if there are no labels"
        )
