"""Manhattan distances by compiled loops are SciPy's within the stated bound, and change no pick."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.distance import cdist

import entroloop as el
from entroloop.distances import spaces
from entroloop.distances.extents import centre_and_reach
from entroloop.distances.spaces import Manhattan

pytest.importorskip("numba", reason="entroloop[fast] is not installed")


@given(
    m=st.integers(1, 9), p=st.integers(1, 5), d=st.integers(1, 70), seed=st.integers(0, 2**32 - 1),
    dtype=st.sampled_from([np.float32, np.float64]), loops=st.booleans(),
)  # fmt: skip
@settings(max_examples=120, deadline=None)
def test_values_are_scipys_within_the_bound(m, p, d, seed, dtype, loops):
    rng = np.random.default_rng(seed)
    x, y = (
        rng.normal(size=(k, d)) * 10.0 ** rng.uniform(-150, 150, size=(k, 1)) for k in (m, p)
    )  # fmt: skip
    space = Manhattan(*centre_and_reach(x, y), operations=1e18 if loops else 0)
    space._compiled = loops
    rows, sizes = space.prepare(x, dtype)
    picks, lengths = space.prepare(y, dtype)
    values = space.tile(rows, sizes, picks).astype(np.float64) * space.unit
    off = np.abs(values - cdist(x, y, "cityblock"))
    assert (off <= space.bound(sizes, float(lengths.max()), dtype)[:, None]).all()


@given(seed=st.integers(0, 2**32 - 1))
@settings(max_examples=20, deadline=None)
def test_picks_by_compiled_loops_are_those_without(seed):
    rng = np.random.default_rng(seed)
    n, d = int(rng.integers(20, 300)), int(rng.integers(8, 40))
    x = rng.integers(0, 4, size=(n, d)).astype(np.float32) * rng.choice([1, 0.1])  # many ties
    strategy = ("greedy", "threshold_decay")[seed % 2]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(spaces, "WORTH", np.inf)
        plain = el.select(x, n // 2, strategy, metric="manhattan", seed=1)
        patch.setattr(spaces, "WORTH", 0)
        fast = el.select(x, n // 2, strategy, metric="manhattan", seed=1)
    assert fast.indices.tolist() == plain.indices.tolist()
    assert np.array_equal(fast.radii, plain.radii)
