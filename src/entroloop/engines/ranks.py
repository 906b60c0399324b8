"""Several processes that train one network together, as torchrun and accelerate launch start them.

The first process makes the steps, one after the other, and is the only one that writes; the others
take part in its trainings and do nothing else.
"""

from __future__ import annotations

import atexit
import os
from collections.abc import Iterator
from typing import Any

from entroloop.engines.job import Job
from entroloop.engines.schedule import StageUpdate
from entroloop.store.folder import Store
from entroloop.study.build import Built
from entroloop.study.history import History
from entroloop.study.loop import fit_model, run_generation
from entroloop.study.plan import Step
from entroloop.system.progress_line import Progress, no_progress


def world_size() -> int:
    """Return how many processes were started together; 1 without a launcher."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def is_follower() -> bool:
    """Whether this is one of the processes that only help to train."""
    return world_size() > 1 and int(os.environ.get("RANK", "0")) > 0


class RanksEngine:
    """The processes that were started together; all but the first must `follow`."""

    def run_steps(self, job: Job) -> Iterator[list[Step]]:
        """See `Engine`."""
        _join(job.device)
        schedule = job.schedule
        try:
            while len(schedule):
                number = next(schedule.ready())
                schedule.start(number)
                step = schedule.steps[number]

                def progress_of(stage: str, number: int = number, step: Step = step) -> Progress:
                    if stage == "model":
                        _announce(number)
                    return lambda done, total: job.listen(StageUpdate(0, step, stage, done, total))

                run_generation(step, job.built, job.store, job.device, progress_of)
                yield schedule.done(number)
        finally:
            _announce(None)


def follow(steps: list[Step], built: Built, store: Store, device: str) -> None:
    """Take part in the trainings of the first process until it says that it is done."""
    _join(device)
    while (number := _announce(None)) is not None:
        step = steps[number]
        fit_model(step, built, store, History(step, built, store), device, no_progress)


def _join(device: str) -> None:
    from accelerate import PartialState

    PartialState(cpu=device == "cpu")
    atexit.register(_leave)


def _leave() -> None:
    """End the group of processes: one that exits within it can abort (its threads still run)."""
    import torch.distributed as dist

    if dist.is_initialized():
        dist.destroy_process_group()


def _announce(number: int | None) -> int | None:
    """Send a step's number from the first process to all; each returns what was sent."""
    import torch.distributed as dist

    message: list[Any] = [number]
    dist.broadcast_object_list(message, src=0)
    found: int | None = message[0]
    return found
