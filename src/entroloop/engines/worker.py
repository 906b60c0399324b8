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

from entroloop.errors import InputError
from entroloop.store.object_store import store_at
from entroloop.study.build import build
from entroloop.study.config import StudyConfig
from entroloop.study.loop import Note, run_generation
from entroloop.study.plan import plan

REPORT_SECONDS = 0.5  # at least, between two messages on the progress of one stage


def main() -> None:
    """Serve steps until standard input closes."""
    # Whatever a library prints must not mix with the answers: they keep the real output.
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)
    lines: SimpleQueue[str] = SimpleQueue()
    threading.Thread(target=_read, args=(lines,), daemon=True).start()
    start = json.loads(lines.get())
    built = build(StudyConfig.model_validate(start["config"]))
    store, device = store_at(start["store"]), start["device"]
    steps = plan(built, start["real"], device)
    while True:
        number = int(lines.get())
        try:
            run_generation(steps[number], built, store, device, _notes(answers, number))
            _say(answers, step=number, done=True)
        except InputError as error:
            _say(answers, step=number, input_error=str(error))
        except Exception:
            _say(answers, step=number, defect=traceback.format_exc())


def _read(lines: SimpleQueue[str]) -> None:
    for line in sys.stdin:
        lines.put(line)
    os._exit(0)  # the parent is gone: nothing half-made is ever visible, so stop at once


def _notes(answers: TextIO, number: int) -> Note:
    last_time, last_stage = 0.0, ""

    def note(stage: str, share: float) -> None:
        nonlocal last_time, last_stage
        now = time.monotonic()
        if stage != last_stage or now - last_time > REPORT_SECONDS:
            last_time, last_stage = now, stage
            _say(answers, step=number, stage=stage, share=share)

    return note


def _say(answers: TextIO, **message: Any) -> None:
    answers.write(json.dumps(message) + "\n")


if __name__ == "__main__":
    main()
