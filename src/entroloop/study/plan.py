"""The plan of a study: every generation of every run, with the keys of its four stages.

A key is the hash of the keys of a stage's inputs and of the settings that matter to it, so the
whole plan is known before any work, equal work has equal keys, and a changed setting changes the
keys of what it touches and of nothing else.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace
from typing import Any

from entroloop.generators.table import GENERATORS
from entroloop.metrics import METRICS
from entroloop.plugins import Plugin
from entroloop.seeding import seed_for
from entroloop.selection import STRATEGIES
from entroloop.store.folder import FORMAT
from entroloop.study.build import Arm, Built
from entroloop.study.config import ArmConfig, fingerprint
from entroloop.study.paradigms import Composition

STAGES = ("training_set", "model", "samples", "record")
RECORD_FORMAT = 3  # of what is measured; a change measures anew, and trains nothing


@dataclass(frozen=True, kw_only=True)
class Step:
    """One generation of one run: what it is made from, and the keys of its stages.

    composition: what the training set is made of, None in generation 1, which has real data.
    history: the samples keys of generations 1 … g−1. previous, previous_model: the keys of the
    training set and the model of the generation before. training_set, model, samples, record: the
    keys of this generation's stages. n_samples: how many samples any step of the plan wants of this
    model.
    """

    arm: ArmConfig
    seed: int
    generation: int
    composition: Composition | None
    history: tuple[str, ...]
    previous: str | None
    previous_model: str | None
    training_set: str
    model: str
    samples: str
    record: str
    n_samples: int

    @property
    def identity(self) -> tuple[str, int, int]:
        """Arm, seed and generation."""
        return self.arm.name, self.seed, self.generation

    @property
    def run(self) -> tuple[str, int]:
        """Arm and seed."""
        return self.arm.name, self.seed

    @property
    def fit_seed(self) -> int:
        """The seed of the training."""
        return seed_for(self.seed, self.generation, "fit")

    def keys(self) -> dict[str, str]:
        """Return the four keys by kind of stage."""
        return {kind: getattr(self, kind) for kind in STAGES}


def plan(built: Built, real_key: str, device: str) -> list[Step]:
    """Return the steps of a study in an order in which each comes after what it needs."""
    config, keys = built.config, _Keys(built, real_key, device)
    steps: list[Step] = []
    for seed in config.seeds:
        for arm in built.arms:
            run: list[Step] = []
            for generation in range(1, config.generations + 1):
                run.append(keys.step(arm, seed, generation, run))
            steps += run
    wanted: dict[str, int] = defaultdict(int)
    for step in steps:
        wanted[step.samples] = max(wanted[step.samples], step.n_samples)
    steps = [replace(step, n_samples=wanted[step.samples]) for step in steps]
    return sorted(steps, key=lambda step: step.generation)


class _Keys:
    """Makes steps with their keys: what enters a key stands in the method that makes it."""

    def __init__(self, built: Built, real_key: str, device: str) -> None:
        self.built, self.config = built, built.config
        self.real_key, self.device = real_key, device

    def step(self, arm: Arm, seed: int, generation: int, before: list[Step]) -> Step:
        """Return a generation of a run, given the steps before it."""
        config = self.config
        history = tuple(step.samples for step in before)
        previous = before[-1].training_set if before else None
        previous_model = before[-1].model if before else None
        composition = arm.compose(generation, config.n_train) if before else None
        training_set = self._training_set(arm, seed, generation, composition, history, previous)
        model = self._model(arm, seed, generation, training_set, previous_model)
        samples = fingerprint(
            {"stage": "samples", "model": model, "sampling": arm.generator_settings(generation)[1]}
        )
        return Step(
            arm=arm.config,
            seed=seed,
            generation=generation,
            composition=composition,
            history=history,
            previous=previous,
            previous_model=previous_model,
            training_set=training_set,
            model=model,
            samples=samples,
            record=self._record(seed, [training_set, model, samples]),
            n_samples=arm.config.oversample * config.n_train
            + (config.unselected if generation < config.generations else 0),
        )

    def _base(self, seed: int) -> dict[str, Any]:
        return {"format": FORMAT, "real": self.real_key, "seed": seed}

    def _split(self, seed: int) -> dict[str, Any]:
        return self._base(seed) | {"n_train": self.config.n_train}

    def _training_set(
        self,
        arm: Arm,
        seed: int,
        generation: int,
        composition: Composition | None,
        history: tuple[str, ...],
        previous: str | None,
    ) -> str:
        content = self._split(seed) | {"stage": "training_set"}
        if composition is not None:
            own = arm.config
            made_of = asdict(composition)
            for later in ("guard", "coupled"):  # keys of before there were such
                if not made_of[later]:
                    del made_of[later]
            guarded = "guard" in STRATEGIES[own.strategy].needs or composition.guard
            content |= {"guard": self.config.guard} if guarded else {}
            version = STRATEGIES[own.strategy].version
            content |= {"version": version} if version > 1 else {}
            content |= {
                "generation": generation,
                "composition": made_of,
                "inputs": [history[g - 1] for g in composition.candidates if g > 0],
                "previous": previous if composition.previous else None,
                "n_reference": self.config.n_reference if composition.fresh[1] else None,
                "strategy": [own.strategy, own.strategy_args, arm.extractor.identity, own.metric],
                "oversample": own.oversample,
            }
            content |= {"weights": own.weights} if own.weights else {}
            content |= _plugins(STRATEGIES.plugin(name) for name in arm.strategies)
        return fingerprint(content)

    def _model(
        self, arm: Arm, seed: int, generation: int, training_set: str, previous_model: str | None
    ) -> str:
        content = self._base(seed) | {
            "stage": "model",
            "generation": generation,
            "training_set": training_set,
            "generator": arm.generator_settings(generation)[0],
            "device": self.device,
            "threads": self.config.threads if self.device == "cpu" else None,
        }
        if arm.generator(generation).needs_previous:
            content["previous"] = previous_model
        content |= _plugins(GENERATORS.plugin(name) for name in arm.generator_names)
        return fingerprint(content)

    def _record(self, seed: int, keys: list[str]) -> str:
        metrics = self.config.metrics.model_dump() | {"features": self.built.extractor.identity}
        versions = {name: METRICS[name].version for name in self.config.metrics.extra}
        versions = {name: version for name, version in versions.items() if version > 1}
        return fingerprint(
            self._split(seed)
            | {
                "stage": "record",
                "record_format": RECORD_FORMAT,
                "keys": keys,
                "n_reference": self.config.n_reference,
                "metrics": metrics,
            }
            | ({"versions": versions} if versions else {})
            | _plugins(METRICS.plugin(name) for name in self.config.metrics.extra)
        )


def _plugins(found: Iterable[Plugin | None]) -> dict[str, dict[str, str]]:
    """Return the versions of plug-ins as part of a key; nothing where there are none.

    Those of extractors are part of their identity. What a source or a paradigm returns is itself
    part of the keys, so that their versions need not be.
    """
    versions = {plugin.name: plugin.version for plugin in found if plugin is not None}
    return {"plugins": versions} if versions else {}
