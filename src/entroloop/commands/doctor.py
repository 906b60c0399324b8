"""A check-up of a study folder: every stage against its checksums, and whose it is."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from entroloop.errors import InputError
from entroloop.store.folder import Store
from entroloop.store.run_lists import (
    Run,
    RunList,
    other_runs,
    read_run_lists,
    remove_run_list,
    write_run_list,
)
from entroloop.store.stage_info import KINDS, is_stage
from entroloop.study.config import StudyConfig

Stage = tuple[str, str]  # kind and key


@dataclass(frozen=True)
class CheckUp:
    """What a study folder holds.

    damaged: stages that are not what was committed. lost: stages of finished generations that are
    not there at all. unreadable: files beside the stages that are lost or cannot be read. lists: of
    all runs. unused: stages that the present configuration does not list, those that an interrupted
    generation left among them. unlisted: files within stages that entroloop did not write there.
    """

    store: Store
    identity: dict[str, Any]
    stages: list[Stage]
    damaged: list[Stage]
    lost: list[Stage]
    unreadable: list[str]
    lists: dict[Run, RunList]
    unused: list[Stage]
    unlisted: list[str]

    @property
    def is_whole(self) -> bool:
        """Whether nothing is damaged, lost or unreadable."""
        return not (self.damaged or self.lost or self.unreadable)

    def facts(self) -> dict[str, Any]:
        """Return the counts, and what belongs to other runs by arm and seed, as JSON can hold."""
        return {
            "study": self.identity["study"],
            "stages": {kind: sum(k == kind for k, _ in self.stages) for kind in KINDS},
            "damaged": [f"{kind}/{key}" for kind, key in self.damaged],
            "lost": [f"{kind}/{key}" for kind, key in self.lost],
            "unreadable": self.unreadable,
            "unlisted_files": self.unlisted,
            "not_listed": len(self.unused),
            "not_listed_mb": self._mb(self.unused),
            "other_runs": self.other_runs(),
        }

    def other_runs(self) -> list[dict[str, Any]]:
        """Return arm, seed, generations and size of the runs of other configurations.

        A stage that several runs share counts for the first of them.
        """
        left, rows = set(self.unused), []
        for run in other_runs(self.lists):
            own = {item for keys in run.keys for item in keys.items()} & left
            left -= own
            rows.append({"arm": run.arm, "seed": run.seed, "generations": len(run.generations),
                         "mb": self._mb(own)})  # fmt: skip
        return rows

    def removal(self) -> list[str]:
        """Return in words, a line each, what `remove` takes away.

        Raises InputError where the lists do not tell whose every finished generation is.
        """
        self._refuse_incomplete_lists()
        rows = self.other_runs()
        lines = [
            f"arm {r['arm']}, seed {r['seed']}: {r['generations']} generations, {r['mb']} MB"
            for r in rows
        ]
        if self.damaged:
            lines.append(f"{len(self.damaged)} damaged stages, {self._mb(self.damaged)} MB")
        size = round(self._mb(self.unused) - sum(r["mb"] for r in rows), 1)
        if size > 0:
            lines.append(f"stages of interrupted generations, {size} MB")
        return lines

    def remove(self) -> None:
        """Remove damaged stages, those that the present configuration does not use, and the lists
        of other runs; `removal` tells what that is.

        Raises InputError where a run has changed the folder since it was looked at.
        """
        self.store.open(self.identity["study"], self.identity["real"])
        try:
            now = [stage for stage in _names(self.store) if is_stage(*stage)]
            if (now, read_run_lists(self.store)) != (self.stages, self.lists):
                raise InputError(
                    f"{self.store.root} has changed since it was looked at; nothing was removed: "
                    "look again"
                )
            for kind, key in {*self.damaged, *self.unused}:
                self.store.discard(kind, key)
            for run, listed in self.lists.items():
                if listed.planned or listed.generations:
                    write_run_list(self.store, run, RunList(listed.generations, listed.planned))
                else:
                    remove_run_list(self.store, run)
        finally:
            self.store.close()

    def repair(self) -> list[str]:
        """Move what is damaged to the folder `quarantine` and remove nothing; return what moved.

        `run` then makes anew what is missing.
        """
        self.store.open(self.identity["study"], self.identity["real"])
        try:
            moved = [self.store.set_aside(kind, key) for kind, key in self.damaged]
            moved += [self.store.set_file_aside(name) for name in self.unreadable]
        finally:
            self.store.close()
        return [str(path) for path in moved if path is not None]

    def _refuse_incomplete_lists(self) -> None:
        root = self.store.root
        try:
            config = json.loads((root / "config.json").read_text("utf-8"))
            runs = {(arm["name"], seed) for arm in config["arms"] for seed in config["seeds"]}
        except (OSError, ValueError, TypeError, KeyError):
            raise InputError(
                f"{root}/config.json is lost or damaged, so that nothing tells which stages are in "
                "use; run the study again, then clear"
            ) from None
        if lost := sorted(runs - set(self.lists)):
            arm, seed = lost[0]
            raise InputError(
                f"the list arms/{arm}/seed-{seed}.json is lost, so that nothing tells which stages "
                "are in use; run the study again (it trains nothing that is there), then clear"
            )
        listed = set().union(*(listed.keys() for listed in self.lists.values()))
        finished = [k for kind, k in self.stages if kind == "record" and k not in listed]
        if finished := [k for k in finished if ("record", k) not in self.damaged]:
            raise InputError(
                f"{len(finished)} finished generations are in no list (stages/record/{finished[0]}"
                " is one), so that nothing tells whose they are; run the study that made them "
                "again (it trains nothing that is there), then clear"
            )

    def _mb(self, stages: Iterable[Stage]) -> float:
        folders = (self.store.path(kind, key) for kind, key in stages)
        return round(sum(p.stat().st_size for f in folders for p in f.glob("*")) / 1e6, 1)


def examine(folder: Path, *, repair: bool = False) -> CheckUp:
    """Return what a study folder holds, every stage compared to its checksums.

    repair: write study.json anew where it is lost and the folder tells what it said.

    Raises InputError where the folder is no study.
    """
    store = Store(folder)
    identity = store.identity() or (_identity_restored(store) if repair else None)
    if identity is None:
        raise InputError(f"{folder} is no study folder; give the folder that `run` wrote")
    names = _names(store)
    stages = [name for name in names if is_stage(*name)]
    damaged = [stage for stage in stages if not _intact(store, stage)]
    lists = read_run_lists(store)
    used = {identity["real"]}.union(*(listed.keys(present=True) for listed in lists.values()))
    unused = [(kind, key) for kind, key in stages if key not in used]
    finished = {
        item for listed in lists.values() for keys in listed.generations for item in keys.items()
    } | ({("real", identity["real"])} if lists else set())
    return CheckUp(
        store=store,
        identity=identity,
        stages=stages,
        damaged=damaged,
        lost=sorted(finished - set(stages)),
        unreadable=_unreadable(store, bool(finished)),
        lists=lists,
        unused=unused,
        unlisted=[
            *(f"stages/{kind}/{name}" for kind, name in names if (kind, name) not in stages),
            *_unlisted(store, [stage for stage in stages if stage not in damaged]),
        ],
    )


def _names(store: Store) -> list[Stage]:
    """Return what lies among the stages, by kind and name, whether it is one or not."""
    return [
        (kind, p.name) for kind in KINDS for p in sorted((store.root / "stages" / kind).glob("*"))
    ]


def _intact(store: Store, stage: Stage) -> bool:
    try:
        return store.intact(*stage)
    except InputError:  # lists files outside its folder
        return False


def _unlisted(store: Store, stages: Iterable[Stage]) -> Iterator[str]:
    for kind, key in stages:
        info = store.info(kind, key)
        for name in info.unlisted(store.path(kind, key)) if info else ():
            yield f"stages/{kind}/{key}/{name}"


def _unreadable(store: Store, finished: bool) -> list[str]:
    """Return the files beside the stages that `run` did not write so; finished: any generation."""
    readers: dict[str, Callable[[Path], object]] = {
        "config.json": lambda path: StudyConfig.model_validate_json(path.read_bytes()),
        "environment.json": lambda path: dict(json.loads(path.read_bytes())),
        "records.parquet": pq.read_schema,
    }
    found = []
    for name, read in readers.items():
        try:
            read(store.root / name)
        except FileNotFoundError:
            found += [name] if finished else []
        except (OSError, ValueError, TypeError):
            found.append(name)
    return found


def _identity_restored(store: Store) -> dict[str, Any] | None:
    """Write study.json anew from config.json and the real stage; None where they do not tell."""
    try:
        name = json.loads((store.root / "config.json").read_bytes())["name"]
    except (OSError, ValueError, TypeError, KeyError):
        return None
    real = [p.name for p in (store.root / "stages/real").glob("*") if is_stage("real", p.name)]
    if len(real) != 1 or not isinstance(name, str) or not _intact(store, ("real", real[0])):
        return None
    store.set_file_aside("study.json")
    store.write_identity(name, real[0])
    return store.identity()
