"""`--plugin`, which several commands share: what is given by the user under a name."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated

import typer

Plugins = Annotated[
    list[str] | None,
    typer.Option(
        "--plugin",
        metavar="KIND:NAME=MODULE:OBJECT",
        help="use an object of a Python module under a name, e.g. metrics:mine=my.module:METRIC",
    ),
]


def register_options(given: Iterable[str] | None) -> None:
    """Register what the options give; raises InputError for what cannot be used."""
    if given:
        from entroloop.plugins import register_option

        for text in given:
            register_option(text)
