"""From noise to rows along a velocity field: Euler's and Heun's steps of rectified flows."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from torch import Tensor


def integrated(
    velocity: Callable[[Tensor, float], Tensor],
    noise: Tensor,
    sampler: str,
    evaluations: int,
    truncation: float = 0.0,
) -> Tensor:
    """Return rows made of noise (n, …) by dx/dt = v(x, t) from t = 1 to t = 0, in equal steps.

    Euler: x ← x + h v(x, t), one evaluation a step. Heun: x ← x + h (v(x, t) + v(x', t + h))/2, x'
    Euler's step, two evaluations; an odd number ends with a step of Euler's. truncation: the ratio
    τ of noise to signal, t/(1 − t), at which it stops; the rest of the way is one straight line,
    x − t v(x, t), for which the last evaluation is kept.
    """
    stop = truncation / (1 + truncation)
    left = evaluations - 1 if stop else evaluations
    heun = left // 2 if sampler == "heun" else 0
    steps = heun + left - 2 * heun
    times = np.linspace(1.0, stop, steps + 1).tolist() if steps else [1.0]
    x = noise
    for i in range(steps):
        t, after = times[i], times[i + 1]
        slope = velocity(x, t)
        if i < heun:
            slope = (slope + velocity(x + (after - t) * slope, after)) / 2
        x = x + (after - t) * slope
    return x - times[-1] * velocity(x, times[-1]) if stop else x
