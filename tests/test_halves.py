"""Halves of sets find their neighbours in the lists of the whole, and find the same."""

import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from entroloop.distances.neighbors import nearest
from entroloop.distances.within import count_within, pairs_within
from entroloop.errors import InputError
from entroloop.metrics import METRICS, halves
from entroloop.metrics.halves import BETWEEN, halvings
from entroloop.metrics.sets import Sets

ROLES = ("generated", "train", "reference")


def of_sets():
    """The metrics whose interval comes from halves."""
    return {
        name: metric for name, metric in METRICS.items()
        if metric.rows is None and not metric.on_request and set(metric.needs) <= set(ROLES)
    }  # fmt: skip


def taken(metric, sets):
    try:
        return metric.value(sets)
    except InputError as error:
        return str(error)


def assert_equal_to_sets_of_their_own(sets, whole):
    for half in halvings(sets, np.random.default_rng(1), 2, whole)[1]:
        own = Sets(**{role: half[role] for role in ROLES})
        for name, metric in of_sets().items():
            found, alone = taken(metric, half), taken(metric, own)
            if name == "kernel_distance":  # sums over pairs in another order
                np.testing.assert_allclose(found, alone, rtol=1e-9, atol=1e-12)
            else:
                np.testing.assert_equal(found, alone, err_msg=name)


@pytest.mark.parametrize("whole", [(), ("train",)])
@pytest.mark.parametrize(("n", "d", "scale"), [(30, 3, 1.0), (300, 16, 0.6), (260, 2, 3.0)])
def test_every_metric_of_a_half_is_that_of_the_same_rows_alone(whole, n, d, scale, rng):
    sets = Sets(generated=scale * rng.standard_normal((n, d)), train=rng.standard_normal((n, d)),
                reference=rng.standard_normal((n + 7, d)))  # fmt: skip
    assert_equal_to_sets_of_their_own(sets, whole)


def test_halves_of_lattices_and_of_sets_with_copies_are_the_same_too(rng):
    lattice = rng.permutation(np.argwhere(np.ones((12, 12))).astype(float))
    assert_equal_to_sets_of_their_own(
        Sets(generated=lattice[:100] + 0.5, train=lattice[:120], reference=lattice[24:]), ()
    )
    copies = np.concatenate([lattice[:60], lattice[:30]])
    assert_equal_to_sets_of_their_own(
        Sets(generated=copies, train=copies[::-1], reference=lattice), ("train",)
    )


def test_a_row_whose_list_lies_in_the_other_half_is_searched_for_itself(rng):
    # The nearest BETWEEN training rows of the last generated rows are all in the first half.
    train = np.concatenate([rng.standard_normal((40, 2)) * 0.01, rng.standard_normal((40, 2)) + 9])
    sets = Sets(generated=np.zeros((80, 2)) + rng.standard_normal((80, 2)) * 0.01, train=train)

    class Rigged:
        def permutation(self, n):
            return np.arange(n)

    ((first, second),) = halvings(sets, Rigged(), 1)
    assert BETWEEN < 40
    assert first.nearest("generated", "train").distances.max() < 1
    far = second.nearest("generated", "train")
    own = Sets(generated=second["generated"], train=second["train"]).nearest("generated", "train")
    np.testing.assert_array_equal(far.distances, own.distances)
    np.testing.assert_array_equal(far.indices, own.indices)
    assert far.distances.min() > 5


def test_a_half_that_is_asked_for_more_neighbours_than_lists_hold_searches_for_them(rng):
    sets = Sets(generated=rng.standard_normal((90, 3)), train=rng.standard_normal((90, 3)))
    half = halvings(sets, rng, 1)[0][0]
    found = half.nearest("generated", "train", BETWEEN + 5)
    alone = nearest(half["generated"], half["train"], BETWEEN + 5)
    np.testing.assert_array_equal(found.indices, alone.indices)
    np.testing.assert_array_equal(found.distances, alone.distances)


@pytest.mark.parametrize("most", [0, 10**9])
def test_rows_within_radii_of_a_half_are_found_where_the_whole_lists_no_pairs(
    most, rng, monkeypatch
):
    monkeypatch.setattr(halves, "MOST_PAIRS", most)
    searched = []
    monkeypatch.setattr(
        Sets, "within", lambda *given, within=Sets.within: (searched.append(1), within(*given))[1]
    )
    sets = Sets(generated=rng.standard_normal((60, 3)), reference=rng.standard_normal((60, 3)))
    half = halvings(sets, rng, 1)[0][0]
    alone = Sets(generated=half["generated"], reference=half["reference"])
    radii = half.own("reference", 5).neighbors.distances[:, -1]
    found = half.within("generated", "reference", radii)
    assert bool(searched) == (most == 0)
    assert np.array_equal(found, alone.within("generated", "reference", radii))


def test_pairs_beyond_the_most_that_are_wanted_are_not_collected(rng):
    x = rng.standard_normal((3000, 8)).astype(np.float32)
    tracemalloc.start()
    assert pairs_within(x, x, np.full(3000, 100.0), 10 * 3000) is None
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert most < 100 * 2**20  # all pairs take 216 MB


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 10**6), st.integers(1, 60), st.integers(1, 60), st.booleans())
def test_pairs_within_radii_are_those_that_are_counted(seed, n, m, grid):
    rng = np.random.default_rng(seed)
    x, y = rng.integers(0, 4, (n, 2)), rng.integers(0, 4, (m, 2))
    if not grid:
        x, y = x + rng.standard_normal((n, 2)), y + rng.standard_normal((m, 2))
    radii = rng.integers(0, 4, m).astype(float)
    found = pairs_within(x, y, radii, n * m)
    np.testing.assert_array_equal(np.bincount(found.queries, minlength=n),
                                  count_within(x, y, radii))  # fmt: skip
    distances = np.linalg.norm(x[found.queries] - y[found.rows], axis=1)
    np.testing.assert_allclose(found.distances, distances, rtol=1e-12, atol=1e-12)
    if len(found.queries):
        assert pairs_within(x, y, radii, len(found.queries) - 1) is None
