"""Which steps of a study can be made now, and what each worker is doing."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from entroloop.study.plan import Step


@dataclass(frozen=True)
class StageUpdate:
    """What a worker is doing: how much of one stage of a step is done, and of how much."""

    worker: int
    step: Step
    stage: str
    done: int
    total: int

    @property
    def share(self) -> float:
        """The share of the stage that is done, in [0, 1]."""
        return min(1.0, self.done / max(1, self.total))


Listener = Callable[[StageUpdate], None]


class Schedule:
    """Which steps are ready: each after the step before it in its run, equal steps once.

    Low generations go first, so that long chains finish early.
    """

    def __init__(self, steps: list[Step], todo: Iterable[int]) -> None:
        self.steps = steps
        self._waiting: dict[str, int] = {}  # record key -> the one step that makes it
        for number in todo:
            self._waiting.setdefault(steps[number].record, number)
        records = {step.identity: step.record for step in steps}
        # A step may read any generation before it, not only the last.
        self._before: dict[str, set[str]] = {step.record: set() for step in steps}
        for step in steps:
            for g in range(1, step.generation):
                self._before[step.record].add(records[step.arm.name, step.seed, g])
        self._running: set[str] = set()

    def __len__(self) -> int:
        return len(self._waiting)

    def ready(self) -> Iterator[int]:
        """Yield the steps that can start now."""
        for record, number in list(self._waiting.items()):
            if record in self._running or not self._before[record].isdisjoint(self._waiting):
                continue
            models = {self.steps[self._waiting[r]].model for r in self._running}
            if self.steps[number].model not in models:  # else it waits, and finds it made
                yield number

    def start(self, number: int) -> None:
        """Mark a step as being made."""
        self._running.add(self.steps[number].record)

    def again(self, number: int) -> None:
        """Mark a step as to be made, since its maker was lost."""
        self._running.discard(self.steps[number].record)

    def give_up(self, number: int) -> int:
        """Take a step that cannot be made off the list, and those that need it; return how many
        these are.
        """
        record = self.steps[number].record
        self._running.discard(record)
        needing = [r for r in self._waiting if record in self._before[r]]
        for gone in (record, *needing):
            del self._waiting[gone]
        return len(needing)

    def done(self, number: int) -> list[Step]:
        """Mark a step as complete; return all steps that it completes (equal ones)."""
        record = self.steps[number].record
        self._running.discard(record)
        del self._waiting[record]
        return [step for step in self.steps if step.record == record]
