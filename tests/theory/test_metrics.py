"""Metrics against closed forms and what theory says of them."""

from importlib import import_module

import numpy as np
import pytest
from scipy.spatial.distance import cdist
from scipy.special import logsumexp
from scipy.stats import chi2, mannwhitneyu, multivariate_normal, skew
from sklearn.cluster import KMeans

import entroloop as el
from entroloop.distances.extents import centre_and_reach
from entroloop.distances.means import mean_to_others
from entroloop.distances.spaces import Manhattan
from entroloop.metrics import METRICS, Sets, kernels
from entroloop.metrics.copying import (
    Copying,
    _standardized,
    _variances,
    c_t,
    c_t_of,
    fld,
    fld_gap,
    mifid,
)
from entroloop.metrics.drift import (
    drift_coverage,
    drift_fidelity,
    drift_novelty,
    hubness,
    spikiness,
)
from entroloop.metrics.entropy import _kth_gaps, entropy_of, intrinsic_dimension, knn_entropy
from entroloop.metrics.kernels import inception_score, kernel_distance, rke, vendi_score
from entroloop.metrics.manifold import density, precision
from entroloop.metrics.moments import (
    effective_rank,
    frechet_distance,
    frechet_distance_infinity,
    spectrum,
    total_variance,
)
from entroloop.metrics.neighbourhood import auth_rows, memorized_rows, memorized_rows_of
from entroloop.metrics.originals import OF_ORIGINALS
from entroloop.metrics.sets import NEIGHBOURS, drawn_of
from entroloop.metrics.sliced import sliced_wasserstein
from entroloop.metrics.tails import tail_share
from entroloop.seeding import seed_for


def normal(seed, n=400, d=6):
    return np.random.default_rng(seed).standard_normal((n, d))


@pytest.fixture
def sets():
    return {"generated": normal(0), "train": normal(1), "reference": normal(2)}


def test_entropy_at_the_intrinsic_dimension_does_not_see_empty_directions(rng):
    x = rng.random((2000, 2))
    wide = x @ np.linalg.qr(rng.standard_normal((10, 2)))[0].T
    assert knn_entropy(wide, dimension=2).nats == pytest.approx(knn_entropy(x).nats, abs=1e-6)


def test_scaling_raises_entropy_by_the_dimension_times_its_logarithm(sets):
    x = sets["generated"]
    for dimension in (None, 3.5):
        change = knn_entropy(3 * x, dimension=dimension).nats
        change -= knn_entropy(x, dimension=dimension).nats
        assert change == pytest.approx((dimension or 6) * np.log(3))


def test_intrinsic_dimension_does_not_depend_on_scale(sets):
    x = sets["generated"]
    assert intrinsic_dimension(1e-3 * x + 5) == pytest.approx(intrinsic_dimension(x), rel=1e-6)


def test_the_dimension_of_maximum_likelihood_is_its_equation(rng):
    # Levina and Bickel 2005, averaged as MacKay and Ghahramani 2005 say: over inverses.
    x = rng.standard_normal((60, 4))
    r = np.sort(np.linalg.norm(x[:, None] - x, axis=2), axis=1)[:, 1:21]
    inverse = [np.mean([np.log(row[-1] / row[j]) for j in range(19)]) for row in r]
    assert intrinsic_dimension(x, "maximum_likelihood") == pytest.approx(1 / np.mean(inverse))


def test_mifid_of_copies_alone_is_the_frechet_distance_over_1e_14(rng):
    train, reference = rng.standard_normal((60, 3)), rng.standard_normal((60, 3)) + 1
    plain = frechet_distance(generated=train, reference=reference)
    found = mifid(generated=train, train=train, reference=reference)
    cosines = (train * train).sum(1) / np.square(np.linalg.norm(train, axis=1))
    assert found == pytest.approx(plain / (np.maximum(1 - cosines, 0).mean() + 1e-14), rel=0.1)
    assert found > 1e12


