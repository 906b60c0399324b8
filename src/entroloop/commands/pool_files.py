"""Pools of files, as the command line names them: [NAME=]PATH."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from entroloop.data.decoding import Change
from entroloop.data.inputs.hugging_face import is_hub_id
from entroloop.data.loading import folder_of, name_of, read_set
from entroloop.data.sets import FileSet
from entroloop.errors import InputError, unknown_name
from entroloop.features import Extractor
from entroloop.samples import invalid_rows, nonfinite_rows
from entroloop.system.progress_line import ProgressOf, no_progress_of


def read_pools(
    given: Sequence[str],
    extractor: Extractor,
    *,
    strict: bool = False,
    on_invalid: str = "fail",
    columns: Sequence[str] | None = (),
    column: Sequence[str] | None = None,
    change: Change | None = None,
    lazy: bool = False,
    progress_of: ProgressOf = no_progress_of,
) -> list[FileSet]:
    """Return the sets of pools; the extractor says whether images may differ in size.

    on_invalid: what becomes of rows with NaN, `fail` or `drop`. The rest is as in `Asked`.

    Raises InputError for pools that cannot be read, share a name, or differ in shape.
    """
    if on_invalid not in ("fail", "drop"):
        raise unknown_name("--on-invalid", on_invalid, ("fail", "drop"))
    named = [name_and_path(text) for text in given]
    twice = [name for name, k in Counter(name for name, _ in named).items() if k > 1]
    if twice:
        raise InputError(f"two pools are called '{twice[0]}'; name them: --pool NAME=PATH")
    sets = [
        read_set(
            path,
            name,
            strict=strict,
            columns=columns,
            column=column,
            change=change,
            mixed=extractor.mixed,
            lazy=lazy,
            progress=progress_of(f"reading {name}"),
        )
        for name, path in named
    ]
    shapes = {s.name: s.data.shape[1:] for s in sets}
    if len(set(shapes.values())) > 1 and not extractor.mixed:
        shown = ", ".join(f"{name} {'×'.join(map(str, shape))}" for name, shape in shapes.items())
        raise InputError(
            f"the rows of the pools differ in shape: {shown}; bring them to one, images with "
            "--resize and --mode"
        )
    for s in sets:
        _without_invalid(s, on_invalid)
    return sets


def name_and_path(text: str) -> tuple[str, Path]:
    """Return the name and the path of a pool given as [NAME=]PATH."""
    name, equals, path = text.partition("=")
    if equals and not Path(text).exists():
        if not name or any(c in "/\\" or not c.isprintable() for c in name):
            raise InputError(f"--pool {text!r}: give NAME=PATH, NAME without / and \\")
        return name, Path(path)
    return name_of(text), Path(text)


def places_of(named: dict[str, Path]) -> dict[str, Path]:
    """Return the files and folders that are read, by the name that a message gives them."""
    return {name: folder_of(path) for name, path in named.items() if not is_hub_id(path)}


def _without_invalid(s: FileSet, on_invalid: str) -> None:
    """Drop rows with NaN or infinite values from a set, or refuse them by index."""
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
