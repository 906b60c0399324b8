"""Claims that can fail: each with a statistic, a null, a direction and a margin, over seeds.

A claim is the effect beyond its null. What falls or rises over generations is compared with control
loops of the same study (study/controls.py): Gaussian and KDE generators on the same data, seeds and
paradigm, so that what shrinking data alone do is not called collapse. What a selecting arm gains is
compared with the random arms of its paradigm and generator, each by name. What is claimed stands in
`claim_table.py`.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from scipy import special

from entroloop.errors import InputError, one_line
from entroloop.report.claim_table import COLLAPSE, COPYING, SELECTION, Claim
from entroloop.store.object_store import store_at
from entroloop.store.records import load_records
from entroloop.study.config import ArmConfig, StudyConfig
from entroloop.study.controls import CONTROLS, control_name, control_records, has_controls

LEVEL = 0.05  # of all claims of a study together (Holm 1979)
RANDOM = ("random", "uniform", "random_matched")
Runs = dict[str, dict[int, pd.DataFrame]]  # by arm and seed, indexed by generation
# What a selecting arm has in common with a random one that it is compared with.
ALIKE = ("paradigm", "paradigm_args", "generator", "generator_args")


@dataclass(frozen=True, kw_only=True)
class Finding:
    """What a study says of a claim.

    effects: by seed, the statistic less that of the null: paired, since arms share their random
    numbers. null: the name of the arm that the effect is beyond, empty where there is none.
    p: of the test that led to the outcome, Holm's correction over the study's claims included.
    """

    text: str
    quantity: str
    margin: float
    null: str
    effects: dict[int, float] = field(default_factory=dict)
    p: float = math.nan
    outcome: str = "undecided"

    @property
    def effect(self) -> float:
        """The mean effect over seeds."""
        return float(np.mean(list(self.effects.values()))) if self.effects else math.nan

    @property
    def interval(self) -> tuple[float, float]:
        """The 95 % t-interval of the expected effect over seeds; NaN for one seed."""
        return t_interval(list(self.effects.values()))

    @property
    def words(self) -> str:
        """The outcome as a reader must take it: with its number of seeds, one never enough."""
        if not self.null:
            return "no control"
        if len(self.effects) < 2:
            return "one seed" if self.effects else "no seed"
        return f"{self.outcome} ({len(self.effects)} seeds)"


def load_claims(study: str | Path) -> pd.DataFrame:
    """Return what a study folder says of each claim: one row per claim.

    Columns: claim; outcome: supported (the effect is beyond null and margin), against (it is
    beyond the null in the other direction) or undecided, by t-tests over seeds at 5 % for all
    claims together (Holm); effect, low, high: the mean over seeds and its 95 % interval; seeds;
    null: the arm or control loop that the effect is measured against; quantity, margin, p. With
    one seed every outcome is undecided.

    Raises InputError if the folder holds no records.
    """
    records, store = load_records(study), store_at(study)
    try:
        config = StudyConfig.model_validate_json((store.root / "config.json").read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(
            f"{study} is not a complete study folder: {one_line(error, 200)}"
        ) from None
    arms = config.model_dump(mode="json")["arms"]
    controls = control_records(store, config)
    rows = [
        {
            "claim": found.text, "outcome": found.outcome, "effect": found.effect,
            "low": found.interval[0], "high": found.interval[1], "seeds": len(found.effects),
            "null": found.null, "quantity": found.quantity, "margin": found.margin, "p": found.p,
        }
        for found in findings(records, arms, controls)
    ]  # fmt: skip
    columns = ["claim", "outcome", "effect", "low", "high", "seeds", "null", "quantity", "margin",
               "p"]  # fmt: skip
    return pd.DataFrame(rows, columns=columns)


def findings(
    records: pd.DataFrame, arms: Sequence[dict[str, Any]], controls: pd.DataFrame | None = None
) -> list[Finding]:
    """Return what records say of the claims that the arms of a study can test.

    controls: the records of control loops (`control_records`), without which the collapse of an
    arm has no null.
    """
    known = records if controls is None else pd.concat([records, controls], ignore_index=True)
    return _judged([*_collapse(known, arms), *_selection(records, arms)])


def _collapse(records: pd.DataFrame, arms: Sequence[dict[str, Any]]) -> Iterator[Finding]:
    runs, last = _complete_runs(records), int(records["generation"].max())
    if last < 3:
        return
    for arm in arms:
        if has_controls(ArmConfig(**arm)):
            names = [control_name(arm["name"], generator) for generator in CONTROLS]
            known = [name for name in names if (records["arm"] == name).any()]
            for claim in COLLAPSE:
                for null in known or [""]:
                    yield _finding(claim, runs, last, str(arm["name"]), null)
            for claim in COPYING:
                yield _finding(claim, runs, last, str(arm["name"]), claim.within)


def _selection(records: pd.DataFrame, arms: Sequence[dict[str, Any]]) -> Iterator[Finding]:
    runs, last = _complete_runs(records), int(records["generation"].max())
    for arm in arms:
        if arm["strategy"] in RANDOM or last < 2:
            continue
        for base in random_arms(arm, arms):
            for claim in SELECTION:
                if claim.quantity != "share" or _has_real_rows(records, base):
                    yield _finding(claim, runs, last, str(arm["name"]), str(base["name"]))


def random_arms(arm: dict[str, Any], arms: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the random arms that an arm differs from by its selection alone."""
    return [
        base for base in arms
        if base["strategy"] in RANDOM
        and all(base.get(key, {}) == arm.get(key, {}) for key in ALIKE)
    ]  # fmt: skip


