"""`entroloop audit`: its options."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from entroloop.cli.answers import check_page, show_audit, tell
from entroloop.cli.plugin import Plugins, register_options
from entroloop.cli.sets import Column, Features, Mode, Resize
from entroloop.errors import InputError


def audit(
    sets: Annotated[
        list[str],
        typer.Argument(
            metavar="REAL… MADE",
            help="real sets, then the generated one: folders of images, .npy, .npz, .parquet",
        ),
    ],
    out: Annotated[Path, typer.Option(help="output folder: audit.parquet, summary.json")],
    features: Features = "raw",
    level: Annotated[
        float, typer.Option(help="share of real rows that may be flagged by each threshold")
    ] = 0.01,
    html: Annotated[
        Path | None, typer.Option(help="also write an HTML page: each verdict in pictures")
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="random seed")] = 0,
    strict: Annotated[bool, typer.Option("--strict", help="fail on corrupt images")] = False,
    on_invalid: Annotated[str, typer.Option(help="on rows with NaN: fail or drop")] = "fail",
    resize: Resize = None,
    mode: Mode = None,
    column: Column = None,
    device: Annotated[str, typer.Option(help="auto, cpu or cuda")] = "auto",
    plugin: Plugins = None,
    json_: Annotated[bool, typer.Option("--json", help="print JSON on a terminal, too")] = False,
) -> None:
    """Tell which generated samples are copies, near-copies or strays, and which may be kept."""
    from entroloop.commands.audit import AuditRequest, audit_files
    from entroloop.system.devices import device_for
    from entroloop.system.progress_line import ProgressLine

    if len(sets) < 2:
        raise InputError("audit needs real sets and then the generated one: REAL… MADE")
    check_page(html)
    register_options(plugin)
    request = AuditRequest(
        real=sets[:-1],
        made=sets[-1],
        out=out,
        features=features,
        level=level,
        seed=seed,
        strict=strict,
        on_invalid=on_invalid,
        resize=resize,
        mode=mode,
        column=column,
        device=device_for(device),
    )
    with ProgressLine() as line:
        found = audit_files(request, line.of)
    answer = {"out": str(out)} | found.summary
    if html is not None:
        from entroloop.report.audited import write_audit_page

        write_audit_page(found, html)
        answer["page"] = str(html)
    tell(answer, json_, show_audit)
