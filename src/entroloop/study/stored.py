"""A study folder as Python objects: records, training sets, samples and models, read only."""

from __future__ import annotations

import html
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import takewhile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from entroloop.errors import InputError
from entroloop.generators import Model, draw
from entroloop.generators.table import GENERATORS
from entroloop.plugins import blamed
from entroloop.samples import Array, RealData, SampleSet
from entroloop.store.folder import Store
from entroloop.store.object_store import ObjectStore, store_at
from entroloop.store.records import (
    GenerationRecord,
    frame,
    load_records,
    read_record,
    with_settings,
)
from entroloop.store.run_lists import Keys, RunList, is_complete, read_run_lists
from entroloop.store.stages import read_decision, read_real, read_table, read_training_set
from entroloop.study.build import generators_of
from entroloop.study.config import ArmConfig, StudyConfig
from entroloop.system.notebook import rows_table
from entroloop.system.numbers import number
from entroloop.system.progress_line import no_progress

if TYPE_CHECKING:
    import pandas as pd


def load_study(study: str | Path, *, all: bool = False) -> StoredStudy:
    """Return a study folder, a path or a URL such as s3://bucket/study, for reading.

    Nothing is written and nothing locked, so that a study can be read while it runs: `records` and
    `runs` are what is complete when they are asked for. all: with the runs of other configurations
    that the folder holds, as `load_records` does.

    Raises InputError for a folder that holds no study.
    """
    store = store_at(study)
    if isinstance(store, ObjectStore):
        store.read_only = True
    identity, text = store.identity(), store.read("config.json")
    if identity is None or text is None:
        raise InputError(f"{study} is no study folder; give the folder that `run` wrote")
    try:
        config = StudyConfig.model_validate_json(text)
    except ValueError:
        raise InputError(
            f"{study}/config.json cannot be read; look at it with entroloop doctor"
        ) from None
    return StoredStudy(str(study), store, config, all)


SHOWN = ("entropy_samples", "generalization_score", "memorized_fraction", "frechet_distance")


@dataclass(frozen=True, repr=False)
class StoredStudy:
    """A study as its folder holds it.

    address: the folder, as it was given. config: the configuration of the last run. all: whether
    runs of other configurations are read, too.
    """

    address: str
    store: Store
    config: StudyConfig
    all: bool = False

    @property
    def records(self) -> pd.DataFrame:
        """What `load_records` returns; empty before the first generation is complete."""
        try:
            return load_records(self.address, all=self.all)
        except InputError:
            if self.store.read("records.parquet") is not None:
                raise
            return with_settings(frame([]), self.store)

    @property
    def arms(self) -> list[str]:
        """The names of the configuration's arms, in its order."""
        return [arm.name for arm in self.config.arms]

    @property
    def runs(self) -> list[StoredRun]:
        """The runs with at least one complete generation, in the order of the configuration."""
        lists = read_run_lists(self.store)
        planned = [(arm, seed) for arm in self.arms for seed in self.config.seeds]
        order = [run for run in planned if run in lists]
        order += [run for run in lists if run not in planned and self.all]
        found = [stored for run in order for stored in self._runs_of(run, lists[run])]
        return [run for run in found if run.keys]

    def _runs_of(self, run: tuple[str, int], listed: RunList) -> Iterator[StoredRun]:
        yield StoredRun(self, *run, listed.generations, True)
        for chain in listed.others if self.all else ():
            whole = list(takewhile(lambda keys: is_complete(self.store, keys), chain))
            if whole != listed.generations[: len(whole)]:
                yield StoredRun(self, *run, whole, False)

    def run(self, arm: str, seed: int = 0) -> StoredRun:
        """Return the run of an arm at a seed, under the present configuration.

        Raises InputError where no generation of it is complete.
        """
        for run in self.runs:
            if (run.arm, run.seed, run.current) == (arm, seed, True):
                return run
        raise InputError(
            f"{self.address} holds no complete generation of arm '{arm}' at seed {seed}; its arms: "
            f"{', '.join(self.arms)}; its seeds: {', '.join(map(str, self.config.seeds))}"
        )

    @cached_property
    def real(self) -> RealData:
        """The real data."""
        return read_real(self.store)

    def __repr__(self) -> str:
        made = sum(len(run.keys) for run in self.runs if run.current)
        config = self.config
        planned = len(config.arms) * len(config.seeds) * config.generations
        return (
            f"study {config.name} in {self.address}: {len(config.arms)} arms × "
            f"{len(config.seeds)} seeds × {config.generations} generations, {made} of {planned} "
            "complete"
        )

    def _repr_html_(self) -> str:
        """Return the sentence and the last generation's records, for notebooks."""
        shown = ["arm", "seed", "generation", *SHOWN]
        table = self.records.groupby(["arm", "seed"], as_index=False).last()[shown]
        rows: str = table.to_html(index=False, escape=True, border=0, float_format=number)
        return f"<p>{html.escape(repr(self))}</p>{rows}"