def test_cells_of_c_t_are_those_of_one_start_of_kmeans(rng):
    rows = {role: rng.random((800, 2)) for role in ("generated", "train", "reference")}
    for own in (0, 1, 2):  # of two starts the second is the better one with two of these
        sets, seed = Sets(**rows, seed=own), seed_for(own, 0, "cells") % 2**32
        centres = KMeans(16, n_init=1, random_state=seed).fit(rows["train"]).cluster_centers_
        cells = cdist(rows["generated"], centres).argmin(axis=1)
        assert np.array_equal(c_t_of(sets).cells, cells)


def test_cells_of_training_rows_that_repeat_are_as_few_as_differ(recwarn):
    train = np.repeat(np.eye(3), 200, axis=0)
    noise = 0.1 * np.random.default_rng(0).standard_normal((600, 3))
    value = c_t(generated=train + noise, train=train, reference=train + noise[::-1])
    assert np.isfinite(value)
    assert not [w for w in recwarn if "distinct clusters" in str(w.message)]


def test_intrinsic_dimension_needs_three_distinct_rows():
    x = np.array([[0.0], [1.0], [3.0]])  # nearest distances 1, 1, 2; the next 3, 2, 3
    expected = 2 / np.log([3, 2, 1.5]).sum()
    assert intrinsic_dimension(x) == pytest.approx(expected)
    with pytest.raises(el.InputError, match="at least 3 distinct rows"):
        intrinsic_dimension(x[[0, 1, 1]])


def test_frechet_distance_of_infinitely_many_rows_is_that_of_the_gaussians():
    shift = np.full(6, 0.5)
    g, r = normal(3, 4000) + shift, normal(4, 40000)
    plain = el.frechet_distance(generated=g[:200], reference=r)
    extrapolated = frechet_distance_infinity(generated=g, reference=r)
    assert extrapolated == pytest.approx(6 * 0.25, abs=0.08)
    assert plain > extrapolated


def test_kernel_distance_is_unbiased():
    values = [kernel_distance(generated=normal(2 * s, 50), reference=normal(2 * s + 1, 50))
              for s in range(100)]  # fmt: skip
    assert abs(np.mean(values)) < 3 * np.std(values) / 10
    assert kernel_distance(generated=normal(0) + 1, reference=normal(1)) > 1


def test_sliced_wasserstein_of_a_shift_is_its_length_over_the_root_of_d(sets):
    shift = np.array([3.0, 0, 0, 0, 4.0, 0])
    found = sliced_wasserstein(
        generated=sets["train"] + shift, reference=sets["train"], directions=20_000
    )
    assert found == pytest.approx(5 / np.sqrt(6), rel=0.02)


def test_vendi_score_counts_orthogonal_modes():
    x = np.repeat(np.eye(5), 20, axis=0)
    assert vendi_score(x) == pytest.approx(5)
    assert rke(x) == pytest.approx(5)
    assert vendi_score(x[:20]) == pytest.approx(1)


def test_effective_rank_of_equal_and_of_single_directions(rng):
    x = np.linalg.qr(rng.standard_normal((100, 5)) - 0)[0]
    x -= x.mean(axis=0)
    assert effective_rank(rng.standard_normal((50_000, 5))) == pytest.approx(5, rel=1e-3)
    assert effective_rank(x[:, :1] * np.ones((1, 7))) == pytest.approx(1, abs=1e-6)
    assert spectrum(x).sum() == pytest.approx(x.var(axis=0, ddof=1).sum())


def test_inception_score_is_the_number_of_certain_classes_that_occur():
    p = np.eye(10)[np.repeat([1, 4, 7], 30)]
    assert inception_score(p) == pytest.approx(3)
    assert inception_score(np.full((20, 10), 0.1)) == pytest.approx(1)


def test_c_t_is_about_0_without_copying_and_far_below_with_it(sets):
    values = [c_t(generated=normal(3 * s), train=normal(3 * s + 1), reference=normal(3 * s + 2))
              for s in range(10)]  # fmt: skip
    assert abs(np.mean(values)) < 1
    noise = 0.05 * normal(9)
    assert c_t(generated=sets["train"] + noise, train=sets["train"],
               reference=sets["reference"]) < -5  # fmt: skip
    far = c_t(generated=3 * sets["generated"], train=sets["train"], reference=sets["reference"])
    assert far > 3


