"""A choice among rows of files, and what is told of it: the summary, and one table a question."""

from __future__ import annotations

import hashlib
from collections import Counter
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from entroloop.commands.pools import Pools
from entroloop.data.sets import LABEL
from entroloop.metrics.entropy import Entropy
from entroloop.pools.hosts import PoolEngine
from entroloop.pools.rows import Rows
from entroloop.samples import Array
from entroloop.selection import Selection
from entroloop.selection.result import Context


@dataclass(frozen=True)
class Chosen:
    """The pools as they were read, the choice, and the summary.

    features: what distances were taken of, before a metric's transform. guard: the same of the rows
    of --guard, None without one. group_by: the column that the choice was shared out by.
    """

    pools: Pools
    features: Array | Rows
    guard: Array | None
    selection: Selection
    group_by: str | None
    summary: dict[str, Any]

    @property
    def context(self) -> Context:
        """What the choice was made from."""
        assert self.selection.context is not None
        return self.selection.context

    @property
    def classes(self) -> Array:
        """The class of every row: by --group-by, else its label; "" where it has none."""
        column = LABEL if self.group_by in (None, "pool") else self.group_by
        return np.concatenate([
            np.asarray(s.columns.get(column, np.full(len(s.ids), ""))).astype(str)
            for s in self.pools.sets
        ])  # fmt: skip

    def guard_transformed(self) -> Array | None:
        """Return the rows of the guard as the metric compares rows; None where they cannot be."""
        learn = self.context.distance.learn
        if self.guard is None or learn is None:
            return self.guard
        if not isinstance(self.features, np.ndarray):
            return None
        pool = self.features
        return learn(lambda: [pool])(self.guard, 0)


def told_of(selection: Selection, pools: Pools, engine: PoolEngine | None) -> dict[str, Any]:
    """Return what summary.json tells of a choice beyond what was asked for."""
    chosen = Counter(pools.names[selection.indices].tolist())
    rows = Counter(pools.names.tolist())
    skipped: dict[str, dict[str, str]] = {s.name: s.skipped for s in pools.sets if s.skipped}
    return {
        "n": len(selection),
        "engine": _engine(engine, selection),
        "pools": {name: {"rows": rows[name], "chosen": chosen[name]} for name in rows},
        "groups": selection.shares,
        "decision": None if selection.decision is None else selection.decision.to_dict(),
        "stopped_by": selection.stopped_by,
        "duplicates": selection.duplicates,
        "entropy": _entropy(selection.entropy),
        "entropy_random": _entropy(selection.entropy_random),
        "curve": selection.curve.to_dict(),
        "coverage_radius": selection.coverage_radius,
        "approximation": selection.approximation,
        "precision": selection.precision,
        "skipped": skipped,
        "remarks": {s.name: s.remarks for s in pools.sets if s.remarks},
        "skipped_by_reason": dict(Counter(r for s in skipped.values() for r in s.values())),
        "content": content_of(pools, selection.indices),
        "version": version("entroloop"),
    }


def assignment_told(selection: Selection) -> dict[str, Any]:
    """Return what summary.json tells of the coverage map."""
    assignment = selection.assignment
    return {
        "mean_distance": float(assignment.distance.mean()),
        "largest_distance": float(assignment.distance.max()),
        "largest_weight": int(assignment.weight.max()),
    }


def content_of(pools: Pools, rows: Array) -> str | None:
    """Return a hash of the values of rows as they were read; None where they were not read here."""
    if not all(isinstance(s.data, np.ndarray) for s in pools.sets):
        return None
    digest = hashlib.sha256()
    for s, row in pools.chosen(rows):
        cell = np.ascontiguousarray(s.data[row])
        digest.update(f"{cell.dtype}{cell.shape}".encode() + cell.tobytes())
    return digest.hexdigest()


def write_selection(
    path: Path, pools: Pools, selection: Selection, groups: Array | None, *, assign: bool
) -> None:
    """Write selection.parquet: one row a pick, in pick order."""
    import pandas as pd

    rows = selection.indices
    columns = {
        "pool": pools.names[rows],
        "index": pools.index[rows],
        "id": pools.ids(rows),
        "rank": np.arange(len(rows)),
        "radius": selection.radii,
        "group": [None] * len(rows) if groups is None else [str(g) for g in groups[rows]],
    }
    if assign:
        columns["weight"] = selection.assignment.weight
    pd.DataFrame(columns).to_parquet(path, index=False)


def write_assignment(path: Path, pools: Pools, selection: Selection) -> None:
    """Write assignment.parquet: for every row of the pools the rank of its nearest pick."""
    import pandas as pd

    assignment = selection.assignment
    table = pd.DataFrame(
        {
            "pool": pools.names,
            "index": pools.index,
            "pick": assignment.pick,
            "distance": assignment.distance,
        }
    )
    table.to_parquet(path, index=False)


def _engine(engine: PoolEngine | None, selection: Selection) -> dict[str, Any]:
    if engine is None:
        return {"name": "local", "workers": 1}
    return {
        "name": engine.name,
        "workers": engine.workers,
        "rounds": selection.rounds,
        "bytes_moved": selection.bytes_moved,
    }


def _entropy(entropy: Entropy | None) -> dict[str, Any] | None:
    if entropy is None:
        return None
    finite = np.isfinite(entropy.nats)
    return {
        "nats": entropy.nats if finite else None,
        "n": entropy.n,
        "d": entropy.d,
        "k": entropy.k,
        "duplicate_fraction": entropy.duplicate_fraction,
        "min_distance": entropy.min_distance,
        "note": entropy.note or "only differences at the same n, d, k and features mean anything",
    }
