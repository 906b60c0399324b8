"""Signals that end a process: SIGTERM and SIGHUP are heard as Ctrl-C is."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

# Of a scheduler, a container or `kill`; and of a terminal or connection that closes.
ENDING = [getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name)]
_received: list[int] = []


def hear_ending() -> None:
    """Have SIGTERM and SIGHUP raise KeyboardInterrupt, so that what Ctrl-C tidies up they do.

    A signal that is ignored stays so (`nohup`). One of several processes that train together ends
    at once instead: it may be waiting for the others, where nothing is heard.
    """
    if int(os.environ.get("WORLD_SIZE", "1")) > 1:
        return
    for number in ENDING:
        if signal.getsignal(number) == signal.SIG_DFL:
            signal.signal(number, _end)


def exit_code() -> int:
    """Return the exit code of an interrupted process: 128 and the number of the signal."""
    return 128 + (_received[0] if _received else signal.SIGINT)


@contextmanager
def hearing_kept() -> Iterator[None]:
    """Set the handlers of `hear_ending` again that a library replaces in this block."""
    before = {number: signal.getsignal(number) for number in ENDING}
    try:
        yield
    finally:
        for number, handler in before.items():
            if handler is _end and threading.current_thread() is threading.main_thread():
                signal.signal(number, handler)


def _end(number: int, frame: FrameType | None) -> None:  # noqa: ARG001
    for other in ENDING:  # a second one does not disturb the tidying up; Ctrl-C does
        signal.signal(other, signal.SIG_IGN)
    _received.append(number)
    raise KeyboardInterrupt