def test_c_t_is_the_mean_of_the_cells_z_of_the_rank_sum_test():
    rng = np.random.default_rng(0)
    cells, reference_cells = (
        np.repeat([0, 1, 2, 3], [40, 2, 1, 9]),
        np.repeat([0, 1, 2], [30, 2, 5]),
    )
    distances = rng.integers(0, 20, 52) / 4  # ties among them
    reference_distances = rng.integers(0, 20, 37) / 4
    z, weights = [], []
    for cell in (0, 1):  # cell 2 has one generated row, cell 3 none of the reference
        g = distances[cells == cell]
        r = reference_distances[reference_cells == cell]
        u = mannwhitneyu(g, r).statistic
        z.append((u - len(g) * len(r) / 2) / np.sqrt(len(g) * len(r) * (len(g) + len(r) + 1) / 12))
        weights.append(len(r))
    found = Copying(cells, distances, reference_cells, reference_distances)
    assert found.statistic() == pytest.approx(np.average(z, weights=weights), rel=1e-12)
    draws = found.resampled(np.random.default_rng(1), 4000)
    assert draws.mean() == pytest.approx(found.statistic(), abs=0.1)
    with pytest.raises(el.InputError, match="2 generated and 2 reference rows; none has both"):
        Copying(cells[41:], distances[41:], reference_cells, reference_distances).statistic()


def test_fld_is_a_hundredth_of_nats_a_value_between_two_mixtures(sets):
    held, fitted, generated, reference = _standardized(Sets(**sets))
    assert len(held) == len(generated) == len(sets["train"]) // 2

    def likelihood(rows, centres):
        parts = [
            multivariate_normal(centre, variance * np.eye(len(centre))).logpdf(rows)
            for centre, variance in zip(centres, _variances(centres, fitted), strict=True)
        ]
        return logsumexp(parts, axis=0).mean() - np.log(len(centres))

    d = reference.shape[1]
    expected = 100 / d * (likelihood(reference, held) - likelihood(reference, generated))
    assert fld(**sets) == pytest.approx(expected, rel=1e-9)
    gap = 100 / d * (likelihood(reference, generated) - likelihood(held, generated))
    assert fld_gap(**sets) == pytest.approx(gap, rel=1e-9)


def test_fitted_variances_are_most_likely_or_the_smallest_that_there_are(sets):
    _, fitted, generated, _ = _standardized(Sets(**sets))
    centres = generated[:6]

    def likelihood(variances):
        squares = np.square(fitted[:, None] - centres).sum(axis=2)
        d = fitted.shape[1]
        terms = -squares / (2 * variances) - d / 2 * np.log(2 * np.pi * variances)
        return logsumexp(terms, axis=1).mean()

    found = _variances(centres, fitted)
    for i in range(6):
        for factor in (0.8, 1.25):
            other = found.copy()
            other[i] *= factor
            assert likelihood(other) < likelihood(found) + 1e-3
    # A component on rows of its own gets the smallest variance, one that explains none keeps its.
    far = np.concatenate([np.zeros((5, 3)), np.full((5, 3), 9.0)])
    assert _variances(np.array([[0.0] * 3, [9.0] * 3]), far) == pytest.approx(1e-3)


def test_fld_is_about_0_for_new_rows_and_large_for_copies_noise_and_missing_modes(sets):
    perfect = [fld(generated=normal(3 * s), train=normal(3 * s + 1), reference=normal(3 * s + 2))
               for s in range(5)]  # fmt: skip
    assert abs(np.mean(perfect)) < 5
    wide = {**sets, "generated": 3 * sets["generated"]}
    missing = {**sets, "generated": np.abs(sets["generated"])}
    same = {**sets, "generated": sets["train"]}
    assert fld(**wide) > 20
    assert fld(**missing) > 10
    assert fld(**same) > 10
    assert fld_gap(**same) < -10 < fld_gap(**sets)


