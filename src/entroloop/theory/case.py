"""What a case of the bench is: loops that are simulated, and what theory says of their means."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np

from entroloop.samples import Float64

Kind = Literal["equal", "at most", "empirical"]


@dataclass(frozen=True)
class Curve:
    """A quantity along the axis of a case, and its expectation.

    chart: the quantity, which several curves of a case share. name: the loop it is measured in.
    form: the closed form, as it is read. expected: (points,), NaN where nothing was derived. kind:
    whether `expected` is the expectation, a bound of it, or missing.
    """

    chart: str
    name: str
    form: str
    expected: Float64
    kind: Kind = "equal"


@dataclass(frozen=True)
class Case:
    """A case of the bench.

    says: what it shows, in a sentence. sources: arXiv numbers. axis, at: what is varied, and its
    values (points,). simulate: takes a generator and a number of loops, and returns what each loop
    has, (curves, points, loops).
    """

    name: str
    title: str
    says: str
    sources: tuple[str, ...]
    axis: str
    at: Float64
    curves: tuple[Curve, ...]
    simulate: Callable[[np.random.Generator, int], Float64]


def empirical(chart: str, name: str, points: int) -> Curve:
    """Return a curve that nothing was derived for."""
    return Curve(chart, name, "none: an empirical curve", np.full(points, np.nan), "empirical")
