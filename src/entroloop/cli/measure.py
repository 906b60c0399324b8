"""`entroloop measure`: its options."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from entroloop.cli.answers import check_page
from entroloop.cli.plugin import Plugins, register_options
from entroloop.cli.sets import Column, Features, Mode, Resize


def measure(
    generated: Annotated[Path, typer.Option(help="generated samples: folder, .npy, .parquet …")],
    train: Annotated[Path | None, typer.Option(help="the model's training samples")] = None,
    reference: Annotated[Path | None, typer.Option(help="held-out real data")] = None,
    features: Features = "raw",
    metrics: Annotated[
        str | None, typer.Option(metavar="A,B", help="metric names (default: all the sets allow)")
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="random seed")] = 0,
    device: Annotated[str, typer.Option(help="auto, cpu or cuda")] = "auto",
    resize: Resize = None,
    mode: Mode = None,
    column: Column = None,
    html: Annotated[
        Path | None, typer.Option(help="also write an HTML page: pairs, projection, curves")
    ] = None,
    strict: Annotated[bool, typer.Option("--strict", help="fail on corrupt images")] = False,
    plugin: Plugins = None,
    json_: Annotated[bool, typer.Option("--json", help="print JSON on a terminal, too")] = False,
) -> None:
    """Measure generated samples against training and held-out sets."""
    from entroloop.cli.answers import show_measures, tell
    from entroloop.commands.measure import measure_files
    from entroloop.system.devices import device_for
    from entroloop.system.progress_line import ProgressLine

    register_options(plugin)
    sets = {"generated": generated, "train": train, "reference": reference}
    names = [name.strip() for name in metrics.split(",")] if metrics else None
    check_page(html)
    if html is not None and train is not None:
        from entroloop.report.memorized_pairs import pairs_file

        pairs_file(html)
    with ProgressLine() as line:
        measured = measure_files(
            sets,
            features,
            names,
            seed=seed,
            device=device_for(device),
            strict=strict,
            resize=resize,
            mode=mode,
            column=column,
            progress_of=line.of,
        )
    answer = measured.as_json()
    if html is not None:
        from entroloop.report.measured import write_page

        pairs = write_page(measured, html)
        answer |= {"page": str(html)} | ({"pairs": str(pairs)} if pairs else {})
    tell(answer, json_, show_measures)