def test_drift_parts_are_about_0_for_a_perfect_generator(sets):
    for part in (drift_fidelity, drift_coverage, drift_novelty):
        assert abs(part(**sets)) < 0.08


def test_generalization_score_is_fidelity_less_novelty(sets):
    for g in (2 * sets["generated"], sets["train"] * 0.99, sets["generated"][:, ::-1] + 0.3):
        with_g = {**sets, "generated": g}
        score = el.generalization_score(generated=g, train=sets["train"])
        held_out = el.generalization_score(generated=sets["reference"], train=sets["train"])
        parts = drift_fidelity(**with_g) - drift_novelty(**with_g)
        assert np.log(score / held_out) == pytest.approx(parts)


def test_each_part_of_drift_tells_its_own_fault(sets):
    def parts(generated):
        with_g = {**sets, "generated": generated}
        return [f(**with_g) for f in (drift_fidelity, drift_coverage, drift_novelty)]

    noisy = parts(sets["generated"] * 2)
    assert noisy[0] > 0.3 > abs(noisy[2])
    narrow = parts(sets["generated"] * 0.1)
    assert narrow[1] > 0.3 > narrow[0]
    copied = parts(sets["train"] + 0.01 * normal(5))
    assert copied[2] > 1
    assert abs(copied[0]) < 0.1


def test_spikiness_is_about_0_for_a_gaussian_of_any_scale_and_grows_with_spikes(rng):
    x = rng.standard_normal((4000, 3)) * [5, 3, 1]
    assert abs(spikiness(x)) < 0.05
    assert spikiness(1e-3 * x + 7) == pytest.approx(spikiness(x), abs=1e-6)
    spikes = np.round(x) + 0.01 * rng.standard_normal(x.shape)
    assert spikiness(spikes) > 0.5


def test_hubness_rises_with_the_dimension(rng):
    few, many = (hubness(rng.standard_normal((1000, d))) for d in (3, 100))
    assert few < 1 < many


def test_hubness_takes_as_many_neighbours_as_are_known_of_four_times_the_rows(rng):
    x = rng.standard_normal((4 * NEIGHBOURS, 3))
    near = np.argsort(np.linalg.norm(x[:, None] - x, axis=2), axis=1)[:, 1 : NEIGHBOURS + 1]
    counts = np.bincount(near.ravel(), minlength=len(x))
    assert hubness(x, NEIGHBOURS) == pytest.approx(skew(counts))
    with pytest.raises(el.InputError, match="at least 80 distinct rows"):
        hubness(x[1:], NEIGHBOURS)


# Generated rows: copies of training rows, and rows near a plane that crowd at its middle; the
# training set is wide and a third of it copies, and the real rows are the same; held-out and
# unselected rows are as wide. So, against the same sets with generated and train exchanged, each
# metric must be larger (+) or smaller (−), or has nothing to do with them (=):
DIRECTIONS = {
    "entropy_train": "+", "entropy_samples": "-", "entropy_train_intrinsic": "+",
    "entropy_samples_intrinsic": "-", "intrinsic_dimension": "-", "intrinsic_dimension_mle": "-",
    "generalization_score": "-", "generalization_score_reference": "-",
    "generalization_ratio": "-", "memorized_fraction": "-", "memorized_fraction_reference": "+",
    "auth_pct": "+", "c_t": "-", "fld": "+", "fld_gap": "+", "mifid": "+", "frechet_distance": "+",
    "frechet_distance_infinity": "+", "kernel_distance": "+", "inception_score": "+",
    "sliced_wasserstein": "+", "precision": "+", "recall": "-", "density": "+", "coverage": "-",
    "coverage_distance": "+", "tail_share": "-", "total_variance": "-", "effective_rank": "-",
    "vendi_score": "-",
    "rke": "-", "hubness": "-", "spikiness": "+", "drift_fidelity": "+", "drift_coverage": "+",
    "drift_novelty": "+", "duplicate_fraction": "+",
    "generalization_score_unselected": "-", "generalization_ratio_real": "+",
    "memorized_fraction_real": "-", "c_t_unselected": "-", "drift_novelty_unselected": "+",
    "frechet_distance_floor": "=", "kernel_distance_floor": "=", "coverage_floor": "=",
    "tail_coverage": "-", "tail_coverage_floor": "=", "high_frequency_loss": "+", "fkea": "-",
    "fkea_rke": "-", "ken": "-", "ken_floor": "=", "ken_lost": "+",
}  # fmt: skip


