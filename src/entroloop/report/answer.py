"""The answer that opens a study's page: one line, a line an arm, and whether it can be judged."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from entroloop.features import extractor_for
from entroloop.report.claims import RANDOM, t_interval
from entroloop.report.read import StudyView
from entroloop.samples import as_vectors
from entroloop.seeding import rng_for

JUDGE = "frechet_distance"
FAILED = 0.5  # Fréchet distance of generation 1 over the variance of real rows: 1 is a constant's
NEAR, FAR = (
    0.8,
    1.1,
)  # generation 1's score over that of held-out rows: memorizes below, strays above
ROWS = 2000  # real rows whose variance is taken, at most


@dataclass(frozen=True)
class ArmLine:
    """An arm in one line; change: of the last Fréchet distance against the base, in words.

    kind: better, worse, or "" where the interval holds 0 or there is none. spark: points of its
    Fréchet distance over the generations, an SVG polyline in a box of 100 × 24.
    """

    name: str
    first: float
    last: float
    change: str
    kind: str
    spark: str


@dataclass(frozen=True)
class Answer:
    """sentence: the study in one line. arms: each in one line. base: the arm they are compared
    with. learned: whether generation 1 can be judged, in words; failed: it cannot.
    """

    sentence: str
    arms: list[ArmLine]
    base: str
    learned: str
    failed: bool


def answer(view: StudyView) -> Answer:
    """Return what a study says, by the Fréchet distance to held-out rows."""
    records = view.records
    by_arm = {
        arm["name"]: rows.pivot(index="seed", columns="generation", values=JUDGE)
        for arm in view.arms
        if len(rows := records[records["arm"] == arm["name"]])
    }
    base = _base(view.arms, list(by_arm))
    top = max(float(np.nanmax(table.mean())) for table in by_arm.values())
    arms = [_line(name, table, by_arm[base], base, top) for name, table in by_arm.items()]
    learned, failed = _learned(view)
    sentence = _sentence(by_arm, base, arms)
    return Answer(sentence, arms, base, learned, failed)


def _base(arms: list[dict[str, Any]], present: list[str]) -> str:
    """Return the arm that others are compared with: the first that selects at random."""
    named = {arm["name"]: arm for arm in arms}
    random = [name for name in present if named[name]["strategy"] in RANDOM]
    kept = [name for name in random if named[name]["paradigm"] != "replace"]
    return (kept or random or present)[0]


def _line(
    name: str, table: pd.DataFrame, base: pd.DataFrame, base_name: str, top: float
) -> ArmLine:
    means = table.mean()
    points = zip(means.index, means, strict=True)
    last = max(2, int(means.index.max()))
    spark = " ".join(
        f"{100 * (g - 1) / (last - 1):.1f},{24 - 22 * value / top:.1f}"
        for g, value in points
        if np.isfinite(value)
    )
    change, kind = ("", "") if name == base_name else _change(table, base)
    return ArmLine(name, float(means.iloc[0]), float(means.iloc[-1]), change, kind, spark)


def _change(table: pd.DataFrame, base: pd.DataFrame) -> tuple[str, str]:
    """Return the change of the last value against the base, paired by seed, and its kind."""
    ratios = np.log((table.iloc[:, -1] / base.iloc[:, -1]).dropna().astype(float))
    ratios = ratios[np.isfinite(ratios)]
    n = len(ratios)
    if n == 0:
        return "no seed in common", ""
    lower = int((ratios < 0).sum())
    mean = f"{_percent(ratios.mean())} %"
    seeds = f"lower in {lower} of {n} seed{'s' if n > 1 else ''}"
    if n == 1:
        return f"{mean} ({seeds}, no interval)", ""
    low, high = t_interval(list(ratios))
    shown = f"[{_percent(low)}, {_percent(high)}]"
    kind = "better" if high < 0 else "worse" if low > 0 else ""
    return f"{mean} {shown} ({seeds})", kind


def _percent(ln_ratio: float) -> str:
    return f"{100 * math.expm1(ln_ratio):+.0f}".replace("-", "−")


def _sentence(by_arm: dict[str, pd.DataFrame], base: str, arms: list[ArmLine]) -> str:
    table = by_arm[base].dropna(axis=1, how="all")
    first, last = table.iloc[:, 0], table.iloc[:, -1]
    n, rose = len(table), int((last > first).sum())
    words = (
        f"With {base} the Fréchet distance goes from {first.mean():.3g} to {last.mean():.3g} by "
        f"generation {table.columns.max()} (rises in {rose} of {n} seed{'s' if n > 1 else ''}"
        f"{', no interval' if n == 1 else ''})"
    )
    better = [line for line in arms if line.kind == "better"]
    worse = [line for line in arms if line.kind == "worse"]
    if better:
        best = min(better, key=lambda line: line.last)
        words += f"; {best.name} holds it at {best.last:.3g}, {best.change}"
    elif len(arms) > 1 and n > 1:
        words += "; no arm is better beyond the spread over seeds"
    elif len(arms) > 1:
        lowest = min(arms, key=lambda line: line.last)
        words += f"; the lowest is {lowest.name} with {lowest.last:.3g}"
    if worse:
        words += f"; worse: {', '.join(f'{line.name} ({line.last:.3g})' for line in worse)}"
    return f"{words}."


def _learned(view: StudyView) -> tuple[str, bool]:
    """Say whether generation 1 can be judged, and on which side of memorization it is."""
    one = view.records[view.records["generation"] == 1].drop_duplicates("seed")
    if not len(one):
        return "No run has a first generation.", True
    extractor = extractor_for(view.config["metrics"]["features"]).seeing(view.real.decoder)
    some = np.sort(rng_for(0, 0, "answer").permutation(len(view.real.data))[:ROWS])
    rows = np.asarray(view.real.data[some])
    real = as_vectors(extractor.fitted_to(rows)(rows)).astype(np.float64)
    variance = float(real.var(axis=0, ddof=1).sum())
    distance, floor = float(one[JUDGE].mean()), float(one["frechet_distance_floor"].mean())
    share = distance / variance if variance > 0 else math.nan
    score = float((one["generalization_score"] / one["generalization_score_reference"]).mean())
    spread = float(one["total_variance"].mean()) / variance if variance > 0 else math.nan
    if not share < FAILED:
        return (
            f"Generation 1 cannot be judged: its Fréchet distance is {distance:.3g}, {share:.2g} "
            f"times what real rows vary ({variance:.3g}; real rows among themselves: {floor:.3g}), "
            "so that the generator has learned little or nothing. Train it longer, or give it more "
            "rows, before reading what follows.",
            True,
        )
    side = "memorizes" if score < NEAR else "strays" if score > FAR else "generalizes"
    expected = (
        "samples have lost variance, so that selection by entropy may help: let guarded decide"
        if spread < 0.9
        else "samples vary as much as real rows, where selection by entropy has harmed: prefer "
        "random, or let guarded decide"
    )
    return (
        f"Generation 1 can be judged: Fréchet distance {distance:.3g} where real rows have "
        f"{floor:.3g} among themselves and vary by {variance:.3g}. Its samples lie at {score:.2f} "
        f"of the distance of held-out rows to the training set: it {side}. They vary {spread:.2f} "
        f"times as much as real rows: {expected}.",
        False,
    )
