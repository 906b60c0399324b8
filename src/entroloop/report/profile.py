"""The collapse profile: how far each definition of collapse in use has gone by the last generation.

Variance, entropy, Fréchet distance, coverage of real modes, tails, detail, memorization: a study
can have collapsed by one and not by another (arXiv 2503.03150 counts eight definitions).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from entroloop.errors import InputError
from entroloop.metrics.frequencies import fine_share, loss_between
from entroloop.metrics.tails import QUANTILE, tail_share
from entroloop.report.arms import ShownArm, study_titles
from entroloop.report.claims import t_interval
from entroloop.report.page_tables import Cell, Column, Row, Table, words
from entroloop.report.pictures import shows_images
from entroloop.report.read import StudyView
from entroloop.samples import Array, as_vectors
from entroloop.system.numbers import (
    MISSING,
    from_to,
    number,
    percent,
    ratio_with_interval,
    with_interval,
)

TAILS, DETAIL = "tail_share", "high_frequency_loss"
ROWS = 5000  # of a set, at most, where a figure is taken with the page
IMAGES = 1000  # the same, of images whose frequencies are taken


@dataclass(frozen=True)
class Definition:
    """A definition of collapse, by a column of the records.

    real: the column that real rows have the same figure in, if any. collapse: 1 where it is a rise,
    −1 where it is a fall. form: how a change is told: "ratio" (of the value), "nats" or "share".
    """

    heading: str
    says: str
    column: str
    real: str
    collapse: int
    form: str


DEFINITIONS = (
    Definition("variance", "total variance of samples", "total_variance", "", -1, "ratio"),
    Definition(
        "entropy", "Kozachenko–Leonenko estimate for samples", "entropy_samples",
        "entropy_train", -1, "nats",
    ),
    Definition(
        "Fréchet distance", "to held-out real rows", "frechet_distance",
        "frechet_distance_floor", 1, "ratio",
    ),
    Definition(
        "coverage of real modes", "share of held-out rows near which a sample lies", "coverage",
        "coverage_floor", -1, "share",
    ),
    Definition(
        "coverage of real modes", "mean distance of a held-out row to its nearest sample",
        "coverage_distance", "", 1, "ratio",
    ),
    Definition(
        "tails", "share of samples farther out than 95 % of held-out rows", TAILS, "", -1, "share",
    ),
    Definition(
        "fine detail", "high-frequency loss: power beyond a quarter of a cycle a pixel", DETAIL,
        "", 1, "nats",
    ),
    Definition(
        "memorization", "share of samples with d₁/d₂ < 1/3", "memorized_fraction", "", 1, "share",
    ),
)  # fmt: skip


def profile(
    arms: Sequence[ShownArm], views: Sequence[StudyView], failed: Sequence[bool]
) -> Table | None:
    """Return the profile of all arms: a row a definition, None for studies of one generation.

    failed: for each study, whether generation 1 cannot be judged; its cells are greyed.
    """
    detail = _Detail()
    known = {
        arm.index: _with_page(arm, detail) for arm in arms if arm.records["generation"].max() > 1
    }
    if not known:
        return None
    titles = study_titles(views)
    real = [f"real rows of {title}" for title in titles] if len(views) > 1 else ["real rows"]
    columns = [
        Column("definition", words=True),
        *(Column(heading) for heading in real),
        *(Column(arm.label, arm=arm.index) for arm in arms if arm.index in known),
    ]
    rows = [
        Row([
            Cell(definition.heading, detail=definition.says),
            *(_real(definition, i, arms, known, detail) for i in range(len(views))),
            *(_cell(definition, known[arm.index], failed[arm.study]) for arm in arms
              if arm.index in known),
        ])
        for definition in _measured(known)
    ]  # fmt: skip
    caption = (
        "Change from generation 1 to the last, mean over seeds with its 95 % interval; below it "
        "the two values. Beyond the spread over seeds: ▲ collapse, ▽ the opposite, which may be "
        "straying"
    )
    return Table("profile", caption, columns, rows)


def _measured(known: dict[int, pd.DataFrame]) -> list[Definition]:
    """Return the definitions that some arm has; one of coverage: the share where it is there."""
    found: dict[str, Definition] = {}
    for definition in DEFINITIONS:
        if any(definition.column in rows for rows in known.values()):
            found.setdefault(definition.heading, definition)
    return list(found.values())


def _with_page(arm: ShownArm, detail: _Detail) -> pd.DataFrame:
    """Return the records of generation 1 and the last, with what the page takes by itself."""
    rows, last = arm.records, int(arm.view.records["generation"].max())
    rows = rows[rows["generation"].isin([1, last])]
    taken = {}
    if arm.view.config["metrics"]["features"] == "raw":  # elsewhere it would cost a network
        taken[TAILS] = _tails
    if shows_images(arm.view):
        taken[DETAIL] = detail.of_samples
    return rows.assign(**{
        name: [
            take(arm, int(seed), int(generation))
            for seed, generation in zip(rows["seed"], rows["generation"], strict=True)
        ]
        for name, take in taken.items() if name not in rows
    })  # fmt: skip


def _tails(arm: ShownArm, seed: int, generation: int) -> float:
    extractor = arm.view.extractor(seed)
    return tail_share(
        generated=extractor(arm.view.samples(arm.name, seed, generation)[:ROWS]),
        reference=extractor(_held_out(arm, seed)),
    )


class _Detail:
    """The high-frequency loss beside held-out rows, whose own detail is found once a run."""

    def __init__(self) -> None:
        self._held_out: dict[tuple[int, int], float] = {}

    def of_samples(self, arm: ShownArm, seed: int, generation: int) -> float:
        """Return that of the samples of a generation."""
        return self.of(arm, seed, arm.view.samples(arm.name, seed, generation))

    def of(self, arm: ShownArm, seed: int, rows: Array) -> float:
        """Return that of rows, NaN where there is no detail."""
        key = (arm.study, seed)
        if key not in self._held_out:
            self._held_out[key] = _fine_share(arm, _held_out(arm, seed))
        try:
            return loss_between(_fine_share(arm, rows), self._held_out[key])
        except InputError:
            return math.nan


def _fine_share(arm: ShownArm, rows: Array) -> float:
    images = arm.view.as_images(rows[:IMAGES])
    assert images is not None
    return fine_share(images)


def _held_out(arm: ShownArm, seed: int) -> Array:
    return np.asarray(arm.view.real.data[np.sort(arm.view.real_rows(seed)[1][:ROWS])])


def _cell(definition: Definition, rows: pd.DataFrame, failed: bool) -> Cell:
    """Return the change of an arm, paired within each run."""
    if definition.column not in rows or rows["generation"].nunique() < 2:
        return words("")
    table = rows.pivot(index="seed", columns="generation", values=definition.column).dropna()
    first, last = (table.iloc[:, i].to_numpy(np.float64) for i in (0, -1))
    with np.errstate(divide="ignore", invalid="ignore"):
        effects = np.log(last / first) if definition.form == "ratio" else last - first
    effects = effects[np.isfinite(effects)]
    if not len(effects):
        return words("")
    mean, (low, high) = float(effects.mean()), t_interval(list(effects))
    beyond = 1 if low > 0 else -1 if high < 0 else 0
    kind = {definition.collapse: "worse", -definition.collapse: "opposite"}.get(beyond, "")
    factor, unit = (100, " %") if definition.form == "share" else (1, "")
    return Cell(
        _told(mean, low, high, definition.form), _exported(mean, definition.form),
        (_exported(low, definition.form), _exported(high, definition.form)),
        from_to(factor * float(first.mean()), factor * float(last.mean()), unit),
        "greyed" if failed else kind,
    )  # fmt: skip


def _told(mean: float, low: float, high: float, form: str) -> str:
    if form == "ratio":
        return ratio_with_interval(mean, low, high)
    if form == "nats":
        return with_interval(mean, (low, high), " nats", "+")
    return with_interval(100 * mean, (100 * low, 100 * high), " points", "+")


def _exported(effect: float, form: str) -> float:
    """Return what a file gets: a share of the first value, nats, or a difference of shares."""
    return math.expm1(effect) if form == "ratio" else effect


def _level(value: float, form: str) -> str:
    return percent(float(value)) if form == "share" else number(float(value))


def _real(
    definition: Definition,
    study: int,
    arms: Sequence[ShownArm],
    known: dict[int, pd.DataFrame],
    detail: _Detail,
) -> Cell:
    """Return what real rows have: of the runs' own records, or of the real rows themselves."""
    own = next((arm for arm in arms if arm.study == study and arm.index in known), None)
    if own is None:
        return words("")
    one = known[own.index][known[own.index]["generation"] == 1]
    if definition.column == "total_variance":
        value = _variance(own)
    elif definition.column == TAILS:
        value = 1 - QUANTILE
    elif definition.column == DETAIL and definition.column in one:
        train = np.sort(own.view.real_rows(own.seed)[0][:IMAGES])
        value = detail.of(own, own.seed, np.asarray(own.view.real.data[train]))
    elif definition.real in one:
        value = float(one[definition.real].mean())
    else:
        return words("")
    return Cell(_level(value, definition.form) if math.isfinite(value) else MISSING, value)


def _variance(arm: ShownArm) -> float:
    """Return the total variance of a run's held-out rows."""
    x = as_vectors(arm.view.extractor(arm.seed)(_held_out(arm, arm.seed))).astype(np.float64)
    return float(x.var(axis=0, ddof=1).sum())
