"""Progress of a selection as one line on standard error."""

from __future__ import annotations

import sys
import time

from entroloop.selection.task import Progress


def lines_on_stderr(every: float = 10.0) -> Progress:
    """Return a function that writes a plain line every so many seconds, for logs."""
    began = last = time.monotonic()

    def tell(made: int, wanted: int) -> None:
        nonlocal last
        now = time.monotonic()
        if now - last > every:
            last = now
            left = (now - began) * (wanted - made) / max(made, 1)
            print(f"selected {made:,} of {wanted:,}, {left:.0f} s left", file=sys.stderr)

    return tell


def line_on_stderr() -> Progress:
    """Return a function that tells picks made, picks wanted and the time left, twice a second."""
    began = last = time.monotonic()

    def tell(made: int, wanted: int) -> None:
        nonlocal last
        now = time.monotonic()
        if now - last > 0.5 or made == wanted:
            last = now
            # The work is about the picks times the rows that remain: later picks cost less.
            left = (now - began) * (wanted - made) / max(made, 1)
            end = "\n" if made == wanted else ""
            print(
                f"\rselected {made:,} of {wanted:,}, {left:.0f} s left ", end=end, file=sys.stderr
            )
            sys.stderr.flush()

    return tell
