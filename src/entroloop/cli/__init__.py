"""The command line: one file a command; here they are put together."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from entroloop.cli.audit import audit
from entroloop.cli.boundary import Commands, run_to_exit
from entroloop.cli.doctor import doctor
from entroloop.cli.duplicates import duplicates
from entroloop.cli.examples import WithExamples
from entroloop.cli.figures import figures
from entroloop.cli.measure import measure
from entroloop.cli.presets import presets
from entroloop.cli.report import report
from entroloop.cli.run import run
from entroloop.cli.select import select
from entroloop.cli.watch import watch

# As the help lists them.
COMMANDS = (
    run, watch, select, measure, duplicates, audit, report, figures, presets, doctor
)  # fmt: skip

app = typer.Typer(
    cls=Commands,
    name="entroloop",
    help="Run, measure, explain and prevent model collapse in self-consuming loops.",
    epilog="Each command has examples: entroloop run --help",
    no_args_is_help=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    pretty_exceptions_enable=False,
)
for _command in COMMANDS:
    app.command(cls=WithExamples)(_command)


@app.callback(invoke_without_command=True)
def _main(
    context: typer.Context, version: Annotated[bool, typer.Option("-V", "--version")] = False
) -> None:
    if version:
        from importlib.metadata import version as installed

        print(installed("entroloop"))
        raise typer.Exit()
    if context.invoked_subcommand is None:
        print(context.get_help(), file=sys.stderr)
        raise typer.Exit(2)


def main() -> None:
    """Run the command line; see `boundary.run_to_exit` for its exit codes."""
    run_to_exit(app)
