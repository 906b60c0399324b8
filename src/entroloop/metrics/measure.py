"""All metrics of up to three sets, as `measure` tells them."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from entroloop.errors import InputError
from entroloop.metrics.intervals import Interval, Taker
from entroloop.metrics.metric import BESIDES, Metric
from entroloop.metrics.sets import Sets
from entroloop.metrics.table import BY_NEIGHBOURS, HUBS, METRICS
from entroloop.plugins import blamed
from entroloop.samples import Array
from entroloop.system.notebook import rows_table
from entroloop.system.numbers import number, with_interval
from entroloop.system.progress_line import ProgressOf, no_progress_of


@dataclass(frozen=True)
class Measurement:
    """A metric's value, its 95 % interval or None, and a note on both.

    comparable: the figures it can be compared with. seconds: the time taken; a search shared by
    several metrics counts for the first. pairs: (generated row, training row, distance), most
    memorized first, for metrics of copying. floor: for the Fréchet and kernel distances and
    coverage, what two disjoint draws of reference rows have; the note names their number.
    """

    value: float
    interval: Interval
    note: str
    comparable: str = ""
    seconds: float = 0.0
    pairs: list[tuple[int, int, float]] = field(default_factory=list)
    floor: float | None = None


class Measurements(dict[str, Measurement]):
    """Measurements by the name of their metric."""

    def _repr_html_(self) -> str:
        """Return them as a table, for notebooks."""
        rows = [
            (
                name,
                with_interval(found.value, found.interval),
                "" if found.floor is None else number(found.floor),
                METRICS[name].says,
                found.note,
            )
            for name, found in self.items()
        ]
        headings = ("metric", "value [95 % interval]", "real rows", "says", "note")
        return rows_table("Measurements", headings, rows)


def measure(
    *,
    generated: Any,
    train: Any = None,
    reference: Any = None,
    probabilities: Any = None,
    originals: Mapping[str, Array] | None = None,
    as_images: Callable[[Array], Array] | None = None,
    metrics: Sequence[str] | None = None,
    seed: int = 0,
    device: str = "cpu",
    progress_of: ProgressOf = no_progress_of,
) -> Measurements:
    """Return what `commands.measure.measure` says, of rows (n, d) that lie in one feature space.

    originals, as_images: see `Sets`, where rows stand for texts or images.
    """
    sets = Sets(
        generated=generated,
        train=train,
        reference=reference,
        probabilities=probabilities,
        originals=originals,
        as_images=as_images,
        seed=seed,
        device=device,
    )
    for role, n in sets.sizes().items():
        if n < 2:
            raise InputError(f"{role} holds {n} rows; at least 2 are needed")
    for name in metrics or ():
        needs = METRICS.find(name).needs
        missing = [r for r in needs if r not in BESIDES and not sets.has(r)]
        if missing:
            raise InputError(f"the metric {name} needs the set '{missing[0]}', which is not given")
    own = [name for name in METRICS.own if _by_default(METRICS[name], sets)]
    asked = list(metrics) if metrics else own  # what is installed changes no output unasked
    asked = with_nulls(asked, sets)
    taker = Taker(sets)
    found = Measurements()
    for done, name in enumerate(asked):
        progress_of(name)(done, len(asked))
        start = time.perf_counter()
        with blamed(METRICS.plugin(name)):
            value, interval, note = taker.take(METRICS[name], asked_for=metrics is not None)
            floor, at = taker.floor(METRICS[name])
            pairs, of = taker.pairs(METRICS[name])
        if floor is not None:
            note += f"; real against real, at {at} rows: {number(floor)}"
        if of > len(pairs):
            note += f"; the first {len(pairs)} of {of} pairs are listed"
        found[name] = Measurement(
            value,
            interval,
            note,
            METRICS[name].comparable,
            round(time.perf_counter() - start, 3),
            pairs,
            floor,
        )
    near = set(BY_NEIGHBOURS) & set(found)
    skewness = taker.hubness() if near else 0.0
    if skewness > HUBS:
        warning = (
            f"; hubness {number(skewness)}: few rows are everyone's neighbours in this "
            "space, so distrust this metric"
        )
        for name in near:
            found[name] = replace(found[name], note=found[name].note + warning)
        if "density" in found:  # 80 % of its intervals held the truth there
            found["density"] = replace(found["density"], interval=None)
    return found


def with_nulls(names: Sequence[str], sets: Sets) -> list[str]:
    """Return names, each followed by its null and its floor where the sets have them."""
    found: dict[str, None] = {}
    for name in names:
        found[name] = None
        for other in METRICS[name].beside:
            if other not in names and all(sets.has(role) for role in METRICS[other].needs):
                found[other] = None
    return list(found)


def _by_default(metric: Metric, sets: Sets) -> bool:
    roles = [role for role in metric.needs if role not in BESIDES]
    return not metric.on_request and all(sets.has(role) for role in roles)
