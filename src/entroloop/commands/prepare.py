"""A study before it runs: checked in every respect, and what of it is still to be made."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from entroloop.data.loading import folder_of
from entroloop.engines.job import Job
from entroloop.engines.ranks import follow
from entroloop.engines.schedule import Listener, Schedule
from entroloop.errors import InputError
from entroloop.samples import RealData
from entroloop.store.folder import Store
from entroloop.store.object_store import ObjectStore, store_at
from entroloop.store.run_lists import Keys, OtherRun, Run, RunList, other_runs, read_run_lists
from entroloop.store.stages import real_key
from entroloop.study.build import Built, build, check_data
from entroloop.study.config import Settings, StudyConfig, load_config
from entroloop.study.plan import STAGES, Step, plan
from entroloop.system.devices import device_for
from entroloop.trackers import check_installed


@dataclass
class Study:
    """A validated study with its folder, and which of its steps are still to be made."""

    built: Built
    real: RealData
    real_key: str
    store: Store
    device: str
    steps: list[Step]
    todo: list[int] = field(default_factory=list)
    damaged: int = 0
    reused: dict[str, int] = field(default_factory=dict)  # stages found, by kind
    missing: dict[str, int] = field(default_factory=dict)  # stages to be made, by kind
    lists: dict[Run, RunList] = field(default_factory=dict)  # as this configuration leaves them

    @property
    def config(self) -> StudyConfig:
        """The configuration."""
        return self.built.config

    @property
    def address(self) -> str:
        """The study folder as it was named, a path or URL."""
        return self.store.url if isinstance(self.store, ObjectStore) else str(self.store.root)

    @property
    def others(self) -> list[OtherRun]:
        """What the folder holds of other configurations; kept, but no part of this study."""
        return other_runs(self.lists)

    def look(self) -> None:
        """Find out which stages are present and intact, by their checksums; write nothing."""
        state: dict[tuple[str, str], bool] = {}
        self.damaged = 0
        for step in self.steps:
            for kind, key in step.keys().items():
                if (kind, key) not in state:
                    state[kind, key] = self.store.intact(kind, key)
                    self.damaged += not state[kind, key] and self.store.path(kind, key).exists()
        self._look_at_lists(state)
        short = {s.samples for s in self.steps if not self._enough(s)}
        self.todo = [
            number
            for number, step in enumerate(self.steps)
            if step.samples in short or not all(state[item] for item in step.keys().items())
        ]
        for counts, wanted in ((self.reused, True), (self.missing, False)):
            counts.update({kind: sum(v == wanted for (k, _), v in state.items() if k == kind)
                           for kind in STAGES})  # fmt: skip

    def _look_at_lists(self, state: dict[tuple[str, str], bool]) -> None:
        """Find out which runs the folder lists; state: whether each stage is whole."""
        planned: dict[Run, list[Keys]] = {}
        for step in self.steps:
            planned.setdefault(step.run, []).append(step.keys())
        known = read_run_lists(self.store)

        def complete(keys: Keys) -> bool:
            return all(
                state[item] if item in state else self.store.info(*item) is not None
                for item in keys.items()
            )

        self.lists = {
            run: known.get(run, RunList()).under(planned.get(run, []), complete)
            for run in [*planned, *(run for run in known if run not in planned)]
        }

    def open(self) -> None:
        """Create and lock the folder, then look again now that nobody else can change it.

        Raises InputError where it cannot be written or is in use.
        """
        self._check_disk()
        self.store.open(self.config.name, self.real_key)
        self.look()

    def job(self, listen: Listener) -> Job:
        """Return the steps that are missing as a job for an engine."""
        return Job(
            schedule=Schedule(self.steps, self.todo),
            built=self.built,
            store=self.store,
            real_key=self.real_key,
            device=self.device,
            listen=listen,
        )

    def follow(self) -> None:
        """Help the first of several processes to train; see `engines/ranks.py`."""
        follow(self.steps, self.built, self.store, self.device)

    def bytes_to_write(self) -> int:
        """Estimate the disk space of the missing stages in bytes."""
        row = int(self.real.data[0].nbytes)
        shape, n = self.real.data.shape[1:], self.config.n_train
        steps = [self.steps[number] for number in self.todo]
        samples = {step.samples: step.n_samples * row for step in steps}
        models = {
            step.model: step.arm.name for step in steps if not self.store.info("model", step.model)
        }
        size = {arm: self.built.arm(arm).generator(1).stored_bytes(shape, n)
                for arm in set(models.values())}  # fmt: skip
        real = 0 if self.store.info("real", self.real_key) else int(self.real.data.nbytes)
        tables = 64 * n * len(steps)
        return sum(samples.values()) + sum(size[arm] for arm in models.values()) + real + tables

    def _check_disk(self) -> None:
        """Refuse a study that does not fit on the disk."""
        if not self.todo:
            return
        folder = self.store.root.absolute()
        while not folder.exists():
            folder = folder.parent
        free, needed = shutil.disk_usage(folder).free, self.bytes_to_write()
        if needed > free:
            raise InputError(
                f"the study will write about {needed / 1e6:,.1f} MB to {self.store.root} and "
                f"{free / 1e6:,.1f} MB are free there; choose another folder with --out, or lower "
                "generations, seeds or data.n_train"
            )

    def set_damaged_aside(self) -> None:
        """Move stages whose files no longer match their checksums to the folder `quarantine`."""
        for step in self.steps:
            for kind, key in step.keys().items():
                if self.store.path(kind, key).exists() and not self.store.intact(kind, key):
                    self.store.set_aside(kind, key)

    def _enough(self, step: Step) -> bool:
        try:
            return len(self.store.samples(step.samples)) >= step.n_samples
        except (OSError, ValueError, EOFError):
            return False


def prepare(
    study: str | Path | Mapping[str, Any],
    out: str | Path | None = None,
    *,
    device: str = "auto",
    workers: int | None = None,
    overrides: Settings | None = None,
) -> Study:
    """Return a study, checked in every respect; write nothing.

    Raises InputError for whatever is wrong with configuration, data or output folder.
    """
    if workers is not None and workers < 1:
        raise InputError(f"workers must be at least 1; got {workers}")
    config = load_config(study, overrides or {})
    check_installed(config.trackers)
    built = build(config)
    _refuse_out_in_data(config, out)
    real = built.load()
    check_data(built, real)
    key = real_key(real)
    store = store_at(out if out is not None else Path("runs") / config.name)
    store.check(config.name, key)
    if config.trackers and isinstance(store, ObjectStore):
        raise InputError(
            "trackers write files beside the study and need a folder; with a URL as --out set "
            "trackers=[]"
        )
    chosen = device_for(device)
    prepared = Study(built, real, key, store, chosen, plan(built, key, chosen))
    prepared.look()
    return prepared


def _refuse_out_in_data(config: StudyConfig, out: str | Path | None) -> None:
    """Refuse a study folder within the folder of its data, which would be read as data itself."""
    given, place = config.data.get("path"), str(out or Path("runs") / config.name)
    if not isinstance(given, str) or "://" in place:
        return
    data = folder_of(Path(given).expanduser()).resolve()
    if data.is_dir() and data in Path(place).expanduser().resolve().parents:
        raise InputError(
            f"--out {place} lies in the folder of the data, data.path={given}; choose a folder "
            "outside of it"
        )
