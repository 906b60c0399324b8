"""What a training loop holds, as rows: vectors as they are, images as uint8 (n, h, w, c)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from entroloop.data.inputs.arrays import as_array
from entroloop.errors import InputError
from entroloop.samples import Array, check_rows

CHANNELS = (1, 3)  # grey, colour
OUTSIDE = 0.1  # share of values outside a range, beyond which the range cannot be meant


@dataclass(frozen=True)
class RowFormat:
    """How images are held where that is not plain: see `Monitor`."""

    values: tuple[float, float] | None = None
    channels: str | None = None

    def __post_init__(self) -> None:
        if self.channels not in (None, "first", "last"):
            raise InputError(f"channels must be 'first' or 'last'; got '{self.channels}'")
        if self.values is not None and not (
            len(self.values) == 2 and self.values[0] < self.values[1]
        ):
            raise InputError(f"values must be (lowest, highest), such as (-1, 1): {self.values}")

    def rows(self, given: Any, name: str) -> Array:
        """Return vectors (n, d) with their dtype, or uint8 images (n, h, w, c).

        Raises InputError for what cannot be read, and where range or layout are not clear.
        """
        x = _numbers(given, name)
        if x.ndim < 3:
            check_rows(x, name)
            return x
        return self._levels(self._laid_out(x, name), name)

    def _laid_out(self, x: Array, name: str) -> Array:
        """Return images with their channels last."""
        if x.ndim == 3:
            return x[..., None]
        first, last = x.ndim == 4 and x.shape[1] in CHANNELS, x.shape[-1] in CHANNELS
        if x.ndim != 4 or not (first or last):
            raise InputError(
                f"{name} are no images, (n, h, w, 1 or 3) or (n, 1 or 3, h, w): shape {x.shape}; "
                "flatten other rows: x.reshape(len(x), -1)"
            )
        if first and last and self.channels is None:
            raise InputError(
                f"{name} of shape {x.shape} may have their channels first or last; say "
                "channels='first' or 'last'"
            )
        moved = first and (not last or self.channels == "first")
        return x.transpose(0, 2, 3, 1) if moved else x

    def _levels(self, x: Array, name: str) -> Array:
        """Return images as grey levels 0..255, uint8."""
        if x.dtype == np.uint8:
            return np.ascontiguousarray(x)
        if x.dtype.kind != "f":
            raise InputError(f"{name} are images of dtype {x.dtype}; give uint8 or floats")
        if self.values is None:
            raise InputError(
                f"{name} are images of floats in {x.min():.3g} … {x.max():.3g}: say which range "
                "they have, values=(0, 1) or values=(-1, 1); or flatten them if they are no images"
            )
        check_rows(x, name)
        self._check_range(x, name)
        low, high = self.values
        levels = (x.astype(np.float64) - low) * (255 / (high - low))
        found: Array = np.rint(levels.clip(0, 255)).astype(np.uint8)
        return found

    def _check_range(self, x: Array, name: str) -> None:
        assert self.values is not None
        low, high = self.values
        margin = 0.05 * (high - low)
        outside = float(((x < low - margin) | (x > high + margin)).mean())
        reach = f"{name} reach from {x.min():.3g} to {x.max():.3g}"
        if outside > OUTSIDE:
            raise InputError(
                f"{outside:.0%} of the values lie outside values=({low:g}, {high:g}): {reach}; "
                "name their range, or clip them"
            )
        if low < 0 <= x.min() and x.max() <= 1 < 2 * high:
            raise InputError(
                f"no value is below 0 with values=({low:g}, {high:g}): {reach}; is it (0, 1)?"
            )


def _numbers(given: Any, name: str) -> Array:
    """Return whatever holds numbers, lists of PIL images among them, as an array."""
    if isinstance(given, (list, tuple)) and given and hasattr(given[0], "getbands"):
        shapes = {(image.size, image.mode) for image in given}
        if len(shapes) > 1:
            raise InputError(f"images of one size and mode are needed; got {sorted(shapes)[:3]}")
        given = np.stack([np.asarray(image) for image in given])
    x = as_array(given, name)
    if x.dtype.kind not in "fiu":
        raise InputError(f"{name} must be numbers; got dtype {x.dtype}, shape {x.shape}")
    return x
