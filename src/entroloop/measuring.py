"""`entroloop measure`: sets of files in, JSON out."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from entroloop.data.files import FileSet, read_set
from entroloop.errors import InputError, unknown_name
from entroloop.features import EXTRACTORS
from entroloop.metrics.measure import Measurement, measure
from entroloop.samples import as_vectors


def measure_files(
    paths: Mapping[str, Path | None],
    features: str = "raw",
    metrics: Sequence[str] | None = None,
    *,
    seed: int = 0,
    strict: bool = False,
) -> dict[str, Any]:
    """Return what the command prints: features, the sizes of the sets, and every metric.

    paths: by role (generated, train, reference), None where there is none. Raises InputError for
    sets that cannot be read or do not fit each other.
    """
    if features not in EXTRACTORS:
        raise unknown_name("features", features, EXTRACTORS)
    sets = {
        role: None if path is None else read_set(path, role, strict=strict)
        for role, path in paths.items()
    }
    first = sets["generated"]
    assert first is not None
    for role, found in sets.items():
        if found is not None and found.data.shape[1:] != first.data.shape[1:]:
            raise InputError(
                f"generated rows are {_shape(first)}, {role} rows {_shape(found)}; bring both to "
                "one size and one mode (grey or colour)"
            )
    extract = EXTRACTORS[features]
    rows = {role: None if s is None else as_vectors(extract(s.data)) for role, s in sets.items()}
    measured = measure(**rows, metrics=metrics, seed=seed)
    sizes = {
        role: None if x is None else {"n": len(x), "d": x.shape[1]} for role, x in rows.items()
    }
    skipped = {role: s.skipped for role, s in sets.items() if s is not None and s.skipped}
    return {
        "features": {"name": features, "resize": None},
        **sizes,
        "metrics": {name: _as_json(found) for name, found in measured.items()},
        **({"skipped": skipped} if skipped else {}),
    }


def _as_json(found: Measurement) -> dict[str, Any]:
    finite = math.isfinite(found.value)
    note = found.note if finite else f"{found.value}: {found.note}"
    return {"value": found.value if finite else None, "interval": found.interval, "note": note}


def _shape(found: FileSet) -> str:
    return "×".join(map(str, found.data.shape[1:]))
