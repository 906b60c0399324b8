"""`entroloop select`: choose from pools of files, and write what was chosen."""

from __future__ import annotations

import inspect
import io
import json
import os
import shutil
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from entroloop.data.inputs.hugging_face import is_hub_id
from entroloop.data.loading import folder_of, name_of, read_set
from entroloop.data.preparing import preparation
from entroloop.data.sets import MADE_BY, FileSet
from entroloop.errors import InputError, unknown_name
from entroloop.features import Extractor, extractor_for
from entroloop.metrics.entropy import Entropy
from entroloop.pools.hosts import PoolEngine
from entroloop.pools.rows import JoinedRows, Rows, is_rows, rows_of
from entroloop.samples import Array, as_vectors, invalid_rows, nonfinite_rows
from entroloop.selection import STRATEGIES, Selection, select
from entroloop.system.output_folder import OutputFolder, refuse_overlap

CHECKPOINT = ".checkpoint.npz"
MATERIALS = ("link", "copy", "parquet")
# Arguments of `select` that are no parameters of a strategy.
RESERVED = {
    p.name for p in inspect.signature(select).parameters.values() if p.kind is not p.VAR_KEYWORD
} | {"guard"}
REALISM = "realism"  # as --weights


@dataclass(frozen=True, kw_only=True)
class Request:
    """What the command line asks for.

    pools: [NAME=]PATH of each pool. n: how many rows to choose. parameters: of the strategy.
    features: the name of an extractor. initial: the path of rows that count as chosen. group_by:
    a column, `label` or `pool`; quota: how the picks are shared among its groups. weights: a
    column, or `realism`, by the guard. guard: the path of real rows, for that and for the strategy
    guarded. materialize: how the chosen rows themselves are written, None for not at all. strict:
    refuse corrupt images. on_invalid: what becomes of rows with NaN, `fail` or `drop`. out: the
    folder that is written. engine: what distributes the pool over several processes. resize, mode:
    what images are brought to, see `preparation`. column: what holds the rows.
    """

    pools: list[str]
    n: int
    out: Path
    strategy: str = "greedy"
    parameters: dict[str, Any] = field(default_factory=dict)
    features: str = "raw"
    metric: str = "euclidean"
    initial: str | None = None
    group_by: str | None = None
    quota: str = "proportional"
    weights: str | None = None
    guard: str | None = None
    materialize: str | None = None
    strict: bool = False
    on_invalid: str = "fail"
    resize: int | None = None
    mode: str | None = None
    column: list[str] | None = None
    seed: int = 0
    device: str = "auto"
    engine: PoolEngine | None = None


def select_files(request: Request, progress: bool = False) -> dict[str, Any]:
    """Select from files and write selection.parquet and summary.json; return the summary.

    Raises InputError for whatever is wrong with the pools or options; then nothing is written.
    """
    extractor = extractor_for(request.features, request.device)
    _check_options(request)
    folder = OutputFolder(request.out, scratch=(CHECKPOINT,))
    folder.check()
    refuse_overlap(request.out, _sources(request))
    pools = _Pools(_read(request, extractor))
    if extractor.fit is not None:
        extractor = extractor.fit(np.concatenate([s.data for s in pools.sets]))
    if request.materialize in ("link", "copy"):
        pools.refuse_without_files()
    groups = pools.names if request.group_by == "pool" else pools.column(request.group_by)
    initial = None
    if request.initial is not None:
        outside = _read_one(request, extractor, Path(request.initial), "initial")
        initial = extractor(outside.data)
    parameters = request.parameters
    if request.guard is not None:
        guard = _read_one(request, extractor, Path(request.guard), "guard")
        parameters = parameters | {"guard": as_vectors(np.asarray(extractor(guard.data)))}
    checkpointed = request.strategy in STRATEGIES and STRATEGIES[request.strategy].checkpointed
    checkpoint = request.out / CHECKPOINT if checkpointed else None
    features = pools.features(extractor, request.engine)
    weights = REALISM if request.weights == REALISM else pools.column(request.weights)
    with folder.locked():
        selection = select(
            features,
            request.n,
            request.strategy,
            metric=request.metric,
            initial=initial,
            groups=groups,
            quota=request.quota,
            weights=weights,
            seed=request.seed,
            device=request.device,
            engine=request.engine,
            checkpoint=checkpoint,
            progress=progress,
            **parameters,
        )
        summary = _summary(request, pools, selection)
        _write(request, folder, pools, selection, groups, summary)
        if checkpoint is not None:
            checkpoint.unlink(missing_ok=True)
    return summary


