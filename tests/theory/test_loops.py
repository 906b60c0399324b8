"""What loops of known generators do in expectation: closed forms against many seeds.

Σ_T, μ_T: the fit (divisor n) on the training set of generation T, Σ_1 and μ_1 those of the real
rows; N rows a generation. The forms follow from the mean and covariance of pooled normal samples; a
simulated mean more than four standard errors away fails.
"""

import math
from dataclasses import replace

import numpy as np
import pytest
from scipy.special import digamma

from entroloop.generators import draw
from entroloop.generators.gaussian import Gaussian
from entroloop.generators.kde import KDE
from entroloop.samples import SampleSet
from entroloop.study.paradigms import PARADIGMS
from entroloop.system.progress_line import no_progress


def fits(generator, paradigm, x, reserve, n, generations, seed, **arguments):
    """Yield the rows of each training set and the model fitted to them, of one loop."""
    previous, samples = x, {0: x}
    for g in range(1, generations + 1):
        rows = x
        if g > 1:
            composition = PARADIGMS[paradigm](g, n, **arguments)
            [candidates] = composition.candidates
            first, last = composition.fresh
            kept = [previous] if composition.previous else [reserve[first:last]]
            rows = np.concatenate([*kept, samples[candidates][: composition.n_select]])
        model = generator.fit(
            SampleSet.of_generation(rows, 0), seed=0, device="cpu", threads=1, progress=no_progress
        )
        yield rows, model
        samples[g] = draw(replace(model, batch=n), seed, g, 0, n, no_progress)
        previous = rows


def agrees(values, expected):
    error = np.std(values, ddof=1) / math.sqrt(len(values))
    assert abs(np.mean(values) - expected) < 4 * error, (np.mean(values), error, expected)
    return error


def test_accumulating_keeps_most_of_the_variance_and_of_the_mean():
    # E tr Σ_T = tr Σ_1 ∏_{j=2}^T (1 − 1/(N j²)); E|μ_T − μ_1|² < (π²/6 − 1) tr Σ_1 / N.
    n, generations, loops = 10, 6, 700
    x = np.random.default_rng(1).standard_normal((n, 2)) @ np.diag([1.0, 3.0])
    traces, drifts = np.empty((loops, generations)), np.empty((loops, generations))
    for loop in range(loops):
        for g, (_, model) in enumerate(fits(Gaussian(), "accumulate", x, x, n, generations, loop)):
            traces[loop, g] = np.square(model.factor).sum()
            drifts[loop, g] = np.square(model.mean - x.mean(axis=0)).sum()
    first = traces[0, 0]
    for g in range(2, generations + 1):
        product = np.prod([1 - 1 / (n * j * j) for j in range(2, g + 1)])
        agrees(traces[:, g - 1] / first, product)
        # Each generation moves the mean by Σ_{j−1}/(N j²) in expectation.
        steps = [
            np.prod([1 - 1 / (n * i * i) for i in range(2, j)]) / (n * j * j)
            for j in range(2, g + 1)
        ]
        agrees(drifts[:, g - 1] / first, sum(steps))
        assert sum(steps) < (math.pi**2 / 6 - 1) / n
    # The same loop by `replace` keeps far less: the bound above is not a triviality.
    left = [
        [np.square(model.factor).sum() for _, model in fits(
            Gaussian(), "replace", x, x[:0], n, generations, loop)][-1]
        for loop in range(200)
    ]  # fmt: skip
    assert np.mean(left) / first < 0.75 < np.mean(traces[:, -1]) / first


def test_fresh_rows_hold_the_variance_at_a_fixed_point():
    # s' = (1 − 1/N)[fσ² + (1 − f)s] + f(1 − f)v and v' = (1 − f)²v + [fσ² + (1 − f)s]/N, for the
    # fitted variance s and the squared error v of the fitted mean, in one dimension.
    n, f, generations, loops = 20, 0.2, 8, 800
    s, v = 1 - 1 / n, 1 / n
    variances, errors = np.empty((loops, generations)), np.empty((loops, generations))
    for loop in range(loops):
        rng = np.random.default_rng(loop)
        x, reserve = rng.standard_normal((n, 1)), rng.standard_normal((n * generations, 1))
        made = fits(Gaussian(), "fresh", x, reserve, n, generations, loop, fraction=f)
        for g, (_, model) in enumerate(made):
            variances[loop, g] = np.square(model.factor).sum()
            errors[loop, g] = model.mean[0] ** 2
    for g in range(generations):
        if g:
            pooled = f + (1 - f) * s
            s, v = (1 - 1 / n) * pooled + f * (1 - f) * v, (1 - f) ** 2 * v + pooled / n
        agrees(variances[:, g], s)
        agrees(errors[:, g], v)
    assert s > 0.85  # by `replace` (19/20)^8 = 0.66 would be left


@pytest.mark.parametrize("d", [1, 3])
def test_the_entropy_of_a_gaussian_loop_falls_at_the_rate_of_a_wishart_matrix(d):
    # ½ E ln det(Σ_T/Σ_{T−1}) = ½ Σ_{i=1}^d [ψ((N − i)/2) − ln(N/2)] nats a generation.
    n, generations, loops = 12, 5, 400
    x = np.random.default_rng(d).standard_normal((n, d))
    falls = []
    for loop in range(loops):
        made = fits(Gaussian(), "replace", x, x[:0], n, generations, loop)
        log_volumes = [np.linalg.slogdet(model.factor)[1] for _, model in made]
        falls.append(np.diff(log_volumes))
    rate = 0.5 * sum(digamma((n - i) / 2) - math.log(n / 2) for i in range(1, d + 1))
    assert rate < -0.04 * d
    for g in range(generations - 1):
        agrees([fall[g] for fall in falls], rate)


def test_a_kernel_density_loop_grows_without_bound():
    # E tr Σ_T = tr Σ_{T−1} (1 − 1/N)(1 + N^{−2/(d + 4)}) with Scott's bandwidth.
    n, d, generations, loops = 16, 2, 5, 500
    x = np.random.default_rng(7).standard_normal((n, d))
    factor = (1 - 1 / n) * (1 + n ** (-2 / (d + 4)))
    assert factor > 1.2
    traces = np.array([
        [rows.var(axis=0).sum() for rows, _ in fits(
            KDE(), "replace", x, x[:0], n, generations, loop)]
        for loop in range(loops)
    ])  # fmt: skip
    for g in range(1, generations):
        agrees(traces[:, g] / traces[:, 0], factor**g)
