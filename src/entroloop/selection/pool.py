"""The pool: its rows in the space of a metric, and the memory that a selection takes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from entroloop.distances.transforms import Whitening, unit_rows
from entroloop.errors import InputError
from entroloop.pools.hosts import Parts, Places
from entroloop.pools.rows import MappedRows, Rows
from entroloop.pools.shard import Setup, space_for
from entroloop.pools.sketches import sketch_bytes
from entroloop.samples import Array
from entroloop.selection.budget import Cost, cost
from entroloop.selection.rounds import Rounds
from entroloop.system.memory import available_bytes

METRICS = {
    "euclidean": "‖a − b‖",
    "cosine": "‖a/‖a‖ − b/‖b‖‖, a monotone function of the angle",
    "manhattan": "Σ |a − b|",
    "mahalanobis": "‖W(a − b)‖, W whitening the pool",
}


@dataclass(frozen=True)
class Plan:
    """What a selection will take: bytes beyond the pool itself, and multiplications at most."""

    bytes: int
    operations: float
    held: bool
    available: int | None
    parts: int = 1
    cost: Cost | None = None  # of greedy, in several places

    def __str__(self) -> str:
        size = f"{self.bytes / 2**30:.2f} GiB beyond the pool"
        work = f"at most {self.operations:.1e} operations"
        text = f"{size}, {work}" + ("" if self.held else ", rows read anew for each use")
        if self.cost is None:
            return text
        network = self.cost.network_bytes / 2**30
        return (
            f"{text}, in each of {self.parts} places; greedily about {self.cost.rounds} rounds, "
            f"{network:.2g} GiB over the network, {self.cost.seconds:.0f} s"
        )


def plan(rows: Rows, n: int, metric: str, initial: int, copies: int = 0, parts: int = 1) -> Plan:
    """Return what the selection of n rows will take, in each of so many places.

    copies: float64 arrays of the pool's size that the strategy makes.
    """
    (m, d), dtype = rows.shape, rows.dtype
    m = -(-m // parts)
    item = 8 if metric in ("cosine", "mahalanobis") else dtype.itemsize
    transformed = m * d * 8 if metric in ("cosine", "mahalanobis") else 0
    picks = (n + initial) * d * (item + 4 + 8)  # as stored, in float32, and again in float64
    state = m * (5 * 8 + 8 + 10)
    working = 256 * 2**20
    available = available_bytes()
    least = transformed + picks + state + working + copies * m * d * 8
    copy = m * d * (8 if metric == "manhattan" else 4) + sketch_bytes(m + n + initial, d)
    # A memory map is left on disk where a copy would take more than half of what there is.
    limit = float("inf") if available is None else available / 2 / parts
    if isinstance(rows, MappedRows):
        limit = min(limit, 2**30)
    held = least + copy <= limit
    operations = 2.0 * m * (n + initial) * d
    of_all = cost(rows.shape[0], n, d, item, parts) if parts > 1 else None
    return Plan(least + copy * held, operations, held, available, parts, of_all)


def check(plan: Plan) -> None:
    """Refuse what cannot fit.

    Raises InputError that says what it would take and what there is.
    """
    if plan.available is not None and plan.bytes > plan.available:
        _refuse(plan.bytes, plan.available, "")


@dataclass(frozen=True)
class Begun:
    """A pool ready to be picked from, and the rows that count as chosen already."""

    pool: Rounds
    given: Array


def begin(
    places: Places,
    rows: Rows,
    needs: Plan,
    metric: str,
    open_rows: Array,
    weights: Array | None,
    initial: Array,
    outside: Array,
    n: int,
    device: str,
    *,
    checked: bool = True,
) -> Begun:
    """Tell all parts of a pool what a selection is about.

    checked: the rows are known to hold neither NaN nor infinite values.

    Raises InputError for NaN or infinite values.
    """
    parts = Parts(places)
    if len(parts) > 1:
        _check_rooms(parts.ask("room"), needs.bytes)
    if not checked:
        _refuse_invalid(parts.ask("invalid"))
    if metric == "cosine":
        outside = unit_rows(outside)
    whitening = Whitening.of(lambda: _blocks(rows, outside)) if metric == "mahalanobis" else None
    if whitening is not None:
        outside = whitening(outside)
    parts.tell("transform", metric, whitening)
    first, *others = parts.ask("extent")
    whole = sum(others, first)
    given = len(initial) + len(outside)
    kept = parts.take(initial)
    bounds = parts.bounds
    parts.tell_each("begin", [
        (Setup(
            metric, whole, open_rows[a:b], None if weights is None else weights[a:b],
            n + given, np.result_type(kept, outside) if len(outside) else kept.dtype, needs.held,
            device, needs.operations,
        ),)
        for a, b in pairwise(bounds)
    ])  # fmt: skip
    chosen = np.concatenate([kept, outside]) if len(outside) else kept
    space, _ = space_for(metric, whole, "cpu", 0)
    pool = Rounds(parts, space, open_rows)
    if given:
        pool.add(chosen, np.concatenate([initial, np.full(len(outside), -1)]))
    return Begun(pool, chosen)


def _refuse(needed: int, free: int, where: str) -> None:
    raise InputError(
        f"this selection takes {needed / 2**30:.1f} GiB and {free / 2**30:.1f} GiB are free{where};"
        " choose fewer rows, features of fewer values, or a smaller dtype"
    )


def _check_rooms(rooms: list[tuple[str, int | None]], needed: int) -> None:
    """Refuse what does not fit on a machine together with its other parts."""
    for host, parts in Counter(host for host, _ in rooms).items():
        free = [room for name, room in rooms if name == host and room is not None]
        if free and parts * needed > min(free):
            _refuse(parts * needed, min(free), f" on {host}, for {parts} parts")


def _refuse_invalid(found: list[tuple[int, list[int]]]) -> None:
    bad = sum(count for count, _ in found)
    if bad:
        shown = ", ".join(str(i) for _, first in found for i in first)
        raise InputError(
            f"the pool holds NaN or infinite values in {bad} rows (rows {shown}); remove or repair "
            "them"
        )


def _blocks(rows: Rows, outside: Array) -> Iterator[Array]:
    for start in range(0, rows.shape[0], 4096):
        yield rows.part(start, min(start + 4096, rows.shape[0])).open()
    yield outside
