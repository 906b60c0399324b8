"""Progress of long work: how it is reported, and one line of it on standard error."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from functools import partial
from typing import Self

from entroloop.system.notebook import writes_to_notebook

Progress = Callable[[int, int], None]  # called with how much is done, and of how much
ProgressOf = Callable[[str], Progress]  # the progress of work that consists of parts with names

BAR = 20  # letters of a bar on a terminal
KNOWN_FROM = 0.02  # share of the work from which on the time left can be told


def no_progress(done: int, total: int) -> None:
    """Report nothing: the `Progress` of work that nobody watches."""


def no_progress_of(name: str) -> Progress:  # noqa: ARG001
    """Report nothing of any part of the work: the `ProgressOf` nobody watches."""
    return no_progress


def time_left(elapsed: float, share: float) -> str:
    """Return the time left as text; empty while it cannot be known: in the first seconds, within
    the first hundredths of the work, and at its end.

    >>> time_left(60, 0.5), time_left(60, 0.001), time_left(7200, 0.25)
    ('1:00', '', '6:00:00')
    """
    if share < KNOWN_FROM or elapsed < 2 or share >= 1:
        return ""
    minutes, seconds = divmod(int(elapsed * (1 - share) / share), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds:02}" if hours else f"{minutes}:{seconds:02}"


class ProgressLine:
    """One line on standard error: what is being done, how much of it, and the time left.

    The line is written over on a terminal and in a notebook; elsewhere a plain line is written
    every ten seconds.
    """

    def __init__(self) -> None:
        self._terminal = sys.stderr.isatty() or writes_to_notebook(sys.stderr)
        # A notebook goes back to the start of a line, and clears nothing.
        self._clear = "\r\x1b[K" if sys.stderr.isatty() else "\r"
        self._width = 0
        self._began = self._last = time.monotonic()
        self._name, self._total, self._shown = "", 0, False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        if self._terminal and self._shown:
            print(file=sys.stderr)

    def of(self, name: str) -> Progress:
        """Return the progress of a part of the work, which the line calls by this name."""
        return partial(self._show, name)

    def _show(self, name: str, done: int, total: int) -> None:
        now = time.monotonic()
        if name != self._name:  # parts of one total, such as metrics, are one piece of work
            if total != self._total:
                self._began, self._total = now, total
            self._name = name
        ended = done == total and self._shown
        if now - self._last < (0.3 if self._terminal else 10.0) and not (ended and self._terminal):
            return
        self._last, self._shown = now, True
        share = done / max(total, 1)
        left = time_left(now - self._began, share)
        text = f"{name}: {done:,} of {total:,}" + (f", about {left} left" if left else "")
        if self._terminal:
            filled = round(BAR * share)
            text = f"[{'#' * filled}{'.' * (BAR - filled)}] {text}"
            text, self._width = text.ljust(self._width), len(text)
        start, end = (self._clear, "") if self._terminal else ("", "\n")
        print(f"{start}{text}", end=end, file=sys.stderr, flush=True)


def selection_progress(planned: str) -> Progress:
    """Return a progress that first tells what a selection takes, and ends its line with it."""
    line = ProgressLine()
    announced = False

    def show(made: int, wanted: int) -> None:
        nonlocal announced
        if not announced:
            announced = True
            print(f"selecting {planned}", file=sys.stderr)
        line.of("selected")(made, wanted)
        if made == wanted:
            line.__exit__()

    return show
