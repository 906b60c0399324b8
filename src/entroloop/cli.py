"""The command line: run, select, measure, report, presets, doctor."""

from __future__ import annotations

import errno
import json
import os
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from io import TextIOWrapper
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperGroup
from typer.exceptions import TyperException

from entroloop.errors import InputError, one_line

if TYPE_CHECKING:
    from rich.console import Console

    from entroloop.commands.doctor import CheckUp
    from entroloop.commands.run import Study
    from entroloop.engines.ray import RayEngine

NO_ROOM = {errno.ENOSPC, errno.EDQUOT, errno.EROFS}  # disk or quota full, or nothing may be written


class _NobodyReadsError(Exception):
    """Whoever read our output has what they wanted."""


class _Commands(TyperGroup):
    """The commands; an end of file within one is bad input, where typer takes it for Ctrl-D."""

    def invoke(self, context: Any) -> Any:
        """Run a command."""
        try:
            return super().invoke(context)
        except EOFError as error:
            raise InputError(f"a file ends too early: {one_line(error) or 'it is cut'}") from None
        except MemoryError as error:
            reason = one_line(error) or "the system gave no reason"
            raise InputError(f"there is not enough memory: {reason}") from None
        except BrokenPipeError:
            raise _NobodyReadsError from None  # click would end with 1
        except OSError as error:
            where = one_line(error.filename or "the output", 200)
            if error.errno in NO_ROOM:
                raise InputError(
                    f"{where} cannot be written: {error.strerror}; make room, and the same command "
                    "goes on from here"
                ) from None
            raise InputError(f"{where}: {error.strerror or one_line(error, 200)}") from None


app = typer.Typer(
    cls=_Commands,
    name="entroloop",
    help="Run, measure, explain and prevent model collapse in self-consuming loops.",
    no_args_is_help=False,
    add_completion=False,
    pretty_exceptions_enable=False,
)


@app.callback(invoke_without_command=True)
def _main(
    context: typer.Context, version: Annotated[bool, typer.Option("--version")] = False
) -> None:
    if version:
        from importlib.metadata import version as installed

        print(installed("entroloop"))
        raise typer.Exit()
    if context.invoked_subcommand is None:
        print(context.get_help(), file=sys.stderr)
        raise typer.Exit(2)


@app.command()
def run(
    study: Annotated[str, typer.Argument(help="preset name or YAML study file")] = "digits",
    set_: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="override a setting; VALUE is YAML"),
    ] = None,
    out: Annotated[
        str | None, typer.Option(help="study folder or s3://… URL (default: runs/<name>)")
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
    dry_run: Annotated[bool, typer.Option("--dry-run", help="only print the plan")] = False,
) -> None:
    """Run a study, or whatever part of it is missing; repeat the command to resume.

    Under `torchrun --nproc-per-node K -m entroloop run …`, K processes train each network together.
    """
    from entroloop.commands.run import prepare, run_opened
    from entroloop.engines.ranks import is_follower
    from entroloop.study.config import parse_overrides

    _check_engine(engine, address)
    if ranks < 1:
        raise InputError(f"--ranks must be at least 1; got {ranks}")
    if engine != "ray" and (ranks, gpus, memory) != (1, 0, 0):
        raise InputError("--ranks, --gpus and --memory apply to Ray workers; add --engine ray")
    overrides = parse_overrides(set_ or [])
    prepared = prepare(study, out, device=device, workers=workers, overrides=overrides)
    console = _console()
    if dry_run:
        _tell_plan(prepared, console)
        print(json.dumps(_plan_as_json(prepared)))
        return
    if is_follower():
        prepared.follow()
        return
    from entroloop.commands.progress import Bars, PlainLines

    display: Any = Bars if console.is_terminal else PlainLines
    needs = {
        "cpus": prepared.config.threads * ranks, "gpus": gpus, "memory": int(memory * 2**30),
        "ranks": ranks,
    }  # fmt: skip
    with _cluster(engine, address, workers, needs) as cluster:
        prepared.open()
        _tell_plan(prepared, console)
        with (
            display(prepared, console) as progress,
            closing(
                run_opened(prepared, workers=workers, engine=cluster, listen=progress.stage)
            ) as made,
        ):
            for record in made:
                progress.record(record)
    _finish(prepared, console)


