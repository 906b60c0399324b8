"""The pictures of docs/concepts.md, drawn when the site is built from what the library computes."""

from __future__ import annotations

import numpy as np

import entroloop as el
from entroloop.distances.neighbors import nearest
from entroloop.plot.style import new_figure, rendered, styled

BLUE, RED, GREY = "#0072B2", "#D55E00", "0.6"
WIDTH = 7.0  # inches


def files():
    """Return the pictures by path, as SVG."""
    drawn = {"entropy": _entropy, "memorization": _memorization, "selection": _selection}
    return {f"concepts/{name}.svg": _svg(draw) for name, draw in drawn.items()}


def _svg(draw):
    with styled():
        return rendered(draw(), "svg")


def _panels(count):
    figure, axes = new_figure(WIDTH, panels=count, columns=count)
    for one in axes:
        one.set(xticks=[], yticks=[], aspect="equal")
        one.spines[["top", "right"]].set_visible(True)
    return figure, axes


def _entropy():
    """Draw three sets of 200 points with their entropy: spread out, in clumps, nearly copies."""
    rng = np.random.default_rng(0)
    even = rng.random((200, 2))
    centres = rng.random((12, 2))
    which = rng.integers(12, size=200)
    sets = [
        ("spread out", even),
        ("in clumps", centres[which] + rng.normal(0, 0.03, (200, 2))),
        ("nearly copies", centres[which] + rng.normal(0, 0.003, (200, 2))),
    ]
    figure, panels = _panels(3)
    for axes, (name, points) in zip(panels, sets, strict=True):
        axes.scatter(*points.T, s=6, color=BLUE)
        axes.set(
            title=f"{name}: {el.knn_entropy(points).nats:.1f} nats".replace("-0.0", "0.0").replace(
                "-", "−"
            )
        )
        axes.set(xlim=(-0.1, 1.1), ylim=(-0.1, 1.1))
    return figure


def _memorization():
    """Draw samples of a model that generalizes and of one that memorizes, with the way to each
    sample's nearest training row.
    """
    rng = np.random.default_rng(1)
    angle = rng.random(40) * 2 * np.pi
    train = np.c_[np.cos(angle), np.sin(angle)] * (1 + rng.normal(0, 0.08, (40, 1)))
    other = rng.random(40) * 2 * np.pi
    fresh = np.c_[np.cos(other), np.sin(other)] * (1 + rng.normal(0, 0.08, (40, 1)))
    copies = train[rng.integers(40, size=40)] + rng.normal(0, 0.012, (40, 2))
    figure, panels = _panels(2)
    for axes, (name, made) in zip(
        panels, [("generalizes", fresh), ("memorizes", copies)], strict=True
    ):
        near = train[nearest(made, train).indices[:, 0]]
        for a, b in zip(made, near, strict=True):
            axes.plot(*np.c_[a, b], color=GREY, linewidth=0.6)
        axes.scatter(*train.T, s=16, facecolor="none", edgecolor="black", label="training rows")
        axes.scatter(*made.T, s=9, color=RED, marker="^", label="samples")
        score = el.generalization_score(generated=made, train=train)
        share = el.memorized_fraction(generated=made, train=train)
        axes.set(title=f"{name}: score {score:.3f}, {share:.0%} memorized")
    figure.legend(*panels[0].get_legend_handles_labels(), loc="outside lower center", ncols=2)
    return figure


def _selection():
    """Draw two pools: samples that lost variance, and samples with strays. In each, greedy's picks
    and what the guard says of them.
    """
    rng = np.random.default_rng(2)
    real, guard = rng.normal(size=(60, 2)), rng.normal(size=(200, 2))
    narrow = np.r_[real, rng.normal(0, 0.45, (240, 2))]
    strays = np.r_[real, rng.normal(size=(180, 2)), rng.uniform(-5, 5, (60, 2))]
    figure, panels = _panels(2)
    for axes, (name, pool) in zip(
        panels, [("samples lost variance", narrow), ("samples hold strays", strays)], strict=True
    ):
        chosen = el.select(pool, 60, first=0).indices
        took = el.select(pool, 60, "guarded", guard=guard, inner=["greedy"]).decision.taken
        axes.scatter(*guard.T, s=5, color="0.75", label="guard: real rows")
        axes.scatter(*pool.T, s=8, facecolor="none", edgecolor=BLUE, linewidth=0.6, label="pool")
        axes.scatter(*pool[chosen].T, s=9, color=RED, marker="^", label="greedy's picks")
        axes.set(title=f"{name}: guarded took {took}", xlim=(-5.3, 5.3), ylim=(-5.3, 5.3))
    figure.legend(*panels[0].get_legend_handles_labels(), loc="outside lower center", ncols=3)
    return figure
