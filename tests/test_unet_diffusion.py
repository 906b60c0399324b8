"""The U-Net generator: the paper's sizes, pipelines, samplers, checkpoints, bad input."""

import numpy as np
import pytest
import torch

import entroloop as el
from entroloop.commands.prepare import prepare
from entroloop.generators import draw
from entroloop.generators.pipeline import Pipeline
from entroloop.generators.unet import checkpoint
from entroloop.generators.unet.model import UNetDiffusion
from entroloop.generators.unet.sampling import _clean
from entroloop.generators.unet.settings import SIZES
from entroloop.generators.unet.training import Training
from entroloop.report.read import StudyView
from entroloop.samples import SampleSet
from entroloop.seeding import class_labels
from entroloop.store.folder import Store
from entroloop.store.stages import read_training_set
from entroloop.system.progress_line import no_progress
from entroloop.system.threads import intra_op_threads
from here import Here

SMALL = {"size": "tiny", "steps": 6, "batch_size": 8, "warmup": 2, "lr": 1e-3,
         "sampler": "dpm_solver++", "sampler_steps": 3, "sampling_batch": 8}  # fmt: skip


def settings(**changes):
    return UNetDiffusion(**{**SMALL, **changes})


@pytest.fixture
def images(rng):
    return SampleSet.of_generation(rng.integers(0, 256, (24, 8, 8, 3), dtype=np.uint8), 0)


def fit(generator, training_set, progress=no_progress, scratch=None, threads=1):
    return generator.fit(
        training_set, seed=1, device="cpu", threads=threads, progress=progress, scratch=scratch
    )


def weights(model):
    return np.concatenate([p.detach().numpy().ravel() for p in model.unet.parameters()])


def samples(model, n=8):
    return draw(model, 0, 1, 0, n, no_progress)


@pytest.mark.parametrize(("size", "count"), [("unet32", 7_126_275), ("unet48", 16_012_419)])
def test_the_papers_networks_have_the_papers_sizes(size, count):
    unet = UNetDiffusion(size=size).network((32, 32, 3), 0)
    assert sum(p.numel() for p in unet.parameters()) == count


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("classes", [None, 10])
@pytest.mark.parametrize("size", SIZES)
def test_the_bytes_of_a_network_are_counted_without_building_it(size, classes, channels):
    generator, shape = UNetDiffusion(size=size, classes=classes), (28, 28, channels)
    with torch.device("meta"):
        built = generator.network(shape, 0)
    weights_and_checkpoint = 2 * 4 * sum(p.numel() for p in built.parameters())
    assert generator.stored_bytes(shape, 100) == weights_and_checkpoint


def test_a_pipeline_takes_the_bytes_of_the_given_network(foreign):
    folder, given = foreign()
    generator = Pipeline(path=str(folder), **SMALL)
    assert generator.stored_bytes((8, 8, 3), 12) == 2 * 4 * len(given)


def test_a_model_is_a_pipeline_of_plain_diffusers(images, tmp_path):
    from diffusers import DDPMPipeline

    fit(settings(), images).save(tmp_path)
    pipeline = DDPMPipeline.from_pretrained(tmp_path)
    pipeline.set_progress_bar_config(disable=True)
    made = pipeline(batch_size=2, num_inference_steps=2, output_type="np").images
    assert made.shape == (2, 8, 8, 3)


@pytest.mark.parametrize("sampler", ["ddpm", "ddim", "dpm_solver++"])
@pytest.mark.parametrize("prediction", ["epsilon", "sample", "v_prediction"])
def test_samplers_and_predictions_give_images(images, sampler, prediction):
    model = fit(settings(sampler=sampler, prediction=prediction, train_timesteps=50), images)
    found = samples(model)
    assert found.shape == (8, 8, 8, 3)
    assert found.dtype == np.uint8