def _check_options(request: Request) -> None:
    if request.materialize not in (None, *MATERIALS):
        raise unknown_name("--materialize", request.materialize, MATERIALS)
    if request.on_invalid not in ("fail", "drop"):
        raise unknown_name("--on-invalid", request.on_invalid, ("fail", "drop"))
    if clash := RESERVED & set(request.parameters):
        raise InputError(f"--param {min(clash)} is not a strategy's parameter: it has its own flag")
    asks = "--weights realism" if request.weights == REALISM else request.strategy
    needed = asks in ("--weights realism", "guarded")
    if needed and request.guard is None:
        raise InputError(f"{asks} needs --guard PATH: real rows that are used for nothing else")
    if request.guard is not None and not needed:
        raise InputError("--guard goes with --strategy guarded or --weights realism")


def _sources(request: Request) -> dict[str, Path]:
    """Return the files and folders that are read, by the name that a message gives them."""
    pools = map(_name_and_path, request.pools)
    named = {f"pool '{name}'": folder_of(path) for name, path in pools if not is_hub_id(path)}
    more = {"--initial": request.initial, "--guard": request.guard}
    given = {flag: Path(path) for flag, path in more.items() if path is not None}
    return named | {f: folder_of(p) for f, p in given.items() if not is_hub_id(p)}


def _read_one(
    request: Request, extractor: Extractor, path: Path, name: str, **more: Any
) -> FileSet:
    """Read one set as the request asks for it."""
    return read_set(
        path,
        name,
        strict=request.strict,
        column=request.column,
        change=preparation(request.resize, request.mode),
        mixed=extractor.mixed,
        **more,
    )


