"""Passages that texts share with others: for each text, the longest that stands in any of these."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from entroloop.modalities.text import lengths_of
from entroloop.samples import Array

BYTES = 2**26  # of suffixes that are sorted at a time

Whole = NDArray[np.int64]


@dataclass(frozen=True)
class Passages:
    """The longest passage that each of n texts shares with others.

    length: in bytes, 0 for none. start: where it begins in the text. row, row_start: the other text
    that holds it, and where it begins there; the first of several in the order of their bytes.
    """

    length: Whole
    start: Whole
    row: Whole
    row_start: Whole


def shared_passages(texts: Array, others: Array) -> Passages:
    """Return the longest common substring of each text with any of the others, exactly.

    texts (n, length), others (m, length): uint8 rows, zeros after the end. All suffixes of the
    others are sorted, block by block; of a suffix of a text the neighbours in that order share the
    most of its beginning.
    """
    n = len(texts)
    best = Passages(*(np.zeros(n, dtype=np.int64) for _ in range(4)))
    width = max(texts.shape[1], others.shape[1])
    step = max(1, BYTES // (2 * width * width))
    for first in range(0, len(others), step):
        suffixes, places = _suffixes(others[first : first + step], width)
        order = np.argsort(suffixes, kind="stable")
        suffixes, places = suffixes[order], places[order]
        if not len(suffixes):
            continue
        for start in range(0, n, step):
            _improve(best, texts, start, start + step, (suffixes, places), first, width)
    return best


def _improve(
    best: Passages, texts: Array, start: int, stop: int, known: tuple[Array, Whole], first: int,
    width: int,
) -> None:  # fmt: skip
    """Enter what texts start … stop−1 share with suffixes that are sorted, where it is longer."""
    suffixes, places = known
    queries, at = _suffixes(texts[start:stop], width)
    if not len(queries):
        return
    above = np.searchsorted(suffixes, queries).clip(max=len(suffixes) - 1)
    for neighbour in (np.maximum(above - 1, 0), above):
        common = _common(queries, suffixes[neighbour], width)
        # The longest of each text, its first occurrence: sorted by text, then from long to short.
        order = np.lexsort((at[:, 1], -common, at[:, 0]))
        rows, head = np.unique(at[order, 0], return_index=True)
        chosen = order[head]
        longer = common[chosen] > best.length[start + rows]
        into, chosen = start + rows[longer], chosen[longer]
        best.length[into], best.start[into] = common[chosen], at[chosen, 1]
        best.row[into] = first + places[neighbour[chosen], 0]
        best.row_start[into] = places[neighbour[chosen], 1]


def _suffixes(texts: Array, width: int) -> tuple[Array, Whole]:
    """Return all suffixes of texts as byte strings, and the text and place of each, (m, 2)."""
    padded = np.zeros((len(texts), texts.shape[1] + width), dtype=np.uint8)
    padded[:, : texts.shape[1]] = texts
    windows = sliding_window_view(padded, width, axis=1)
    within = np.arange(windows.shape[1]) < lengths_of(texts)[:, None]
    found = np.ascontiguousarray(windows[within])
    return found.view(f"S{width}")[:, 0], np.argwhere(within)


def _common(a: Array, b: Array, width: int) -> Whole:
    """Return how many bytes pairs of byte strings begin with in common."""
    one, two = (np.frombuffer(x.tobytes(), np.uint8).reshape(len(a), width) for x in (a, b))
    different = (one != two) | (one == 0)
    ends = np.concatenate([different, np.ones((len(a), 1), dtype=bool)], axis=1)
    found: Whole = ends.argmax(axis=1).astype(np.int64)
    return found
