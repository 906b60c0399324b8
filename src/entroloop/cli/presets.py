"""`entroloop presets`: its options."""

from __future__ import annotations

from typing import Annotated

import typer

from entroloop.cli import completion
from entroloop.cli.plugin import Plugins, register_options


def presets(
    name: Annotated[
        str | None,
        typer.Argument(help="preset to print", autocompletion=completion.presets),
    ] = None,
    plugin: Plugins = None,
) -> None:
    """List the presets, or print one as YAML, the start of a study file."""
    from entroloop.study.config import PRESETS, preset_text

    register_options(plugin)
    if name is None:
        for preset in PRESETS:
            print(f"{preset:16} {_told(preset)}")
    else:
        PRESETS.find(name)
        print(preset_text(name), end="")


def _told(preset: str) -> str:
    """Return a preset's first line, or what is wrong with it, which the others outlive."""
    from entroloop.errors import InputError
    from entroloop.study.config import preset_text

    try:
        return preset_text(preset).partition("\n")[0].lstrip("# ")
    except InputError as error:
        return str(error)
