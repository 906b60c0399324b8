"""`entroloop doctor`: its options, and the question before it removes anything."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from entroloop.errors import InputError

if TYPE_CHECKING:
    from entroloop.commands.doctor import CheckUp


def doctor(
    dir: Annotated[Path | None, typer.Argument(help="study folder to check")] = None,
    clear: Annotated[
        bool,
        typer.Option(
            "--clear", help="remove damaged stages and other configurations' data, after asking"
        ),
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", help="confirm --clear in advance")] = False,
    repair: Annotated[
        bool,
        typer.Option("--repair", help="move what is damaged to DIR/quarantine; removes nothing"),
    ] = False,
    clear_cache: Annotated[
        bool, typer.Option("--clear-cache", help="empty the feature cache")
    ] = False,
    writes: Annotated[
        bool, typer.Option("--writes", help="only print every file that each command may write")
    ] = False,
    json_: Annotated[bool, typer.Option("--json", help="print JSON on a terminal, too")] = False,
) -> None:
    """Show environment, cache and plug-ins; with DIR, verify the checksums of all its stages."""
    from entroloop.cli.answers import show_check_up, tell
    from entroloop.commands.doctor import examine
    from entroloop.commands.writes import WRITES
    from entroloop.features.cached import examine_cache
    from entroloop.plugins import examined
    from entroloop.system.environment import environment

    if writes:
        print(json.dumps(WRITES, indent=1))
        return
    if (clear or repair) and dir is None:
        raise InputError("--clear and --repair need DIR, the study folder")
    found = None if dir is None else examine(dir, repair=repair)
    moved = found.repair() if found is not None and repair else []
    if moved and dir is not None:
        found = examine(dir)
    cleared = found is not None and clear and _clear(found, yes)
    facts: dict[str, Any] = {
        "environment": environment("auto"),
        "features_cache": examine_cache(clear=clear_cache),
        "plugins": examined(),
    }
    if found is not None:
        facts["folder"] = found.facts() | {"cleared": cleared, "moved": moved}
    tell(facts, json_, show_check_up)
    if found is not None and not found.is_whole and not cleared:
        raise typer.Exit(1)


def _clear(found: CheckUp, yes: bool) -> bool:
    """List what would be removed and, if the user agrees, remove it; return whether it was."""
    lines = found.removal()
    if not lines:
        return False
    print("would remove:\n  " + "\n  ".join(lines), file=sys.stderr)
    if not yes:
        if not sys.stdin.isatty():
            raise InputError("nothing was removed; add --yes to agree to the removal")
        if not typer.confirm("remove it?", err=True):
            return False
    found.remove()
    return True
