"""The charts: of the records of a study, one function each.

Lines are means over seeds, bands 95 % t-intervals of the expectation over seeds; one seed has none.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from entroloop.errors import InputError
from entroloop.plot.style import (
    HATCHES,
    MARKERS,
    WIDTH,
    add_legend,
    line_style,
    new_figure,
    styled,
)
from entroloop.report.claims import t_interval
from entroloop.report.figures import colour
from entroloop.report.study_words import entropy_and_score
from entroloop.store.records import load_records
from entroloop.system.numbers import with_interval

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Study = Any  # a folder, a URL, or records
LABELS = {  # column: how its axis is called
    "entropy_train": "Entropy of the training set (nats)",
    "frechet_distance": "Fréchet distance",
    "generalization_score": "Generalization score",
    "generalization_ratio": "Score / own spacing",
    "memorized_fraction": "Memorized fraction",
    "auth_pct": "Authentic samples (%)",
    "coverage_distance": "Distance to the samples",
    "total_variance": "Total variance",
    "real_share": "Share of real rows",
    "precision": "Precision",
    "coverage": "Coverage",
}
REAL_ROWS = {  # column: that of real rows beside it
    "generalization_score": "generalization_score_reference",
    "frechet_distance": "frechet_distance_floor",
    "coverage": "coverage_floor",
}
FROM_ZERO = ("frechet_distance", "memorized_fraction", "real_share", "precision", "coverage")


def curve(study: Study, column: str, *, width: float = WIDTH) -> Figure:
    """Draw any column of the records over the generations, a line an arm; width in inches.

    Raises InputError for a column that the records do not have.
    """
    records = _records(study)
    _require(records, column)
    with styled():
        figure, (axes,) = new_figure(width)
        _draw_curve(axes, records, column)
        add_legend(figure, axes, width, records["arm"].nunique())
    return figure


def entropy(study: Study, *, width: float = WIDTH) -> Figure:
    """Draw the entropy of the training set (nats) over the generations; width in inches."""
    return curve(study, "entropy_train", width=width)


def frechet_distance(study: Study, *, width: float = WIDTH) -> Figure:
    """Draw the Fréchet distance to held-out rows over the generations; dotted: of real rows."""
    return curve(study, "frechet_distance", width=width)


def generalization_score(study: Study, *, width: float = WIDTH) -> Figure:
    """Draw the generalization score over the generations; dotted: of held-out real rows."""
    return curve(study, "generalization_score", width=width)


def real_share(study: Study, *, width: float = WIDTH) -> Figure:
    """Draw the share of real rows in the training set over the generations; width in inches."""
    return curve(study, "real_share", width=width)


def coverage_precision(study: Study, *, width: float = WIDTH) -> Figure:
    """Draw precision and coverage, one above the other; width in inches.

    Raises InputError where the study did not record them (`metrics.extra`).
    """
    records = _records(study)
    for column in ("precision", "coverage"):
        _require(records, column)
    with styled():
        figure, panels = new_figure(width, panels=2)
        for axes, column in zip(panels, ("precision", "coverage"), strict=True):
            _draw_curve(axes, records, column)
        panels[0].set_xlabel("")
        add_legend(figure, panels[0], width, records["arm"].nunique())
    return figure


def provenance(study: Study, *, width: float = WIDTH) -> Figure:
    """Draw what each training set is made of, a panel an arm: the shares of real rows and of the
    samples of each generation, means over seeds; width in inches.
    """
    records = _records(study)
    arms = _arms(records)
    last = int(records["generation"].max())
    with styled():
        figure, panels = new_figure(width, panels=len(arms), columns=min(len(arms), 3))
        for axes, arm in zip(panels, arms, strict=True):
            shares = _shares(records[records["arm"] == arm], last)
            layers = axes.stackplot(
                range(1, len(shares) + 1), shares.T,
                labels=["real", *(f"from {g}" for g in range(1, last))],
                colors=[str(0.15 + 0.75 * i / max(last - 1, 1)) for i in range(last)],
                edgecolor="black", linewidth=0.4,
            )  # fmt: skip
            layers[0].set(hatch="////", facecolor="white")
            axes.set(title=arm, xlabel="Generation", ylim=(0, 1), xlim=(1, max(last, 2)))
            _whole_ticks(axes, last)
        figure.supylabel("Share of the training set", fontsize=8)
        add_legend(figure, panels[0], width, last)
    return figure


def entropy_against_score(study: Study, *, width: float = WIDTH) -> Figure:
    """Draw ln generalization score against entropy (nats), generations ≥ 2, with the least-squares
    line, Pearson's r and its 95 % interval by a bootstrap over runs; width in inches.

    Raises InputError where fewer than three generations have both.
    """
    records = _records(study)
    found = entropy_and_score(records)
    if found is None or not np.isfinite(found.r):
        raise InputError("too few generations have an entropy and a score that vary")
    later = records[(records["generation"] >= 2) & (records["generalization_score"] > 0)]
    later = later[np.isfinite(later["entropy_train"])]
    x, y = later["entropy_train"], np.log(later["generalization_score"])
    with styled():
        figure, (axes,) = new_figure(width)
        for i, arm in enumerate(_arms(records)):
            own = later["arm"] == arm
            axes.scatter(x[own], y[own], s=10, label=arm, marker=MARKERS[i % len(MARKERS)],
                         facecolor="none", edgecolor=colour(i), linewidth=0.8)  # fmt: skip
        ends = np.array([x.min(), x.max()])
        axes.plot(ends, y.mean() + found.slope * (ends - x.mean()), color="0.3", linewidth=0.8)
        told = with_interval(found.r, found.interval)
        axes.set_title(f"r = {told}{'' if found.interval else ', one seed'}")
        axes.set(xlabel=LABELS["entropy_train"], ylabel="ln generalization score")
        add_legend(figure, axes, width, records["arm"].nunique())
    return figure


def taken(study: Study, *, width: float = WIDTH) -> Figure:
    """Draw what guarded arms took in each generation: in how many seeds which inner strategy.

    Strengths of threshold decay are counted together. Raises InputError where no arm is guarded.
    """
    records = _records(study)
    guarded = records[records["taken"] != ""]
    if not len(guarded):
        raise InputError("no arm of this study is guarded")
    kinds = guarded["taken"].str.replace(r" strength=\S+", "", regex=True)
    names, arms = sorted(kinds.unique()), list(dict.fromkeys(guarded["arm"]))
    first, last = int(guarded["generation"].min()), int(guarded["generation"].max())
    generations = range(first, last + 1)
    with styled():
        figure, panels = new_figure(width, panels=len(arms), columns=min(len(arms), 2))
        for axes, arm in zip(panels, arms, strict=True):
            below = np.zeros(len(generations))
            for i, name in enumerate(names):
                own = guarded[(guarded["arm"] == arm) & (kinds == name)]
                counts = own["generation"].value_counts()
                height = np.array([counts.get(g, 0) for g in generations], dtype=np.float64)
                axes.bar(generations, height, bottom=below, label=name, facecolor=colour(i),
                         hatch=HATCHES[i % len(HATCHES)], edgecolor="white",
                         linewidth=0.4)  # fmt: skip
                below += height
            axes.set(title=arm, xlabel="Generation")
            axes.set_xticks(list(generations))
            axes.locator_params(axis="y", integer=True)
        panels[0].set_ylabel("Seeds")
        add_legend(figure, panels[0], width, len(names))
    return figure


CHARTS: dict[str, tuple[Callable[..., Figure], str]] = {  # file: chart, caption
    "entropy": (entropy, "Entropy of the training set in nats"),
    "frechet_distance": (
        frechet_distance,
        "Fréchet distance of the samples to held-out real rows; dotted: of real training rows",
    ),
    "generalization_score": (
        generalization_score,
        "Mean distance of samples to the nearest training row; dotted: of held-out real rows",
    ),
    "real_share": (real_share, "Share of real rows in the training set"),
    "provenance": (provenance, "What each training set is made of, by generation of origin"),
    "entropy_against_score": (
        entropy_against_score,
        "ln generalization score against the entropy of the training set, generations from 2 on, "
        "with the least-squares line; interval of r: bootstrap over runs",
    ),
    "coverage_precision": (coverage_precision, "Precision and coverage (k = 5) of the samples"),
    "taken": (taken, "What guarded selection took, in how many seeds"),
}


def _records(study: Study) -> pd.DataFrame:
    if isinstance(study, str | Path):
        return load_records(study)
    records: pd.DataFrame = study
    if not {"arm", "seed", "generation"} <= set(getattr(records, "columns", ())):
        raise InputError("give a study folder, or records as load_records returns them")
    return records


def _require(records: pd.DataFrame, column: str) -> None:
    if column not in records or not np.isfinite(records[column].astype(float)).any():
        raise InputError(f"the study did not record {column}; ask for it: metrics.extra")


def _arms(records: pd.DataFrame) -> list[str]:
    return [str(arm) for arm in dict.fromkeys(records["arm"])]


def _draw_curve(axes: Axes, records: pd.DataFrame, column: str) -> None:
    """Draw a line an arm: the mean over seeds, a band where there are several, real rows dotted."""
    for i, arm in enumerate(_arms(records)):
        rows = records[records["arm"] == arm]
        rows = rows[np.isfinite(rows[column].astype(float))]
        by_generation = [
            (int(generation), values.astype(float).tolist())
            for generation, values in rows.groupby("generation")[column]
        ]
        x = [generation for generation, _ in by_generation]
        axes.plot(x, [np.mean(v) for _, v in by_generation], label=arm, **line_style(i))
        edges = np.array([t_interval(values) for _, values in by_generation]).reshape(-1, 2)
        axes.fill_between(x, edges[:, 0], edges[:, 1], color=colour(i), alpha=0.18, linewidth=0)
        beside = REAL_ROWS.get(column)
        if beside in rows:
            real = rows.groupby("generation")[beside].mean()
            axes.plot(real.index, real, color=colour(i), linestyle=":", linewidth=0.8)
    axes.set(xlabel="Generation", ylabel=LABELS.get(column, column))
    if column in FROM_ZERO:
        axes.set_ylim(bottom=0)
    _whole_ticks(axes, int(records["generation"].max()))


def _whole_ticks(axes: Axes, last: int) -> None:
    """Mark whole generations only, at most about eight of them."""
    axes.set_xticks(range(1, last + 1, max(1, round(last / 8))))


def _shares(rows: pd.DataFrame, last: int) -> Any:
    """Return the mean share of each origin (columns) in each generation (rows) that has any."""
    table = []
    for _, shares in rows.groupby("generation")["share_by_generation"]:
        table.append(np.mean([[*s, *[0.0] * (last - len(s))][:last] for s in shares], axis=0))
    return np.array(table)
