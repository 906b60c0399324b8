"""Did the generator learn? Samples of generation 1 beside held-out real rows."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import pandas as pd

from entroloop.errors import InputError
from entroloop.metrics.manifold import balls, coverage_rows_of
from entroloop.metrics.sets import Sets
from entroloop.report.page_tables import Cell, Column, Row, Table, words
from entroloop.report.read import StudyView
from entroloop.samples import Array
from entroloop.system.numbers import number, percent

ROWS, SEEDS = 2000, 5  # that are looked at here, at most
Pair = Sequence[float]  # of the samples, of held-out real rows


def first_generation_table(name: str, view: StudyView) -> Table | None:
    """Return precision, coverage, Fréchet distance and GS of generation 1, and of real rows.

    Precision and coverage are by one half of a run's held-out rows, and the other half, of as many
    rows as there are samples, is what real rows have; Fréchet distance and GS are those of the
    records. None where no run has a first generation.
    """
    one = view.records[view.records["generation"] == 1].drop_duplicates("seed")
    if not len(one):
        return None
    some = one[:SEEDS]
    found = [
        _shares(view, str(arm), int(seed))
        for arm, seed in zip(some["arm"], some["seed"], strict=True)
    ]
    runs = [run for run in found if run is not None]
    columns, figures = [Column("rows", words=True)], list[tuple[Pair, Callable[[float], str]]]()
    if runs:
        columns += [
            Column("precision", says="share of rows within a neighbourhood of held-out rows"),
            Column("coverage", says="share of held-out rows with a row in their neighbourhood"),
        ]  # fmt: skip
        figures += [(pair, percent) for pair in np.mean(runs, axis=0).tolist()]
    columns += [
        Column("Fréchet distance", says="to held-out rows"),
        Column("GS", says="mean distance to the nearest training row"),
    ]
    figures += [
        (_recorded(one, "frechet_distance", "floor"), number),
        (_recorded(one, "generalization_score", "reference"), number),
    ]
    rows = [
        Row([words(who), *(Cell(told(pair[i]), pair[i]) for pair, told in figures)])
        for i, who in enumerate(("generation 1", "held-out real rows"))
    ]
    caption = f"Did the generator learn?{' Means over seeds' if len(one) > 1 else ''}"
    return Table(name, caption, columns, rows)


def _recorded(one: pd.DataFrame, column: str, beside: str) -> Pair:
    return float(one[column].mean()), float(one[f"{column}_{beside}"].mean())


def _shares(view: StudyView, arm: str, seed: int) -> tuple[list[float], list[float]] | None:
    """Return precision and coverage, each of a run's samples and of real rows.

    None where the held-out rows are too few.
    """
    extractor, held_out = view.extractor(seed), view.real_rows(seed)[1]
    half = len(held_out) // 2
    samples = view.samples(arm, seed, 1)
    n = min(len(samples), len(held_out) - half, ROWS)

    def real(index: Array) -> Array:
        return extractor(np.asarray(view.real.data[index]))

    judges = real(held_out[:half][:ROWS])
    try:
        both = [
            Sets(generated=rows, reference=judges)
            for rows in (extractor(samples[:n]), real(held_out[half : half + n]))
        ]
        precision = [float((balls(sets) > 0).mean()) for sets in both]
        coverage = [float(coverage_rows_of(sets).mean()) for sets in both]
    except InputError:
        return None
    return precision, coverage
