"""Remedies and harms of the loop: what each does, and that any two combine."""

import numpy as np
import pytest

import entroloop as el
from entroloop.commands.prepare import prepare
from entroloop.commands.run import run_study
from entroloop.generators import draw
from entroloop.generators.gaussian import Gaussian
from entroloop.generators.kde import KDE
from entroloop.generators.mlp_diffusion import MLPDiffusion
from entroloop.samples import SampleSet
from entroloop.study.config import load_config
from entroloop.system.progress_line import no_progress
from here import Here


def mixed_set(real, made):
    provenance = np.repeat([0, 1], [len(real), len(made)]).astype(np.int32)
    return SampleSet(np.concatenate([real, made]), provenance, np.arange(len(provenance)))


def fit(generator, training_set, **more):
    return generator.fit(
        training_set, seed=0, device="cpu", threads=1, progress=no_progress, **more
    )


# -- how much a row counts ------------------------------------------------------------------------


def test_a_gaussian_takes_weighted_moments(rng):
    real, made = rng.standard_normal((10, 3)), rng.standard_normal((30, 3)) + 1
    model = fit(Gaussian(real_weight=0.7), mixed_set(real, made))
    weights = np.repeat([0.7 / 10, 0.3 / 30], [10, 30])
    rows = np.concatenate([real, made])
    np.testing.assert_allclose(model.mean, weights @ rows)
    expected = np.cov(rows.T, aweights=weights, ddof=0)
    np.testing.assert_allclose(model.factor @ model.factor.T, expected, atol=1e-12)


@pytest.mark.parametrize("generator", [Gaussian, KDE])
def test_equal_sizes_at_weight_one_half_are_no_weights(generator, rng):
    rows = mixed_set(rng.standard_normal((20, 2)), rng.standard_normal((20, 2)))
    one = draw(fit(generator(real_weight=0.5), rows), 0, 1, 0, 4000, no_progress)
    two = draw(fit(generator(), rows), 0, 1, 0, 4000, no_progress)
    np.testing.assert_allclose(np.cov(one.T), np.cov(two.T), atol=0.1)


@pytest.mark.parametrize(
    "generator",
    [KDE(bandwidth=0.1, real_weight=0.9),
     MLPDiffusion(steps=300, width=48, blocks=2, real_weight=0.9)],
)  # fmt: skip
def test_samples_come_from_real_rows_by_their_weight(generator, rng):
    real = np.array([2.0, 0.0]) + 0.1 * rng.standard_normal((40, 2))
    made = np.array([-2.0, 0.0]) + 0.1 * rng.standard_normal((160, 2))
    rows = draw(
        fit(generator, mixed_set(real.astype("f4"), made.astype("f4"))), 0, 1, 0, 1000, no_progress
    )
    assert (rows[:, 0] > 0).mean() == pytest.approx(0.9, abs=0.06)


def test_the_loss_of_a_unet_counts_rows_by_their_weight(rng):
    import torch

    from entroloop.generators.unet.model import UNetDiffusion
    from entroloop.generators.unet.training import Training

    images = rng.integers(0, 256, (8, 8, 8, 1)).astype(np.uint8)
    rows = mixed_set(images[:2], images[2:])
    for prediction in ("epsilon", "v_prediction", "sample"):
        settings = UNetDiffusion(
            size="tiny", steps=2, batch_size=8, real_weight=0.5, prediction=prediction
        )
        unet = settings.network((8, 8, 1), 0)
        training = Training(settings, unet, rows, seed=0, device="cpu", threads=1)
        x0, t, noise, classes, counts = training.batch()
        assert sorted(counts.tolist()) == pytest.approx([2 / 3] * 6 + [2.0] * 2)
        with torch.no_grad():
            each = torch.stack([
                training.loss(x0[i : i + 1], t[i : i + 1], noise[i : i + 1], None)
                for i in range(8)
            ])  # fmt: skip
            whole = training.loss(x0, t, noise, classes, counts)
        assert float(whole) == pytest.approx(float((each * counts).mean()), rel=1e-5)


