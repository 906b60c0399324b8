"""Texts as rows: the UTF-8 bytes of a text in a row of fixed length, zeros after its end.

Such rows are uint8 and two-dimensional, as no other rows of a study are, so that nothing has to be
kept beside them; rows from elsewhere are looked at (`reads_as_text`).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from entroloop.errors import InputError

LOOKED_AT = 256  # rows that tell whether all are texts
MOST_SIGNS = 0.1  # of characters that no text has, where bytes are a text's

Bytes = NDArray[np.uint8]
WORDS = re.compile(r"\w+|[^\w\s]")


def is_text(rows: NDArray[Any]) -> bool:
    """Return whether rows stand for texts: uint8 (n, length)."""
    return len(rows.shape) == 2 and bool(rows.dtype == np.uint8)


def reads_as_text(rows: NDArray[Any]) -> bool:
    """Return whether the values of rows (n, length) are those of texts, and not of grey levels.

    Nothing follows a zero, and of the first rows' characters nearly none are no UTF-8 or control
    signs (a model that makes bytes may make some).
    """
    if not is_text(rows) or ((rows[:, :-1] == 0) & (rows[:, 1:] != 0)).any():
        return False
    signs = "".join(map(shown, texts_of(rows[:LOOKED_AT])))
    odd = sum(sign == "\ufffd" or not (sign.isprintable() or sign.isspace()) for sign in signs)
    return odd <= MOST_SIGNS * len(signs)


def check_text(rows: NDArray[Any], name: str) -> None:
    """Refuse rows that stand for no texts; name: what takes texts alone."""
    if not is_text(rows):
        raise InputError(
            f"{name} takes texts, uint8 (n, length) as the sources text and docstrings make them; "
            f"these rows are {rows.dtype} of shape {rows.shape[1:]}"
        )


def rows_of(texts: Sequence[str], length: int) -> Bytes:
    """Return texts as rows (n, length), cut before the first character that does not fit.

    >>> rows_of(["ab", "aé"], 2).tolist()
    [[97, 98], [97, 0]]
    """
    return rows_of_bytes([text.encode() for text in texts], length)


def rows_of_bytes(texts: Sequence[bytes], length: int) -> Bytes:
    """Return texts given as UTF-8 as rows; see `rows_of`. A zero byte ends a text."""
    rows = np.zeros((len(texts), length), dtype=np.uint8)
    for row, text in zip(rows, texts, strict=True):
        end = min(len(text), length)
        while 0 < end < len(text) and text[end] & 0xC0 == 0x80:  # within a character
            end -= 1
        own = text[:end].split(b"\0", 1)[0]
        row[: len(own)] = np.frombuffer(own, dtype=np.uint8)
    return rows


def texts_of(rows: NDArray[Any]) -> list[bytes]:
    """Return the bytes of each row's text."""
    return [row.tobytes().split(b"\0", 1)[0] for row in np.ascontiguousarray(rows)]


def lengths_of(rows: NDArray[Any]) -> NDArray[np.int64]:
    """Return the number of bytes of each row's text."""
    ended = np.concatenate([rows == 0, np.ones((len(rows), 1), dtype=bool)], axis=1)
    found: NDArray[np.int64] = ended.argmax(axis=1).astype(np.int64)
    return found


def shown(text: bytes) -> str:
    """Return a text as a page can show it; what is no UTF-8 becomes �."""
    return text.decode(errors="replace")


def words_of(text: bytes) -> list[str]:
    """Return the words of a text, and its signs one by one."""
    return WORDS.findall(shown(text))
