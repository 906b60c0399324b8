"""From a configuration to objects: the table of sources, all that is checked before any work."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
from pydantic import BaseModel

from entroloop.data import Source, check_sizes
from entroloop.distances.table import DISTANCES
from entroloop.errors import InputError, unknown_name
from entroloop.features import EXTRACTORS, Extractor, extractor_for
from entroloop.generators import Generator
from entroloop.generators.table import GENERATORS
from entroloop.metrics import METRICS
from entroloop.plugins import Plugin, Table, blamed
from entroloop.plugins.settings import settings_with, validate_settings
from entroloop.samples import RealData
from entroloop.selection import STRATEGIES, select
from entroloop.selection.realism import REALISM
from entroloop.study.config import ArmConfig, Settings, StudyConfig
from entroloop.study.paradigms import PARADIGMS, Composition

_SOURCES = {
    "digits": "entroloop.data.digits:Digits",
    "load": "entroloop.data.loaded:Loaded",
    "arrays": "entroloop.data.arrays:Arrays",
    "parquet": "entroloop.data.images:Parquet",
    "folder": "entroloop.data.images:Folder",
    "webdataset": "entroloop.data.webdataset:WebDataset",
    "hub": "entroloop.data.hub:Hub",
    "principal_components": "entroloop.data.principal_components:PrincipalComponents",
    "text": "entroloop.data.texts:Texts",
    "docstrings": "entroloop.data.docstrings:Docstrings",
    "table": "entroloop.data.table_rows:Tables",
    "known_table": "entroloop.data.table_rows:KnownTable",
}
SOURCES: Table[type[BaseModel]] = Table(
    "sources", _SOURCES, settings_with("load", "source", "n_train", "n_reference")
)


@dataclass(frozen=True)
class Arm:
    """An arm with its objects; generators: as many as differ, see `generators_of`."""

    config: ArmConfig
    generators: tuple[Generator, ...]
    extractor: Extractor

    def generator(self, generation: int) -> Generator:
        """Return what a generation trains."""
        return self.generators[:generation][-1]

    def compose(self, generation: int, n: int) -> Composition:
        """Return what the training set of a generation ≥ 2 is made of."""
        name = self.config.paradigm
        with blamed(PARADIGMS.plugin(name)):
            found = PARADIGMS[name](generation, n, **self.config.paradigm_args)
        if not isinstance(found, Composition):
            raise InputError(f"the paradigm {name} returned no Composition, but {found!r:.60}")
        return found

    @property
    def strategies(self) -> list[str]:
        """The strategies that choose: the arm's own, and those within a guarded one."""
        guarded = self.config.strategy == "guarded"
        inner = self.config.strategy_args.get("inner", []) if guarded else []
        named = [one.get("strategy") if isinstance(one, Mapping) else one for one in inner]
        return [self.config.strategy, *(name for name in named if isinstance(name, str))]

    @property
    def generator_names(self) -> list[str]:
        """The generator, and that of its members where it is an ecosystem."""
        own = str(self.config.generator["name"])
        if own != "ecosystem":
            return [own]
        return list(dict.fromkeys([own, *(g.of.name for g in self.generators)]))  # type: ignore[attr-defined]

    def generator_settings(self, generation: int) -> tuple[Settings, Settings]:
        """Return the settings that training depends on, and those of sampling alone."""
        generator = self.generator(generation)
        settings = cast(BaseModel, generator).model_dump(mode="json")
        sampling = {key: settings.pop(key) for key in generator.SAMPLING if key in settings}
        given = getattr(generator, "given", None)  # a hash of files that settings only name
        settings |= {"given": given} if given else {}
        return settings, sampling


@dataclass(frozen=True)
class Built:
    """A study's configuration with the objects that it names."""

    config: StudyConfig
    source: Source
    arms: list[Arm]
    extractor: Extractor  # of the metrics

    def arm(self, name: str) -> Arm:
        """Return the arm of that name."""
        return next(arm for arm in self.arms if arm.config.name == name)

    def load(self) -> RealData:
        """Load the real data."""
        with blamed(SOURCES.plugin(self.config.data["source"])):
            return self.source.load()

    @property
    def plugins(self) -> list[Plugin]:
        """The plug-ins that the study uses."""
        used: list[tuple[Table[Any], str]] = [(SOURCES, self.config.data["source"])]
        used += [(METRICS, name) for name in self.config.metrics.extra]
        used.append((EXTRACTORS, self.config.metrics.features.partition(":")[0]))
        for arm in self.arms:
            used += [(STRATEGIES, name) for name in arm.strategies]
            used += [
                *((GENERATORS, name) for name in arm.generator_names),
                (PARADIGMS, arm.config.paradigm),
                (EXTRACTORS, arm.config.features.partition(":")[0]),
            ]
        found = dict.fromkeys(table.plugin(name) for table, name in used)
        return [plugin for plugin in found if plugin is not None]


def build(config: StudyConfig, *, try_out: bool = True) -> Built:
    """Return the objects of a study; every name and setting is checked here, before any work.

    try_out: let each strategy select from a line of numbers, to hear what it refuses.

    Raises InputError that names the key and the nearest valid value.
    """
    source = cast(Source, _settings(SOURCES, config.data, "data"))
    for name in config.metrics.extra:
        metric = METRICS.find(name, "metrics.extra")
        if "probabilities" in metric.needs:
            raise InputError(f"metrics.extra: {name} needs class probabilities; use `measure`")
    extractor = extractor_for(config.metrics.features, where="metrics.features")
    arms = [_arm(arm, source.n_train, try_out=try_out) for arm in config.arms]
    return Built(config, source, arms, extractor)


