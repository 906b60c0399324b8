"""Range search against brute force in float64, and against faiss."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from entroloop.distances import ranges
from entroloop.distances.ranges import RangeIndex, as_float64
from entroloop.errors import InputError


def brute(x, radius):
    x = x.astype(np.float64)
    d = np.sqrt(np.stack([np.square(x - row).sum(axis=1) for row in x]))
    i, j = np.nonzero(np.triu(d <= radius, 1))
    return {(a, b): d[a, b] for a, b in zip(i.tolist(), j.tolist(), strict=True)}


def searched(x, radius, block=None):
    every = np.arange(len(x))
    index = RangeIndex(x, radius, kept=every, values=as_float64)
    found = {}
    for start in range(0, len(x), block or len(x)):
        queries = x[start : start + (block or len(x))]
        pairs, share = index.pairs(queries, start, np.arange(len(queries)), 10**9)
        assert share == 1
        for a, b, d in zip(
            pairs.queries.tolist(), pairs.rows.tolist(), pairs.distances, strict=True
        ):
            assert (a, b) not in found
            found[a, b] = d
    return found


def rows(kind, rng):
    x = rng.standard_normal((300, 24))
    if kind == "clusters":
        x = x * 0.05 + rng.standard_normal((9, 24))[rng.integers(0, 9, 300)]
    elif kind == "lattice":
        x = rng.integers(0, 3, (300, 4)) * 0.1
    elif kind == "offset":
        x = (x * 1e-4 + 1e3).astype(np.float32)
    elif kind == "far clusters":
        x[::2] += 1e7
    elif kind == "uint8":
        x = rng.integers(0, 5, (300, 6), np.uint8)
    elif kind == "tiny":
        x = x * 1e-25
    elif kind == "huge":
        x = x * 1e60
    elif kind == "half":
        x = x.astype(np.float16)
    elif kind == "one far":
        x[3] = 1e90
    elif kind == "one column":
        x = x[:, :1]
    return x


@pytest.mark.parametrize("block", [None, 100])
@pytest.mark.parametrize(
    "kind",
    ["plain", "clusters", "lattice", "offset", "far clusters", "uint8", "tiny", "huge", "half",
     "one far", "one column"],
)  # fmt: skip
def test_the_pairs_are_those_of_the_definition(kind, block, rng, monkeypatch):
    monkeypatch.setattr(ranges, "LEAF", 60)
    x = rows(kind, rng)
    spacing = np.array(list(brute(x, np.inf).values()))
    for share in (0.0, 0.001, 0.02, 0.3):
        radius = float(np.quantile(spacing, share, method="lower"))  # one pair is exactly there
        assert searched(x, radius, block) == brute(x, radius)


@given(
    x=arrays(np.float64, array_shapes(min_dims=2, max_dims=2, min_side=1, max_side=16),
             elements=st.integers(0, 3).map(lambda i: i * 0.1)),
    radius=st.sampled_from([0.0, 0.1, 0.2, 0.30000000000000004, 0.5]),
)  # fmt: skip
@settings(max_examples=50, deadline=None)
def test_ties_at_the_radius_are_decided_in_float64(x, radius):
    assert searched(x, radius) == brute(x, radius)


def test_most_leaves_are_never_multiplied(rng, monkeypatch):
    monkeypatch.setattr(ranges, "LEAF", 64)
    x = rng.standard_normal((2000, 3)) @ rng.standard_normal((3, 30))
    looked = []
    plain = RangeIndex._candidates
    monkeypatch.setattr(
        RangeIndex, "_candidates",
        lambda self, leaf, space, x, cut: looked.append(len(x)) or plain(self, leaf, space, x, cut),
    )  # fmt: skip
    assert searched(x, 0.1) == brute(x, 0.1)
    assert sum(looked) < 2000 * 6  # of 32 leaves a row


def test_rows_in_doubt_by_float32_are_told_apart_by_float64_products(rng, monkeypatch):
    # Clusters far smaller than a leaf, and far apart: float32 sees each as one point.
    centres = rng.standard_normal((40, 16)) * 30
    x = centres[np.arange(3000) % 40] + 1e-4 * rng.standard_normal((3000, 16))
    decided = []
    plain = RangeIndex._exact
    monkeypatch.setattr(
        RangeIndex, "_exact",
        lambda self, space, x, a, b: decided.append(len(a)) or plain(self, space, x, a, b),
    )  # fmt: skip
    found = searched(x, 3e-4)
    assert found == brute(x, 3e-4)
    assert sum(decided) < 20_000  # there are 110,000 pairs within the clusters


def test_faiss_finds_the_same_pairs(rng):
    faiss = pytest.importorskip("faiss")
    x = (rng.standard_normal((800, 16)) @ rng.standard_normal((16, 16))).astype(np.float32)
    index = faiss.IndexFlatL2(16)
    index.add(x)
    bounds, _, where = index.range_search(x, 36.0)
    lines = np.repeat(np.arange(800), np.diff(bounds).astype(int))
    theirs = {(a, b) for a, b in zip(lines.tolist(), where.tolist(), strict=True) if a < b}
    assert theirs == set(searched(x, 6.0))
    assert theirs


def test_a_search_with_too_many_pairs_stops(rng):
    x = rng.standard_normal((3000, 5))
    index = RangeIndex(x, 10.0, kept=np.arange(3000), values=as_float64)
    pairs, share = index.pairs(x, 0, np.arange(3000), 1000)
    assert 1000 < len(pairs.rows) < 200_000
    assert 0 < share < 1


def test_rows_whose_squares_leave_float64_are_refused(rng):
    with pytest.raises(InputError, match="rescale them"):
        searched(1e200 * rng.standard_normal((50, 3)), 0.0)


def test_an_empty_index_has_no_pairs(rng):
    x = rng.standard_normal((5, 2))
    index = RangeIndex(x, 1.0, kept=np.arange(0), values=as_float64)
    for first in (0, 5):  # of its own rows, or of others
        pairs, share = index.pairs(x, first, np.arange(5), 10)
        assert (len(pairs.queries), len(pairs.rows), share) == (0, 0, 1)


def test_a_search_of_one_row_tells_how_much_of_it_is_done():
    index = RangeIndex(np.zeros((1, 2)), 1.0, kept=np.array([0]), values=as_float64)
    _, done = index.pairs(np.zeros((5, 2)), 10, np.arange(5), 3)
    assert done == 1
