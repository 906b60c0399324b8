"""The answer that opens a study's page: one line, a line an arm, and whether it can be judged."""

from __future__ import annotations

import math
from collections.abc import Collection
from dataclasses import astuple, dataclass
from typing import Any

import numpy as np
import pandas as pd

from entroloop.features import extractor_for
from entroloop.report.claims import RANDOM, random_arms, t_interval
from entroloop.report.read import StudyView
from entroloop.samples import as_vectors
from entroloop.seeding import rng_for
from entroloop.selection.variety import Variety, Z, variety_of
from entroloop.system.numbers import alike, from_to, number, ratio_with_interval

JUDGE = "frechet_distance"
FAILED = 0.5  # Fréchet distance of generation 1 over the variance of real rows: 1 is a constant's
NEAR, FAR = (
    0.8,
    1.1,
)  # generation 1's score over that of held-out rows: memorizes below, strays above
ROWS = 2000  # real rows whose variance is taken, at most


@dataclass(frozen=True)
class ArmLine:
    """An arm in one line; change: of the last Fréchet distance against the arm `base`, in words.

    base: the random arm that it differs from by its selection alone, or the study's. seeds: in how
    many of them it is lower. kind: better, worse, or "" where the interval holds 0 or there is
    none. effect: that change as a share of the base's value, and its interval; None where there is
    none. spark: points of its Fréchet distance over the generations, an SVG polyline in a box of
    100 × 24.
    """

    name: str
    first: float
    last: float
    base: str
    change: str
    seeds: str
    kind: str
    effect: tuple[float, float, float] | None
    spark: str


@dataclass(frozen=True)
class Answer:
    """sentence: the study in one line. arms: each in one line. base: what arms are compared with
    that have no random arm of their own. learned: whether generation 1 can be judged, in words;
    failed: it cannot.
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
    arms = []
    for arm in view.arms:
        if (name := str(arm["name"])) in by_arm:
            own = _base_of(arm, view.arms, by_arm, base)
            arms.append(_line(name, by_arm[name], own, by_arm[own], top))
    learned, failed = _learned(view)
    sentence = _sentence(view, by_arm, base, arms)
    return Answer(sentence, arms, base, learned, failed)


def _base(arms: list[dict[str, Any]], present: list[str]) -> str:
    """Return the arm that others are compared with: the first that selects at random."""
    named = {arm["name"]: arm for arm in arms}
    random = [name for name in present if named[name]["strategy"] in RANDOM]
    kept = [name for name in random if named[name]["paradigm"] != "replace"]
    return (kept or random or present)[0]


def _base_of(
    arm: dict[str, Any], arms: list[dict[str, Any]], present: Collection[str], base: str
) -> str:
    """Return the arm that an arm is compared with: for one that selects, its own random arm."""
    own = [] if arm["strategy"] in RANDOM else random_arms(arm, arms)
    return next((str(one["name"]) for one in own if one["name"] in present), base)


def _line(name: str, table: pd.DataFrame, base: str, of_base: pd.DataFrame, top: float) -> ArmLine:
    means = table.mean()
    points = zip(means.index, means, strict=True)
    last = max(2, int(means.index.max()))
    spark = " ".join(
        f"{round(100 * (g - 1) / (last - 1), 1)},{round(24 - 22 * float(value) / top, 1)}"
        for g, value in points
        if np.isfinite(value)
    )
    told = ("", "", "", None) if name == base else _change(table, of_base)
    return ArmLine(name, float(means.iloc[0]), float(means.iloc[-1]), base, *told, spark)


Effect = tuple[float, float, float]


def _change(table: pd.DataFrame, base: pd.DataFrame) -> tuple[str, str, str, Effect | None]:
    """Return the change of the last value against the base, paired by seed, and its kind."""
    ratios = np.log((table.iloc[:, -1] / base.iloc[:, -1]).dropna().astype(float))
    ratios = ratios[np.isfinite(ratios)]
    n = len(ratios)
    if n == 0:
        return "no seed in common", "", "", None
    seeds = _of_seeds(int((ratios < 0).sum()), n)
    mean, (low, high) = float(ratios.mean()), t_interval(list(ratios))
    kind = "better" if high < 0 else "worse" if low > 0 else ""
    effect = math.expm1(mean), math.expm1(low), math.expm1(high)
    return ratio_with_interval(mean, low, high), seeds, kind if n > 1 else "", effect


def _of_seeds(some: int, n: int) -> str:
    """Count seeds in words; one seed has no interval, and is called that."""
    return f"{some} of {n} seeds" if n > 1 else f"{some} of 1 seed, no interval"


def _sentence(view: StudyView, by_arm: dict[str, pd.DataFrame], base: str,
              arms: list[ArmLine]) -> str:  # fmt: skip
    """Return what the loop does to the generator, and what arms change of that, in one line."""
    alone = next(
        (
            str(arm["name"]) for arm in view.arms
            if arm["name"] in by_arm
            and arm["paradigm"] == "replace" and arm["strategy"] in RANDOM
        ),
        base,
    )  # fmt: skip
    words = _of_loop(alone, by_arm[alone], len(arms) > 1)
    named = {line.name: line for line in arms}
    if alone != base:
        words += f"; {base} ends at {number(named[base].last)}"
    others = [line for line in arms if line.name not in (base, alone)]
    better = sorted((x for x in others if x.kind == "better"), key=lambda line: line.last)
    worse = [line for line in others if line.kind == "worse"]
    if better:
        best, *rest = better
        words += f"; {best.name} ends at {number(best.last)}, {best.change} against {best.base} "
        words += f"(lower in {best.seeds})"
        if rest:
            words += f", {', '.join(f'{line.name} at {number(line.last)}' for line in rest)}"
    elif others and len(by_arm[base]) > 1:
        several = len({line.base for line in others}) > 1
        words += f"; no arm is better than {'its random arm' if several else others[0].base}"
    elif others:
        lowest = min(others, key=lambda line: line.last)
        words += f"; the lowest of the others is {lowest.name} with {number(lowest.last)}"
    if worse:
        words += f"; worse: {', '.join(f'{line.name} ({number(line.last)})' for line in worse)}"
    return f"{words}."


def _of_loop(name: str, table: pd.DataFrame, several: bool) -> str:
    """Say what the generations do to an arm's Fréchet distance, beyond the spread over seeds."""
    table = table.dropna(axis=1, how="all")
    first, last = table.iloc[:, 0], table.iloc[:, -1]
    generations = int(table.columns.max())
    if generations == 1:
        return f"One generation: Fréchet distance {number(float(first.mean()))}"
    ratios = np.log((last / first).dropna().astype(float))
    low, high = t_interval(list(ratios[np.isfinite(ratios)]))
    ends = from_to(float(first.mean()), float(last.mean()))
    under = f" with {name}" if several else ""
    figures = f"Fréchet distance {ends} by generation {generations}{under}"
    seeds = f"(rises in {_of_seeds(int((last > first).sum()), len(table))})"
    if not (math.isfinite(low) and math.isfinite(high)):  # one seed, of which no verdict is made
        return f"{figures} {seeds}"
    said = (
        "makes the generator worse" if low > 0
        else "makes the generator better" if high < 0
        else "does not clearly make the generator worse"
    )  # fmt: skip
    return f"Training on its own samples {said}: {figures} {seeds}"


