"""`entroloop report`: its options."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from entroloop.cli.plugin import Plugins, register_options


def report(
    dirs: Annotated[list[Path], typer.Argument(help="study folders", metavar="DIR…")],
    html: Annotated[
        Path | None, typer.Option(help="output page (default: DIR/report.html)")
    ] = None,
    plugin: Plugins = None,
) -> None:
    """Write the report on one or more studies: a single HTML file that opens offline."""
    from entroloop.report import render_report

    register_options(plugin)
    print(json.dumps({"report": str(render_report(dirs, html or dirs[0] / "report.html"))}))
