"""Decoding of images to arrays: which are decoded, rejected or skipped."""

from __future__ import annotations

import io
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from entroloop.errors import InputError, one_line
from entroloop.samples import Array

IMAGE_SUFFIXES = {".png", ".jpg", ".jpeg", ".webp", ".bmp", ".tif", ".tiff", ".gif"}
# What is decoded, whatever a file is called: others of the formats that Pillow knows start programs
# (EPS), or are read by code that few people look at.
FORMATS = ("PNG", "JPEG", "WEBP", "BMP", "TIFF", "GIF")
LARGEST_IMAGE = 50_000_000  # pixels; anything larger counts as a decompression bomb
Change = Callable[[Array], Array]  # of one image (h, w, c) uint8


@dataclass
class DecodedImages:
    """Images of one size, the indices of their items, and why the others were skipped, by name."""

    data: Array
    kept: list[int]
    skipped: dict[str, str]


def read_images(
    items: Iterator[tuple[str, bytes]], strict: bool, where: str, change: Change | None
) -> DecodedImages:
    """Decode items (name, content) to images with the same size and number of channels.

    Raises InputError for mixed sizes, no readable image or, with `strict`, any corrupt image.
    """
    rows: list[Array] = []
    kept, skipped = [], {}
    for i, (name, content) in enumerate(items):
        try:
            image = decode(content)
            image = image if change is None else change(image)
        except InputError as error:
            raise InputError(f"{where}, image {name}: {error}") from None
        except Exception as error:  # decoders raise all kinds on bytes that somebody changed
            if strict:
                reason = one_line(error, 160)
                raise InputError(f"{where}: image {name} cannot be read: {reason}") from None
            skipped[name] = one_line(error, 160) or type(error).__name__
            continue
        if rows and image.shape != rows[0].shape:
            raise InputError(
                f"{where}: image {name} is {_size(image)}, those before it {_size(rows[0])}; bring "
                "all to one size and one mode (grey or colour)"
            )
        rows.append(image)
        kept.append(i)
    if not rows:
        name, reason = next(iter(skipped.items()), ("", "there are none"))
        raise InputError(
            f"{where}: none of the images could be read ({len(skipped)} are corrupt); the first: "
            f"{one_line(name, 80)}, {reason}"
        )
    return DecodedImages(np.stack(rows), kept, skipped)


def decode(content: bytes) -> Array:
    """Decode an image to uint8, (h, w, 1) if it is grey, else (h, w, 3)."""
    from PIL import Image, UnidentifiedImageError

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)
        try:
            opened = Image.open(io.BytesIO(content), formats=FORMATS)
        except Image.DecompressionBombError as error:
            raise ValueError(f"looks like a bomb: {error}") from None
        except UnidentifiedImageError:  # its message contains a memory address
            known = ", ".join(FORMATS)
            raise ValueError(f"cannot identify image: it is none of {known}") from None
    with opened as image:
        if image.width * image.height > LARGEST_IMAGE:
            size = f"{image.width} × {image.height} pixels"
            raise ValueError(f"looks like a bomb: {size}, and {LARGEST_IMAGE:,} at most are read")
        if image.mode in ("I", "F"):
            raise ValueError(f"mode {image.mode} has no value range that maps to 0..255")
        if image.mode.startswith("I;16"):
            return (np.asarray(image).astype(np.uint16) >> 8).astype(np.uint8)[..., None]
        grey = image.mode in ("1", "L", "LA", "La")
        pixels = np.asarray(image.convert("L" if grey else "RGB"))
    return pixels[..., None] if grey else pixels


def _size(image: Array) -> str:
    kind = "grey" if image.shape[2] == 1 else "colour"
    return f"{image.shape[1]} × {image.shape[0]} {kind}"
