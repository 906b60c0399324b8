"""The page's charts as data: what assets/charts.js draws.

Drawn by some hundred lines of our own and not by a library: a plot library weighs 1 to 5 MB in
every page, and brings a legend and a colour table of its own for every chart.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from entroloop.metrics import METRICS
from entroloop.report.arms import ShownArm, study_titles
from entroloop.report.read import StudyView
from entroloop.report.study_words import entropy_and_score
from entroloop.system.numbers import rounded, with_interval

Chart = dict[str, Any]

CURVES = {  # column: title
    "entropy_train": "Entropy of the training set (nats)",
    "frechet_distance": "Fréchet distance to held-out data",
    "generalization_score": "Generalization score (GS)",
    "generalization_ratio": "GS over the training set's own spacing",
    "memorized_fraction": "Memorized fraction of the samples",
    "auth_pct": "Authentic samples (AuthPct, %)",
    "coverage_distance": "Mean distance of held-out real rows to the nearest sample",
    "total_variance": "Total variance of the samples",
    "real_share": "Share of real data in the training set",
}
DOTTED = {  # column: what stands beside it
    "generalization_score": "generalization_score_reference",
    "frechet_distance": "frechet_distance_floor",
}
# Okabe & Ito's palette, which colour-blind readers can tell apart.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000", "#999933")
SHARES = ("real_share", "memorized_fraction")  # from 0, where the share is 0 throughout, too


def colour(index: int) -> str:
    """Return the colour of the arm with this index."""
    return COLOURS[index % len(COLOURS)]


def curves(arms: Sequence[ShownArm]) -> list[Chart]:
    """Return one chart per measure: mean over seeds by generation, band from min to max.

    The measures in every record, then those asked for in `metrics.extra`.
    """
    columns = dict(CURVES) | {name: _title(name) for name in _extra(arms)}
    statistics = {arm.index: _statistics(arm) for arm in arms}
    return [_curve(column, title, arms, statistics) for column, title in columns.items()]


def _extra(arms: Sequence[ShownArm]) -> list[str]:
    """Return the measures that were asked for; a floor or a null stands beside its measure."""
    asked: dict[str, None] = {}
    for arm in arms:
        asked |= dict.fromkeys(arm.view.config["metrics"].get("extra", ()))
    return [name for name in asked if name not in CURVES and name in METRICS]


def _title(name: str) -> str:
    return f"{name.replace('_', ' ')}: {METRICS[name].says}"


def _beside(column: str) -> str:
    """Return the column that is dotted beside a curve: what real rows have."""
    beside = METRICS[column].beside if column in METRICS else ()
    return DOTTED.get(column) or next((name for name in beside if name.endswith("_floor")), "")


def _statistics(arm: ShownArm) -> pd.DataFrame:
    numeric = arm.records.select_dtypes("number").drop(columns=["seed"])
    by_generation = numeric.replace([np.inf, -np.inf], np.nan).groupby("generation")
    return by_generation.agg(["mean", "min", "max", "count"])


def _curve(
    column: str, title: str, arms: Sequence[ShownArm], statistics: dict[int, pd.DataFrame]
) -> Chart:
    beside, series = _beside(column), []
    for arm in arms:
        table = statistics[arm.index]
        if column not in table:
            continue
        own = table[column]
        line = {
            "arm": arm.index, "name": arm.label, "x": own.index.tolist(), "y": _list(own["mean"]),
            "n": own["count"].tolist(),
        }  # fmt: skip
        if arm.records["seed"].nunique() > 1:
            line |= {"low": _list(own["min"]), "high": _list(own["max"])}
        if beside and beside in table:
            line["beside"] = _list(table[beside]["mean"])
        series.append(line)
    bounds = METRICS[column].bounds if column in METRICS else (0, 1)
    return {
        "id": column, "kind": "lines", "title": title, "series": series, "whole": True,
        "x": "generation", "zero": column in SHARES or bounds == (0, 1),
        "dotted": "held-out real rows" if beside else "",
    }  # fmt: skip


def series_of(i: int, name: str, x: Any, y: Any) -> Chart:
    """Return a line or a cloud of a chart that has a key of its own: it looks like arm i."""
    return {"arm": i, "name": name, "x": _list(np.asarray(x).tolist()),
            "y": _list(np.asarray(y).tolist())}  # fmt: skip


def _list(values: Any) -> list[float | None]:
    return [rounded(float(value)) for value in values]


def relation(
    arms: Sequence[ShownArm], views: Sequence[StudyView]
) -> tuple[Chart | None, list[str]]:
    """Return entropy against ln GS over generations ≥ 2 as a chart, and r of each study in words.

    Each study has its fit, with the interval of a bootstrap over runs. None where no study has one.
    """
    fits, said = [], []
    for title, view in zip(study_titles(views), views, strict=True):
        found = entropy_and_score(view.records)
        if found is None or found.line is None:
            said.append("")
            continue
        line = found.line
        fits.append({
            "name": title, "x": _list(line.x), "y": _list(line.y),
            "low": None if line.low is None else _list(line.low),
            "high": None if line.high is None else _list(line.high),
        })  # fmt: skip
        said.append(_correlation_in_words(found))
    chart = {
        "id": "relation", "kind": "points", "title": "Entropy of the training set and ln GS",
        "x": "entropy of the training set (nats)", "y": "ln GS", "fits": fits,
        "series": [_points(arm) for arm in arms],
    }  # fmt: skip
    return (chart if fits else None), said


def _points(arm: ShownArm) -> Chart:
    rows = arm.records[arm.records["generation"] >= 2]
    rows = rows[rows["generalization_score"] > 0]
    return {
        "arm": arm.index, "name": arm.label, "x": _list(rows["entropy_train"]),
        "y": _list(np.log(rows["generalization_score"])),
        "text": [f"seed {seed}, generation {generation}" for seed, generation in
                 zip(rows["seed"], rows["generation"], strict=True)],
    }  # fmt: skip


def _correlation_in_words(found: Any) -> str:
    interval = "95 % interval by bootstrap over runs" if found.interval else "one seed, no interval"
    return (
        f"Pearson r = {with_interval(found.r, found.interval)} over {found.n} points of "
        f"{found.runs} runs ({interval}); slope "
        f"{with_interval(found.slope, found.slope_interval)} per nat. "
        "The paper reports r = 0.91."
    )


def provenance(arms: Sequence[ShownArm]) -> list[Chart]:
    """Return, for each arm, which generations the rows of its training sets come from."""
    charts = []
    for arm in arms:
        shares = [
            np.mean([list(row) for row in rows], axis=0)
            for _, rows in arm.records.groupby("generation")["share_by_generation"]
        ]
        x = sorted(int(g) for g in arm.records["generation"].unique())
        layers = [
            [rounded(float(share[g])) if g < len(share) else 0.0 for share in shares]
            for g in range(len(shares[-1]))
        ]
        charts.append({
            "id": f"provenance-{arm.index}", "kind": "areas", "title": arm.label, "arm": arm.index,
            "x": "generation", "whole": True, "zero": True, "steps": x,
            "series": [{"name": "real rows" if g == 0 else f"generation {g}", "x": x, "y": layer}
                       for g, layer in enumerate(layers)],
        })  # fmt: skip
    return charts
