"""Progress of a study: bars on a terminal, plain lines otherwise."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from entroloop.engines.schedule import StageUpdate
from entroloop.store.records import GenerationRecord
from entroloop.system.numbers import number
from entroloop.system.progress_line import time_left

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import TaskID

    from entroloop.commands.prepare import Study

# What a stage is of the work of one generation, roughly: only bars and the time left use it.
WEIGHTS = {"training_set": 0.02, "model": 0.9, "samples": 0.05, "record": 0.03}


class StudyProgress:
    """How much of a study is done, and the time left; subclasses display it."""

    def __init__(self, study: Study) -> None:
        self._record_of = {step.identity: step.record for step in study.steps}
        self._todo = {study.steps[i].record for i in study.todo}
        self.total, self.done = len(self._todo), 0
        self._began = time.monotonic()
        self._share: dict[int, float] = {}  # of its step, by worker

    def __enter__(self) -> StudyProgress:
        return self

    def __exit__(self, *error: object) -> None:
        return None

    def stage(self, update: StageUpdate) -> None:
        """Note what a worker is doing."""
        order = list(WEIGHTS)
        before = sum(WEIGHTS[stage] for stage in order[: order.index(update.stage)])
        share = before + WEIGHTS[update.stage] * update.share
        self._share[update.worker] = share
        self.show_stage(update, share)

    def record(self, record: GenerationRecord) -> None:
        """Note a complete generation; arms may share one."""
        key = self._record_of[record.arm, record.seed, record.generation]
        new = key in self._todo
        if new:
            self._todo.remove(key)
            self._share.clear()
            self.done += 1
        self.show_record(record, new)

    @property
    def fraction(self) -> float:
        """The share of the work that is done."""
        return min(1.0, (self.done + sum(self._share.values())) / max(1, self.total))

    @property
    def left(self) -> str:
        """The time left as the end of a line, empty until it can be known."""
        left = time_left(time.monotonic() - self._began, self.fraction)
        return f", {left} left" if left else ""

    def show_stage(self, update: StageUpdate, share: float) -> None:
        """Show what a worker is doing."""

    def show_record(self, record: GenerationRecord, new: bool) -> None:
        """Show a generation that is complete; `new` if it was made just now."""


class PlainLines(StudyProgress):
    """One line per generation made, for logs."""

    def __init__(self, study: Study, console: Console) -> None:
        super().__init__(study)
        self._console = console

    def show_record(self, record: GenerationRecord, new: bool) -> None:
        """Print the line."""
        if new:
            self._console.print(
                f"[{self.done}/{self.total}] {record.arm} seed {record.seed} "
                f"generation {record.generation}: entropy {number(record.entropy_train)} nats, "
                f"GS {number(record.generalization_score)} "
                f"(held-out real {number(record.generalization_score_reference)}), "
                f"Fréchet {number(record.frechet_distance)}{self.left}",
                highlight=False,
                markup=False,
                soft_wrap=True,
            )


class Bars(StudyProgress):
    """A bar for the study, for each arm (generations) and for each worker (stages)."""

    def __init__(self, study: Study, console: Console) -> None:
        from rich.progress import BarColumn, Progress, TextColumn

        super().__init__(study)
        columns = (
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=30),
            TextColumn("{task.fields[state]}", markup=False),
        )
        self._bars = Progress(*columns, console=console, transient=True)
        self._study = self._bars.add_task(study.config.name, total=1.0, state="")
        self._generations = study.config.generations * len(study.config.seeds)
        self._arms = {arm.name: self._add(arm.name) for arm in study.config.arms}
        self._arm_done = dict.fromkeys(self._arms, 0)
        self._workers: dict[int, TaskID] = {}

    def _add(self, name: str) -> TaskID:
        state = f"0/{self._generations} generations"
        return self._bars.add_task(f"  {name}", total=self._generations, state=state)

    def __enter__(self) -> Bars:
        self._bars.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._bars.stop()

    def show_stage(self, update: StageUpdate, share: float) -> None:
        """Move the worker's bar."""
        if update.worker not in self._workers:
            self._workers[update.worker] = self._bars.add_task("", total=1.0, state="")
        step = update.step
        self._bars.update(
            self._workers[update.worker],
            description=f"    {step.arm.name}, seed {step.seed}, generation {step.generation}",
            completed=share,
            state=update.stage.replace("_", " "),
        )
        self._update_study()

    def show_record(self, record: GenerationRecord, new: bool) -> None:
        """Move the arm's bar."""
        self._arm_done[record.arm] += 1
        done = self._arm_done[record.arm]
        state = f"{done}/{self._generations} generations"
        self._bars.update(self._arms[record.arm], completed=done, state=state)
        self._update_study()

    def _update_study(self) -> None:
        state = f"{self.done}/{self.total} trainings{self.left}"
        self._bars.update(self._study, completed=self.fraction, state=state)
