"""The local engine: worker processes on this machine, one step each at a time."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from queue import SimpleQueue
from typing import Any

from entroloop.engines.dispatch import Event, dispatch
from entroloop.engines.job import Job
from entroloop.study.plan import Step


def default_workers(threads: int) -> int:
    """Return how many workers with this many threads the available processors keep busy."""
    available = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return max(1, (available or 1) // threads)


@dataclass(frozen=True)
class LocalEngine:
    """Worker processes on this machine; by default as many as its processors keep busy."""

    workers: int | None = None

    def run_steps(self, job: Job) -> Iterator[list[Step]]:
        """See `Engine`."""
        threads = job.built.config.threads
        return dispatch(job, _Processes(job, self.workers or default_workers(threads)))


class _Processes:
    """Worker processes, started when their slot first has a step."""

    def __init__(self, job: Job, slots: int) -> None:
        self.slots = slots
        self._assignment = job.assignment().to_json()
        self._threads, self._logs = job.built.config.threads, job.store.root / "logs"
        self._inbox: SimpleQueue[tuple[_Worker, dict[str, Any] | None]] = SimpleQueue()
        self._workers: dict[int, _Worker] = {}

    def start(self, slot: int, number: int) -> None:
        """See `Crew`."""
        if slot not in self._workers:
            log = self._logs / f"worker-{slot}.log"
            self._workers[slot] = _Worker(slot, self._assignment, self._threads, log, self._inbox)
        self._workers[slot].send(str(number))

    def wait(self) -> Event:
        """See `Crew`."""
        worker, message = self._inbox.get()
        if message is None:  # the process has died
            del self._workers[worker.slot]
            worker.end()
            return Event(worker.slot, "lost", worker.last_words())
        if "input_error" in message:
            return Event(worker.slot, "refused", message["input_error"])
        if "defect" in message:
            raise RuntimeError(f"a worker failed:\n{message['defect']}")
        if "stage" in message:
            stage, done, total = message["stage"], message["done"], message["total"]
            return Event(worker.slot, "progress", stage=stage, done=done, total=total)
        return Event(worker.slot, "done")

    def close(self) -> None:
        """See `Crew`."""
        for worker in self._workers.values():
            worker.end()


class _Worker:
    """A process that makes steps; its messages go to the inbox, then None once it has died."""

    def __init__(
        self, slot: int, assignment: str, threads: int, log: Path, inbox: SimpleQueue[Any]
    ) -> None:
        self.slot, self._log = slot, log
        log.parent.mkdir(exist_ok=True)
        libraries = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
        environment = os.environ | dict.fromkeys(libraries, str(threads))
        package = str(Path(__file__).parents[2])  # found without an installation, too
        environment["PYTHONPATH"] = os.pathsep.join(
            [package, *filter(None, [os.environ.get("PYTHONPATH")])]
        )
        with log.open("w", encoding="utf-8", errors="replace") as file:
            self.process = subprocess.Popen(
                [sys.executable, "-P", "-m", "entroloop.engines.worker"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=file,
                env=environment,
                encoding="utf-8",
                bufsize=1,
                start_new_session=True,  # Ctrl-C reaches the parent, which ends the workers
            )
        self._listener = threading.Thread(target=self._listen, args=(inbox,), daemon=True)
        self._listener.start()
        self.send(assignment)

    def send(self, line: str) -> None:
        """Write a line to the process."""
        assert self.process.stdin is not None
        with suppress(BrokenPipeError):  # it has died: the inbox will say so
            self.process.stdin.write(line + "\n")
            self.process.stdin.flush()

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
        """Return how the process ended, and what it left in its log."""
        words = self._log.read_text("utf-8", "replace")
        return f"exit code {self.process.wait()}\n{words[-2000:].strip()}"

    def _listen(self, inbox: SimpleQueue[Any]) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            inbox.put((self, json.loads(line)))
        inbox.put((self, None))
