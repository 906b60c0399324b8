"""Frequencies of images: whether fine detail is lost, which collapse takes first."""

from __future__ import annotations

import numpy as np

from entroloop.errors import InputError
from entroloop.metrics.sets import Sets
from entroloop.samples import Array, Float64, check_rows
from entroloop.system.memory import blocks
from entroloop.system.threads import in_threads, products_in_one_thread, threads_here

FINE = 0.25  # cycles a pixel, half of the finest that pixels can hold along an axis
VALUES = 2**18  # of images whose transforms a thread holds at once


@products_in_one_thread()
def radial_power(images: Array) -> tuple[Float64, Float64]:
    """Return frequencies (rings,) and the power of each image (n, h, w[, c]) in them, (n, rings).

    Frequencies in cycles a pixel. A ring holds the squared moduli of the discrete Fourier transform
    whose frequency rounds to it, summed, and averaged over channels; the mean of an image is in
    none.

    Raises InputError for rows that are no images, or smaller than 2 × 2.
    """
    images = np.asarray(images)
    if images.ndim not in (3, 4) or min(images.shape[1:3]) < 2:
        raise InputError(
            "frequencies need images (n, h, w) or (n, h, w, c) of at least 2 × 2 pixels; got shape "
            f"{images.shape}"
        )
    check_rows(images, "images")
    height, width = images.shape[1:3]
    side = max(height, width)  # so that no frequency rounds to 0
    frequency = np.hypot(np.fft.fftfreq(height)[:, None], np.fft.fftfreq(width))
    ring = np.rint(frequency * side).astype(int)
    order = np.argsort(ring, axis=None, kind="stable")
    rings, first = np.unique(ring.ravel()[order], return_index=True)
    found = np.zeros((len(images), len(rings)))

    def transform(some: slice) -> None:
        part = images[some].astype(np.float64)
        part = part[..., None] if part.ndim == 3 else part
        power = np.square(np.abs(np.fft.fft2(part, axes=(1, 2)))).mean(axis=3)
        power = power.reshape(len(power), -1)[:, order]
        found[some] = np.add.reduceat(power, first, axis=1)

    in_threads(transform, blocks(len(images), images[0].size, VALUES), threads_here())
    return rings[1:] / side, found[:, 1:]


def fine_share(images: Array) -> float:
    """Return the share of power in fine detail, at more than a quarter of a cycle a pixel, 0 … 1.

    images: (n, h, w) or (n, h, w, c); their means are left out. NaN where they do not vary. Raises
    InputError as `radial_power`.
    """
    return _share(_fine_and_total(images))


def high_frequency_loss(*, generated: Array, reference: Array) -> float:
    """Return how much less of their power generated images have in fine detail, in nats.

    ln(h_R/h_G), h the share of a set's power at more than a quarter of a cycle a pixel, the means
    of images left out (see `radial_power`). 0: as fine as real images, whatever their contrast.
    Above 0: a low-pass collapse, as blur shows it; copies of real images stay at 0. Below 0: noise.

    Raises InputError for rows that are no images, or images without any detail.
    """
    return loss_between(fine_share(generated), fine_share(reference))


def high_frequency_loss_of(sets: Sets) -> float:
    """See `high_frequency_loss`; of the images of generated and reference rows."""
    generated, reference = (
        sets.per_image(role, "power", _fine_and_total) for role in ("generated", "reference")
    )
    return loss_between(_share(generated), _share(reference))


def loss_between(generated: float, reference: float) -> float:
    """Return the high-frequency loss, by the shares of power in fine detail (`fine_share`)."""
    if not (generated > 0 and reference > 0):
        raise InputError("the images of a set have no fine detail at all, so that none can be lost")
    return float(np.log(reference) - np.log(generated))


def _fine_and_total(images: Array) -> Float64:
    """Return the power of each image in fine detail, and all of it, (n, 2)."""
    frequencies, power = radial_power(images)
    return np.stack([power[:, frequencies > FINE].sum(axis=1), power.sum(axis=1)], axis=1)


def _share(power: Float64) -> float:
    fine, total = power.sum(axis=0)
    return float(fine / total) if total > 0 else float("nan")
