"""The configuration of a study: validation, presets, overrides and a fingerprint."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from entroloop.errors import InputError, one_line, unknown_name
from entroloop.plugins import Plugin, PluginError, Table
from entroloop.plugins.settings import first_problem
from entroloop.study.yaml_text import parsed, refuse_odd_values
from entroloop.trackers import TRACKERS

Settings = dict[str, Any]
LONGEST_NAME = 200


class ArmConfig(BaseModel):
    """One combination of the axes, complete with all defaults.

    weights: a form of realism (`realism_weights`) by which candidates' distances are multiplied, as
    the real training rows see them; null for none. generator_args: settings of the generator that
    differ from `generator`, as `{real_weight: 0.6}`; a list gives one value a generation, of which
    the last holds on, as `{truncation: [0.4, 0.2, 0]}`.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)
    name: str = ""
    paradigm: str = "replace"
    paradigm_args: Settings = {}
    strategy: str = "random"
    strategy_args: Settings = {}
    oversample: int = Field(default=1, ge=1)
    features: str = "raw"
    metric: str = "euclidean"
    weights: str | None = None
    generator: Settings = {"name": "mlp_diffusion"}
    generator_args: Settings = {}

    @field_validator("name")
    @classmethod
    def _is_a_file_name(cls, name: str) -> str:
        if not all(c.isalnum() or c in "-_.+=" for c in name) or name.startswith("."):
            raise ValueError("use letters, digits and - _ . + = only (it names a folder)")
        if len(name.encode()) > LONGEST_NAME:
            raise ValueError(f"use at most {LONGEST_NAME} bytes (it names a folder)")
        return name


class MetricsConfig(BaseModel):
    """How generations are measured: the feature space, and metrics beyond the standard columns.

    unselected: how many samples of each generation, N at most, are drawn beyond the candidates:
    trained on by nobody, they tell how near to a training set rows lie that are like it.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)
    features: str = "raw"
    extra: list[str] = []
    unselected: int = Field(default=256, ge=0)


class StudyConfig(BaseModel):
    """A study: arms × seeds, each a loop of `generations` generations.

    guard: how many rows of the reserve, its last, are kept for arms that need a guard: real rows
    that no model is trained on and that judge nothing; other arms do not depend on it. 0: the
    real training rows stand in. trackers: which of `TRACKERS` get the records; they change no
    result and are in no key.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)
    name: str = Field(default="study", min_length=1, max_length=LONGEST_NAME)
    data: Settings
    generations: int = Field(ge=1, le=10_000)
    seeds: list[int] = Field(default=[0], min_length=1)
    metrics: MetricsConfig = MetricsConfig()
    threads: int = Field(default=1, ge=1)
    guard: int = Field(default=256, ge=0)
    trackers: list[str] = []
    arms: list[ArmConfig] = Field(min_length=1)

    @field_validator("trackers")
    @classmethod
    def _known_trackers(cls, names: list[str]) -> list[str]:
        for name in names:
            if name not in TRACKERS:
                raise ValueError(str(unknown_name("tracker", name, TRACKERS)))
        return list(dict.fromkeys(names))

    @field_validator("seeds")
    @classmethod
    def _different_seeds(cls, seeds: list[int]) -> list[int]:
        if len(set(seeds)) < len(seeds) or min(seeds) < 0 or max(seeds) >= 2**63:
            raise ValueError("give different whole numbers ≥ 0, below 2⁶³")
        return seeds

    @model_validator(mode="after")
    def _different_names(self) -> StudyConfig:
        names = [arm.name for arm in self.arms]
        twice = next((name for name in names if names.count(name) > 1), None)
        if twice:
            raise ValueError(f"two arms are called '{twice}'; give one of them a `name`")
        return self

    @property
    def n_train(self) -> int:
        """N, the number of rows in a training set."""
        return int(self.data["n_train"])

    @property
    def unselected(self) -> int:
        """The number of samples of a generation that nothing is trained on."""
        return min(self.metrics.unselected, self.n_train)

    @property
    def n_reference(self) -> int:
        """The number of held-out real rows."""
        return int(self.data["n_reference"])


ARM_KEYS = set(ArmConfig.model_fields)
# The features of arms and metrics where none are named: raw, but for sources of texts.
FEATURES = {"text": "ngrams", "docstrings": "ngrams"}


def _own_presets() -> dict[str, Traversable]:
    folder = resources.files("entroloop") / "presets"
    files = sorted((f for f in folder.iterdir() if f.name.endswith(".yaml")), key=lambda f: f.name)
    return {f.name.removesuffix(".yaml"): f for f in files}


def _adopted(plugin: Plugin, found: object) -> Traversable:
    if not isinstance(found, Traversable):
        raise PluginError(
            f"{plugin} is no path of a study file: give a pathlib.Path, or what "
            "importlib.resources.files(package) / 'study.yaml' returns"
        )
    if not found.is_file():
        raise PluginError(f"{plugin} leads to {found}, which is no file")
    return found


PRESETS: Table[Traversable] = Table("presets", _own_presets(), _adopted)


def preset_text(name: str) -> str:
    """Return the study file of a preset; raises InputError where it cannot be had."""
    try:
        return PRESETS[name].read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"cannot read the preset {name}: {one_line(error, 200)}") from None


