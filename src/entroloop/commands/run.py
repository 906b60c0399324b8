"""Running a study: make what is missing, collect its records, log them."""

from __future__ import annotations

import json
from collections.abc import Generator, Iterable, Iterator, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

from entroloop.commands.collected import Collected, Identity
from entroloop.commands.prepare import Study, prepare
from entroloop.engines.job import Engine
from entroloop.engines.local import LocalEngine
from entroloop.engines.ranks import RanksEngine, is_follower, world_size
from entroloop.engines.schedule import Listener, StageUpdate
from entroloop.store.folder import Store
from entroloop.store.records import GenerationRecord, read_record
from entroloop.store.run_lists import write_run_list
from entroloop.store.stages import write_real
from entroloop.study.config import fingerprint
from entroloop.study.plan import Step
from entroloop.system.environment import environment
from entroloop.system.progress_line import Progress, ProgressLine
from entroloop.trackers.log import TrackerLog
from entroloop.trackers.tracker import TrackedRun


def ignore(update: StageUpdate) -> None:
    """Listen to nothing."""


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
        together = world_size() > 1  # then others wait to be told, also that there is nothing to do
        if not todo and not together:
            return
        maker = RanksEngine() if together else engine or LocalEngine(workers)
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
