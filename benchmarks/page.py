"""How long a study's page takes to write, and how large it is: 5 arms × 5 seeds × 10 generations.

    python benchmarks/page.py [--out FOLDER] [--repetitions 5]

The study (a Gaussian generator on digits, seconds) is made first and kept in --out. Printed: the
least and the median of the repetitions, in seconds of this process, and the size in MB.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from pathlib import Path

import entroloop as el

STRATEGIES = ("random", "greedy", "threshold_decay", "composable_coreset", "guarded")
STUDY = {
    "name": "page-of-25-runs", "generations": 10, "seeds": [0, 1, 2, 3, 4],
    "generator": {"name": "gaussian"}, "paradigm": "accumulate_subsample",
    "data": {"source": "digits", "n_train": 256, "n_reference": 785},
    "arms": [{"strategy": s, "oversample": 1 if s == "random" else 2} for s in STRATEGIES],
}  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--repetitions", type=int, default=5)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        folder = asked.out or Path(scratch) / "study"
        for _ in el.run_study(STUDY, out=folder):
            pass
        page, taken = folder / "report.html", []
        for _ in range(asked.repetitions):
            start = time.perf_counter()
            el.render_report([folder], page)
            taken.append(time.perf_counter() - start)
        size = page.stat().st_size / 1e6
    print(f"least {min(taken):.2f} s, median {statistics.median(taken):.2f} s, {size:.2f} MB")


if __name__ == "__main__":
    main()
