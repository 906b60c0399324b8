"""What remedies do to a Gaussian loop: closed forms against many loops, or many axes at once.

A simulated mean more than four standard errors away from its form fails.
"""

import math

import numpy as np
import pytest

import entroloop as el
from entroloop.generators import draw
from entroloop.generators.flow_matching import FlowMatching
from entroloop.generators.gaussian import Gaussian
from entroloop.generators.mlp_diffusion import MLPDiffusion
from entroloop.samples import SampleSet
from entroloop.system.progress_line import no_progress

GOLDEN = (math.sqrt(5) - 1) / 2


def fit(generator, rows, made=(), **more):
    provenance = np.repeat([0, 1], [len(rows), len(made)]).astype(np.int32)
    data = np.concatenate([rows, made]) if len(made) else rows
    training_set = SampleSet(data, provenance, np.arange(len(data)))
    return generator.fit(
        training_set, seed=0, device="cpu", threads=1, progress=no_progress, **more
    )


def agrees(values, expected):
    values = np.ravel(values)
    error = np.std(values, ddof=1) / math.sqrt(len(values))
    assert abs(np.mean(values) - expected) < 4 * error, (np.mean(values), error, expected)


def fresh_loops(w, n, d, generations, loops):
    """Return squared errors of fitted means and fitted variances (loops, generations, d).

    n new real rows beside n samples a generation; the axes are independent.
    """
    errors, variances = np.empty((2, loops, generations, d))
    for loop in range(loops):
        rng = np.random.default_rng([loop, n])
        model = fit(Gaussian(), rng.standard_normal((2 * n, d)))
        for g in range(generations):
            if g:
                made = draw(model, loop, g, 0, n, no_progress)
                model = fit(Gaussian(real_weight=w), rng.standard_normal((n, d)), made)
            errors[loop, g] = np.square(model.mean)
            variances[loop, g] = np.square(model.factor).sum(axis=1)
    return errors, variances


def test_weighted_loops_err_as_the_recursion_says_and_least_at_the_golden_ratio():
    # v' = w²/n + (1 − w)²(v + s/n), s' = w + (1 − w)(s + v) − v': the squared error of the fitted
    # mean and the fitted variance, of an axis of variance 1. With s = 1 the fixed point is
    # v = (w² + (1 − w)²)/(1 − (1 − w)²)/n, least where w² + w = 1.
    n, d, generations = 12, 24, 6
    last = {}
    for w in (0.3, GOLDEN, 0.9):
        errors, variances = fresh_loops(w, n, d, generations, loops=40)
        v, s = 1 / (2 * n), 1 - 1 / (2 * n)
        for g in range(generations):
            if g:
                before = v
                v = w**2 / n + (1 - w) ** 2 * (v + s / n)
                s = w + (1 - w) * (s + before) - v
            agrees(errors[:, g], v)
            agrees(variances[:, g].mean(axis=1), s)  # the axes of a loop share its factor
        last[w] = errors[:, -1].mean()
    assert last[GOLDEN] < min(last[0.3], last[0.9])
    w = np.linspace(0.01, 1, 100_000)
    limit = (w**2 + (1 - w) ** 2) / (1 - (1 - w) ** 2)
    assert w[limit.argmin()] == pytest.approx(GOLDEN, abs=1e-4)
    assert limit.min() == pytest.approx(GOLDEN, abs=1e-8)


def test_extrapolation_gives_back_the_variance_that_self_training_takes(tmp_path):
    # E Σ = (1 + w/n) Σ₀ and E |μ − μ₀|² = w² tr Σ₀ / n, where w = 0 leaves (1 − 1/n) Σ₀.
    n, w, loops = 8, 1.0, 600
    first = fit(Gaussian(), np.random.default_rng(0).standard_normal((50, 2)) * [1.0, 2.0])
    first.save(tmp_path)
    trace = np.square(first.factor).sum()
    traces, drifts, plain = np.empty((3, loops))
    for loop in range(loops):
        rows = draw(first, loop, 1, 0, n, no_progress)
        model = fit(Gaussian(extrapolation=w), rows, previous=tmp_path)
        traces[loop] = np.square(model.factor).sum()
        drifts[loop] = np.square(model.mean - first.mean).sum()
        plain[loop] = np.square(fit(Gaussian(), rows).factor).sum()
    agrees(drifts, w**2 * trace / n)
    agrees(plain, trace * (1 - 1 / n))
    # Negative variances become 0, which adds some: exact where none is negative.
    assert traces.mean() > trace
    kept = 2 * trace - plain
    agrees(kept, trace * (1 + w / n))
    assert (traces >= kept - 1e-9).all()


