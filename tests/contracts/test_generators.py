"""Every generator passes the same tests."""

import json
import math

import numpy as np
import pytest

import entroloop as el
from entroloop.generators import draw
from entroloop.generators.table import GENERATORS
from entroloop.modalities.text import rows_of
from entroloop.plugins.settings import validate_settings
from entroloop.samples import SampleSet

MLP = {"steps": 20, "width": 16, "blocks": 1}
SMALL = {
    "mlp_diffusion": MLP,
    "flow_matching": MLP,
    "latent_diffusion": MLP | {"components": 4},
    "ecosystem": {"members": 3, "of": {"name": "mlp_diffusion"} | MLP},
    "unet_diffusion": {
        "size": "tiny", "steps": 3, "batch_size": 8, "sampler": "dpm_solver++", "sampler_steps": 3,
        "sampling_batch": 64,
    },
    "unet_flow_matching": {
        "size": "tiny", "steps": 3, "batch_size": 8, "sampler": "heun", "sampler_steps": 3,
        "sampling_batch": 64,
    },
}  # fmt: skip
SMALL["tiny_lm"] = {"width": 16, "layers": 1, "heads": 2, "epochs": 1, "vocabulary": 300}
OF_IMAGES = {"unet_diffusion", "unet_flow_matching"}
OF_TEXTS = {"tiny_lm"}


def silent(done, total):
    assert 0 <= done <= total


# A pipeline has its tests in tests/test_unet_diffusion.py.
@pytest.fixture(scope="module", params=sorted(set(GENERATORS) - {"pipeline"}))
def generator(request):
    settings = GENERATORS[request.param]
    raw = {"name": request.param, **SMALL.get(request.param, {})}
    return validate_settings(settings, raw, "test")


@pytest.fixture(scope="module", params=["float32", "float64", "uint8"])
def training_set(request, generator):
    rng = np.random.default_rng(0)
    if generator.name in OF_IMAGES:
        if request.param != "uint8":
            pytest.skip("a generator of images")
        data = rng.integers(0, 256, (40, 9, 10, 1)).astype(np.uint8)
    elif generator.name in OF_TEXTS:
        if request.param != "uint8":
            pytest.skip("a generator of texts")
        words = rng.choice(["sun ", "moon ", "star ", "sky "], (40, 5))
        data = rows_of(["".join(row) for row in words], 30)
    elif request.param == "uint8":
        data = rng.integers(0, 256, (40, 3, 3, 2)).astype(np.uint8)
    else:
        data = rng.standard_normal((40, 6)).astype(request.param)
    return SampleSet.of_generation(data, 0)


def fit(generator, training_set, seed=1):
    return generator.fit(training_set, seed=seed, device="cpu", threads=1, progress=silent)


@pytest.fixture(scope="module")
def model(generator, training_set):
    return fit(generator, training_set)


def test_samples_have_the_shape_and_dtype_of_the_training_rows(model, training_set):
    rows = draw(model, 0, 1, 0, 10, silent)
    assert rows.shape == (10, *training_set.data.shape[1:])
    assert rows.dtype == training_set.data.dtype
    assert np.isfinite(rows).all()


def test_fewer_samples_are_a_prefix_of_more_bitwise(model):
    many = draw(model, 0, 1, 0, 300, silent)
    assert np.array_equal(draw(model, 0, 1, 0, 7, silent), many[:7])
    assert np.array_equal(draw(model, 0, 1, 250, 300, silent), many[250:])


def test_samples_of_another_seed_or_generation_differ(model):
    rows = draw(model, 0, 1, 0, 5, silent)
    assert not np.array_equal(rows, draw(model, 1, 1, 0, 5, silent))
    assert not np.array_equal(rows, draw(model, 0, 2, 0, 5, silent))


def test_a_saved_model_samples_as_the_model_itself(generator, model, tmp_path):
    model.save(tmp_path)
    again = generator.load(tmp_path, device="cpu", threads=1)
    assert np.array_equal(draw(again, 0, 1, 0, 9, silent), draw(model, 0, 1, 0, 9, silent))
    files = [p for p in tmp_path.rglob("*") if p.is_file()]
    assert {p.suffix for p in files} == {".safetensors", ".json"}
    json.loads((tmp_path / "model.json").read_text())


def test_the_same_seed_trains_the_same_model(generator, training_set, model):
    again = fit(generator, training_set)
    assert np.array_equal(draw(again, 0, 1, 0, 5, silent), draw(model, 0, 1, 0, 5, silent))


def test_training_leaves_its_rows_alone(generator, training_set):
    before = training_set.data.copy()
    fit(generator, training_set)
    assert np.array_equal(training_set.data, before)


@pytest.mark.parametrize("bad", ["one row", "nan"])
def test_rows_that_cannot_be_trained_on_are_refused(generator, bad):
    if generator.name in OF_IMAGES and bad == "nan":
        pytest.skip("images are whole numbers")
    data = np.zeros((1, 3), np.float32) if bad == "one row" else np.full((4, 3), np.nan)
    with pytest.raises(el.InputError, match="the training set"):
        fit(generator, SampleSet.of_generation(data, 0))


def test_equal_rows_are_trained_on_without_a_failure(generator):
    if generator.name in OF_IMAGES | OF_TEXTS:
        pytest.skip("a generator of images or texts")
    rows = draw(
        fit(generator, SampleSet.of_generation(np.full((10, 3), 0.5, np.float32), 0)),
        0, 1, 0, 5, silent,
    )  # fmt: skip
    assert np.allclose(rows, 0.5, atol=1e-5)


def test_sampling_settings_are_settings(generator):
    assert set(generator.SAMPLING) <= set(type(generator).model_fields)


@pytest.mark.parametrize(
    ("name", "settings"),
    [("tiny_lm", {"width": 30, "heads": 4}),
     ("unet_diffusion", {"sampler_steps": 60, "train_timesteps": 50}),
     ("unet_diffusion", {"guidance_scale": 2.0}), ("unet_diffusion", {"betas": [0.9, 1.0]}),
     ("flow_matching", {"extrapolation": 0.1})],
)  # fmt: skip
def test_settings_that_do_not_go_together_are_refused_before_any_training(name, settings):
    with pytest.raises(el.InputError):
        validate_settings(GENERATORS[name], settings, "test")


def test_numbers_that_are_none_are_no_settings(generator):
    for name, field in type(generator).model_fields.items():
        for bad in (math.nan, math.inf, -math.inf) if "float" in str(field.annotation) else ():
            with pytest.raises(el.InputError, match=name):
                validate_settings(type(generator), {name: bad}, "test")
