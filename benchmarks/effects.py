"""Effects of the arms of studies against one arm, paired by seed, as lines of a table.

    python benchmarks/effects.py STUDY-FOLDER|RECORDS.csv … [--base random] [--margin 1.10]
        [--save FOLDER] [--judge]

Of the Fréchet distance at the last generation (or a judge's, by benchmarks/judge.py): mean over
seeds, ln(arm/base) with its 95 % t-interval, p of "no effect" with Holm's correction over the arms, and
whether the interval ends below ln(margin): not worse. --save writes the records without times, so
that more seeds can be added later.
"""

from __future__ import annotations

import argparse
import math
from pathlib import Path

import numpy as np
import pandas as pd
from scipy import stats

import entroloop as el
from entroloop.report.claims import holm, t_interval


def records(source: Path) -> pd.DataFrame:
    """Return the records of a study folder, or of a file that --save wrote."""
    if source.suffix == ".csv":
        return pd.read_csv(source)
    table = el.load_records(source)
    shown = [c for c in table if not c.startswith(("seconds_", "peak_")) and c[:8] != "share_by"]
    return table[shown]


def lines(table: pd.DataFrame, base: str, margin: float, column: str) -> pd.DataFrame:
    """Return one line an arm."""
    last = table[table["generation"] == table["generation"].max()]
    values = last.pivot(index="seed", columns="arm", values=column)
    rows = []
    for arm in values.columns:
        both = values[[base, arm]].dropna() if arm != base else values[[base]].dropna()
        row = {"arm": arm, "seeds": len(both), column: both[arm].mean()}
        if arm != base:
            effect = np.log(both[arm] / both[base])
            low, high = t_interval(effect.to_list())
            row |= {
                "ln ratio": effect.mean(), "low": low, "high": high,
                "p": stats.ttest_1samp(effect, 0).pvalue, "not worse": high < math.log(margin),
            }  # fmt: skip
        rows.append(row)
    found = pd.DataFrame(rows).set_index("arm")
    found["p"] = holm(found["p"].to_list())
    return found


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("sources", type=Path, nargs="+")
    parser.add_argument("--base", default="random")
    parser.add_argument("--margin", type=float, default=1.10)
    parser.add_argument("--save", type=Path)
    parser.add_argument("--judge", action="store_true", help="the files are a judge's")
    given = parser.parse_args()
    for source in given.sources:
        table = records(source)
        column = "judge" if given.judge else "frechet_distance"
        if given.judge:
            table = table[table["generation"] > 0]
        print(f"\n{source.stem}, generation {table['generation'].max()}")
        for arm, row in lines(table, given.base, given.margin, column).iterrows():
            cells = [str(arm), str(int(row["seeds"])), f"{row[column]:.3g}"]
            if np.isfinite(row["ln ratio"]):
                cells.append(f"{row['ln ratio']:+.2f} [{row['low']:+.2f}, {row['high']:+.2f}]")
                cells += [f"{row['p']:.2g}", "yes" if row["not worse"] else "no"]
            else:
                cells += ["–", "–", "–"]
            print("| " + " | ".join(cells) + " |")
        if "taken" in table:
            taken = table[table["taken"].fillna("") != ""].groupby("arm")["taken"].value_counts()
            print(taken.to_string())
        if given.save:
            given.save.mkdir(parents=True, exist_ok=True)
            table.to_csv(given.save / f"{source.stem}.csv", index=False)


if __name__ == "__main__":
    main()
