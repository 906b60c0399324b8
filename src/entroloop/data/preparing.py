"""What becomes of an image before sizes are compared: cropping, resizing, grey or colour."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from entroloop.errors import InputError, unknown_name
from entroloop.samples import Array

Filter = Literal["nearest", "box", "bilinear", "hamming", "bicubic", "lanczos"]
MODES = {"rgb": "colour", "grey": "grey"}  # as users ask for them


@dataclass(frozen=True)
class Preparation:
    """How images are brought to one size and one mode.

    resize: the new height and width, after cropping the centre to a square. filter: the name of a
    Pillow filter. mode: grey or colour. None leaves images as they are.
    """

    resize: int | None = None
    filter: Filter = "lanczos"
    mode: Literal["grey", "colour"] | None = None

    def __bool__(self) -> bool:
        return self.resize is not None or self.mode is not None

    def __call__(self, image: Array) -> Array:
        """Return a uint8 image (h, w, c) prepared."""
        if self.resize is not None:
            image = cropped_and_resized(image, self.resize, self.filter)
        if self.mode == "grey" and image.shape[2] == 3:
            from PIL import Image

            image = np.asarray(Image.fromarray(image).convert("L"))[..., None]
        if self.mode == "colour" and image.shape[2] == 1:
            image = image.repeat(3, axis=2)
        return image


def preparation(resize: int | None, mode: str | None) -> Preparation:
    """Return what `--resize` and `--mode` ask for.

    Raises InputError for a size below 1 or an unknown mode.
    """
    if mode is not None and mode not in MODES:
        raise unknown_name("mode", mode, MODES)
    if resize is not None and (isinstance(resize, bool) or resize < 1):
        raise InputError(f"resize must be a number of pixels, at least 1; got {resize}")
    return Preparation(resize, mode=None if mode is None else MODES[mode])  # type: ignore[arg-type]


def cropped_and_resized(image: Array, size: int, filter_name: str) -> Array:
    """Return the centre square of a uint8 image (h, w, c), resized to size × size by Pillow."""
    from PIL import Image

    height, width = image.shape[:2]
    side = min(height, width)
    top, left = (height - side) // 2, (width - side) // 2
    square = image[top : top + side, left : left + side]
    if side == size:
        return square
    kind = Image.Resampling[filter_name.upper()]
    grey = square.shape[2] == 1
    opened = Image.fromarray(square[..., 0] if grey else square)
    pixels = np.asarray(opened.resize((size, size), kind))
    return pixels[..., None] if grey else pixels
