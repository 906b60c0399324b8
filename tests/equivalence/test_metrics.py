"""Metrics against the field's own libraries, to stated tolerances."""

import numpy as np
import pytest

import entroloop as el
from entroloop.metrics import METRICS
from entroloop.metrics.correlation import partial_correlation
from entroloop.metrics.drift import hubness
from entroloop.metrics.entropy import intrinsic_dimension
from entroloop.metrics.kernels import inception_score, kernel_distance, rke, vendi_score
from entroloop.metrics.manifold import coverage, density, precision, recall
from entroloop.metrics.moments import frechet_distance
from entroloop.metrics.sets import Sets
from entroloop.metrics.sliced import sliced_wasserstein

pytestmark = [
    pytest.mark.filterwarnings("ignore:Metric .* will save all"),
    pytest.mark.filterwarnings("ignore:std"),
    pytest.mark.filterwarnings("ignore:.*scipy.sparse.*:DeprecationWarning"),
]


@pytest.fixture
def sets(rng):
    reference = rng.standard_normal((300, 16)) + 0.5
    return {"generated": rng.standard_normal((250, 16)) * 1.3, "reference": reference}


def identity(d):
    torch = pytest.importorskip("torch")

    class Flat(torch.nn.Module):
        num_features = d

        def forward(self, x):
            return x.reshape(len(x), d)

    return Flat()


def as_images(x):
    torch = pytest.importorskip("torch")
    return torch.from_numpy(x).double().reshape(len(x), 1, 4, 4)


def test_frechet_distance_is_that_of_torchmetrics_to_1e_6(sets):
    image = pytest.importorskip("torchmetrics.image.fid")
    fid = image.FrechetInceptionDistance(identity(16), input_img_size=(1, 4, 4)).double()
    fid.update(as_images(sets["reference"]), real=True)
    fid.update(as_images(sets["generated"]), real=False)
    assert frechet_distance(**sets) == pytest.approx(float(fid.compute()), rel=1e-6)


def test_kernel_distance_is_that_of_torchmetrics_to_1e_6(sets):
    image = pytest.importorskip("torchmetrics.image.kid")
    kid = image.KernelInceptionDistance(identity(16), subsets=1, subset_size=250)
    kid.update(as_images(sets["reference"][:250]), real=True)
    kid.update(as_images(sets["generated"]), real=False)
    found = kernel_distance(generated=sets["generated"], reference=sets["reference"][:250])
    assert found == pytest.approx(float(kid.compute()[0]), rel=1e-6)


@pytest.mark.parametrize("copied", [True, False])
def test_mifid_is_that_of_torchmetrics_to_1e_5(sets, copied):
    image = pytest.importorskip("torchmetrics.image.mifid")
    from entroloop.metrics.copying import mifid

    if copied:  # row by row: torchmetrics takes the least over generated, the paper over train
        sets["generated"] = sets["reference"] * 1.1 + 0.01
    score = image.MemorizationInformedFrechetInceptionDistance(identity(16))
    score.update(as_images(sets["reference"]), real=True)
    score.update(as_images(sets["generated"]), real=False)
    found = mifid(**sets, train=sets["reference"])
    assert found == pytest.approx(float(score.compute()), rel=1e-5)


def test_inception_score_is_that_of_torchmetrics_to_1e_5(rng):
    image = pytest.importorskip("torchmetrics.image.inception")
    torch = pytest.importorskip("torch")
    logits = rng.standard_normal((200, 16)) * 2
    score = image.InceptionScore(identity(16), splits=1)
    score.update(as_images(logits))
    p = torch.softmax(torch.from_numpy(logits), dim=1).numpy()
    assert inception_score(p) == pytest.approx(float(score.compute()[0]), rel=1e-5)


def test_precision_recall_density_and_coverage_are_those_of_prdc(sets):
    prdc = pytest.importorskip("prdc")
    theirs = prdc.compute_prdc(sets["reference"], sets["generated"], nearest_k=5)
    for function in (precision, recall, density, coverage):
        assert function(**sets) == pytest.approx(theirs[function.__name__], abs=1e-12)


def test_identical_sets_have_full_precision_and_recall_where_prdc_gives_0(rng):
    x = np.repeat(rng.standard_normal((30, 3)), 8, axis=0)
    assert precision(generated=x, reference=x) == recall(generated=x, reference=x) == 1
    assert coverage(generated=x, reference=x) == 1


@pytest.mark.parametrize("shape", [(80, 6), (20, 50)])
def test_vendi_score_and_rke_are_those_of_vendi_score(rng, shape):
    vendi = pytest.importorskip("vendi_score.vendi")
    x = rng.standard_normal(shape) + 1
    unit = x / np.linalg.norm(x, axis=1, keepdims=True)
    kernel = unit @ unit.T
    assert vendi_score(x) == pytest.approx(vendi.score_K(kernel), rel=1e-8)
    assert rke(x) == pytest.approx(vendi.score_K(kernel, q=2), rel=1e-8)


@pytest.mark.parametrize("k", [1, 3])
def test_entropy_is_that_of_infomeasure_up_to_its_constants(rng, k):
    im = pytest.importorskip("infomeasure")
    x, y = rng.standard_normal((200, 3)), rng.standard_normal((200, 3)) * 2 + 1
    theirs = [im.entropy(z, approach="kl", k=k, noise_level=0, minkowski_p=2) for z in (x, y)]
    ours = [el.knn_entropy(z, k=k).nats for z in (x, y)]
    assert ours[1] - ours[0] == pytest.approx(theirs[1] - theirs[0], abs=1e-9)


