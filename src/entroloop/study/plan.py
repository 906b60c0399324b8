"""The plan of a study: every generation of every run, with the keys of its four stages.

A key is the hash of the keys of a stage's inputs and of the settings that matter to it, so the
whole plan is known before any work, equal work has equal keys, and a changed setting changes the
keys of what it touches and of nothing else.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import asdict, dataclass
from typing import Any

from entroloop.seeding import seed_for
from entroloop.store.folder import FORMAT
from entroloop.study.build import Built
from entroloop.study.config import ArmConfig, fingerprint
from entroloop.study.paradigms import Composition


@dataclass(frozen=True)
class Step:
    """One generation of one run: what it is made from, and the keys of its stages.

    history: the samples keys of generations 1 … g−1. previous, previous_model: the training set
    and the model of the generation before.
    n_samples: how many samples any step of the plan wants of this model.
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
    def place(self) -> tuple[str, int, int]:
        """Arm, seed and generation."""
        return self.arm.name, self.seed, self.generation

    @property
    def fit_seed(self) -> int:
        """The seed of the training."""
        return seed_for(self.seed, self.generation, "fit")

    def keys(self) -> dict[str, str]:
        """Return the four keys by kind of stage."""
        return {kind: getattr(self, kind) for kind in STAGES}


STAGES = ("training_set", "model", "samples", "record")


def plan(built: Built, real_key: str, device: str) -> list[Step]:
    """Return the steps of a study in an order in which each comes after what it needs."""
    config = built.config
    steps: list[Step] = []
    for seed in config.seeds:
        for arm in built.arms:
            history: tuple[str, ...] = ()
            previous: str | None = None
            previous_model: str | None = None
            for generation in range(1, config.generations + 1):
                step = _step(
                    built, arm.config, seed, generation, history, previous, previous_model,
                    real_key, device,
                )  # fmt: skip
                steps.append(step)
                history, previous = (*history, step.samples), step.training_set
                previous_model = step.model
    wanted: dict[str, int] = defaultdict(int)
    for step in steps:
        wanted[step.samples] = max(wanted[step.samples], step.n_samples)
    steps = [Step(**{**step.__dict__, "n_samples": wanted[step.samples]}) for step in steps]
    return sorted(steps, key=lambda step: step.generation)


def _step(
    built: Built,
    arm: ArmConfig,
    seed: int,
    generation: int,
    history: tuple[str, ...],
    previous: str | None,
    previous_model: str | None,
    real_key: str,
    device: str,
) -> Step:
    config = built.config
    objects = built.arm(arm.name)
    base = {"format": FORMAT, "real": real_key, "seed": seed}
    split = base | {"n_train": config.n_train}
    composition = None
    training_set: Any = split | {"stage": "training_set"}
    if generation > 1:
        composition = objects.compose(generation, config.n_train)
        training_set |= {
            "generation": generation,
            "composition": asdict(composition),
            "inputs": [history[g - 1] for g in composition.candidates if g > 0],
            "previous": previous if composition.previous else None,
            "n_reference": config.n_reference if composition.fresh[1] else None,
            "strategy": [arm.strategy, arm.strategy_args, objects.extractor.identity, arm.metric],
            "oversample": arm.oversample,
        }
    training_key = fingerprint(training_set)
    training, sampling = objects.generator_settings()
    model_key = fingerprint(
        base
        | {
            "stage": "model",
            "generation": generation,
            "training_set": training_key,
            "generator": training,
            "device": device,
            "threads": config.threads if device == "cpu" else None,
        }
        | ({"previous": previous_model} if objects.generator.needs_previous else {})
    )
    samples_key = fingerprint({"stage": "samples", "model": model_key, "sampling": sampling})
    record_key = fingerprint(
        split
        | {
            "stage": "record",
            "keys": [training_key, model_key, samples_key],
            "n_reference": config.n_reference,
            "metrics": config.metrics.model_dump() | {"features": built.extractor.identity},
        }
    )
    return Step(
        arm,
        seed,
        generation,
        composition,
        history,
        previous,
        previous_model,
        training_key,
        model_key,
        samples_key,
        record_key,
        arm.oversample * config.n_train,
    )
