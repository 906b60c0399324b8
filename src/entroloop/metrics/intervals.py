"""Values of metrics, each with a 95 % interval by a method that suits it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import cached_property

import numpy as np

from entroloop.errors import InputError
from entroloop.metrics.entropy import has_near_copies
from entroloop.metrics.halves import halvings
from entroloop.metrics.metric import WIDE, Metric, RowStatistic
from entroloop.metrics.sets import ROLES, Sets
from entroloop.metrics.table import METRICS
from entroloop.samples import Float64
from entroloop.seeding import rng_for
from entroloop.system.threads import in_threads, products_in_one_thread, threads_here

DRAWS = 1000  # bootstrap resamples
SPLITS = 20  # of all sets in halves
T_QUANTILE = 2.086  # 97.5 %, at as many degrees of freedom as there are splits
PAIRS = 100  # nearest pairs listed

Interval = tuple[float, float] | None


def wilson(share: float, n: int) -> tuple[float, float]:
    """Return the 95 % score interval of a share of n rows (Wilson 1927)."""
    z = 1.96
    middle = (share + z * z / (2 * n)) / (1 + z * z / n)
    half = z * math.sqrt(share * (1 - share) / n + z * z / (4 * n * n)) / (1 + z * z / n)
    return max(min(middle - half, share), 0.0), min(max(middle + half, share), 1.0)


class Taker:
    """Compute metrics of one group of sets; draws and half-samples are made only once.

    common: the sets, each cut down to the size of the smallest, where a draw of these is at hand.
    halving: whether to take the intervals that need half-samples, forty times the work of a value.
    """

    def __init__(self, sets: Sets, *, common: Sets | None = None, halving: bool = True) -> None:
        self.sets, self._common, self.halving = sets, common, halving

    @cached_property
    def common(self) -> Sets:
        """The sets, each cut down by a draw to the size of the smallest."""
        if self._common is not None:
            return self._common
        n = min(self.sets.sizes().values())
        return self.sets.drawn(n, rng_for(self.sets.seed, 0, "common"))

    @cached_property
    def halves(self) -> list[tuple[Sets, Sets]]:
        """The common sets, split in two halves again and again."""
        rng = rng_for(self.sets.seed, 0, "halves")
        return halvings(self.common, rng, SPLITS)

    @cached_property
    def halves_given_train(self) -> list[tuple[Sets, Sets]]:
        """The same, but the training set stays whole: half of it would lack half of the copied."""
        rng = rng_for(self.sets.seed, 0, "halves")
        return halvings(self.common, rng, SPLITS, whole=("train",))

    def take(self, metric: Metric, asked_for: bool) -> tuple[float, Interval, str]:
        """Return the value, interval and note of a metric."""
        wide = self.sets["generated"].shape[1] > WIDE
        if "probabilities" in metric.needs and not self.sets.has("probabilities"):
            return math.nan, None, "these features have no class probabilities"
        if metric.wide == "on request" and wide and not asked_for:
            return math.nan, None, f"takes minutes at d > {WIDE}: ask for it by name"
        try:
            with _unsaid():
                if metric.rows is not None:
                    value, interval, note = self._of_rows(metric)
                else:
                    halving = self.halving and not (metric.wide and wide)
                    value, interval, note = self._of_sets(metric, halving)
        except InputError as error:
            if asked_for:
                raise
            return math.nan, None, str(error)
        except (np.linalg.LinAlgError, MemoryError) as error:
            reason = f"cannot be computed for these rows ({error}); rescale them or use fewer"
            if asked_for:
                raise InputError(reason) from None
            return math.nan, None, reason
        if interval is not None:
            low, high = metric.bounds
            interval = (max(interval[0], low), min(interval[1], high))
        return value, interval, note

    def hubness(self) -> float:
        """Return the hubness of the common rows, or NaN if it is undefined."""
        try:
            return METRICS["hubness"].value(self.common)
        except InputError:
            return math.nan

    def _of_rows(self, metric: Metric) -> tuple[float, Interval, str]:
        """Compute the interval of the expectation over new rows of one role, given the others."""
        assert metric.rows is not None
        rows: RowStatistic = metric.rows(self.sets if metric.every_row else self.common)
        values = rows.values
        if len(values) < 8:
            return rows.statistic(values), None, f"{len(values)} rows; no interval"
        if metric.bounds[0] == 0 and math.isfinite(metric.bounds[1]):
            return self._of_counts(values, metric)
        rng = rng_for(self.sets.seed, 0, "bootstrap")
        if rows.resampled is not None:
            drawn = rows.resampled(rng, DRAWS)
        else:
            drawn = np.array([
                rows.statistic(values[rng.integers(len(values), size=len(values))])
                for _ in range(DRAWS)
            ])  # fmt: skip
        low, high = np.nanpercentile(drawn, [2.5, 97.5])
        note = f"{len(values)} rows; interval: {_given(metric)} (bootstrap)"
        return rows.statistic(values), (float(low), float(high)), note

    def _of_counts(self, flags: Float64, metric: Metric) -> tuple[float, Interval, str]:
        """Use the score interval of a share: a bootstrap of no hits has no width."""
        n, share, top = len(flags), float(flags.mean()), metric.bounds[1]
        low, high = wilson(share, n)
        interval = (top * low, top * high)
        return top * share, interval, f"{n} rows; interval: {_given(metric)} (Wilson)"

    def _of_sets(self, metric: Metric, interval: bool) -> tuple[float, Interval, str]:
        """Compute the interval of the expectation at this n, from halves of all sets.

        Halves, since a bootstrap would repeat rows, and repeated rows have distance 0. They are
        independent: with values a and b, E[((a − b)/2)²] is half the variance at n/2 rows, which
        is the variance at n where it falls as 1/n, as that of neighbours does. A smooth function
        of moments has V₁ + V₂ with V₁ ∝ 1/n and V₂ ∝ 1/n² (Hoeffding 1948), and V₂ is all there
        is where two sets are alike; the former gives V₁ + 2 V₂. Over splits of the same rows
        (a + b)/2 then has the variance V₂, since in first order two halves add up to the whole:
        that is taken off.
        """
        sets = self.sets if metric.every_row else self.common
        own = {role: len(sets[role]) for role in _roles(metric, sets)}
        n = min(own.values())
        value = metric.value(sets)
        note = f"{n} rows" if len(own) == 1 else f"{n} rows of each set"
        if max(own.values()) > n:
            note = " and ".join(f"{number} {role}" for role, number in own.items()) + " rows"
        if more := metric.note(sets):
            note += f"; {more}"
        if metric.counted:
            return value, None, f"{note}; no interval"
        if n < metric.fewest or not math.isfinite(value) or not interval:
            return value, None, f"{note}; no interval"
        if metric.pairs_within and has_near_copies(sets.own(metric.pairs_within)):
            return value, None, f"{note}; rows are near-copies of one another: no interval"
        if metric.error is not None:
            half_width = T_QUANTILE * metric.error(sets)
            if not math.isfinite(half_width):
                return value, None, f"{note}; no interval"
            note += f"; interval: {_given(metric)} (by its standard error)"
            return value, (value - half_width, value + half_width), note
        given = {"generated", "train"} <= set(metric.needs)
        try:
            splits = self.halves_given_train if given else self.halves
            halves = _values(metric, splits)
        except InputError as error:  # halves may be too small when the whole is not
            return value, None, f"{note}; no interval: {error}"
        variance = float(np.square(halves[:, 0] - halves[:, 1]).mean() / 4)
        second = float(halves.mean(axis=1).var(ddof=1))
        variance -= min(metric.smooth * second, variance / 2)
        if not math.isfinite(variance):
            return value, None, f"{note}; no interval"
        half_width = T_QUANTILE * math.sqrt(variance)
        low, high = value - half_width, value + half_width
        if metric.bounds == (0.0, 1.0):  # a share near 0 or 1 does not vary from half to half
            share = wilson(value, n)
            low, high = min(low, share[0]), max(high, share[1])
        target = "the expectation at this n" + (", given train" if given else "")
        note += f"; interval: {target} ({SPLITS} splits in halves)"
        return value, (low, high), note

    def floor(self, metric: Metric) -> tuple[float | None, int]:
        """Return a metric of two disjoint draws from the reference, and their number of rows.

        As many rows as the metric was taken on, if the reference has twice as many.
        """
        named = [METRICS[name] for name in metric.beside if name.endswith("_floor")]
        if not named or not self.sets.has("reference") or len(self.sets["reference"]) < 16:
            return None, 0
        rows = self.sets["reference"]
        m = min(*self.sets.sizes().values(), len(rows) // 2)
        order = rng_for(self.sets.seed, 0, "floor").permutation(len(rows))
        first, second = (rows[np.sort(at)] for at in (order[:m], order[m : 2 * m]))
        try:
            return named[0].value(Sets(real=first, reference=second, seed=self.sets.seed)), m
        except (InputError, np.linalg.LinAlgError):
            return None, 0

    def pairs(self, metric: Metric) -> tuple[list[tuple[int, int, float]], int]:
        """Return the pairs that trigger a metric most strongly, and the total number of pairs."""
        if metric.pairs is None:
            return [], 0
        try:
            strength = metric.pairs(self.sets)
        except InputError:
            return [], 0
        found = self.sets.nearest("generated", "train_whole")
        flagged = np.flatnonzero(strength > -np.inf)
        d = found.distances[:, 0]
        order = flagged[np.lexsort((d[flagged], -strength[flagged]))][:PAIRS]
        told = [(int(i), int(found.indices[i, 0]), float(d[i])) for i in order]
        return told, len(flagged)


def _unsaid() -> np.errstate:
    """Return a context in which floating-point arithmetic warns of nothing."""
    return np.errstate(over="ignore", invalid="ignore", under="ignore", divide="ignore")


@products_in_one_thread()
def _values(metric: Metric, splits: Sequence[tuple[Sets, Sets]]) -> Float64:
    """Return a metric of both halves of every split, (splits, 2)."""
    values = np.empty((len(splits), 2))

    def take(number: int) -> None:
        with _unsaid():  # each thread has its own
            values[number] = [metric.value(half) for half in splits[number]]

    take(0)  # finds what all halves look up in the whole
    threads = threads_here() if splits[0][0].device == "cpu" else 1
    in_threads(take, range(1, len(splits)), threads)
    return values


def _given(metric: Metric) -> str:
    """Say what an interval covers that comes from new rows of some roles only."""
    others = [role for role in metric.needs if role not in metric.resampled]
    given = f", given {' and '.join(others)}" if others else ""
    return f"the expectation over new {metric.resampled} rows{given}"


def _roles(metric: Metric, sets: Sets) -> list[str]:
    """Return the roles whose rows a metric takes, as features or as they were before."""
    found = dict.fromkeys(need.partition(" ")[0] for need in metric.needs)
    return [role for role in found if role in ROLES and sets.has(role)]
