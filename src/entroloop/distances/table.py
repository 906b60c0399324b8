"""The table of distances: how each becomes the one of a space that can be searched fast."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from entroloop.distances.extents import Extent
from entroloop.distances.multipliers import Multiplier, multiplier_for
from entroloop.distances.neighbors import nearest
from entroloop.distances.spaces import Euclidean, Manhattan, Space
from entroloop.distances.transforms import Whitening, unit_rows
from entroloop.samples import Array, Float64

Blocks = Callable[[], Iterable[Array]]  # the rows of a pool in blocks, from the start at each call
Transform = Callable[[Array, int], Float64]  # of rows, the first of which has this index


@dataclass(frozen=True, kw_only=True)
class Distance:
    """A distance between rows: the space in which it is taken, and the way there.

    formula: the definition, for people. space: makes the `Space` for rows of an extent, from which
    so many operations are to be expected; it holds the definition in float64, the fast
    approximation, its bound and its power. nearest: the exact distance of each row (n, d) to its
    nearest of others (m, d), both transformed. learn: what makes of a pool the transform of its
    rows (float64), None where they stay as they are. transformed: the name of the distance between
    transformed rows. multiplied: whether matrix multiplies approximate it.
    """

    formula: str
    space: Callable[[Extent, Multiplier, float], Space]
    nearest: Callable[[Array, Array], Float64]
    learn: Callable[[Blocks], Transform] | None = None
    transformed: str = "euclidean"
    multiplied: bool = True

    def space_for(
        self, extent: Extent, *, device: str = "cpu", operations: float = 0
    ) -> tuple[Space, Multiplier]:
        """Return the space for rows of an extent, and the multiplier for this much work."""
        multiplier = (
            multiplier_for(device, operations) if self.multiplied else multiplier_for("cpu", 0)
        )
        return self.space(extent, multiplier, operations), multiplier


def _euclidean_space(
    extent: Extent,
    multiplier: Multiplier,
    operations: float,  # noqa: ARG001
) -> Space:
    return Euclidean(*extent.centre_and_reach(), multiplier)


def _manhattan_space(
    extent: Extent,
    multiplier: Multiplier,  # noqa: ARG001
    operations: float,
) -> Space:
    return Manhattan(*extent.centre_and_reach(), operations)


def _euclidean_nearest(rows: Array, others: Array) -> Float64:
    return nearest(rows, others).distances[:, 0]


def _unit_length(blocks: Blocks) -> Transform:  # noqa: ARG001  # nothing is learned
    return unit_rows


DISTANCES = {
    "euclidean": Distance(
        formula="‖a − b‖",
        space=_euclidean_space,
        nearest=_euclidean_nearest,
    ),
    "cosine": Distance(
        formula="‖a/‖a‖ − b/‖b‖‖, a monotone function of the angle",
        space=_euclidean_space,
        nearest=_euclidean_nearest,
        learn=_unit_length,
    ),
    "manhattan": Distance(
        formula="Σ |a − b|",
        space=_manhattan_space,
        nearest=Manhattan.nearest,
        transformed="manhattan",
        multiplied=False,
    ),
    "mahalanobis": Distance(
        formula="‖W(a − b)‖, W whitening the pool",
        space=_euclidean_space,
        nearest=_euclidean_nearest,
        learn=Whitening.of,
    ),
}
