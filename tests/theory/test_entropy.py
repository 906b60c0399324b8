import math

import numpy as np
import pytest

import entroloop as el
from cut_pools import Cuts
from entroloop.metrics import Sets
from entroloop.metrics.entropy import entropy_of, has_near_copies
from entroloop.seeding import rng_for


def gaussian_entropy(d):
    return d / 2 * math.log(2 * math.pi * math.e)


@pytest.mark.parametrize("d", [1, 2, 8])
@pytest.mark.parametrize("k", [1, 4])
def test_entropy_of_a_standard_gaussian_is_the_closed_form(d, k):
    estimates = [
        el.knn_entropy(np.random.default_rng(s).standard_normal((1000, d)), k).nats
        for s in range(10)
    ]
    error = np.std(estimates, ddof=1) / math.sqrt(10)
    # Bias at n = 1,000 is below 0.05 nats up to d = 2 and below 0.3 at d = 8.
    bias = 0.05 if d < 8 else 0.3
    assert abs(np.mean(estimates) - gaussian_entropy(d)) < 3 * error + bias


@pytest.mark.parametrize("d", [1, 3])
def test_entropy_of_a_uniform_cube_is_d_ln_a(d):
    a = 3.0
    estimates = [
        el.knn_entropy(a * np.random.default_rng(s).random((2000, d))).nats for s in range(10)
    ]
    error = np.std(estimates, ddof=1) / math.sqrt(10)
    edge = 0.15 if d == 3 else 0.02  # the cube's faces bias the estimate upwards
    assert abs(np.mean(estimates) - d * math.log(a)) < 3 * error + edge


def test_entropy_of_scaled_and_shifted_rows_rises_by_d_ln_a(rng):
    x = rng.standard_normal((200, 5))
    for a in (0.1, 2.0, 255.0):
        rise = el.knn_entropy(a * x + 7).nats - el.knn_entropy(x).nats
        assert rise == pytest.approx(5 * math.log(a), abs=1e-9)


@pytest.mark.parametrize("times", [2, 3])
def test_repeated_rows_change_nothing_but_the_fraction_of_duplicates(times, rng):
    x = rng.standard_normal((50, 4))
    whole, repeated = el.knn_entropy(x), el.knn_entropy(np.concatenate([x] * times))
    assert repeated.duplicate_fraction == pytest.approx(1 - 1 / times)
    assert (repeated.n, repeated.nats, repeated.min_distance) == (
        50,
        whole.nats,
        whole.min_distance,
    )
    some = el.knn_entropy(np.concatenate([x, x[:20]]))  # also where only some rows are repeated
    assert (some.n, some.nats) == (50, whole.nats)


@pytest.mark.parametrize("rows", [50, 70])  # without copies, and with some
def test_the_entropy_of_a_set_among_others_is_that_of_its_rows_alone(rows, rng):
    x = np.resize(rng.standard_normal((50, 4)), (rows, 4))
    alone, found = el.knn_entropy(x), entropy_of(Sets(generated=x, train=x + 1), "generated")
    assert found.nats == pytest.approx(alone.nats, rel=1e-12)
    assert (found.n, found.d, found.k) == (50, 4, 1)
    assert found.duplicate_fraction == alone.duplicate_fraction == 1 - 50 / rows
    equal = entropy_of(Sets(generated=np.ones((5, 2))), "generated")
    assert (equal.nats, equal.n, equal.duplicate_fraction) == (-math.inf, 1, 0.8)


def test_floor_reproduces_the_reference_codes_constant(rng):
    x = rng.standard_normal((50, 4))
    doubled = np.concatenate([x, x])
    # With half the set duplicated every distance is 0, and the constant alone is left.
    assert el.knn_entropy(doubled, floor=1e-10).min_distance == 1e-10


def test_equal_rows_have_entropy_minus_infinity_with_a_note():
    result = el.knn_entropy(np.ones((5, 2)))
    assert result.nats == -math.inf
    assert "equal" in result.note


def test_negative_zero_is_a_copy_of_zero():
    assert el.knn_entropy(np.array([[0.0], [-0.0], [1.0], [3.0]])).duplicate_fraction == 0.25


@pytest.mark.parametrize(
    ("x", "k", "message"),
    [
        (np.zeros((1, 2)), 1, "at least 2"),
        (np.arange(6.0).reshape(3, 2), 3, "between 1 and n − 1"),
        (np.array([[0.0], [0.0], [1.0]]), 2, "distinct"),
        (np.array([[0.0], [np.nan]]), 1, "rows 1"),
    ],
)
def test_entropy_refuses_what_it_cannot_estimate(x, k, message):
    with pytest.raises(el.InputError, match=message):
        el.knn_entropy(x, k)