def test_sliced_wasserstein_as_it_is_measured_is_along_256_lines(sets):
    found = el.measure(**sets, metrics=["sliced_wasserstein"], seed=4)["sliced_wasserstein"]
    common = {role: rows[:250] for role, rows in sets.items()}
    drawn = el.measure(**common, metrics=["sliced_wasserstein"], seed=4)["sliced_wasserstein"]
    lines = sliced_wasserstein(**common, directions=256, seed=4)
    assert drawn.value == pytest.approx(lines, rel=1e-12)
    assert "256" in METRICS["sliced_wasserstein"].says
    assert found.value == pytest.approx(lines, rel=0.05)


def test_sliced_wasserstein_in_one_dimension_is_the_transport_distance(rng):
    from scipy.optimize import linprog

    g, r = rng.standard_normal((5, 1)), rng.standard_normal((7, 1))
    cost = np.square(g - r.T).ravel()
    rows = np.kron(np.eye(5), np.ones(7))
    columns = np.kron(np.ones(5), np.eye(7))
    best = linprog(cost, A_eq=np.concatenate([rows, columns]), b_eq=[1 / 5] * 5 + [1 / 7] * 7)
    assert sliced_wasserstein(generated=g, reference=r) == pytest.approx(np.sqrt(best.fun))


@pytest.mark.parametrize("estimator", ["two_nn", "maximum_likelihood"])
def test_the_dimension_of_rows_that_are_all_as_far_apart_is_infinite(estimator):
    assert intrinsic_dimension(np.eye(6), estimator) == np.inf


@pytest.mark.parametrize("estimator", ["two_nn", "maximum_likelihood"])
@pytest.mark.parametrize("d", [2, 5])
def test_intrinsic_dimension_of_a_cube_in_a_larger_space(rng, estimator, d):
    turned = np.linalg.qr(rng.standard_normal((20, d)))[0]
    x = rng.random((3000, d)) @ turned.T
    assert intrinsic_dimension(x, estimator) == pytest.approx(d, rel=0.15)


def test_c_t_is_the_weighted_mean_of_scipys_mann_whitney_tests_by_cell(rng):
    from scipy.stats import mannwhitneyu

    from entroloop.metrics.copying import c_t_of

    # Whole numbers, so that distances tie.
    sets = Sets(generated=rng.integers(0, 5, (150, 2)), train=rng.integers(0, 5, (200, 2)),
                reference=rng.integers(0, 5, (130, 2)))  # fmt: skip
    found = c_t_of(sets)
    total = weight = 0.0
    for cell in np.unique(found.reference_cells):
        g = found.distances[found.cells == cell]
        r = found.reference_distances[found.reference_cells == cell]
        if len(g) >= 2 and len(r) >= 2:
            u = mannwhitneyu(g, r).statistic
            spread = np.sqrt(len(g) * len(r) * (len(g) + len(r) + 1) / 12)
            total += len(r) * (u - len(g) * len(r) / 2) / spread
            weight += len(r)
    assert found.statistic() == pytest.approx(total / weight, rel=1e-12)


def test_partial_correlation_is_that_of_the_residuals(rng):
    z = rng.standard_normal(40)
    x, y = z + rng.standard_normal(40), 0.5 * z + rng.standard_normal(40)
    left = [v - np.polyval(np.polyfit(z, v, 1), z) for v in (x, y)]
    assert partial_correlation(x, y, given=z) == pytest.approx(np.corrcoef(*left)[0, 1])


def test_the_mixture_of_the_likelihood_divergence_is_fitted_by_expectation_maximization(rng):
    from scipy.spatial.distance import cdist
    from scipy.stats import norm

    from entroloop.metrics.copying import _variances

    centres, rows = rng.standard_normal((7, 3)), rng.standard_normal((60, 3))
    assert _variances(centres[:1], rows) == pytest.approx([((rows - centres[0]) ** 2).mean()])

    squares = cdist(rows, centres, "sqeuclidean")
    variances, before = np.full(7, squares.min(axis=1).mean() / 3), -np.inf
    for _ in range(1000):
        likelihoods = np.prod(norm.pdf(rows[:, None], centres, np.sqrt(variances)[:, None]), axis=2)
        now = np.log(likelihoods.sum(axis=1)).mean()
        if now - before < 1e-4 * 3:
            break
        before, share = now, likelihoods / likelihoods.sum(axis=1, keepdims=True)
        variances = np.maximum((share * squares).sum(axis=0) / share.sum(axis=0) / 3, 1e-3)
    assert _variances(centres, rows) == pytest.approx(variances, rel=1e-9)


def test_hubness_is_scipys_skewness_of_how_often_a_row_is_a_neighbour(rng):
    from scipy.spatial.distance import cdist
    from scipy.stats import skew

    x = rng.standard_normal((90, 8))
    near = np.argsort(cdist(x, x), axis=1)[:, 1:6]
    assert hubness(x, k=5) == pytest.approx(skew(np.bincount(near.ravel(), minlength=90)))