def load_config(source: str | Path | Mapping[str, Any], overrides: Settings) -> StudyConfig:
    """Return the validated configuration from a preset name, a YAML file or a mapping.

    overrides: nested dicts or dotted keys. A list is replaced and a dict is merged, except that a
    different `name` or `source` discards the old settings. `arms.<name or number>.<key>` addresses
    one arm.

    Raises InputError that names the key, the problem, and the nearest valid key.
    """
    raw = dict(source) if isinstance(source, Mapping) else _read(source)
    where = "the configuration" if isinstance(source, Mapping) else str(source)
    changes: Settings = {}
    for key, value in overrides.items():
        changes = _merged(changes, _nested(key.split("."), value))
    arm_changes = changes.pop("arms", None)
    raw = _merged(raw, changes)
    if isinstance(arm_changes, dict):
        raw["arms"] = _changed_arms(raw, arm_changes)
    elif arm_changes is not None:
        raw["arms"] = arm_changes
    refuse_odd_values(raw, where)
    return _validated(raw, where)


def _read(source: str | Path) -> Settings:
    if str(source) in PRESETS:
        text = preset_text(str(source))
    elif Path(source).suffix in {".yaml", ".yml"} or Path(source).is_file():
        if Path(source).exists() and not Path(source).is_file():
            raise InputError(f"{source} is no file; give a study file or the name of a preset")
        try:
            text = Path(source).read_text("utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise InputError(f"cannot read the study file {source}: {error}") from None
    else:
        raise InputError(f"{unknown_name('preset', source, PRESETS)}; or give a .yaml file")
    raw = parsed(text, str(source))
    if not isinstance(raw, dict):
        raise InputError(f"{source} must hold a mapping of keys, such as 'generations: 6'")
    return raw


def parse_overrides(items: list[str]) -> Settings:
    """Parse `KEY=VALUE` items into a mapping; VALUE is YAML.

    >>> parse_overrides(["seeds=[0, 1]", "generator.steps=10"])
    {'seeds': [0, 1], 'generator.steps': 10}
    """
    overrides = {}
    for item in items:
        key, equals, text = item.partition("=")
        if not equals or not key:
            raise InputError(f"'{one_line(item, 80)}' is not KEY=VALUE, such as seeds=[0,1]")
        overrides[key] = parsed(text, f"the value of '{one_line(item, 80)}'")
    return overrides


def _nested(path: list[str], value: Any) -> Settings:
    for part in reversed(path):
        value = {part: value}
    return dict(value)


SELECTORS = {"generator": "name", "data": "source"}


def _merged(old: Settings, new: Settings) -> Settings:
    """Return old updated with new, dict by dict.

    A different generator or data source discards the old one's settings, which do not apply to it.
    """
    out = dict(old)
    for key, value in new.items():
        before = out.get(key)
        if key == "generator" and isinstance(before, str):
            before = {"name": before}
        selector = SELECTORS.get(key)
        if (
            not isinstance(before, dict)
            or not isinstance(value, dict)
            or (selector in value and before.get(selector) != value[selector])
        ):
            out[key] = value
        else:
            out[key] = _merged(before, value)
    return out


def _changed_arms(raw: Settings, changes: Settings) -> list[Settings]:
    arms = [dict(arm) for arm in raw.get("arms", []) if isinstance(arm, dict)]
    names = [_arm_name({**raw, **arm}, arm) for arm in arms]
    for key, change in changes.items():
        if key in names:
            index = names.index(key)
        elif str(key).isdigit() and int(key) < len(arms):
            index = int(key)
        else:
            raise unknown_name("arm", key, names)
        if not isinstance(change, dict):
            raise InputError(f"arms.{key} takes a key, such as arms.{key}.oversample=2")
        arms[index] = _merged(arms[index], change)
    return arms


def _arm_name(merged: Settings, arm: Settings) -> str:
    return str(arm.get("name") or f"{merged.get('paradigm')}-{merged.get('strategy', 'random')}")


def _validated(raw: Settings, where: str) -> StudyConfig:
    top = {key: value for key, value in raw.items() if key not in ARM_KEYS or key == "name"}
    shared = {key: raw[key] for key in ARM_KEYS & set(raw) if key != "name"}
    valid = set(StudyConfig.model_fields) | ARM_KEYS
    for key in top:
        if key not in valid:
            raise unknown_name("key", key, valid, where)
    arms = raw.get("arms")
    if not isinstance(arms, list) or not arms:
        raise InputError(f"{where} needs `arms`, a list of at least one arm")
    data, metrics = top.get("data"), top.get("metrics", {})
    source = data.get("source") if isinstance(data, dict) else None
    if isinstance(source, str) and source in FEATURES and isinstance(metrics, dict):
        features = {"features": FEATURES[source]}
        shared, top["metrics"] = features | shared, features | metrics
    top["arms"] = [_full_arm(arm, i, shared, where) for i, arm in enumerate(arms)]
    try:
        return StudyConfig.model_validate(top)
    except ValidationError as error:
        raise InputError(first_problem(error, where)) from None


def _full_arm(arm: Any, index: int, shared: Settings, where: str) -> Settings:
    if not isinstance(arm, dict):
        raise InputError(f"arms.{index} in {where} must be a mapping such as {{paradigm: replace}}")
    for key in arm:
        if key not in ARM_KEYS:
            raise unknown_name("key", key, ARM_KEYS, f"arms.{index} of {where}")
    full = {**shared, **arm}
    full.setdefault("paradigm", "replace")
    generator = full.get("generator", ArmConfig.model_fields["generator"].default)
    full["generator"] = {"name": generator} if isinstance(generator, str) else generator
    full["name"] = _arm_name(full, arm)
    return full


def fingerprint(content: Any) -> str:
    """Return a hash of JSON-able content, 32 hexadecimal digits; key order does not matter."""
    text = json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def runs(config: StudyConfig) -> Iterator[tuple[ArmConfig, int]]:
    """Yield every run of the study: one arm at one seed, seeds outermost."""
    for seed in config.seeds:
        for arm in config.arms:
            yield arm, seed