@pytest.mark.parametrize("name", [name for name in METRICS if name not in OF_ORIGINALS])
def test_a_metric_that_swaps_generated_and_train_is_found(name):
    rng = np.random.default_rng(0)
    train = rng.standard_normal((300, 4))
    train[200:] = train[:100]
    plane = np.array([[1, 1, 0, 0], [0, 0, 1, -1.0]])
    generated = 0.3 * rng.standard_normal((300, 2)) @ plane + 0.3
    generated += 1e-3 * rng.standard_normal((300, 4))
    generated[100:] *= np.linspace(0.02, 1, 200)[:, None]
    generated[:30] = train[:30] + 1e-3 * rng.standard_normal((30, 4))
    reference, unselected = rng.standard_normal((2, 300, 4))
    others = {"reference": reference, "unselected": unselected, "real": train}
    certain, vague = rng.dirichlet(np.full(4, 0.1), 300), rng.dirichlet(np.full(4, 30), 300)
    images = {"reference": rng.standard_normal((300, 8, 8))}
    images |= {"generated": images["reference"].cumsum(axis=1), "train": images["reference"]}
    twisted = images | {"generated": images["train"], "train": images["generated"]}
    value = METRICS[name].value
    others |= {"as_images": np.asarray}
    right = Sets(
        generated=generated, train=train, probabilities=certain, originals=images, **others
    )
    swapped = Sets(
        generated=train, train=generated, probabilities=vague, originals=twisted, **others
    )
    right, swapped = value(right), value(swapped)
    assert {1: "+", 0: "=", -1: "-"}[int(np.sign(right - swapped))] == DIRECTIONS[name]


@pytest.mark.parametrize("estimator", ["two_nn", "maximum_likelihood"])
@pytest.mark.parametrize("d", [1, 2])
def test_intrinsic_dimension_of_a_torus_has_no_bias(rng, estimator, d):
    angle = 2 * np.pi * rng.random((8000, d))
    torus = np.concatenate([np.cos(angle), np.sin(angle)], axis=1)
    assert intrinsic_dimension(torus, estimator) == pytest.approx(d, rel=0.04)


@pytest.mark.parametrize("far", [1e6, 1e9, 1e11])
def test_a_diverged_row_moves_no_other_rows_into_a_neighbourhood(rng, far):
    reference = rng.standard_normal((300, 8))
    generated = rng.standard_normal((200, 8)) + 8
    generated[0] = far
    assert precision(generated=generated, reference=reference) == 0
    assert density(generated=generated, reference=reference) == 0


def test_frechet_distance_of_fewer_rows_than_features_is_the_same_equation(rng):
    g, r = rng.standard_normal((30, 20)), rng.standard_normal((25, 20)) + 0.2
    wide = np.concatenate([np.eye(20), np.zeros((20, 40))], axis=1)
    narrow = el.frechet_distance(generated=g, reference=r)
    assert el.frechet_distance(generated=g @ wide, reference=r @ wide) == pytest.approx(narrow)
    assert spectrum(g @ wide)[:20] == pytest.approx(spectrum(g))
    assert effective_rank(g @ wide) == pytest.approx(effective_rank(g))
    assert spikiness(g @ wide) == pytest.approx(spikiness(g))