# -- how a model goes on --------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["mlp_diffusion", "unet_diffusion"])
def test_extrapolation_goes_the_way_of_the_training_backwards(kind, rng, tmp_path):
    from entroloop.generators.unet.model import UNetDiffusion

    if kind == "mlp_diffusion":
        data = rng.standard_normal((40, 3)).astype(np.float32)
        make = lambda **more: MLPDiffusion(steps=20, width=16, blocks=1, warmup=1, **more)  # noqa: E731
        weights = lambda model: model.weights  # noqa: E731
    else:
        data = rng.integers(0, 256, (16, 8, 8, 1)).astype(np.uint8)
        make = lambda **more: UNetDiffusion(  # noqa: E731
            size="tiny", steps=3, batch_size=8, warmup=1, **more)  # fmt: skip
        weights = lambda model: model.unet.state_dict()  # noqa: E731
    rows = SampleSet.of_generation(data, 1)
    fit(make(init="finetune"), rows).save(tmp_path)
    before = weights(make().load(tmp_path, device="cpu", threads=1))
    after = weights(fit(make(init="finetune"), rows, previous=tmp_path))
    neon = weights(fit(make(init="finetune", extrapolation=0.5), rows, previous=tmp_path))
    for name in after:
        expected = 1.5 * before[name] - 0.5 * after[name]
        np.testing.assert_allclose(neon[name].detach(), expected.detach(), atol=1e-6)
    assert any(not np.allclose(after[n].detach(), before[n].detach()) for n in after)


def test_extrapolation_without_weights_to_step_back_to_is_refused(tiny, tmp_path):
    tiny["generator"] = {"name": "mlp_diffusion", "extrapolation": 1.0}
    with pytest.raises(el.InputError, match="needs init: finetune"):
        prepare(tiny, tmp_path / "s")


def test_a_kernel_has_no_negative_bandwidth(tiny, tmp_path):
    tiny["generator"] = {"name": "kde", "bandwidth": -0.5}
    with pytest.raises(el.InputError, match="greater than or equal to 0"):
        prepare(tiny, tmp_path / "s")


def test_a_truncated_unet_returns_the_clean_image_of_an_earlier_step(rng, monkeypatch):
    import torch
    from diffusers import UNet2DModel

    from entroloop.generators.unet.model import UNetDiffusion

    images = rng.integers(0, 256, (16, 8, 8, 1)).astype(np.uint8)
    settings = {"size": "tiny", "steps": 20, "batch_size": 8, "warmup": 1, "lr": 2e-3,
                "sampler": "dpm_solver++", "sampler_steps": 12}  # fmt: skip
    model = fit(UNetDiffusion(**settings), SampleSet.of_generation(images, 0))
    seen = []
    forward = UNet2DModel.forward

    def watched(self, x, t, *more, **named):
        found = forward(self, x, t, *more, **named)
        seen.append((x, int(t), found.sample))
        return found

    monkeypatch.setattr(UNet2DModel, "forward", watched)
    evaluations, images = [], []
    for tau in (0.0, 3.0, 1e9):
        cut = type(model)(
            UNetDiffusion(**settings, truncation=tau), model.row_format, model.unet, "cpu", 1
        )
        seen.clear()
        images.append(cut.sample([5, 6]))
        evaluations.append(len(seen))
    assert evaluations[0] == 12 > evaluations[1] > evaluations[2] == 1
    (x, t, noise) = seen[0]  # the one step of the last: x₀ = (x − σ ε)/α
    kept = torch.cumprod(1 - torch.linspace(1e-4, 0.02, 1000), 0)[t]
    clean = ((x - (1 - kept).sqrt() * noise) / kept.sqrt()).clamp(-1, 1)
    pixels = np.rint((clean.numpy().transpose(0, 2, 3, 1) + 1) * 127.5)
    assert np.abs(pixels - images[2]).max() <= 1


# -- on any axis, by generation -------------------------------------------------------------------


def test_a_list_of_generator_args_is_one_value_a_generation_and_the_last_holds_on(tiny, tmp_path):
    tiny["generations"] = 4
    tiny["arms"] = [
        {"paradigm": "replace"},
        {"name": "cut", "paradigm": "replace", "generator_args": {"truncation": [0, 0.5, 1.0]}},
    ]
    study = prepare(tiny, tmp_path / "s")
    plain, cut = ([s for s in study.steps if s.arm.name == name and s.seed == 0]
                  for name in ("replace-random", "cut"))  # fmt: skip
    assert cut[0].keys() == plain[0].keys()  # nothing differs yet
    assert cut[1].model == plain[1].model  # truncation trains nothing anew
    assert cut[1].samples != plain[1].samples
    list(run_study(tiny, out=tmp_path / "s", engine=Here()))
    stored = el.load_study(tmp_path / "s").run("cut", 0)
    assert [stored[g].model().truncation for g in (1, 2, 3, 4)] == [0, 0.5, 1.0, 1.0]


@pytest.mark.parametrize(
    ("args", "says"),
    [({"truncate": 1}, "truncation"), ({"truncation": []}, "one value a generation"),
     ({"name": "kde"}, "generator"), ({"truncation": [0, -1]}, "in generation 2")],
)  # fmt: skip
def test_generator_args_that_are_none_are_refused_in_a_line(tiny, tmp_path, args, says):
    tiny["arms"] = [{"paradigm": "replace", "generator_args": args}]
    with pytest.raises(el.InputError, match=says) as refused:
        prepare(tiny, tmp_path / "s")
    assert "\n" not in str(refused.value)