def test_truncation_is_a_low_pass_that_a_loop_repeats():
    # Each generation keeps s²/(s² + τ² s̄²) of an axis' variance s², times 1 − 1/n of its fit.
    n, tau, generations, loops = 100, 0.5, 4, 150
    x = np.random.default_rng(0).standard_normal((n, 2)) * [3.0, 1.0]
    x -= x.mean(axis=0)
    x = x @ np.linalg.inv(np.linalg.cholesky(x.T @ x / n).T) * [3.0, 1.0]
    first = np.empty((loops, 2))
    for loop in range(loops):
        rows = draw(fit(Gaussian(truncation=tau), x), loop, 1, 0, n, no_progress)
        first[loop] = rows.var(axis=0)
    for axis, s in enumerate((9.0, 1.0)):
        agrees(first[:, axis], s * s / (s + tau**2 * 5) * (1 - 1 / n))
    ratios = []
    rows = x
    for g in range(1, generations + 1):
        rows = draw(fit(Gaussian(truncation=tau), rows), 0, g, 0, n, no_progress)
        ratios.append(rows[:, 1].var() / rows[:, 0].var())
    assert ratios[-1] < 0.2 * ratios[0] < 0.2 / 9  # what is weak is lost first


@pytest.mark.slow
@pytest.mark.parametrize("generator", [MLPDiffusion, FlowMatching])
def test_a_network_that_is_truncated_passes_what_the_gaussian_passes(generator):
    tau = 0.5
    x = np.random.default_rng(0).standard_normal((2000, 2)) * [1.4, 0.4]
    settings = {"steps": 500, "width": 48, "blocks": 2, "sampler_steps": 32}
    full = fit(generator(**settings), x.astype(np.float32))
    weights, scale = full.weights, full.scale
    cut = type(full)(
        generator(**settings, truncation=tau), full.row_format, full.mean, scale, full.limits,
        weights, 1,
    )  # fmt: skip
    one, two = (draw(model, 0, 1, 0, 2000, no_progress).std(axis=0) for model in (full, cut))
    expected = 1 / np.sqrt(1 + np.square(tau * scale / x.std(axis=0)))
    np.testing.assert_allclose(two / one, expected, rtol=0.08)
    assert expected[1] < 0.7 < 0.9 < expected[0]


def test_a_verifier_helps_at_first_and_draws_a_loop_to_what_it_knows_in_the_end():
    # One axis, real mean 0. The first fit is off by 2; the verifier knows rows around 0.5.
    n, loops, generations = 100, 12, 12
    known = np.random.default_rng(1).normal(0.5, 0.3, (64, 1))
    runs = {"random": [], "verifier": []}
    for strategy, found in runs.items():
        for loop in range(loops):
            rows = np.random.default_rng(loop).normal(2.0, 1.0, (n, 1))
            means = []
            for g in range(1, generations + 1):
                pool = draw(fit(Gaussian(), rows), loop, g, 0, 2 * n, no_progress)
                more = {"reference": known} if strategy == "verifier" else {}
                rows = pool[el.select(pool, n, strategy, seed=loop, **more).indices]
                means.append(rows.mean())
            found.append(means)
    plain, verified = (np.array(found) for found in runs.values())
    gained = np.abs(plain) - np.abs(verified)  # nearer to 0 in each of the first generations
    errors = gained[:, :4].std(axis=0, ddof=1) / math.sqrt(loops)
    assert (gained[:, :4].mean(axis=0) > 4 * errors).all()
    end = verified[:, -1]
    assert abs(end.mean() - 0.5) < 0.2  # its own centre
    assert (end > 0.2).all()  # and not the truth