def test_equal_rows_have_no_variance_and_no_spectrum_whatever_their_value():
    x = np.full((60, 5), 0.1)
    assert total_variance(x) == 0
    with pytest.raises(el.InputError, match="equal"):
        effective_rank(x)


def test_repeating_all_rows_leaves_entropy_as_it_was(sets):
    once = knn_entropy(sets["generated"])
    twice = knn_entropy(np.concatenate([sets["generated"]] * 2))
    assert twice.nats == once.nats
    assert twice.duplicate_fraction == 0.5


def test_the_extrapolation_is_the_limit_of_a_line_in_one_over_n(rng, monkeypatch):
    moments = import_module("entroloop.metrics.moments")
    monkeypatch.setattr(moments, "_moments", len)
    monkeypatch.setattr(moments, "_rooted", lambda n: n)
    monkeypatch.setattr(moments, "_between", lambda n, goal: 3 + 50 / n + goal)
    found = frechet_distance_infinity(generated=rng.random((200, 3)), reference=rng.random((70, 3)))
    assert found == pytest.approx(73)


def test_the_extrapolation_is_refused_where_it_is_no_line(rng):
    with pytest.raises(el.InputError, match="4 for each feature"):
        frechet_distance_infinity(generated=rng.random((100, 30)), reference=rng.random((100, 30)))


def test_hubness_of_few_rows_is_refused(rng):
    with pytest.raises(el.InputError, match="at least 40"):
        hubness(rng.random((30, 3)))


def test_the_generalization_ratio_does_not_fall_with_scale_and_falls_with_copying(rng):
    from entroloop.metrics.neighbourhood import generalization_ratio

    train, fresh = rng.standard_normal((2, 600, 4))
    ratio = generalization_ratio(generated=fresh, train=train)
    assert ratio == pytest.approx(1, abs=0.06)  # rows of the same source lie as training rows do
    assert generalization_ratio(generated=0.01 * fresh, train=0.01 * train) == pytest.approx(ratio)
    near = train + 0.1 * rng.standard_normal(train.shape)
    assert generalization_ratio(generated=near, train=train) < 0.4
    doubled = np.concatenate([train, train])  # copies are merged
    assert generalization_ratio(generated=fresh, train=doubled) == pytest.approx(ratio)
    assert np.isnan(generalization_ratio(generated=fresh, train=train[[0, 0]]))


def test_the_tail_share_is_5_percent_where_nothing_is_lost_and_the_chi_square_law_where_it_is():
    # |x|² of standard normal rows in d dimensions is chi-square; of rows shrunk by s, s² times it.
    n, d = 40_000, 6
    reference = normal(0, n, d)
    assert tail_share(generated=normal(1, n, d), reference=reference) == pytest.approx(
        0.05, abs=0.005
    )
    for shrunk in (0.9, 0.7):
        expected = chi2.sf(chi2.ppf(0.95, d) / shrunk**2, d)
        found = tail_share(generated=shrunk * normal(1, n, d), reference=reference)
        assert found == pytest.approx(expected, abs=0.004)
        moved = tail_share(generated=shrunk * normal(1, n, d) + 50, reference=reference + 50)
        assert moved == pytest.approx(found, abs=0.001)  # distances are from the mean
    assert tail_share(generated=np.zeros((5, d)), reference=reference) == 0
    assert tail_share(generated=np.full((5, d), 9.0), reference=reference) == 1
    sets = Sets(generated=0.9 * normal(1, n, d), reference=reference)
    found = tail_share(generated=0.9 * normal(1, n, d), reference=reference)
    assert METRICS["tail_share"].value(sets) == found


def test_kernel_distances_of_drawn_rows_scatter_around_that_of_all(monkeypatch):
    g, r = normal(0, 400) + 0.3, normal(1, 400)
    whole = kernel_distance(generated=g, reference=r)
    monkeypatch.setattr(kernels, "MOST_ROWS", 100)
    drawn = [kernel_distance(generated=g, reference=r, seed=s) for s in range(60)]
    assert len(set(drawn)) == 60
    assert abs(np.mean(drawn) - whole) < 4 * np.std(drawn) / np.sqrt(60)


