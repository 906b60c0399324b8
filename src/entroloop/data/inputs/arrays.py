"""Arrays in memory: of NumPy, torch, JAX, CuPy and whatever speaks DLPack or NumPy's protocol."""

from __future__ import annotations

from typing import Any

import numpy as np

from entroloop.data.inputs.images import prepared
from entroloop.data.inputs.type_names import is_a
from entroloop.data.sets import Asked, FileSet
from entroloop.errors import InputError, one_line
from entroloop.samples import Array
from entroloop.system.devices import in_main_memory

PROTOCOLS = ("__array__", "__array_interface__", "__dlpack__")


def is_array(thing: Any) -> bool:
    """Whether it is an array, or a sequence of numbers."""
    if isinstance(thing, list | tuple | range):
        return True
    return any(hasattr(thing, name) for name in PROTOCOLS)


def read_array_in_memory(thing: Any, asked: Asked) -> FileSet:
    """Return the rows of an array."""
    data = as_array(thing, asked.name)
    if data.ndim == 0:
        raise InputError(f"{asked.name} is a single number; give rows (n, d)")
    return prepared(FileSet.of_rows(asked.name, data), asked, asked.name)


def as_array(thing: Any, where: str) -> Array:
    """Return an array of NumPy, sharing memory where that is possible; bfloat16 becomes float32.

    What lies on a GPU is copied: decisions are made in float64 on the stored rows, in main memory.

    Raises InputError for what holds no plain numbers.
    """
    if isinstance(thing, np.ndarray):
        return thing
    try:
        if is_a(thing, "torch.Tensor"):
            thing = thing.detach().cpu()
            found: Array = (thing.float() if _is_bfloat16(thing) else thing).numpy()
            return found
        if hasattr(thing, "__dlpack__") and not hasattr(thing, "__array__"):
            return in_main_memory(thing)
        try:
            found = np.asarray(thing)
        except TypeError:  # of CuPy: it converts nothing unasked
            if not hasattr(thing, "__dlpack__"):
                raise
            found = in_main_memory(thing)
    except (ValueError, TypeError, RuntimeError, BufferError, ImportError) as error:
        raise InputError(
            f"{where} cannot be read as an array of numbers: {one_line(error, 120)}"
        ) from None
    return found.astype(np.float32) if _is_bfloat16(found) else found


def _is_bfloat16(array: Any) -> bool:
    return str(array.dtype).endswith("bfloat16")