@pytest.mark.parametrize("prediction", ["epsilon", "sample", "v_prediction"])
def test_each_prediction_stands_for_the_image_that_was_mixed_with_noise(prediction):
    x0, noise = torch.randn((2, 5, 3, 4, 4), generator=torch.Generator().manual_seed(0))
    mixed = 0.8 * x0 + 0.6 * noise
    of = {"epsilon": noise, "sample": x0, "v_prediction": 0.8 * noise - 0.6 * x0}
    clean = _clean(settings(prediction=prediction), of[prediction], mixed, 0.8, 0.6)
    assert torch.allclose(clean, x0, atol=1e-6)


@pytest.mark.parametrize("sampler", ["ddpm", "dpm_solver++"])
def test_the_batch_of_sampling_changes_no_image_beyond_rounding(images, sampler):
    model = fit(settings(sampler=sampler), images)
    one = fit(settings(sampler=sampler, sampling_batch=3), images)
    difference = np.abs(samples(model).astype(int) - samples(one))
    assert difference.max() <= 1


def test_images_of_any_size_are_padded_and_cropped_back(rng):
    odd = SampleSet.of_generation(rng.integers(0, 256, (20, 7, 9, 1), dtype=np.uint8), 0)
    assert samples(fit(settings(), odd)).shape == (8, 7, 9, 1)


def test_a_training_learns_what_it_is_shown(rng):
    dark = SampleSet.of_generation(rng.integers(0, 60, (32, 8, 8, 1), dtype=np.uint8), 0)
    model = fit(settings(steps=60, warmup=5, sampler_steps=10), dark)
    assert samples(model, 32).mean() < 100  # noise has 127, the rows 30


class StopError(Exception):
    pass


@pytest.mark.parametrize(
    ("changes", "threads"), [({}, 1), ({"ema": 0.99}, 3), ({"accumulation": 2}, 2)]
)
def test_a_training_that_was_killed_goes_on_as_if_it_had_not_been(
    images, tmp_path, changes, threads
):
    generator = settings(steps=6, checkpoint_every=2, **changes)
    whole = weights(fit(generator, images, threads=threads))

    def stop(done, total):
        if done / total > 0.7:
            raise StopError

    with pytest.raises(StopError):
        fit(generator, images, stop, tmp_path / "scratch", threads)
    assert (tmp_path / "scratch" / "state.safetensors").exists()
    shares = []
    resumed = fit(
        generator.model_copy(update={"sampler_steps": 3}),  # which trains nothing anew
        images,
        lambda done, total: shares.append(done / total),
        tmp_path / "scratch",
        threads,
    )
    assert min(shares) > 4 / 6  # the first four steps were not made again
    assert np.array_equal(weights(resumed), whole)
    assert not (tmp_path / "scratch").exists()


def test_what_is_resumed_lies_in_memory_as_its_parameter_does(images, tmp_path):
    generator = settings(steps=4, checkpoint_every=2, ema=0.99)

    def training():
        unet = generator.network((8, 8, 3), 0).to(memory_format=torch.channels_last)
        return Training(generator, unet, images, seed=1, device="cpu", threads=1)

    def stop(done, total):
        if done == 3:
            raise StopError

    with pytest.raises(StopError):
        checkpoint.train(training(), stop, tmp_path / "scratch")
    resumed = training()
    checkpoint.train(resumed, lambda done, total: None, tmp_path / "scratch")
    parameters = list(resumed.plain.parameters())
    assert any(not p.is_contiguous() for p in parameters)
    for parameter, average in zip(parameters, resumed.ema.shadow_params, strict=True):
        state = resumed.optimizer.state[parameter]
        for value in (average, state["exp_avg"], state["exp_avg_sq"]):
            assert value.stride() == parameter.stride()


@pytest.mark.gpu
def test_a_training_on_a_gpu_is_resumed(images, tmp_path):
    generator = settings(steps=6, checkpoint_every=2, ema=0.99, precision="bf16")

    def stop(done, total):
        if done == 5:
            raise StopError

    with pytest.raises(StopError):
        generator.fit(
            images, seed=1, device="cuda", threads=1, progress=stop, scratch=tmp_path / "s"
        )
    told = []
    generator.fit(
        images, seed=1, device="cuda", threads=1,
        progress=lambda done, total: told.append(done), scratch=tmp_path / "s",
    )  # fmt: skip
    assert told == [5, 6]


