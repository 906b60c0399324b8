"""Guarded selection: take what several strategies propose only where it is nearer to real rows.

Entropy alone cannot tell a rare real row from a poor sample. Each inner strategy proposes a
training set; a guard of real rows, used for nothing else, tells how far each lies from real data
(selection/discrepancy.py); and the nearest is taken if it is nearer than a random choice by more
than chance explains. Otherwise the random choice is taken, less its strays (docs/guarded.md).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from entroloop.errors import InputError, unknown_name
from entroloop.samples import Array, Float64
from entroloop.selection.decision import BASELINE, WITHOUT_STRAYS, Decision
from entroloop.selection.discrepancy import DISCREPANCIES, Comparisons, compare
from entroloop.selection.guard import Guard, checked_rows, guard_for
from entroloop.selection.quotas import equal
from entroloop.selection.realism import REALISM, conformal_of, distances_to_real
from entroloop.selection.state import Picks, SelectionState
from entroloop.selection.variety import Variety, variety_of

INNER: tuple[dict[str, Any], ...] = (
    {"strategy": "greedy"},
    {"strategy": "greedy", "weights": "distance"},
    {"strategy": "greedy", "weights": "tail"},
    {"strategy": "greedy", "within": 0.25},
    {"strategy": "threshold_decay", "strength": "adaptive"},
)
STEPS = 3  # of bisection for an adaptive strength
WIDENING = ("greedy", "threshold_decay", "composable_coreset")  # strategies that raise the spread
VARIETY_ROWS = 2_048  # of the pool, whose nearest rows tell its variety

Index = NDArray[np.int64]


def guarded(
    state: SelectionState,
    *,
    guard: Array | None = None,
    reference: Array | None = None,
    generations: Array | None = None,
    joined: Array | None = None,
    baseline: Array | None = None,
    inner: Sequence[str | Mapping[str, Any]] = INNER,
    discrepancy: str = "energy",
    level: float = 0.1,
    level_if_lost: float = 0.5,
    strays: float = 0.01,
) -> Picks:
    """Pick what the best of several inner strategies picks, if a guard says that it is nearer.

    guard (m, d): real rows that take no part in anything else. reference: further real rows, that
    realism refers to; without them half of the guard serves for that, and the other half decides.
    Without a guard, half of the reference stands in for it, or else half of the oldest rows of the
    pool by `generations`, which then cannot be picked; where nothing real is known, random is
    taken. The decision's note says so. generations: of each row of the pool, 0 for real rows; the
    random baseline takes equal shares of them. joined: rows that join the training set whatever is
    picked; they and `initial` rows count with every choice. baseline: mask of the rows that the
    random choice comes from; a study passes those that its random arm has, so that both draw the
    same. inner: names of strategies, or mappings of `strategy`, its arguments, and of `weights` (a
    form of realism) and `within` = a (a random (1 + a) n of the rows; not with groups). `strength:
    adaptive` of threshold_decay is bisected for the largest gain. discrepancy: energy or kernel.
    level: of the one-sided test, for all inner strategies together. level_if_lost: the same, of
    choices that raise the spread without weights, where rows of the pool that are not real
    (`generations` > 0; without it all) have lost variety: they lie nearer to the rest of the pool
    than guard rows do, and are no strays; `level` for no such prior.

    The choice of largest gain is taken among those whose gain over the random choice exceeds z
    standard errors, z the (1 − level) quantile of the largest of normal errors with the
    correlations of these gains; otherwise the random choice. In that, strays are replaced by
    other random rows if the gain of doing so is above 0: rows whose conformal p-value beside
    real rows is below `strays` (0: none are).

    Raises InputError for fewer than 16 guard rows, or an inner strategy that is not known or needs
    what only a study knows.
    """
    if discrepancy not in DISCREPANCIES:
        raise unknown_name("discrepancy", discrepancy, DISCREPANCIES)
    if not 0 < level < 0.5:
        raise InputError(f"level must lie in (0, 0.5); got {level}")
    if not level <= level_if_lost < 1:
        raise InputError(f"level_if_lost must lie in [{level}, 1); got {level_if_lost}")
    if not 0 <= strays < 0.5:
        raise InputError(f"strays must lie in [0, 0.5); got {strays}")
    inners = [_Inner.of(given) for given in inner]
    if not inners:
        raise InputError("guarded needs at least one inner strategy")
    if state.groups is not None:  # a random part of a group would change its quota
        inners = [one for one in inners if one.within is None]
    found = guard_for(state, guard, reference, generations)
    beside = state.pool.initial
    if joined is not None and len(joined):
        more = checked_rows(state, joined, "joined")
        beside = np.concatenate([beside, more]) if len(beside) else more
    proposals = _Proposals(state, found, generations, beside, baseline, discrepancy)
    if found is None:
        picks = proposals.picks(BASELINE)
        note = "nothing is known to be real: random was taken (give guard=)"
        picks.decision = Decision(BASELINE, {}, float("inf"), 0, discrepancy, note)
        return picks
    for one in inners:
        proposals.add(one)
    if strays:
        proposals.add_without_strays(strays)
    compared = proposals.compared()
    variety = proposals.variety()
    threshold = compared.threshold(level)
    widening = np.isin(compared.names, sorted(proposals.widening))
    eased = compared.threshold(level_if_lost, widening) if variety.lost else threshold
    taken = _taken(compared, np.where(widening, eased, threshold))
    picks = proposals.picks(taken)
    figures = zip(compared.names, compared.gains, compared.errors, compared.z, strict=True)
    picks.decision = Decision(
        taken=taken,
        compared={name: (float(gain), float(error), float(z)) for name, gain, error, z in figures},
        threshold=threshold,
        threshold_widening=eased,
        copying=(variety.copying, variety.copying_error),
        straying=(variety.straying, variety.straying_error),
        guard=len(found.rows),
        discrepancy=discrepancy,
        note=found.note,
    )
    return picks


def _taken(compared: Comparisons, thresholds: Float64) -> str:
    """Return which choice to take; thresholds: the z that each has to exceed."""
    gains = np.where(compared.z > thresholds, compared.gains, -np.inf)
    if np.isfinite(gains).any():
        return compared.names[int(gains.argmax())]
    gain = dict(zip(compared.names, compared.gains, strict=True))
    return WITHOUT_STRAYS if gain.get(WITHOUT_STRAYS, 0.0) > 0 else BASELINE


@dataclass(frozen=True)
class _Inner:
    """An inner strategy with its arguments; the name tells what differs from the strategy."""

    name: str
    strategy: str
    weights: str | None
    within: float | None
    arguments: dict[str, Any]

    @classmethod
    def of(cls, given: str | Mapping[str, Any]) -> _Inner:
        settings = {"strategy": given} if isinstance(given, str) else dict(given)
        strategy = settings.pop("strategy", None)
        if not isinstance(strategy, str):
            raise InputError(f"an inner strategy needs the key 'strategy'; got {given!r}")
        if strategy == "guarded":
            raise InputError("guarded cannot be an inner strategy of itself")
        name = " ".join([strategy, *(f"{key}={value}" for key, value in settings.items())])
        weights, within = settings.pop("weights", None), settings.pop("within", None)
        if weights is not None and weights not in REALISM:
            raise unknown_name("form of realism", weights, REALISM)
        if within is not None and not (isinstance(within, int | float) and within > 0):
            raise InputError(f"within must be a number above 0; got {within!r}")
        return cls(name, strategy, weights, within, settings)


class _Proposals:
    """The choices of inner strategies, and the random one, on the rows of one pool."""

    def __init__(
        self,
        state: SelectionState,
        guard: Guard | None,
        generations: Array | None,
        beside: Array,
        baseline: Array | None,
        discrepancy: str,
    ) -> None:
        self.state, self.guard = state, guard
        self.generations, self.beside, self.discrepancy = generations, beside, discrepancy
        self.found = {BASELINE: self._random(state.n, baseline)}
        self.widening: set[str] = set()  # names of choices that raise the spread

    def add(self, inner: _Inner) -> None:
        """Add what an inner strategy chooses."""
        if inner.arguments.get("strength") != "adaptive":
            self._propose(inner.name, inner, inner.arguments)
            return
        # The gain as a function of strength, halved around the best that is known: strength 0 is
        # random, 1 greedy.
        strengths, step = [0.5, 1.0], 0.25
        gains = {s: self._gain_at(inner, s) for s in strengths}
        for _ in range(STEPS):
            best = max(gains, key=lambda s: gains[s])
            for s in (best - step, best + step):
                if 0 < s < 1 and s not in gains:
                    gains[s] = self._gain_at(inner, s)
            step /= 2

    def compared(self, *names: str) -> Comparisons:
        """Return the comparison of choices, by default all, with the random one."""
        found = {name: self.found[name] for name in (BASELINE, *names)} if names else self.found
        rows, at = self._rows(found)
        always = np.arange(len(rows) - len(self.beside), len(rows))
        sets = {name: np.concatenate([at[picks.index], always]) for name, picks in found.items()}
        assert self.guard is not None
        return compare(
            BASELINE, sets, rows, self.guard.rows, self.state.pool.distance, self.discrepancy
        )

    def picks(self, name: str) -> Picks:
        """Return a choice as picks."""
        chosen = self.found[name]
        values = np.asarray(self.state.pool.space.value_of(chosen.radii), dtype=np.float64)
        return Picks(
            self.state.n, chosen.index.tolist(), values.tolist(), duplicates=chosen.duplicates
        )

    def _rows(self, found: dict[str, _Chosen]) -> tuple[Array, Index]:
        """Return the rows that any choice has, then those beside it, and where the former are."""
        used = np.unique(np.concatenate([picks.index for picks in found.values()]))
        at = np.full(len(self.state.pool), -1, dtype=np.int64)
        at[used] = np.arange(len(used))
        rows = self.state.pool.sharded.take(used)
        return (np.concatenate([rows, self.beside]) if len(self.beside) else rows), at

    def _random(self, n: int, among: Array | None = None) -> _Chosen:
        """Return a random choice, of some rows only if they are enough; in equal shares of the
        generations if each holds its share.
        """
        rows = self.state.selectable
        if among is not None:
            some = np.flatnonzero(self.state.pool.selectable & np.asarray(among, dtype=bool))
            rows = some if len(some) >= n else rows
        shares: dict[str, Any] = {}
        if self.generations is not None and self.state.groups is None:
            every, generation = np.unique(self.generations, return_inverse=True)
            sizes = np.bincount(generation[rows], minlength=len(every))
            if (equal(sizes, n) <= sizes).all():
                shares = {"groups": self.generations, "quota": "equal"}
        return self._again("random", n, candidates=rows, **shares)

    def _propose(self, name: str, inner: _Inner, arguments: dict[str, Any]) -> None:
        if inner.strategy in WIDENING and inner.weights is None:
            self.widening.add(name)
        more: dict[str, Any] = {}
        if inner.weights is not None:
            more["weights"] = REALISM[inner.weights](*self._distances)
        if inner.within is not None:
            wanted = min(round((1 + inner.within) * self.state.n), len(self.state.selectable))
            more["candidates"] = np.sort(self._random(wanted).index)
        self.found[name] = self._again(inner.strategy, self.state.n, **more, **arguments)

    def _gain_at(self, inner: _Inner, strength: float) -> float:
        name = f"{inner.strategy} strength={strength:g}"
        self._propose(name, inner, {**inner.arguments, "strength": strength})
        return float(self.compared(name).gains[0])

    def add_without_strays(self, p: float) -> None:
        """Add the random choice with its strays replaced, all else equal.

        Where too few rows are no strays, some of them stay.
        """
        chosen, state = self.found[BASELINE].index, self.state
        stray = conformal_of(*self._distances) < p
        taken = np.zeros(len(state.pool), dtype=bool)
        taken[chosen] = True
        free = state.pool.selectable & ~stray & ~taken
        left = state.rng.permutation(np.flatnonzero(free))
        index = chosen.copy()
        for at in np.flatnonzero(stray[chosen]):
            # Of the same group where there are groups, so that quotas hold.
            same = left if state.groups is None else left[
                state.groups[left] == state.groups[chosen[at]]
            ]  # fmt: skip
            if len(same):
                index[at] = same[0]
                left = left[left != same[0]]
        self.found[WITHOUT_STRAYS] = _Chosen(index, np.full(len(index), np.nan), 0)

    def variety(self) -> Variety:
        """Return the variety of the pool's rows that are not known to be real."""
        assert self.guard is not None
        real = np.zeros(len(self.state.pool), dtype=bool)
        if self.generations is not None and (np.asarray(self.generations) > 0).any():
            real = np.asarray(self.generations) == 0
        generated = self.state.rng.permutation(np.flatnonzero(~real))
        rows = self.state.pool.sharded.take(np.concatenate([generated, np.flatnonzero(real)]))
        return variety_of(
            rows, len(generated), self.guard.rows, self.guard.weighing,
            count=VARIETY_ROWS, in_pool=self.guard.in_pool,
        )  # fmt: skip

    @cached_property
    def _distances(self) -> tuple[Float64, Float64]:
        """What realism is made of, for every row of the pool."""
        pool = self.state.pool
        assert self.guard is not None
        return distances_to_real(pool.sharded.take(np.arange(len(pool))), self.guard.weighing)

    def _again(self, strategy: str, n: int, **more: Any) -> _Chosen:
        assert self.state.again is not None
        more.setdefault("candidates", self.state.selectable)
        found = self.state.again(strategy, n, **more)
        return _Chosen(found.indices, found.radii, found.duplicates)


@dataclass(frozen=True)
class _Chosen:
    index: Index
    radii: NDArray[np.float64]
    duplicates: int
