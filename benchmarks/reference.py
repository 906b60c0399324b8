"""The reference code's two selection algorithms, restated from the paper's description.

Greedy: for every pick one `torch.cdist` of the pool to it. Threshold decay: candidates in random
order, each by `numpy.linalg.norm` against all accepted rows, gathered anew for every candidate.
"""

from __future__ import annotations

import time

import numpy as np
import torch


def greedy(x: np.ndarray, picks: int) -> np.ndarray:
    """Return the first picks of farthest-point sampling from row 0, one pass of the pool each."""
    rows = torch.from_numpy(x)
    chosen = [0]
    nearest = torch.cdist(rows, rows[:1])[:, 0]
    for _ in range(picks - 1):
        nearest[chosen] = -float("inf")
        chosen.append(int(nearest.argmax()))
        nearest = torch.minimum(nearest, torch.cdist(rows, rows[chosen[-1:]])[:, 0])
    return np.array(chosen)


def threshold_decay(
    x: np.ndarray, n: int, threshold: float, decay: float, order: np.ndarray, seconds: float
) -> tuple[list[int], list[tuple[float, int]]]:
    """Return the accepted rows after at most `seconds`, and (seconds, accepted) after each pass."""
    accepted: list[int] = []
    taken = np.zeros(len(x), dtype=bool)
    passes: list[tuple[float, int]] = []
    began = time.perf_counter()
    while len(accepted) < n:
        for candidate in order:
            if taken[candidate]:
                continue
            if accepted:
                distances = np.linalg.norm(x[accepted] - x[candidate], axis=1)
                if not (distances > threshold).all():
                    continue
            accepted.append(int(candidate))
            taken[candidate] = True
            if len(accepted) == n:
                break
            if time.perf_counter() - began > seconds:
                return accepted, passes
        if time.perf_counter() - began > seconds:
            return accepted, passes
        passes.append((time.perf_counter() - began, len(accepted)))
        threshold *= decay
    return accepted, passes
