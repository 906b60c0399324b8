"""`entroloop run theory`: what it tells."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from entroloop.errors import InputError

if TYPE_CHECKING:
    from rich.console import Console


def run_bench(out: str | None, seeds: int | None, as_json: bool) -> None:
    """Run the theory bench, or whatever part of it is missing."""
    from entroloop.cli.answers import tell
    from entroloop.commands.theory import run_theory
    from entroloop.report.theory import theory_page
    from entroloop.system.progress_line import ProgressLine
    from entroloop.theory.bench import SEEDS

    if out is not None and "://" in out:
        raise InputError("run theory writes to a folder of this machine; give one with --out")
    with ProgressLine() as line:
        answer = run_theory(
            out or "runs/theory", SEEDS if seeds is None else seeds,
            page=theory_page, progress_of=line.of,
        )  # fmt: skip
    tell(answer, as_json, _show)


def _show(answer: dict[str, Any], console: Console) -> None:
    from entroloop.cli.answers import plain
    from entroloop.system.numbers import number, percent

    console.print(
        f"{answer['comparisons']} means of {answer['seeds']:,} loops each: {answer['deviating']} "
        f"are more than {answer['limit']:g} standard errors from theory (largest "
        f"{number(answer['largest_deviation'])}; by chance with probability ≤ "
        f"{percent(answer['by_chance_at_most'])})"
    )
    console.print(plain(f"page {answer['report']}"))