@pytest.mark.parametrize("changes", [{}, {"classes": 3}])
def test_threads_that_share_a_batch_follow_the_gradient_of_the_whole(labelled, changes):
    generator = settings(**changes)
    with intra_op_threads(1):
        unet = generator.network((8, 8, 3), 0)
        training = Training(generator, unet, labelled, seed=1, device="cpu", threads=3)
        batch = training.batch()
        loss = training.in_parts.backward(training.loss, batch, 1.0)
        training.in_parts.close()
        whole = training.loss(*batch)
        expected = torch.autograd.grad(whole, list(unet.parameters()))
    assert loss.item() == pytest.approx(whole.item(), rel=1e-5)
    for parameter, gradient in zip(unet.parameters(), expected, strict=True):
        atol = 1e-5 * max(1e-3, float(gradient.abs().max()))
        np.testing.assert_allclose(parameter.grad, gradient, rtol=1e-3, atol=atol)


def test_threads_that_share_a_batch_leave_the_thread_count_as_it_was(images):
    before = torch.get_num_threads()
    fit(settings(steps=1), images, threads=3)
    assert torch.get_num_threads() == before


def test_a_checkpoint_of_other_settings_is_refused(images, tmp_path):
    def stop(done, total):
        if done == total:
            raise StopError

    with pytest.raises(StopError):
        fit(settings(checkpoint_every=2), images, stop, tmp_path / "scratch")
    with pytest.raises(el.InputError, match="checkpoint of other settings"):
        fit(settings(checkpoint_every=2, lr=2e-3), images, scratch=tmp_path / "scratch")


@pytest.fixture
def labelled(images):
    return SampleSet(images.data, images.provenance, images.source_index, np.arange(24) % 2 + 1)


def test_classes_have_the_shares_of_the_training_set_and_belong_to_their_seed(labelled):
    model = fit(settings(classes=3), labelled)
    assert model.class_shares == [0, 0.5, 0.5]
    labels = class_labels(0, 1, 0, 400, model.class_shares)
    assert set(labels) == {1, 2}
    assert 150 < (labels == 1).sum() < 250
    assert np.array_equal(class_labels(0, 1, 100, 110, model.class_shares), labels[100:110])


def test_guidance_depends_on_the_class_and_its_scale(labelled, tmp_path):
    model = fit(settings(classes=3, steps=12), labelled)
    model.save(tmp_path)

    def with_scale(w, label):
        loaded = settings(classes=3, guidance_scale=w).load(tmp_path, device="cpu", threads=1)
        return loaded.sample(list(range(8)), np.full(8, label))

    assert np.array_equal(with_scale(1, 1), model.sample(list(range(8)), np.full(8, 1)))
    assert not np.array_equal(with_scale(1, 1), with_scale(1, 2))
    assert not np.array_equal(with_scale(1, 1), with_scale(3, 1))
    assert np.array_equal(with_scale(0, 1), with_scale(0, 2))  # nothing but the free prediction


def test_guidance_without_labels_or_classes_is_refused(images, labelled):
    with pytest.raises(ValueError, match="guidance_scale needs classes"):
        settings(guidance_scale=2)
    with pytest.raises(el.InputError, match="needs labels"):
        fit(settings(classes=3), images)
    with pytest.raises(el.InputError, match=r"takes 0 … 1"):
        fit(settings(classes=2), labelled)


def test_finetuning_starts_from_the_generation_before(images, tmp_path):
    first = fit(settings(), images)
    first.save(tmp_path)
    still = settings(init="finetune", lr=1e-30)
    again = still.fit(images, seed=2, device="cpu", threads=1, progress=no_progress,
                      previous=tmp_path)  # fmt: skip
    assert np.allclose(weights(again), weights(first))
    anew = still.fit(images, seed=2, device="cpu", threads=1, progress=no_progress)
    assert not np.allclose(weights(anew), weights(first))


