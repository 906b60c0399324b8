"""What is known of the real rows: found once, and kept between updates."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from entroloop.errors import InputError, unknown_name
from entroloop.metrics.intervals import Taker
from entroloop.metrics.measure import Measurement
from entroloop.metrics.sets import Sets, drawn_of
from entroloop.metrics.table import HUBS, METRICS
from entroloop.monitor.onset import SIGNS, Gap, gap
from entroloop.samples import Array, Float64
from entroloop.seeding import rng_for

ROLES = {"generated", "train", "reference"}


class Real:
    """The real rows in the feature space, and what n samples are compared with.

    held_out: by metric, what held-out rows have in the place of n samples; where the metric itself
    compares with held-out rows, two disjoint draws of them. note: a warning about the space.
    """

    def __init__(self, sets: Sets, metrics: Sequence[str], n: int) -> None:
        self._sets, self._metrics = sets, metrics
        smallest, rng = min(n, *sets.sizes().values()), rng_for(sets.seed, 0, "common")
        self._of_samples = drawn_of(n, smallest, rng)  # in the order in which `measure` draws
        self._drawn = sets.drawn(smallest, rng)
        held_out = sets.joined_by(sets["reference"])
        taker = self._taker(held_out, slice(smallest))
        apart = Taker(_apart(sets, n), halving=False)
        self.held_out = {
            name: _taken(apart if "reference" in METRICS[name].needs else taker, name)
            for name in metrics
        }
        self._values = {name: _row_values(name, held_out) for name in SIGNS if name in metrics}
        hubness = taker.hubness()
        self.note = f"hubness {hubness:.2g}: distrust neighbours here" if hubness > HUBS else ""

    def compare(self, generated: Array) -> tuple[dict[str, Measurement], dict[str, Gap]]:
        """Return the metrics of generated rows, and how far they are memorized."""
        sets = self._sets.joined_by(generated)
        taker = self._taker(sets, self._of_samples)
        found = {name: _taken(taker, name) for name in self._metrics}
        gaps = {
            name: gap(name, _row_values(name, sets), held_out)
            for name, held_out in self._values.items()
        }
        return found, gaps

    def _taker(self, sets: Sets, some: Array | slice) -> Taker:
        """Return what measures joined sets; some: the rows, of those that join, that are as many as
        the smallest set has. Halves would take forty times as long.
        """
        common = self._drawn.joined_by(sets["generated"][some])
        return Taker(sets, common=common, halving=False)


def check_metrics(names: Sequence[str]) -> list[str]:
    """Return metric names; raise InputError for one that is unknown or not of samples."""
    for name in [names] if isinstance(names, str) else names:
        if name not in METRICS:
            raise unknown_name("metric", name, METRICS)
        needs = set(METRICS[name].needs)
        if "generated" not in needs or not needs <= ROLES:
            raise InputError(
                f"a monitor cannot take the metric {name}: it needs {' and '.join(sorted(needs))}"
            )
    return [names] if isinstance(names, str) else list(names)


def _apart(sets: Sets, n: int) -> Sets:
    """Return held-out rows in the place of n samples, others of them as the reference."""
    rows = sets["reference"]
    m = min(n, len(rows) // 2)
    order = rng_for(sets.seed, 0, "floor").permutation(len(rows))
    first, second = (rows[np.sort(at)] for at in (order[:m], order[m : 2 * m]))
    return Sets(
        generated=first, train=sets["train"], reference=second, seed=sets.seed, device=sets.device
    )


def _taken(taker: Taker, name: str) -> Measurement:
    """Return a metric; NaN, with the reason as its note, where these rows have none."""
    return Measurement(*taker.take(METRICS[name], asked_for=False), METRICS[name].comparable)


def _row_values(name: str, sets: Sets) -> Float64:
    rows = METRICS[name].rows
    assert rows is not None
    return rows(sets).values
