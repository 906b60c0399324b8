"""Tables of data on a study's page: samples, and how far each column has drifted in each arm."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from entroloop.metrics.columns import marginal_distances
from entroloop.modalities.table import Schema
from entroloop.report.arms import ShownArm
from entroloop.report.page_tables import Cell, Column, Row, Table, figure, words
from entroloop.report.read import StudyView
from entroloop.samples import Array

SAMPLES = 3  # of each arm, of its last generation
MOST = 12  # columns of samples


def tabular_tables(number_: int, view: StudyView, arms: Sequence[ShownArm]) -> list[Table]:
    """Return the tables of a study of tables, none for others: samples, and drift by column."""
    schema = view.real.schema
    if schema is None:
        return []
    return [
        _samples(f"samples-{number_}", view, schema, arms),
        _drift(f"columns-{number_}", view, schema, arms),
    ]


def _samples(name: str, view: StudyView, schema: Schema, arms: Sequence[ShownArm]) -> Table:
    """Return real rows, then the first samples of each arm's last generation."""
    shown = schema.columns[:MOST]
    columns = [
        Column("arm", words=True),
        *(Column(c.name, words=bool(c.categories)) for c in shown),
    ]
    drawn = view.real_rows(arms[0].seed)[0][:SAMPLES]
    rows = _as_rows("real", view.real.data[drawn], schema, None)
    for arm in arms:
        last = np.asarray(arm.view.samples(arm.name, arm.seed, len(arm.keys))[:SAMPLES])
        rows += _as_rows(arm.label, last, schema, arm.index)
    caption = "Samples of the last generation, below real rows"
    if len(schema.columns) > MOST:
        caption += f"; {MOST} of {len(schema.columns)} columns"
    return Table(name, caption, columns, rows)


def _as_rows(label: str, rows: Array, schema: Schema, index: int | None) -> list[Row]:
    values = [schema.decoded(np.asarray(rows))[column.name] for column in schema.columns[:MOST]]
    return [
        Row([words(label), *(_cell(column[i]) for column in values)], index)
        for i in range(len(rows))
    ]


def _cell(value: object) -> Cell:
    return words(value) if isinstance(value, str) else figure(float(value))  # type: ignore[arg-type]


def _drift(name: str, view: StudyView, schema: Schema, arms: Sequence[ShownArm]) -> Table:
    """Return each column's distance to the held-out rows, of real rows and of each arm."""
    columns = [
        Column("column", words=True), Column("real"), *(Column(a.label, arm=a.index) for a in arms)
    ]  # fmt: skip
    found = []
    for i, arm in enumerate(arms):
        train, held_out = (np.asarray(view.real.data[r]) for r in view.real_rows(arm.seed))
        samples = np.asarray(arm.view.samples(arm.name, arm.seed, len(arm.keys)))
        for rows in (samples,) if i else (train, samples):
            found.append(marginal_distances(generated=rows, reference=held_out, schema=schema))
    lines = [
        Row([words(column.name), *(figure(float(values[j])) for values in found)])
        for j, column in enumerate(schema.columns)
    ]
    caption = (
        "Distance of each column to held-out rows in the last generation: Kolmogorov–Smirnov of "
        "numbers, total variation of categories; real: of the real training rows"
    )
    return Table(name, caption, columns, lines)
