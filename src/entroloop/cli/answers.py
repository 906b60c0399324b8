"""What commands answer: tables on a terminal; JSON where it is piped, or asked for."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from entroloop.errors import InputError
from entroloop.system.numbers import MISSING, number, percent, percent_with_interval, with_interval

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

Answer = dict[str, Any]
FEWEST_LETTERS = 16  # of what a metric says: on narrower terminals it is left out


def tell(answer: Answer, as_json: bool, show: Callable[[Answer, Console], None]) -> None:
    """Print an answer: as JSON in one line unless a person reads it, then as `show` does."""
    if as_json or not sys.stdout.isatty():
        print(json.dumps(answer))
        return
    from rich.console import Console

    show(answer, Console(highlight=False))


def check_page(html: Path | None) -> None:
    """Refuse, before anything is computed, a page that could not be written."""
    if html is None:
        return
    from entroloop.report import refuse_foreign

    if not html.parent.is_dir():
        raise InputError(f"--html {html}: there is no folder {html.parent}")
    refuse_foreign(html)


def show_selection(answer: Answer, console: Console) -> None:
    """Show what was chosen of each pool, how spread out it is, and what was decided."""
    title = f"{answer['n']:,} rows by {answer['strategy']}"
    rows = [
        (name, f"{n['rows']:,}", f"{n['chosen']:,}", percent(n["chosen"] / max(n["rows"], 1)))
        for name, n in answer["pools"].items()
    ]
    console.print(_table(title, ("pool", "rows", "chosen", "share of it"), rows))
    entropy, random = answer.get("entropy"), answer.get("entropy_random")
    if entropy and entropy["nats"] is not None:
        beside = f", of a random choice {number(random['nats'])}" if random else ""
        console.print(f"entropy {number(entropy['nats'])} nats{beside}")
    if (radius := answer.get("coverage_radius")) is not None:
        console.print(f"no row lies farther than {number(radius)} from a chosen one")
    if decision := answer.get("decision"):
        note = f" ({decision['note']})" if decision.get("note") else ""
        console.print(plain(f"the guard took: {decision['taken']}{note}"))
        if reason := decision.get("reason"):
            console.print(plain(reason))
    if duplicates := answer.get("duplicates"):
        console.print(f"{duplicates:,} of the chosen rows are copies of others")
    for reason, count in (answer.get("skipped_by_reason") or {}).items():
        console.print(plain(f"skipped {count:,}: {reason}"))
    console.print(plain(f"in {answer['out']}: selection.parquet, summary.json"))
    if "page" in answer:
        console.print(plain(f"page {answer['page']}"))


def show_measures(answer: Answer, console: Console) -> None:
    """Show each metric with its interval, what real rows have, and what it says."""
    from rich.table import Table

    from entroloop.metrics import METRICS

    sizes = ", ".join(
        f"{answer[role]['n']:,} {role}"
        for role in ("generated", "train", "reference")
        if answer[role]
    )
    title = plain(f"{sizes}; features {answer['features']['name']}")
    table = Table(title=title, title_justify="left")
    headings = ("metric", "value [95 % interval]", "real rows")
    rows = [headings, *(_measure_cells(name, found) for name, found in answer["metrics"].items())]
    for column, heading in enumerate(headings):
        table.add_column(heading, justify="right" if column else "left", no_wrap=True)
    widths = [max(len(row[column]) for row in rows) for column in range(len(headings))]
    room = console.width - sum(widths) - 3 * (len(headings) + 1) - 1
    if room >= FEWEST_LETTERS:
        table.add_column("says", no_wrap=True)
    for row in rows[1:]:
        says = METRICS[row[0]].says if row[0] in METRICS else ""
        cut = says if len(says) <= room else f"{says[: room - 1]}…"
        table.add_row(*row, *([cut] if room >= FEWEST_LETTERS else []))
    console.print(table)
    for role, skipped in answer.get("skipped", {}).items():
        console.print(plain(f"{role}: {len(skipped):,} images skipped"))
    if "page" in answer:
        beside = f", all pairs {answer['pairs']}" if "pairs" in answer else ""
        console.print(plain(f"page {answer['page']}{beside}"))
    console.print("notes, pairs and more: --json")


def show_duplicates(answer: Answer, console: Console) -> None:
    """Show how many near-duplicates each pool has."""
    title = f"{answer['pairs']:,} pairs, {answer['groups']:,} groups within {answer['threshold']:g}"
    rows = [
        (name, *(f"{counts[what]:,}" for what in ("rows", "in_groups", "dropped")))
        for name, counts in answer["pools"].items()
    ]
    console.print(_table(title, ("pool", "rows", "in groups", "need not be kept"), rows))
    _show_files(answer, console, "pairs.parquet, groups.parquet, summary.json")


def show_audit(answer: Answer, console: Console) -> None:
    """Show how many generated rows have each verdict, and how many real rows would."""
    title = f"{answer['made']:,} generated rows beside {answer['real']:,} real ones"
    alarms = {
        name: percent_with_interval(alarm["rate"], tuple(alarm["interval"]))
        for name, alarm in answer["false_alarms"].items()
    }
    rows = [
        (name, f"{count:,}", percent(count / answer["made"]), alarms.get(name, ""))
        for name, count in answer["counts"].items()
    ]
    console.print(_table(title, ("verdict", "rows", "share", "real rows flagged, too"), rows))
    _show_files(answer, console, "audit.parquet, summary.json")


def _table(title: str, headings: tuple[str, ...], rows: Sequence[Sequence[str]]) -> Table:
    """Return a table of names and what is counted of each."""
    from rich.table import Table

    table = Table(title=plain(title), title_justify="left")
    for column, heading in enumerate(headings):
        table.add_column(heading, justify="right" if column else "left", overflow="fold")
    for row in rows:
        table.add_row(*map(plain, row))
    return table


def _show_files(answer: Answer, console: Console, files: str) -> None:
    for name, skipped in answer["skipped"].items():
        console.print(plain(f"skipped {len(skipped):,} of {name}"))
    console.print(plain(f"in {answer['out']}: {files}"))
    if "page" in answer:
        console.print(plain(f"page {answer['page']}"))


def show_check_up(answer: Answer, console: Console) -> None:
    """Show the environment, the cache, and what is wrong with a folder."""
    from rich.table import Table

    for part in ("environment", "features_cache", "folder"):
        told = [
            (key.replace("_", " "), plain(_in_words(value)))
            for key, value in (answer.get(part) or {}).items()
            if value not in ([], {}, None, False)
        ]
        if told:
            table = Table(show_header=False, title=part.replace("_", " "), title_justify="left")
            for row in told:
                table.add_row(*row)
            console.print(table)
    if folder := answer.get("folder"):
        broken = any(folder[key] for key in ("damaged", "lost", "unreadable"))
        console.print("damaged: see above" if broken else "every stage is whole")


def show_study(answer: Answer, console: Console) -> None:
    """Show where a study and its page lie; its table of results stands above already."""
    console.print(plain(f"study {answer['study']} is complete: {answer['out']}"))
    console.print(plain(f"page {answer['report']}"))


def plain(text: object) -> Text:
    """Return text from data such that a terminal shows it and obeys none of it."""
    from rich.text import Text

    return Text("".join(c if c.isprintable() else repr(c)[1:-1] for c in str(text)))


def _measure_cells(name: str, found: dict[str, Any]) -> tuple[str, str, str]:
    value, interval, floor = found["value"], found["interval"], found.get("floor")
    shown = MISSING if value is None else with_interval(value, interval and tuple(interval))
    return name, shown, "" if floor is None else number(floor)


def _in_words(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{key} {_in_words(item)}" for key, item in value.items())
    if isinstance(value, list):
        return "; ".join(map(_in_words, value))
    return str(value)
