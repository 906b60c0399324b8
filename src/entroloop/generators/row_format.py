"""Conversion of rows to the flat float vectors that vector generators use, and back."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from entroloop.errors import InputError
from entroloop.samples import Array, as_vectors, check_rows


@dataclass(frozen=True)
class RowFormat:
    """Shape and dtype of one stored row; uint8 values map to [−1, 1] and back."""

    shape: tuple[int, ...]
    dtype: str

    @classmethod
    def of(cls, data: Array) -> RowFormat:
        """Return the format of these rows; reject rows that cannot be trained on."""
        check_rows(data, "the training set", minimum=2)
        return cls(tuple(data.shape[1:]), str(data.dtype))

    def encode(self, data: Array, dtype: type = np.float32) -> Array:
        """Return rows as float vectors (n, d)."""
        vectors: Array = as_vectors(np.asarray(data)).astype(dtype)
        return vectors / 127.5 - 1 if self.dtype == "uint8" else vectors

    def decode(self, vectors: Array) -> Array:
        """Return float vectors as rows of the stored shape and dtype."""
        if not np.isfinite(vectors).all():
            raise InputError(
                "the model made NaN or infinite samples: its training diverged; "
                "lower the learning rate (generator.lr)"
            )
        if self.dtype == "uint8":
            vectors = np.clip(np.rint((vectors + 1) * 127.5), 0, 255)
        return vectors.astype(self.dtype).reshape(-1, *self.shape)


def write_settings(folder: Path, row_format: RowFormat, **settings: object) -> None:
    """Write model.json; `told`: numbers that enter the records of a study."""
    content = {"shape": list(row_format.shape), "dtype": row_format.dtype, **settings}
    (folder / "model.json").write_text(json.dumps(content, indent=1, sort_keys=True), "utf-8")


def told_by(folder: Path) -> dict[str, float]:
    """Return what a saved model tells of itself for the records, by name; empty for most."""
    try:
        found: dict[str, float] = json.loads((folder / "model.json").read_text("utf-8")).get(
            "told", {}
        )
    except (OSError, ValueError, AttributeError):  # a plug-in's model is stored as it likes
        return {}
    return found


def read_row_format(folder: Path) -> RowFormat:
    """Read the row format from model.json."""
    content = json.loads((folder / "model.json").read_text("utf-8"))
    return RowFormat(tuple(content["shape"]), content["dtype"])
