"""The last generation of each arm: the table shown after a run and at the top of a report."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd

if TYPE_CHECKING:
    from rich.console import Console

COLUMNS = {  # column: (heading, format)
    "entropy_train": ("entropy (nats)", "{:.1f}"),
    "generalization_score": ("GS", "{:.3g}"),
    "generalization_score_reference": ("GS of real", "{:.3g}"),
    "generalization_ratio": ("GS/LOO", "{:.3g}"),
    "auth_pct": ("AuthPct", "{:.0f}"),
    "frechet_distance": ("Fréchet", "{:.3g}"),
    "coverage_distance": ("coverage", "{:.3g}"),
    "total_variance": ("variance", "{:.3g}"),
    "memorized_fraction": ("memorized", "{:.1%}"),
    "real_share": ("real share", "{:.0%}"),
}


def summary(records: pd.DataFrame) -> pd.DataFrame:
    """Return the last generation's mean and standard deviation over seeds, one row per arm."""
    last = records[records["generation"] == records["generation"].max()]
    return last.groupby("arm", sort=False)[list(COLUMNS)].agg(["mean", "std"])


def cells(records: pd.DataFrame) -> list[list[str]]:
    """Return the table's cells as text; `mean ± standard deviation` if there are several seeds."""
    several = records["seed"].nunique() > 1
    rows = []
    for arm, values in summary(records).iterrows():
        row = [str(arm)]
        for column, (_, form) in COLUMNS.items():
            text = form.format(values[column, "mean"])
            row.append(f"{text} ± {form.format(values[column, 'std'])}" if several else text)
        rows.append(row)
    return rows


def print_table(records: pd.DataFrame, console: Console) -> None:
    """Print the table to a console."""
    from rich.table import Table
    from rich.text import Text

    seeds = records["seed"].nunique()
    title = f"generation {records['generation'].max()}, {seeds} seed{'s' if seeds > 1 else ''}"
    table = Table(title=title, title_justify="left")
    table.add_column("arm", overflow="fold", min_width=16)
    for heading, _ in COLUMNS.values():
        table.add_column(heading, justify="right")
    for row in cells(records):
        table.add_row(*map(Text, row))  # names are data, not markup
    console.print(table)
