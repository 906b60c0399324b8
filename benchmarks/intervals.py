"""How often each 95 % interval of `measure` holds what it names.

Repetitions draw all three sets anew from known sources: normal rows ("null": all alike; "shifted":
generated rows are narrower by a fifth and half a unit off in one direction; "copying": a tenth of
them are copies of training rows with a little noise). What an interval names is its target: the expectation of the
metric at these numbers of rows, over everything drawn, or, for what asks after copies, given the
training set, and for spectra given the bandwidth. The former is the mean over all repetitions; the
latter the mean over the repetitions that share it.

    python benchmarks/intervals.py --out coverage.json [--repetitions 500] [--rows 200 1000]
    … --only effective_rank vendi_score                      # takes these alone, anew
    … --only ken tail_share                                  # metrics on request: only by name
    python benchmarks/intervals.py --table coverage.json      # writes its table in docs/metrics.md

A file of metrics on request is a table of its own. What is about images takes the rows as images of
their values.
"""

from __future__ import annotations

import argparse
import json
from collections import defaultdict
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from unittest import mock

import numpy as np

from entroloop.metrics import METRICS, fourier
from entroloop.metrics.measure import measure
from entroloop.seeding import rng_for

WIDTHS = (8, 64)
SOURCES = ("null", "shifted", "copying")
SHARED = 100  # repetitions that share a training set
NOISE = 0.05  # of the copies, per value
PAGE = Path(__file__).parent.parent / "docs/metrics.md"
IMAGES = {8: (2, 4), 64: (8, 8)}  # the shape of rows as images


def drawn(source: str, n: int, d: int, seed: int, training_seed: int) -> dict[str, np.ndarray]:
    """Return three sets of n rows; the training set follows from training_seed alone."""
    train = rng_for(training_seed, d, "coverage/train").standard_normal((n, d))
    rng = rng_for(seed, d, f"coverage/{source}")
    generated, reference = rng.standard_normal((2, n, d))
    if source == "shifted":
        generated *= 0.8
        generated[:, 0] += 0.5
    if source == "copying":
        copies = rng.random(n) < 0.1
        copied = train[rng.integers(n, size=int(copies.sum()))]
        generated[copies] = copied + NOISE * rng.standard_normal(copied.shape)
    return {"generated": generated, "train": train, "reference": reference}


def given(name: str) -> str:
    """Return what a metric's interval takes as given, "" for nothing."""
    metric = METRICS[name]
    if metric.error:
        return "bandwidth"
    return "train" if "train" in metric.needs and len(metric.needs) > 1 else ""


Task = tuple[str, int, int, int, str, list[str] | None]


def repetition(task: Task) -> dict[str, tuple[float, float, float]]:
    """Return value, low and high of each metric that has an interval."""
    source, n, d, seed, shared, only = task
    group = 10**6 + seed // SHARED
    sets = drawn(source, n, d, seed, group if shared == "train" else seed)
    wanted = [
        name
        for name, metric in METRICS.items()
        if set(metric.needs) <= {"generated", "train", "reference", "images"}
        and (not metric.on_request or (only is not None and name in only))
        and (name != "frechet_distance_infinity" or n >= 4 * d)
        and (given(name) == shared if shared else not metric.counted)
        and (only is None or name in only)
    ]  # fmt: skip
    if not wanted:
        return {}
    images = {role: rows.reshape(n, *IMAGES[d]) for role, rows in sets.items()}
    fixed = shared or any(METRICS[name].error for name in wanted)  # random frequencies are given
    of_group = drawn(source, n, d, group, group) if shared == "bandwidth" else sets
    width = fourier.bandwidth(of_group["reference"])
    with mock.patch.object(fourier, "bandwidth_of", return_value=width):
        found = measure(
            **sets, originals=images, as_images=np.asarray, metrics=wanted,
            seed=0 if fixed else seed,
        )  # fmt: skip
    return {
        name: (m.value, *m.interval) for name, m in found.items() if m.interval and name in wanted
    }


