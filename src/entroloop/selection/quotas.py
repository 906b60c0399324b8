"""Quotas: how many picks each group takes, exactly."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from entroloop.errors import InputError


def equal(sizes: NDArray[np.int64], n: int) -> NDArray[np.int64]:
    """Share n equally among groups; the first groups take the rest.

    A quota can be more than its group holds: the caller says which.

    >>> equal(np.array([10, 10, 10]), 8).tolist()
    [3, 3, 2]
    """
    _check(sizes, n)
    share, rest = divmod(n, len(sizes))
    return share + (np.arange(len(sizes)) < rest).astype(np.int64)


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
