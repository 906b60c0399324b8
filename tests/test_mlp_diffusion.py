import numpy as np
import pytest

from entroloop.generators import draw
from entroloop.generators.mlp_diffusion import MLPDiffusion
from entroloop.metrics.moments import frechet_distance
from entroloop.samples import SampleSet


def silent(done, total):
    pass


@pytest.mark.parametrize("prediction", ["v", "epsilon"])
def test_it_learns_a_mixture_that_no_gaussian_fits(prediction):
    rng = np.random.default_rng(0)
    centres = np.array([[-2.0, 0.0], [2.0, 0.0], [0.0, 3.0]], np.float32)
    data = centres[rng.integers(3, size=600)] + 0.1 * rng.standard_normal((600, 2))
    settings = MLPDiffusion(steps=400, width=64, blocks=2, prediction=prediction)
    model = settings.fit(
        SampleSet.of_generation(data.astype(np.float32), 0),
        seed=0, device="cpu", threads=1, progress=silent,
    )  # fmt: skip
    rows = draw(model, 0, 1, 0, 512, silent)
    distances = np.linalg.norm(rows[:, None] - centres, axis=2)
    near = distances.min(axis=1) < 0.5
    assert near.mean() > 0.85  # between the modes there is nothing
    shares = np.bincount(distances.argmin(axis=1), minlength=3) / len(rows)
    assert shares.min() > 0.2
    assert frechet_distance(generated=rows, reference=data) < 0.2


def test_more_sampler_steps_change_the_samples_little():
    data = np.random.default_rng(0).standard_normal((256, 3)).astype(np.float32)
    settings = MLPDiffusion(steps=200, width=32, blocks=1)
    model = settings.fit(
        SampleSet.of_generation(data, 0), seed=0, device="cpu", threads=1, progress=silent
    )
    few = draw(model, 0, 1, 0, 256, silent)
    finer = type(model)(**{**model.__dict__, "settings": MLPDiffusion(
        **{**settings.model_dump(), "sampler_steps": 200})})  # fmt: skip
    many = draw(finer, 0, 1, 0, 256, silent)
    assert np.linalg.norm(few - many, axis=1).mean() < 0.1


def test_a_diverging_training_stops_with_what_to_try():
    import entroloop as el

    data = np.random.default_rng(0).standard_normal((64, 3)).astype(np.float32)
    settings = MLPDiffusion(steps=200, lr=1e12, gradient_clip=1e12, warmup=0)
    with pytest.raises(el.InputError, match=r"lower .*generator\.lr"):
        model = settings.fit(
            SampleSet.of_generation(data, 0), seed=0, device="cpu", threads=1, progress=silent
        )
        draw(model, 0, 1, 0, 8, silent)