def _finish(study: Study, console: Console) -> None:
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
    print(json.dumps(summary))


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


@app.command()
def select(
    pool: Annotated[
        list[str],
        typer.Option(metavar="[NAME=]PATH", help="image folder, .npy, .npz, .parquet; repeatable"),
    ],
    n: Annotated[int, typer.Option("-n", help="number of samples to choose")],
    out: Annotated[Path, typer.Option(help="output folder: selection.parquet, summary.json")],
    strategy: Annotated[str, typer.Option(help="greedy, threshold_decay, random, …")] = "greedy",
    param: Annotated[
        list[str] | None,
        typer.Option(metavar="KEY=VALUE", help="strategy parameter, e.g. strength=0.5; repeatable"),
    ] = None,
    features: Annotated[str, typer.Option(help="feature space for distances")] = "raw",
    metric: Annotated[
        str, typer.Option(help="euclidean, cosine, manhattan, mahalanobis")
    ] = "euclidean",
    initial: Annotated[str | None, typer.Option(help="rows to treat as already chosen")] = None,
    group_by: Annotated[
        str | None, typer.Option(metavar="COLUMN", help="exact quotas by a column, label or pool")
    ] = None,
    quota: Annotated[str, typer.Option(help="proportional or equal")] = "proportional",
    weights: Annotated[
        str | None,
        typer.Option(metavar="COLUMN", help="factor on each row's distance; realism: by --guard"),
    ] = None,
    guard: Annotated[
        str | None,
        typer.Option(metavar="PATH", help="real rows, used for nothing else: for guarded, realism"),
    ] = None,
    materialize: Annotated[str | None, typer.Option(help="link, copy or parquet")] = None,
    strict: Annotated[bool, typer.Option("--strict", help="fail on corrupt images")] = False,
    on_invalid: Annotated[str, typer.Option(help="on rows with NaN: fail or drop")] = "fail",
    seed: Annotated[int, typer.Option(min=0, help="random seed")] = 0,
    engine: Annotated[str, typer.Option(help="where the work runs: local or ray")] = "local",
    workers: Annotated[
        int | None, typer.Option(help="shards of the pool on Ray (default: its CPUs)")
    ] = None,
    address: Annotated[
        str | None, typer.Option(metavar="HOST:PORT", help="address of a running Ray cluster")
    ] = None,
    device: Annotated[str, typer.Option(help="auto, cpu or cuda")] = "auto",
) -> None:
    """Choose the n most informative samples from one or more pools."""
    from entroloop.commands.select import Request, select_files
    from entroloop.study.config import parse_overrides

    _check_engine(engine, address)
    if workers is not None and workers < 1:
        raise InputError(f"--workers must be at least 1; got {workers}")
    with _cluster(engine, address, workers, {}) as cluster:
        request = Request(
            pools=pool,
            n=n,
            out=out,
            strategy=strategy,
            parameters=parse_overrides(param or []),
            features=features,
            metric=metric,
            initial=initial,
            group_by=group_by,
            quota=quota,
            weights=weights,
            guard=guard,
            materialize=materialize,
            strict=strict,
            on_invalid=on_invalid,
            seed=seed,
            device=device,
            engine=cluster,
        )
        print(json.dumps({"out": str(out)} | select_files(request, progress=True)))


def _check_engine(engine: str, address: str | None) -> None:
    if engine not in ("local", "ray"):
        raise InputError(f"--engine {engine} is unknown; valid: local, ray")
    if address is not None and engine != "ray":
        raise InputError("--address names a Ray cluster; add --engine ray")


