"""A study from its configuration to its folder: prepare, make what is missing, collect."""

from __future__ import annotations

import json
import shutil
from collections.abc import Generator, Iterable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from entroloop.commands.collected import Collected, Identity
from entroloop.data.loading import folder_of
from entroloop.engines.job import Engine, Job
from entroloop.engines.local import LocalEngine
from entroloop.engines.ranks import RanksEngine, follow, is_follower, world_size
from entroloop.engines.schedule import Listener, Schedule, StageUpdate
from entroloop.errors import InputError
from entroloop.samples import RealData
from entroloop.store.folder import Store
from entroloop.store.object_store import ObjectStore, store_at
from entroloop.store.records import GenerationRecord, read_record
from entroloop.store.run_lists import (
    Keys,
    OtherRun,
    Run,
    RunList,
    other_runs,
    read_run_lists,
    write_run_list,
)
from entroloop.store.stages import real_key, write_real
from entroloop.study.build import Built, build, check_data
from entroloop.study.config import Settings, StudyConfig, fingerprint, load_config
from entroloop.study.plan import STAGES, Step, plan
from entroloop.system.devices import device_for
from entroloop.system.environment import environment
from entroloop.system.progress_line import Progress, ProgressLine
from entroloop.trackers import check_installed
from entroloop.trackers.log import TrackerLog
from entroloop.trackers.tracker import TrackedRun


def ignore(update: StageUpdate) -> None:
    """Listen to nothing."""


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


def run_study(
    study: str | Path | Mapping[str, Any] = "digits",
    out: str | Path | None = None,
    *,
    workers: int | None = None,
    device: str = "auto",
    engine: Engine | None = None,
    listen: Listener = ignore,
    progress: bool | Progress = False,
    **overrides: Any,
) -> Iterator[GenerationRecord]:
    """Run a study, or the missing part of it; yield the record of each generation once known.

    study: name of a preset, path of a YAML file, or a mapping. out: the study folder, a path or a
    URL that fsspec knows, such as s3://bucket/study (default runs/<name>). overrides: nested dicts
    or dotted keys. Records that the folder holds come first. engine: what makes the steps, such as
    a `RayEngine`, whose machines must all see the folder; else processes of this machine do.
    progress: True for a line on standard error (a bar on a terminal and in a notebook), or a
    function of (generations that are known, all of them). Stopped at any moment, the same call goes
    on where it was. Under torchrun or accelerate launch the processes train together, the first one
    yields the records and the others none.

    Raises InputError for bad input, before anything is written.
    """
    prepared = prepare(study, out, device=device, workers=workers, overrides=overrides)
    if is_follower():
        prepared.follow()
        return iter(())
    prepared.open()
    made = run_opened(prepared, workers=workers, engine=engine, listen=listen)
    return _watched(made, len(prepared.steps), progress) if progress else made


def _watched(
    made: Generator[GenerationRecord, None, None], total: int, progress: bool | Progress
) -> Iterator[GenerationRecord]:
    """Yield records, and tell how many there are by now."""
    with closing(made), ProgressLine() as line:
        show = progress if callable(progress) else line.of("generations")
        for done, record in enumerate(made, 1):
            show(done, total)
            yield record


def run_opened(
    study: Study,
    *,
    workers: int | None = None,
    engine: Engine | None = None,
    listen: Listener = ignore,
) -> Generator[GenerationRecord, None, None]:
    """Run a study that is prepared and opened; see `run_study`."""
    store = study.store
    log = TrackerLog(study.config.trackers, store.root / "trackers")
    collected = Collected(store, study.steps, study.lists)
    try:
        if study.damaged:
            study.set_damaged_aside()
        _write_facts(study)
        todo = set(study.todo)
        found = _records(store, [s for number, s in enumerate(study.steps) if number not in todo])
        collected.add(found, dict.fromkeys(step.run for step in study.steps))
        _log(study, log, found)
        yield from found.values()
        if not todo:
            return
        maker = RanksEngine() if world_size() > 1 else engine or LocalEngine(workers)
        for steps in maker.run_steps(study.job(listen)):
            new = _records(store, steps)
            collected.add(new, dict.fromkeys(step.run for step in steps))
            _log(study, log, new)
            yield from new.values()
    finally:
        log.close()
        try:
            collected.close()
        finally:
            store.close()


def _records(store: Store, steps: Iterable[Step]) -> dict[Identity, GenerationRecord]:
    """Return the records of complete steps."""
    return {step.identity: read_record(store, *step.identity, step.keys()) for step in steps}


def _log(study: Study, log: TrackerLog, records: Mapping[Identity, GenerationRecord]) -> None:
    """Give records to the trackers of the study."""
    if not study.config.trackers:
        return
    steps = {step.identity: step for step in study.steps}
    for identity, record in records.items():
        step = steps[identity]
        settings = step.arm.model_dump(mode="json")
        first = steps[step.arm.name, step.seed, 1]
        run = TrackedRun(
            study=study.config.name,
            arm=step.arm.name,
            seed=step.seed,
            key=fingerprint([settings, step.seed, first.record]),  # more generations: the same run
            settings={name: str(value) for name, value in settings.items()},
        )
        log.record(record, step.record, run)


def _write_facts(study: Study) -> None:
    """Write real data, configuration and environment, and which runs are of this study."""
    store = study.store
    write_real(store, study.real_key, study.real)
    store.write("config.json", study.config.model_dump_json(indent=1))
    used = {f"{p.kind} {p.name}": p.version for p in study.built.plugins}
    store.write("environment.json", json.dumps(environment(study.device) | used, indent=1))
    for run, listed in study.lists.items():
        write_run_list(store, run, listed)