@pytest.mark.parametrize(("n", "d", "low", "high"), [(512, 32, 0.45, 0.62), (128, 64, 0.17, 0.32)])
def test_a_fall_of_small_directions_is_seen_in_part_as_much_as_for_normal_sets(n, d, low, high):
    # The refitted Gaussian of each generation loses its small directions first.
    rng = np.random.default_rng(0)
    x = y = rng.standard_normal((n, d))
    for _ in range(5):
        y = rng.multivariate_normal(y.mean(axis=0), np.cov(y.T, bias=True), n)
    found = el.entropy_attenuation(x, y)
    a, b = (np.linalg.slogdet(np.cov(rows.T))[1] / 2 for rows in (x, y))
    assert found.normal == pytest.approx(b - a, rel=1e-6)
    assert found.estimated == pytest.approx(el.knn_entropy(y).nats - el.knn_entropy(x).nats)
    assert low < found.share < high
    # One draw of the estimate varies by about a nat.
    assert abs(found.estimated - found.seen) < 1.5


def test_an_attenuation_is_that_of_seeded_normal_rows_cut_to_equally_many(rng):
    x, y = rng.standard_normal((40, 3)), rng.standard_normal((60, 3)) * [1, 0.5, 0.2]
    found = el.entropy_attenuation(x, y)
    draw = rng_for(0, 0, "attenuation")
    a, b = (z[np.sort(draw.choice(len(z), 40, replace=False))] for z in (x, y))
    assert found.estimated == el.knn_entropy(b).nats - el.knn_entropy(a).nats
    noise = draw.standard_normal((40, 3))
    spectra = [np.linalg.eigvalsh(np.cov(z.T))[::-1] for z in (a, b)]
    seen = [el.knn_entropy(noise * np.sqrt(values)).nats for values in spectra]
    assert found.seen == pytest.approx(seen[1] - seen[0], abs=0.3)  # the first of its draws
    assert (found.n, found.d) == (40, 3)


def test_directions_without_a_share_of_the_largest_variance_are_left_out(rng):
    x = rng.standard_normal((50, 3)) * [1e6, 1, 1]
    assert el.entropy_attenuation(x, 0.5 * x).d == 1
    assert el.entropy_attenuation(x / [10, 1, 1], x).d == 1
    assert el.entropy_attenuation(x / [100, 1, 1], x / [200, 1, 1]).d == 3


@pytest.mark.parametrize("engine", [None, Cuts(2)])
def test_equal_rows_count_as_one(engine):
    found = el.knn_entropy(np.ones((6, 2)), engine=engine)
    assert (found.nats, found.n, found.d, found.k) == (-np.inf, 1, 2, 1)
    assert found.duplicate_fraction == 1 - 1 / 6


def test_a_change_of_scale_is_seen_in_full_and_equal_rows_have_no_attenuation(rng):
    x = rng.standard_normal((200, 5))
    found = el.entropy_attenuation(x, 0.1 * x)
    assert found.share == pytest.approx(1)
    assert found.estimated == pytest.approx(5 * math.log(0.1))
    with pytest.raises(el.InputError, match="vary in no direction"):
        el.entropy_attenuation(x, np.ones((200, 5)))
    with pytest.raises(el.InputError, match="at least 3 rows"):
        el.entropy_attenuation(x[:2], x)
    assert el.entropy_attenuation(x[:3], 0.1 * x[:3]).share == pytest.approx(1)


@pytest.mark.parametrize("d", [2, 8, 64])
def test_near_copies_take_the_interval_of_entropy_away_and_chance_does_not(d, rng):
    x = rng.standard_normal((600, d))
    plain = el.measure(generated=x, metrics=["entropy_samples", "intrinsic_dimension"])
    assert all(m.interval is not None for m in plain.values())
    x[:5] = x[5:10] * (1 + 1e-9)
    copied = el.measure(generated=x, metrics=["entropy_samples", "intrinsic_dimension"])
    assert all(m.interval is None for m in copied.values())
    assert "near-copies" in copied["entropy_samples"].note


def test_near_copies_are_seen_among_rows_that_are_one_apart():
    x = np.cumsum([0.0, *[1.0, 1.25] * 30])[:, None]  # the nearest at 1, the next at 1.25
    x[-1] = x[-2] + 1e-12
    assert has_near_copies(Sets(generated=x).own("generated"))
    x[-1] = x[-2] + 0.9
    assert not has_near_copies(Sets(generated=x).own("generated"))
