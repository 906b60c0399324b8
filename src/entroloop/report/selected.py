"""The page of `select --html`: how much of each pool and class, how far picks go, what they are."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from entroloop.report.assembly import write_page_from
from entroloop.report.chosen_and_left import first_picks, in_tables, left_rows
from entroloop.report.figures import Chart, series_of
from entroloop.report.page_tables import Cell, Column, Row, Table, words
from entroloop.selection.outlying import Outlying, outlying
from entroloop.selection.result import drawn_at_random
from entroloop.selection.stopping import knee_of
from entroloop.system.numbers import number, percent, percent_with_interval

if TYPE_CHECKING:
    from entroloop.commands.chosen import Chosen

COUNTS = 200  # lines of the table of pools and classes
RADII = 300  # points of the curve of radii
LOOKED_AT = 20_000  # picks, and real rows, of which outliers are told
POINTS = 2000  # rows of a kind in the projection
REAL = "real"  # the pool of real rows, by its name

BESIDE = {  # the real rows that picks are compared with: what is said of picks that are outliers
    "guard": "farther from the rows of --guard than 99 % of these lie from one another",
    "pool": f"farther from pool '{REAL}' than 99 % of its rows lie from one another",
    "all": "farther from other rows than 99 % of all rows do",
}
ENDED = {
    "n": "as many as were asked for",
    "duplicates": "copies had to fill up",
    "min_distance": "the next row lay nearer to a pick than was allowed",
    "coverage": "the share that was asked for was covered",
    "knee": "the curve of radii has its knee there",
}


def write_selection_page(chosen: Chosen, html: Path) -> None:
    """Write a selection to a single HTML file that opens offline.

    Raises InputError for a file that cannot be written.
    """
    selection = chosen.selection
    curves, axes = _curves(chosen), _projection(chosen)
    beyond, beside = _outlying(chosen)
    picks, left = first_picks(chosen), left_rows(chosen)
    write_page_from(
        "selected.html.j2",
        html,
        fingerprint="selection",
        summary=chosen.summary,
        rows=len(chosen.pools.names),
        answer=_answer(chosen.summary),
        ended=ENDED.get(selection.stopped_by, selection.stopped_by),
        outliers=None if beyond is None else (beyond.too_many, _told(beyond, beside)),
        real_is_known=beside != "all",
        counts=_counts(chosen),
        curves=curves,
        axes=axes,
        number=number,
        chosen=picks,
        left=left,
        tables=None if chosen.pools.are_images else in_tables(picks, left),
        data={"arms": [], "charts": {"curve": curves, "axes": [axes]}},
    )


def _answer(summary: dict[str, Any]) -> str:
    """Return how spread out the choice is, beside a random one."""
    own, random = (
        None if found is None else found["nats"]
        for found in (summary["entropy"], summary["entropy_random"])
    )
    parts = []
    if own is not None and random is not None:
        parts.append(
            f"The choice has an entropy of {number(own)} nats, where as many rows drawn at random "
            f"have {number(random)}"
        )
    radius = summary["coverage_radius"]
    if radius is not None and math.isfinite(radius):
        parts.append(f"no row that was left out lies farther than {number(radius)} from a pick")
    text = "; ".join(parts)
    return f"{text[:1].upper()}{text[1:]}." if parts else ""


def _counts(chosen: Chosen) -> list[Table]:
    """Return how many rows there are, and were chosen: of each pool, and of each of its classes."""
    pools, classes = chosen.pools, chosen.classes
    by_pool = list(zip(pools.names.tolist(), strict=True))
    tables = [_counted(chosen, "pools", by_pool)]
    if len(set(classes.tolist())) > 1:
        by_class = list(zip(pools.names.tolist(), classes.tolist(), strict=True))
        tables.append(_counted(chosen, "classes", by_class))
    return tables


def _counted(chosen: Chosen, name: str, kinds: Sequence[tuple[str, ...]]) -> Table:
    picked = chosen.selection.indices.tolist()
    rows, taken = Counter(kinds), Counter(kinds[i] for i in picked)
    places = {s.name: i for i, s in enumerate(chosen.pools.sets)}
    largest = sorted(rows, key=lambda kind: (-rows[kind], kind))[:COUNTS]
    lines = [
        Row([
            *map(words, kind),
            Cell(f"{rows[kind]:,}", rows[kind]), Cell(f"{taken[kind]:,}", taken[kind]),
            _share(taken[kind] / rows[kind]), _share(taken[kind] / len(picked)),
        ])
        for kind in sorted(largest, key=lambda kind: (places[kind[0]], kind))
    ]  # fmt: skip
    what = ("pool", "class")[: len(kinds[0])]
    columns = [
        *(Column(heading, words=True) for heading in what),
        *map(Column, ("rows", "chosen", "share of them", "share of the choice")),
    ]
    caption = f"Rows of each {' and '.join(what)}, and how many were chosen"
    if len(rows) > COUNTS:
        caption += f"; the {COUNTS} largest of {len(rows):,}"
    return Table(name, caption, columns, lines)


def _share(share: float) -> Cell:
    return Cell(percent(share), share)


def _curves(chosen: Chosen) -> list[Chart]:
    """Return radius and entropy over the number of picks, the knee marked."""
    curve, charts = chosen.selection.curve, []
    finite = np.flatnonzero(np.isfinite(curve.radius))
    if len(finite) > 1:
        at = finite
        if len(finite) > RADII:
            spaced = np.geomspace(1, len(finite), RADII).round().astype(np.int64)
            at = finite[np.unique(spaced) - 1]
        charts.append({
            "id": "radius", "kind": "lines", "x": "picks",
            "title": "Radius of each pick", "zero": True,
            "marks": _marks(chosen),
            "series": [series_of(0, "radius", at + 1, curve.radius[at])],
        })  # fmt: skip
    if np.isfinite(curve.entropy).any():
        pair = (("first n picks", curve.entropy), ("n rows drawn at random", curve.entropy_random))
        charts.append({
            "id": "entropy", "kind": "lines", "x": "picks", "along": "log", "marks": _marks(chosen),
            "title": "Entropy (nats) of n rows",
            "series": [series_of(i, name, curve.n, y) for i, (name, y) in enumerate(pair)],
        })  # fmt: skip
    return charts


def _marks(chosen: Chosen) -> list[dict[str, Any]]:
    """Return where the knee is, and where the choice ends if more picks were made."""
    radius, n = chosen.selection.curve.radius, len(chosen.selection)
    falls = np.isfinite(radius[1:]).all() and (np.diff(radius[1:]) <= 0).all()
    knee = knee_of(radius) if falls and len(radius) > 3 else len(radius)
    marks = [{"x": knee, "text": f"knee: {knee:,}"}] if knee < len(radius) else []
    return marks + ([{"x": n, "text": f"chosen: {n:,}"}] if n not in (knee, len(radius)) else [])


def _known(chosen: Chosen) -> NDArray[np.int64]:
    """Return the rows of the pool whose values are at hand: all, or some drawn at random."""
    context, selection = chosen.context, chosen.selection
    m = len(context.candidates)
    if context.fetched is None:
        return np.arange(m)
    return np.sort(drawn_at_random(context.candidates, len(selection), selection.seed))


def _outlying(chosen: Chosen) -> tuple[Outlying | None, str]:
    """Return how many picks are outliers of real rows, and which rows those are."""
    context, seed = chosen.context, chosen.selection.seed
    picked, known = _some(chosen.selection.indices, seed), _known(chosen)
    named = known[chosen.pools.names[known] == REAL]
    guard = chosen.guard_transformed()
    if guard is not None:
        real, beside, own = guard, "guard", np.full(len(picked), -1)
    else:
        beside = "pool" if len(named) else "all"
        known = _some(named if len(named) else known, seed)
        real = context.take(known)
        place = np.minimum(np.searchsorted(known, picked), len(known) - 1)
        own = np.where(known[place] == picked, place, -1)
    return outlying(context.take(picked), real, own, context.distance, seed), beside


def _some(rows: NDArray[np.int64], seed: int) -> NDArray[np.int64]:
    """Return at most so many rows, drawn at random, ascending."""
    return np.sort(np.random.default_rng(seed).permutation(rows)[:LOOKED_AT])


def _told(found: Outlying, beside: str) -> str:
    share = percent_with_interval(found.share, found.interval)
    farther = BESIDE[beside]
    return (
        f"{share} of the picks lie {farther} (more than {number(found.distance)} from the nearest)."
    )


def _projection(chosen: Chosen) -> Chart:
    """Return picks of each pool among the rows that were left, on the first principal axes."""
    from sklearn.decomposition import PCA

    context, picked = chosen.context, chosen.selection.indices
    rng = np.random.default_rng(chosen.selection.seed)
    left = np.sort(rng.permutation(np.setdiff1d(_known(chosen), picked))[:POINTS])
    shown = np.sort(rng.permutation(picked)[:POINTS])
    both = np.concatenate([left, shown])
    rows = context.take(both).astype(np.float64)
    count = min(2, *rows.shape)
    with np.errstate(invalid="ignore"):  # rows that are all equal have no variance to share
        axes = PCA(count, svd_solver="randomized", random_state=0).fit(rows)
    points = axes.transform(rows)
    place = {"not chosen": np.arange(len(left))}
    names = chosen.pools.names[shown]
    for pool in dict.fromkeys(chosen.pools.names[picked].tolist()):
        place[f"chosen of {pool}"] = len(left) + np.flatnonzero(names == pool)
    series = [
        series_of(i - 1, name, points[at, 0], points[at, -1]) for i, (name, at) in
        enumerate(place.items())
    ]  # fmt: skip
    series[0]["arm"] = None
    share = percent(float(axes.explained_variance_ratio_.sum()))
    return {"id": "axes", "kind": "points", "title": "Picks on the principal axes of the rows",
            "x": "first principal axis", "y": "second principal axis", "share": share,
            "series": [one for one in series if one["x"]]}  # fmt: skip