def _learned(view: StudyView) -> tuple[str, bool]:
    """Say whether generation 1 can be judged, and on which side of memorization it is."""
    one = view.records[view.records["generation"] == 1].drop_duplicates("seed")
    if not len(one):
        return "No run has a first generation.", True
    extractor = extractor_for(view.config["metrics"]["features"]).seeing(view.real.decoder)
    some = np.sort(rng_for(0, 0, "answer").permutation(len(view.real.data))[:ROWS])
    rows = np.asarray(view.real.data[some])
    own = extractor.fitted_to(rows)
    real = as_vectors(own(rows)).astype(np.float64)
    variance = float(real.var(axis=0, ddof=1).sum())
    distance, floor = float(one[JUDGE].mean()), float(one["frechet_distance_floor"].mean())
    share = distance / variance if variance > 0 else math.nan
    if not share < FAILED:
        return (
            f"Generation 1 cannot be judged: its Fréchet distance to held-out real rows is "
            f"{number(distance)}, {number(share)} times the variance of real rows "
            f"({number(variance)}); two sets of real rows are {number(floor)} apart. The generator "
            "has learned little or nothing: train it longer, or give it more rows, before reading "
            "on.",
            True,
        )
    score = float((one["generalization_score"] / one["generalization_score_reference"]).mean())
    side = "memorizes" if score < NEAR else "strays" if score > FAR else "generalizes"
    return (
        f"Generation 1 can be judged: its Fréchet distance to held-out real rows is "
        f"{number(distance)}; two sets of real rows are {number(floor)} apart, and their variance "
        f"is {number(variance)}. Its samples lie {number(score)} times as far from the training "
        f"set as held-out rows do: it {side}. "
        f"{_expected(_variety(view, one))}",
        False,
    )


def _variety(view: StudyView, one: pd.DataFrame) -> Variety:
    """Return the variety of generation 1 beside training and held-out rows: the mean over seeds.

    Its errors are those of one seed: runs of different seeds share the real rows.
    """
    found = []
    for arm, seed in zip(one["arm"].astype(str), one["seed"].astype(int), strict=True):
        own = view.extractor(seed)
        samples = np.asarray(view.samples(arm, seed, 1))
        train, held_out = (np.asarray(view.real.data[rows[:ROWS]]) for rows in view.real_rows(seed))
        real = as_vectors(own(train))
        pool = np.concatenate([as_vectors(own(samples[: len(train)])), real])
        guard = as_vectors(own(held_out))
        found.append(variety_of(pool, len(pool) - len(real), guard, real, count=ROWS))
    return Variety(*np.mean([astuple(one) for one in found], axis=0).tolist())


def _expected(variety: Variety) -> str:
    """Say whether samples have lost variety, by guarded's own rule, and what is to be tried."""
    ratio, width = math.exp(variety.straying), math.exp(Z * variety.straying_error)
    least, shown, most = alike(ratio / width, ratio, ratio * width)
    farther = f"They lie {shown} times as far from held-out rows as training rows do"
    if variety.lost:
        return (
            f"{farther} (at most {most}, one-sided 95 %), and nearer to each other and to the "
            "training rows than held-out rows do: what they have lost is variety, so selection by "
            "entropy may help. Let guarded selection decide."
        )
    if ratio > width:
        return (
            f"{farther} (at least {least}, one-sided 95 %): such strays are what selection by "
            "entropy takes first, and in such loops it has done harm. Choose at random, or let "
            "guarded selection decide."
        )
    return (
        f"{farther}, and as far from each other and from the training rows as held-out rows do: no "
        "loss of variety is seen, and in such loops selection by entropy has done harm. Choose at "
        "random, or let guarded selection decide."
    )
