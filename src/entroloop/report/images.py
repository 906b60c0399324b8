"""Pictures for the report: sample grids, and samples with their nearest training rows."""

from __future__ import annotations

import base64
from dataclasses import dataclass
from io import BytesIO

import numpy as np
from PIL import Image

from entroloop.distances.neighbors import nearest
from entroloop.report.read import StudyView
from entroloop.samples import Array, as_vectors

COLUMNS, ROWS = 8, 4  # of a grid of samples
PAIRS = 12


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


def thumbnails(images: Array, side: int = 96) -> Array:
    """Return uint8 images (n, h, w, c) with neither side above `side`, one channel left out."""
    step = -(-max(images.shape[1:3]) // side)
    small = images[:, ::step, ::step]
    return small[..., 0] if small.shape[3] == 1 else small


def picture(canvas: Array, caption: str, scale: int = 2) -> Picture:
    """Return a canvas as a picture with `scale` screen pixels per pixel."""
    buffer = BytesIO()
    Image.fromarray(canvas).save(buffer, "PNG", optimize=True)
    address = "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode()
    return Picture(address, canvas.shape[1] * scale, caption)


def sample_grids(view: StudyView) -> dict[str, list[Picture]]:
    """Return, for each arm, a grid of the first samples of each generation at the first seed.

    A cell uses the same random numbers in every arm. Empty if the rows are not images.
    """
    seed = view.config["seeds"][0]
    grids: dict[str, list[Picture]] = {}
    for arm in (a["name"] for a in view.arms):
        for generation in range(1, len(view.keys(arm, seed)) + 1):
            images = view.as_images(view.samples(arm, seed, generation)[: COLUMNS * ROWS])
            if images is None:
                return {}
            caption = f"{arm}, generation {generation}, seed {seed}"
            grids.setdefault(arm, []).append(picture(grid(images, COLUMNS), caption))
    return grids


def real_grid(view: StudyView) -> Picture | None:
    """Return a grid of real data, or None if the rows are not images."""
    images = view.as_images(view.real.data[: COLUMNS * ROWS])
    return None if images is None else picture(grid(images, COLUMNS), "real data")


def nearest_pairs(view: StudyView) -> dict[str, Picture]:
    """Return, for each arm, the last generation's samples that lie nearest to their training set.

    Top row: samples; bottom row: the nearest training row of each, by raw Euclidean distance.
    """
    seed = view.config["seeds"][0]
    pairs: dict[str, Picture] = {}
    for arm in (a["name"] for a in view.arms):
        last = len(view.keys(arm, seed))
        if not last:
            continue
        samples, train = view.samples(arm, seed, last), view.training_set(arm, seed, last)
        found = nearest(as_vectors(samples), as_vectors(train))
        order = np.argsort(found.distances[:, 0], kind="stable")[:PAIRS]
        top = view.as_images(samples[order])
        bottom = view.as_images(train[found.indices[order, 0]])
        if top is None or bottom is None:
            return {}
        shown = ", ".join(f"{d:.2f}" for d in found.distances[order, 0])
        caption = f"{arm}, generation {last}, seed {seed}; distances {shown}"
        pairs[arm] = picture(grid(np.concatenate([top, bottom]), len(order)), caption, scale=3)
    return pairs
