"""Tests of copying: C_T, feature likelihood divergence, memorization-informed Fréchet distance."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from entroloop.distances.neighbors import distinct_rows, nearest
from entroloop.distances.transforms import unit_rows
from entroloop.errors import InputError
from entroloop.metrics.moments import frechet_distance_of
from entroloop.metrics.sets import Sets
from entroloop.samples import Array, Float64
from entroloop.seeding import rng_for, seed_for
from entroloop.system.memory import blocks
from entroloop.system.threads import in_threads, products_in_one_thread, threads_here

CELL_ROWS = 50  # mean number of training rows per cell
LARGEST_CELLS = 20  # maximum number of cells
STEPS = 100  # maximum number of expectation-maximization steps
SMALLEST_VARIANCE = 1e-3  # of a component, in units of the training rows' variance
BLOCK_VALUES = 2**18  # of a product at once, in each thread: they stay in the cache between passes
SIMILAR = 0.1  # mean cosine distance below which MiFID applies its penalty


def c_t(*, generated: Array, train: Array, reference: Array, seed: int = 0) -> float:
    """Return the data-copying statistic C_T (Meehan et al. 2020); far below 0 means copying.

    k-means on the training rows divides space into cells. In each cell a Mann–Whitney test
    compares the distances of generated rows to their nearest training row in the cell with those
    of reference rows; C_T is the mean of its z, weighted by the cells' shares of reference rows.
    Cells with fewer than 2 generated or 2 reference rows are left out. Without copying, z is about
    N(0, 1) in each cell.

    Raises InputError if no cell is left.
    """
    sets = Sets(generated=generated, train=train, reference=reference, seed=seed)
    return c_t_of(sets).statistic()


@dataclass(frozen=True)
class Copying:
    """Each row's cell, and its distance to the nearest training row in that cell."""

    cells: Array
    distances: Float64
    reference_cells: Array
    reference_distances: Float64

    def statistic(self) -> float:
        """Return C_T."""
        ones = np.ones((1, len(self.cells))), np.ones((1, len(self.reference_cells)))
        value = float(self._weighted(*ones)[0])
        if not np.isfinite(value):
            raise InputError("C_T needs cells with 2 generated and 2 reference rows; none has both")
        return value

    def resampled(self, rng: np.random.Generator, draws: int) -> Float64:
        """Return C_T of bootstraps of both the generated and the reference rows, (draws,)."""
        counts = [
            np.empty((draws, n), dtype=np.int32)
            for n in (len(self.cells), len(self.reference_cells))
        ]
        for lines in counts:
            n = lines.shape[1]
            for line in lines:
                line[:] = np.bincount(rng.integers(n, size=n), minlength=n)
        return self._weighted(*counts)

    def _weighted(self, generated: Array, reference: Array) -> Float64:
        """Return C_T for each line of how often every generated and reference row counts."""
        total, weight = np.zeros(len(generated)), np.zeros(len(generated))
        for cell in np.unique(self.reference_cells):
            ours, theirs = self.cells == cell, self.reference_cells == cell
            levels, at = np.unique(
                np.concatenate([self.distances[ours], self.reference_distances[theirs]]),
                return_inverse=True,
            )
            # How many rows of each set lie at each distance, per line: U counts the pairs in which
            # the generated row is farther, and half of the ties.
            g = _summed(generated[:, ours], at[: ours.sum()], len(levels))
            r = _summed(reference[:, theirs], at[ours.sum() :], len(levels))
            m, n = g.sum(axis=1), r.sum(axis=1)
            u = (g * (r.cumsum(axis=1) - r / 2)).sum(axis=1)
            enough = (m >= 2) & (n >= 2)
            spread = np.sqrt(np.maximum(m * n * (m + n + 1), 1) / 12)
            total += np.where(enough, n * (u - m * n / 2) / spread, 0.0)
            weight += np.where(enough, n, 0.0)
        with np.errstate(invalid="ignore"):
            return np.asarray(total / np.where(weight > 0, weight, np.nan))


def _summed(counts: Array, at: Array, levels: int) -> Float64:
    """Return the sums of columns of counts that share a level, (lines, levels)."""
    order = np.argsort(at, kind="stable")
    starts = np.flatnonzero(np.diff(at[order], prepend=-1))
    found = np.zeros((levels, len(counts)))
    if len(at):
        found[at[order[starts]]] = np.add.reduceat(counts.T[order], starts, axis=0)
    return found.T


