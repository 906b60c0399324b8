"""Arrays in .npy and .npz files; nothing is unpickled."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from entroloop.data.reading import reading, refuse_larger_than_memory
from entroloop.errors import InputError
from entroloop.samples import Array, RealData, check_rows


class Arrays(BaseModel):
    """Settings: the location of the rows.

    path: .npy, or .npz with `key` (default: the only array, or `data`, `x`, `images`). labels:
    a .npy file, or a key of the .npz. image_shape: the shape in which to display a row.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)
    source: Literal["arrays"] = "arrays"
    path: str
    n_train: int = Field(ge=2)
    n_reference: int = Field(ge=2)
    key: str | None = None
    labels: str | None = None
    image_shape: tuple[int, ...] | None = None

    def load(self) -> RealData:
        """Return the rows: (n, d) float, or (n, h, w[, c]) uint8 images."""
        data = read_array(Path(self.path), self.key)
        if data.ndim == 3 and data.dtype == np.uint8:
            data = data[..., None]
        check_rows(data, self.path, minimum=2)
        if data.ndim == 2 and data.dtype.kind in "iu":
            data = data.astype(np.float32)
        if data.ndim > 2 and data.dtype != np.uint8:
            raise InputError(
                f"{self.path} holds images of dtype {data.dtype}; images are uint8 in 0..255: "
                "convert them, or flatten each to a vector"
            )
        if self.image_shape and math.prod(self.image_shape) != math.prod(data.shape[1:]):
            raise InputError(
                f"data.image_shape {list(self.image_shape)} does not hold the "
                f"{math.prod(data.shape[1:])} values of a row of {self.path}"
            )
        return RealData(data, self._labels(len(data)), self.image_shape)

    def _labels(self, n: int) -> Array | None:
        if self.labels is None:
            return None
        if self.labels.endswith(".npy"):
            labels = read_array(Path(self.labels), None)
        else:
            labels = read_array(Path(self.path), self.labels)
        if labels.shape != (n,) or labels.dtype.kind not in "iu":
            raise InputError(
                f"data.labels must be {n} whole numbers; got {labels.shape}, {labels.dtype}"
            )
        return labels.astype(np.int64)


def read_array(path: Path, key: str | None) -> Array:
    """Return an array from a .npy file (memory-mapped) or a .npz file.

    Raises InputError for a file that is missing, broken, pickled or lacks the key.
    """
    with reading(path, ".npy or .npz file"):
        try:
            if path.suffix == ".npy":
                array: Array = np.load(path, mmap_mode="r", allow_pickle=False)
                return array
            with path.open("rb") as file:
                return _member(np.load(file, allow_pickle=False), path, key)
        except ValueError as error:
            if "pickle" in str(error).lower() or "object" in str(error).lower():
                raise InputError(
                    f"{path} holds pickled Python objects, which are never loaded; "
                    "save a plain numeric array with numpy.save(path, array)"
                ) from None
            raise


def _member(archive: Any, path: Path, key: str | None) -> Array:
    """Return one array of an open .npz file."""
    if isinstance(archive, np.ndarray):
        return archive
    names = archive.files
    if key is None:
        likely = [name for name in ("data", "x", "images") if name in names]
        key = names[0] if len(names) == 1 else likely[0] if likely else None
    if key is None or key not in names:
        raise InputError(f"{path} has the arrays {', '.join(names)}; name one (key)")
    sizes = {info.filename: info.file_size for info in archive.zip.infolist()}
    refuse_larger_than_memory(path, sizes.get(f"{key}.npy", 0))
    found = archive[key]
    if not isinstance(found, np.ndarray):  # a member that is no .npy file comes as its bytes
        raise InputError(f"{path}: {key} is no array")
    return found
