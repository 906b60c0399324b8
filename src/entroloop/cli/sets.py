"""Options that several commands share: how sets are read, and the space of their distances."""

from __future__ import annotations

from typing import Annotated

import typer

from entroloop.cli import completion

Features = Annotated[
    str,
    typer.Option(help="feature space for distances", autocompletion=completion.extractors),
]
Resize = Annotated[
    int | None,
    typer.Option(metavar="PIXELS", help="crop images to a square and resize them to this size"),
]
Mode = Annotated[str | None, typer.Option(help="bring images to rgb or grey")]
Column = Annotated[
    list[str] | None,
    typer.Option(metavar="COLUMN", help="column that holds the rows; repeatable"),
]
