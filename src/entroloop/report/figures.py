"""The report's curves."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from entroloop.metrics.correlation import Correlation
from entroloop.report.claims import entropy_and_score
from entroloop.report.read import StudyView
from entroloop.samples import as_vectors

if TYPE_CHECKING:
    from plotly.graph_objects import Figure

CURVES = {  # column: title
    "entropy_train": "Entropy of the training set (nats)",
    "generalization_score": "Generalization score (dotted: held-out real rows)",
    "generalization_ratio": "Generalization score over the training set's own spacing",
    "auth_pct": "Authentic samples (AuthPct, %)",
    "frechet_distance": "Fréchet distance to held-out data (dotted: of real rows)",
    "total_variance": "Total variance of the samples",
    "real_share": "Share of real data in the training set",
    "memorized_fraction": "Memorized fraction of the samples",
    "coverage_distance": "Mean distance of held-out real rows to the nearest sample",
}
DOTTED = {  # column: what stands beside it
    "generalization_score": "generalization_score_reference",
    "frechet_distance": "frechet_distance_floor",
}
# Okabe & Ito's palette, which colour-blind readers can tell apart.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000", "#999933")


def colour(index: int) -> str:
    """Return the colour of the arm with this index."""
    return COLOURS[index % len(COLOURS)]


def curves(view: StudyView) -> dict[str, Figure]:
    """Return one figure per measure: mean over seeds by generation, band from min to max."""
    return {column: _curve(view, column, title) for column, title in CURVES.items()}


def _curve(view: StudyView, column: str, title: str) -> Figure:
    import plotly.graph_objects as go

    figure = go.Figure()
    for i, arm in enumerate(a["name"] for a in view.arms):
        rows = view.records[view.records["arm"] == arm]
        finite = rows[np.isfinite(rows[column])]
        by_generation = finite.groupby("generation")[column].agg(["mean", "min", "max"])
        x = by_generation.index.to_list()
        if view.records["seed"].nunique() > 1:
            edge = [*by_generation["max"], *by_generation["min"][::-1]]
            figure.add_scatter(
                x=[*x, *x[::-1]], y=edge, fill="toself", fillcolor=colour(i), opacity=0.15,
                line={"width": 0}, hoverinfo="skip", showlegend=False, legendgroup=arm,
            )  # fmt: skip
        figure.add_scatter(
            x=x, y=by_generation["mean"].to_list(), name=arm, mode="lines+markers",
            line={"color": colour(i)}, legendgroup=arm,
        )  # fmt: skip
        if column in DOTTED:
            held_out = rows.groupby("generation")[DOTTED[column]].mean()
            figure.add_scatter(
                x=held_out.index.to_list(), y=held_out.to_list(), mode="lines",
                line={"color": colour(i), "dash": "dot"}, name=f"{arm}: real rows",
                legendgroup=arm, showlegend=False,
            )  # fmt: skip
    lay_out(figure, title, "generation")
    figure.update_xaxes(dtick=1)
    return figure


def entropy_against_score(view: StudyView) -> tuple[Figure, str] | None:
    """Return a scatter of entropy and ln GS over generations ≥ 2, with r in words, or None."""
    import plotly.graph_objects as go

    found = entropy_and_score(view.records)
    if found is None or not np.isfinite(found.r):
        return None
    figure = go.Figure()
    for i, arm in enumerate(a["name"] for a in view.arms):
        rows = view.records[(view.records["arm"] == arm) & (view.records["generation"] >= 2)]
        figure.add_scatter(
            x=rows["entropy_train"].to_list(),
            y=np.log(rows["generalization_score"]).to_list(),
            text=[f"seed {s}, generation {g}" for s, g in zip(rows["seed"], rows["generation"],
                                                              strict=True)],
            mode="markers", name=arm, marker={"color": colour(i)},
        )  # fmt: skip
    lay_out(figure, "ln generalization score", "entropy of the training set (nats)")
    if found.interval is None:
        interval = "no interval: one seed"
    else:
        interval = f"95 % interval {found.interval[0]:.3f} … {found.interval[1]:.3f}"
    text = (
        f"Pearson r = {found.r:.3f} over {found.n} points of {found.runs} runs "
        f"({interval}{', bootstrap over runs' if found.interval else ''}); "
        f"slope {found.slope:.4f} per nat{_slope_interval(found)}. The paper reports r = 0.91."
    )
    return figure, text


def _slope_interval(found: Correlation) -> str:
    if found.slope_interval is None:
        return ""
    return f" ({found.slope_interval[0]:.4f} … {found.slope_interval[1]:.4f})"


def projection(view: StudyView) -> Figure:
    """Plot the last generation's samples on the first two principal axes of the real data.

    For rows that are not images.
    """
    import plotly.graph_objects as go
    from sklearn.decomposition import PCA

    rng = np.random.default_rng(0)
    real = as_vectors(np.asarray(view.real.data)).astype(np.float64)
    real = real[rng.permutation(len(real))[:1000]]
    axes = PCA(n_components=min(2, real.shape[1])).fit(real)
    figure = go.Figure()
    seed = view.config["seeds"][0]
    shown = [("real data", real, "#bbbbbb")]
    for i, arm in enumerate(a["name"] for a in view.arms):
        last = len(view.keys(arm, seed))
        shown.append((arm, as_vectors(view.samples(arm, seed, last)), colour(i)))
    for name, rows, shade in shown:
        points = axes.transform(rows)
        figure.add_scatter(
            x=points[:, 0].tolist(), y=points[:, -1].tolist(), mode="markers", name=name,
            marker={"color": shade, "size": 4, "opacity": 0.6},
        )  # fmt: skip
    lay_out(figure, "second principal axis", "first principal axis of the real data")
    return figure


def lay_out(figure: Figure, title: str, x_title: str) -> None:
    """Apply the common layout; title: the vertical axis, x_title: the horizontal axis."""
    figure.update_layout(
        title={"text": title, "font": {"size": 15}},
        template="plotly_white",
        height=380,
        margin={"l": 55, "r": 15, "t": 45, "b": 45},
        legend={"orientation": "h", "y": -0.2, "font": {"size": 11}},
        xaxis_title=x_title,
    )
