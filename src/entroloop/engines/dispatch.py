"""Handing steps to workers, and handing them out again where a worker dies, for every crew."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, Protocol

from entroloop.engines.job import Job
from entroloop.engines.schedule import StageUpdate
from entroloop.errors import InputError
from entroloop.study.plan import Step

ATTEMPTS = 3  # at one step, before a worker that keeps dying on it ends the study


@dataclass(frozen=True)
class Event:
    """What happened to the worker in a slot.

    done: its step is complete. refused: its step cannot be made, and `reason` tells why. lost: it
    has died, and `reason` tells how. progress: `done` of `total` of a stage.
    """

    slot: int
    kind: Literal["done", "refused", "lost", "progress"]
    reason: str = ""
    stage: str = ""
    done: int = 0
    total: int = 1


class Crew(Protocol):
    """Workers, each in a slot, that make one step at a time."""

    slots: int

    def start(self, slot: int, number: int) -> None:
        """Have the worker of a free slot make a step; a worker is made where there is none."""

    def wait(self) -> Event:
        """Wait for the next event; raises RuntimeError for a defect in a step."""

    def close(self) -> None:
        """End all workers at once; what they have committed stays."""


def dispatch(job: Job, crew: Crew) -> Iterator[list[Step]]:
    """Make all steps of the job; yield those that are complete as they become so.

    A step that cannot be made (a loss that is no number, say) ends its run; the other runs go on.

    Raises InputError at the end where there was such a step, naming it, and RuntimeError where
    workers die again and again over one step.
    """
    schedule, running = job.schedule, dict[int, int]()  # slot -> step
    attempts: dict[int, int] = {}
    refused: list[str] = []
    left_out = 0
    try:
        while len(schedule):
            for number in schedule.ready():
                slot = next((i for i in range(crew.slots) if i not in running), None)
                if slot is None:
                    break
                schedule.start(number)
                attempts[number] = attempts.get(number, 0) + 1
                running[slot] = number
                job.listen(StageUpdate(slot, schedule.steps[number], "training_set", 0, 1))
                crew.start(slot, number)
            event = crew.wait()
            if event.kind == "done":
                yield schedule.done(running.pop(event.slot))
            elif event.kind == "refused":
                number = running.pop(event.slot)
                refused.append(f"{_named(schedule.steps[number])}: {event.reason}")
                left_out += schedule.give_up(number)
            elif event.kind == "progress" and event.slot in running:
                step = schedule.steps[running[event.slot]]
                job.listen(StageUpdate(event.slot, step, event.stage, event.done, event.total))
            elif event.kind == "lost" and event.slot in running:
                number = running.pop(event.slot)
                if attempts[number] >= ATTEMPTS:
                    where = _named(schedule.steps[number])
                    raise RuntimeError(
                        f"a worker died {ATTEMPTS} times over {where}: {event.reason}"
                    )
                schedule.again(number)
    finally:
        crew.close()
    if refused:
        more = f" (and {len(refused) - 1} like it)" if len(refused) > 1 else ""
        rest = f"; {left_out} generations after it were left out" if left_out else ""
        raise InputError(f"{refused[0]}{more}{rest}; everything else is made")


def _named(step: Step) -> str:
    arm, seed, generation = step.identity
    return f"arm '{arm}', seed {seed}, generation {generation}"
