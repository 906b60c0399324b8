"""Images in memory: lists of Pillow's images or of arrays, and arrays of images."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from entroloop.data.image_stream import read_images
from entroloop.data.inputs.type_names import is_a
from entroloop.data.sets import Asked, FileSet
from entroloop.errors import InputError


def is_list_of_images(thing: Any) -> bool:
    """Whether it is a list of Pillow's images, or of uint8 arrays (h, w[, c])."""
    return isinstance(thing, list | tuple) and len(thing) > 0 and is_image(thing[0])


def is_image(thing: Any) -> bool:
    """Whether it is an image: of Pillow, or an array of pixels."""
    if isinstance(thing, np.ndarray):
        return thing.dtype == np.uint8 and thing.ndim in (2, 3)
    return is_a(thing, "PIL.Image")


def read_image_list(images: Sequence[Any], asked: Asked) -> FileSet:
    """Return a list of images as a set."""
    ids = [str(i) for i in range(len(images))]
    read = read_images(
        zip(ids, images, strict=True), asked.strict, asked.name, asked.change,
        total=len(images), mixed=asked.mixed,
    )  # fmt: skip
    asked.kept([], asked.name)
    return FileSet.of_images(asked.name, read, ids)


def prepared(found: FileSet, asked: Asked, where: str) -> FileSet:
    """Return a set of an array with its images changed as asked; refuse columns it cannot have."""
    asked.kept([], where)
    if asked.change is None:
        return found
    data = found.data
    if data.ndim != 4 or data.dtype != np.uint8:
        asked.refuse_image_options(where)
    if data.shape[3] not in (1, 3):
        raise InputError(f"{where} holds images of {data.shape[3]} channels; give 1 or 3, last")
    items = ((str(i), np.asarray(image)) for i, image in enumerate(data))
    found.data = read_images(items, True, where, asked.change, total=len(data)).data
    return found
