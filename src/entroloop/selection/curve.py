"""The curve of a choice: radius and entropy over the number of picks."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from entroloop.errors import InputError
from entroloop.metrics.entropy import Entropy
from entroloop.samples import Float64


@dataclass(frozen=True, eq=False)
class Curve:
    """How radius and entropy go with the number of picks.

    radius: float64 (N,), of each pick that was made, those beyond a knee included. n: int64 (k,),
    the length of the choice, halved again and again down to 2 or 3. entropy: float64 (k,), of the
    first n picks, and entropy_random, of n candidates drawn by the seed, in nats. An estimate of
    entropy depends on n: compare entropy with entropy_random at one n, never two values of n.
    """

    radius: Float64
    n: NDArray[np.int64]
    entropy: Float64
    entropy_random: Float64

    @classmethod
    def of(
        cls,
        radius: Float64,
        n: int,
        entropy: Callable[[int], Entropy | None],
        entropy_random: Callable[[int], Entropy | None],
    ) -> Curve:
        """Return the curve of n picks; the functions return the entropies of the first k."""
        numbers = [n]
        while numbers[-1] > 3:
            numbers.append(-(-numbers[-1] // 2))
        found = np.array(sorted(numbers), dtype=np.int64)
        return cls(radius, found, _nats(entropy, found), _nats(entropy_random, found))

    def to_dict(self) -> dict[str, Any]:
        """Return the curve at its values of n as JSON can hold it; null for what is not finite."""
        columns = {
            "n": self.n.astype(float),
            "radius": self.radius[self.n - 1],
            "entropy": self.entropy,
            "entropy_random": self.entropy_random,
        }
        return {
            name: [(int(v) if name == "n" else v) if np.isfinite(v) else None for v in x.tolist()]
            for name, x in columns.items()
        }

    def plot(self, chosen: int, axes: Any = None) -> Any:
        """Draw radius and entropy over the number of picks; return the two axes of matplotlib."""
        try:
            import matplotlib.pyplot as plt
        except ImportError:
            raise InputError("plot needs matplotlib: python -m pip install matplotlib") from None
        if axes is None:
            axes = plt.subplots(1, 2, figsize=(9, 3.2), layout="constrained")[1]
        left, right = axes
        left.plot(np.arange(1, len(self.radius) + 1), self.radius)
        left.axvline(chosen, linestyle=":", color="grey")
        left.set(xlabel="picks", ylabel="radius", xscale="log")
        right.plot(self.n, self.entropy, marker="o", label="first n picks")
        right.plot(self.n, self.entropy_random, marker="o", label="n random rows")
        right.set(xlabel="picks", ylabel="entropy (nats)", xscale="log")
        right.set_title("compare at the same n only", fontsize="small")
        right.legend()
        return axes


def _nats(entropy: Callable[[int], Entropy | None], numbers: NDArray[np.int64]) -> Float64:
    found = (entropy(int(k)) for k in numbers)
    return np.array([np.nan if e is None else e.nats for e in found])