@dataclass(frozen=True, repr=False)
class StoredRun:
    """One arm at one seed: a sequence of its complete generations, the first of which is run[1].

    keys: of the stages of each. current: whether it is of the present configuration.
    """

    study: StoredStudy
    arm: str
    seed: int
    keys: list[Keys]
    current: bool

    @property
    def generations(self) -> list[StoredGeneration]:
        """The complete generations, in order."""
        return [StoredGeneration(self, g) for g in range(1, len(self.keys) + 1)]

    def __getitem__(self, generation: int) -> StoredGeneration:
        if not 1 <= generation <= len(self.keys):
            raise InputError(
                f"{self!r} has the generations 1 … {len(self.keys)}; there is no {generation}"
            )
        return StoredGeneration(self, generation)

    def __len__(self) -> int:
        return len(self.keys)

    def __iter__(self) -> Iterator[StoredGeneration]:
        return iter(self.generations)

    def __repr__(self) -> str:
        other = "" if self.current else " of another configuration"
        return f"arm '{self.arm}' at seed {self.seed}{other}"

    def _repr_html_(self) -> str:
        """Return the main figures of each generation, for notebooks."""
        rows = [
            [str(one.generation), *(number(getattr(one.record, name)) for name in SHOWN)]
            for one in self
        ]
        return rows_table(repr(self), ["generation", *SHOWN], rows)

    @property
    def config(self) -> ArmConfig:
        """The settings of the arm; raises InputError for another configuration's."""
        for arm in self.study.config.arms if self.current else ():
            if arm.name == self.arm:
                return arm
        raise InputError(f"the settings of {self!r} are not kept; only its stages are")


@dataclass(frozen=True, repr=False)
class StoredGeneration:
    """One complete generation of a run."""

    run: StoredRun
    generation: int

    def __repr__(self) -> str:
        return f"generation {self.generation} of {self.run!r}"

    def _repr_html_(self) -> str:
        return self.record._repr_html_()

    @property
    def keys(self) -> Keys:
        """The keys of its four stages, by kind."""
        return self.run.keys[self.generation - 1]

    @property
    def record(self) -> GenerationRecord:
        """What was measured."""
        return read_record(self._store, self.run.arm, self.run.seed, self.generation, self.keys)

    @property
    def training_set(self) -> SampleSet:
        """The rows that its model was trained on, with labels and provenance."""
        self.folder("training_set")
        history = [keys["samples"] for keys in self.run.keys]
        return read_training_set(self._store, self.keys["training_set"], history)

    @property
    def picks(self) -> pd.DataFrame:
        """One line per training row: id, generation, source_index, pick_rank, radius."""
        self.folder("training_set")
        return read_table(self._store, self.keys["training_set"])

    @property
    def decision(self) -> dict[str, Any]:
        """What a guarded selection decided; empty for others."""
        return read_decision(self._store, self.keys["training_set"])

    @property
    def samples(self) -> Array:
        """All samples that were drawn, memory-mapped, with dtype and shape of the real rows.

        The first oversample × N are the candidates of later generations; what lies beyond was
        trained on by nobody.
        """
        self.folder("samples")
        return self._store.samples(self.keys["samples"])

    @property
    def labels(self) -> NDArray[np.int64] | None:
        """The class of each sample; None for a generator without classes."""
        return self._store.sample_labels(self.keys["samples"])

    def model(self, device: str = "cpu") -> Model:
        """Return the trained model; raises InputError for one of another configuration."""
        arm = self.run.config
        generator = generators_of(arm)[: self.generation][-1]
        threads = self.run.study.config.threads
        folder = self.folder("model")
        with blamed(GENERATORS.plugin(arm.generator["name"])):
            return generator.load(folder, device=device, threads=threads)

    def draw(self, n: int, device: str = "cpu") -> Array:
        """Return n samples of the model; those that are stored are among them, in their order."""
        rows = draw(self.model(device), self.run.seed, self.generation, 0, n, no_progress)
        return self.run.study.real.valid(rows)

    def pipeline(self) -> Any:
        """Return the model as a diffusers pipeline; raises InputError where it is no U-Net."""
        from entroloop.generators.unet.model import load_pipeline

        folder = self.folder("model")
        if not (folder / "model_index.json").exists():
            raise InputError(f"the model of {self!r} is no diffusers pipeline; take model()")
        return load_pipeline(folder)

    def folder(self, kind: str) -> Path:
        """Return the folder of a stage: training_set, model, samples or record.

        Raises InputError where the stage is gone or damaged.
        """
        path = self._store.path(kind, self.keys[kind])
        if self._store.info(kind, self.keys[kind]) is None or not path.exists():
            raise InputError(
                f"the stage {kind} of {self!r} is lost or damaged; entroloop doctor "
                f"{self.run.study.address} tells more, and the same `run` makes it anew"
            )
        return path

    @property
    def _store(self) -> Store:
        return self.run.study.store