def coverage(results: list[dict[str, tuple[float, float, float]]], group: int) -> dict[str, float]:
    """Return the share of intervals that hold the mean value of their group of repetitions."""
    held: dict[str, list[bool]] = defaultdict(list)
    for start in range(0, len(results), group):
        part = results[start : start + group]
        for name in part[0]:
            rows = np.array([found[name] for found in part if name in found])
            target = rows[:, 0].mean()
            held[name] += list((rows[:, 1] <= target) & (target <= rows[:, 2]))
    return {name: float(np.mean(inside)) for name, inside in held.items()}


def simulate(
    out: Path, repetitions: int, sizes: list[int], processes: int | None, only: list[str] | None
) -> None:
    """Write the coverage of every interval, one entry a case; a case that is there is kept.

    only: the metrics that are taken, in cases that are there, too.
    """
    found = json.loads(out.read_text()) if out.exists() else {}
    with ProcessPoolExecutor(processes) as pool:
        for n in sizes:
            for d in WIDTHS:
                for source in SOURCES:
                    for shared in ("", "train", "bandwidth"):
                        case = f"{source} {n} {d} {shared or 'all'}"
                        if case in found and only is None:
                            continue
                        tasks = [(source, n, d, seed, shared, only) for seed in range(repetitions)]
                        results = list(pool.map(repetition, tasks, chunksize=5))
                        held = coverage(results, SHARED if shared else repetitions)
                        if not held:
                            continue
                        entry = found.setdefault(case, {"coverage": {}})
                        entry["repetitions"] = repetitions
                        entry["coverage"] |= held
                        out.write_text(json.dumps(found, indent=1))
                        print(case, flush=True)


def table(file: Path) -> None:
    """Write the table into docs/metrics.md, in place of the one that is there."""
    found = json.loads(file.read_text())
    asked = any(METRICS[name].on_request for case in found.values() for name in case["coverage"])
    marked = "coverage of metrics on request" if asked else "coverage"
    marks = f"<!-- {marked} -->", f"<!-- end of {marked} -->"
    sizes = sorted({int(case.split()[1]) for case in found})
    cases = [
        (s, n, d) for n in sizes for s in SOURCES for d in WIDTHS if f"{s} {n} {d} all" in found
    ]  # fmt: skip
    heads = [
        f"{s}, n = {n:,}, d = {d} ({found[f'{s} {n} {d} all']['repetitions']})" for s, n, d in cases
    ]
    lines = [
        "| metric | target | " + " | ".join(heads) + " |", "|---|---|" + "---|" * len(cases),
    ]  # fmt: skip
    for name in METRICS:
        kinds = [(f"given {role}", role)] if (role := given(name)) else []
        for target, kind in [*kinds, ("all drawn anew", "all")]:
            cells = [
                found.get(f"{s} {n} {d} {kind}", {}).get("coverage", {}).get(name)
                for s, n, d in cases
            ]
            if any(cell is not None for cell in cells):
                named = kind != "all" or not kinds
                lines.append(f"| {name} | {target if named else '(' + target + ')'} | " + " | ".join(
                    "–" if cell is None else f"{100 * cell:.0f}" for cell in cells) + " |")  # fmt: skip
    text = PAGE.read_text()
    before, after = text.split(marks[0])[0], text.split(marks[1])[1]
    PAGE.write_text(before + marks[0] + "\n" + "\n".join(lines) + "\n" + marks[1] + after)


def main() -> None:
    """Simulate, or write the table of what was simulated."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--out", type=Path)
    parser.add_argument("--table", type=Path)
    parser.add_argument("--repetitions", type=int, default=500)
    parser.add_argument("--rows", type=int, nargs="+", default=[200, 1000])
    parser.add_argument("--processes", type=int, help="default: one a processor")
    parser.add_argument("--only", nargs="+", choices=list(METRICS))
    given = parser.parse_args()
    if given.out:
        simulate(given.out, given.repetitions, given.rows, given.processes, given.only)
    if given.table:
        table(given.table)


if __name__ == "__main__":
    main()
