"""The pool: its rows in the space of a metric, and the memory that a selection takes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from entroloop.errors import InputError
from entroloop.memory import available_bytes
from entroloop.multiply import multiplier_for
from entroloop.samples import Array
from entroloop.sketches import sketch_bytes
from entroloop.spaces import Euclidean, Manhattan, Space, centre_and_reach

METRICS = {
    "euclidean": "‖a − b‖",
    "cosine": "‖a/‖a‖ − b/‖b‖‖, a monotone function of the angle",
    "manhattan": "Σ |a − b|",
    "mahalanobis": "‖W(a − b)‖, W whitening the pool",
}


@dataclass(frozen=True)
class Plan:
    """What a selection will take: bytes beyond the pool itself, and multiplications at most."""

    bytes: int
    operations: float
    held: bool
    available: int | None

    def __str__(self) -> str:
        size = f"{self.bytes / 2**30:.2f} GiB beyond the pool"
        work = f"at most {self.operations:.1e} operations"
        return f"{size}, {work}" + ("" if self.held else ", rows read anew for each use")


def in_metric(x: Array, metric: str) -> Array:
    """Return the pool's rows such that the metric is Euclidean (or Manhattan) distance on them.

    cosine: rows divided by their length in float64. mahalanobis: (x − mean) times the inverse
    root of the covariance (divisor n − 1; directions without variance are left out), float64.

    Raises InputError for a zero vector under cosine.
    """
    if metric == "cosine":
        x64 = x.astype(np.float64)
        lengths = np.sqrt(np.square(x64).sum(axis=1))
        zero = np.flatnonzero(lengths == 0)
        if len(zero):
            raise InputError(
                f"cosine distance is not defined for zero vectors (row {zero[0]}, {len(zero)} in "
                "all); drop them or take another metric"
            )
        x64 /= lengths[:, None]
        return x64
    if metric == "mahalanobis":
        x64 = x.astype(np.float64)
        x64 -= x64.mean(axis=0)
        values, vectors = np.linalg.eigh(x64.T @ x64 / max(len(x) - 1, 1))
        kept = values > values.max(initial=0) * len(values) * np.finfo(np.float64).eps
        whitened: Array = x64 @ (vectors[:, kept] / np.sqrt(values[kept]))
        return whitened
    return x


def plan(x: Array, n: int, metric: str, initial: int, copies: int = 0) -> Plan:
    """Return what the selection of n rows of x will take; nothing is allocated.

    copies: float64 arrays of the pool's size that the strategy makes.
    """
    m, d = x.shape
    item = 8 if metric in ("cosine", "mahalanobis") else x.dtype.itemsize
    transformed = m * d * 8 if metric in ("cosine", "mahalanobis") else 0
    picks = (n + initial) * d * (item + 4 + 8)  # as stored, in float32, and again in float64
    state = m * (5 * 8 + 8 + 10)
    working = 256 * 2**20
    available = available_bytes()
    least = transformed + picks + state + working + copies * m * d * 8
    copy = m * d * (8 if metric == "manhattan" else 4) + sketch_bytes(m + n + initial, d)
    # A memory map is left on disk where a copy would take more than half of what there is.
    limit = float("inf") if available is None else available / 2
    if isinstance(x, np.memmap):
        limit = min(limit, 2**30)
    held = least + copy <= limit
    operations = 2.0 * m * (n + initial) * d
    return Plan(least + copy * held, operations, held, available)


def check(plan: Plan) -> None:
    """Refuse what cannot fit.

    Raises InputError that says what it would take and what there is.
    """
    if plan.available is not None and plan.bytes > plan.available:
        raise InputError(
            f"this selection takes {plan.bytes / 2**30:.1f} GiB and "
            f"{plan.available / 2**30:.1f} GiB are free; choose fewer rows, features of fewer "
            "values, or a smaller dtype"
        )


def space_for(x: Array, metric: str, device: str, operations: float) -> tuple[Space, Any]:
    """Return the space of a pool, and who multiplies there."""
    multiplier = multiplier_for(device, operations)
    if metric == "manhattan":
        return Manhattan(x.shape[1]), multiplier_for("cpu", 0)
    centre, reach = centre_and_reach(x)
    return Euclidean(centre, reach, multiplier), multiplier
