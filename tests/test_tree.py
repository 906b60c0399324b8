"""Picks in a tree of boxes are the definition's, by every strategy that uses it."""

from importlib import import_module

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import entroloop as el
from entroloop.distances.multipliers import NumpyMultiplier
from entroloop.distances.spaces import Euclidean, Manhattan
from entroloop.pools.tree import Tree, pays

pytest.importorskip("numba", reason="numba is not installed: entroloop[fast]")
WIDTHS = [2, 6]  # each is compiled anew, and again for another power of the space
OF_MANHATTAN = [2]


@pytest.fixture
def in_tree(monkeypatch):
    """Make pools of any size pick in a tree, or none."""

    def set_(whether):
        monkeypatch.setattr("entroloop.selection.budget.pays", lambda *_: whether)

    return set_


def same(in_tree, *args, **kwargs):
    in_tree(False)
    blocks = el.select(*args, **kwargs)
    in_tree(True)
    tree = el.select(*args, **kwargs)
    assert tree.indices.tolist() == blocks.indices.tolist()
    np.testing.assert_array_equal(tree.radii, blocks.radii)
    assert (tree.stopped_by, tree.duplicates) == (blocks.stopped_by, blocks.duplicates)
    return tree


@pytest.mark.parametrize(
    ("space", "d"),
    [
        *(("euclidean", d) for d in WIDTHS),
        *(("manhattan", d) for d in OF_MANHATTAN),
        *(pytest.param("euclidean", d, marks=pytest.mark.slow) for d in (1, 3, 4, 5)),
    ],
)
def test_a_value_in_the_tree_is_the_definitions_to_the_last_bit(d, space, rng):
    x, pick = rng.normal(size=(400, d)) * 10.0 ** rng.integers(-3, 3, d), rng.normal(size=(1, d))
    centre = np.zeros(d)
    exact = (
        Manhattan(centre, 1.0)
        if space == "manhattan"
        else Euclidean(centre, 1.0, NumpyMultiplier())
    )
    tree = Tree(x, np.arange(400), None, exact.power)
    tree.add(pick)
    order = rng.permutation(400)
    values = [float(tree.take(int(row)).values[0]) for row in order[:1]]
    assert values == exact.exact(x[order[:1]], pick[0]).tolist()
    tree = Tree(x, np.arange(400), None, exact.power)
    tree.add(pick)
    tree.set_order(order)
    found = tree.visit(0, 0.0, 0.0, 400)  # each value to the pick and to those taken before
    expected = exact.exact(x[order], pick[0])
    for i in range(1, 400):
        expected[i:] = np.minimum(expected[i:], exact.exact(x[order[i:]], x[order[i - 1]]))
    np.testing.assert_array_equal(found.values, expected)


