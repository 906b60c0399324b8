"""A Gaussian copula: columns keep their distributions, normal scores carry what they share."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict
from safetensors.numpy import load_file, save_file
from scipy.special import ndtr, ndtri

from entroloop.generators.row_format import RowFormat, read_row_format, write_settings
from entroloop.samples import Array, Float64, SampleSet
from entroloop.seeding import normal_rows
from entroloop.system.progress_line import Progress

Groups = tuple[tuple[int, int], ...]


class GaussianCopula(BaseModel):
    """Settings: none.

    Of n rows each column has the quantile function through its values in order: linear between
    them where more than half are different, by steps where they repeat; so no value lies beyond
    those that were seen. A column of categories is one step function, with the categories in the
    order in which the first principal component of the other columns has its means. Scores are
    E[z | value] of a standard normal z, and correlations are cov(s, t)/(var s · var t), which is
    that of the z exactly where at most one of the two columns repeats values, and to first order
    else; then made positive semidefinite.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)
    SAMPLING: ClassVar[tuple[str, ...]] = ()
    needs_previous: ClassVar[bool] = False
    name: Literal["gaussian_copula"] = "gaussian_copula"

    def fit(
        self,
        training_set: SampleSet,
        *,
        seed: int,
        device: str,
        threads: int,
        progress: Progress,
        scratch: Path | None = None,
        previous: Path | None = None,
    ) -> GaussianCopulaModel:
        """Return the estimate; seed, device and threads have no effect."""
        row_format = RowFormat.of(training_set.data)
        x = row_format.encode(training_set.data, np.float64)
        groups = training_set.groups
        order = _order(x, groups)
        codes = _as_codes(x, groups, order)
        factor = _factor(np.stack([_scores(column) for column in codes.T], axis=1))
        progress(1, 1)
        return GaussianCopulaModel(row_format, np.sort(codes, axis=0), factor, groups, order)

    def stored_bytes(self, shape: tuple[int, ...], rows: int) -> int:
        """Return the size of the sorted columns and the factor, float64."""
        d = math.prod(shape)
        return 8 * d * (rows + d)

    def load(self, folder: Path, *, device: str, threads: int) -> GaussianCopulaModel:
        """Read a model that `GaussianCopulaModel.save` wrote."""
        tensors = load_file(folder / "copula.safetensors")
        groups = tuple((int(a), int(b)) for a, b in tensors["groups"])
        order = [tensors[f"order.{i}"] for i in range(len(groups))]
        return GaussianCopulaModel(
            read_row_format(folder), tensors["values"], tensors["factor"], groups, order
        )


@dataclass(frozen=True)
class GaussianCopulaModel:
    """Columns in order (n, c), the factor (c, c) of the scores' correlations, and the groups.

    A group of columns that stand for one category each is one column of codes, at the place of its
    first; order: for each group, the category that each code stands for.
    """

    class_shares: ClassVar[None] = None

    row_format: RowFormat
    values: Array
    factor: Array
    groups: Groups
    order: list[Array]
    batch: int = 256

    def sample(self, seeds: Sequence[int], labels: Array | None = None) -> Array:
        """Return the quantiles at Φ(factor z), with z standard normal, drawn by each seed."""
        z = normal_rows(seeds, self.factor.shape[0]).astype(np.float64) @ self.factor.T
        u = ndtr(z)
        codes = np.stack(
            [_quantiles(self.values[:, j], u[:, j]) for j in range(self.values.shape[1])], axis=1
        )
        return self.row_format.decode(_from_codes(codes, self.groups, self.order))

    def save(self, folder: Path) -> None:
        """Write copula.safetensors and model.json."""
        tensors = {
            "values": np.ascontiguousarray(self.values),
            "factor": np.ascontiguousarray(self.factor),
            "groups": np.array(self.groups, dtype=np.int64).reshape(-1, 2),
        }
        tensors |= {f"order.{i}": np.asarray(order) for i, order in enumerate(self.order)}
        save_file(tensors, folder / "copula.safetensors")
        write_settings(folder, self.row_format, generator="gaussian_copula")


