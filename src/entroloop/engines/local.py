"""The local engine: worker processes on this machine, one step each at a time."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from queue import SimpleQueue
from typing import Any

from entroloop.engines import Listener, Schedule, StageProgress
from entroloop.errors import InputError
from entroloop.store.folder import Store
from entroloop.study.config import StudyConfig
from entroloop.study.plan import Step

ATTEMPTS = 3  # at one step, before a worker that keeps dying on it ends the study


def default_workers(threads: int) -> int:
    """Return how many workers of so many threads the processors of this process can keep busy."""
    available = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return max(1, (available or 1) // threads)


def run_steps(
    schedule: Schedule,
    config: StudyConfig,
    store: Store,
    real_key: str,
    device: str,
    workers: int,
    listen: Listener,
) -> Iterator[list[Step]]:
    """Make all steps of the schedule; yield the steps that are complete as they become so."""
    inbox: SimpleQueue[tuple[_Worker, dict[str, Any] | None]] = SimpleQueue()
    start = json.dumps(
        {
            "config": config.model_dump(mode="json"),
            "store": store.url,
            "real": real_key,
            "device": device,
        }
    )
    attempts: dict[int, int] = {}
    crew: list[_Worker] = []
    try:
        while len(schedule):
            for number in schedule.ready():
                worker = next((w for w in crew if w.step is None), None)
                if worker is None and len(crew) < workers:
                    taken = {w.place for w in crew}
                    place = next(i for i in range(workers) if i not in taken)
                    worker = _Worker(place, start, config.threads, store, inbox)
                    crew.append(worker)
                if worker is None:
                    break
                schedule.start(number)
                attempts[number] = attempts.get(number, 0) + 1
                worker.begin(number)
            worker, message = inbox.get()
            if message is None:  # the worker has died
                crew.remove(worker)
                worker.end()
                if worker.step is not None:
                    if attempts[worker.step] >= ATTEMPTS:
                        raise RuntimeError(worker.last_words())
                    schedule.again(worker.step)
            elif "input_error" in message:
                raise InputError(message["input_error"])
            elif "defect" in message:
                raise RuntimeError(f"a worker failed:\n{message['defect']}")
            elif "done" in message:
                worker.step = None
                yield schedule.done(message["step"])
            else:
                step = schedule.steps[message["step"]]
                listen(StageProgress(worker.place, step, message["stage"], message["share"]))
    finally:
        for worker in crew:
            worker.end()


class _Worker:
    """A process that makes steps; what it says goes to the inbox, and None when it has died."""

    def __init__(
        self, place: int, start: str, threads: int, store: Store, inbox: SimpleQueue[Any]
    ) -> None:
        self.place = place
        self.step: int | None = None
        self._log = store.root / "logs" / f"worker-{place}.log"
        self._log.parent.mkdir(exist_ok=True)
        libraries = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
        environment = os.environ | dict.fromkeys(libraries, str(threads))
        package = str(Path(__file__).parents[2])  # found without an installation, too
        environment["PYTHONPATH"] = os.pathsep.join(
            [package, *filter(None, [os.environ.get("PYTHONPATH")])]
        )
        with self._log.open("w") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-P", "-m", "entroloop.engines.worker"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                env=environment,
                text=True,
                bufsize=1,
                start_new_session=True,  # Ctrl-C reaches the parent, which ends the workers
            )
        self._listener = threading.Thread(target=self._listen, args=(inbox,), daemon=True)
        self._listener.start()
        self._send(start)

    def begin(self, number: int) -> None:
        """Start a step."""
        self.step = number
        self._send(str(number))

    def end(self) -> None:
        """Stop the process at once; what it has committed stays."""
        self.process.kill()
        self.process.wait()
        self._listener.join()
        for pipe in (self.process.stdin, self.process.stdout):
            if pipe is not None:
                with suppress(BrokenPipeError):
                    pipe.close()

    def last_words(self) -> str:
        """Return what the process left in its log."""
        words = self._log.read_text()[-2000:].strip()
        code = self.process.wait()
        return f"a worker process ended with code {code} {ATTEMPTS} times on one step\n{words}"

    def _send(self, line: str) -> None:
        assert self.process.stdin is not None
        with suppress(BrokenPipeError):  # it has died: the inbox will say so
            self.process.stdin.write(line + "\n")
            self.process.stdin.flush()

    def _listen(self, inbox: SimpleQueue[Any]) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            inbox.put((self, json.loads(line)))
        inbox.put((self, None))