def c_t_of(sets: Sets, held_out: str = "reference") -> Copying:
    """Return the cells and distances from which C_T is computed, with the role held out."""
    from sklearn.cluster import KMeans

    train = sets["train_whole"]
    distinct = len(distinct_rows(train)[0])
    k = max(1, min(LARGEST_CELLS, len(train) // CELL_ROWS, distinct))
    seed = seed_for(sets.seed, 0, "cells") % 2**32
    fitted = KMeans(k, n_init=1, random_state=seed).fit(train.astype(np.float64))
    found: list[Array] = []
    for role in ("generated", held_out):
        rows = sets[role]
        cells = nearest(rows, fitted.cluster_centers_).indices[:, 0]
        distances = np.empty(len(rows))
        for cell in np.unique(cells):
            inside = cells == cell
            distances[inside] = nearest(rows[inside], train[fitted.labels_ == cell]).distances[:, 0]
        found += [cells, distances]
    return Copying(found[0], found[1], found[2], found[3])


def fld(*, generated: Array, train: Array, reference: Array, seed: int = 0) -> float:
    """Return the feature likelihood divergence (FLD): 0 for a perfect generator, larger is worse.

    Scores a mixture of Gaussians, centred at generated rows and with variances fitted to training
    rows, by the likelihood of reference rows (Jiralerspong et al. 2023):
    100/d · (ln p(reference | half of the training rows) − ln p(reference | generated)). Both
    mixtures have equally many centres, and their variances are fitted to the other half of the
    training rows. Copies get small variances and explain nothing new. Features are standardized by
    the training rows and variances come from expectation maximization, at least 1e-3, so figures
    are not comparable with those of other code.

    Raises InputError for fewer than 8 training rows.
    """
    sets = Sets(generated=generated, train=train, reference=reference, seed=seed)
    return float(fld_rows_of(sets).mean())


def fld_gap(*, generated: Array, train: Array, reference: Array, seed: int = 0) -> float:
    """Return FLD on training rows minus FLD on reference rows; below 0 means overfitting.

    100/d · (ln p(reference | generated) − ln p(training rows | generated)), on the half of the
    training rows that the variances were not fitted to.
    """
    sets = Sets(generated=generated, train=train, reference=reference, seed=seed)
    return fld_gap_of(sets)


def fld_rows_of(sets: Sets) -> Float64:
    """Return each reference row's term of `fld`, which is their mean."""
    held, fitted, generated, reference = _standardized(sets)
    perfect = _log_likelihood(reference, held, _variances(held, fitted))
    found = _log_likelihood(reference, generated, _variances(generated, fitted))
    result: Float64 = 100 / held.shape[1] * (perfect - found)
    return result


def fld_gap_of(sets: Sets) -> float:
    """See `fld_gap`."""
    held, fitted, generated, reference = _standardized(sets)
    variances = _variances(generated, fitted)
    new, seen = (_log_likelihood(x, generated, variances).mean() for x in (reference, held))
    return float(100 / held.shape[1] * (new - seen))


def _standardized(sets: Sets) -> tuple[Float64, Float64, Float64, Float64]:
    """Return two halves of the training rows, as many generated rows, and the reference rows."""
    train = sets["train_whole"].astype(np.float64)
    if len(train) < 8:
        raise InputError(f"likelihood divergence needs at least 8 training rows; got {len(train)}")
    mean, deviation = train.mean(axis=0), train.std(axis=0)
    deviation[deviation == 0] = 1.0
    rng = rng_for(sets.seed, 0, "likelihood")
    order = rng.permutation(len(train))
    half = min(len(train) // 2, len(sets["generated"]))
    drawn = rng.choice(len(sets["generated"]), half, replace=False)
    parts = (
        train[order[:half]],
        train[order[len(train) - len(train) // 2 :]],
        sets["generated"][drawn].astype(np.float64),
        sets["reference"].astype(np.float64),
    )
    held, fitted, generated, reference = ((x - mean) / deviation for x in parts)
    return held, fitted, generated, reference


def _variances(centres: Float64, rows: Float64) -> Float64:
    """Return each component's variance, fitted to rows by expectation maximization."""
    (n, d), k = rows.shape, len(centres)
    smallest = np.empty(n)

    def nearest_centre(part: slice, squares: Float64) -> None:
        smallest[part] = squares.min(axis=1)

    _in_blocks(rows, centres, nearest_centre)
    variances = np.full(k, max(float(smallest.mean()) / d, SMALLEST_VARIANCE))
    number_at = {part.start: i for i, part in enumerate(blocks(n, k, BLOCK_VALUES))}
    mass, new = np.empty((2, len(number_at), k))  # of each block, so that sums have one order

    def expect(part: slice, squares: Float64, share: Float64) -> None:
        number = number_at[part.start]
        share.sum(axis=0, out=mass[number])
        np.einsum("rk,rk->k", share, squares, out=new[number])

    before = -np.inf
    for _ in range(STEPS):
        now = float(_log_sums(rows, centres, variances, expect).mean())
        if now - before < 1e-4 * d:
            break
        before = now
        total = mass.sum(axis=0)
        found = new.sum(axis=0) / (d * np.maximum(total, 1e-300))
        # A component that explains no row keeps its variance.
        variances = np.where(total > 1e-12, np.maximum(found, SMALLEST_VARIANCE), variances)
    return variances


def _log_likelihood(x: Float64, centres: Float64, variances: Float64) -> Float64:
    found: Float64 = _log_sums(x, centres, variances) - np.log(len(centres))
    return found


def _log_sums(
    x: Float64,
    centres: Float64,
    variances: Float64,
    expect: Callable[[slice, Float64, Float64], None] | None = None,
) -> Float64:
    """Return ln Σ N(x; c, σ²) over all components (c, σ²), for each row of x.

    expect: takes a part of the rows, their squared distances to centres, and each component's share
    of them.
    """
    logs = np.empty(len(x))
    factors = -1 / (2 * variances)
    constants = -x.shape[1] / 2 * np.log(2 * np.pi * variances)

    def add(part: slice, squares: Float64) -> None:
        terms = squares * factors
        terms += constants
        top = terms.max(axis=1, keepdims=True)
        terms -= top
        sums = np.exp(terms, out=terms).sum(axis=1, keepdims=True)
        logs[part] = (top + np.log(sums))[:, 0]
        if expect is not None:
            terms /= sums
            expect(part, squares, terms)

    _in_blocks(x, centres, add)
    return logs


@products_in_one_thread()
def _in_blocks(x: Float64, centres: Float64, see: Callable[[slice, Float64], None]) -> None:
    """Hand over parts of rows with their squared distances to centres, in threads."""
    lengths = np.square(centres).sum(axis=1)

    def look(part: slice) -> None:
        squares = np.square(x[part]).sum(axis=1)[:, None] + lengths
        squares -= 2 * x[part] @ centres.T
        see(part, np.maximum(squares, 0, out=squares))

    in_threads(look, blocks(len(x), len(centres), BLOCK_VALUES), threads_here())


def mifid(*, generated: Array, train: Array, reference: Array) -> float:
    """Return the memorization-informed Fréchet distance (Bai et al. 2021).

    The Fréchet distance to reference rows, divided by m if m < 0.1 and unchanged otherwise; m is
    the mean cosine distance: the mean over generated of min over train of 1 − |cos|.

    Raises InputError for a row of length 0.
    """
    return mifid_of(Sets(generated=generated, train=train, reference=reference))


def mifid_of(sets: Sets) -> float:
    """See `mifid`."""
    distance = float(cosine_distances(sets).mean())
    return frechet_distance_of(sets) / (distance + 1e-14 if distance < SIMILAR else 1.0)


def cosine_distances(sets: Sets) -> Float64:
    """Return 1 − |cos| between each generated row and the training row most similar to it."""
    return sets.given_train("cosine distances", _cosine_distances)


@products_in_one_thread()
def _cosine_distances(sets: Sets) -> Float64:
    g, t = (
        unit_rows(sets[role], refused=f"the cosine distance of {role}")
        for role in ("generated", "train_whole")
    )
    most = np.empty(len(g))

    def look(part: slice) -> None:
        cosines = g[part] @ t.T
        most[part] = np.abs(cosines, out=cosines).max(axis=1)

    in_threads(look, blocks(len(g), len(t), BLOCK_VALUES), threads_here())
    return np.maximum(1 - most, 0)
