"""`entroloop duplicates`: near-duplicates of pools of files, written to a folder."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from entroloop.cleaning.duplicates import (
    MOST_PAIRS,
    Duplicates,
    Groups,
    duplicates,
    rows_identity,
)
from entroloop.commands.pool_files import name_and_path, places_of, read_pools
from entroloop.commands.pools import Pools
from entroloop.data.preparing import preparation
from entroloop.data.reading import reading
from entroloop.errors import InputError
from entroloop.features import extractor_for
from entroloop.pools.hosts import PoolEngine
from entroloop.pools.rows import rows_of
from entroloop.samples import Array
from entroloop.system.output_folder import OutputFolder, refuse_overlap

CHECKPOINT = ".checkpoint.pairs"
RULE = "the row of most neighbours within the threshold, copies counted; of equals the first"


@dataclass(frozen=True, kw_only=True)
class DuplicatesRequest:
    """What the command line asks for.

    pools: [NAME=]PATH of each pool. threshold: the distance up to which rows are near-duplicates.
    keep: the pool whose rows represent their groups before all others. most_pairs: beyond which
    the search ends. on_invalid: what becomes of rows with NaN, `fail` or `drop`. resize, mode: what
    images are brought to, see `preparation`. column: what holds the rows. out: the folder that is
    written. engine: what distributes the pool over several processes.
    """

    pools: list[str]
    threshold: float
    out: Path
    features: str = "raw"
    metric: str = "euclidean"
    keep: str | None = None
    most_pairs: int = MOST_PAIRS
    strict: bool = False
    on_invalid: str = "fail"
    resize: int | None = None
    mode: str | None = None
    column: list[str] | None = None
    device: str = "auto"
    engine: PoolEngine | None = None


@dataclass(frozen=True)
class FoundDuplicates:
    """The pools as they were read, all pairs known of them, the groups, and the summary."""

    pools: Pools
    found: Duplicates
    groups: Groups
    summary: dict[str, Any]


def find_duplicates(request: DuplicatesRequest, progress: bool = False) -> FoundDuplicates:
    """Write pairs.parquet, groups.parquet and summary.json; return what was found.

    Where the folder holds the pairs of the same rows up to this threshold or a larger one, they
    are read, and nothing is computed again. Raises InputError for whatever is wrong with the pools
    or options; then nothing is written.
    """
    extractor = extractor_for(request.features, request.device)
    named = dict(map(name_and_path, request.pools))
    if request.keep is not None and request.keep not in named:
        raise InputError(f"--keep {request.keep} names no pool; there are {', '.join(named)}")
    folder = OutputFolder(request.out, scratch=(CHECKPOINT,))
    folder.check()
    refuse_overlap(request.out, places_of({f"pool '{name}'": path for name, path in named.items()}))
    # Elsewhere, embeddings need never be read here; files with NaN are refused where they are read.
    lazy = request.engine is not None and (request.features, request.on_invalid) == ("raw", "fail")
    sets = read_pools(
        request.pools,
        extractor,
        strict=request.strict,
        on_invalid=request.on_invalid,
        column=request.column,
        change=preparation(request.resize, request.mode),
        lazy=lazy,
    )
    if extractor.fit is not None:
        extractor = extractor.fit(np.concatenate([s.data for s in sets]))
    pools = Pools(sets)
    features = pools.features(extractor, request.engine)
    identity = _identity(request, features)
    checkpoint = request.out / CHECKPOINT
    with folder.locked():
        found = _known(request, identity)
        again = found is not None
        if found is None:
            found = duplicates(
                features,
                request.threshold,
                metric=request.metric,
                most_pairs=request.most_pairs,
                engine=request.engine,
                checkpoint=checkpoint,
                progress=progress,
            )
        prefer = None if request.keep is None else pools.names == request.keep
        groups = found.groups(request.threshold, prefer=prefer)
        summary = _summary(request, pools, found, groups)
        summary["searched"] = {
            "threshold": found.threshold, "pairs": len(found.first), "identity": identity
        }  # fmt: skip
        _write(folder, pools, found, groups, summary)
        checkpoint.unlink(missing_ok=True)
    return FoundDuplicates(pools, found, groups, summary | {"computed": not again})


def _identity(request: DuplicatesRequest, features: Any) -> str:
    """Return what distinguishes the distances of these rows from those of others."""
    rows = rows_identity(rows_of(features))
    return hashlib.sha256(f"{rows} {request.features} {request.metric}".encode()).hexdigest()


def _known(request: DuplicatesRequest, identity: str) -> Duplicates | None:
    """Return the pairs that the folder holds, None unless they reach as far as what is asked for.

    The folder was checked: its files are as they were written.
    """
    import pandas as pd

    file = request.out / "summary.json"
    if not file.exists() or not (request.out / "pairs.parquet").exists():
        return None
    with reading(file, "summary of near-duplicates"):
        summary = json.loads(file.read_text("utf-8"))
        searched = summary.get("searched", {})
        if searched.get("identity") != identity or searched["threshold"] < request.threshold:
            return None
        n, reach = int(summary["rows"]), float(searched["threshold"])
    with reading(request.out / "pairs.parquet", "parquet file"):
        pairs = pd.read_parquet(request.out / "pairs.parquet")
        first, second, distance, equal = (
            pairs[name].to_numpy() for name in ("first", "second", "distance", "equal")
        )
    return Duplicates(n, reach, request.metric, first, second, distance, equal)


def _summary(
    request: DuplicatesRequest, pools: Pools, found: Duplicates, groups: Groups
) -> dict[str, Any]:
    skipped = {s.name: s.skipped for s in pools.sets if s.skipped}
    engine = request.engine
    return {
        "rows": found.n,
        "threshold": groups.threshold,
        "metric": request.metric,
        "features": request.features,
        "pairs": int((found.distances <= groups.threshold).sum()),
        "groups": len(groups),
        "rows_in_groups": len(groups.rows),
        "largest_group": int(np.bincount(groups.group).max(initial=0)),
        "dropped": len(groups.dropped),
        "representative": RULE
        if request.keep is None
        else f"a row of pool {request.keep} before all others; of these {RULE}",
        "pools": _by_pool(pools, groups),
        "curve": found.curve(),
        "engine": {"name": "local", "workers": 1}
        if engine is None
        else {"name": engine.name, "workers": engine.workers},
        "skipped": skipped,
        "remarks": {s.name: s.remarks for s in pools.sets if s.remarks},
    }


def _by_pool(pools: Pools, groups: Groups) -> dict[str, dict[str, int]]:
    inside, dropped = (Counter(pools.names[at].tolist()) for at in (groups.rows, groups.dropped))
    return {
        s.name: {"rows": len(s.ids), "in_groups": inside[s.name], "dropped": dropped[s.name]}
        for s in pools.sets
    }


def _write(
    folder: OutputFolder, pools: Pools, found: Duplicates, groups: Groups, summary: Any
) -> None:
    import pandas as pd

    columns: dict[str, Array] = {
        "first": found.first, "second": found.second, "distance": found.distances,
        "equal": found.equal,
    }  # fmt: skip
    members = {
        "row": groups.rows,
        **pools.columns_of(groups.rows),
        "group": groups.group,
        "neighbours": groups.neighbours,
        "representative": groups.representative,
    }
    with folder.replaced() as new:
        pd.DataFrame(columns).to_parquet(new / "pairs.parquet", index=False)
        pd.DataFrame(members).to_parquet(new / "groups.parquet", index=False)
        (new / "summary.json").write_text(json.dumps(summary, indent=1), "utf-8")
