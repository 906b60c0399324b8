"""The last generation of each arm: the table shown after a run and on a study's page."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import pandas as pd

from entroloop.report.claims import t_interval
from entroloop.system.numbers import alike, number, percent

if TYPE_CHECKING:
    from rich.console import Console

COLUMNS = {  # column: heading
    "entropy_train": "entropy (nats)",
    "generalization_score": "GS",
    "generalization_score_reference": "GS of real",
    "generalization_ratio": "GS/LOO",
    "auth_pct": "AuthPct",
    "frechet_distance": "Fréchet",
    "coverage_distance": "coverage",
    "total_variance": "variance",
    "memorized_fraction": "memorized",
    "real_share": "real share",
}
SHARES = ("memorized_fraction", "real_share")


def mean_of(values: pd.Series, share: bool) -> tuple[str, str, float, tuple[float, float] | None]:
    """Return a mean over seeds and half its 95 % interval as text, then both as numbers.

    One seed has no interval: then the second is "" and the last is None.
    """
    found = values.dropna().astype(float).tolist()
    mean = sum(found) / len(found) if found else math.nan
    if len(found) < 2:
        return percent(mean) if share else number(mean), "", mean, None
    low, high = t_interval(found)
    factor, unit = (100, " %") if share else (1, "")
    told, half = alike(factor * mean, factor * (high - low) / 2)
    return f"{told}{unit}", f"±\u00a0{half}{unit}", mean, (low, high)


def cells(records: pd.DataFrame) -> list[list[str]]:
    """Return the table's cells as text, one row an arm."""
    last = records[records["generation"] == records["generation"].max()]
    return [
        [str(arm), *(" ".join(mean_of(rows[column], column in SHARES)[:2]).strip()
                     for column in COLUMNS)]
        for arm, rows in last.groupby("arm", sort=False)
    ]  # fmt: skip


def print_table(records: pd.DataFrame, console: Console) -> None:
    """Print the table to a console."""
    from rich.table import Table
    from rich.text import Text

    seeds = records["seed"].nunique()
    over = f"means over {seeds} seeds ± half their 95 % interval" if seeds > 1 else "one seed"
    title = f"generation {records['generation'].max()}: {over}"
    table = Table(title=title, title_justify="left")
    table.add_column("arm", overflow="fold", min_width=16)
    for heading in COLUMNS.values():
        table.add_column(heading, justify="right")
    for row in cells(records):
        table.add_row(*map(Text, row))  # names are data, not markup
    console.print(table)
