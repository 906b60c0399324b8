"""Progress of a selection on standard error: what it will take, picks made, time left."""

from __future__ import annotations

import sys
import time

from entroloop.selection.state import Progress


def progress_on_stderr(planned: str) -> Progress:
    """Return a function that tells the plan when the first picks are made, then the progress: a
    line that is written over on a terminal, a plain line every ten seconds otherwise.
    """
    terminal = sys.stderr.isatty()
    began = last = time.monotonic()
    told = False

    def tell(made: int, wanted: int) -> None:
        nonlocal last, told
        now = time.monotonic()
        if not told:
            told = True
            print(f"selecting {planned}", file=sys.stderr)
        ended = made == wanted
        if now - last > (0.5 if terminal else 10.0) or (ended and terminal):
            last = now
            left = (now - began) * (wanted - made) / max(made, 1)
            text = f"selected {made:,} of {wanted:,}, {left:.0f} s left"
            start, end = ("\r", "\n" if ended else "") if terminal else ("", "\n")
            print(f"{start}{text}", end=end, file=sys.stderr, flush=True)

    return tell
