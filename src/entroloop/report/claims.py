"""Claims that can fail: each with a statistic, a null, a direction and a margin, over seeds.

A claim is the effect beyond its null. What falls or rises over generations is compared with control
loops of the same study (study/controls.py): Gaussian and KDE generators on the same data, seeds and
paradigm, so that what shrinking data alone do is not called collapse. What a selecting arm gains is
compared with the random arms of its paradigm, each by name. The table `CLAIMS` was written down
before any study was judged by it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from scipy import stats

from entroloop.errors import InputError, one_line
from entroloop.metrics.correlation import (
    Correlation,
    correlation,
    partial_correlation,
    pearson,
)
from entroloop.store.object_store import store_at
from entroloop.store.records import load_records
from entroloop.study.config import ArmConfig, StudyConfig
from entroloop.study.controls import CONTROLS, control_name, control_records, has_controls

LEVEL = 0.05  # of all claims of a study together (Holm 1979)
RANDOM = ("random", "uniform", "random_matched")
Statistic = Callable[[pd.DataFrame], float]  # of the generations of one arm at one seed


@dataclass(frozen=True, kw_only=True)
class Claim:
    """One row of the table of claims.

    text: with {arm}, {null}, {last}. quantity: what the effect is measured in. statistic: of the
    records of one arm and seed, indexed by generation; larger must mean more of what is claimed.
    margin: the effect must exceed the null by this much. within: the statistic is an effect by
    itself, against this null within the same run.
    """

    text: str
    quantity: str
    statistic: Statistic
    margin: float
    within: str = ""


def _change(column: str, sign: float, *, log: bool = False) -> Statistic:
    """Return sign × the change of a column from generation 2 to the last."""

    def statistic(rows: pd.DataFrame) -> float:
        values = rows[column].astype(float)
        first, last = values.loc[2], values.loc[rows.index.max()]
        return sign * _difference(last, first, log=log)

    return statistic


def _last(column: str, sign: float, *, log: bool = False) -> Statistic:
    """Return sign × a column at the last generation."""

    def statistic(rows: pd.DataFrame) -> float:
        value = float(rows[column].loc[rows.index.max()])
        return sign * (_difference(value, 1.0, log=True) if log else value)

    return statistic


def _difference(a: float, b: float, *, log: bool) -> float:
    if not log:
        return float(a - b)
    return math.log(a / b) if a > 0 and b > 0 else math.nan


def _nearer_than_unselected(rows: pd.DataFrame) -> float:
    """Return ln of the score of unselected rows over that of samples, at the last generation."""
    end = rows.loc[rows.index.max()]
    return _difference(
        float(end["generalization_score_unselected"]), float(end["generalization_score"]), log=True
    )


# Of arms that replace the data by random samples, beyond each control loop.
COLLAPSE = (
    Claim(
        text="{arm}: the entropy of the training set falls, more than under {null}",
        quantity="nats", statistic=_change("entropy_train", -1), margin=1.0,
    ),
    Claim(
        text="{arm}: the Fréchet distance rises, more than under {null}",
        quantity="ln of the distance", statistic=_change("frechet_distance", 1, log=True),
        margin=0.02,
    ),
    Claim(
        text="{arm}: samples move towards their training set (GS), more than under {null}",
        quantity="ln GS", statistic=_change("generalization_score", -1, log=True), margin=0.02,
    ),
    Claim(
        text="{arm}: memorization grows by GS over the set's own spacing, more than under {null}",
        quantity="GS/LOO", statistic=_change("generalization_ratio", -1), margin=0.02,
    ),
    Claim(
        text="{arm}: memorization grows by AuthPct, more than under {null}",
        quantity="percent", statistic=_change("auth_pct", -1), margin=1.0,
    ),
    Claim(
        text="{arm}: memorization grows by d₁/d₂, more than under {null}",
        quantity="share of samples", statistic=_change("memorized_fraction", 1), margin=0.01,
    ),
)  # fmt: skip
# Of arms that select, against a random arm of the same paradigm.
SELECTION = (
    Claim(
        text="{arm} has a lower Fréchet distance than {null} at generation {last}",
        quantity="ln of the distance", statistic=_last("frechet_distance", -1, log=True),
        margin=0.02,
    ),
    Claim(
        text="{arm} has a higher entropy of the training set than {null} at generation {last}",
        quantity="nats", statistic=_last("entropy_train", 1), margin=1.0,
    ),
    Claim(
        text="{arm} has a higher share of real data than {null} at generation {last}",
        quantity="share", statistic=_last("real_share", 1), margin=0.01,
    ),
    Claim(
        text="{arm} memorizes less than {null} by GS/LOO at generation {last}",
        quantity="GS/LOO", statistic=_last("generalization_ratio", 1), margin=0.02,
    ),
    Claim(
        text="{arm} memorizes less than {null} by d₁/d₂ at generation {last}",
        quantity="share of samples", statistic=_last("memorized_fraction", -1), margin=0.01,
    ),
)  # fmt: skip
# Of the same arms, within each run: the fair null after generation 1, since what a model is trained
# on is made anew by the loop, and other rows of the same kind tell how near such rows lie anyway.
COPYING = (
    Claim(
        text="{arm}: at generation {last} samples lie nearer to their training set than {null} do",
        quantity="ln GS", statistic=_nearer_than_unselected, margin=0.02,
        within="unselected samples of the generation before",
    ),
)  # fmt: skip
CLAIMS = (*COLLAPSE, *COPYING, *SELECTION)


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
    if int(records["generation"].max()) < 3:
        return
    for arm in arms:
        if has_controls(ArmConfig(**arm)):
            names = [control_name(arm["name"], generator) for generator in CONTROLS]
            known = [name for name in names if (records["arm"] == name).any()]
            for claim in COLLAPSE:
                for null in known or [""]:
                    yield _finding(claim, records, str(arm["name"]), null)
            for claim in COPYING:
                yield _finding(claim, records, str(arm["name"]), claim.within)


def _selection(records: pd.DataFrame, arms: Sequence[dict[str, Any]]) -> Iterator[Finding]:
    alike = ("paradigm", "paradigm_args", "generator")
    for arm in arms:
        if arm["strategy"] in RANDOM or int(records["generation"].max()) < 2:
            continue
        for base in arms:
            if base["strategy"] in RANDOM and _same(arm, base, alike):
                for claim in SELECTION:
                    if claim.quantity != "share" or _has_real_rows(records, base):
                        yield _finding(claim, records, str(arm["name"]), str(base["name"]))


def _same(a: dict[str, Any], b: dict[str, Any], keys: Sequence[str]) -> bool:
    return all(a[key] == b[key] for key in keys)


def _has_real_rows(records: pd.DataFrame, arm: dict[str, Any]) -> bool:
    return bool((records.loc[records["arm"] == arm["name"], "real_share"].iloc[-1:] > 0).any())


def _finding(claim: Claim, records: pd.DataFrame, arm: str, null: str) -> Finding:
    ours = _by_seed(claim.statistic, records, arm)
    theirs = dict.fromkeys(ours, 0.0) if claim.within else _by_seed(claim.statistic, records, null)
    effects = {
        seed: value - theirs[seed]
        for seed, value in ours.items()
        if seed in theirs and math.isfinite(value - theirs[seed])
    }
    last = int(records["generation"].max())
    text = claim.text.format(arm=arm, null=null or "a control loop", last=last)
    return Finding(
        text=text, quantity=claim.quantity, margin=claim.margin, null=null, effects=effects
    )


def _by_seed(statistic: Statistic, records: pd.DataFrame, arm: str) -> dict[int, float]:
    """Return the statistic of an arm for each seed that has all generations."""
    last, found = records["generation"].max(), {}
    for seed, rows in records[records["arm"] == arm].groupby("seed"):
        by_generation = rows.set_index("generation")
        if {2, last} <= set(by_generation.index):
            found[int(str(seed))] = statistic(by_generation)
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
    half = float(stats.t.ppf(0.975, n - 1) * np.std(values, ddof=1) / math.sqrt(n))
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
            one_sided[outcome] = float(stats.t.sf(t, len(values) - 1))
    outcome = min(one_sided, key=lambda name: one_sided[name])
    return min(1.0, 2 * one_sided[outcome]), outcome


def entropy_and_score(
    records: pd.DataFrame, column: str = "generalization_score"
) -> Correlation | None:
    """Return the correlation of the training set's entropy with ln GS over generations ≥ 2.

    Generation 1 is left out because all arms share it. column: `generalization_ratio` takes the
    scale of the data out of the score.
    """
    rows = records[(records["generation"] >= 2) & (records[column] > 0)]
    if len(rows) < 3:
        return None
    return correlation(
        rows["entropy_train"],
        np.log(rows[column]),
        run=rows["arm"] + "/" + rows["seed"].astype(str),
        seed_of_run=rows["seed"],
    )


def geometry(records: pd.DataFrame, controls: pd.DataFrame) -> str:
    """Return in words how much of that correlation is there without memorization, too."""
    words = []
    rows = records[(records["generation"] >= 2) & (records["generalization_ratio"] > 0)]
    rows = rows[rows["generalization_score"] > 0]
    if len(rows) >= 3:
        score = np.log(rows["generalization_score"])
        own = score - np.log(rows["generalization_ratio"])
        words.append(
            "The training sets' own leave-one-out distances, no generator involved, have "
            f"r = {pearson(rows['entropy_train'], own):.3f} with the entropy; with these held "
            "fixed, entropy and ln GS have the partial correlation "
            f"{partial_correlation(rows['entropy_train'], score, given=own):.2f}"
        )
    without_scale = entropy_and_score(records, "generalization_ratio")
    if without_scale is not None:
        words.append(
            "with ln GS/LOO, which does not follow the scale of the data, "
            f"r = {without_scale.r:.2f}"
        )
    for name, own in controls.groupby("arm"):
        found = entropy_and_score(own)
        if found is not None:
            words.append(f"the control loop {name}, which cannot memorize, has r = {found.r:.2f}")
    return "; ".join(words) + ("." if words else "")


def verdict(records: pd.DataFrame, arms: list[dict[str, object]]) -> list[str]:
    """Return the outcome of a study in words, one sentence per item, from the records alone."""
    last = int(records["generation"].max())
    mean = records.groupby(["arm", "generation"]).mean(numeric_only=True)
    sentences = []
    for arm in arms:
        name = str(arm["name"])
        if (name, last) not in mean.index or last < 2:
            continue
        start, end = mean.loc[(name, 2)], mean.loc[(name, last)]
        change = end["entropy_train"] - start["entropy_train"]
        score, held_out = end["generalization_score"], end["generalization_score_reference"]
        side = "nearer to" if score < held_out else "farther from"
        sentences.append(
            f"{name}: from generation 2 to {last} the entropy of the training set "
            f"{'fell' if change < 0 else 'rose'} by {abs(change):.1f} nats; the Fréchet distance "
            f"went from {start['frechet_distance']:.2f} to {end['frechet_distance']:.2f}; the last "
            f"samples lie {side} their training set (GS {score:.2f}) than held-out real rows do "
            f"({held_out:.2f}), at {end['generalization_ratio']:.2f} of that set's own spacing; "
            f"{100 * end['memorized_fraction']:.1f} % of them are memorized; "
            f"the last training set is {100 * end['real_share']:.0f} % real."
        )
    if last >= 2:
        final = mean.xs(last, level="generation")["frechet_distance"]
        sentences.append(
            f"At generation {last} the Fréchet distance to held-out real data is lowest under "
            f"{final.idxmin()} ({final.min():.2f}) and highest under {final.idxmax()} "
            f"({final.max():.2f})."
        )
    return sentences
