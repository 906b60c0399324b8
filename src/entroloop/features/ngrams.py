"""Hashed n-grams: how often each sequence of 2 to 4 bytes stands in a text, in a few values.

Texts are framed by a byte that starts and one that ends them, so that every text has an n-gram: the
row of an empty one would be zero, which is nearer to all rows of length 1 than they are to each
other, and one such sample among a thousand would seem to cover the reference.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from entroloop.errors import InputError
from entroloop.features.extractor import Extractor
from entroloop.modalities.text import check_text
from entroloop.samples import Array

ORDERS = (2, 3, 4)
START, END = 2, 3  # of a text: control characters that stand in none
VALUES = 256
BLOCK = 1024  # texts at a time


def ngrams(argument: str | None, device: str) -> Extractor:  # noqa: ARG001  # no network
    """Return the extractor of hashed n-grams of texts, 256 values; `ngrams:D`: D values.

    Every sequence of 2, 3 or 4 bytes of a framed text adds +1 or −1 to one of the values, both told
    by a hash (Weinberger et al. 2009); rows are brought to length 1. float32, exact sums of whole
    numbers.
    """
    name = "ngrams" if argument is None else f"ngrams:{argument}"
    if argument is not None and not (argument.isdigit() and 1 <= int(argument) <= 65_536):
        raise InputError(f"features ngrams take a number of values, 1 … 65536; got '{argument}'")
    values = VALUES if argument is None else int(argument)

    def whole(data: Array) -> Array:
        check_text(data, f"features {name}")
        blocks = range(0, len(data), BLOCK)
        return np.concatenate([hashed(np.asarray(data[b : b + BLOCK]), values) for b in blocks])

    return Extractor(name, f"{name} of {ORDERS}, framed", whole=whole)


def hashed(rows: Array, values: int) -> NDArray[np.float32]:
    """Return the hashed n-grams of texts (n, length), (n, values)."""
    rows = _framed(rows)
    n, length = rows.shape
    sums = np.zeros(n * values)
    for order in ORDERS:
        if order > length:
            continue
        codes = np.full((n, length - order + 1), order, dtype=np.uint64)
        for j in range(order):
            codes = (codes << np.uint64(8)) | rows[:, j : length - order + 1 + j].astype(np.uint64)
        within = rows[:, order - 1 :] != 0  # the last byte is one of the text
        mixed = _mixed(codes)
        signs = np.where(mixed >> np.uint64(63), 1.0, -1.0)
        at = np.arange(n)[:, None] * values + (mixed % np.uint64(values)).astype(np.int64)
        sums += np.bincount(at[within], signs[within], minlength=n * values)
    found = sums.reshape(n, values)
    lengths = np.sqrt(np.square(found).sum(axis=1, keepdims=True))
    unit: NDArray[np.float32] = (found / np.where(lengths > 0, lengths, 1)).astype(np.float32)
    return unit


def _framed(rows: Array) -> Array:
    n, length = rows.shape
    framed = np.zeros((n, length + 2), np.uint8)
    framed[:, 0], framed[:, 1:-1] = START, rows
    framed[np.arange(n), 1 + np.count_nonzero(rows, axis=1)] = END
    return framed


def _mixed(codes: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Return 64-bit numbers in which every bit of the codes has a say (splitmix64)."""
    x = codes * np.uint64(0x9E3779B97F4A7C15)
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))
