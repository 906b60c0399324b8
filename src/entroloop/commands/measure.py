"""`entroloop measure`: sets of files in, JSON out."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from entroloop.data.sets import FileSet, read_set
from entroloop.errors import InputError
from entroloop.features import Extractor, extractor_for
from entroloop.metrics import METRICS
from entroloop.metrics.measure import Measurement, measure
from entroloop.samples import Array, as_vectors
from entroloop.system.progress_line import ProgressOf, no_progress_of


@dataclass(frozen=True)
class Measured:
    """Sets as they were read, their features, and what was measured; by role."""

    sets: dict[str, FileSet]
    rows: dict[str, Array]
    extractor: Extractor
    found: dict[str, Measurement]

    def as_json(self) -> dict[str, Any]:
        """Return what the command prints."""
        sizes: dict[str, Any] = {"generated": None, "train": None, "reference": None}
        sizes |= {role: {"n": len(x), "d": x.shape[1]} for role, x in self.rows.items()}
        skipped = {role: s.skipped for role, s in self.sets.items() if s.skipped}
        remarks = {role: s.remarks for role, s in self.sets.items() if s.remarks}
        features = {
            "name": self.extractor.name,
            "resize": self.extractor.resize,
            "comparable": self.extractor.comparable,
        }
        return {
            "features": features,
            **sizes,
            "metrics": {name: self._one(name) for name in self.found},
            **({"skipped": skipped} if skipped else {}),
            **({"remarks": remarks} if remarks else {}),
        }

    def _one(self, name: str) -> dict[str, Any]:
        found = self.found[name]
        finite = math.isfinite(found.value)
        note = found.note
        if math.isinf(found.value):
            note = f"{found.value}: {note}"
        answer: dict[str, Any] = {
            "value": found.value if finite else None,
            "interval": found.interval,
            "note": note,
            "extractor": self.extractor.name,
            "comparable": found.comparable,
            "seconds": found.seconds,
        }
        if found.floor is not None:
            answer["floor"] = found.floor
        if METRICS[name].pairs is not None:
            answer["pairs"] = [
                [self.sets["generated"].ids[i], self.sets["train"].ids[j], d]
                for i, j, d in found.pairs
            ]
        return answer


def measure_files(
    paths: Mapping[str, Path | None],
    features: str = "raw",
    metrics: Sequence[str] | None = None,
    *,
    seed: int = 0,
    device: str = "cpu",
    strict: bool = False,
    progress_of: ProgressOf = no_progress_of,
) -> Measured:
    """Return the metrics of sets of files.

    paths: by role (generated, train, reference), None where there is none. Raises InputError for
    sets that cannot be read or do not fit each other.
    """
    for name in metrics or ():  # before anything is read
        METRICS.find(name)
    extractor = extractor_for(features, device)
    sets = {
        role: read_set(path, role, strict=strict, progress=progress_of(f"reading {role}"))
        for role, path in paths.items()
        if path is not None
    }
    generated = sets["generated"]
    for role, found in sets.items():
        _check_fits(generated, role, found)
    fitted_on = sets.get("reference") or sets.get("train") or generated
    extractor = extractor.fitted_to(fitted_on.data)
    rows = {
        role: as_vectors(extractor(s.data, progress_of(f"features of {role}")))
        for role, s in sets.items()
    }
    probabilities = None
    if metrics is None or "inception_score" in metrics:
        progress = progress_of("class probabilities")
        probabilities = extractor.probabilities(generated.data, progress)
    measured = measure(
        generated=rows["generated"],
        train=rows.get("train"),
        reference=rows.get("reference"),
        probabilities=probabilities,
        metrics=metrics,
        seed=seed,
        device=device if device != "auto" else "cpu",
        progress_of=progress_of,
    )
    return Measured(sets, {role: np.asarray(x) for role, x in rows.items()}, extractor, measured)


def _check_fits(generated: FileSet, role: str, found: FileSet) -> None:
    """Refuse a set of one row, or of another range or shape than the generated one."""
    if len(found.data) < 2:
        raise InputError(f"{role} holds {len(found.data)} rows; at least 2 are needed")
    if (found.data.dtype == np.uint8) != (generated.data.dtype == np.uint8):
        raise InputError(
            f"generated rows are {generated.data.dtype}, {role} rows {found.data.dtype}: bring "
            "both to one range, images as uint8 in 0..255"
        )
    if found.data.shape[1:] != generated.data.shape[1:]:
        raise InputError(
            f"generated rows are {_shape(generated)}, {role} rows {_shape(found)}; bring both to "
            "one size and one mode (grey or colour)"
        )


def _shape(found: FileSet) -> str:
    return "×".join(map(str, found.data.shape[1:]))
