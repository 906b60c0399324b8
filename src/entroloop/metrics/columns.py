"""Tables column by column: marginal distributions, what columns share, and rare categories.

Rows are encoded as `modalities.table.Schema` says.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from entroloop.metrics.sets import Sets
from entroloop.modalities.table import Schema
from entroloop.samples import Array, Float64

RARE = 0.05  # of the reference's rows: categories below this are rare


def marginal_distances(*, generated: Array, reference: Array, schema: Schema) -> Float64:
    """Return how far each column's distribution is from the reference's, in 0 … 1.

    Numbers: the Kolmogorov–Smirnov distance, the largest difference of the distribution functions.
    Categories: the total variation distance, half the sum of differences of shares.
    """
    found = []
    for column, (start, stop) in zip(schema.columns, schema.places, strict=True):
        a, b = (rows[:, start:stop].astype(np.float64) for rows in (generated, reference))
        if column.categories:
            found.append(np.abs(_shares(a) - _shares(b)).sum() / 2)
        else:
            found.append(_kolmogorov_smirnov(a[:, 0], b[:, 0]))
    return np.array(found)


def correlation_drift(*, generated: Array, reference: Array, schema: Schema) -> float:
    """Return the mean absolute difference of `associations` over all pairs of columns.

    NaN for a table of one column.
    """
    ours, theirs = (associations(rows, schema) for rows in (generated, reference))
    pairs = np.triu_indices(len(ours), 1)
    return float(np.abs(ours - theirs)[pairs].mean()) if len(ours) > 1 else float("nan")


def associations(rows: Array, schema: Schema) -> Float64:
    """Return what each pair of columns shares, (columns, columns).

    Two of numbers: Pearson's correlation, −1 … 1. A number and categories: the correlation ratio,
    the root of the share of variance between categories. Two of categories: Cramér's V. A column
    that does not vary shares nothing.
    """
    x = rows.astype(np.float64)
    n = len(schema.columns)
    found = np.eye(n)
    for i in range(n):
        for j in range(i):
            found[i, j] = found[j, i] = _association(x, schema, i, j)
    return found


def rare_categories(*, generated: Array, reference: Array, schema: Schema) -> float:
    """Return how much of the reference's rare categories generated rows still have, in 0 … 1.

    Over all categories with a share q below 5 % in the reference, p in the generated rows:
    Σ min(p, q)/Σ q. 1: none is rarer than it was; 0: all are lost. NaN without rare categories.
    """
    kept = whole = 0.0
    for start, stop in schema.groups:
        p, q = (_shares(rows[:, start:stop].astype(np.float64)) for rows in (generated, reference))
        rare = (q > 0) & (q < RARE)
        kept += float(np.minimum(p, q)[rare].sum())
        whole += float(q[rare].sum())
    return kept / whole if whole else float("nan")


def marginal_drift_of(sets: Sets) -> float:
    """Return the mean of `marginal_distances` over columns."""
    found = marginal_distances(
        generated=sets.original("generated"), reference=sets.original("reference"),
        schema=sets.schema,
    )  # fmt: skip
    return float(found.mean())


def correlation_drift_of(sets: Sets) -> float:
    """See `correlation_drift`."""
    return correlation_drift(
        generated=sets.original("generated"), reference=sets.original("reference"),
        schema=sets.schema,
    )  # fmt: skip


def rare_categories_of(sets: Sets) -> float:
    """See `rare_categories`."""
    return rare_categories(
        generated=sets.original("generated"), reference=sets.original("reference"),
        schema=sets.schema,
    )  # fmt: skip


def _shares(group: Float64) -> Float64:
    """Return the share of rows that have each category."""
    return np.bincount(group.argmax(axis=1), minlength=group.shape[1]) / len(group)


def _kolmogorov_smirnov(a: Float64, b: Float64) -> float:
    at = np.concatenate([a, b])
    ours, theirs = (np.searchsorted(np.sort(x), at, side="right") / len(x) for x in (a, b))
    return float(np.abs(ours - theirs).max())


def _association(x: Float64, schema: Schema, i: int, j: int) -> float:
    parts = [x[:, slice(*schema.places[k])] for k in (i, j)]
    kinds = [bool(schema.columns[k].categories) for k in (i, j)]
    if all(kinds):
        return _cramers_v(*parts)
    if any(kinds):
        number, group = parts if kinds[1] else parts[::-1]
        return _correlation_ratio(number[:, 0], group.argmax(axis=1))
    a, b = (part[:, 0] - part[:, 0].mean() for part in parts)
    size = np.sqrt((a @ a) * (b @ b))
    return float(a @ b / size) if size > 0 else 0.0


def _correlation_ratio(number: Float64, category: NDArray[np.int64]) -> float:
    whole = np.square(number - number.mean()).sum()
    if whole <= 0:
        return 0.0
    counts = np.bincount(category)
    means = np.bincount(category, number) / np.maximum(counts, 1)
    between = (counts * np.square(means - number.mean())).sum()
    return float(np.sqrt(min(between / whole, 1.0)))


def _cramers_v(a: Float64, b: Float64) -> float:
    counts = np.zeros((a.shape[1], b.shape[1]))
    np.add.at(counts, (a.argmax(axis=1), b.argmax(axis=1)), 1)
    counts = counts[counts.any(axis=1)][:, counts.any(axis=0)]
    smaller = min(counts.shape) - 1
    if not smaller:
        return 0.0
    expected = np.outer(counts.sum(axis=1), counts.sum(axis=0)) / counts.sum()
    chi2 = (np.square(counts - expected) / expected).sum()
    return float(np.sqrt(chi2 / (counts.sum() * smaller)))