@pytest.mark.parametrize("k", [1, 3, 49])
def test_the_entropy_on_a_line_is_that_in_a_plane_of_no_width(k, rng):
    x = rng.standard_normal((50, 1))
    line, plane = knn_entropy(x, k), knn_entropy(np.pad(x, ((0, 0), (0, 1))), k, dimension=1)
    assert line.nats == pytest.approx(plane.nats, rel=1e-12)
    assert line.min_distance == pytest.approx(plane.min_distance, rel=1e-12)


def distances(x, y):
    return np.sqrt(((x[:, None] - y[None]) ** 2).sum(axis=2))


def test_a_row_is_authentic_by_its_definition_in_a_training_set_with_copies(rng):
    train = rng.standard_normal((60, 3))
    train[40:] = train[:20]
    generated = np.concatenate([rng.standard_normal((80, 3)), train[18:24]])
    own = distances(train, train)
    np.fill_diagonal(own, np.inf)
    to_train = distances(generated, train)
    nearest = to_train.argmin(axis=1)
    expected = to_train.min(axis=1) > own.min(axis=1)[nearest]
    assert auth_rows(generated=generated, train=train).tolist() == expected.tolist()
    assert 0 < expected[:80].sum() < 80
    assert not expected[80:].any()  # 0 is not farther than 0, which a copy has its copy at


def test_a_row_is_memorized_below_the_ratio_not_at_it_and_a_copy_always():
    train = np.array([[0.0], [0.0], [4.0]])
    generated = np.array([[1.0], [0.999], [0.0], [2.0]])
    found = memorized_rows(generated=generated, train=train, ratio=1 / 3)
    assert found.tolist() == [False, True, True, False]
    alone = memorized_rows(generated=generated, train=train[:2])
    assert alone.tolist() == [False, False, True, False]  # nothing to compare a distance with
    assert memorized_rows(generated=generated, train=train, ratio=1).tolist() == [True] * 3 + [
        False
    ]
    for ratio in (0, 1.01):
        with pytest.raises(el.InputError, match="ratio must lie"):
            memorized_rows(generated=generated, train=train, ratio=ratio)