def _read(request: Request, extractor: Extractor) -> list[FileSet]:
    named = [_name_and_path(text) for text in request.pools]
    twice = [name for name, k in Counter(name for name, _ in named).items() if k > 1]
    if twice:
        raise InputError(f"two pools are called '{twice[0]}'; name them: --pool NAME=PATH")
    # Elsewhere, embeddings need never be read here; files with NaN are refused where they are read.
    lazy = request.engine is not None and (request.features, request.on_invalid) == ("raw", "fail")
    lazy &= request.materialize != "parquet"
    columns = [c for c in (request.group_by, request.weights) if c not in (None, "pool", REALISM)]
    sets = [
        _read_one(request, extractor, path, name, columns=[c for c in columns if c], lazy=lazy)
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
        _drop_invalid(s, request.on_invalid)
    return sets


def _name_and_path(text: str) -> tuple[str, Path]:
    name, equals, path = text.partition("=")
    if equals and not Path(text).exists():
        if not name or any(c in "/\\" or not c.isprintable() for c in name):
            raise InputError(f"--pool {text!r}: give NAME=PATH, NAME without / and \\")
        return name, Path(path)
    return name_of(text), Path(text)


def _drop_invalid(s: FileSet, on_invalid: str) -> None:
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


class _Pools:
    """The rows of all pools, one after the other."""

    def __init__(self, sets: list[FileSet]) -> None:
        self.sets = sets
        self.names: Array = np.repeat([s.name for s in sets], [len(s.ids) for s in sets])
        self._starts = np.cumsum([0, *(len(s.data) for s in sets)])

    def features(self, extractor: Extractor, engine: PoolEngine | None) -> Array | Rows:
        """Return what distances are taken of."""
        rows = [s.data if is_rows(s.data) else extractor(s.data) for s in self.sets]
        if engine is not None:
            return JoinedRows.of([rows_of(x) for x in rows])
        return rows[0] if len(rows) == 1 else np.concatenate(rows)

    def column(self, column: str | None) -> Array | None:
        """Return a column of all pools, None where none is asked for."""
        if column is None:
            return None
        for s in self.sets:
            if column not in s.columns:
                raise InputError(
                    f"pool '{s.name}' has no column '{column}'; columns come from tables, `label` "
                    "from the subfolders of images, `made_by` from their metadata, and `pool` is "
                    "the pool's name"
                )
        return np.concatenate([s.columns[column] for s in self.sets])

    def chosen(self, rows: Array) -> Iterator[tuple[FileSet, int]]:
        """Yield the set and the row within it of each of these rows."""
        of_set = np.searchsorted(self._starts, rows, side="right") - 1
        for row, which in zip(rows.tolist(), of_set.tolist(), strict=True):
            yield self.sets[which], row - int(self._starts[which])

    def refuse_without_files(self) -> None:
        """Refuse pools whose rows are no files of their own."""
        for s in self.sets:
            if s.paths is None:
                raise InputError(
                    f"pool '{s.name}' is not a folder of files: take --materialize parquet"
                )


def _summary(request: Request, pools: _Pools, selection: Selection) -> dict[str, Any]:
    chosen = Counter(pools.names[selection.indices].tolist())
    skipped = {s.name: s.skipped for s in pools.sets if s.skipped}
    return {
        "n": len(selection.indices),
        "strategy": request.strategy,
        "parameters": request.parameters,
        "features": request.features,
        "metric": request.metric,
        "seed": request.seed,
        "engine": _engine(request.engine, selection),
        "pools": {s.name: {"rows": len(s.ids), "chosen": chosen[s.name]} for s in pools.sets},
        "groups": selection.shares,
        **_made_by(pools, selection),
        "decision": None if selection.decision is None else selection.decision.to_dict(),
        "stopped_by": selection.stopped_by,
        "duplicates": selection.duplicates,
        "entropy": _entropy(selection.entropy),
        "entropy_random": _entropy(selection.entropy_random),
        "coverage_radius": selection.coverage_radius,
        "approximation": selection.approximation,
        "precision": selection.precision,
        "skipped": skipped,
        "remarks": {s.name: s.remarks for s in pools.sets if s.remarks},
        "skipped_by_reason": dict(Counter(r for s in skipped.values() for r in s.values())),
    }


def _made_by(pools: _Pools, selection: Selection) -> dict[str, Any]:
    """Return how many rows each maker has in the pools and in the choice, where it was read."""
    if not all(MADE_BY in s.columns for s in pools.sets):
        return {}
    makers = np.concatenate([s.columns[MADE_BY] for s in pools.sets]).astype(str)
    rows, chosen = Counter(makers.tolist()), Counter(makers[selection.indices].tolist())
    return {MADE_BY: {name: {"rows": n, "chosen": chosen[name]} for name, n in rows.items()}}


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


def _write(
    request: Request,
    folder: OutputFolder,
    pools: _Pools,
    selection: Selection,
    groups: Array | None,
    summary: dict[str, Any],
) -> None:
    """Write the result as a whole, in place of an earlier one of this program."""
    try:
        with folder.replaced() as new:
            table = _table(pools, selection, groups)
            table.to_parquet(new / "selection.parquet", index=False)
            if request.materialize == "parquet":
                _write_rows(new / "chosen.parquet", list(pools.chosen(selection.indices)))
            elif request.materialize is not None:
                (new / "chosen").mkdir()
                _write_files(new / "chosen", request, pools.chosen(selection.indices))
            (new / "summary.json").write_text(json.dumps(summary, indent=1))
    except OSError as error:
        raise InputError(f"{request.out} cannot be written: {error.strerror or error}") from None


def _table(pools: _Pools, selection: Selection, groups: Array | None) -> Any:
    """Return selection.parquet: one row a pick, in pick order."""
    import pandas as pd

    rows = selection.indices
    ids = [i for s in pools.sets for i in s.ids]
    index = np.concatenate([s.index for s in pools.sets])
    return pd.DataFrame(
        {
            "pool": pools.names[rows],
            "index": index[rows],
            "id": [ids[r] for r in rows],
            "rank": np.arange(len(rows)),
            "radius": selection.radii,
            "group": [None] * len(rows) if groups is None else [str(g) for g in groups[rows]],
        }
    )


def _write_files(folder: Path, request: Request, chosen: Iterator[tuple[FileSet, int]]) -> None:
    """Put the chosen files themselves into a folder, in pick order, as links or copies."""
    final = (request.out / "chosen").resolve()  # where the links will be
    for rank, (s, row) in enumerate(chosen):
        assert s.paths is not None
        file = s.paths[row]
        copy = folder / f"{rank:07d}-{s.name}-{file.name}"
        if request.materialize == "link":
            copy.symlink_to(os.path.relpath(file.resolve(), final))
        else:
            shutil.copyfile(file, copy)


def _write_rows(path: Path, chosen: list[tuple[FileSet, int]]) -> None:
    """Write the chosen rows as parquet: images as PNG, vectors as lists."""
    import pandas as pd

    cells = [_cell(np.asarray(s.data[row]), s.ids[row]) for s, row in chosen]
    column = "image" if isinstance(cells[0], dict) else "embedding"
    frame = pd.DataFrame({column: cells})
    frame["pool"] = [s.name for s, _ in chosen]
    frame["id"] = [s.ids[row] for s, row in chosen]
    frame.to_parquet(path, index=False)


def _cell(row: Array, name: str) -> Any:
    from PIL import Image

    if row.ndim == 1:
        return row
    buffer = io.BytesIO()
    Image.fromarray(row[..., 0] if row.shape[2] == 1 else row).save(buffer, "PNG")
    return {"bytes": buffer.getvalue(), "path": name}
