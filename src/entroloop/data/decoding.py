"""Decoding of one image to an array: what is decoded, what is rejected, what is remarked on."""

from __future__ import annotations

import io
import os
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from entroloop.data.plain_png import PlainPng
from entroloop.errors import InputError, one_line
from entroloop.samples import Array

IMAGE_SUFFIXES = {".png", ".jpg", ".jpeg", ".webp", ".bmp", ".tif", ".tiff", ".gif"}
# What is decoded, whatever a file is called: others of the formats that Pillow knows start programs
# (EPS), or are read by code that few people look at.
FORMATS = ("PNG", "JPEG", "WEBP", "BMP", "TIFF", "GIF")
ORIENTATION = 0x0112  # EXIF tag
LARGEST_IMAGE = 50_000_000  # pixels; anything larger counts as a decompression bomb
GREY = ("1", "L", "LA", "La")
COLOUR = ("RGB", "RGBA", "RGBa", "RGBX", "P", "PA")

Content = Any  # of an image: a file's path (text, too) or bytes, an image of Pillow, or an array
Item = tuple[str, Content]  # name and content
Change = Callable[[Array], Array]  # of one image (h, w, c) uint8
Look = Callable[[bytes], tuple[str, list[str]]]  # what a file says of itself, and remarks


class Decoded(NamedTuple):
    """What became of an item: its image and remarks on it, or None and the reason.

    seen: what the look at the file told.
    """

    image: Array | None
    remarks: list[str]
    seen: str = ""
    reason: str = ""


def decode(content: Content) -> tuple[Array, list[str]]:
    """Decode an image to uint8, (h, w, 1) if it is grey, else (h, w, 3), with remarks on it.

    Rotation by EXIF is applied. Raises ValueError for what is no image of 0..255 values, and
    whatever decoders raise on broken content.
    """
    if isinstance(content, np.ndarray):
        return _of_array(content), []
    if not isinstance(content, bytes | Path):
        return _pixels(content)
    content = content if isinstance(content, bytes) else _read(content)
    plain = PlainPng.of(content)
    found = None if plain is None else plain.pixels()
    if found is not None:
        return found, []
    with opened(content) as image:
        return _pixels(image)


def decoded_item(item: Item, change: Change | None, look: Look | None) -> Decoded:
    """Decode one item; what decoders raise becomes the reason for which it is skipped."""
    name, content = item
    try:
        if isinstance(content, Path | str):
            content = _read(content)
        image, remarks = decode(content)
        seen = ""
        if look is not None and isinstance(content, bytes):
            seen, more = look(content)
            remarks = remarks + more
        return Decoded(image if change is None else change(image), remarks, seen)
    except InputError as error:
        raise InputError(f"image {name}: {error}") from None
    except Exception as error:  # decoders raise all kinds on bytes that somebody changed
        return Decoded(None, [], reason=one_line(error, 160) or type(error).__name__)


def _read(path: Path | str) -> bytes:
    """Return what a file holds; a pipe or a device, which may never end, is refused."""
    # A path of pathlib, or a buffer, takes a part of the time that decoding takes.
    with open(path, "rb", buffering=0, opener=_at_once) as file:
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            raise ValueError("it is no file, but a pipe, a device or a folder")
        return file.read()


def _at_once(path: str, flags: int) -> int:
    """Open a file without waiting for whoever writes to it, where it is a pipe."""
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0))


def opened(content: bytes) -> Any:
    """Return an image of Pillow; its pixels are not decoded yet."""
    from PIL import Image, UnidentifiedImageError

    try:
        return Image.open(io.BytesIO(content), formats=FORMATS)
    except Image.DecompressionBombError as error:
        raise ValueError(f"looks like a bomb: {error}") from None
    except UnidentifiedImageError:  # its message contains a memory address
        known = ", ".join(FORMATS)
        raise ValueError(f"cannot identify image: it is none of {known}") from None


def size_in_words(shape: tuple[int, ...]) -> str:
    """Return the size and mode of an image (h, w, c) as messages give them."""
    return f"{shape[1]} × {shape[0]} {'grey' if shape[2] == 1 else 'colour'}"


def _of_array(image: Array) -> Array:
    if image.ndim == 2:
        image = image[..., None]
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] not in (1, 3):
        raise ValueError(
            f"an image must be uint8 (h, w), (h, w, 1) or (h, w, 3); got {image.dtype} of shape "
            f"{image.shape}"
        )
    return image


def _pixels(image: Any) -> tuple[Array, list[str]]:
    from PIL import ImageOps

    if image.width * image.height > LARGEST_IMAGE:
        size = f"{image.width} × {image.height} pixels"
        raise ValueError(f"looks like a bomb: {size}, and {LARGEST_IMAGE:,} at most are read")
    if image.mode in ("I", "F"):
        raise ValueError(f"mode {image.mode} has no value range that maps to 0..255")
    remarks = _remarks(image)
    image.load()
    if _is_turned(image):
        remarks.append("EXIF rotation: applied")
        image = ImageOps.exif_transpose(image)
    if image.mode.startswith("I;16"):
        deep = np.asarray(image).astype(np.uint16) >> 8
        return deep.astype(np.uint8)[..., None], [*remarks, "16 bits a value: the upper 8 kept"]
    grey = image.mode in GREY
    wanted = "L" if grey else "RGB"
    pixels = np.asarray(image if image.mode == wanted else image.convert(wanted))
    return pixels[..., None] if grey else pixels, remarks


def _remarks(image: Any) -> list[str]:
    """Return what is in an opened image file and not in the pixels that are taken."""
    found = []
    if getattr(image, "n_frames", 1) > 1:
        found.append("several frames: the first is taken")
    if image.mode in ("P", "PA"):
        found.append("palette: taken as colour")
    elif image.mode not in (*GREY, *COLOUR) and not image.mode.startswith("I;16"):
        found.append(f"{image.mode}: converted to RGB without its colour profile")
    if any(";16" in str(part) for tile in getattr(image, "tile", ()) for part in tile[3:]) and (
        image.mode in COLOUR
    ):
        found.append("16 bits a value: the upper 8 kept")
    if "A" in image.getbands() or "transparency" in image.info:
        found.append("transparency: dropped")
    return found


def _is_turned(image: Any) -> bool:
    # Asked of images that say so alone: a look into EXIF takes as long as a small image itself.
    told = {"exif", "Raw profile type exif", "xmp", "XML:com.adobe.xmp"} & set(image.info)
    if not told and getattr(image, "format", None) != "TIFF":
        return False
    return bool(image.getexif().get(ORIENTATION, 1) != 1)
