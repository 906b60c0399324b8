"""Every strategy passes the same tests."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

import entroloop as el
from entroloop.selection import STRATEGIES

pools = arrays(
    np.float32, array_shapes(min_dims=2, max_dims=2, min_side=1, max_side=12),
    elements=st.integers(-2, 2).map(float),  # lattices: many ties and copies
)  # fmt: skip


@pytest.fixture(params=sorted(STRATEGIES))
def strategy(request):
    return request.param


@given(x=pools, data=st.data())
@settings(max_examples=60, deadline=None)
@pytest.mark.parametrize("strategy", sorted(STRATEGIES))
def test_exactly_n_different_rows_are_picked(strategy, x, data):
    n = data.draw(st.integers(1, len(x)))
    selection = el.select(x, n, strategy, seed=data.draw(st.integers(0, 5)))
    assert len(selection.indices) == len(set(selection.indices.tolist())) == n
    assert selection.indices.dtype == np.int64
    assert selection.indices.min() >= 0
    assert selection.indices.max() < len(x)
    assert len(selection.radii) == n


def test_a_pool_of_copies_alone_is_filled_up_and_says_so(strategy):
    selection = el.select(np.zeros((6, 3)), 4, strategy)
    assert len(set(selection.indices.tolist())) == 4
    if strategy != "random":
        assert selection.stopped_by == "duplicates"
        assert selection.duplicates == 3


def test_initial_rows_and_masked_rows_are_never_picked(strategy, rng):
    x = rng.standard_normal((30, 4))
    selection = el.select(x, 10, strategy, initial=[1, 2], candidates=np.arange(20))
    assert set(selection.indices.tolist()) <= set(range(20)) - {1, 2}


def test_the_seed_decides_and_nothing_else(strategy, rng):
    x = rng.standard_normal((40, 3))
    one = el.select(x, 10, strategy, seed=3)
    assert np.array_equal(one.indices, el.select(x.copy(), 10, strategy, seed=3).indices)
    others = [el.select(x, 10, strategy, seed=s).indices.tolist() for s in range(5)]
    assert len({tuple(o) for o in others}) > 1


@pytest.mark.parametrize("n", [0, -1, 31])
def test_a_number_that_cannot_be_picked_is_refused(strategy, n, rng):
    with pytest.raises(el.InputError, match=r"n must lie in 1 … 30"):
        el.select(rng.standard_normal((30, 2)), n, strategy)


def test_rows_with_nan_are_named(strategy):
    x = np.ones((5, 2))
    x[3, 1] = np.nan
    with pytest.raises(el.InputError, match="rows 3"):
        el.select(x, 2, strategy)