def test_any_two_remedies_combine(tiny, tmp_path):
    paradigms = [
        {"paradigm": "fresh", "paradigm_args": {"fraction": 0.5}},
        {"paradigm": "synthetic_augmentation"},
        {"paradigm": "accumulate_subsample"},
    ]
    args = [{"real_weight": 0.618}, {"extrapolation": 0.5}, {"truncation": [0.5, 0.2]}]
    strategies = ["verifier", "silo", "low_likelihood", "guarded", "top_quality"]
    tiny["arms"] = [  # every two values of two axes meet in one of the arms
        {**p, "strategy": s, "generator_args": a, "oversample": 2, "name": f"{s}-{i}-{j}"}
        for i, p in enumerate(paradigms) for j, a in enumerate(args)
        for k, s in enumerate(strategies) if (i + j + k) % 3 == 0
    ]  # fmt: skip
    tiny |= {"seeds": [0], "generations": 3, "guard": 40}
    records = list(run_study(tiny, out=tmp_path / "s", engine=Here()))
    last = {r.arm: r.frechet_distance for r in records if r.generation == 3}
    for strategy in strategies:  # each combination is a loop of its own
        own = [value for arm, value in last.items() if arm.startswith(strategy)]
        assert len(set(own)) == len(own) == 3


def test_the_preset_has_every_remedy_and_every_harm(tmp_path):
    arms = {arm.name: arm for arm in load_config("remedies", {}).arms}
    strategies = {arm.strategy for arm in arms.values()}
    assert {"latent_space_filter", "kmeans", "greedy", "threshold_decay", "guarded",
            "low_likelihood", "top_quality", "silo", "verifier"} <= strategies  # fmt: skip
    assert {"real_weight", "init", "extrapolation", "truncation"} <= {
        key for arm in arms.values() for key in arm.generator_args
    }
    assert prepare("remedies", tmp_path / "s").config.seeds == [0, 1, 2, 3, 4]


# -- what is chosen -------------------------------------------------------------------------------


def test_low_likelihood_takes_where_the_pool_is_thin_index_by_index():
    x = np.array([[0.0], [0.1], [0.2], [0.3], [2.0], [9.0]])
    assert el.select(x, 3, "low_likelihood", k=1).indices.tolist() == [5, 4, 0]
    many = np.random.default_rng(0).standard_normal((40, 2))
    five = el.select(many, 20, "low_likelihood", k=5).indices.tolist()
    assert el.select(many, 20, "low_likelihood").indices.tolist() == five
    with pytest.raises(el.InputError, match="k must be a whole number"):
        el.select(x, 3, "low_likelihood", k=0)


def test_silo_takes_what_lies_at_the_corner_of_its_first_reference_row():
    reference = np.array([[5.0], [0.0], [5.5], [9.0]])
    x = np.array([[0.0], [5.2], [9.0], [6.0]])
    assert el.select(x, 3, "silo", reference=reference, known=2).indices.tolist() == [1, 3, 2]
    with pytest.raises(el.InputError, match="known must be a whole number"):
        el.select(x, 2, "silo", reference=reference, known=1)


def test_a_verifier_refuses_strays_as_far_as_it_is_reliable(rng):
    known = rng.standard_normal((64, 2))
    x = np.concatenate([rng.standard_normal((100, 2)), rng.standard_normal((100, 2)) + 8])
    strays = [
        np.mean([
            (el.select(x, 100, "verifier", reference=known, reliability=r, seed=s).indices
             >= 100).mean() for s in range(20)])
        for r in (0.0, 0.5, 1.0)
    ]  # fmt: skip
    # 0: half of all. 1/2: 50 of the 100 strays join about 90 rows that pass. 1: about 14 have to
    # fill up what is refused of the others.
    assert strays[0] == pytest.approx(0.5, abs=0.05)
    assert strays[1] == pytest.approx(1 / 3, abs=0.06)
    assert strays[2] < 0.25
    same = el.select(x, 100, "verifier", reference=known, reliability=0.0, seed=3).indices
    assert same.tolist() == el.select(x, 100, "random", seed=3).indices.tolist()


@pytest.mark.parametrize(
    "bad", [{"reliability": 2}, {"level": -0.1}, {"known": 1}, {"known": "x"}, {"known": True}]
)
def test_a_verifier_refuses_arguments_out_of_range(rng, bad):
    x = rng.standard_normal((30, 2))
    with pytest.raises(el.InputError, match=next(iter(bad))):
        el.select(x, 3, "verifier", reference=x, **bad)
