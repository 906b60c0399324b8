"""Data sets of torch: whatever has a length and gives samples by index."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from entroloop.data.image_stream import read_images
from entroloop.data.inputs.arrays import as_array
from entroloop.data.inputs.images import is_image, prepared
from entroloop.data.inputs.type_names import is_a
from entroloop.data.sets import LABEL, Asked, FileSet, named
from entroloop.errors import InputError, with_kind
from entroloop.samples import Array


def is_torch_dataset(thing: Any) -> bool:
    """Whether it is a `torch.utils.data.Dataset` with a length."""
    return is_a(thing, "torch.Dataset") and hasattr(thing, "__len__")


def read_torch_dataset(thing: Any, asked: Asked) -> FileSet:
    """Return the samples of a data set: what it gives, or the first of what it gives.

    Of (x, y, …) x is the sample and a whole number y its label, of a dict the entry `column`.
    Images of Pillow, and uint8 tensors (c, h, w), become images, everything else vectors.
    """
    where, n = asked.name, len(thing)
    if n == 0:
        raise InputError(f"{where} holds no samples")
    labels: list[Any] = []

    def sample(i: int) -> Any:
        try:
            given = thing[i]
        except Exception as error:  # of the user's own code
            raise InputError(f"{where}: sample {i} failed: {with_kind(error, 120)}") from None
        x, label = _sample_and_label(given, asked, where)
        labels.append(label)
        return _pixels(x, where)

    first = sample(0)
    if is_image(first):
        items = ((str(i), first if i == 0 else sample(i)) for i in range(n))
        read = read_images(items, asked.strict, where, asked.change, total=n, mixed=asked.mixed)
        ids = [str(i) for i in range(n)]
        return FileSet.of_images(asked.name, read, ids, columns=_columns(labels, asked, where))
    rows = np.empty((n, *first.shape), dtype=first.dtype)
    rows[0] = first
    for i in range(1, n):
        row = sample(i)
        if np.shape(row) != first.shape:
            raise InputError(
                f"{where}: sample {i} has shape {np.shape(row)}, sample 0 {first.shape}; give "
                "samples of one shape"
            )
        rows[i] = row
    plain = replace(asked, columns=None)  # they come from the samples
    found = prepared(FileSet.of_rows(asked.name, rows), plain, where)
    found.columns = _columns(labels, asked, where)
    return found


def _sample_and_label(given: Any, asked: Asked, where: str) -> tuple[Any, Any]:
    if isinstance(given, dict):
        name = asked.column[0] if asked.column else None
        if name not in given:
            raise InputError(
                f"{where} gives dicts of {named(list(map(str, given)))}; name the entry that holds "
                "the samples: column="
            )
        return given[name], given.get(LABEL)
    if isinstance(given, list | tuple) and len(given) > 0:
        return given[0], given[1] if len(given) > 1 else None
    return given, None


def _pixels(x: Any, where: str) -> Any:
    """Return a sample as an image where it is one, else as an array."""
    if is_image(x):
        return x
    array = as_array(x, where)
    if is_a(x, "torch.Tensor") and is_image(array) and array.ndim == 3:
        if array.shape[0] in (1, 3):
            return np.moveaxis(array, 0, 2)
        if array.shape[2] not in (1, 3):
            return array.reshape(-1)
    return array


def _columns(labels: list[Any], asked: Asked, where: str) -> dict[str, Array]:
    plain = [None if x is None else as_array(x, where) for x in labels]
    whole = all(x is not None and x.ndim == 0 and x.dtype.kind in "iu" for x in plain)
    kept = asked.kept([LABEL] if whole else [], where)
    return {LABEL: np.array([int(x) for x in plain if x is not None])} if kept else {}
