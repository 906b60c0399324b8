import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

import entroloop as el
from entroloop.selection.picks import equal_quotas

lattice = arrays(
    np.float64, array_shapes(min_dims=2, max_dims=2, min_side=2, max_side=14),
    elements=st.integers(0, 3).map(lambda i: i * 0.1),
)  # fmt: skip


def squared(a, b):
    return ((a.astype(np.float64) - b.astype(np.float64)) ** 2).sum()


def greedy_by_definition(x, n, first):
    picks = [first]
    while len(picks) < n:
        best, best_distance = None, -1.0
        for i in range(len(x)):
            if i not in picks:
                distance = min(squared(x[i], x[j]) for j in picks)
                if distance > best_distance:
                    best, best_distance = i, distance
        picks.append(best)
    return picks


def threshold_decay_by_definition(x, n, order, threshold, decay):
    accepted, tau = [], threshold
    while len(accepted) < n:
        for i in order:
            if len(accepted) == n:
                break
            if i not in accepted and all(squared(x[i], x[j]) > tau * tau for j in accepted):
                accepted.append(i)
        left = [i for i in order if i not in accepted]
        if left and all(min(squared(x[i], x[j]) for j in accepted) == 0 for i in left):
            accepted += left[: n - len(accepted)]
        tau *= decay
    return accepted


@given(x=lattice, data=st.data())
@settings(max_examples=100, deadline=None)
def test_greedy_is_the_definition_index_by_index(x, data):
    n = data.draw(st.integers(1, len(x)))
    first = data.draw(st.integers(0, len(x) - 1))
    selection = el.select(x, n, "greedy", first=first)
    assert selection.indices.tolist() == greedy_by_definition(x, n, first)


@given(x=lattice, data=st.data())
@settings(max_examples=100, deadline=None)
def test_threshold_decay_is_the_definition_index_by_index(x, data):
    n = data.draw(st.integers(1, len(x)))
    order = data.draw(st.permutations(range(len(x))))
    threshold = data.draw(st.sampled_from([0.0, 0.1, 0.35, 1.0]))
    decay = data.draw(st.sampled_from([0.0, 0.5, 0.95]))
    selection = el.select(x, n, "threshold_decay", order=order, threshold=threshold, decay=decay)
    expected = threshold_decay_by_definition(x, n, order, threshold, decay)
    assert selection.indices.tolist() == expected


def test_greedy_radii_never_increase_and_start_at_infinity(rng):
    radii = el.select(rng.standard_normal((60, 5)), 40).radii
    assert radii[0] == np.inf
    assert (np.diff(radii[1:]) <= 0).all()


def test_a_prefix_of_greedy_is_the_answer_for_a_smaller_n(rng):
    x = rng.standard_normal((50, 3))
    assert np.array_equal(el.select(x, 30).indices[:11], el.select(x, 11).indices)


def test_a_warm_start_continues_the_selection(rng):
    x = rng.standard_normal((50, 3))
    whole = el.select(x, 20, first=7)
    rest = el.select(x, 12, initial=whole.indices[:8])
    assert np.array_equal(rest.indices, whole.indices[8:])
    assert np.array_equal(rest.radii, whole.radii[8:])
    outside = el.select(x, 3, initial=x[whole.indices[:8]], candidates=whole.indices[8:])
    assert np.array_equal(outside.indices, whole.indices[8:11])


def test_the_entropy_of_greedy_exceeds_every_random_draw_on_clusters(rng):
    centres = rng.standard_normal((5, 6)) * 5
    x = centres[rng.integers(5, size=300)] + rng.standard_normal((300, 6)) * 0.3
    greedy = el.knn_entropy(x[el.select(x, 60).indices]).nats
    draws = [el.knn_entropy(x[el.select(x, 60, "random", seed=s).indices]).nats for s in range(20)]
    assert greedy > max(draws)


@pytest.mark.parametrize(("strength", "as_order"), [(0.0, True), (1.0, False)])
def test_strength_0_is_the_order_and_1_is_greedy(strength, as_order, rng):
    x = rng.integers(0, 4, (40, 2)).astype(float)
    order = rng.permutation(40)
    picked = el.select(x, 15, "threshold_decay", order=order, strength=strength).indices
    if as_order:
        assert np.array_equal(picked, order[:15])
    else:
        assert np.array_equal(picked, el.select(x, 15, first=order[0]).indices)


def test_random_takes_equal_quotas_of_groups():
    groups = np.repeat([0, 1, 2], [10, 50, 100])
    picked = el.select(np.arange(160.0)[:, None], 30, "random", groups=groups).indices
    assert np.bincount(groups[picked]).tolist() == [10, 10, 10]


@given(st.lists(st.integers(0, 9), min_size=1, max_size=6), st.data())
def test_equal_quotas_are_exact_and_as_equal_as_sizes_allow(sizes, data):
    sizes = np.array(sizes)
    n = data.draw(st.integers(0, int(sizes.sum())))
    quotas = equal_quotas(sizes, n)
    assert quotas.sum() == n
    assert (quotas <= sizes).all()
    short = quotas < sizes
    if short.any():
        assert quotas.max() - quotas[short].min() <= 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"strategy": "gredy"}, "did you mean 'greedy'"),
        ({"first": 99}, "first must be an index"),
        ({"strategy": "threshold_decay", "decay": 1.0}, "decay must lie in"),
        ({"strategy": "threshold_decay", "strength": 2}, "strength must lie in"),
        ({"strategy": "threshold_decay", "strength": 0.5, "decay": 0.5}, "not both"),
        ({"strategy": "threshold_decay", "order": [0, 0, 1, 2]}, "permutation"),
        ({"strategy": "threshold_decay", "threshold": float("nan")}, "threshold must be"),
        ({"initial": np.zeros((2, 5))}, "initial has 5 values a row"),
        ({"temperature": 1}, "unexpected keyword argument 'temperature'"),
    ],
)
def test_arguments_that_make_no_sense_are_refused(arguments, message, rng):
    with pytest.raises(el.InputError, match=message):
        el.select(rng.standard_normal((4, 2)), 2, **arguments)
