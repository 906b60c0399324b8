"""All metrics of up to three sets, each with a 95 % interval by a method that is sound for it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from entroloop.errors import InputError, unknown_name
from entroloop.metrics.entropy import duplicate_fraction, knn_entropy
from entroloop.metrics.moments import frechet_distance, total_variance
from entroloop.metrics.neighbourhood import authentic_rows, memorized_rows, nearest_distances
from entroloop.samples import Array, Float64, as_vectors, check_rows
from entroloop.seeding import rng_for

DRAWS = 1000  # of a bootstrap
HALVES = 20  # half-samples

Interval = tuple[float, float] | None


@dataclass(frozen=True)
class Measurement:
    """A metric's value, its 95 % interval or None, and what to know of both."""

    value: float
    interval: Interval
    note: str


@dataclass(frozen=True)
class Sets:
    """The three roles; each (n, d) in one feature space, or None."""

    generated: Array
    train: Array | None
    reference: Array | None

    def role(self, name: str) -> Array:
        """Return the rows of a role that is there."""
        rows = getattr(self, name)
        assert rows is not None
        return np.asarray(rows)


@dataclass(frozen=True)
class _Metric:
    """What a metric needs, and how it is taken of the sets with a seed."""

    needs: tuple[str, ...]
    take: Callable[[Sets, int], Measurement]


def measure(
    *,
    generated: Any,
    train: Any = None,
    reference: Any = None,
    metrics: Sequence[str] | None = None,
    seed: int = 0,
) -> dict[str, Measurement]:
    """Return the metrics of generated rows, by name, in the order of the table.

    generated, train, reference: (n, d) in one feature space. metrics: names (default: all that
    the given sets allow). Generalization scores, memorization and AuthPct use every row; what
    depends on the number of rows is taken on as many rows of each set as the smallest has, by a
    seeded draw, and its note says so.

    Raises InputError for sets of different width, bad rows, an unknown metric, or one that needs a
    set that was not given.
    """
    given = {"generated": generated, "train": train, "reference": reference}
    arrays = {name: as_vectors(np.asarray(x)) for name, x in given.items() if x is not None}
    for name, rows in arrays.items():
        check_rows(rows, name, minimum=2)
        if rows.shape[1] != arrays["generated"].shape[1]:
            raise InputError(
                f"generated has {arrays['generated'].shape[1]} values a row and {name} "
                f"{rows.shape[1]}; take both from one feature space"
            )
    for name in metrics or ():
        if name not in MEASURES:
            raise unknown_name("metric", name, MEASURES)
        missing = [role for role in MEASURES[name].needs if role not in arrays]
        if missing:
            raise InputError(f"the metric {name} needs the set '{missing[0]}', which is not given")
    wanted = metrics or [n for n, m in MEASURES.items() if set(m.needs) <= set(arrays)]
    sets = Sets(arrays["generated"], arrays.get("train"), arrays.get("reference"))
    return {name: MEASURES[name].take(sets, seed) for name in wanted}


def _of_rows(values: Float64, seed: int, resampled: str, scale: float = 1.0) -> Measurement:
    """Return the mean of one value a row; a bootstrap of those rows, the other set as it is."""
    rng = rng_for(seed, 0, "bootstrap")
    means = [values[rng.integers(len(values), size=len(values))].mean() for _ in range(DRAWS)]
    low, high = np.percentile(means, [2.5, 97.5])
    note = f"{len(values)} rows; interval: bootstrap of the {resampled} rows"
    return Measurement(
        scale * float(values.mean()), (scale * float(low), scale * float(high)), note
    )


def _of_sets(
    sets: Sets, roles: tuple[str, ...], statistic: Callable[..., float], seed: int
) -> Measurement:
    """Return a statistic of equally many rows of each set, with an interval from half-samples.

    Drawn without replacement, since a bootstrap repeats rows and repeated rows have distance 0.
    With halves the spread of the statistic is that at full size: √(b/n)/√(1 − b/n) = 1 at b = n/2
    (Politis & Romano 1994).
    """
    rng = rng_for(seed, 0, "halves")
    rows = [sets.role(role) for role in roles]
    n = min(map(len, rows))
    rows = [x if len(x) == n else x[np.sort(rng.choice(len(x), n, replace=False))] for x in rows]
    value = statistic(*rows)
    note = f"{n} rows of each set" if len(rows) > 1 else f"{n} rows"
    if n < 8 or not np.isfinite(value):
        return Measurement(value, None, f"{note}; no interval")
    halves = [statistic(*(x[rng.permutation(n)[: n // 2]] for x in rows)) for _ in range(HALVES)]
    half_width = 1.96 * float(np.std(halves, ddof=1))
    note += f"; interval: spread of {HALVES} half-samples"
    return Measurement(value, (value - half_width, value + half_width), note)


def _entropy(role: str) -> _Metric:
    def take(sets: Sets, seed: int) -> Measurement:
        others = [x for x in (sets.generated, sets.train) if x is not None]
        n = min(map(len, others))
        rows = sets.role(role)
        if len(rows) > n:
            rows = rows[np.sort(rng_for(seed, 0, "entropy").choice(len(rows), n, replace=False))]
        found = _of_sets(
            Sets(rows, None, None), ("generated",), lambda x: knn_entropy(x).nats, seed
        )
        whole = knn_entropy(rows)
        note = (
            f"{found.note}; d = {whole.d}, k = {whole.k}, duplicates "
            f"{whole.duplicate_fraction:.3g}, least distance {whole.min_distance:.3g}; only "
            "differences at the same n, d, k and features mean anything"
        )
        return Measurement(found.value, found.interval, note)

    return _Metric((role,), take)


def _pairs(
    roles: tuple[str, str], resampled: str, rows: Callable[..., Float64], scale: float = 1.0
) -> _Metric:
    def take(sets: Sets, seed: int) -> Measurement:
        first, second = (sets.role(role) for role in roles)
        return _of_rows(rows(first, second), seed, resampled, scale)

    return _Metric(roles, take)


def _whole(roles: tuple[str, ...], statistic: Callable[..., float]) -> _Metric:
    return _Metric(roles, lambda sets, seed: _of_sets(sets, roles, statistic, seed))


def _duplicates(sets: Sets, seed: int) -> Measurement:  # noqa: ARG001  # counted, not drawn
    rows = sets.role("train")
    return Measurement(duplicate_fraction(rows), None, f"{len(rows)} rows, counted: no interval")


MEASURES: dict[str, _Metric] = {
    "entropy_train": _entropy("train"),
    "entropy_samples": _entropy("generated"),
    "generalization_score": _pairs(("generated", "train"), "generated", nearest_distances),
    "generalization_score_reference": _pairs(
        ("reference", "train"), "reference", nearest_distances
    ),
    "memorized_fraction": _pairs(
        ("generated", "train"),
        "generated",
        lambda g, t: memorized_rows(generated=g, train=t).astype(np.float64),
    ),
    "auth_pct": _pairs(
        ("generated", "train"),
        "generated",
        lambda g, t: authentic_rows(generated=g, train=t).astype(np.float64),
        100.0,
    ),
    "frechet_distance": _whole(
        ("generated", "reference"), lambda g, r: frechet_distance(generated=g, reference=r)
    ),
    "coverage_distance": _whole(
        ("generated", "reference"), lambda g, r: float(nearest_distances(r, g).mean())
    ),
    "total_variance": _whole(("generated",), total_variance),
    "duplicate_fraction": _Metric(("train",), _duplicates),
}
