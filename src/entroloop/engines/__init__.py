"""Engines: where the steps of a study are made."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from entroloop.study.plan import Step


@dataclass(frozen=True)
class StageProgress:
    """What a worker is at: the share in [0, 1] of one stage of a step that is done."""

    worker: int
    step: Step
    stage: str
    share: float


Listener = Callable[[StageProgress], None]


class Schedule:
    """Which steps are ready: each after the step before it in its run, equal steps once.

    Low generations go first, so that long chains never wait for the end.
    """

    def __init__(self, steps: list[Step], todo: Iterable[int]) -> None:
        self.steps = steps
        self._waiting: dict[str, int] = {}  # record key -> the one step that makes it
        for number in todo:
            self._waiting.setdefault(steps[number].record, number)
        records = {step.place: step.record for step in steps}
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
        """Note that a step is being made."""
        self._running.add(self.steps[number].record)

    def again(self, number: int) -> None:
        """Note that the maker of a step was lost."""
        self._running.discard(self.steps[number].record)

    def done(self, number: int) -> list[Step]:
        """Note that a step is complete; return all steps that it completes (equal ones)."""
        record = self.steps[number].record
        self._running.discard(record)
        del self._waiting[record]
        return [step for step in self.steps if step.record == record]