def _starts(d: int, groups: Groups) -> list[int]:
    """Return the columns that are no group's, and the first of each group, in their order."""
    within = {j for start, stop in groups for j in range(start + 1, stop)}
    return [j for j in range(d) if j not in within]


def _order(x: Float64, groups: Groups) -> list[NDArray[np.int64]]:
    """Return the categories of each group by their means of the first principal component.

    Of all columns but the group's own, over their deviations; categories that no row has come last.
    """
    found = []
    for start, stop in groups:
        others = np.delete(x, np.arange(start, stop), axis=1)
        line = np.zeros(len(x))
        if others.size:
            deviation = others.std(axis=0)
            scaled = (others - others.mean(axis=0)) / np.where(deviation > 0, deviation, 1)
            direction = np.linalg.eigh(scaled.T @ scaled)[1][:, -1]
            line = scaled @ direction * np.sign(direction[np.abs(direction).argmax()] or 1)
        chosen = x[:, start:stop].argmax(axis=1)
        means = [
            line[chosen == c].mean() if (chosen == c).any() else np.inf for c in range(stop - start)
        ]
        found.append(np.argsort(means, kind="stable").astype(np.int64))
    return found


def _as_codes(x: Float64, groups: Groups, order: Sequence[Array]) -> Float64:
    """Return rows with each group as one column: the place of its category in the order."""
    codes = x.copy()
    for (start, stop), own in zip(groups, order, strict=True):
        codes[:, start] = np.argsort(own)[x[:, start:stop].argmax(axis=1)]
    return codes[:, _starts(x.shape[1], groups)]


def _from_codes(codes: Float64, groups: Groups, order: Sequence[Array]) -> Float64:
    """Return rows with groups in place of their codes; ½ for the category, see `Schema`."""
    d = codes.shape[1] + sum(stop - start - 1 for start, stop in groups)
    rows = np.zeros((len(codes), d))
    rows[:, _starts(d, groups)] = codes
    for (start, stop), own in zip(groups, order, strict=True):
        category = own[rows[:, start].astype(np.int64)]
        rows[:, start:stop] = 0.5 * (np.arange(stop - start) == category[:, None])
    return rows


def _repeats(ordered: Float64) -> bool:
    """Return whether at most half of the values of a sorted column are different."""
    return bool(2 * (1 + np.count_nonzero(np.diff(ordered))) <= len(ordered))


def _scores(column: Float64) -> Float64:
    """Return E[z | value] for each value: (φ(a) − φ(b))/(Φ(b) − Φ(a)) over its share [a, b]."""
    _, inverse, counts = np.unique(column, return_inverse=True, return_counts=True)
    edges = ndtri(np.concatenate([[0], counts.cumsum()]) / len(column))
    density = np.exp(-np.square(edges) / 2) / np.sqrt(2 * np.pi)
    scores: Float64 = (-np.diff(density) * len(column) / counts)[inverse]
    return scores


def _factor(scores: Float64) -> Float64:
    """Return F with F Fᵀ the nearest correlations, by clipped eigenvalues, to those of z."""
    centred = scores - scores.mean(axis=0)
    covariance = centred.T @ centred / len(scores)
    variances = np.diag(covariance)
    constant = variances <= 1e-12
    safe = np.where(constant, 1, variances)
    correlation = np.clip(covariance / np.outer(safe, safe), -1, 1)
    np.fill_diagonal(correlation, 1)
    values, vectors = np.linalg.eigh(correlation)
    factor = vectors * np.sqrt(np.clip(values, 0, None))
    unit: Float64 = factor / np.linalg.norm(factor, axis=1, keepdims=True)
    return unit


def _quantiles(ordered: Float64, u: Float64) -> Float64:
    """Return the quantiles of a sorted column: by steps if values repeat, else linear."""
    n = len(ordered)
    if _repeats(ordered):
        return np.asarray(ordered[np.minimum((u * n).astype(np.int64), n - 1)])
    return np.asarray(np.interp(u * n - 0.5, np.arange(n), ordered))
