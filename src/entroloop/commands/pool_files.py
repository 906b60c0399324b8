"""Pools of files as one pool: which row comes from where, and what distances are taken of."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from entroloop.data.sets import FileSet, read_set
from entroloop.errors import InputError, unknown_name
from entroloop.features import Extractor
from entroloop.pools.hosts import PoolEngine
from entroloop.pools.rows import JoinedRows, Rows, rows_of
from entroloop.samples import Array, invalid_rows, nonfinite_rows


@dataclass(frozen=True)
class PoolFiles:
    """The rows of several sets, one after the other."""

    sets: list[FileSet]

    @cached_property
    def names(self) -> Array:
        """The pool of each row."""
        return np.repeat([s.name for s in self.sets], [len(s.ids) for s in self.sets])

    def features(self, extractor: Extractor, engine: PoolEngine | None) -> Array | Rows:
        """Return what distances are taken of."""
        if extractor.fit is not None:
            extractor = extractor.fit(np.concatenate([s.data for s in self.sets]))
        rows = [extractor(s.data) if isinstance(s.data, np.ndarray) else s.data for s in self.sets]
        if engine is not None or len(rows) == 1:
            return JoinedRows.of([rows_of(x) for x in rows]) if engine is not None else rows[0]
        return np.concatenate(rows)

    def origin(self, rows: Array) -> dict[str, Any]:
        """Return the columns pool, index and id of some rows."""
        ids = [i for s in self.sets for i in s.ids]
        index = np.concatenate([s.index for s in self.sets])
        return {
            "pool": self.names[rows],
            "index": index[rows],
            "id": [ids[r] for r in rows.tolist()],
        }

    def images(self, rows: Array) -> Array | None:
        """Return some rows as uint8 images (n, h, w, c), None where they are none."""
        if any(not isinstance(s.data, np.ndarray) or s.data.ndim != 4 for s in self.sets):
            return None
        starts = np.cumsum([0, *(len(s.data) for s in self.sets)])
        which = np.searchsorted(starts, rows, side="right") - 1
        return np.stack([
            self.sets[k].data[row - starts[k]] for row, k in zip(rows, which, strict=True)
        ])  # fmt: skip


def read_pools(
    given: list[str], *, strict: bool = False, on_invalid: str = "fail", lazy: bool = False
) -> PoolFiles:
    """Return the pools of [NAME=]PATH texts; on_invalid: what becomes of rows with NaN.

    Raises InputError for pools that cannot be read, share a name, or differ in shape.
    """
    if on_invalid not in ("fail", "drop"):
        raise unknown_name("--on-invalid", on_invalid, ("fail", "drop"))
    named = [name_and_path(text) for text in given]
    twice = [name for name, k in Counter(name for name, _ in named).items() if k > 1]
    if twice:
        raise InputError(f"two pools are called '{twice[0]}'; name them: NAME=PATH")
    sets = [read_set(path, name, strict=strict, lazy=lazy) for name, path in named]
    shapes = {s.name: s.data.shape[1:] for s in sets}
    if len(set(shapes.values())) > 1:
        shown = ", ".join(f"{name} {'×'.join(map(str, shape))}" for name, shape in shapes.items())
        raise InputError(f"the rows of the pools differ in shape: {shown}; bring them to one")
    for s in sets:
        _without_invalid(s, on_invalid)
    return PoolFiles(sets)


def name_and_path(text: str) -> tuple[str, Path]:
    """Return the name and the path of a pool given as [NAME=]PATH."""
    name, equals, path = text.partition("=")
    if equals and not Path(text).exists():
        if not name or any(c in "/\\" or not c.isprintable() for c in name):
            raise InputError(f"{text!r}: give NAME=PATH, NAME without / and \\")
        return name, Path(path)
    return Path(text).stem or text, Path(text)


def _without_invalid(s: FileSet, on_invalid: str) -> None:
    if not isinstance(s.data, np.ndarray) or s.data.dtype.kind != "f":
        return
    bad = nonfinite_rows(s.data)
    if not len(bad):
        return
    if on_invalid == "fail":
        mend = "repair them, or drop them with --on-invalid drop"
        raise invalid_rows(f"pool '{s.name}'", len(bad), s.index[bad[:5]].tolist(), mend)
    for i in bad:
        s.skipped[s.ids[i]] = "NaN or infinite values"
    s.keep(np.setdiff1d(np.arange(len(s.data)), bad))
