"""Decoding of images to arrays: which are decoded, rejected or skipped."""

from __future__ import annotations

import io
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from entroloop.errors import InputError, one_line
from entroloop.samples import Array

IMAGE_SUFFIXES = {".png", ".jpg", ".jpeg", ".webp", ".bmp", ".tif", ".tiff", ".gif"}
# What is decoded, whatever a file is called: others of the formats that Pillow knows start programs
# (EPS), or are read by code that few people look at.
FORMATS = ("PNG", "JPEG", "WEBP", "BMP", "TIFF", "GIF")
ORIENTATION = 0x0112  # EXIF tag
LARGEST_IMAGE = 50_000_000  # pixels; anything larger counts as a decompression bomb
Change = Callable[[Array], Array]  # of one image (h, w, c) uint8


@dataclass
class DecodedImages:
    """Images of one size, the indices of their items, and why the others were skipped, by name.

    remarks: what a reader may not expect of those that were kept, with how many.
    """

    data: Array
    kept: list[int]
    skipped: dict[str, str]
    remarks: dict[str, int]


def read_images(
    items: Iterator[tuple[str, bytes]], strict: bool, where: str, change: Change | None
) -> DecodedImages:
    """Decode items (name, content) to images with the same size and number of channels.

    Raises InputError for mixed sizes, no readable image or, with `strict`, any corrupt image.
    """
    rows: list[Array] = []
    kept, skipped = [], {}
    remarks: Counter[str] = Counter()
    for i, (name, content) in enumerate(items):
        try:
            image, told = decode(content)
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
        remarks.update(told)
    if not rows:
        name, reason = next(iter(skipped.items()), ("", "there are none"))
        raise InputError(
            f"{where}: none of the images could be read ({len(skipped)} are corrupt); the first: "
            f"{one_line(name, 80)}, {reason}"
        )
    return DecodedImages(np.stack(rows), kept, skipped, dict(remarks))


def decode(content: bytes) -> tuple[Array, list[str]]:
    """Decode an image to uint8, (h, w, 1) if it is grey, else (h, w, 3), with remarks on it."""
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
        remarks = _remarks(image)
        if image.mode.startswith("I;16"):
            deep = np.asarray(image).astype(np.uint16) >> 8
            return deep.astype(np.uint8)[..., None], [*remarks, "16 bits a value: the upper 8 kept"]
        grey = image.mode in ("1", "L", "LA", "La")
        pixels = np.asarray(image.convert("L" if grey else "RGB"))
    return pixels[..., None] if grey else pixels, remarks


def _remarks(image: Any) -> list[str]:
    """Return what is in an opened image file and not in the pixels that are taken."""
    found = []
    if getattr(image, "n_frames", 1) > 1:
        found.append("several frames: the first is taken")
    if image.getexif().get(ORIENTATION, 1) != 1:
        found.append("EXIF rotation: not applied")
    if "A" in image.getbands() or "transparency" in image.info:
        found.append("transparency: dropped")
    return found


def _size(image: Array) -> str:
    kind = "grey" if image.shape[2] == 1 else "colour"
    return f"{image.shape[1]} × {image.shape[0]} {kind}"
