"""Quotas: how many picks each group takes, exactly."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from entroloop.errors import InputError


def equal(sizes: NDArray[np.int64], n: int) -> NDArray[np.int64]:
    """Share n among groups as equally as their sizes allow; the first groups take the rest.

    >>> equal(np.array([10, 1, 10]), 8).tolist()
    [4, 1, 3]
    """
    _check(sizes, n)
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


def proportional(sizes: NDArray[np.int64], n: int) -> NDArray[np.int64]:
    """Share n among groups in proportion to their sizes, by largest remainders.

    >>> proportional(np.array([50, 30, 20]), 7).tolist()
    [4, 2, 1]
    """
    _check(sizes, n)
    ideal = np.asarray(sizes * (n / max(int(sizes.sum()), 1)), dtype=np.float64)
    quotas: NDArray[np.int64] = np.floor(ideal).astype(np.int64)
    rest = n - int(quotas.sum())
    order = np.argsort(-(ideal - quotas), kind="stable")
    quotas[order[:rest]] += 1
    return quotas


def _check(sizes: NDArray[np.int64], n: int) -> None:
    if n > sizes.sum():
        raise InputError(f"n = {n} is more than the {sizes.sum()} rows of all groups")


QUOTAS = {"equal": equal, "proportional": proportional}
