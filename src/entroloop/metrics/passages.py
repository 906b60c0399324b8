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

    length: in bytes, 0 for none. row, row_start: the other text that holds it, and where it begins
    there. start: where it begins in the text. Of several the first by (row, row_start, start).
    """

    length: Whole
    start: Whole
    row: Whole
    row_start: Whole


def shared_passages(texts: Array, others: Array) -> Passages:
    """Return the longest common substring of each text with any of the others, exactly.

    texts (n, length), others (m, length): uint8 rows, zeros after the end. All suffixes of the
    others are sorted, block by block; of a suffix of a text the neighbours in that order share the
    most of its beginning, and all that share as much stand together.
    """
    n = len(texts)
    best = Passages(*(np.zeros(n, dtype=np.int64) for _ in range(4)))
    width = max(texts.shape[1], others.shape[1])
    step = max(1, BYTES // (2 * width * width))
    for first in range(0, len(others), step):
        suffixes, places = _suffixes(others[first : first + step], width)
        order = np.argsort(suffixes)
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
    neighbours = (np.maximum(above - 1, 0), above)
    common = np.maximum(*(_common(queries, suffixes[i], width) for i in neighbours))
    longest = best.length[start:stop].copy()
    np.maximum.at(longest, at[:, 0], common)
    # Blocks come in the order of their rows: what an earlier one has of this length comes first.
    longer = longest > best.length[start:stop]
    chosen = np.flatnonzero(longer[at[:, 0]] & (common == longest[at[:, 0]]))
    if not len(chosen):
        return
    row, row_start = _first_places(suffixes, places, queries[chosen], common[chosen], width)
    order = np.lexsort((at[chosen, 1], row_start, row, at[chosen, 0]))
    of, head = np.unique(at[chosen[order], 0], return_index=True)
    into, taken = start + of, order[head]
    best.length[into], best.start[into] = common[chosen[taken]], at[chosen[taken], 1]
    best.row[into], best.row_start[into] = first + row[taken], row_start[taken]


def _first_places(
    suffixes: Array, places: Whole, queries: Array, lengths: Whole, width: int
) -> tuple[Whole, Whole]:
    """Return the first row, and place in it, where the first bytes of each query stand.

    suffixes: sorted; places (m, 2) of them. At least one of them begins with these bytes.
    """
    begin = np.frombuffer(queries.tobytes(), np.uint8).reshape(len(queries), width).copy()
    beyond = np.arange(width) >= lengths[:, None]
    begin[beyond] = 0
    low = np.searchsorted(suffixes, begin.view(f"S{width}")[:, 0])
    begin[beyond] = 255
    high = np.searchsorted(suffixes, begin.view(f"S{width}")[:, 0], side="right")
    # The least of places low … high − 1. `reduceat` also reduces what lies between two stretches,
    # hence each once and in order; one more code, since an end must lie within.
    stretches, which = np.unique(np.column_stack([low, high]), axis=0, return_inverse=True)
    codes = np.append(places[:, 0] * width + places[:, 1], 0)
    least = np.minimum.reduceat(codes, stretches.ravel())[::2][which.ravel()]
    return least // width, least % width


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
