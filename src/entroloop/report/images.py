"""Images laid out in grids, as PNGs within a page."""

from __future__ import annotations

import base64
from dataclasses import dataclass
from io import BytesIO

import numpy as np
from PIL import Image

from entroloop.samples import Array


@dataclass(frozen=True)
class Picture:
    """A PNG as a data URL, its width on the page, and a caption."""

    address: str
    width: int
    caption: str


def grid(images: Array, columns: int, gap: int = 1) -> Array:
    """Return images (n, h, w[, 3]) arranged in rows on a grey background."""
    n, height, width = images.shape[:3]
    rows = -(-n // columns)
    shape = (rows * (height + gap) + gap, columns * (width + gap) + gap, *images.shape[3:])
    canvas = np.full(shape, 128, dtype=np.uint8)
    for i, image in enumerate(images):
        top, left = (gap + (i // columns) * (height + gap), gap + (i % columns) * (width + gap))
        canvas[top : top + height, left : left + width] = image
    return canvas


def no_wider(images: Array, side: int) -> Array:
    """Return uint8 images (n, h, w[, 3]) of at most `side` pixels a side: means of boxes."""
    height, width = images.shape[1:3]
    if max(height, width) <= side:
        return images
    size = (max(1, width * side // max(height, width)), max(1, height * side // max(height, width)))
    return np.stack([
        np.asarray(Image.fromarray(image).resize(size, Image.Resampling.BOX)) for image in images
    ])  # fmt: skip


def tiles(images: Array, side: int = 96) -> Array:
    """Return uint8 images (n, h, w, c) as `grid` takes them, of at most `side` pixels a side."""
    return no_wider(images[..., 0] if images.shape[3] == 1 else images, side)


def above_nearest(own: Array, nearest: Array, columns: int) -> Array:
    """Return images line by line of a grid: each line of `own` above its line of `nearest`.

    Both (n, h, w, c) uint8; what is left of a last line is grey.
    """
    lines = []
    for start in range(0, len(own), columns):
        for images in (own, nearest):
            part = images[start : start + columns]
            blank = np.full((columns - len(part), *part.shape[1:]), 128, dtype=np.uint8)
            lines += [part, blank]
    return np.concatenate(lines)


def data_url(canvas: Array) -> str:
    """Return a canvas as a PNG in a data URL."""
    buffer = BytesIO()
    Image.fromarray(canvas).save(buffer, "PNG", optimize=True)
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode()


def sheet(images: Array, columns: int, caption: str) -> Picture:
    """Return tiles in a grid as a picture, small ones enlarged so that they can be seen."""
    return picture(grid(images, columns), caption, scale=max(1, 56 // images.shape[2]))


def picture(canvas: Array, caption: str, scale: int) -> Picture:
    """Return a canvas as a picture with `scale` screen pixels per pixel."""
    return Picture(data_url(canvas), canvas.shape[1] * scale, caption)


def tile_of(image: Array, caption: str, side: int = 72) -> Picture:
    """Return an image (h, w, c) uint8 as a tile of about `side` screen pixels."""
    tile = tiles(image[None], side)[0]
    return picture(tile, caption, scale=max(1, side // tile.shape[1]))
