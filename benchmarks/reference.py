"""The reference code's two selection algorithms, restated from the paper's description.

Greedy: one pass over the pool for every pick. Threshold decay: candidates in random order, each
against all accepted rows, which are gathered anew for every candidate.
"""

from __future__ import annotations

import time

import numpy as np
import torch


def greedy(x: np.ndarray, picks: int) -> np.ndarray:
    """Return the first picks of farthest-point sampling from row 0, one pass of the pool each."""
    rows = torch.from_numpy(x)
    chosen = [0]
    distances = torch.linalg.vector_norm(rows - rows[0], dim=1)
    for _ in range(picks - 1):
        farthest = int(torch.argmax(distances))
        chosen.append(farthest)
        distances = torch.minimum(
            distances, torch.linalg.vector_norm(rows - rows[farthest], dim=1)
        )
    return np.array(chosen)


def threshold_decay(
    x: np.ndarray, n: int, threshold: float, decay: float, order: np.ndarray, seconds: float
) -> tuple[list[int], list[tuple[float, int]]]:
    """Return the accepted rows after at most `seconds`, and (seconds, accepted) after each pass."""
    rows = torch.from_numpy(x)
    accepted: list[int] = []
    taken = np.zeros(len(x), dtype=bool)
    passes: list[tuple[float, int]] = []
    began = time.perf_counter()
    while len(accepted) < n:
        for candidate in order:
            if taken[candidate]:
                continue
            if accepted:
                gathered = rows[accepted]
                nearest = torch.linalg.vector_norm(gathered - rows[candidate], dim=1).min()
                if float(nearest) <= threshold:
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
