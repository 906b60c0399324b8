"""The Gaussian generator under `replace` collapses as the closed forms say."""

import math

import numpy as np
import pytest

from entroloop.generators import draw
from entroloop.generators.gaussian import Gaussian
from entroloop.samples import SampleSet
from entroloop.system.progress_line import no_progress

N, D, GENERATIONS, LOOPS = 200, 3, 6, 60


@pytest.fixture(scope="module")
def loops():
    """Return, for each loop and generation, the samples' total variance and the drift of the
    fitted mean, both over the trace of the first fit.
    """
    x = np.random.default_rng(5).standard_normal((N, D)) @ np.diag([1.0, 2.0, 0.5])
    variance, drift = np.empty((LOOPS, GENERATIONS)), np.empty((LOOPS, GENERATIONS))
    for loop in range(LOOPS):
        rows = x
        for g in range(1, GENERATIONS + 1):
            training_set = SampleSet.of_generation(rows, 0)
            model = Gaussian().fit(
                training_set, seed=0, device="cpu", threads=1, progress=no_progress
            )
            rows = draw(model, loop, g, 0, N, no_progress)
            if g == 1:
                first_mean, first_trace = model.mean, np.square(model.factor).sum()
            variance[loop, g - 1] = rows.var(axis=0, ddof=1).sum() / first_trace
            drift[loop, g - 1] = np.square(model.mean - first_mean).sum() / first_trace
    return variance, drift


def test_total_variance_falls_by_the_factor_1_minus_1_over_n_a_generation(loops):
    variance, _ = loops
    for g in range(1, GENERATIONS + 1):
        error = variance[:, g - 1].std(ddof=1) / math.sqrt(LOOPS)
        assert abs(variance[:, g - 1].mean() - (1 - 1 / N) ** (g - 1)) < 4 * error


def test_fitted_mean_drifts_as_a_random_walk_of_falling_steps(loops):
    _, drift = loops
    for g in range(2, GENERATIONS + 1):
        expected = 1 - (1 - 1 / N) ** (g - 1)
        error = drift[:, g - 1].std(ddof=1) / math.sqrt(LOOPS)
        assert abs(drift[:, g - 1].mean() - expected) < 4 * error


def test_collapse_is_seen_at_all(loops):
    # At N = 10 the same loop loses most of its variance: the test above could not pass by 1 = 1.
    rows = np.random.default_rng(0).standard_normal((10, D))
    start = rows.var(axis=0, ddof=1).sum()
    for g in range(1, 40):
        model = Gaussian().fit(
            SampleSet.of_generation(rows, 0), seed=0, device="cpu", threads=1,
            progress=no_progress,
        )  # fmt: skip
        rows = draw(model, 0, g, 0, 10, no_progress)
    assert rows.var(axis=0, ddof=1).sum() < 0.3 * start


def test_samples_of_a_kernel_density_have_the_covariance_of_the_rows_plus_the_kernels():
    from entroloop.generators.kde import KDE

    x = np.random.default_rng(0).standard_normal((300, 2)) * [1.0, 3.0]
    model = KDE(bandwidth=0.5).fit(
        SampleSet.of_generation(x, 0), seed=0, device="cpu", threads=1, progress=no_progress
    )
    rows = draw(model, 0, 1, 0, 20_000, no_progress)
    expected = np.cov(x.T, ddof=0) + 0.25 * np.eye(2)
    assert np.allclose(np.cov(rows.T), expected, atol=0.25)
