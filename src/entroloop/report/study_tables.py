"""The tables of a study's page, each made of the records or of what the stages hold."""

from __future__ import annotations

import math
from collections.abc import Sequence

from entroloop.report.answer import Answer
from entroloop.report.arms import ShownArm
from entroloop.report.claims import Finding, findings
from entroloop.report.decisions import decisions
from entroloop.report.memorization import memorization
from entroloop.report.page_tables import Cell, Column, Row, Table, figure, strip_of, words
from entroloop.report.read import StudyView
from entroloop.report.table import COLUMNS, SHARES, mean_of
from entroloop.system.numbers import number

# Where one side is better by itself, between arms, too: no measure of memorization is that.
BEST = {"frechet_distance": "low", "coverage_distance": "low"}


def arms_table(name: str, found: Answer, arms: Sequence[ShownArm], last: int) -> Table:
    """Return one row an arm: its Fréchet distance and how it compares with the random arm."""
    index = {arm.name: arm.index for arm in arms}
    bases = {line.base for line in found.arms if line.change}
    several = len(bases) > 1
    against = "its random arm" if several else next(iter(bases), found.base)
    change = f"change against {against}" if len(found.arms) > 1 else "change"
    columns = [
        Column("arm", words=True), Column("last", best="low"), Column(change),
        Column(f"generations 1–{last}"),
    ]  # fmt: skip
    rows = []
    for line in found.arms:
        effect = line.effect or (math.nan, math.nan, math.nan)
        kind = "greyed" if found.failed else line.kind
        lower = f"lower than {line.base} in " if several else "lower in "
        first = f"from {number(line.first)}"
        cells = [
            words(line.name), figure(line.last),
            Cell(line.change or "–", effect[0], effect[1:] if line.effect else None,
                 line.seeds and lower + line.seeds, kind),
            Cell(f"{first} to {number(line.last)}", detail=first, spark=line.spark),
        ]  # fmt: skip
        rows.append(Row(cells, index[line.name]))
    caption = "Fréchet distance to held-out real rows, lower is better"
    if len(found.arms) > 1:
        caption += "; changes are paired by seed, with their 95 % interval"
    table = Table(name, caption, columns, rows)
    return table if found.failed else table.with_best()


def last_table(arms: Sequence[ShownArm]) -> Table:
    """Return the last generation: means over seeds with half their interval."""
    lasts = [int(arm.records["generation"].max()) for arm in arms]
    differ = len(set(lasts)) > 1  # which one it is stands with each arm, or in the caption
    columns = [
        Column("arm", words=True), *([Column("generation")] if differ else []),
        *(Column(heading, best=BEST.get(column, "")) for column, heading in COLUMNS.items()),
    ]  # fmt: skip
    rows = []
    for arm, last in zip(arms, lasts, strict=True):
        at = arm.records[arm.records["generation"] == last]
        cells = [words(arm.label), *([Cell(str(last), last)] if differ else [])]
        for column in COLUMNS:
            told, half, mean, interval = mean_of(at[column], column in SHARES)
            cells.append(Cell(told, mean, interval, half))
        rows.append(Row(cells, arm.index))
    caption = "" if differ else f"Generation {lasts[0]}: "
    caption += "means over seeds, ± half their 95 % interval; ★ the best mean"
    return Table("last-generation", caption, columns, rows).with_best()


def claims_table(name: str, view: StudyView, failed: bool) -> Table | None:
    """Return what the study says of each claim, None where it can test none."""
    found = findings(view.records, view.arms, view.controls)
    if not found:
        return None
    columns = [
        Column("claim", words=True), Column("outcome", words=True),
        Column("mean effect [95 % interval]"), Column("quantity", words=True),
        Column("by seed", says="dots: seeds; line: no effect"),
    ]  # fmt: skip
    caption = (
        f"Claims beyond their nulls, seeds {', '.join(map(str, sorted(view.config['seeds'])))}"
    )
    return Table(name, caption, columns, [_claim(one, failed) for one in found])


def _claim(found: Finding, failed: bool) -> Row:
    kind = "greyed" if failed else found.outcome if found.outcome != "undecided" else ""
    several = len(found.effects) > 1
    return Row([
        words(found.text), words(found.words, kind),
        figure(found.effect, found.interval if several else None), words(found.quantity),
        strip_of(list(found.effects.values())),
    ])  # fmt: skip


def decisions_table(name: str, view: StudyView, arms: Sequence[ShownArm]) -> Table | None:
    """Return what guarded arms decided, None where there are none."""
    index = {arm.name: arm.index for arm in arms}
    headings = {
        "arm": "arm", "generation": "generation", "taken": "taken (seeds)",
        "expected": "expected before training", "came": "Fréchet distance that came",
    }  # fmt: skip
    rows = [
        Row([
            Cell(str(line[key]), float(line[key]) if key == "generation" else math.nan)
            for key in headings
        ], index.get(line["arm"]))
        for line in decisions(view)
    ]  # fmt: skip
    columns = [Column(heading, words=key != "generation") for key, heading in headings.items()]
    return Table(name, "Decisions of guarded arms", columns, rows) if rows else None


def memorization_table(
    name: str, view: StudyView, arms: Sequence[ShownArm]
) -> tuple[Table | None, list[str]]:
    """Return memorization by every definition, and where the definitions disagree, in words."""
    found = memorization(view.records, view.arms)
    if not found or not found["rows"]:
        return None, []
    index = {arm.name: arm.index for arm in arms}
    columns = [Column(heading, words=i == 0) for i, heading in enumerate(found["headings"])]
    rows = [
        Row([words(arm), *(Cell(text, detail=told) for text, told in cells)], index.get(arm))
        for arm, cells in found["rows"]
    ]
    caption = "Generation 1 → the last, means over seeds, and whether that is more memorization"
    return Table(name, caption, columns, rows), found["said"]
