"""Every strategy passes the same tests."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from sklearn.decomposition import PCA

import entroloop as el
from cut_pools import Cuts
from entroloop.selection import STRATEGIES

pools = arrays(
    np.float32, array_shapes(min_dims=2, max_dims=2, min_side=1, max_side=12),
    elements=st.integers(-2, 2).map(float),  # lattices: many ties and copies
)  # fmt: skip


@pytest.fixture(params=sorted(STRATEGIES))
def strategy(request):
    return request.param


def needs(strategy, x):
    """Return the arguments without which a strategy cannot work."""
    real = np.arange(len(x)) % 2 == 0
    return {
        "ds3": {"reference": x[:5]},
        "guarded": {"guard": np.resize(x, (40, x.shape[1]))},
        "latent_space_filter": {"real": real},
        "random_matched": {"real": real},
        "silo": {"reference": x[:5]},
        "top_quality": {"scores": np.arange(len(x))},
        "verifier": {"reference": x[:5]},
    }.get(strategy, {})


@given(x=pools, data=st.data())
@settings(max_examples=60, deadline=None)
@pytest.mark.parametrize("strategy", ["random", "greedy", "threshold_decay"])
def test_exactly_n_different_rows_are_picked(strategy, x, data):
    n = data.draw(st.integers(1, len(x)))
    selection = el.select(x, n, strategy, seed=data.draw(st.integers(0, 5)))
    assert len(selection.indices) == len(set(selection.indices.tolist())) == n
    assert selection.indices.dtype == np.int64
    assert selection.indices.min() >= 0
    assert selection.indices.max() < len(x)
    assert len(selection.radii) == n


def test_a_pool_of_copies_alone_is_filled_up_and_says_so(strategy):
    x = np.zeros((20, 3))
    selection = el.select(x, 4, strategy, **needs(strategy, x))
    assert len(set(selection.indices.tolist())) == 4
    if strategy in ("greedy", "threshold_decay"):
        assert selection.stopped_by == "duplicates"
        assert selection.duplicates == 3


def test_initial_rows_and_masked_rows_are_never_picked(strategy, rng):
    x = rng.standard_normal((30, 4))
    selection = el.select(
        x, 10, strategy, initial=[1, 2], candidates=np.arange(20), **needs(strategy, x)
    )
    assert set(selection.indices.tolist()) <= set(range(20)) - {1, 2}


def test_the_seed_decides_and_nothing_else(strategy, rng):
    x = rng.standard_normal((40, 3))
    more = needs(strategy, x)
    one = el.select(x, 10, strategy, seed=3, **more)
    assert np.array_equal(one.indices, el.select(x.copy(), 10, strategy, seed=3, **more).indices)
    others = [el.select(x, 10, strategy, seed=s, **more).indices.tolist() for s in range(5)]
    if strategy not in ("center_matching", "covariance_matching", "latent_space_filter",
                        "low_likelihood", "silo", "top_quality"):  # fmt: skip
        assert len({tuple(o) for o in others}) > 1


@pytest.mark.parametrize("quota", ["equal", "proportional"])
def test_groups_get_their_exact_quotas(strategy, quota, rng):
    x = rng.standard_normal((90, 4))
    groups = np.repeat(["a", "b", "c"], [15, 30, 45])
    picked = el.select(x, 18, strategy, groups=groups, quota=quota, **needs(strategy, x)).indices
    counts = [int((groups[picked] == g).sum()) for g in "abc"]
    assert counts == ([6, 6, 6] if quota == "equal" else [3, 6, 9])


def test_a_strategy_that_needs_more_says_so(strategy, rng):
    x = rng.standard_normal((30, 3))
    if needs(strategy, x) and strategy != "guarded":  # which takes random without a guard
        with pytest.raises(
            el.InputError, match=f"{strategy} needs {next(iter(needs(strategy, x)))}"
        ):
            el.select(x, 3, strategy)


@pytest.mark.parametrize("n", [0, -1, 31])
def test_a_number_that_cannot_be_picked_is_refused(strategy, n, rng):
    with pytest.raises(el.InputError, match=r"n must be a whole number in 1 … 30"):
        el.select(rng.standard_normal((30, 2)), n, strategy)


def test_rows_with_nan_are_named(strategy):
    x = np.ones((5, 2))
    x[3, 1] = np.nan
    with pytest.raises(el.InputError, match="rows 3"):
        el.select(x, 2, strategy)


def test_matched_random_takes_as_many_real_rows_as_greedy_and_other_rows(rng):
    x = np.concatenate([3 * rng.standard_normal((60, 5)), rng.standard_normal((140, 5))])
    real = np.arange(200) < 60
    greedy = el.select(x, 50, "greedy", seed=4).indices
    drawn = [el.select(x, 50, "random_matched", real=real, seed=s).indices for s in range(4, 9)]
    assert real[drawn[0]].sum() == real[greedy].sum() > 25  # greedy takes the far rows: real ones
    assert len({tuple(d) for d in drawn}) == 5
    uniform = np.mean([real[el.select(x, 50, "uniform", seed=s).indices].sum() for s in range(40)])
    assert uniform == pytest.approx(50 * 0.3, abs=2)
    groups = np.arange(200) % 2
    quota = {"groups": groups, "quota": "equal", "seed": 4}
    there = el.select(x, 50, "greedy", **quota).indices
    here = el.select(x, 50, "random_matched", real=real, **quota).indices
    for g in (0, 1):
        counts = [real[i[groups[i] == g]].sum() for i in (there, here)]
        assert counts[0] == counts[1]


@pytest.mark.parametrize("strategy", ["center_matching", "covariance_matching"])
@pytest.mark.parametrize("reference", [np.zeros(3), np.zeros((5, 4)), np.zeros((1, 3))])
def test_a_reference_of_another_shape_is_refused(strategy, reference, rng):
    with pytest.raises(el.InputError, match="at least 2 rows of 3 values; got"):
        el.select(rng.standard_normal((20, 3)), 5, strategy, reference=reference)


@pytest.mark.parametrize("of_reference", [False, True])
def test_covariance_matching_brings_the_sum_of_whitened_moments_nearest_to_0(of_reference, rng):
    x, reference = rng.standard_normal((60, 3)) * [4, 1, 0.2], rng.standard_normal((50, 3)) + 0.3
    goal = reference if of_reference else x
    z = PCA(whiten=True).fit(goal).transform(x) * np.sqrt(len(goal) / (len(goal) - 1))
    moments = np.concatenate([z, z**2 - 1], axis=1)
    picks: list[int] = []
    while len(picks) < 15:
        sums = np.square(moments + moments[picks].sum(axis=0)).sum(axis=1)
        sums[picks] = np.inf
        picks.append(int(sums.argmin()))
    arguments = {"reference": reference} if of_reference else {}
    found = el.select(x, 15, "covariance_matching", **arguments)
    assert found.indices.tolist() == picks


def test_semdedup_drops_a_row_of_a_pair_that_points_the_same_way():
    x = np.array([[10.0, 0.0], [12.0, 0.0], [-10.0, 1.0], [-10.0, -1.0]])
    picks = el.select(x, 3, "semdedup", clusters=2).indices
    assert sorted(picks.tolist())[1:] == [2, 3]  # of the others their angle tells them apart


def test_semdedup_scores_the_first_row_of_a_cluster_as_one_that_is_alone():
    x = np.array([[50, 50], [1, 0.1], [1, 0.2], [1, 0.3], [1, 0.4]])
    assert el.select(x, 1, "semdedup", clusters=2).indices.tolist() == [0]


def test_semdedup_compares_two_rows_alone_with_each_other():
    x = np.array([[0.0, 1.0], [1.0, 0.0]])  # which is nearer to their centre the seed decides
    kept = {int(el.select(x, 1, "semdedup", seed=seed).indices[0]) for seed in range(20)}
    assert kept == {0, 1}


def test_a_coreset_of_all_rows_has_no_next_one(rng):
    x = rng.standard_normal((30, 3))
    found = el.select(x, 30, "composable_coreset", engine=Cuts(10))
    assert sorted(found.indices.tolist()) == list(range(30))


@pytest.mark.parametrize("metric", ["euclidean", "manhattan"])
@pytest.mark.parametrize("weight", [0.5, 2.0, 3.0])
def test_equal_weights_change_no_pick(weight, metric, rng):
    x = rng.standard_normal((400, 20))
    plain, weighted = (
        el.select(x, 150, first=0, weights=w, metric=metric) for w in (None, np.full(400, weight))
    )
    assert weighted.indices.tolist() == plain.indices.tolist()
    assert weighted.radii[1:] == pytest.approx(weight * plain.radii[1:], rel=1e-12)


def test_weights_are_taken_up_to_where_their_squares_end(rng):
    x = rng.standard_normal((5, 2))
    ends = np.array([1e100, 1, 1, 1, 1e-100])
    assert el.select(x, 2, weights=ends, first=1).indices.tolist() == [1, 0]
    for beyond in (1.1e100, 0.9e-100):
        with pytest.raises(el.InputError, match="must lie in 1e-100 … 1e100"):
            el.select(x, 2, weights=np.array([1, beyond, 1, 1, 1]))


def test_ds3_cuts_the_reference_into_as_many_clusters_as_the_root_of_n():
    reference, pool = np.array([[0.0], [0], [10], [10]]), np.array([[0.0], [5], [10], [3]])
    # One for two picks, so that those near the mean of all come first; two for three.
    assert el.select(pool, 2, "ds3", reference=reference).indices.tolist() == [1, 3]
    assert {0, 2} < set(el.select(pool, 3, "ds3", reference=reference).indices.tolist())
