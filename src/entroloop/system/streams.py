"""Standard input, output and error, whatever they are connected to."""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from io import TextIOWrapper


class _Told(TextIOWrapper):
    """Standard error: what cannot be told there ends no work."""

    def write(self, text: str) -> int:
        with suppress(OSError):
            super().write(text)
        return len(text)

    def flush(self) -> None:
        with suppress(OSError):
            super().flush()


def make_streams_safe() -> None:
    """Give each of the three streams a place, and escape letters that the place does not know.

    A stream that was closed before the process began leaves its number to the next file that is
    opened, to which a library would write its messages: it is connected to nothing instead.
    """
    for number in (0, 1, 2):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest number that is free: this one
    sys.stdin = sys.stdin or os.fdopen(0, "r", closefd=False, encoding="utf-8")
    sys.stdout = sys.stdout or os.fdopen(1, "w", closefd=False, encoding="utf-8")
    if isinstance(sys.stdout, TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")
    if sys.stderr is None:
        sys.stderr = _Told(os.fdopen(2, "wb", closefd=False), "utf-8", "backslashreplace")
    elif isinstance(sys.stderr, TextIOWrapper):
        encoding = sys.stderr.encoding
        sys.stderr = _Told(sys.stderr.buffer, encoding, "backslashreplace", line_buffering=True)
