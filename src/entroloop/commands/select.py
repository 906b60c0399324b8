"""`entroloop select`: choose from pools of files, write what was chosen."""

from __future__ import annotations

import json
import os
import shutil
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from entroloop.data.sets import FileSet, read_set
from entroloop.engines.ray import RayEngine
from entroloop.errors import InputError, unknown_name
from entroloop.features import Extractor, extractor_for
from entroloop.metrics.entropy import Entropy
from entroloop.pools.rows import JoinedRows, Rows, rows_of
from entroloop.samples import Array, nonfinite_rows
from entroloop.selection import Selection, select
from entroloop.system.output_folder import OutputFolder, refuse_overlap

# Arguments of `select` that are no parameters of a strategy.
RESERVED = {
    "x", "n", "strategy", "metric", "initial", "candidates", "groups", "quota", "weights", "seed",
    "device", "progress", "engine", "journal",
}  # fmt: skip
JOURNALLED = ("greedy", "threshold_decay")
JOURNAL = ".journal.npz"
MATERIALS = ("link", "copy", "parquet")


@dataclass
class Choice:
    """What the command line asks for."""

    pools: list[str]
    n: int
    strategy: str = "greedy"
    parameters: dict[str, Any] = field(default_factory=dict)
    features: str = "raw"
    metric: str = "euclidean"
    initial: str | None = None
    group_by: str | None = None
    quota: str = "proportional"
    weights: str | None = None
    materialize: str | None = None
    strict: bool = False
    on_invalid: str = "fail"
    seed: int = 0
    device: str = "auto"
    out: Path = Path("selection")
    engine: RayEngine | None = None


def choose(choice: Choice, progress: bool = False) -> dict[str, Any]:
    """Select from files and write selection.parquet and summary.json; return the summary.

    Raises InputError for whatever is wrong with the pools or options; then nothing is written.
    """
    extractor = extractor_for(choice.features, choice.device)
    if choice.materialize not in (None, *MATERIALS):
        raise unknown_name("--materialize", choice.materialize, MATERIALS)
    if choice.on_invalid not in ("fail", "drop"):
        raise unknown_name("--on-invalid", choice.on_invalid, ("fail", "drop"))
    folder = OutputFolder(choice.out, scratch=(JOURNAL,))
    folder.check()
    refuse_overlap(choice.out, _sources(choice))
    if clash := RESERVED & set(choice.parameters):
        raise InputError(
            f"--param {clash.pop()} is not a strategy's parameter: it has its own flag"
        )
    sets = _read(choice)
    if extractor.fit is not None:
        extractor = extractor.fit(np.concatenate([s.data for s in sets]))
    features = _features(sets, extractor, choice.engine)
    pool_of_row = np.repeat([s.name for s in sets], [len(s.ids) for s in sets])
    if choice.materialize in ("link", "copy"):
        for s in sets:
            if s.paths is None:
                raise InputError(
                    f"pool '{s.name}' is not a folder of files: take --materialize parquet"
                )
    groups = pool_of_row if choice.group_by == "pool" else _column(sets, choice.group_by)
    weights = _column(sets, choice.weights)
    initial = None
    if choice.initial is not None:
        outside = read_set(Path(choice.initial), "initial", strict=choice.strict)
        initial = extractor(outside.data)
    selection = select(
        features,
        choice.n,
        choice.strategy,
        metric=choice.metric,
        initial=initial,
        groups=groups,
        quota=choice.quota,
        weights=weights,
        seed=choice.seed,
        device=choice.device,
        engine=choice.engine,
        journal=choice.out / JOURNAL if choice.strategy in JOURNALLED else None,
        progress=progress,
        **choice.parameters,
    )
    summary = _summary(choice, sets, selection, pool_of_row)
    _write(choice, folder, sets, selection, groups, pool_of_row, summary)
    if choice.strategy in JOURNALLED:
        (choice.out / JOURNAL).unlink(missing_ok=True)
    return summary


