"""A worker process: reads step numbers from standard input, makes them, answers in JSON lines.

It ends when its standard input closes, which the system does when the parent dies.
"""

from __future__ import annotations

import json
import os
import sys
import threading
import time
import traceback
from queue import SimpleQueue
from typing import Any, TextIO

from entroloop.engines.job import Assignment
from entroloop.errors import InputError
from entroloop.system.progress_line import Progress, ProgressOf

REPORT_SECONDS = 0.5  # at least, between two messages on the progress of one stage


def main() -> None:
    """Serve steps until standard input closes."""
    # Whatever a library prints must not mix with the answers: they keep the real output.
    answers = os.fdopen(os.dup(1), "w", buffering=1, encoding="utf-8")
    os.dup2(2, 1)
    lines: SimpleQueue[str] = SimpleQueue()
    threading.Thread(target=_read, args=(lines,), daemon=True).start()
    assignment = lines.get()
    while True:
        number = int(lines.get())
        try:
            Assignment.workplace(assignment).make(number, _reporting(answers))
            _say(answers)
        except InputError as error:
            if error.__cause__ is not None:  # a plug-in's failure: the log tells its author where
                traceback.print_exc()
            _say(answers, input_error=str(error))
        except Exception:
            _say(answers, defect=traceback.format_exc())


def _read(lines: SimpleQueue[str]) -> None:
    for line in sys.stdin:
        lines.put(line)
    os._exit(0)  # the parent is gone: nothing half-made is ever visible, so stop at once


def _reporting(answers: TextIO) -> ProgressOf:
    """Return the progress that is sent to the parent, at most every half second per stage."""
    last_time, last_stage = 0.0, ""

    def of(stage: str) -> Progress:
        def report(done: int, total: int) -> None:
            nonlocal last_time, last_stage
            now = time.monotonic()
            if stage != last_stage or now - last_time > REPORT_SECONDS:
                last_time, last_stage = now, stage
                _say(answers, stage=stage, done=done, total=total)

        return report

    return of


def _say(answers: TextIO, **message: Any) -> None:
    answers.write(json.dumps(message) + "\n")


if __name__ == "__main__":
    main()
