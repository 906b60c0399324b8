"""The table of claims: each with a statistic, a direction and a margin; `claims.py` judges.

It was written down before any study was judged by it.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import pandas as pd

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
