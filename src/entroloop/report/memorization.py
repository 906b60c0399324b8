"""Memorization by every definition, side by side: where they agree, and where they do not."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pandas as pd

from entroloop.system.numbers import MISSING, from_to

Value = Callable[[pd.DataFrame], pd.Series]  # of records, indexed by generation


@dataclass(frozen=True)
class Definition:
    """One definition of memorization: its value by generation; low or high means memorization.

    share: whether it is one, told in percent.
    """

    heading: str
    value: Value
    share: bool = False
    high_is_more: bool = False


def _ratio(above: str, below: str) -> Value:
    return lambda rows: rows[above] / rows[below]


def _column(name: str) -> Value:
    return lambda rows: rows[name]


DEFINITIONS = (
    Definition(
        "GS / GS of held-out rows",
        _ratio("generalization_score", "generalization_score_reference"),
    ),
    Definition(
        "GS / GS of unselected rows",
        _ratio("generalization_score", "generalization_score_unselected"),
    ),
    Definition("GS / LOO", _column("generalization_ratio")),
    Definition("AuthPct", lambda rows: rows["auth_pct"] / 100, share=True),
    Definition("d₁/d₂ < 1/3", _column("memorized_fraction"), share=True, high_is_more=True),
    Definition("of real rows: GS / LOO", _column("generalization_ratio_real")),
    Definition(
        "of real rows: d₁/d₂ < 1/3", _column("memorized_fraction_real"), share=True,
        high_is_more=True,
    ),
)  # fmt: skip
SMALL = 0.02  # a change by less than this share of the value, or of 1, is none
OF_TRAINING_SET = 5  # the first definitions ask after the training set, the others after real rows


def memorization(records: pd.DataFrame, arms: list[dict[str, Any]]) -> dict[str, Any] | None:
    """Return the table of definitions: headings, the cells of each arm, and what to say of it.

    A cell is the mean over seeds at generation 1 and at the last, and whether that is more or less
    memorization. None for studies of one generation.
    """
    last = int(records["generation"].max())
    if last < 2:
        return None
    lines, said = [], []
    for arm in (str(a["name"]) for a in arms):
        mean = records[records["arm"] == arm].groupby("generation").mean(numeric_only=True)
        if not {1, last} <= set(mean.index):
            continue
        cells, signs = [], []
        for definition in DEFINITIONS:
            values = definition.value(mean)
            sign = _sign(float(values[1]), float(values[last]), definition.high_is_more)
            signs.append(sign)
            told = {1: "more", -1: "less", 0: "same", None: ""}[sign]
            factor, unit = (100, " %") if definition.share else (1, "")
            ends = from_to(factor * float(values[1]), factor * float(values[last]), unit)
            cells.append((MISSING if sign is None else ends, told))
        lines.append((arm, cells))
        said.append(_disagreement(arm, signs))
    headings = ["arm", *(definition.heading for definition in DEFINITIONS)]
    return {"headings": headings, "rows": lines, "said": [text for text in said if text]}


def _sign(first: float, last: float, high_is_more: bool) -> int | None:
    """Return 1 for more memorization, −1 for less, 0 for no change, None where it is unknown."""
    if not math.isfinite(last - first):
        return None
    if abs(last - first) < SMALL * max(abs(first), 1.0):
        return 0
    return 1 if (last > first) == high_is_more else -1


def _disagreement(arm: str, signs: list[int | None]) -> str:
    named = zip(DEFINITIONS[:OF_TRAINING_SET], signs, strict=False)
    more: list[str] = []
    less: list[str] = []
    for definition, sign in named:
        if sign:
            (more if sign > 0 else less).append(definition.heading)
    if not more or not less:
        return ""
    return (
        f"{arm}: the definitions disagree. More memorization from generation 1 to the last by "
        f"{', '.join(more)}; less by {', '.join(less)}."
    )
