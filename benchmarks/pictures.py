"""A picture of a study's samples: arms below each other, generations side by side.

python benchmarks/pictures.py STUDY-FOLDER OUT.png [--generations 1 4 8] [--arms A B]
    [--rows 2] [--columns 12] [--scale 3] [--components FILE.npz]

The same places hold the same random numbers. Of the first seed. components: what decodes rows that are
coordinates: `components` (k, values), `mean` (values,) and the images' `shape`.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from PIL import Image

from entroloop.report.read import StudyView
from entroloop.samples import Decoder


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("study", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--generations", type=int, nargs="+", default=[1, 4, 8])
    parser.add_argument("--arms", nargs="+")
    parser.add_argument("--rows", type=int, default=2)
    parser.add_argument("--columns", type=int, default=12)
    parser.add_argument("--scale", type=int, default=3)
    parser.add_argument("--components", type=Path)
    options = parser.parse_args()
    view = StudyView.open(options.study)
    seed = view.config["seeds"][0]
    lines = []
    for arm in options.arms or [arm["name"] for arm in view.arms]:
        grids = []
        for generation in options.generations:
            count = options.rows * options.columns
            rows = np.asarray(view.samples(arm, seed, generation)[:count])
            images = (
                decoded(rows, options.components) if options.components else view.as_images(rows)
            )
            if images is None:
                raise SystemExit(f"{options.study} is no study of images")
            grids.append(grid(images, options.columns))
        lines.append(np.concatenate(spaced(grids, axis=1), axis=1))
    picture = np.concatenate(spaced(lines, axis=0), axis=0)
    large = Image.fromarray(picture)
    size = (large.width * options.scale, large.height * options.scale)
    large.resize(size, Image.Resampling.NEAREST).save(options.out, optimize=True)


def decoded(rows: np.ndarray, components: Path) -> np.ndarray:
    """Return the images (n, h, w[, 3]), uint8, of rows of coordinates."""
    with np.load(components) as file:
        images = Decoder(file["components"], file["mean"], tuple(file["shape"]))(rows)
    return images[..., 0] if images.shape[-1] == 1 else images


def grid(images: np.ndarray, columns: int) -> np.ndarray:
    edge = [(0, 0), (0, 1), (0, 1), *[(0, 0)] * (images.ndim - 3)]
    images = np.pad(images, edge, constant_values=255)
    n, h, w, *c = images.shape
    rows = images.reshape(n // columns, columns, h, w, -1)
    return rows.transpose(0, 2, 1, 3, 4).reshape(n // columns * h, columns * w, *c)


def spaced(parts: list[np.ndarray], axis: int) -> list[np.ndarray]:
    """Return the parts with white between them."""
    out = []
    for part in parts:
        shape = list(part.shape)
        shape[axis] = 4
        out += [part, np.full(shape, 255, np.uint8)]
    return out[:-1]


if __name__ == "__main__":
    main()