def test_a_saved_pipeline_is_the_model_of_generation_1(images, tmp_path):
    first = fit(settings(), images)
    first.save(tmp_path)
    generator = Pipeline(path=str(tmp_path), **SMALL)
    assert np.array_equal(samples(fit(generator, images)), samples(first))
    later = generator.fit(images, seed=2, device="cpu", threads=1, progress=no_progress,
                          previous=tmp_path)  # fmt: skip
    assert weights(later).shape == weights(first).shape
    assert not np.allclose(weights(later), weights(first))


@pytest.fixture
def foreign(tmp_path):
    """A tiny pipeline as plain diffusers saves one, not one of ours."""
    from diffusers import DDPMPipeline, DDPMScheduler, UNet2DModel

    def save(scheduler=None, **changes):
        torch.manual_seed(5)
        unet = UNet2DModel(**{
            "sample_size": 8, "in_channels": 3, "out_channels": 3, "layers_per_block": 1,
            "block_out_channels": (8, 8), "norm_num_groups": 4,
            "down_block_types": ("DownBlock2D", "DownBlock2D"),
            "up_block_types": ("UpBlock2D", "UpBlock2D"), **changes,
        })  # fmt: skip
        folder = tmp_path / "foreign"
        DDPMPipeline(unet, DDPMScheduler(**(scheduler or {}))).save_pretrained(folder)
        return folder, np.concatenate([p.detach().numpy().ravel() for p in unet.parameters()])

    return save


def test_every_generation_can_finetune_the_given_pipeline(images, foreign, tmp_path):
    folder, given = foreign()
    still = Pipeline(path=str(folder), **SMALL | {"init": "pipeline", "lr": 1e-30})
    assert np.allclose(weights(fit(still, images)), given)  # generation 1 starts from it
    moved = fit(Pipeline(path=str(folder), **SMALL, init="pipeline"), images)
    assert not np.allclose(weights(moved), given)
    (tmp_path / "moved").mkdir()
    moved.save(tmp_path / "moved")
    later = still.fit(images, seed=2, device="cpu", threads=1, progress=no_progress,
                      previous=tmp_path / "moved")  # fmt: skip
    assert np.allclose(weights(later), given)  # and so does every other
    assert not still.needs_previous


def test_a_study_finetunes_the_given_pipeline_in_each_generation(rng, foreign, tmp_path):
    folder, given = foreign()
    np.save(tmp_path / "x.npy", rng.integers(0, 256, (40, 8, 8, 3), dtype=np.uint8))
    study = {
        "name": "fine", "generations": 2,
        "data": {"source": "arrays", "path": str(tmp_path / "x.npy"), "n_train": 12,
                 "n_reference": 12},
        "generator": {"name": "pipeline", "path": str(folder), **SMALL, "init": "pipeline"},
        "arms": [{"paradigm": "replace"}],
    }  # fmt: skip
    assert len(list(el.run_study(study, tmp_path / "s", engine=Here()))) == 2
    first, second = el.load_study(tmp_path / "s").run("replace-random")
    tuned = [weights(generation.model()) for generation in (first, second)]
    assert all(np.abs(w - given).max() < 0.1 for w in tuned)  # near what was given
    assert not any(np.allclose(w, given) for w in tuned)
    assert not np.allclose(*tuned)
    before = el.load_study(tmp_path / "s").run("replace-random")[1].keys["model"]
    foreign(layers_per_block=2)  # another network at the same path
    after = prepare(study, tmp_path / "s").steps[0].model
    assert after != before


