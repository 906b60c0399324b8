"""What guarded arms decided, what they expected of it, and whether it came."""

from __future__ import annotations

import math
import re
from collections import Counter
from typing import Any

import pandas as pd

from entroloop.report.claims import random_arms
from entroloop.report.read import StudyView
from entroloop.store.stages import read_decision
from entroloop.system.numbers import alike, number


def decisions(view: StudyView) -> list[dict[str, Any]]:
    """Return one line for each guarded arm and generation ≥ 2: taken, expected, came.

    taken: the inner strategies, with how many seeds took each. expected: whether a choice was
    nearer to the guard than random by more than chance, the mean z of the nearest, and the variety
    of samples. came: the mean Fréchet distance of that generation against that of the random arm of
    the same paradigm.
    """
    lines = []
    for arm in view.arms:
        if arm["strategy"] != "guarded":
            continue
        name, last = str(arm["name"]), int(view.records["generation"].max())
        for generation in range(2, last + 1):
            found = [
                read_decision(view.store, keys[generation - 1]["training_set"])
                for keys in (view.keys(name, seed) for seed in view.config["seeds"])
                if len(keys) >= generation
            ]
            if found := [decision for decision in found if decision]:
                lines.append({
                    "arm": name,
                    "generation": generation,
                    "taken": _taken(found),
                    "expected": _expected(found),
                    "came": _came(view.records, view.arms, arm, generation),
                })  # fmt: skip
    return lines


def _taken(found: list[dict[str, Any]]) -> str:
    """Count what was taken; strategies that differ in one number only are counted together."""
    counts = Counter(decision["taken"] for decision in found)
    together: dict[str, list[str]] = {}
    for taken in counts:
        kind = re.fullmatch(r"(\w+ \w+)=[\d.e-]+", taken)
        together.setdefault(kind[1] if kind else taken, []).append(taken)
    told = [
        (sum(counts[taken] for taken in own), _range(kind, own)) for kind, own in together.items()
    ]
    return ", ".join(f"{name} ({n})" for n, name in sorted(told, key=lambda one: -one[0]))


def _range(kind: str, taken: list[str]) -> str:
    """Return the name of what was taken, with the range of its number where that varies."""
    if len(taken) == 1:
        return taken[0]
    numbers = sorted(float(name.partition("=")[2]) for name in taken)
    return f"{kind} {numbers[0]:g} to {numbers[-1]:g}"  # a setting, as it was chosen


def _expected(found: list[dict[str, Any]]) -> str:
    """Say what the guard promised before training: whether anything is nearer than random."""
    largest = [max(c["z"] for c in decision["compared"].values()) for decision in found]
    yes = sum(not decision["taken"].startswith("random") for decision in found)
    variety = ""
    if told := [decision for decision in found if decision.get("copying")]:
        copying, straying = (
            math.exp(sum(decision[name][0] for decision in told) / len(told))
            for name in ("copying", "straying")
        )
        variety = (
            f"; samples lie {number(copying)} times as far from the rest of the pool as the guard "
            f"does, {number(straying)} times as far from the guard as real rows"
        )
    nearest = number(sum(largest) / len(largest))
    return f"help in {yes} of {len(found)} (nearest at z = {nearest}{variety})"


def _came(
    records: pd.DataFrame, arms: list[dict[str, Any]], arm: dict[str, Any], generation: int
) -> str:
    if not (bases := random_arms(arm, arms)):
        return "no random arm to compare with"
    base = bases[0]
    at = records[records["generation"] == generation]
    ours, theirs = (
        at[at["arm"] == name].set_index("seed")["frechet_distance"]
        for name in (arm["name"], base["name"])
    )
    own, random = alike(float(ours.mean()), float(theirs.mean()))
    lower = ours < theirs.reindex(ours.index)
    return f"{own}, against {random} of {base['name']}: lower in {int(lower.sum())} of {len(ours)}"
