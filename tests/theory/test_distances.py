import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

import entroloop as el
from entroloop.distances.multipliers import NumpyMultiplier, rounding
from entroloop.distances.spaces import Euclidean, Manhattan
from entroloop.distances.transforms import unit_rows
from entroloop.metrics.moments import total_variance
from entroloop.metrics.neighbourhood import auth_pct, coverage_distance

rows = arrays(np.float64, (7, 3), elements=st.floats(-100, 100, width=32))


def test_generalization_score_of_a_copy_is_0(rng):
    x = rng.standard_normal((20, 4)).astype(np.float32)
    assert el.generalization_score(generated=x[:5], train=x) == 0
    assert el.memorized_fraction(generated=x[:5], train=x) == 1


def test_generalization_score_of_a_far_shift_is_the_shift():
    train = np.random.default_rng(0).random((30, 2))
    score = el.generalization_score(generated=np.array([[1000.0, 0.5]]), train=train)
    assert score == pytest.approx(999.0, rel=0.01)


def test_generalization_score_is_not_symmetric_in_its_roles():
    train = np.array([[0.0], [10.0]])
    generated = np.array([[0.0]])
    assert el.generalization_score(generated=generated, train=train) == 0
    assert el.generalization_score(generated=train, train=generated) == 5
    assert coverage_distance(generated=generated, reference=train) == 5


@given(rows)
def test_frechet_distance_of_a_set_to_itself_is_0(x):
    assert el.frechet_distance(generated=x, reference=x) == pytest.approx(0, abs=1e-6 * 100**2)


def test_frechet_distance_of_a_shift_is_its_square(rng):
    x = rng.standard_normal((50, 4))
    shift = np.array([1.0, 2.0, 0.0, -2.0])
    assert el.frechet_distance(generated=x + shift, reference=x) == pytest.approx(9)


def test_frechet_distance_of_scaled_rows_is_the_closed_form(rng):
    # N(0, Σ) and N(0, a²Σ): (a − 1)² tr Σ.
    x = rng.standard_normal((80, 3))
    x -= x.mean(axis=0)
    expected = 4 * total_variance(x)
    assert el.frechet_distance(generated=3 * x, reference=x) == pytest.approx(expected)


def test_frechet_distance_stays_exact_with_fewer_rows_than_features(rng):
    x = rng.standard_normal((5, 40))
    assert el.frechet_distance(generated=x, reference=x) == pytest.approx(0, abs=1e-6)
    assert el.frechet_distance(generated=x + 1, reference=x) == pytest.approx(40, rel=1e-6)


def test_memorized_fraction_follows_the_ratio_of_distances():
    train = np.array([[0.0], [1.0]])
    generated = np.array([[0.24], [0.26], [0.5], [-1.0]])  # d1/d2 = .316, .351, 1, .5
    assert el.memorized_fraction(generated=generated, train=train) == 0.25
    assert el.memorized_fraction(generated=generated, train=train, ratio=0.34) == 0.25
    assert el.memorized_fraction(generated=generated, train=train, ratio=0.36) == 0.5


def test_copies_in_the_training_set_do_not_hide_memorization():
    train = np.array([[0.0], [0.0], [9.0]])
    assert el.memorized_fraction(generated=np.array([[0.1]]), train=train) == 1


def test_auth_pct_of_a_copy_is_0_and_of_far_rows_100(rng):
    train = rng.standard_normal((30, 3))
    assert auth_pct(generated=train, train=train) == 0
    assert auth_pct(generated=train + 100, train=train) == 100


def test_total_variance_is_the_trace_of_the_covariance(rng):
    x = rng.standard_normal((30, 4))
    assert total_variance(x) == pytest.approx(np.trace(np.cov(x.T)))


def test_sets_of_different_width_are_refused_by_name():
    with pytest.raises(el.InputError, match=r"generated has 2 values a row and train 3"):
        el.generalization_score(generated=np.zeros((4, 2)), train=np.zeros((4, 3)))


def test_a_row_is_authentic_if_it_is_farther_than_the_nearest_neighbour_not_the_second():
    train = np.array([[0.0], [1.0], [10.0]])
    assert auth_pct(generated=np.array([[-2.0]]), train=train) == 100  # 2 > 1, and not > 10
    assert auth_pct(generated=np.array([[-1.0]]), train=train) == 0  # as far as the neighbour
    assert auth_pct(generated=np.array([[0.5]]), train=train) == 0


def test_a_copy_of_a_row_that_has_a_copy_is_not_authentic():
    train = np.array([[0.0], [0.0], [5.0]])
    assert auth_pct(generated=np.array([[0.0]]), train=train) == 0
    assert auth_pct(generated=np.array([[0.1]]), train=train) == 100


def test_the_bound_of_tiny_values_counts_what_each_product_loses():
    d = 16_384
    a = np.full((1, d), np.sqrt(0.49 * 2.0**-149), dtype=np.float32)  # whose square becomes 0
    space = Euclidean(np.zeros(d), 0.9, NumpyMultiplier())
    sizes = np.linalg.norm(a.astype(np.float64), axis=1)
    off = 4 * np.square(a.astype(np.float64)).sum() - space.tile(a, sizes, -a)[0, 0]
    assert off > 1e-41
    assert off * space.unit <= space.bound(sizes, float(sizes[0]), np.float32)[0]


@pytest.mark.parametrize("kind", ["euclidean", "manhattan"])
@pytest.mark.parametrize(("d", "dtype"), [(2, np.float64), (384, np.float32), (3072, np.float32)])
@pytest.mark.parametrize("unit", [1.0, 2.0**20])
def test_beyond_its_reach_a_pick_is_farther_than_the_nearest_whatever_rounding_does(
    kind, d, dtype, unit
):
    more = (NumpyMultiplier(),) if kind == "euclidean" else ()
    space = {"euclidean": Euclidean, "manhattan": Manhattan}[kind](np.zeros(d), unit, *more)
    sizes = np.repeat([0.0, 0.3, 1.0], 4)
    least = np.tile([0.0, 1e-6, 0.25, 2.0], 3) * space.unit
    reach = space.reach(sizes, least, dtype)
    nearest = ((reach - sizes) ** space.power) * space.unit  # of a pick of that size: no nearer
    bound = space.bound(sizes, reach, dtype)
    assert (nearest - bound >= least + 2 * bound).all()
    # And it is no farther than rounding asks for.
    much = 1 + 20 * rounding(d, dtype) ** (1 / space.power)
    assert (reach <= much * (sizes + (least / space.unit) ** (1 / space.power)) + 1e-12).all()
    if d > 2:
        assert space.reach(sizes, least, np.float16) == np.inf  # too coarse to tell anything


def test_rows_too_short_for_their_squares_are_left_as_they_are():
    x = np.array([[1e-200, 0.0], [0.0, 0.0], [3.0, 4.0]])
    assert unit_rows(x, refused="").tolist() == [[1e-200, 0.0], [0.0, 0.0], [0.6, 0.8]]