def check_data(built: Built, real: RealData) -> None:
    """Refuse a split larger than the data, and a reserve too small for the paradigm `fresh`."""
    n, source = len(real.data), built.source
    check_sizes(n, source.n_train, source.n_reference)
    reserve = n - source.n_train - source.n_reference
    for arm in built.arms:
        generations = range(2, built.config.generations + 1)
        made_of = [arm.compose(g, source.n_train) for g in generations]
        needed = max((c.fresh[1] for c in made_of), default=0)
        if needed > reserve:
            raise InputError(
                f"arm '{arm.config.name}' needs {needed} fresh real rows, the reserve holds "
                f"{reserve}; lower paradigm_args.fraction, generations, data.n_train or "
                "data.n_reference"
            )
        joined = max((c.guard for c in made_of), default=0)
        if joined or "guard" in STRATEGIES[arm.config.strategy].needs:
            guard = built.config.guard
            if joined > guard or guard + needed > reserve:
                raise InputError(
                    f"arm '{arm.config.name}' needs a guard of {max(joined, guard)} real rows"
                    f"{f' beside {needed} fresh ones' if needed else ''}; `guard` is {guard} and "
                    f"the reserve holds {reserve}: lower guard, data.n_train or data.n_reference"
                )


def _arm(arm: ArmConfig, n_train: int, *, try_out: bool) -> Arm:
    where = f"arm '{arm.name}'"
    paradigm = PARADIGMS.find(arm.paradigm, where)
    strategy = STRATEGIES.find(arm.strategy, where)
    _row(DISTANCES, "metric", arm.metric, where)
    if arm.weights is not None:
        _row(REALISM, "form of realism", arm.weights, f"weights of {where}")
        if arm.strategy == "guarded":
            raise InputError(f"{where}: guarded weighs by realism itself; see its `inner`")
    extractor = extractor_for(arm.features, where=where)
    _check_arguments(paradigm, arm.paradigm_args, "paradigm_args", {"generation", "n"}, where)
    own = {"state", *strategy.reserved, *strategy.needs}
    _check_arguments(strategy.pick, arm.strategy_args, "strategy_args", own, where)
    built = Arm(arm, generators_of(arm), extractor)
    try:
        composition = built.compose(2, n_train)
        if try_out:
            _try_out(arm, n_train)
    except (InputError, TypeError, ValueError) as error:  # a value of the wrong kind, or range
        raise InputError(f"{where}: {error}") from None
    if composition.coupled and not getattr(built.generator(2), "COUPLES", False):
        raise InputError(
            f"{where}: the paradigm {arm.paradigm} trains rows with their noise, which "
            f"{arm.generator['name']} does not; take flow_matching"
        )
    if "real" in strategy.needs and 0 not in composition.candidates:
        raise InputError(
            f"{where}: the strategy {arm.strategy} tells real candidates from others, and the "
            f"paradigm {arm.paradigm} has no real ones; take accumulate_subsample"
        )
    return built


def generators_of(arm: ArmConfig) -> tuple[Generator, ...]:
    """Return the generator of each generation; the last holds on."""
    where, args = f"arm '{arm.name}'", arm.generator_args
    if "name" in args or any(value == [] for value in args.values()):
        raise InputError(
            f"generator_args of {where} takes settings of the generator, each a "
            "value or a list of one value a generation; the name goes into `generator`"
        )
    lists = {key: value for key, value in args.items() if isinstance(value, list)}
    found = []
    for g in range(max(map(len, lists.values()), default=1)):
        now = {key: values[min(g, len(values) - 1)] for key, values in lists.items()}
        place = f"generator of {where}" + (f" in generation {g + 1}" if g else "")
        found.append(_settings(GENERATORS, arm.generator | args | now, place))
    return tuple(cast(Generator, settings) for settings in found)


def _try_out(arm: ArmConfig, n_train: int) -> None:
    """Select from a line of numbers: what a strategy refuses, it refuses before any training."""
    m = min(arm.oversample * n_train, 1024)
    pool = 1.0 + np.arange(max(m, 10), dtype=np.float64)[:, None]
    needed = {
        "reference": pool[:2],
        "real": np.arange(len(pool)) % 2 == 0,
        "scores": pool[:, 0],
        "joined": None,
        "baseline": None,
        "guard": pool[:1] + np.arange(16)[:, None],
        "generations": np.arange(len(pool)) % 2,
    }
    more = {name: needed[name] for name in STRATEGIES[arm.strategy].needs}
    more |= {} if arm.weights is None else {"weights": np.ones(len(pool))}
    select(pool, 1, arm.strategy, metric=arm.metric, **arm.strategy_args, **more)


def _row(table: Mapping[str, Any], kind: str, name: str, where: str) -> None:
    if name not in table:
        raise unknown_name(kind, name, table, where)


def _settings(table: Table[type[BaseModel]], raw: Settings, where: str) -> BaseModel:
    selector = "source" if table is SOURCES else "name"
    if selector not in raw:
        raise InputError(f"{where} needs the key '{selector}': one of {', '.join(sorted(table))}")
    return validate_settings(table.find(raw[selector], where), raw, where)


def _check_arguments(
    function: Callable[..., Any], given: Settings, key: str, own: set[str], where: str
) -> None:
    valid = set(inspect.signature(function).parameters) - own
    for name in given:
        if name not in valid:
            raise unknown_name("key", name, valid or {"(none)"}, f"{key} of {where}")
