"""What every strategy returns, and the draw of quotas."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from entroloop.errors import InputError
from entroloop.neighbors import Float64, squared_distances
from entroloop.samples import Array


@dataclass
class Picks:
    """Picks in order, with their squared distance to the picks (and initial rows) before them."""

    n: int
    indices: list[int] = field(default_factory=list)
    squared_radii: list[float] = field(default_factory=list)
    duplicates: int = 0

    @property
    def missing(self) -> int:
        """How many picks are still to be made."""
        return self.n - len(self.indices)

    def add(self, index: int, squared_radius: float) -> None:
        """Append one pick."""
        self.indices.append(int(index))
        self.squared_radii.append(float(squared_radius))

    def fill_with_duplicates(self, rows: Array) -> None:
        """Append rows at distance 0 in the order given, as many as are missing."""
        for index in rows[: self.missing]:
            self.add(index, 0.0)
            self.duplicates += 1


class Distances:
    """Squared distance of every pool row to the rows chosen so far; −1 marks a chosen row."""

    def __init__(self, x: Array, initial: Array | None = None) -> None:
        self.x = x
        self.squared: Float64 = np.full(len(x), np.inf)
        for row in [] if initial is None else initial:
            np.minimum(self.squared, squared_distances(x, row), out=self.squared)

    def choose(self, index: int) -> float:
        """Mark a row as chosen, update the others, return its squared radius."""
        radius = float(self.squared[index])
        chosen = self.squared < 0
        np.minimum(self.squared, squared_distances(self.x, self.x[index]), out=self.squared)
        self.squared[chosen] = -1.0
        self.squared[index] = -1.0
        return radius


def equal_quotas(sizes: NDArray[np.int64], n: int) -> NDArray[np.int64]:
    """Share n among groups as equally as their sizes allow; the first groups take the rest.

    >>> equal_quotas(np.array([10, 1, 10]), 8).tolist()
    [4, 1, 3]
    """
    if n > sizes.sum():
        raise InputError(f"n = {n} is more than the {sizes.sum()} rows of all groups")
    # The highest water level that n fills; what is left over raises the first open groups by one.
    level, above = 0, int(sizes.max(initial=0)) + 1
    while above - level > 1:
        middle = (level + above) // 2
        if np.minimum(sizes, middle).sum() <= n:
            level = middle
        else:
            above = middle
    quotas = np.minimum(sizes, level)
    quotas[np.flatnonzero(sizes > level)[: n - int(quotas.sum())]] += 1
    return quotas
