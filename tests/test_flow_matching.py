import numpy as np
import pytest
import torch

import entroloop as el
from entroloop.commands.prepare import prepare
from entroloop.commands.run import run_study
from entroloop.generators import draw
from entroloop.generators.flow_matching import FlowMatching
from entroloop.generators.flow_steps import integrated
from entroloop.samples import SampleSet
from entroloop.store.folder import Store
from entroloop.store.stages import read_table
from entroloop.study.history import History
from entroloop.system.progress_line import no_progress
from here import Here

SMALL = {"steps": 400, "width": 64, "blocks": 2}


def fit(settings, data, **more):
    rows = SampleSet.of_generation(data, 0)
    return settings.fit(rows, seed=0, device="cpu", threads=1, progress=no_progress, **more)


@pytest.mark.parametrize(("sampler", "order"), [("euler", 1), ("heun", 2)])
def test_steps_have_the_order_of_their_method(sampler, order):
    # dx/dt = x from t = 1 to 0 makes x/e of x.
    x = torch.ones(1, 1, dtype=torch.float64)
    errors = []
    for n in (40, 80):
        found = integrated(lambda x, t: x, x, sampler, n)
        errors.append(abs(float(found) - np.exp(-1)))
    assert errors[0] / errors[1] == pytest.approx(2**order, rel=0.1)


def test_the_network_is_evaluated_as_often_as_the_settings_say():
    for sampler in ("euler", "heun"):
        for truncation in (0.0, 0.3):
            for n in (1, 2, 5, 8):
                times = []
                integrated(
                    lambda x, t: times.append(t) or x, torch.ones(1, 1), sampler, n, truncation  # noqa: B023
                )  # fmt: skip
                assert len(times) == n
                assert times[0] == 1
                if truncation and n > 1:
                    assert times[-1] == pytest.approx(0.3 / 1.3)


def test_a_flow_of_normal_rows_is_the_straight_map_and_truncation_its_line():
    # Of rows N(0, s²) the velocity is x (t − (1 − t) s²)/((1 − t)² s² + t²), which makes s ε of ε.
    s = 0.5

    def velocity(x, t):
        return x * (t - (1 - t) * s**2) / ((1 - t) ** 2 * s**2 + t**2)

    x = torch.tensor([[1.0]], dtype=torch.float64)
    assert float(integrated(velocity, x, "heun", 400)) == pytest.approx(s, abs=1e-4)
    tau = 0.7
    cut = float(integrated(velocity, x, "heun", 401, tau))
    assert cut == pytest.approx(s**2 / np.sqrt(s**2 + tau**2), abs=1e-4)


@pytest.mark.slow
def test_it_learns_a_mixture_that_no_gaussian_fits():
    rng = np.random.default_rng(0)
    centres = np.array([[-2.0, 0.0], [2.0, 0.0], [0.0, 3.0]], np.float32)
    data = centres[rng.integers(3, size=600)] + 0.1 * rng.standard_normal((600, 2))
    rows = draw(fit(FlowMatching(**SMALL), data.astype(np.float32)), 0, 1, 0, 512, no_progress)
    distances = np.linalg.norm(rows[:, None] - centres, axis=2)
    assert (distances.min(axis=1) < 0.5).mean() > 0.85
    assert (np.bincount(distances.argmin(axis=1), minlength=3) / len(rows)).min() > 0.2


@pytest.mark.slow
def test_reflow_trains_each_sample_with_its_own_noise_and_straightens_the_paths(tiny, tmp_path):
    tiny["generator"] = {"name": "flow_matching", **SMALL}
    tiny["data"] = {"source": "digits", "n_train": 200, "n_reference": 100}
    tiny |= {"seeds": [0], "generations": 2, "metrics": {"unselected": 0}}
    tiny["arms"] = [{"paradigm": "reflow"}, {"paradigm": "replace"}]
    list(run_study(tiny, out=tmp_path / "s", engine=Here()))
    study = prepare(tiny, tmp_path / "s")
    step = next(s for s in study.steps if s.arm.paradigm == "reflow" and s.generation == 2)
    rows = History(step, study.built, Store(tmp_path / "s")).training_set()
    stored = el.load_study(tmp_path / "s")
    first = stored.run("reflow-random", 0)[1].model()
    made = first.sample(rows.noise_seeds.tolist())  # the noise is the one that it was made of
    np.testing.assert_allclose(made, rows.data, atol=1e-3)
    assert set(read_table(Store(tmp_path / "s"), step.training_set)["generation"]) == {1}

    def bent(model):
        """How far one step leads from where 24 lead, over the spread of the samples."""
        one = type(model)(**{**model.__dict__, "settings": model.settings.model_copy(
            update={"sampler_steps": 1})})  # fmt: skip
        few, many = (draw(m, 9, 1, 0, 128, no_progress) for m in (one, model))
        return np.linalg.norm(few - many, axis=1).mean() / np.sqrt(many.var(axis=0).sum())

    straight, plain = (bent(stored.run(arm, 0)[2].model())
                       for arm in ("reflow-random", "replace-random"))  # fmt: skip
    assert straight < 0.7 * plain


def test_reflow_of_a_generator_that_trains_no_pairs_is_refused(tiny, tmp_path):
    tiny["arms"] = [{"paradigm": "reflow"}]
    with pytest.raises(el.InputError, match="gaussian does not; take flow_matching"):
        prepare(tiny, tmp_path / "s")


def test_a_unet_trains_images_with_the_noise_that_it_made_them_of():
    from entroloop.generators.unet.flow import UNetFlowMatching

    images = np.random.default_rng(0).integers(0, 256, (8, 8, 8, 1)).astype(np.uint8)
    settings = UNetFlowMatching(size="tiny", steps=2, batch_size=8, warmup=1)
    seeds = np.arange(8)
    rows = SampleSet(images, np.ones(8, np.int32), np.arange(8), noise_seeds=seeds)
    training = settings.training(
        settings.network((8, 8, 1), 0), rows, seed=0, device="cpu", threads=1
    )
    x0, _, noise, _, _ = training.batch()
    for row, own in zip(x0, noise, strict=True):
        image = np.rint((row.numpy().transpose(1, 2, 0) + 1) * 127.5)
        [i] = [i for i in range(8) if (images[i] == image).all()]
        drawn = torch.randn(1, 8, 8, generator=torch.Generator().manual_seed(i))
        np.testing.assert_array_equal(own.numpy(), drawn.numpy())
