"""The record: what is known of one generation of one run."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from entroloop.errors import InputError

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class GenerationRecord:
    """One row of the table of records.

    Entropies in nats, distances in the units of the metric features, seconds of wall clock, peaks
    in MB of resident memory. `share_by_generation[g]` is the share of the training set that
    generation g made (0: real data). `extra` holds metrics asked for beyond the columns.
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
    extra: dict[str, float] = field(default_factory=dict)

    def row(self) -> dict[str, Any]:
        """Return the columns, the extra metrics under their own names."""
        named = {f.name: getattr(self, f.name) for f in fields(self) if f.name != "extra"}
        return named | self.extra


COLUMNS = [f.name for f in fields(GenerationRecord) if f.name != "extra"]


def frame(records: list[GenerationRecord]) -> pd.DataFrame:
    """Return records as a data frame, sorted by arm, seed and generation."""
    import pandas as pd

    rows = sorted((r.row() for r in records), key=lambda r: (r["arm"], r["seed"], r["generation"]))
    return pd.DataFrame(rows, columns=None if rows else COLUMNS)


def load_records(study: str | Path) -> pd.DataFrame:
    """Return the records of a study folder or URL: one row per arm, seed and generation, sorted.

    The columns are those of `GenerationRecord`; `share_by_generation` holds a list of floats.

    Raises InputError where the folder holds no records.
    """
    import pandas as pd

    place = f"{study}/records.parquet"
    try:
        table = pd.read_parquet(place)  # URLs, too, by fsspec
    except (OSError, ImportError, ValueError):
        raise InputError(
            f"{study} holds no records.parquet; run the study first: entroloop run"
        ) from None
    table["share_by_generation"] = [list(map(float, s)) for s in table["share_by_generation"]]
    return table


def to_json(values: dict[str, Any]) -> str:
    """Return JSON in which a number that is not finite is null, with its name under `notes`."""
    notes = {k: str(v) for k, v in values.items() if isinstance(v, float) and not math.isfinite(v)}
    plain = {k: None if k in notes else v for k, v in values.items()}
    return json.dumps(plain | ({"notes": notes} if notes else {}), indent=1)


def from_json(text: str) -> dict[str, Any]:
    """Return what `to_json` wrote, −inf and NaN restored."""
    values: dict[str, Any] = json.loads(text)
    notes = values.pop("notes", {})
    return values | {name: float(note) for name, note in notes.items()}