def _has_real_rows(records: pd.DataFrame, arm: dict[str, Any]) -> bool:
    return bool((records.loc[records["arm"] == arm["name"], "real_share"].iloc[-1:] > 0).any())


def _finding(claim: Claim, runs: Runs, last: int, arm: str, null: str) -> Finding:
    ours = {seed: claim.statistic(rows) for seed, rows in runs.get(arm, {}).items()}
    theirs = dict.fromkeys(ours, 0.0)
    if not claim.within:
        theirs = {seed: claim.statistic(rows) for seed, rows in runs.get(null, {}).items()}
    effects = {
        seed: value - theirs[seed]
        for seed, value in ours.items()
        if seed in theirs and math.isfinite(value - theirs[seed])
    }
    text = claim.text.format(arm=arm, null=null or "a control loop", last=last)
    return Finding(
        text=text, quantity=claim.quantity, margin=claim.margin, null=null, effects=effects
    )


def _complete_runs(records: pd.DataFrame) -> Runs:
    """Return the records of each seed of each arm that has all generations, by generation."""
    last, found = records["generation"].max(), Runs()
    for (arm, seed), rows in records.groupby(["arm", "seed"]):
        by_generation = rows.set_index("generation")
        if {2, last} <= set(by_generation.index):
            found.setdefault(str(arm), {})[int(seed)] = by_generation
    return found


def _judged(found: list[Finding]) -> list[Finding]:
    """Return findings with their outcomes: t-tests over seeds, corrected by Holm's procedure."""
    tests = [_test(finding) for finding in found]
    judged = []
    for finding, (_, direction), p in zip(found, tests, holm([p for p, _ in tests]), strict=True):
        outcome = direction if p < LEVEL else "undecided"
        judged.append(replace(finding, p=p, outcome=outcome))
    return judged


def holm(p: Sequence[float]) -> list[float]:
    """Return p-values corrected for all of them together (Holm 1979); NaN stays, and counts not.

    >>> holm([0.01, math.nan, 0.04])
    [0.02, nan, 0.04]
    """
    order = np.argsort(p, kind="stable")
    able = sum(math.isfinite(value) for value in p)
    corrected, worst = [math.nan] * len(p), 0.0
    for rank, i in enumerate(order[:able].tolist()):
        worst = max(worst, min(1.0, (able - rank) * p[i]))
        corrected[i] = worst
    return corrected


def t_interval(values: Sequence[float]) -> tuple[float, float]:
    """Return the 95 % t-interval of the expectation of values; NaN for fewer than two."""
    n = len(values)
    if n < 2:
        return math.nan, math.nan
    mean = float(np.mean(values))
    half = float(special.stdtrit(n - 1, 0.975) * np.std(values, ddof=1) / math.sqrt(n))
    return mean - half, mean + half


def _test(finding: Finding) -> tuple[float, str]:
    """Return the two-sided p of the effect beyond the margin, or below 0, and which it is."""
    values = np.array(list(finding.effects.values()))
    if len(values) < 2 or not finding.null:
        return math.nan, "undecided"
    one_sided = {}
    for outcome, differences in (
        ("supported", values - finding.margin), ("against", -values),
    ):  # fmt: skip
        mean, deviation = differences.mean(), differences.std(ddof=1)
        if deviation == 0:
            one_sided[outcome] = 0.0 if mean > 0 else 1.0
        else:
            t = mean / (deviation / math.sqrt(len(values)))
            one_sided[outcome] = float(special.stdtr(len(values) - 1, -t))
    outcome = min(one_sided, key=lambda name: one_sided[name])
    return min(1.0, 2 * one_sided[outcome]), outcome