def _sources(choice: Choice) -> dict[str, Path]:
    """Return the files and folders that are read, by the name that a message gives them."""
    named = {f"pool '{name}'": path for name, path in map(_name_and_path, choice.pools)}
    return named | ({} if choice.initial is None else {"--initial": Path(choice.initial)})


def _read(choice: Choice) -> list[FileSet]:
    named = [_name_and_path(text) for text in choice.pools]
    twice = [name for name, k in Counter(name for name, _ in named).items() if k > 1]
    if twice:
        raise InputError(f"two pools are called '{twice[0]}'; name them: --pool NAME=PATH")
    # Elsewhere, embeddings need never be read here; files with NaN are refused where they are read.
    lazy = choice.engine is not None and (choice.features, choice.on_invalid) == ("raw", "fail")
    lazy &= choice.materialize != "parquet"
    columns = [c for c in (choice.group_by, choice.weights) if c not in (None, "pool")]
    sets = [
        read_set(path, name, strict=choice.strict, columns=[c for c in columns if c], lazy=lazy)
        for name, path in named
    ]
    shapes = {s.name: s.data.shape[1:] for s in sets}
    if len(set(shapes.values())) > 1:
        told = ", ".join(f"{name} {'×'.join(map(str, shape))}" for name, shape in shapes.items())
        raise InputError(f"the rows of the pools differ in shape: {told}; bring them to one")
    for s in sets:
        _drop_invalid(s, choice.on_invalid)
    return sets


def _name_and_path(text: str) -> tuple[str, Path]:
    name, equals, path = text.partition("=")
    if equals and not Path(text).exists():
        if not name or any(c in "/\\" or not c.isprintable() for c in name):
            raise InputError(f"--pool {text!r}: give NAME=PATH, NAME without / and \\")
        return name, Path(path)
    return Path(text).stem or text, Path(text)


def _drop_invalid(s: FileSet, on_invalid: str) -> None:
    """Drop rows with NaN or infinite values from a set, or refuse them by index."""
    if not isinstance(s.data, np.ndarray) or s.data.dtype.kind != "f":
        return
    bad = nonfinite_rows(s.data)
    if not len(bad):
        return
    shown = ", ".join(str(s.index[i]) for i in bad[:5]) + (", …" if len(bad) > 5 else "")
    if on_invalid == "fail":
        raise InputError(
            f"pool '{s.name}' holds NaN or infinite values in {len(bad)} rows (rows {shown}); "
            "repair them, or drop them with --on-invalid drop"
        )
    kept = np.setdiff1d(np.arange(len(s.data)), bad)
    for i in bad:
        s.skipped[s.ids[i]] = "NaN or infinite values"
    s.data, s.index = s.data[kept], s.index[kept]
    s.ids = [s.ids[i] for i in kept]
    s.paths = None if s.paths is None else [s.paths[i] for i in kept]
    s.columns = {name: values[kept] for name, values in s.columns.items()}


def _features(sets: list[FileSet], extractor: Extractor, engine: RayEngine | None) -> Array | Rows:
    rows = [extractor(s.data) if isinstance(s.data, np.ndarray) else s.data for s in sets]
    if engine is not None:
        return JoinedRows.of([rows_of(x) for x in rows])
    return rows[0] if len(rows) == 1 else np.concatenate(rows)


def _column(sets: list[FileSet], column: str | None) -> Array | None:
    if column is None:
        return None
    for s in sets:
        if column not in s.columns:
            raise InputError(
                f"pool '{s.name}' has no column '{column}'; columns come from parquet, `label` "
                "from the subfolders of images, and `pool` is the pool's name"
            )
    return np.concatenate([s.columns[column] for s in sets])


