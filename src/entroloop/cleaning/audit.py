"""Which generated rows may be kept: copies, near-copies and strays beside real rows.

Every verdict has a threshold that real rows set, each judged beside all others as if it were
generated. How often that flags a real row is measured on halves of the real rows, by the same rule.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from entroloop.data.loading import load
from entroloop.distances.neighbors import distinct_rows, nearest
from entroloop.errors import InputError
from entroloop.features import extractor_for
from entroloop.metrics.intervals import wilson
from entroloop.metrics.sets import Sets
from entroloop.samples import Array, Float64, as_vectors, check_rows
from entroloop.seeding import rng_for
from entroloop.selection.realism import conformal_of
from entroloop.system.progress_line import ProgressOf, no_progress_of

VERDICTS = ("copy", "near-copy", "stray", "keep")
LEVEL = 0.01

Index = NDArray[np.int64]


@dataclass(frozen=True)
class Thresholds:
    """What decides, set by m real rows at a level.

    A row is a near-copy if d₁ ≤ distance or d₁/d₂ ≤ ratio; each is as low as at most half of the
    level of real rows are (−1: lower than any). It is a stray if its typicality is at most the
    level.
    """

    level: float
    distance: float
    ratio: float


@dataclass(frozen=True)
class FalseAlarms:
    """How often real rows were flagged, each judged beside a half it does not belong to.

    rate: of n rows; interval: its 95 % score interval (Wilson 1927), of the rate in this sample of
    real rows given the split. expected: what the threshold was set for.
    """

    rate: float
    interval: tuple[float, float]
    n: int
    expected: float


@dataclass(frozen=True)
class Audit:
    """One verdict for each of n generated rows, and what it rests on.

    verdicts (n,): copy, near-copy, stray or keep. nearest (n,): the nearest real row; d1, d2 (n,):
    the distances to the two nearest distinct real rows. typicality (n,): the conformal p-value of
    "one more real row" (`selection.realism`). other (n,): the nearest other generated row, −1 for
    none, at other_distance. false_alarms: by near-copy and stray. real: how many real rows there
    are, real_distinct: how many of them differ in the features.
    """

    verdicts: NDArray[np.str_]
    nearest: Index
    d1: Float64
    d2: Float64
    typicality: Float64
    other: Index
    other_distance: Float64
    thresholds: Thresholds
    false_alarms: dict[str, FalseAlarms]
    real: int
    real_distinct: int

    def __len__(self) -> int:
        return len(self.verdicts)

    @property
    def ratio(self) -> Float64:
        """d₁/d₂ of each row: 0 for a copy."""
        return _ratio(self.d1, self.d2)

    @property
    def kept(self) -> Index:
        """The generated rows that may be kept, ascending."""
        return np.flatnonzero(self.verdicts == "keep")

    @property
    def counts(self) -> dict[str, int]:
        """How many rows there are of each verdict."""
        return {name: int((self.verdicts == name).sum()) for name in VERDICTS}


def audit(
    real: Any,
    made: Any,
    *,
    features: str = "raw",
    level: float = LEVEL,
    seed: int = 0,
    device: str = "cpu",
    progress_of: ProgressOf = no_progress_of,
) -> Audit:
    """Judge each generated row beside real ones: a copy, a near-copy, a stray, or one to keep.

    real, made: rows (n, d), or images (n, h, w, c) uint8, of one shape and range, or whatever else
    `load` takes. features: the space of distances (Euclidean); equal values are copies in any.
    level: the share of real rows that may be flagged as near-copies, and again as strays. seed:
    splits the real rows in halves, on which these shares are measured. device: auto, cpu or cuda.

    Raises InputError for rows that do not fit each other, or fewer than 4/level distinct real rows.

    >>> rng = np.random.default_rng(0)
    >>> real = rng.standard_normal((500, 8))
    >>> made = np.stack([real[3], real[4] + 1e-4, np.full(8, 9.0), rng.standard_normal(8)])
    >>> audit(real, made).verdicts.tolist()
    ['copy', 'near-copy', 'stray', 'keep']
    """
    real, made = _checked(real, made, level)
    extractor = extractor_for(features, device).fitted_to(real)
    of_real, of_made = (
        as_vectors(np.asarray(extractor(rows, progress_of(f"features of {name} rows"))))
        for name, rows in (("real", real), ("made", made))
    )
    sets = Sets(generated=of_made, train=of_real, device="cpu" if device == "auto" else device)
    judged, copied = _Judged.of(sets, level), copies(real, made)
    other, other_distance = _nearest_other(sets)
    return Audit(
        verdicts=np.where(copied >= 0, "copy", judged.verdicts()),
        nearest=np.where(copied >= 0, copied, judged.nearest),
        d1=judged.d1,
        d2=judged.d2,
        typicality=judged.typicality,
        other=other,
        other_distance=other_distance,
        thresholds=judged.thresholds,
        false_alarms=_false_alarms(sets, level, seed),
        real=len(real),
        real_distinct=len(distinct_rows(sets["train"])[0]),
    )


def _nearest_other(sets: Sets) -> tuple[Index, Float64]:
    made = sets["generated"]
    if len(made) < 2:
        return np.full(len(made), -1), np.full(len(made), np.nan)
    found = nearest(made, made, 1, exclude_same_index=True, device=sets.device)
    return found.indices[:, 0], found.distances[:, 0]


def copies(real: Array, made: Array) -> Index:
    """Return for each row of made the first real row of equal values, −1 for none."""
    kind = np.result_type(real.dtype, made.dtype)
    both = np.concatenate([as_vectors(x).astype(kind, copy=False) for x in (real, made)])
    first, inverse = distinct_rows(both)
    found = first[inverse[len(real) :]]
    return np.where(found < len(real), found, -1)


@dataclass(frozen=True)
class _Judged:
    """Rows beside real ones: neighbours, typicality, and the thresholds that the real ones set."""

    nearest: Index
    d1: Float64
    d2: Float64
    typicality: Float64
    thresholds: Thresholds

    @classmethod
    def of(cls, sets: Sets, level: float) -> _Judged:
        """Judge the generated rows of sets beside their training rows, the real ones."""
        found = sets.nearest("generated", "train")
        own = sets.own("train", 2).neighbors  # of each real row among all others
        d1, d2 = found.distances[:, 0], found.distances[:, -1]
        own1, own2 = own.distances[:, 0], own.distances[:, -1]
        thresholds = Thresholds(
            level=level,
            distance=_low(own1, level / 2),
            ratio=_low(_ratio(own1, own2), level / 2),
        )
        return cls(found.indices[:, 0], d1, d2, conformal_of(d1, own1), thresholds)

    def verdicts(self) -> NDArray[np.str_]:
        """Return the verdict of each row; what is near is no stray."""
        limits = self.thresholds
        near = (self.d1 <= limits.distance) | (_ratio(self.d1, self.d2) <= limits.ratio)
        near |= self.d1 == 0
        stray = self.typicality <= limits.level
        return np.where(near, "near-copy", np.where(stray, "stray", "keep"))


def _low(own: Float64, level: float) -> float:
    """Return the largest value that has a conformal p-value of at most the level from below,
    (1 + number of real rows at most as far)/(m + 1): −1 if there is none.
    """
    place = math.floor(level * (len(own) + 1)) - 1
    if place < 0:
        return -1.0
    # So many real rows may lie below, and those that equal the next would count: stay below it.
    return float(np.nextafter(np.sort(own)[place], -1.0))


def _ratio(d1: Float64, d2: Float64) -> Float64:
    """Return d₁/d₂; 1 where both are 0."""
    out = np.ones(len(d1))
    np.divide(d1, d2, out=out, where=d2 > 0)
    return out


def _false_alarms(sets: Sets, level: float, seed: int) -> dict[str, FalseAlarms]:
    """Return how often distinct real rows are flagged, each half judged beside the other."""
    real = sets["train"]
    first, _ = distinct_rows(real)
    order = rng_for(seed, 0, "audit").permutation(len(first))
    halves = [real[first[np.sort(part)]] for part in np.array_split(order, 2)]
    verdicts = np.concatenate([
        _Judged.of(Sets(generated=a, train=b, device=sets.device), level).verdicts()
        for a, b in (halves, halves[::-1])
    ])  # fmt: skip
    alarms = {}
    for name in ("near-copy", "stray"):
        rate = float((verdicts == name).mean())
        alarms[name] = FalseAlarms(rate, wilson(rate, len(verdicts)), len(verdicts), level)
    return alarms


def _checked(real: Any, made: Any, level: float) -> tuple[Array, Array]:
    if not 0 < level < 0.5:
        raise InputError(f"level must lie between 0 and 0.5; got {level}")
    arrays = []
    for name, x in (("real", real), ("made", made)):
        array = load(x, name=f"the set '{name}'", strict=True).data
        check_rows(array, f"the set '{name}'", minimum=1)
        arrays.append(array)
    real, made = arrays
    if real.shape[1:] != made.shape[1:]:
        shown = ["×".join(map(str, x.shape[1:])) for x in (real, made)]
        raise InputError(
            f"real rows are {shown[0]}, generated ones {shown[1]}; bring both to one size and mode"
        )
    if (real.dtype == np.uint8) != (made.dtype == np.uint8):
        raise InputError(
            f"real rows are {real.dtype}, generated ones {made.dtype}: bring both to one range, "
            "images as uint8 in 0..255"
        )
    distinct = len(distinct_rows(as_vectors(real))[0])
    if distinct < 4 / level:
        least = math.ceil(4000 / distinct) / 1000
        mend = f"raise the level to {least:g}, or give more rows" if least < 0.5 else "give more"
        raise InputError(
            f"level {level:g} needs {math.ceil(4 / level)} distinct real rows, half of which set "
            f"the thresholds for the other half; there are {distinct}: {mend}"
        )
    return real, made
