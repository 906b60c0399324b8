"""The page's pictures: for each arm and generation one PNG with all tiles that are shown of it.

Its size is bounded: `PIXELS` bytes of pixels for the whole page, images wider than `SIDE` pixels
made smaller; fewer rows, then fewer generations, where arms and generations are many.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from entroloop.distances.neighbors import nearest
from entroloop.report.arms import ShownArm, study_titles
from entroloop.report.images import data_url, grid, no_wider
from entroloop.report.read import StudyView
from entroloop.report.took_and_left import rows_within, spread_out, took_and_left
from entroloop.samples import Array, as_vectors
from entroloop.system.numbers import number, percent

PIXELS = 3_000_000  # bytes of pixels on a page
SIDE = 64  # pixels; larger images are made smaller
COUNTS = ((32, 12, 8), (32, 8, 8), (24, 8, 6), (16, 8, 6), (8, 4, 4))  # samples, pairs, taken
COLUMNS = 8
POINTS, ALL_POINTS = 250, 24_000  # of vectors: for each arm and generation, and on a page


@dataclass(frozen=True)
class Plan:
    """What fits on the page: tiles of each kind, and the generations that are shown."""

    samples: int
    pairs: int
    taken: int
    generations: list[int]


def plan(arms: int, generations: int, tile: int) -> Plan:
    """Return the largest plan whose tiles of so many bytes fit.

    >>> plan(3, 6, 64).samples, plan(12, 20, 3 * 64 * 64).generations
    (32, [1, 11, 20])
    """
    for samples, pairs, taken in COUNTS:
        if arms * generations * (samples + 2 * pairs + 3 * taken) * tile <= PIXELS:
            return Plan(samples, pairs, taken, list(range(1, generations + 1)))
    fit = PIXELS // (arms * (samples + 2 * pairs + 3 * taken) * tile)
    shown = spread_out(np.arange(1, generations + 1), max(3, fit))
    return Plan(samples, pairs, taken, shown.tolist())


def pictures(arms: Sequence[ShownArm], views: Sequence[StudyView]) -> dict[str, Any] | None:
    """Return all pictures of a page, None where no arm's rows are images.

    sheets: PNGs as data URLs. arms: for each arm, by generation, the sheet and what its tiles are.
    real: for each study a sheet of real rows. One seed is shown, the first.
    """
    able = [i for i, view in enumerate(views) if shows_images(view)]
    arms = [arm for arm in arms if arm.study in able]
    if not arms:
        return None
    last = max(len(arm.keys) for arm in arms)
    tile = max(no_wider(_images(views[i], views[i].real.data[:1]), SIDE).nbytes for i in able)
    own, sheets = plan(len(arms), last, tile), _Sheets()
    shown = []
    for arm in arms:
        made = [(g, _Generation(arm, g, own)) for g in own.generations if g <= len(arm.keys)]
        shown.append({
            "arm": arm.index, "name": arm.label, "seed": arm.seed,
            "generations": {g: sheets.of(one.identity, one) for g, one in made},
        })  # fmt: skip
    titles = study_titles(views)
    real = [
        {"name": f"real rows{f' of {titles[i]}' if len(views) > 1 else ''}",
         **sheets.add(_images(views[i], views[i].real.data[: own.samples]))}
        for i in able
    ]  # fmt: skip
    return {
        "generations": own.generations, "columns": COLUMNS, "arms": shown, "real": real,
        "sheets": sheets.urls, "all": last,
    }  # fmt: skip


def shows_images(view: StudyView) -> bool:
    """Whether a study's rows are images, or stand for images."""
    return view.as_images(view.real.data[:1]) is not None


def _images(view: StudyView, rows: Array) -> Array:
    images = view.as_images(rows)
    assert images is not None
    return images


class _Sheets:
    """The PNGs of a page: one for each generation that arms do not share."""

    def __init__(self) -> None:
        self.urls: list[str] = []
        self._known: dict[object, dict[str, Any]] = {}

    def of(self, identity: object, one: _Generation) -> dict[str, Any]:
        if identity not in self._known:
            self._known[identity] = one.says | self.add(one.tiles)
        return self._known[identity]

    def add(self, images: Array) -> dict[str, Any]:
        images = no_wider(images, SIDE)
        self.urls.append(data_url(grid(images, COLUMNS, gap=0)))
        return {"sheet": len(self.urls) - 1, "size": images.shape[1:3], "n": len(images)}


