"""Arrays in .npy and .npz files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from entroloop.data.arrays import read_array
from entroloop.data.inputs.images import prepared
from entroloop.data.sets import Asked, FileSet
from entroloop.errors import InputError


def is_array_file(thing: Any) -> bool:
    """Whether it is the path of a .npy or .npz file."""
    return isinstance(thing, Path) and thing.suffix in (".npy", ".npz") and thing.is_file()


def read_array_file(path: Path, asked: Asked) -> FileSet:
    """Return the rows of a .npy or .npz file; `column` names the array of a .npz file."""
    data = read_array(path, asked.column[0] if asked.column else None)
    if data.ndim == 3 and data.dtype == np.uint8:
        data = data[..., None]
    if data.ndim not in (2, 4) or data.dtype.kind not in "fiu":
        raise InputError(
            f"{path} must hold rows (n, d), or images (n, h, w[, c]) uint8; got {data.shape}, "
            f"{data.dtype}"
        )
    if data.dtype.kind in "iu" and data.dtype != np.uint8:
        data = data.astype(np.float64)
    return prepared(FileSet.of_rows(asked.name, data), asked, str(path))