@pytest.mark.parametrize(
    ("scheduler", "changes", "message"),
    [
        ({"prediction_type": "v_prediction"}, {}, "set generator.prediction=v_prediction"),
        ({"num_train_timesteps": 50}, {}, "set generator.train_timesteps=50"),
        ({"beta_end": 0.5}, {}, "beta_end 0.5, the settings have 0.02"),
        ({}, {"out_channels": 6}, "predicts 6 channels of 3: a learned variance"),
        ({}, {"num_class_embeds": 4}, "knows 4 classes"),
    ],
)
def test_a_pipeline_that_the_settings_do_not_fit_is_told(
    images, foreign, scheduler, changes, message
):
    folder, _ = foreign(scheduler, **changes)
    with pytest.raises(el.InputError, match=message):
        fit(Pipeline(path=str(folder), **SMALL, init="pipeline"), images)


def test_a_pipeline_of_another_kind_of_network_is_told(images, foreign):
    folder, _ = foreign()
    file = folder / "unet/config.json"
    file.write_text(file.read_text().replace("UNet2DModel", "UNet2DConditionModel"))
    with pytest.raises(el.InputError, match="has a UNet2DConditionModel, which takes more than"):
        fit(Pipeline(path=str(folder), **SMALL, init="pipeline"), images)


def test_a_path_without_a_pipeline_is_told(images, tmp_path):
    with pytest.raises(el.InputError, match="holds no pipeline"):
        fit(Pipeline(path=str(tmp_path), **SMALL), images)
    fit(settings(), images).save(tmp_path / "colour")
    grey = SampleSet.of_generation(images.data[..., :1], 0)
    with pytest.raises(el.InputError, match="channels"):
        fit(Pipeline(path=str(tmp_path / "colour"), **SMALL), grey)


def test_a_guided_study_keeps_the_labels_of_its_samples(rng, tmp_path):
    np.save(tmp_path / "x.npy", rng.integers(0, 256, (60, 8, 8, 1), dtype=np.uint8))
    np.save(tmp_path / "y.npy", np.arange(60) % 3)
    study = {
        "name": "guided", "generations": 3,
        "data": {"source": "arrays", "path": str(tmp_path / "x.npy"),
                 "labels": str(tmp_path / "y.npy"), "n_train": 20, "n_reference": 20},
        "generator": {"name": "unet_diffusion", **SMALL, "classes": 3, "guidance_scale": 2.0,
                      "init": "finetune"},
        "arms": [{"paradigm": "accumulate_subsample", "strategy": "greedy", "oversample": 2}],
    }  # fmt: skip
    records = list(el.run_study(study, out=tmp_path / "s", engine=Here()))
    assert len(records) == 3
    store = Store(tmp_path / "s")
    keys = StudyView.open(tmp_path / "s").keys("accumulate_subsample-greedy", 0)
    history = [k["samples"] for k in keys]
    last = read_training_set(store, keys[-1]["training_set"], history)
    assert set(np.unique(last.labels)) <= {0, 1, 2}
    assert len(store.sample_labels(history[0])) == 40 + 20  # and those that nothing is trained on
    real = last.provenance == 0
    order = np.load(tmp_path / "y.npy")
    assert np.array_equal(last.labels[real], order[last.source_index[real]])


def test_an_average_of_the_weights_is_not_the_last_weights(images):
    plain, averaged = (weights(fit(settings(ema=ema), images)) for ema in (None, 0.9))
    assert not np.array_equal(plain, averaged)


def test_a_loss_that_is_no_number_is_told(images):
    with pytest.raises(el.InputError, match=r"loss became .* lower generator\.lr"):
        fit(settings(lr=1e30, warmup=0), images)


@pytest.mark.parametrize(
    ("shape", "dtype", "message"),
    [
        ((20, 6), np.float32, "takes images"),
        ((20, 8, 8, 2), np.uint8, "takes images"),
        ((20, 2, 2, 1), np.uint8, "too small for tiny"),
    ],
)
def test_rows_that_the_network_cannot_take_are_refused(shape, dtype, message):
    with pytest.raises(el.InputError, match=message):
        fit(settings(), SampleSet.of_generation(np.zeros(shape, dtype), 0))


def test_more_sampler_steps_than_times_are_refused_before_any_training():
    with pytest.raises(ValueError, match="more than train_timesteps"):
        settings(sampler_steps=30, train_timesteps=20)
