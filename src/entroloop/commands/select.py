"""`entroloop select`: choose from pools of files, and write what was chosen."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from entroloop.commands.chosen import (
    Chosen,
    assignment_told,
    told_of,
    write_assignment,
    write_selection,
)
from entroloop.commands.hub_folder import write_hub_folder
from entroloop.commands.materialize import (
    check_tables,
    chosen_table,
    write_files,
    write_table,
)
from entroloop.commands.pool_files import name_and_path, read_pools
from entroloop.commands.pools import Origin, Pools
from entroloop.commands.select_request import REALISM, Request, check_options, sources_of
from entroloop.commands.update import Earlier, read_earlier, update_told, what_left
from entroloop.data.loading import read_set
from entroloop.data.preparing import preparation
from entroloop.data.sets import MADE_BY, FileSet
from entroloop.errors import InputError
from entroloop.features import Extractor, extractor_for
from entroloop.pools.rows import Rows
from entroloop.samples import Array, as_vectors
from entroloop.selection import STRATEGIES, Selection, select
from entroloop.system.output_folder import OutputFolder, refuse_overlap
from entroloop.system.progress_line import ProgressLine, ProgressOf, no_progress_of

CHECKPOINT = ".checkpoint.npz"


def select_files(request: Request, progress: bool = False) -> Chosen:
    """Select from files and write what was asked for beside selection.parquet and summary.json.

    Raises InputError for whatever is wrong with the pools or options; then nothing is written.
    """
    check_options(request)
    folder = OutputFolder(request.out, scratch=(CHECKPOINT,))
    folder.check()
    refuse_overlap(request.out, sources_of(request))
    earlier = _earlier(request)
    request = _in_its_space(request, earlier)
    extractor = extractor_for(request.features, request.device)
    with ProgressLine() as line:
        read = _read(request, extractor, line.of if progress else no_progress_of)
    pools = _joined(request, read, earlier)
    if extractor.fit is not None:
        extractor = extractor.fit(np.concatenate([s.data for s in pools.sets]))
    if request.materialize in ("link", "copy"):
        pools.refuse_without_files()
    elif request.materialize is not None:
        check_tables(pools)
    groups = pools.names if request.group_by == "pool" else pools.column(request.group_by)
    rows = pools.features(extractor, request.engine)
    initial, guard = (
        None if path is None else _rows_of(request, extractor, Path(path), name)
        for name, path in (("initial", request.initial), ("guard", request.guard))
    )
    with folder.locked():
        selection = _selected(
            request, pools, rows, earlier,
            groups=groups, initial=initial, guard=guard, progress=progress,
        )  # fmt: skip
        summary = _summary(request, pools, selection)
        left = None
        if earlier is not None:
            left = what_left(earlier, selection)
            varies = extractor.fit is not None or request.metric == "mahalanobis"
            summary |= update_told(earlier, selection, left, summary, varies=varies)
        _write(request, folder, pools, selection, groups, summary, left)
        if _checkpointed(request):
            (request.out / CHECKPOINT).unlink(missing_ok=True)
    return Chosen(pools, rows, guard, selection, request.group_by, summary)


def _selected(
    request: Request,
    pools: Pools,
    features: Array | Rows,
    earlier: Earlier | None,
    *,
    groups: Array | None,
    initial: Array | None,
    guard: Array | None,
    progress: bool,
) -> Selection:
    """Return the choice among the rows of all pools."""
    parameters = request.parameters if guard is None else request.parameters | {"guard": guard}
    n = request.n
    if earlier is not None:
        if n is None and request.min_distance is None and request.until is None:
            n = len(earlier.table)
        if request.strategy == "greedy" and initial is None and groups is None:
            parameters = {"first": 0} | parameters  # as before, so that no more leave than must
    return select(
        features,
        n,
        request.strategy,
        min_distance=request.min_distance,
        until=request.until,
        metric=request.metric,
        initial=initial,
        groups=groups,
        quota=request.quota,
        weights=REALISM if request.weights == REALISM else pools.column(request.weights),
        seed=request.seed,
        device=request.device,
        engine=request.engine,
        assign=request.assign or request.page or earlier is not None,
        checkpoint=request.out / CHECKPOINT if _checkpointed(request) else None,
        progress=progress,
        **parameters,
    )


def _checkpointed(request: Request) -> bool:
    return request.strategy in STRATEGIES and STRATEGIES[request.strategy].checkpointed


def _rows_of(request: Request, extractor: Extractor, path: Path, name: str) -> Array:
    """Return what distances are taken of, of rows from outside the pools, read as these are."""
    found = read_set(
        path,
        name,
        strict=request.strict,
        column=request.column,
        change=preparation(request.resize, request.mode),
        mixed=extractor.mixed,
    )
    return as_vectors(np.asarray(extractor(found.data)))


def _read(request: Request, extractor: Extractor, progress_of: ProgressOf) -> list[FileSet]:
    # Elsewhere, embeddings need never be read here; files with NaN are refused where they are read.
    lazy = request.engine is not None and (request.features, request.on_invalid) == ("raw", "fail")
    return read_pools(
        request.pools,
        extractor,
        strict=request.strict,
        on_invalid=request.on_invalid,
        columns=request.columns,
        column=request.column,
        change=preparation(request.resize, request.mode),
        lazy=lazy and request.materialize != "parquet",
        progress_of=progress_of,
    )


def _earlier(request: Request) -> Earlier | None:
    if request.update is None:
        return None
    return read_earlier(Path(request.update), strict=request.strict, columns=request.columns)


def _in_its_space(request: Request, earlier: Earlier | None) -> Request:
    """Return the request with the features and metric of the earlier choice where it names none.

    Raises InputError for features that name a file or a model: a folder does not say what is run.
    """
    before = {} if earlier is None else earlier.summary
    features = request.features or str(before.get("features", "raw"))
    if not request.features and ":" in features:
        raise InputError(
            f"the earlier choice took features {features!r}; what a folder names is not loaded "
            "unasked: give --features again"
        )
    metric = request.metric or str(before.get("metric", "euclidean"))
    return replace(request, features=features, metric=metric)


def _joined(request: Request, sets: list[FileSet], earlier: Earlier | None) -> Pools:
    """Return the rows of an earlier choice, if there is one, and of the pools."""
    paths = [path for _, path in map(name_and_path, request.pools)]
    origins = [
        Origin(path.resolve(), s.index, column=request.column)
        for s, path in zip(sets, paths, strict=True)
    ]
    if earlier is None:
        return Pools(sets, origins)
    known = {s.name for s in earlier.sets}
    for s in sets:
        if s.name in known:
            raise InputError(
                f"the earlier choice has rows of a pool '{s.name}' already; call the new one "
                "otherwise: --pool NAME=PATH"
            )
        if s.data.shape[1:] != earlier.sets[0].data.shape[1:]:
            raise InputError(
                f"the rows of pool '{s.name}' differ in shape from those of {earlier.folder}"
            )
    return Pools([*earlier.sets, *sets], [*earlier.origins, *origins])


def _summary(request: Request, pools: Pools, selection: Selection) -> dict[str, Any]:
    summary = {
        "strategy": request.strategy,
        "parameters": request.parameters,
        "features": request.features,
        "metric": request.metric,
        "seed": request.seed,
        "min_distance": request.min_distance,
        "until": request.until,
        "sources": {s.name: str(o.path) for s, o in zip(pools.sets, pools.origins, strict=True)
                    if not o.ours},
        "command": request.command,
    } | told_of(selection, pools, request.engine) | _made_by(pools, selection)  # fmt: skip
    plain = request.group_by is None and request.initial is None
    summary["radius_bound"] = selection.coverage_radius if plain else None
    if request.assign:
        summary["assignment"] = assignment_told(selection)
    return summary


def _made_by(pools: Pools, selection: Selection) -> dict[str, Any]:
    """Return how many rows each maker has in the pools and in the choice, where it was read."""
    if not all(MADE_BY in s.columns for s in pools.sets):
        return {}
    makers = np.concatenate([s.columns[MADE_BY] for s in pools.sets]).astype(str)
    rows, chosen = Counter(makers.tolist()), Counter(makers[selection.indices].tolist())
    return {MADE_BY: {name: {"rows": n, "chosen": chosen[name]} for name, n in rows.items()}}


def _write(
    request: Request,
    folder: OutputFolder,
    pools: Pools,
    selection: Selection,
    groups: Array | None,
    summary: dict[str, Any],
    left: Any,
) -> None:
    """Write the result as a whole, in place of an earlier one of this program."""
    try:
        with folder.replaced() as new:
            write_selection(
                new / "selection.parquet", pools, selection, groups, assign=request.assign
            )
            if request.assign:
                write_assignment(new / "assignment.parquet", pools, selection)
            if left is not None:
                left.to_parquet(new / "left.parquet", index=False)
            _write_rows(request, new, pools, selection, summary)
            (new / "summary.json").write_text(json.dumps(summary, indent=1), "utf-8")
    except OSError as error:
        raise InputError(f"{request.out} cannot be written: {error.strerror or error}") from None


def _write_rows(
    request: Request, new: Path, pools: Pools, selection: Selection, summary: dict[str, Any]
) -> None:
    """Write the chosen rows themselves, as --materialize says."""
    how, rows, chosen = request.materialize, selection.indices, new / "chosen"
    if how == "parquet":
        write_table(new / "chosen.parquet", chosen_table(pools, rows))
    elif how == "hub":
        chosen.mkdir()
        table, name = chosen_table(pools, rows), request.out.resolve().name
        write_hub_folder(chosen, name, table, summary, pools.classes())
    elif how is not None:
        chosen.mkdir()
        final = (request.out / "chosen").resolve()  # where the links will be
        write_files(chosen, final, pools, rows, link=how == "link")