class _Generation:
    """The tiles of one arm and generation, and what is said of them."""

    def __init__(self, arm: ShownArm, generation: int, own: Plan) -> None:
        self.arm, self.generation, self.plan = arm, generation, own
        keys = arm.keys[generation - 1]
        self.identity = (arm.study, keys["samples"], keys["training_set"])

    @cached_property
    def _parts(self) -> tuple[list[Array], dict[str, Any]]:
        view = self.arm.view
        samples = view.samples(self.arm.name, self.arm.seed, self.generation)
        train = view.training_set(self.arm.name, self.arm.seed, self.generation)
        rows = [np.asarray(samples[: self.plan.samples])]
        says: dict[str, Any] = {"samples": len(rows[0])}
        index, d, of = nearest_first(samples, train, self.plan.pairs)
        rows += [np.asarray(samples[index[:, 0]]), train[index[:, 1]]]
        says |= {"pairs": [{"d": number(a), "ratio": number(b)} for a, b in d], "of": of}
        found = took_and_left(self.arm, self.generation, self.plan.taken)
        if found is not None:
            rows += [found.took, found.left, found.covering]
            says["took"] = [
                {"g": int(g), "radius": number(float(r))}
                for g, r in zip(found.generation, found.radius, strict=True)
            ]
            says["left"] = [
                {"g": int(g), "d": number(float(d))}
                for g, d in zip(found.left_generation, found.distances, strict=True)
            ]
        return rows, says

    @property
    def tiles(self) -> Array:
        return _images(self.arm.view, np.concatenate(self._parts[0]))

    @property
    def says(self) -> dict[str, Any]:
        return self._parts[1]


def nearest_first(
    samples: Array, train: Array, count: int
) -> tuple[NDArray[np.int64], list[tuple[float, float]], int]:
    """Return the most memorized samples: by d₁/d₂, of their nearest two training rows, then by d₁.

    Returned: (count, 2) indices of sample and training row; d₁ and d₁/d₂ of each (raw, Euclidean);
    how many samples were looked at.
    """
    rows = as_vectors(train)
    queries = as_vectors(samples[: rows_within(len(rows), rows.shape[1])])
    found = nearest(queries, rows, k=min(2, len(rows)))
    first, second = found.distances[:, 0], found.distances[:, -1]
    ratio = first / np.maximum(second, 1e-300)
    order = np.lexsort((first, ratio))[:count]
    index = np.stack([order, found.indices[order, 0]], axis=1)
    return index, [(float(first[i]), float(ratio[i])) for i in order], len(queries)


def projections(arms: Sequence[ShownArm], views: Sequence[StudyView]) -> list[dict[str, Any]]:
    """Return, for each study, its samples on the first two principal axes of its real rows.

    For rows that are no images, in the space of the metrics: by arm and generation, beside the real
    rows.
    """
    return [
        _projection([arm for arm in arms if arm.study == i], view, title, len(arms))
        for i, (title, view) in enumerate(zip(study_titles(views), views, strict=True))
        if not shows_images(view)
    ]


def _projection(
    arms: Sequence[ShownArm], view: StudyView, title: str, of_all: int
) -> dict[str, Any]:
    from sklearn.decomposition import PCA

    last = max(len(arm.keys) for arm in arms)
    count = max(20, min(POINTS, ALL_POINTS // (of_all * last)))
    features = view.extractor(int(view.config["seeds"][0]))
    drawn = np.random.default_rng(0).permutation(len(view.real.data))[:1000]
    real = as_vectors(features(np.asarray(view.real.data)[drawn])).astype(np.float64)
    axes = PCA(n_components=min(2, *real.shape), svd_solver="full").fit(real)

    def points(rows: Array) -> dict[str, list[float]]:
        found = axes.transform(rows.astype(np.float64))
        return {"x": [round(x, 3) for x in found[:, 0].tolist()],
                "y": [round(x, 3) for x in found[:, -1].tolist()]}  # fmt: skip

    return {
        "title": title, "last": last, "share": percent(float(axes.explained_variance_ratio_.sum())),
        "real": points(real[:count]), "seed": int(view.config["seeds"][0]),
        "arms": [
            {"arm": arm.index, "name": arm.label, "generations": [
                points(as_vectors(features(view.samples(arm.name, arm.seed, g)[:count])))
                for g in range(1, len(arm.keys) + 1)
            ]}
            for arm in arms
        ],
    }  # fmt: skip
