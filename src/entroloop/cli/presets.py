"""`entroloop presets`: its options."""

from __future__ import annotations

from typing import Annotated

import typer

from entroloop.cli import completion


def presets(
    name: Annotated[
        str | None,
        typer.Argument(help="preset to print", autocompletion=completion.presets),
    ] = None,
) -> None:
    """List the presets, or print one as YAML, the start of a study file."""
    from entroloop.errors import unknown_name
    from entroloop.study.config import presets as all_presets

    known = all_presets()
    if name is None:
        for preset, text in known.items():
            print(f"{preset:16} {text.splitlines()[0].lstrip('# ')}")
    elif name in known:
        print(known[name], end="")
    else:
        raise unknown_name("preset", name, known)
