"""The rows of the table of metrics that need texts or tables as they are, not their features."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from entroloop.metrics.columns import (
    correlation_drift_of,
    marginal_drift_of,
    rare_categories_of,
)
from entroloop.metrics.metric import REAL, G, Metric, R, T
from entroloop.metrics.sets import Sets
from entroloop.metrics.text import copied_rows, distinct_n, perplexity_of, self_bleu, tail_mass_of
from entroloop.samples import Array
from entroloop.seeding import rng_for


def _texts(role: str, says: str, value: Callable[[Array], float], beside: str = "") -> Metric:
    """Return a metric of the texts of one role, which depends on their number."""
    return Metric(
        (f"{role} text",), lambda sets: value(_equally_many(sets, role)), says,
        every_row=True, bounds=(0.0, 1.0), counted=True, beside=(beside,) if beside else (),
        note=lambda sets: _number_told(sets, role), version=2,
    )  # fmt: skip


def _number(sets: Sets) -> int:
    """Return how many texts the generated and the held-out set both have."""
    return min(len(sets.original(role)) for role in (G, R) if sets.has(f"{role} text"))


def _equally_many(sets: Sets, role: str) -> Array:
    """Return as many texts of a role as both sets have; the draw is one, and so is a floor."""
    texts, n = sets.original(role), _number(sets)
    if len(texts) <= n:
        return texts
    drawn = rng_for(0, 0, "texts").choice(len(texts), n, replace=False)
    return np.asarray(texts[np.sort(drawn)])


def _number_told(sets: Sets, role: str) -> str:
    n = _number(sets)
    return f"taken on {n}, as many as both sets have" if len(sets.original(role)) > n else ""


def _copied(role: str, of: str, says: str, beside: str = "") -> Metric:
    """Return the share of texts of a role that stands in those of another."""
    return Metric(
        (f"{role} text", f"{of} text"),
        lambda sets: float(copied_rows(sets.original(role), sets.original(of)).mean()), says,
        every_row=True, bounds=(0.0, 1.0), counted=True, beside=(beside,) if beside else (),
    )  # fmt: skip


def _of_columns(name: str, value: Callable[[Sets], float], says: str) -> dict[str, Metric]:
    """Return a metric of a table's columns, and its floor: of real training rows."""

    def floor(sets: Sets) -> float:
        own = {"generated": sets.original(REAL), "reference": sets.original(R)}
        return value(Sets(originals=own, schema=sets.schema))

    return {
        name: Metric(
            (f"{G} table", f"{R} table"), value, says, every_row=True, bounds=(0.0, 1.0),
            counted=True, beside=(f"{name}_floor",),
        ),
        f"{name}_floor": Metric(
            (f"{REAL} table", f"{R} table"), floor, "the same of real rows", every_row=True,
            bounds=(0.0, 1.0), counted=True,
        ),
    }  # fmt: skip


OF_ORIGINALS: dict[str, Metric] = {
    "distinct_1": _texts(
        G, "share of different words among all words", lambda x: distinct_n(x, 1),
        "distinct_1_floor",
    ),
    "distinct_1_floor": _texts(R, "the same of real texts", lambda x: distinct_n(x, 1)),
    "distinct_2": _texts(
        G, "share of different pairs of words among all", lambda x: distinct_n(x, 2),
        "distinct_2_floor",
    ),
    "distinct_2_floor": _texts(R, "the same of real texts", lambda x: distinct_n(x, 2)),
    "self_bleu": _texts(
        G, "BLEU of each text with the others as references; high means little variety",
        self_bleu, "self_bleu_floor",
    ),
    "self_bleu_floor": _texts(R, "the same of real texts", self_bleu),
    "copied_share": _copied(
        G, T, "share of a text in its longest passage that stands in the training text",
        "copied_share_floor",
    ),
    "copied_share_floor": _copied(R, T, "the same of held-out texts"),
    "copied_share_real": _copied(
        G, REAL, "share of a text in its longest passage that stands in the real training text",
        "copied_share_real_floor",
    ),
    "copied_share_real_floor": _copied(R, REAL, "the same of held-out texts"),
    "perplexity": Metric(
        ("reference text", "likelihood"), perplexity_of,
        "perplexity of held-out texts per byte, by the model itself",
        every_row=True, bounds=(1.0, float("inf")), counted=True,
    ),
    "tail_mass": Metric(
        ("reference text", "real text", "likelihood"), tail_mass_of,
        "share of rare held-out words that the model still gives at least their own frequency",
        every_row=True, bounds=(0.0, 1.0), counted=True,
    ),
    **_of_columns(
        "marginal_drift", marginal_drift_of,
        "mean distance of a column's distribution to the real one (KS, total variation)",
    ),
    **_of_columns(
        "correlation_drift", correlation_drift_of,
        "mean difference of what two columns share (Pearson, correlation ratio, Cramér's V)",
    ),
    **_of_columns(
        "rare_categories", rare_categories_of,
        "how much of the mass of rare categories is still there; 1 is right",
    ),
}  # fmt: skip
