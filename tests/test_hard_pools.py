"""Greedy's picks are the definition's on pools that float32, bounds and threads find hard."""

import threading
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from threadpoolctl import ThreadpoolController

import entroloop as el
from entroloop.distances import multipliers
from entroloop.distances.extents import centre_and_reach
from entroloop.distances.spaces import Euclidean
from entroloop.pools import bounds, shard
from entroloop.pools.copies import copies_among
from entroloop.pools.nearest_picks import NearestPicks
from entroloop.selection import block
from entroloop.selection.strategies.threshold_decay import _eligible, _pick_by_share
from entroloop.system import compiled, threads


def squares(differences):
    return np.square(differences).sum(axis=1)


def absolutes(differences):
    return np.abs(differences).sum(axis=1)


METRICS = {"euclidean": (squares, 2), "manhattan": (absolutes, 1)}


def greedy_by_definition(x, n, picks, weights, metric="euclidean"):
    """The fifteen lines, with weights; rows at distance 0 last, in index order."""
    value, power = METRICS[metric]
    x, w = x.astype(np.float64), weights**power
    near = np.full(len(x), np.inf)
    for p in picks:
        near = np.minimum(near, value(x - x[p]))
    chosen = list(picks)
    open_ = np.ones(len(x), dtype=bool)
    open_[chosen] = False
    for _ in range(n):
        best = int(np.where(open_, near * w, -1).argmax())
        chosen.append(best)
        open_[best] = False
        near = np.minimum(near, value(x - x[best]))
    return chosen[len(picks) :]


