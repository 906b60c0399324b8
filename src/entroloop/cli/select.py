"""`entroloop select`: its options."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import Annotated

import typer

from entroloop.cli import completion
from entroloop.cli.answers import check_page
from entroloop.cli.engine import check_engine, cluster_for
from entroloop.cli.plugin import Plugins, register_options
from entroloop.cli.sets import Column, Mode, Resize
from entroloop.errors import InputError


def select(
    pool: Annotated[
        list[str],
        typer.Option(
            metavar="[NAME=]PATH", help="folder, .npy, .parquet, .tar, hub:ID …; repeatable"
        ),
    ],
    out: Annotated[Path, typer.Option(help="output folder: selection.parquet, summary.json")],
    n: Annotated[
        str | None,
        typer.Option("-n", metavar="N|SHARE%", help="how many samples to choose, e.g. 1000, 10%"),
    ] = None,
    min_distance: Annotated[
        float | None,
        typer.Option(metavar="R", help="no pick nearer than R to another; -n is then the most"),
    ] = None,
    until: Annotated[
        str | None,
        typer.Option(metavar="WHEN", help="knee, or coverage=0.95 within --min-distance"),
    ] = None,
    update: Annotated[
        str | None,
        typer.Option(metavar="DIR", help="earlier choice, made anew with the pools; keeps its n"),
    ] = None,
    strategy: Annotated[
        str, typer.Option(help="how to choose: see below", autocompletion=completion.strategies)
    ] = "greedy",
    param: Annotated[
        list[str] | None,
        typer.Option(metavar="KEY=VALUE", help="strategy parameter: see below; repeatable"),
    ] = None,
    features: Annotated[
        str | None,
        typer.Option(
            help="feature space for distances (default: raw, or that of --update)",
            autocompletion=completion.extractors,
        ),
    ] = None,
    metric: Annotated[
        str | None,
        typer.Option(
            help="euclidean, cosine, manhattan, mahalanobis (default: euclidean, or that of "
            "--update)",
            autocompletion=completion.distances,
        ),
    ] = None,
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
    assign: Annotated[
        bool, typer.Option("--assign", help="write the nearest pick of every row, and weights")
    ] = False,
    materialize: Annotated[
        str | None, typer.Option(help="the chosen rows themselves: link, copy, parquet or hub")
    ] = None,
    html: Annotated[
        Path | None, typer.Option(help="also write an HTML page: counts, curves, pictures")
    ] = None,
    strict: Annotated[bool, typer.Option("--strict", help="fail on corrupt images")] = False,
    on_invalid: Annotated[str, typer.Option(help="on rows with NaN: fail or drop")] = "fail",
    resize: Resize = None,
    mode: Mode = None,
    column: Column = None,
    seed: Annotated[int, typer.Option(min=0, help="random seed")] = 0,
    engine: Annotated[str, typer.Option(help="where the work runs: local or ray")] = "local",
    workers: Annotated[
        int | None, typer.Option(help="shards of the pool on Ray (default: its CPUs)")
    ] = None,
    address: Annotated[
        str | None, typer.Option(metavar="HOST:PORT", help="address of a running Ray cluster")
    ] = None,
    device: Annotated[str, typer.Option(help="auto, cpu or cuda")] = "auto",
    plugin: Plugins = None,
    json_: Annotated[bool, typer.Option("--json", help="print JSON on a terminal, too")] = False,
) -> None:
    """Choose the n most informative samples from one or more pools."""
    from entroloop.cli.answers import show_selection, tell
    from entroloop.commands.select import select_files
    from entroloop.commands.select_request import Request
    from entroloop.study.config import parse_overrides

    check_engine(engine, address)
    check_page(html)
    if workers is not None and workers < 1:
        raise InputError(f"--workers must be at least 1; got {workers}")
    register_options(plugin)
    with cluster_for(engine, address, workers, {}) as cluster:
        request = Request(
            pools=pool,
            n=int(n) if n is not None and n.strip().lstrip("+-").isdecimal() else n,
            min_distance=min_distance,
            until=until,
            update=update,
            out=out,
            strategy=strategy,
            parameters=parse_overrides(param or []),
            features=features or "",
            metric=metric or "",
            initial=initial,
            group_by=group_by,
            quota=quota,
            weights=weights,
            guard=guard,
            assign=assign,
            materialize=materialize,
            page=html is not None,
            strict=strict,
            on_invalid=on_invalid,
            resize=resize,
            mode=mode,
            column=column,
            seed=seed,
            device=device,
            engine=cluster,
            command=shlex.join(["entroloop", *sys.argv[1:]]),
        )
        chosen = select_files(request, progress=True)
    answer = {"out": str(out)} | chosen.summary
    if html is not None:
        from entroloop.report.selected import write_selection_page

        write_selection_page(chosen, html)
        answer["page"] = str(html)
    tell(answer, json_, show_selection)
