"""Several processes that train one network together, as torchrun and accelerate launch start them.

The first process makes the steps, one after the other, and is the only one that writes; the others
take part in its trainings and do nothing else.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

from entroloop.engines import Listener, Schedule, StageProgress
from entroloop.store.folder import Store
from entroloop.study.build import Built
from entroloop.study.history import History
from entroloop.study.loop import run_generation
from entroloop.study.plan import Step


def world_size() -> int:
    """Return how many processes were started together; 1 without a launcher."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def is_follower() -> bool:
    """Tell whether this is one of the processes that only help to train."""
    return world_size() > 1 and int(os.environ.get("RANK", "0")) > 0


def run_steps_together(
    schedule: Schedule, built: Built, store: Store, device: str, listen: Listener
) -> Iterator[list[Step]]:
    """Make all steps of the schedule in the first process; yield them as they are complete."""
    _join(device)
    try:
        while len(schedule):
            number = next(schedule.ready())
            schedule.start(number)
            step = schedule.steps[number]

            def note(stage: str, share: float, number: int = number, step: Step = step) -> None:
                if stage == "model" and share == 0:
                    _tell(number)
                listen(StageProgress(0, step, stage, share))

            run_generation(step, built, store, device, note)
            yield schedule.done(number)
    finally:
        _tell(None)


def follow(steps: list[Step], built: Built, store: Store, device: str) -> None:
    """Take part in the trainings of the first process until it says that it is done."""
    _join(device)
    while (number := _tell(None)) is not None:
        step = steps[number]
        model = step.previous_model
        built.arm(step.arm.name).generator.fit(
            History(step, built, store).training_set(),
            seed=step.fit_seed,
            device=device,
            threads=built.config.threads,
            progress=_say_nothing,
            scratch=store.scratch(step.model),
            previous=store.path("model", model) if model else None,
        )


def _say_nothing(share: float) -> None:  # noqa: ARG001
    return


def _join(device: str) -> None:
    from accelerate import PartialState

    PartialState(cpu=device == "cpu")


def _tell(number: int | None) -> int | None:
    """Send a step's number from the first process to all; each returns what was sent."""
    import torch.distributed as dist

    message: list[Any] = [number]
    dist.broadcast_object_list(message, src=0)
    found: int | None = message[0]
    return found
