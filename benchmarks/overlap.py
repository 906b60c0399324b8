"""How much the arms of a study agree in what they select, and the share of real rows in it.

    python benchmarks/overlap.py STUDY-FOLDER

In generation 2 the arms of one paradigm and generator choose from the same candidates. Printed: the
shared part of two choices, |A ∩ B|/|A|, mean and range over seeds, for every pair; and each arm's
share of real rows at generation 2 and at the last.
"""

from __future__ import annotations

import argparse
from itertools import combinations
from pathlib import Path

import numpy as np

from entroloop.report.read import StudyView
from entroloop.store.stages import read_table


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("study", type=Path)
    view = StudyView.open(parser.parse_args().study)
    chosen = {
        (arm["name"], seed): set(
            read_table(view.store, view.keys(arm["name"], seed)[1]["training_set"])["id"]
        )
        for arm in view.arms
        for seed in view.config["seeds"]
    }
    for a, b in combinations([arm["name"] for arm in view.arms], 2):
        shared = [
            len(chosen[a, s] & chosen[b, s]) / len(chosen[a, s]) for s in view.config["seeds"]
        ]
        print(f"| {a}, {b} | {np.mean(shared):.2f} [{min(shared):.2f}, {max(shared):.2f}] |")
    shares = view.records.groupby(["arm", "generation"])["real_share"].mean().unstack()
    print(shares[[2, shares.columns.max()]].round(2).to_string())


if __name__ == "__main__":
    main()