VALUES = {
    "normal": lambda rng, m: rng.normal(size=m),
    "equal": lambda rng, m: np.zeros(m),
    "few": lambda rng, m: rng.integers(0, 5, m).astype(float),
    "one above": lambda rng, m: np.eye(1, m, m // 3)[0],
    "falling": lambda rng, m: -np.arange(m, dtype=float),
    "far from the sample": lambda rng, m: np.where(np.arange(m) % 16 == 8, 1.0, rng.random(m) - 9),
    "tiny": lambda rng, m: rng.normal(size=m) * 1e-310,
}


@pytest.mark.parametrize("m", [1, 30, 255, 256, 5_000, 40_000])
@pytest.mark.parametrize("kind", VALUES)
def test_rows_are_divided_at_the_median_of_a_column_and_keep_their_order(kind, m, rng):
    division = import_module("entroloop.pools.tree_division")
    x = VALUES[kind](rng, m)
    rows, index, spare = np.stack([rng.random(m), x], axis=1), np.arange(m), np.empty((2, m))
    there, moved, middle = np.full_like(rows, np.nan), np.full_like(index, -1), m // 2
    value = division._divide(
        (rows, index), (there, moved), tuple(spare), 0, m, middle, 1, (0.0, 0.0)
    )
    assert value == np.sort(x)[middle]
    # A stable sort puts, of equal rows at the edge, the first ones before it.
    order = np.argsort(x, kind="stable")
    np.testing.assert_array_equal(moved[:middle], np.sort(order[:middle]))
    np.testing.assert_array_equal(moved[middle:], np.sort(order[middle:]))
    np.testing.assert_array_equal(there, rows[moved])


LATTICES = hnp.arrays(
    np.float32,
    st.tuples(st.integers(2, 300), st.sampled_from(WIDTHS)),
    elements=st.integers(-3, 3).map(float),
)


@settings(deadline=None, max_examples=60)
@given(x=LATTICES, data=st.data())
def test_picks_in_a_tree_are_those_of_blocks_with_ties_and_copies(x, data):
    n = data.draw(st.integers(1, len(x)))
    weights = data.draw(st.sampled_from([None, 1.0 + np.arange(len(x)) % 3]))
    manhattan = ["manhattan"] if x.shape[1] in OF_MANHATTAN else []
    metric = data.draw(st.sampled_from(["euclidean", *manhattan]))
    how = data.draw(
        st.sampled_from(
            [
                ("greedy", {}),
                ("greedy", {"initial": [0]}),
                ("greedy", {"initial": x[:1] + 0.25}),
                ("threshold_decay", {}),
                ("threshold_decay", {"threshold": 2.0, "decay": 0.5}),
                ("threshold_decay", {"strength": 0.4}),
                ("threshold_decay", {"strength": 0.9, "initial": [1]}),
            ]
        )
    )
    strategy, arguments = how
    if n == len(x) and "initial" in arguments:
        n -= 1
    with pytest.MonkeyPatch.context() as patch:
        set_ = lambda whether: patch.setattr(  # noqa: E731
            "entroloop.selection.budget.pays", lambda *_: whether
        )
        same(set_, x, n, strategy, metric=metric, weights=weights, **arguments)


@pytest.mark.parametrize("d", [2, 6])
@pytest.mark.parametrize(
    "how",
    [
        {},
        {"strategy": "threshold_decay"},
        {"strategy": "threshold_decay", "strength": 0.5},
    ],
    ids=["greedy", "threshold decay", "strength"],
)
def test_picks_of_a_larger_pool_are_those_of_blocks(in_tree, d, how, rng):
    x = rng.normal(size=(4_000, d)).astype(np.float32)
    x[2_000:2_400] = x[:400]  # copies
    same(in_tree, x, 900, **how)
    same(in_tree, x, 900, candidates=np.arange(500, 3_500), seed=1, **how)
    same(in_tree, x.astype(np.float64) + 1e6, 300, metric="cosine", **how)


@pytest.mark.parametrize("dtype", [np.uint8, np.float16, np.float64])
def test_rows_of_every_kind_give_the_picks_of_blocks(in_tree, dtype, rng):
    same(in_tree, rng.integers(0, 200, size=(700, 2)).astype(dtype), 300)


def test_all_rows_can_be_picked_and_copies_come_last_in_order(in_tree):
    x = np.repeat(np.arange(5.0)[:, None], 4, axis=0) * [1, 0]
    chosen = same(in_tree, x, 20, first=3)
    assert chosen.indices[:1].tolist() == [3]
    assert chosen.duplicates == 15


@pytest.mark.parametrize("decay", [0.0, 0.5, 0.95, 0.9999])
def test_thresholds_fall_to_the_smallest_numbers_as_those_of_blocks_do(in_tree, decay):
    x = np.array([[0.0, 0.0], [5e-324, 0.0], [1.0, 0.0], [1.0, 3e-310], [0.0, 0.0]])
    order = [0, 4, 1, 3, 2]
    chosen = same(in_tree, x, 5, "threshold_decay", metric="manhattan", order=order, decay=decay)
    assert chosen.indices.tolist() == ([0, 1, 3, 2, 4] if decay == 0 else [0, 3, 2, 1, 4])


def test_one_row_that_can_be_picked_is_picked(in_tree, rng):
    assert same(in_tree, rng.normal(size=(50, 2)), 1, candidates=[7]).indices.tolist() == [7]


def test_groups_and_the_radius_of_coverage_are_those_of_blocks(in_tree, rng):
    x, groups = rng.normal(size=(300, 2)), np.arange(300) % 3
    same(in_tree, x, 90, groups=groups, quota="equal")
    assert same(in_tree, x, 90).coverage_radius == pytest.approx(
        np.linalg.norm(x[:, None] - x[el.select(x, 90).indices], axis=2).min(axis=1).max()
    )


def test_a_stopped_selection_goes_on_in_the_tree(in_tree, rng, tmp_path, monkeypatch):
    in_tree(True)
    for name in ("greedy", "threshold_decay"):
        module = import_module(f"entroloop.selection.strategies.{name}")
        monkeypatch.setattr(module, "TREE_PICKS", 50)
    x = rng.normal(size=(800, 2))

    def stop(made, wanted):
        if made >= 200:
            raise KeyboardInterrupt

    for strategy in ("greedy", "threshold_decay"):
        whole = el.select(x, 400, strategy)
        path = tmp_path / strategy
        with pytest.raises(KeyboardInterrupt):
            el.select(x, 400, strategy, checkpoint=path, progress=stop)
        assert el.select(x, 400, strategy, checkpoint=path).indices.tolist() == (
            whole.indices.tolist()
        )


def test_the_farthest_row_of_a_tree_without_picks_is_the_first(rng):
    tree = Tree(rng.normal(size=(300, 2)), np.arange(7, 300), None, 2)
    found = tree.farthest(2)
    assert found.index[0] == 7
    assert found.values[0] == np.inf


def test_without_a_numba_that_works_blocks_make_the_picks(monkeypatch, rng):
    from entroloop.system import compiled

    def broken(name):
        raise ImportError("Numba needs NumPy 2.3 or less")

    x = rng.normal(size=(20_000, 2))
    expected = el.select(x, 6_000, first=0).indices.tolist()
    monkeypatch.setattr(compiled, "import_module", broken)
    compiled._compiles.cache_clear()
    try:
        assert not pays(20_000, 2, 6_000)
        assert el.select(x, 6_000, first=0).indices.tolist() == expected
    finally:
        monkeypatch.undo()
        compiled._compiles.cache_clear()


def test_a_tree_is_used_where_rows_have_few_values_and_the_work_is_worth_it():
    assert pays(100_000, 3, 10_000)
    assert not pays(100_000, 64, 10_000)
    assert [pays(100_000, d, 10_000) for d in (6, 7)] == [True, False]
    assert not pays(200, 3, 10)


def test_a_small_selection_does_not_wait_for_a_tree_of_a_width_that_is_not_compiled(
    monkeypatch, rng
):
    monkeypatch.setattr("entroloop.pools.tree._widths", set())
    import_module("entroloop.pools.tree_kernels")
    assert not pays(2_000, 2, 1_000)
    Tree(rng.normal(size=(100, 2)), np.arange(100), None, 2)
    assert pays(2_000, 2, 1_000)
    assert not pays(2_000, 3, 1_000)


def test_strength_0_takes_the_order_from_a_tree_too(in_tree):
    x = np.array([0.0, 0, 0, 1, 2, 2, 3])[:, None]
    chosen = same(in_tree, x, 3, "threshold_decay", strength=0.0, order=np.arange(7))
    assert chosen.indices.tolist() == [0, 1, 2]
