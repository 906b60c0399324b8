"""Sketches bound distances from below, and change no pick."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import entroloop as el
from entroloop.distances import multipliers
from entroloop.distances.extents import centre_and_reach
from entroloop.distances.multipliers import CompiledMultiplier, NumpyMultiplier
from entroloop.distances.spaces import Euclidean
from entroloop.pools import nearest_picks, sketches


@pytest.fixture
def of_small_pools(monkeypatch):
    """Sketches for pools of any size, even where they do not pay."""
    for name, value in {"SAMPLE": 20, "SMALLEST_POOL": 8, "FEWEST": 1, "WORK": 1}.items():
        monkeypatch.setattr(sketches, name, value)
    monkeypatch.setattr(sketches, "LEAST_ENERGY", 0.1)
    monkeypatch.setattr(sketches, "WORTHLESS", 1.1)


def rows_of(kind, n, d, rng):
    x = rng.standard_normal((n, d)) * 10.0 ** rng.uniform(-4, 2, d)
    if kind == "near-duplicates":
        x = x[rng.integers(n // 3, size=n)] + 1e-4 * x
    elif kind == "offset":
        x = 1e3 + 1e-3 * x
    elif kind == "flat":
        x[:, 3:] = 0
    elif kind == "copies":
        x = x[rng.integers(4, size=n)]
    return x.astype(np.float32)


KINDS = ["spread", "near-duplicates", "offset", "flat", "copies"]


@pytest.mark.parametrize("kind", KINDS)
def test_bounds_never_exceed_the_distance_by_more_than_the_doubt(kind, of_small_pools):
    for seed in range(40):
        rng = np.random.default_rng(seed)
        x = rows_of(kind, 120, int(rng.integers(4, 60)), rng)
        prepared, sizes = Euclidean(*centre_and_reach(x), NumpyMultiplier()).prepare(x, np.float32)
        sketch = sketches.sketch_for(*x.shape, prepared.__getitem__)
        assert sketch is not None
        products = (
            sketch.of_rows(prepared, sizes)
            @ sketch.of_picks(sketch.of_rows(prepared, sizes), sizes).T
        )
        bounds = products.astype(np.float64) + sizes[:, None] ** 2
        differences = prepared[:, None].astype(np.float64) - prepared[None]
        excess = bounds - np.square(differences).sum(axis=2)
        assert (excess <= sketch.doubt(sizes, float(sizes.max()))[:, None]).all()


@given(kind=st.sampled_from(KINDS), seed=st.integers(0, 2**32 - 1))
@settings(max_examples=60, deadline=None)
def test_picks_with_sketches_are_those_without(kind, seed):
    rng = np.random.default_rng(seed)
    x = rows_of(kind, int(rng.integers(20, 300)), int(rng.integers(8, 40)), rng)
    n = int(rng.integers(1, len(x)))
    strategy = ("greedy", "threshold_decay")[seed % 2]
    with pytest.MonkeyPatch.context() as patch:
        plain = el.select(x, n, strategy, seed=1)
        for name, value in {"SAMPLE": 20, "SMALLEST_POOL": 8, "FEWEST": 1, "WORK": 1}.items():
            patch.setattr(sketches, name, value)
        patch.setattr(sketches, "WORTHLESS", 1.1)
        for multiplier in (NumpyMultiplier, CompiledMultiplier):
            # pairs alone, both, products alone
            patch.setattr(multiplier, "pair", (0.01, 1, 10**6)[seed % 3])
            patch.setattr(multiplier, "again", (0, 2**16)[seed // 2 % 2])
        patch.setattr(nearest_picks, "CORE_BYTES", (2**10, 2**20)[seed // 8 % 2])
        patch.setattr(multipliers, "WORTH_KERNELS", (0, np.inf)[seed // 4 % 2])
        sketched = el.select(x, n, strategy, seed=1)
    assert sketched.indices.tolist() == plain.indices.tolist()
    assert np.array_equal(sketched.radii, plain.radii)


def test_a_sketch_spares_most_full_distances_of_rows_near_a_plane(monkeypatch):
    rng = np.random.default_rng(0)
    plane = rng.standard_normal((6, 128))
    x = (rng.standard_normal((9000, 6)) @ plane).astype(np.float32)
    x += 0.01 * rng.standard_normal(x.shape, dtype=np.float32)
    monkeypatch.setattr(multipliers, "WORTH_KERNELS", np.inf)
    multiplied = [0]
    nearest_two, products = NumpyMultiplier.nearest_two, NumpyMultiplier.products

    def counted(self, handle, picks, *others):
        multiplied[0] += len(handle) * len(picks)
        return nearest_two(self, handle, picks, *others)

    def pairs_counted(self, handle, i, picks, j):
        multiplied[0] += len(i)
        return products(self, handle, i, picks, j)

    monkeypatch.setattr(NumpyMultiplier, "nearest_two", counted)
    monkeypatch.setattr(NumpyMultiplier, "products", pairs_counted)
    with_sketch = el.select(x, 3000, "greedy", device="cpu", first=0)
    spared, multiplied[0] = multiplied[0], 0
    monkeypatch.setattr(sketches, "SMALLEST_POOL", len(x) + 1)
    without = el.select(x, 3000, "greedy", device="cpu", first=0)
    assert with_sketch.indices.tolist() == without.indices.tolist()
    assert spared < 0.05 * multiplied[0]


def test_isotropic_rows_get_no_sketch():
    x = np.random.default_rng(0).standard_normal((10_000, 128), dtype=np.float32)
    assert sketches.sketch_for(*x.shape, x.__getitem__) is None


def test_a_few_rows_far_away_do_not_take_the_directions():
    rng = np.random.default_rng(0)
    x = rng.standard_normal((10_000, 6)) @ rng.standard_normal((6, 128))
    near = x.copy()
    x[::500] += 1e4 * rng.standard_normal((20, 128))
    found, expected = (sketches.sketch_for(*y.shape, y.__getitem__) for y in (x, near))
    assert found.width == expected.width


def test_rows_that_are_all_zero_get_no_sketch():
    x = np.zeros((10_000, 128), dtype=np.float32)
    assert sketches.sketch_for(*x.shape, x.__getitem__) is None
