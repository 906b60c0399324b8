"""`entroloop select`: its options."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from entroloop.cli.engine import check_engine, cluster_for
from entroloop.errors import InputError


def select(
    pool: Annotated[
        list[str],
        typer.Option(
            metavar="[NAME=]PATH", help="folder, .npy, .parquet, .tar, hub:ID …; repeatable"
        ),
    ],
    n: Annotated[int, typer.Option("-n", help="number of samples to choose")],
    out: Annotated[Path, typer.Option(help="output folder: selection.parquet, summary.json")],
    strategy: Annotated[str, typer.Option(help="greedy, threshold_decay, random, …")] = "greedy",
    param: Annotated[
        list[str] | None,
        typer.Option(metavar="KEY=VALUE", help="strategy parameter, e.g. strength=0.5; repeatable"),
    ] = None,
    features: Annotated[str, typer.Option(help="feature space for distances")] = "raw",
    metric: Annotated[
        str, typer.Option(help="euclidean, cosine, manhattan, mahalanobis")
    ] = "euclidean",
    initial: Annotated[str | None, typer.Option(help="rows to treat as already chosen")] = None,
    group_by: Annotated[
        str | None, typer.Option(metavar="COLUMN", help="exact quotas by a column, label or pool")
    ] = None,
    quota: Annotated[str, typer.Option(help="proportional or equal")] = "proportional",
    weights: Annotated[
        str | None,
        typer.Option(metavar="COLUMN", help="factor on each row's distance; realism: by --guard"),
    ] = None,
    guard: Annotated[
        str | None,
        typer.Option(metavar="PATH", help="real rows, used for nothing else: for guarded, realism"),
    ] = None,
    materialize: Annotated[str | None, typer.Option(help="link, copy or parquet")] = None,
    strict: Annotated[bool, typer.Option("--strict", help="fail on corrupt images")] = False,
    on_invalid: Annotated[str, typer.Option(help="on rows with NaN: fail or drop")] = "fail",
    resize: Annotated[
        int | None,
        typer.Option(metavar="PIXELS", help="crop images to a square and resize them to this size"),
    ] = None,
    mode: Annotated[str | None, typer.Option(help="bring images to rgb or grey")] = None,
    column: Annotated[
        list[str] | None,
        typer.Option(metavar="COLUMN", help="column that holds the rows; repeatable"),
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="random seed")] = 0,
    engine: Annotated[str, typer.Option(help="where the work runs: local or ray")] = "local",
    workers: Annotated[
        int | None, typer.Option(help="shards of the pool on Ray (default: its CPUs)")
    ] = None,
    address: Annotated[
        str | None, typer.Option(metavar="HOST:PORT", help="address of a running Ray cluster")
    ] = None,
    device: Annotated[str, typer.Option(help="auto, cpu or cuda")] = "auto",
) -> None:
    """Choose the n most informative samples from one or more pools."""
    from entroloop.commands.select import Request, select_files
    from entroloop.study.config import parse_overrides

    check_engine(engine, address)
    if workers is not None and workers < 1:
        raise InputError(f"--workers must be at least 1; got {workers}")
    with cluster_for(engine, address, workers, {}) as cluster:
        request = Request(
            pools=pool,
            n=n,
            out=out,
            strategy=strategy,
            parameters=parse_overrides(param or []),
            features=features,
            metric=metric,
            initial=initial,
            group_by=group_by,
            quota=quota,
            weights=weights,
            guard=guard,
            materialize=materialize,
            strict=strict,
            on_invalid=on_invalid,
            resize=resize,
            mode=mode,
            column=column,
            seed=seed,
            device=device,
            engine=cluster,
        )
        print(json.dumps({"out": str(out)} | select_files(request, progress=True)))
