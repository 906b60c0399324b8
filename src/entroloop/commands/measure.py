"""`entroloop measure` and `el.measure`: sets of files, arrays and whatever else `load` takes."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from entroloop.data.loading import load, read_set
from entroloop.data.preparing import preparation
from entroloop.data.sets import FileSet
from entroloop.errors import InputError
from entroloop.features import Extractor, extractor_for
from entroloop.metrics import METRICS
from entroloop.metrics.measure import Measurements
from entroloop.metrics.measure import measure as measure_rows
from entroloop.modalities.text import is_text, reads_as_text
from entroloop.samples import Array, as_vectors
from entroloop.system.progress_line import ProgressOf, no_progress_of


@dataclass(frozen=True)
class Measured:
    """Sets as they were read, their features, and what was measured; by role."""

    sets: dict[str, FileSet]
    rows: dict[str, Array]
    extractor: Extractor
    found: Measurements

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
    resize: int | None = None,
    mode: str | None = None,
    column: Sequence[str] | None = None,
    progress_of: ProgressOf = no_progress_of,
) -> Measured:
    """Return the metrics of sets of files.

    paths: by role (generated, train, reference), None where there is none. resize, mode: what
    images are brought to, see `preparation`. column: what holds the rows. Raises InputError for
    sets that cannot be read or do not fit each other.
    """
    _check_metrics(metrics)  # before anything is read
    extractor, change = extractor_for(features, device), preparation(resize, mode)
    sets = {
        role: read_set(
            path,
            role,
            strict=strict,
            column=column,
            change=change,
            mixed=extractor.mixed,
            progress=progress_of(f"reading {role}"),
        )
        for role, path in paths.items()
        if path is not None
    }
    return _measured(
        sets, extractor, metrics, seed=seed, device=device, probabilities=None,
        progress_of=progress_of,
    )  # fmt: skip


def measure(
    *,
    generated: Any,
    train: Any = None,
    reference: Any = None,
    features: str = "raw",
    column: str | Sequence[str] | None = None,
    resize: int | None = None,
    mode: str | None = None,
    probabilities: Any = None,
    metrics: Sequence[str] | None = None,
    seed: int = 0,
    device: str = "cpu",
    progress_of: ProgressOf = no_progress_of,
) -> Measurements:
    """Return the metrics of generated rows, by name, in the order of the table.

    generated, train, reference: arrays of rows (n, d) or images, or whatever else `load` takes,
    which gets column, resize and mode; a corrupt image is refused. features: the space in which
    distances are taken, by the name of an extractor, such as dinov2; what it fits is fitted to the
    reference, else to train, else to the rows themselves. probabilities: class probabilities, one
    line per generated row (default: the extractor's, where it has them). metrics: names (default:
    all that the given sets allow, except those on request). device: cpu, cuda or auto.
    progress_of: takes the name of the next metric and returns a function of (metrics done, total).

    Generalization scores, memorization, AuthPct, C_T and FLD use every row. Metrics that depend on
    the number of rows use as many rows of each set as the smallest has, by a seeded draw, and
    their notes say so. Without `metrics`, a metric that cannot be computed for these sets is NaN,
    and its note says why.

    Raises InputError for sets of different width, invalid rows, an unknown metric, or a requested
    metric that cannot be computed for these sets.
    """
    metrics = [metrics] if isinstance(metrics, str) else metrics
    _check_metrics(metrics)
    extractor = extractor_for(features, device)
    given = {"generated": generated, "train": train, "reference": reference}
    sets = {
        role: load(
            thing, name=role, column=column, resize=resize, mode=mode, mixed=extractor.mixed,
            strict=True,
        )
        for role, thing in given.items()
        if thing is not None or role == "generated"
    }  # fmt: skip
    return _measured(
        sets, extractor, metrics, seed=seed, device=device, probabilities=probabilities,
        progress_of=progress_of,
    ).found  # fmt: skip


def _check_metrics(metrics: Sequence[str] | None) -> None:
    for name in metrics or ():
        METRICS.find(name)


def _measured(
    sets: dict[str, FileSet],
    extractor: Extractor,
    metrics: Sequence[str] | None,
    *,
    seed: int,
    device: str,
    probabilities: Any,
    progress_of: ProgressOf,
) -> Measured:
    """Return the metrics of sets, in the space of an extractor."""
    generated = sets["generated"]
    for role, found in sets.items():
        _check_fits(generated, role, found, extractor.mixed)
    fitted_on = sets.get("reference") or sets.get("train") or generated
    extractor = extractor.fitted_to(fitted_on.data)
    rows = {
        role: as_vectors(extractor(s.data, progress_of(f"features of {role}")))
        for role, s in sets.items()
    }
    if probabilities is None and (metrics is None or "inception_score" in metrics):
        progress = progress_of("class probabilities")
        probabilities = extractor.probabilities(generated.data, progress)
    measured = measure_rows(
        generated=rows["generated"],
        train=rows.get("train"),
        reference=rows.get("reference"),
        probabilities=probabilities,
        originals=_originals(sets, metrics or ()),
        as_images=np.asarray,
        metrics=metrics,
        seed=seed,
        device=device if device != "auto" else "cpu",
        progress_of=progress_of,
    )
    return Measured(sets, {role: np.asarray(x) for role, x in rows.items()}, extractor, measured)


def _originals(sets: dict[str, FileSet], metrics: Sequence[str]) -> dict[str, Array]:
    """Return the sets that are texts, by what they hold or what is asked for by name.

    Besides those that are images of one shape, where a metric asks for images.
    """
    asked = " ".join(need for name in metrics for need in METRICS[name].needs)
    found = {role: np.asarray(s.data) for role, s in sets.items() if len(s.data.shape) in (2, 4)}
    return {
        role: rows
        for role, rows in found.items()
        if (rows.ndim == 4 and "images" in asked)
        or (is_text(rows) and (" text" in asked or reads_as_text(rows)))
    }


def _check_fits(generated: FileSet, role: str, found: FileSet, mixed: bool) -> None:
    """Refuse a set of one row, or of another range or shape than the generated one."""
    if len(found.data) < 2:
        raise InputError(f"{role} holds {len(found.data)} rows; at least 2 are needed")
    if (found.data.dtype == np.uint8) != (generated.data.dtype == np.uint8):
        raise InputError(
            f"generated rows are {generated.data.dtype}, {role} rows {found.data.dtype}: bring "
            "both to one range, images as uint8 in 0..255"
        )
    are_images = max(len(generated.data.shape), len(found.data.shape)) > 2
    if are_images and found.data.shape[1:] != generated.data.shape[1:] and not mixed:
        raise InputError(
            f"generated rows are {_shape(generated)}, {role} rows {_shape(found)}; bring both to "
            "one size and one mode: --resize N, --mode rgb"
        )


def _shape(found: FileSet) -> str:
    return "×".join(map(str, found.data.shape[1:]))
