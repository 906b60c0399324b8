"""`entroloop audit`: generated files beside real ones, a verdict for each, written to a folder."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from entroloop.cleaning.audit import LEVEL, Audit, audit
from entroloop.commands.pool_files import name_and_path, places_of, read_pools
from entroloop.commands.pools import Pools
from entroloop.data.preparing import preparation
from entroloop.distances.neighbors import distinct_rows
from entroloop.features import extractor_for
from entroloop.samples import Array, as_vectors
from entroloop.system.output_folder import OutputFolder, refuse_overlap
from entroloop.system.progress_line import ProgressOf, no_progress_of


@dataclass(frozen=True, kw_only=True)
class AuditRequest:
    """What the command line asks for.

    real, made: [NAME=]PATH of sets of rows. level: the share of real rows that may be flagged as
    near-copies, and again as strays. on_invalid: what becomes of rows with NaN, `fail` or `drop`.
    resize, mode: what images are brought to, see `preparation`. column: what holds the rows. out:
    the folder that is written.
    """

    real: list[str]
    made: str
    out: Path
    features: str = "raw"
    level: float = LEVEL
    seed: int = 0
    strict: bool = False
    on_invalid: str = "fail"
    resize: int | None = None
    mode: str | None = None
    column: list[str] | None = None
    device: str = "auto"


@dataclass(frozen=True)
class Audited:
    """The sets as they were read, the audit, and the summary."""

    real: Pools
    made: Pools
    found: Audit
    summary: dict[str, Any]


def audit_files(request: AuditRequest, progress_of: ProgressOf = no_progress_of) -> Audited:
    """Write audit.parquet and summary.json; return what was found.

    Raises InputError for whatever is wrong with the sets or options; then nothing is written.
    """
    folder = OutputFolder(request.out)
    folder.check()
    for name, path in map(name_and_path, [*request.real, request.made]):  # two may have one name
        refuse_overlap(request.out, places_of({f"'{name}'": path}))
    plain = extractor_for("raw")  # images of one size: they are shown, too
    change = preparation(request.resize, request.mode)
    real, made = (
        Pools(read_pools(
            given, plain, strict=request.strict, on_invalid=request.on_invalid,
            column=request.column, change=change,
        ))
        for given in (request.real, [request.made])
    )  # fmt: skip
    found = audit(
        _rows(real),
        _rows(made),
        features=request.features,
        level=request.level,
        seed=request.seed,
        device=request.device,
        progress_of=progress_of,
    )
    summary = _summary(request, real, made, found)
    with folder.locked(), folder.replaced() as new:
        _table(real, made, found).to_parquet(new / "audit.parquet", index=False)
        (new / "summary.json").write_text(json.dumps(summary, indent=1), "utf-8")
    return Audited(real, made, found, summary)


def _rows(pools: Pools) -> Array:
    sets = [np.asarray(s.data) for s in pools.sets]
    return sets[0] if len(sets) == 1 else np.concatenate(sets)


def _table(real: Pools, made: Pools, found: Audit) -> Any:
    """Return audit.parquet: one row for each generated one, in their order."""
    import pandas as pd

    own, origin = made.columns_of(np.arange(len(found))), real.columns_of(found.nearest)
    others = made.columns_of(np.maximum(found.other, 0))["id"]
    alone = found.other < 0
    return pd.DataFrame({
        "index": own["index"],
        "id": own["id"],
        "verdict": found.verdicts,
        "nearest": origin["id"],
        "nearest_pool": origin["pool"],
        "d1": found.d1,
        "d2": found.d2,
        "ratio": found.ratio,
        "typicality": found.typicality,
        "other": [None if a else other for other, a in zip(others, alone, strict=True)],
        "other_distance": found.other_distance,
    })  # fmt: skip


def _summary(request: AuditRequest, real: Pools, made: Pools, found: Audit) -> dict[str, Any]:
    sets = {s.name: s for s in real.sets}
    sets |= {f"made {s.name}" if s.name in sets else s.name: s for s in made.sets}
    skipped = {name: s.skipped for name, s in sets.items() if s.skipped}
    return {
        "counts": found.counts,
        "made": len(found),
        "made_equal_to_another": len(found) - len(distinct_rows(as_vectors(_rows(made)))[0]),
        "real": found.real,
        "real_distinct": found.real_distinct,
        "features": request.features,
        "seed": request.seed,
        "thresholds": asdict(found.thresholds),
        "false_alarms": {name: asdict(rate) for name, rate in found.false_alarms.items()},
        "skipped": skipped,
        "remarks": {name: s.remarks for name, s in sets.items() if s.remarks},
        "skipped_by_reason": dict(Counter(r for s in skipped.values() for r in s.values())),
    }