@pytest.mark.parametrize(("n", "m"), [(8, 20), (9, 20), (12, 3)])
def test_likelihood_divergence_splits_the_training_rows_in_halves_that_share_none(n, m):
    train, generated = np.arange(n * 2.0).reshape(n, 2) ** 2, normal(3, m, 2)
    sets = Sets(generated=generated, train=train, reference=train[:3] + 1)
    held, fitted, drawn, reference = _standardized(sets)
    mean, deviation = train.mean(axis=0), train.std(axis=0)
    rows = [{tuple(np.round(x * deviation + mean, 6)) for x in part} for part in (held, fitted)]
    assert [len(part) for part in rows] == [min(n // 2, m), n // 2]
    assert not rows[0] & rows[1]
    assert rows[0] | rows[1] <= {tuple(x) for x in train}
    assert len({tuple(x) for x in drawn}) == len(held)
    np.testing.assert_allclose(reference, (train[:3] + 1 - mean) / deviation)
    with pytest.raises(el.InputError, match="at least 8 training rows; got 7"):
        fld(generated=generated, train=train[:7], reference=train)


def test_the_extrapolation_takes_four_rows_for_each_feature_and_no_fewer(rng):
    for d, least in ((3, 20), (5, 20), (6, 24)):
        g, r = rng.standard_normal((least, d)), rng.standard_normal((90, d))
        assert np.isfinite(frechet_distance_infinity(generated=g, reference=r))
        with pytest.raises(
            el.InputError, match=f"at least {least} generated rows .* got {least - 1}"
        ):
            frechet_distance_infinity(generated=g[1:], reference=r)


def test_drift_is_infinite_where_one_of_its_distances_is_0_and_the_other_is_not(rng):
    train, reference = rng.standard_normal((2, 20, 3))
    assert drift_fidelity(generated=reference, train=train, reference=reference) == -np.inf
    assert drift_coverage(generated=reference, train=train, reference=reference) == -np.inf
    assert drift_novelty(generated=train, train=train, reference=reference) == np.inf
    assert drift_fidelity(generated=train, train=train, reference=train) == 0  # 0 of 0: no drift
    far = np.array([[0.0], [7.0]])  # distances of 1 and 2 to their nearest
    assert drift_novelty(generated=far, train=far + 2, reference=far + 1) == -np.log(2)


def test_two_rows_have_a_variance_a_spectrum_and_an_entropy():
    pair = np.array([[0.0, 0.0], [3.0, 4.0]])
    assert total_variance(pair) == 12.5
    assert spectrum(pair) == pytest.approx([12.5, 0])
    assert np.isfinite(entropy_of(Sets(generated=pair, train=pair), "train").nats)


def test_spikiness_takes_three_rows_and_counts_copies_once(rng):
    three = np.array([[0.0, 0.0], [1.0, 3.0], [5.0, 1.0]])
    assert np.isfinite(spikiness(three))
    x = rng.standard_normal((200, 4)) * [4, 3, 2, 1]
    copied = np.concatenate([x, np.repeat(x[7:8], 50, axis=0)])
    assert spikiness(copied) == pytest.approx(spikiness(x))


def test_spikiness_refuses_rows_on_a_line(rng):
    line = rng.standard_normal((50, 1)) * [1.0, 2.0, -3.0]
    with pytest.raises(el.InputError, match="vary in fewer than 2 directions"):
        spikiness(line)


def test_of_many_neighbours_on_a_line_the_kth_is_the_kth(rng):
    x = rng.standard_normal(900)  # so many that a partition is not a sort
    far = np.sort(np.abs(np.sort(x)[:, None] - x), axis=1)
    assert np.array_equal(_kth_gaps(x, 300), far[:, 300])


def test_a_row_is_memorized_below_a_third_of_the_distance_to_the_next():
    train = np.array([[0.0], [10.0]])
    found = memorized_rows_of(Sets(generated=np.array([[2.4], [2.6]]), train=train))
    assert found.tolist() == [True, False]


def test_drawn_rows_are_a_choice_of_all_and_all_where_all_are_asked_for(rng):
    assert drawn_of(50, 50, rng).tolist() == list(range(50))
    drawn = np.stack([drawn_of(50, 10, rng) for _ in range(200)])
    assert (np.diff(drawn, axis=1) > 0).all()
    assert np.bincount(drawn.ravel(), minlength=50).min() > 10


def test_mean_manhattan_distances_between_near_rows_are_scipys(rng):
    from scipy.spatial.distance import cdist

    x = 1e-3 * rng.standard_normal((60, 4))
    x[0] = 900  # one row far away makes the others near in the unit of the tiles
    shares = np.full((1, 60), 1 / 60)
    space = Manhattan(*centre_and_reach(x))
    _, of_rows = mean_to_others(space, x, shares, x[1:], lambda _, tile: tile)
    expected = cdist(x, x[1:], "cityblock").mean(axis=1)
    assert of_rows == pytest.approx(expected, rel=0.05)


def test_two_training_rows_are_enough_to_tell_a_row_that_is_its_own():
    assert auth_rows(generated=np.array([[0.3]]), train=np.array([[0.0], [1.0]])).tolist() == [
        False
    ]


def test_beside_one_distinct_training_row_no_row_is_memorized():
    nearness = METRICS["memorized_fraction"].pairs
    sets = Sets(generated=np.array([[1.0], [2.0]]), train=np.zeros((3, 1)))
    assert nearness(sets).max() <= 1


def test_pairs_are_kept_up_to_so_many_a_row():
    sets = Sets(generated=np.zeros((30, 1)), train=np.zeros((20, 1)))
    assert sets.pairs("generated", "train", np.ones(20), 20) is not None  # 600 pairs of 30 rows
    assert sets.pairs("generated", "train", np.ones(20), 19) is None