POOLS = {
    "sizes over twelve orders": lambda rng: (
        rng.standard_normal((120, 4)) * 10 ** rng.uniform(-6, 6, (120, 1))
    ),
    "one in twenty at 1e6": lambda rng: (
        rng.standard_normal((120, 20)) * np.where(np.arange(120) % 20, 1, 1e6)[:, None]
    ),
    "copies of a third": lambda rng: rng.standard_normal((40, 5))[rng.integers(0, 40, 120)],
    "copies of rows far away": lambda rng: (
        rng.standard_normal((30, 6)) + 1e4 * (np.arange(30) % 3)[:, None]
    )[rng.integers(0, 30, 120)],
    "a lattice with signed zeros": lambda rng: rng.integers(-1, 2, (120, 3)) * -0.5,
}


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("pool", POOLS)
@given(seed=st.integers(0, 2**32 - 1), narrow=st.booleans(), weighted=st.booleans())
@settings(max_examples=12, deadline=None)
def test_hard_pools_give_the_definitions_picks(pool, metric, seed, narrow, weighted):
    rng = np.random.default_rng(seed)
    x = POOLS[pool](rng).astype(np.float32 if narrow else np.float64)
    weights = rng.integers(1, 4, len(x)) / 2 if weighted else np.ones(len(x))
    initial = rng.permutation(len(x))[: rng.integers(1, 30)].tolist()
    with pytest.MonkeyPatch.context() as patch:
        for multiplier in (multipliers.NumpyMultiplier, multipliers.CompiledMultiplier):
            patch.setattr(multiplier, "again", (0, 2**16)[seed % 2])
        patch.setattr(multipliers, "WORTH_KERNELS", (0, np.inf)[seed // 2 % 2])
        for module in (block, shard):  # rows in doubt at once, beyond which float64 decides
            patch.setattr(module, "LARGEST", (4, 2048)[seed // 2 % 2])
        found = el.select(
            x, len(x) - len(initial), initial=initial, weights=weights if weighted else None,
            metric=metric,
        )  # fmt: skip
    expected = greedy_by_definition(x, len(x) - len(initial), initial, weights, metric)
    assert found.indices.tolist() == expected


@pytest.mark.parametrize("metric", METRICS)
def test_a_few_rows_far_away_do_not_cost_float64(metric, rng):
    x = rng.standard_normal((3000, 24)).astype(np.float32)
    x[::500] *= 1e6
    assert el.select(x, 400, first=1, metric=metric).precision == "float32"


def test_float64_ends_where_ordinary_rows_are_picked(rng, monkeypatch):
    x = rng.standard_normal((3000, 24)).astype(np.float32)
    x[::500] *= 1e6
    kept = []
    restore = bounds.Bounds.restore_precision
    monkeypatch.setattr(
        bounds.Bounds, "restore_precision", lambda self: (kept.append(self), restore(self))
    )
    found = el.select(x, 1500, first=0)  # from a far row all but five are equally far
    assert found.precision == "float64"
    assert kept[0].dtype == np.float32
    assert found.indices[1:].tolist() == greedy_by_definition(x, 1499, [0], np.ones(3000))


def test_copies_do_not_cost_float64(rng):
    x = np.repeat(rng.standard_normal((1500, 16)).astype(np.float32), 3, axis=0)
    found = el.select(x, 3000, first=0)
    assert found.precision == "float32"
    assert found.duplicates == 1500
    assert sorted(found.indices[:1500]) == list(range(0, 4500, 3))


def test_rows_are_centred_in_the_middle_of_most_of_them(rng):
    x = rng.standard_normal((1000, 8)) + 5
    assert np.allclose(centre_and_reach(x)[0], x.mean(axis=0))
    x[::100] += 1e6
    centre, reach = centre_and_reach(x)
    assert np.abs(centre - 5).max() < 2
    assert np.linalg.norm(x - centre, axis=1).max() <= reach


@given(seed=st.integers(0, 2**32 - 1), weighted=st.booleans())
@settings(max_examples=25, deadline=None)
def test_copies_are_rows_that_come_after_an_equal_one(seed, weighted):
    rng = np.random.default_rng(seed)
    x = rng.integers(-1, 2, (60, 3)).astype(rng.choice(["float32", "float64", "int8"]))
    index = np.sort(rng.permutation(60)[:40])
    weights = rng.integers(1, 3, 60).astype(float)
    found = copies_among(x, index, weights if weighted else None)
    rank = np.lexsort((np.arange(60), -weights if weighted else np.zeros(60)))
    first: dict[tuple, int] = {}
    for i in rank:
        if i in index:
            first.setdefault(tuple(x[i].tolist()), int(i))
    assert found.tolist() == [i for i in index.tolist() if i not in first.values()]


@pytest.mark.parametrize("strategy", ["greedy", "threshold_decay"])
def test_threads_change_nothing(strategy, rng, monkeypatch, in_three_threads):
    x = rng.standard_normal((3000, 40)).astype(np.float32)
    monkeypatch.setattr(multipliers.NumpyMultiplier, "tile_bytes", 2**14)
    alone = el.select(x, 600, strategy, seed=1)
    names = set()
    merge_missing = bounds.Bounds._merge_missing

    def noted(self, behind):
        names.add(threading.current_thread().name)
        return merge_missing(self, behind)

    monkeypatch.setattr(bounds.Bounds, "_merge_missing", noted)
    in_three_threads()
    together = el.select(x, 600, strategy, seed=1)
    assert len(names) > 1
    assert np.array_equal(alone.indices, together.indices)
    assert np.array_equal(alone.radii, together.radii)


def test_the_threads_of_products_are_given_back_after_an_error():
    def numbers():
        libraries = ThreadpoolController().select(user_api="blas")
        return [library.num_threads for library in libraries.lib_controllers]

    before = numbers()
    with pytest.raises(ZeroDivisionError), threads.products_in_one_thread():
        assert 1 in numbers()  # NumPy's; the others are left alone
        threads.in_threads(lambda part: 1 / part, [1, 0, 1], threads.threads_here())
    assert numbers() == before


def test_where_two_picks_alone_are_in_doubt_no_other_pick_is_looked_at(rng, monkeypatch):
    pytest.importorskip("numba", reason="entroloop[fast] is not installed")
    x = rng.standard_normal((500, 24)).astype(np.float32)
    x[:, 0] = 0  # as far from a pick as from its mirror image
    picks = np.repeat(rng.standard_normal((40, 24)).astype(np.float32), 2, axis=0)
    picks[:, 0] = np.tile([1, -1], 40)
    picks = picks[rng.permutation(80)]
    values = np.square(x[:, None].astype(np.float64) - picks[None]).sum(axis=2)

    multiplier = multipliers.CompiledMultiplier()
    space = Euclidean(*centre_and_reach(x, picks), multiplier)
    known = NearestPicks(x, space, capacity=80, multiplier=multiplier)
    every = np.arange(500)
    for start, stop in [(0, 1), (1, 2), (2, 9), (9, 40), (40, 80)]:
        known.add(picks[start:stop])
        known.refresh(every[rng.random(500) < 0.7])
    known.refresh(every)
    first, rival, *_ = np.sort(values.argsort(axis=1, kind="stable")[:, :2], axis=1).T
    assert np.array_equal(np.sort([known.where, known.rival], axis=0), [first, rival])
    assert (
        known.third >= np.sort(values, axis=1)[:, 2] * (1 - 1e-4)
    ).all()  # far ones are left out

    monkeypatch.setattr(NearestPicks, "_scan", lambda *_: pytest.fail("all picks were looked at"))
    nearest, where = known.nearest(every)
    assert np.array_equal(nearest, values.min(axis=1))
    assert np.array_equal(where, values.argmin(axis=1))
    assert np.array_equal(known.unweighted(every), nearest)


@pytest.mark.parametrize(("kind", "more"), [("pick_above", ()), ("pick_by_share", (0.5, 6))])
@pytest.mark.parametrize(("level", "picked"), [(2.5, 3), (2.85, 3), (2.95, 2), (3.2, 2)])
def test_compiled_picks_end_where_a_row_outside_could_come_next(kind, more, level, picked):
    kernels = pytest.importorskip("entroloop.distances.kernels")
    values = np.array([5.0, 4.0, 3.0, 2.0, 1.0, 0.5])
    far = np.full((6, 6), 9.0)  # no pick lowers another row's value
    picks, taken = np.empty(6, dtype=np.int64), np.empty(6)
    made = getattr(kernels, kind)(far, values, picks, taken, 0, 6, level, 0.1, *more)
    assert picks[:made].tolist() == list(range(picked))
    assert taken[:made].tolist() == [5.0, 4.0, 3.0][:picked]


@pytest.mark.parametrize(
    ("values", "picked"),
    [
        ([100.0, 99.75, 1.0], [0, 1]),
        ([99.75, 100.0, 1.0], [1, 0]),
        ([100.0, 99.85, 1.0], []),
        ([99.85, 100.0, 1.0], []),
        ([0.1, -np.inf, -np.inf], []),  # perhaps a copy of a pick
    ],
)
def test_compiled_picks_end_where_a_rival_is_within_twice_the_error(values, picked):
    kernels = pytest.importorskip("entroloop.distances.kernels")
    picks, taken, far = np.empty(3, dtype=np.int64), np.empty(3), np.full((3, 3), 900.0)
    made = kernels.pick_above(far, np.array(values), picks, taken, 0, 2, -1.0, 0.1)
    assert picks[:made].tolist() == picked


@pytest.mark.parametrize(
    ("values", "picked"),
    [
        ([60.0, 100.0, 49.0], [0]),
        ([49.75, 50.25, 100.0], [1]),
        ([49.85, 100.0, 60.0], []),  # perhaps half of the largest
        ([50.15, 100.0, 60.0], []),
        ([0.1, -np.inf, -np.inf], []),
    ],
)
def test_compiled_picks_by_share_end_where_a_share_is_within_twice_the_error(values, picked):
    kernels = pytest.importorskip("entroloop.distances.kernels")
    picks, taken, far = np.empty(3, dtype=np.int64), np.empty(3), np.full((3, 3), 900.0)
    made = kernels.pick_by_share(far, np.array(values), picks, taken, 0, 1, -1.0, 0.1, 0.5, 3)
    assert picks[:made].tolist() == picked


@pytest.fixture
def as_far_off_as_stated(monkeypatch):
    """Blocks whose values are off by all of their error, one up and the next down."""
    error = 2.0

    def matrix(self, rows):
        found = np.array([self.exact(rows, row) for row in rows])
        off = np.triu(np.random.default_rng(5).choice([-error, error], found.shape), 1)
        return found + off + off.T, error

    monkeypatch.setattr(Euclidean, "matrix", matrix)


def block_of(rows):
    known = block.Block(
        index=np.arange(len(rows)),
        rows=rows,
        values=np.full(len(rows), 1e4),
        weights=np.ones(len(rows)),
        space=Euclidean(*centre_and_reach(rows), multipliers.NumpyMultiplier()),
    )
    known._subtracted = -np.inf  # defining all of them is never less work
    return known


def test_picks_and_radii_of_a_block_are_exact_however_its_errors_fall(rng, as_far_off_as_stated):
    rows = rng.standard_normal((120, 400)).astype(np.float32)
    known = block_of(rows)
    picks, near = [], np.full(120, 1e4)
    radii = []
    for _ in range(40):
        picks.append(known.best())
        radii.append(near[picks[-1]])
        assert picks[-1] == near.argmax()
        known.take(picks[-1])
        near = np.minimum(near, squares(rows.astype(np.float64) - rows[picks[-1]]))
        near[picks] = -np.inf
    assert known.error == 2  # not all of them were defined
    assert known.radii().tolist() == radii
    left = np.setdiff1d(np.arange(120), picks)
    assert [known.defining(row) for row in left] == near[left].tolist()


@pytest.mark.parametrize("by_loops", [True, False])
def test_rows_of_a_share_are_exact_however_the_errors_of_a_block_fall(
    by_loops, rng, as_far_off_as_stated, monkeypatch
):
    if by_loops:
        pytest.importorskip("numba", reason="entroloop[fast] is not installed")
        compiled.pays(multipliers.KERNELS, 1, 0)
    else:
        monkeypatch.setattr(block.Block, "_kernels", lambda _: None)
    rows = rng.standard_normal((120, 400)).astype(np.float32)
    known = block_of(rows)
    state = SimpleNamespace(groups=None, take=lambda known, position: known.take(position))
    share, eligible = 0.95, 90
    _pick_by_share(state, known, share, -1.0, eligible, 40)
    assert known.error == 2
    near, expected = np.full(120, 1e4), []
    for _ in range(known.count):
        expected.append(int(np.flatnonzero(near[:eligible] >= share * near.max())[0]))
        near = np.minimum(near, squares(rows.astype(np.float64) - rows[expected[-1]]))
        near[expected] = -np.inf
    assert known.picks.tolist() == expected
    assert known.count > 20
    assert known.count == 40 or not (near[:eligible] >= share * near.max()).any()


@pytest.mark.parametrize(("level", "first"), [(4.8, 0), (4.95, None), (5.2, None)])
def test_no_share_is_known_where_a_row_outside_a_block_may_have_the_largest_value(level, first):
    known = SimpleNamespace(
        values=np.array([3.0, 5.0]), error=0.1, count=1, best=lambda: 1, defining=lambda _: 5.0
    )
    found = _eligible(known, 0.5, level, 2)
    assert (None if found is None else found[0]) == first


@pytest.mark.parametrize(("defining", "found"), [(0.04, [0]), (0.0, None)])
def test_rows_within_the_error_of_a_pick_are_looked_at_by_the_definition(defining, found):
    known = SimpleNamespace(
        values=np.array([0.05]), error=0.1, count=1, best=lambda: 0, defining=lambda _: defining
    )
    told = _eligible(known, 0.5, -1.0, 1)
    assert (None if told is None else told.tolist()) == found


@pytest.mark.parametrize("metric", ["euclidean", "manhattan"])
@pytest.mark.parametrize("strength", [0.5, 0.75])
def test_a_row_of_exactly_its_share_is_taken(metric, strength, rng):
    compiled.pays(multipliers.KERNELS, 1, 0)  # compiled loops pick where there are any
    x, order = rng.integers(0, 3, (400, 24)).astype(np.float32), rng.permutation(400)
    found = el.select(x, 100, "threshold_decay", strength=strength, order=order, metric=metric)
    value, power = METRICS[metric]
    y, near, expected = x[order].astype(np.float64), np.full(400, np.inf), []
    for _ in range(100):
        eligible = near >= strength**power * near.max() if expected else near > 0
        expected.append(int(np.flatnonzero(eligible)[0]))
        near = np.minimum(near, value(y - y[expected[-1]]))
        near[expected] = -np.inf
    assert found.indices.tolist() == order[expected].tolist()


def test_compiled_pairs_of_a_row_that_lags_behind_begin_where_it_stands(rng):
    kernels = pytest.importorskip("entroloop.distances.kernels")
    rows, picks = rng.standard_normal((1, 4)), rng.standard_normal((200, 4))
    values = np.square(picks - rows).sum(axis=1)
    for seen in (0, 1, 63, 64, 130, 199):
        known = [np.full(1, np.inf) for _ in range(3)] + [np.full(1, -1) for _ in range(2)]
        kernels._merge_pairs(
            values[None] - np.square(rows).sum(), np.full(1, np.inf), np.array([seen]), 0, rows,
            np.zeros(1, np.int64), np.linalg.norm(rows, axis=1), np.zeros(1), np.zeros(1), picks,
            np.square(picks).sum(axis=1), 1.0, *known,
        )  # fmt: skip
        assert known[3][0] == seen + values[seen:].argmin()
        assert known[0][0] == pytest.approx(values[seen:].min())


@pytest.mark.parametrize("value", [0.0, 1e-40, 1e-30, 1e-9, -1e-9, 0.3, -7.0])
def test_the_limit_of_a_compiled_gain_is_rounded_to_no_larger_number(value):
    kernels = pytest.importorskip("entroloop.distances.kernels")
    own, least = 4.0, np.array([4.0 - 2 * value])
    exact = (own - least[0]) / 2
    gain = np.float32(exact)
    if gain > exact:
        gain = np.nextafter(gain, np.float32(-np.inf))
    infinite, none = np.full(1, np.inf), np.full(1, -1)
    second, third, where, rival = infinite.copy(), infinite.copy(), none.copy(), none.copy()
    kernels._merge_gains(
        np.array([[gain]]), np.zeros(1, np.float32), np.zeros(1, np.int64), np.zeros(1, np.int64),
        0, np.array([2.0]), np.zeros(1), 1.0, least, second, third, where, rival,
    )  # fmt: skip
    assert second[0] == pytest.approx(4.0 - 2 * value)
    assert rival[0] == 0 or where[0] == 0


@pytest.mark.parametrize("reach", [np.nextafter(2.0**480, 0), 2.0**-481, 0.0])
def test_rows_whose_squares_float64_holds_are_taken(reach):
    space = Euclidean(np.zeros(2), reach, multipliers.NumpyMultiplier())
    assert 0 < space.unit < np.inf
    assert 0 <= reach**2 < np.inf


@given(st.integers(0, 10**6), st.floats(-50, 50), st.booleans())
@settings(deadline=None, max_examples=40)
def test_no_row_lies_farther_from_the_centre_than_the_reach(seed, shift, outlier):
    x = np.random.default_rng(seed).standard_normal((40, 3)) + shift
    x[0] *= 1000 if outlier else 1
    centre, reach = centre_and_reach(x)
    assert np.sqrt(np.square(x - centre).sum(axis=1)).max() <= reach * (1 + 1e-12)


def test_a_last_row_far_away_does_not_leave_float64():
    x = np.zeros((6, 2))
    x[:, 0] = [0, 1, 2, 3, 4, 3.5e144]
    assert el.select(x, 2, first=0).indices.tolist() == [0, 5]
    assert np.isfinite(el.knn_entropy(x).nats)


@pytest.mark.parametrize("reach", [2.0**480, np.nextafter(2.0**-481, 0), np.inf])
def test_rows_whose_squares_may_leave_float64_are_refused(reach):
    with pytest.raises(el.InputError, match="leave the range of float64; rescale them"):
        Euclidean(np.zeros(2), reach, multipliers.NumpyMultiplier())


@pytest.mark.parametrize("scale", [2.0**-30, 2.0**30])
def test_picks_among_ties_do_not_depend_on_the_scale_of_the_rows(scale, rng):
    for x in (rng.integers(0, 3, (200, 24)).astype(np.float64), rng.standard_normal((200, 24))):
        plain, scaled = (el.select(rows, 60, first=0) for rows in (x, x * scale))
        assert scaled.indices.tolist() == plain.indices.tolist()
        assert scaled.radii.tolist() == (plain.radii * scale).tolist()


def test_a_compiled_limit_is_no_smaller_than_what_it_limits_at_any_scale():
    kernels = pytest.importorskip("entroloop.distances.kernels")
    for least, error, doubt, size, unit in (
        (1.0, 2000.0, 1e-6, 0.5, 2.0**20), (1.0, 1e-7, 1e-6, 0.9, 1.0), (0.0, 1e-9, 0.0, 0.0, 1.0),
    ):  # fmt: skip
        value = (least + 2 * error) / unit - size**2 + doubt
        limit = kernels._limit(least, error, doubt, size, unit)
        assert value <= np.float32(limit) <= value + 1e-6 * abs(value) + 2e-44


@pytest.mark.parametrize(
    ("again", "at_once", "end"), [(10, 100, 4), (5, 100, 2), (100, 3, 2), (100, 100, 5)]
)
def test_rows_that_know_as_many_picks_are_told_the_others_together(again, at_once, end):
    kernels = pytest.importorskip("entroloop.distances.kernels")
    seen = np.array([0, 0, 3, 3, 9])  # told from the first on, the third and fourth repeat 6
    assert kernels._end_of_window(seen, 0, 0, again, at_once) == end
