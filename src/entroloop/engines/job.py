"""A study's missing steps as a job, what makes them, and what a worker elsewhere must know."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from functools import cache
from typing import Any, Protocol

from entroloop.engines.schedule import Listener, Schedule
from entroloop.errors import InputError
from entroloop.plugins import Plugin, adopt_here
from entroloop.store.folder import Store
from entroloop.store.object_store import store_at
from entroloop.study.build import Built, build
from entroloop.study.config import StudyConfig
from entroloop.study.loop import run_generation
from entroloop.study.plan import Step, plan
from entroloop.system.progress_line import ProgressOf, no_progress_of


@dataclass(frozen=True, kw_only=True)
class Job:
    """The steps of a study that are to be made, and what they are made with.

    schedule: which steps are left. built: the study's objects. store: its folder, opened. real_key:
    the hash of its real data. device: cpu or cuda. listen: called with each `StageUpdate`.
    """

    schedule: Schedule
    built: Built
    store: Store
    real_key: str
    device: str
    listen: Listener

    def assignment(self) -> Assignment:
        """Return what a worker in another process must know.

        Raises InputError for a plug-in that another process cannot import.
        """
        for plugin in self.built.plugins:
            if not plugin.target:
                raise InputError(
                    f"{plugin} lies in no module that worker processes can import; move it from "
                    "the script or notebook into a file of its own, and register it from there"
                )
        return Assignment(
            config=self.built.config.model_dump(mode="json"),
            store=self.store.url,
            real_key=self.real_key,
            device=self.device,
            plugins=[asdict(plugin) for plugin in self.built.plugins],
        )


class Engine(Protocol):
    """What makes the steps of a study."""

    def run_steps(self, job: Job) -> Iterator[list[Step]]:
        """Make all steps of the job; yield those that are complete as they become so."""


@dataclass(frozen=True, kw_only=True)
class Assignment:
    """What a worker in another process must know of a study; JSON can hold it.

    config: the study's configuration. store: where its folder is, a path or URL. real_key, device:
    as in `Job`. plugins: those that the study uses, with the versions that it was planned with.
    """

    config: dict[str, Any]
    store: str
    real_key: str
    device: str
    plugins: list[dict[str, Any]] = field(default_factory=list)

    def to_json(self) -> str:
        """Return the assignment as one line of JSON."""
        return json.dumps(asdict(self))

    @staticmethod
    @cache
    def workplace(text: str) -> Workplace:
        """Return the objects for an assignment that `to_json` wrote."""
        told = Assignment(**json.loads(text))
        for plugin in told.plugins:
            adopt_here(Plugin(**plugin))
        # What strategies refuse was found out when the study was prepared.
        built = build(StudyConfig.model_validate(told.config), try_out=False)
        steps = plan(built, told.real_key, told.device)
        return Workplace(built, steps, store_at(told.store), told.real_key, told.device)


@dataclass(frozen=True)
class Workplace:
    """The objects, steps and folder of a study, in a worker."""

    built: Built
    steps: list[Step]
    store: Store
    real_key: str
    device: str

    def make(self, number: int, progress_of: ProgressOf = no_progress_of) -> None:
        """Make one step."""
        run_generation(self.steps[number], self.built, self.store, self.device, progress_of)