@contextmanager
def _cluster(
    engine: str, address: str | None, workers: int | None, needs: dict[str, Any]
) -> Iterator[RayEngine | None]:
    """Yield the Ray cluster for --engine ray, or None for the local engine."""
    if engine == "local":
        yield None
        return
    from entroloop.engines.ray import RayEngine

    with RayEngine(workers, address=address, **needs) as cluster:
        yield cluster


@app.command()
def measure(
    generated: Annotated[Path, typer.Option(help="generated samples: folder, .npy, .parquet …")],
    train: Annotated[Path | None, typer.Option(help="the model's training samples")] = None,
    reference: Annotated[Path | None, typer.Option(help="held-out real data")] = None,
    features: Annotated[str, typer.Option(help="feature space for distances")] = "raw",
    metrics: Annotated[
        str | None, typer.Option(metavar="A,B", help="metric names (default: all the sets allow)")
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="random seed")] = 0,
    device: Annotated[str, typer.Option(help="auto, cpu or cuda")] = "auto",
    html: Annotated[
        Path | None, typer.Option(help="also write an HTML page: pairs, projection, curves")
    ] = None,
    strict: Annotated[bool, typer.Option("--strict", help="fail on corrupt images")] = False,
) -> None:
    """Measure generated samples against training and held-out sets; print JSON."""
    from entroloop.commands.measure import measure_files
    from entroloop.system.devices import device_for
    from entroloop.system.progress_line import ProgressLine

    sets = {"generated": generated, "train": train, "reference": reference}
    names = [name.strip() for name in metrics.split(",")] if metrics else None
    if html is not None and not html.parent.is_dir():
        raise InputError(f"--html {html}: there is no folder {html.parent}")
    with ProgressLine() as line:
        measured = measure_files(
            sets,
            features,
            names,
            seed=seed,
            device=device_for(device),
            strict=strict,
            progress_of=line.of,
        )
    answer = measured.as_json()
    if html is not None:
        from entroloop.report.measured import write_page

        write_page(measured, html)
        answer["page"] = str(html)
    print(json.dumps(answer))


@app.command()
def report(
    dirs: Annotated[list[Path], typer.Argument(help="study folders", metavar="DIR…")],
    html: Annotated[
        Path | None, typer.Option(help="output page (default: DIR/report.html)")
    ] = None,
) -> None:
    """Write the report on one or more studies: a single HTML file that opens offline."""
    from entroloop.report import render_report

    print(json.dumps({"report": str(render_report(dirs, html or dirs[0] / "report.html"))}))


@app.command()
def presets(name: Annotated[str | None, typer.Argument(help="preset to print")] = None) -> None:
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


@app.command()
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
) -> None:
    """Show the environment and cache; with DIR, verify the checksums of every stage of a study."""
    from entroloop.commands.doctor import examine
    from entroloop.features.cached import examine_cache
    from entroloop.system.environment import environment

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
    }
    if found is not None:
        facts["folder"] = found.facts() | {"cleared": cleared, "moved": moved}
    print(json.dumps(facts, indent=1))
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


def _console() -> Console:
    from rich.console import Console

    console = Console(stderr=True)
    return console if console.is_terminal else Console(stderr=True, width=160)


def main() -> None:
    """Run the command line.

    Exit codes: 0 done, 2 bad input or usage (one line on stderr), 130 interrupted, 1 a defect.
    """
    for stream in (sys.stdout, sys.stderr):  # a terminal of few letters gets escapes
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    try:
        code = app(standalone_mode=False)
        sys.stdout.flush()
    except (InputError, TyperException) as error:
        message = error.format_message() if isinstance(error, TyperException) else str(error)
        message = one_line(message)
        hint = "" if isinstance(error, InputError) else "; see entroloop --help"
        print(f"entroloop: {message.rstrip('.')}{hint}", file=sys.stderr)
        code = 2
    except (KeyboardInterrupt, typer.Abort):
        code = 130
    except (BrokenPipeError, _NobodyReadsError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = 0
    if code == 130:  # typer turns Ctrl-C into this code
        print("entroloop: interrupted; the same command goes on from here", file=sys.stderr)
    sys.exit(code or 0)


if __name__ == "__main__":
    main()
