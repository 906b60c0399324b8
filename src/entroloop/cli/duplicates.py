"""`entroloop duplicates`: its options."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from entroloop.cli.answers import check_page, show_duplicates, tell
from entroloop.cli.engine import check_engine, cluster_for
from entroloop.cli.plugin import Plugins, register_options
from entroloop.cli.sets import Column, Features, Mode, Resize


def duplicates(
    pool: Annotated[
        list[str],
        typer.Option(metavar="[NAME=]PATH", help="image folder, .npy, .npz, .parquet; repeatable"),
    ],
    threshold: Annotated[float, typer.Option(help="distance up to which rows are near-duplicates")],
    out: Annotated[
        Path, typer.Option(help="output folder: pairs.parquet, groups.parquet, summary.json")
    ],
    features: Features = "raw",
    metric: Annotated[
        str, typer.Option(help="euclidean or cosine (of similarity s: √(2 − 2 s))")
    ] = "euclidean",
    keep: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="pool whose rows represent their groups before others"),
    ] = None,
    most_pairs: Annotated[
        int, typer.Option(min=1, help="pairs beyond which the search ends")
    ] = 20_000_000,
    html: Annotated[Path | None, typer.Option(help="also write an HTML page of the groups")] = None,
    strict: Annotated[bool, typer.Option("--strict", help="fail on corrupt images")] = False,
    on_invalid: Annotated[str, typer.Option(help="on rows with NaN: fail or drop")] = "fail",
    resize: Resize = None,
    mode: Mode = None,
    column: Column = None,
    engine: Annotated[str, typer.Option(help="where the work runs: local or ray")] = "local",
    workers: Annotated[
        int | None, typer.Option(min=1, help="shards of the pool on Ray (default: its CPUs)")
    ] = None,
    address: Annotated[
        str | None, typer.Option(metavar="HOST:PORT", help="address of a running Ray cluster")
    ] = None,
    device: Annotated[str, typer.Option(help="of feature networks: auto, cpu, cuda")] = "auto",
    plugin: Plugins = None,
    json_: Annotated[bool, typer.Option("--json", help="print JSON on a terminal, too")] = False,
) -> None:
    """Find near-duplicates: all pairs within a distance, their groups, one row to keep of each."""
    from entroloop.commands.duplicates import DuplicatesRequest, find_duplicates

    check_engine(engine, address)
    check_page(html)
    register_options(plugin)
    with cluster_for(engine, address, workers, {}) as cluster:
        request = DuplicatesRequest(
            pools=pool,
            threshold=threshold,
            out=out,
            features=features,
            metric=metric,
            keep=keep,
            most_pairs=most_pairs,
            strict=strict,
            on_invalid=on_invalid,
            resize=resize,
            mode=mode,
            column=column,
            device=device,
            engine=cluster,
        )
        found = find_duplicates(request, progress=True)
    answer = {"out": str(out)} | found.summary
    if html is not None:
        from entroloop.report.duplicates import write_duplicates_page

        write_duplicates_page(found, html)
        answer["page"] = str(html)
    tell(answer, json_, show_duplicates)