def _summary(
    choice: Choice, sets: list[FileSet], selection: Selection, pool_of_row: Array
) -> dict[str, Any]:
    chosen = Counter(pool_of_row[selection.indices].tolist())
    skipped = {s.name: s.skipped for s in sets if s.skipped}
    return {
        "n": len(selection.indices),
        "strategy": choice.strategy,
        "parameters": choice.parameters,
        "features": choice.features,
        "metric": choice.metric,
        "seed": choice.seed,
        "engine": _engine(choice.engine, selection),
        "pools": {s.name: {"rows": len(s.ids), "chosen": chosen[s.name]} for s in sets},
        "groups": selection.shares,
        "stopped_by": selection.stopped_by,
        "duplicates": selection.duplicates,
        "entropy": _entropy(selection.entropy),
        "entropy_random": _entropy(selection.entropy_random),
        "coverage_radius": selection.coverage_radius,
        "approximation": selection.approximation,
        "precision": selection.precision,
        "skipped": skipped,
        "skipped_by_reason": dict(Counter(r for s in skipped.values() for r in s.values())),
    }


def _engine(engine: RayEngine | None, selection: Selection) -> dict[str, Any]:
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


def _write(
    choice: Choice,
    folder: OutputFolder,
    sets: list[FileSet],
    selection: Selection,
    groups: Array | None,
    pool_of_row: Array,
    summary: dict[str, Any],
) -> None:
    import pandas as pd

    rows = selection.indices
    ids = [i for s in sets for i in s.ids]
    index = np.concatenate([s.index for s in sets])
    table = pd.DataFrame(
        {
            "pool": pool_of_row[rows],
            "index": index[rows],
            "id": [ids[r] for r in rows],
            "rank": np.arange(len(rows)),
            "radius": selection.radii,
            "group": [None] * len(rows) if groups is None else [str(g) for g in groups[rows]],
        }
    )
    try:
        with folder.replaced() as new:
            table.to_parquet(new / "selection.parquet", index=False)
            if choice.materialize:
                _materialize(choice, new, sets, rows)
            (new / "summary.json").write_text(json.dumps(summary, indent=1))
    except OSError as error:
        raise InputError(f"{choice.out} cannot be written: {error.strerror or error}") from None


def _materialize(choice: Choice, new: Path, sets: list[FileSet], rows: Array) -> None:
    """Put the chosen rows themselves beside the list: files as links or copies, or one parquet."""
    starts = np.cumsum([0, *(len(s.data) for s in sets)])
    of_set = np.searchsorted(starts, rows, side="right") - 1
    if choice.materialize == "parquet":
        _as_parquet(new / "chosen.parquet", sets, rows, starts, of_set)
        return
    (new / "chosen").mkdir()
    target = (choice.out / "chosen").resolve()  # where the links will be
    for rank, (row, which) in enumerate(zip(rows.tolist(), of_set.tolist(), strict=True)):
        s = sets[which]
        assert s.paths is not None
        file = s.paths[row - starts[which]]
        place = new / "chosen" / f"{rank:07d}-{s.name}-{file.name}"
        if choice.materialize == "link":
            place.symlink_to(os.path.relpath(file.resolve(), target))
        else:
            shutil.copyfile(file, place)


def _as_parquet(path: Path, sets: list[FileSet], rows: Array, starts: Array, of_set: Array) -> None:
    import io

    import pandas as pd
    from PIL import Image

    cells: list[Any] = []
    for row, which in zip(rows.tolist(), of_set.tolist(), strict=True):
        s = sets[which]
        item = np.asarray(s.data[row - starts[which]])
        if item.ndim == 1:
            cells.append(item)
            continue
        buffer = io.BytesIO()
        Image.fromarray(item[..., 0] if item.shape[2] == 1 else item).save(buffer, "PNG")
        cells.append({"bytes": buffer.getvalue(), "path": s.ids[row - starts[which]]})
    column = "image" if isinstance(cells[0], dict) else "embedding"
    frame = pd.DataFrame({column: cells})
    frame["pool"] = [sets[w].name for w in of_set]
    frame["id"] = [sets[w].ids[r - starts[w]] for r, w in zip(rows, of_set, strict=True)]
    frame.to_parquet(path, index=False)
