"""`entroloop figures`: its options."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from entroloop.errors import InputError

if TYPE_CHECKING:
    from rich.console import Console


def figures(
    dir: Annotated[str, typer.Argument(help="study folder or s3://… URL")],
    out: Annotated[Path | None, typer.Option(help="output folder (default: DIR/figures)")] = None,
    format: Annotated[
        str, typer.Option(metavar="A,B", help="any of svg, pdf, png")
    ] = "svg,pdf,png",
    width: Annotated[str, typer.Option(help="of each figure: in, cm, mm or pt")] = "3.25in",
    json_: Annotated[bool, typer.Option("--json", help="print JSON on a terminal, too")] = False,
) -> None:
    """Write each chart of a study as files for a paper, with captions; needs matplotlib."""
    from entroloop.cli.answers import tell
    from entroloop.plot.files import inches, write_figures

    if out is None and "://" in dir:
        raise InputError("give --out: figures of a study behind a URL need a folder here")
    formats = [name.strip() for name in format.split(",")]
    target = Path(dir) / "figures" if out is None else out
    tell(write_figures(dir, target, formats=formats, width=inches(width)), json_, _show)


def _show(answer: dict[str, Any], console: Console) -> None:
    from rich.table import Table

    from entroloop.cli.answers import plain

    table = Table()
    table.add_column("figure")
    table.add_column("what became of it")
    for name in answer["figures"]:
        table.add_row(plain(name), "written")
    for name, reason in answer["left_out"].items():
        table.add_row(plain(name), plain(f"left out: {reason}"))
    console.print(table)
    console.print(plain(f"in {answer['out']}, with captions.md"))
