"""`entroloop run`: its options, and what it tells."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import closing, contextmanager, nullcontext
from typing import TYPE_CHECKING, Annotated, Any

import typer

from entroloop.cli import completion
from entroloop.cli.engine import check_engine, cluster_for
from entroloop.cli.plugin import Plugins, register_options
from entroloop.cli.theory import run_bench
from entroloop.errors import InputError

if TYPE_CHECKING:
    from rich.console import Console

    from entroloop.commands.prepare import Study


THEORY = "theory"  # what is run instead of a study: the bench of closed forms


def run(
    context: typer.Context,
    study: Annotated[
        str,
        typer.Argument(
            help="preset name or YAML study file; theory: the theory bench",
            autocompletion=completion.presets,
        ),
    ] = "digits",
    set_: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="override a setting; VALUE is YAML"),
    ] = None,
    out: Annotated[
        str | None, typer.Option(help="study folder or s3://… URL (default: runs/<name>)")
    ] = None,
    seeds: Annotated[
        int | None, typer.Option(min=1, help="how many seeds: 0 … SEEDS − 1; of theory: loops")
    ] = None,
    engine: Annotated[str, typer.Option(help="where the work runs: local or ray")] = "local",
    workers: Annotated[
        int | None, typer.Option(help="worker processes (default: cores/threads)")
    ] = None,
    address: Annotated[
        str | None, typer.Option(metavar="HOST:PORT", help="address of a running Ray cluster")
    ] = None,
    gpus: Annotated[float, typer.Option(help="GPUs per Ray worker; a fraction shares one")] = 0,
    device: Annotated[str, typer.Option(help="auto, cpu or cuda")] = "auto",
    memory: Annotated[float, typer.Option(help="GiB reserved per Ray worker")] = 0,
    ranks: Annotated[
        int, typer.Option(help="processes per Ray worker that train one network together")
    ] = 1,
    live: Annotated[
        bool, typer.Option("--live", help="serve a page on this machine that grows as it runs")
    ] = False,
    port: Annotated[
        int, typer.Option(min=0, max=65535, help="port of the live page (0: a free one)")
    ] = 0,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="only print the plan")] = False,
    plugin: Plugins = None,
    json_: Annotated[bool, typer.Option("--json", help="print JSON on a terminal, too")] = False,
) -> None:
    """Run a study, or whatever part of it is missing; repeat the command to resume.

    Under `torchrun --nproc-per-node K -m entroloop run …`, K processes train each network together.
    """
    if study == THEORY:
        _check_options(context)
        run_bench(out, seeds, json_)
        return
    from entroloop.commands.prepare import prepare
    from entroloop.commands.run import run_opened
    from entroloop.engines.ranks import is_follower
    from entroloop.study.config import parse_overrides

    check_engine(engine, address)
    if ranks < 1:
        raise InputError(f"--ranks must be at least 1; got {ranks}")
    if engine != "ray" and (ranks, gpus, memory) != (1, 0, 0):
        raise InputError("--ranks, --gpus and --memory apply to Ray workers; add --engine ray")
    register_options(plugin)
    overrides = parse_overrides(set_ or [])
    if seeds is not None:
        overrides["seeds"] = list(range(seeds))
    prepared = prepare(study, out, device=device, workers=workers, overrides=overrides)
    console = _console()
    if is_follower():
        if not dry_run:
            prepared.follow()
        return
    if dry_run:
        _tell_plan(prepared, console)
        print(json.dumps(_plan_as_json(prepared)))
        return
    from entroloop.commands.progress import Bars, PlainLines

    display: Any = Bars if console.is_terminal else PlainLines
    needs = {
        "cpus": prepared.config.threads * ranks, "gpus": gpus, "memory": int(memory * 2**30),
        "ranks": ranks,
    }  # fmt: skip
    with cluster_for(engine, address, workers, needs) as cluster:
        prepared.open()
        _tell_plan(prepared, console)
        with (
            _live_page(prepared, port, console) if live else nullcontext(),
            display(prepared, console) as progress,
            closing(
                run_opened(prepared, workers=workers, engine=cluster, listen=progress.stage)
            ) as made,
        ):
            for record in made:
                progress.record(record)
    _finish(prepared, console, json_)


def _check_options(context: typer.Context) -> None:
    """Refuse options of studies that the theory bench has no use for."""
    for option in context.command.params:
        source = context.get_parameter_source(option.name or "")
        given = source is not None and source.name == "COMMANDLINE"
        if given and option.name not in ("study", "out", "seeds", "json_"):
            raise InputError(
                f"run theory takes --out, --seeds and --json; it has no {option.opts[0]}"
            )


@contextmanager
def _live_page(study: Study, port: int, console: Console) -> Iterator[None]:
    """Serve the live page of a study, and tell where."""
    from entroloop.live.server import LivePage

    with LivePage(study.store.root, port) as page:
        console.print(f"live: {page.url}", highlight=False, soft_wrap=True, markup=False)
        yield


def _finish(study: Study, console: Console, as_json: bool) -> None:
    from entroloop.cli.answers import show_study, tell
    from entroloop.report import render_if_changed
    from entroloop.report.table import print_table
    from entroloop.store.records import load_records
    from entroloop.study.controls import control_records
    from entroloop.system.progress_line import ProgressLine

    with ProgressLine() as line:
        control_records(study.store, study.config, line.of("control loops"))
    print_table(load_records(study.store.root), console)
    html = render_if_changed([study.store.root], study.store.root / "report.html")
    report = study.store.publish(html)
    summary = {
        "study": study.config.name,
        "out": study.address,
        "report": report,
        "complete": True,
        "arms": [arm.name for arm in study.config.arms],
    }
    tell(summary, as_json, show_study)


def _tell_plan(study: Study, console: Console) -> None:
    from entroloop.store.run_lists import told

    config, reused, missing = study.config, study.reused, study.missing
    found = sum(reused.values())
    text = (
        f"study {config.name}: {len(config.arms)} arms × {len(config.seeds)} seeds × "
        f"{config.generations} generations; {missing['model']} trainings to do"
    )
    if found:
        text += f", {found} of {found + sum(missing.values())} stages re-used"
    if study.damaged:
        text += f"; {study.damaged} damaged stages will be rebuilt"
    if skipped := study.real.skipped:
        name, reason = next(iter(skipped.items()))
        text += f"; {len(skipped)} images skipped, first {name}: {reason}"
    console.print(f"{text}; folder {study.address}", highlight=False, soft_wrap=True, markup=False)
    if others := study.others:
        console.print(
            f"the folder also holds runs of other configurations: {told(others)}; read them with "
            f"load_records({study.address!r}, all=True)",
            highlight=False,
            soft_wrap=True,
            markup=False,
        )


def _plan_as_json(study: Study) -> dict[str, Any]:
    return {
        "study": study.config.name,
        "out": study.address,
        "arms": [arm.name for arm in study.config.arms],
        "seeds": study.config.seeds,
        "generations": study.config.generations,
        "device": study.device,
        "real_rows": len(study.real.data),
        "skipped": study.real.skipped,
        "stages_to_make": study.missing,
        "stages_reused": study.reused,
        "other_runs": [
            {"arm": run.arm, "seed": run.seed, "generations": len(run.generations)}
            for run in study.others
        ],
        "config": study.config.model_dump(mode="json"),
    }


def _console() -> Console:
    from rich.console import Console

    console = Console(stderr=True)
    return console if console.is_terminal else Console(stderr=True, width=160)
