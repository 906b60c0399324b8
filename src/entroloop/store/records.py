"""Records: the measurements of one generation of one run each."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass, field, fields
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

from entroloop.errors import InputError
from entroloop.store.folder import Store
from entroloop.store.object_store import store_at
from entroloop.store.run_lists import Keys, is_complete, other_runs, read_run_lists
from entroloop.system.notebook import facts_table
from entroloop.system.numbers import number

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class GenerationRecord:
    """One row of the table of records.

    Entropies are in nats, distances in the units of the metric features, seconds in wall-clock
    time and peaks in MB of resident memory. `share_by_generation[g]` is the share of the training
    set made by generation g (0: real data). `generalization_ratio` is the generalization score over
    the training set's own mean leave-one-out distance: unlike the score it does not fall with the
    scale of the data, so that a fall means memorization. `…_unselected` is the null of a score
    after generation 1: that of rows like the training set's which nothing was trained on; `…_real`
    asks for the real training rows in place of this generation's training set; `…_floor` is what
    real rows have against the reference. `taken`: the inner strategy that a guarded selection took,
    empty for others. NaN stands for what earlier versions did not record, or
    these sets do not have. `extra` holds metrics requested beyond the columns.
    """

    arm: str
    seed: int
    generation: int
    entropy_train: float
    entropy_samples: float
    generalization_score: float
    generalization_score_reference: float
    memorized_fraction: float
    frechet_distance: float
    coverage_distance: float
    total_variance: float
    real_share: float
    share_by_generation: list[float]
    duplicate_fraction: float
    n_train: int
    seconds_fit: float
    seconds_sample: float
    seconds_select: float
    seconds_measure: float
    peak_mb_fit: float
    peak_mb_sample: float
    peak_mb_select: float
    peak_mb_measure: float
    generalization_ratio: float = math.nan
    auth_pct: float = math.nan
    generalization_score_unselected: float = math.nan
    generalization_ratio_real: float = math.nan
    memorized_fraction_real: float = math.nan
    frechet_distance_floor: float = math.nan
    taken: str = ""
    extra: dict[str, float] = field(default_factory=dict)

    def row(self) -> dict[str, Any]:
        """Return the columns as a dict, with the extra metrics under their own names."""
        named = {f.name: getattr(self, f.name) for f in fields(self) if f.name != "extra"}
        return named | self.extra

    def _repr_html_(self) -> str:
        """Return what was measured as a table, for notebooks."""
        numbers = {
            name: number(value) for name, value in self.row().items()
            if isinstance(value, float) and not name.startswith(("seconds_", "peak_mb_"))
        }  # fmt: skip
        taken = {"taken": self.taken} if self.taken else {}
        return facts_table(
            f"{self.arm}, seed {self.seed}, generation {self.generation}", taken | numbers
        )


COLUMNS = [f.name for f in fields(GenerationRecord) if f.name != "extra"]
SETTINGS = ("paradigm", "strategy", "oversample", "generator")  # that tell arms apart


def frame(records: list[GenerationRecord]) -> pd.DataFrame:
    """Return records as a data frame, sorted by arm, seed and generation."""
    import pandas as pd

    rows = sorted((r.row() for r in records), key=lambda r: (r["arm"], r["seed"], r["generation"]))
    return pd.DataFrame(rows, columns=None if rows else COLUMNS)


def load_records(study: str | Path, *, all: bool = False) -> pd.DataFrame:
    """Return the records of a study folder or URL: one row per arm, seed and generation, sorted.

    First come study, paradigm, strategy, oversample and generator, missing in rows of other
    configurations, whose settings are not kept; then the columns of `GenerationRecord`, of which
    `share_by_generation` holds a list of floats.
    all: include the runs of other configurations in the folder, and add a column `current`, True
    for rows of the present configuration.

    Raises InputError if the folder holds no records.
    """
    import pandas as pd

    try:
        table = pd.read_parquet(BytesIO(_content(f"{study}/records.parquet")))
    except (OSError, ImportError, ValueError):
        table = pd.DataFrame(columns=COLUMNS)
    else:
        table["share_by_generation"] = [list(map(float, s)) for s in table["share_by_generation"]]
        for column in COLUMNS:  # that an earlier version did not know
            if column not in table:
                table[column] = "" if column == "taken" else math.nan
    if all:
        others = _other_records(study)
        table["current"] = True
        others["current"] = False
        kept = [part for part in (table, others) if len(part)]
        table = pd.concat(kept, ignore_index=True) if kept else table
        table = table.sort_values(["arm", "seed", "generation"], kind="stable", ignore_index=True)
    if not len(table):
        raise InputError(f"{study} holds no records.parquet; run the study first: entroloop run")
    return with_settings(table, store_at(study))


def with_settings(table: pd.DataFrame, store: Store) -> pd.DataFrame:
    """Return records with the study's name and the settings that tell its arms apart first."""
    try:
        config = json.loads(store.read("config.json") or "")
        study, arms = config["name"], config["arms"]
        own = {arm["name"]: arm | {"generator": arm["generator"]["name"]} for arm in arms}
    except (ValueError, KeyError, TypeError):  # lost or damaged, which doctor tells
        study, own = None, {}
    current = table["current"] if "current" in table else [True] * len(table)
    rows = [own.get(arm, {}) if now else {} for arm, now in zip(table["arm"], current, strict=True)]
    for i, name in enumerate(SETTINGS):
        table.insert(i, name, [row.get(name) for row in rows])
    table.insert(0, "study", study)
    return table


def _content(address: str) -> bytes:
    """Return a file, a path or URL, as it is at one moment.

    A reader that opens it twice, or seeks in it, gets half of each where it is replaced meanwhile.
    """
    if "://" not in address:
        return Path(address).read_bytes()
    from fsspec.core import url_to_fs

    files, path = url_to_fs(address)
    content: bytes = files.cat_file(path)
    return content


def _other_records(study: str | Path) -> pd.DataFrame:
    """Return the records of other configurations, read from their stages."""
    store = store_at(study)
    return frame([
        read_record(store, other.arm, other.seed, generation, keys)
        for other in other_runs(read_run_lists(store))
        for generation, keys in zip(other.generations, other.keys, strict=True)
        if is_complete(store, keys)
    ])  # fmt: skip


def read_record(store: Store, arm: str, seed: int, generation: int, keys: Keys) -> GenerationRecord:
    """Return the record of a complete generation, with the time and memory of its stages."""
    values = from_json((store.path("record", keys["record"]) / "record.json").read_text("utf-8"))
    for name, kind in (
        ("select", "training_set"), ("fit", "model"), ("sample", "samples"), ("measure", "record"),
    ):  # fmt: skip
        info = store.info(kind, keys[kind])
        assert info is not None
        values |= {f"seconds_{name}": info.seconds, f"peak_mb_{name}": info.peak_mb}
    return GenerationRecord(arm, seed, generation, **values)


def to_json(values: dict[str, Any]) -> str:
    """Return JSON in which non-finite numbers are null, their values by name under `notes`."""
    notes = {k: str(v) for k, v in values.items() if isinstance(v, float) and not math.isfinite(v)}
    plain = {k: None if k in notes else v for k, v in values.items()}
    return json.dumps(plain | ({"notes": notes} if notes else {}), indent=1)


def from_json(text: str) -> dict[str, Any]:
    """Parse the output of `to_json`, restoring infinities and NaN."""
    values: dict[str, Any] = json.loads(text)
    notes = values.pop("notes", {})
    return values | {name: float(note) for name, note in notes.items()}
