from dataclasses import replace

import numpy as np
import pytest

import entroloop as el
from entroloop.commands.run import run_study
from entroloop.generators import draw
from entroloop.generators.latent_diffusion import LatentDiffusion
from entroloop.generators.row_format import told_by
from entroloop.samples import SampleSet
from entroloop.system.progress_line import no_progress
from here import Here


def fit(settings, data, **more):
    return settings.fit(
        SampleSet.of_generation(data, 0), seed=0, device="cpu", threads=1, progress=no_progress,
        **more,
    )  # fmt: skip


def blobs(n, size=16):
    """Return colour images of one bright spot each, (n, size, size, 3) uint8."""
    rng = np.random.default_rng(0)
    y, x = np.mgrid[:size, :size]
    centre = rng.uniform(4, size - 4, (n, 2, 1, 1))
    spot = np.exp(-((y - centre[:, 0]) ** 2 + (x - centre[:, 1]) ** 2) / 8)
    colour = rng.uniform(0.4, 1, (n, 1, 1, 3))
    return np.rint(255 * spot[..., None] * colour).astype(np.uint8)


def test_principal_components_lose_the_variance_that_is_left_out():
    x = np.random.default_rng(0).standard_normal((400, 6)) * [5, 4, 3, 1, 0.5, 0.1]
    model = fit(LatentDiffusion(steps=2, width=16, blocks=1, components=3), x)
    values = np.linalg.eigvalsh(np.cov(x.T))[::-1]
    assert model.error == pytest.approx(values[3:].sum() / values.sum(), rel=1e-4)
    all_of_them = fit(LatentDiffusion(steps=2, width=16, blocks=1, components=6), x)
    assert all_of_them.error < 1e-10


def test_samples_lie_in_the_space(rng):
    basis = np.linalg.qr(rng.standard_normal((20, 2)))[0]
    x = (rng.standard_normal((300, 2)) * [3, 1]) @ basis.T + 7
    model = fit(LatentDiffusion(steps=300, width=48, blocks=2, components=2), x)
    rows = draw(model, 0, 1, 0, 300, no_progress)
    off = (rows - 7) - (rows - 7) @ basis @ basis.T
    assert np.abs(off).max() < 1e-4
    ratio = ((rows - 7) @ basis).std(axis=0) / np.array([3, 1])
    np.testing.assert_allclose(ratio, 1, atol=0.15)


@pytest.mark.slow
def test_an_autoencoder_of_images_beats_as_few_principal_components(tmp_path):
    images = blobs(200)
    errors = {}
    for space in ("pca", "autoencoder"):
        settings = LatentDiffusion(
            steps=20, width=16, blocks=1, components=5, space=space, autoencoder_steps=250
        )
        model = fit(settings, images)
        errors[space] = model.error
        folder = tmp_path / space
        folder.mkdir()
        model.save(folder)
        again = settings.load(folder, device="cpu", threads=1)
        one, two = (draw(m, 0, 1, 0, 5, no_progress) for m in (model, again))
        assert one.dtype == np.uint8
        assert one.shape == (5, 16, 16, 3)
        np.testing.assert_array_equal(one, two)
    assert errors["autoencoder"] < errors["pca"] < 1


def test_an_autoencoder_of_vectors_is_refused():
    with pytest.raises(el.InputError, match=r"use generator\.space=pca"):
        fit(LatentDiffusion(space="autoencoder"), np.ones((10, 3)))


def test_fine_tuning_keeps_the_space(tmp_path):
    rng = np.random.default_rng(0)
    settings = LatentDiffusion(steps=10, width=16, blocks=1, components=2, init="finetune")
    first = fit(settings, rng.standard_normal((50, 5)))
    first.save(tmp_path)
    second = fit(settings, rng.standard_normal((50, 5)), previous=tmp_path)
    assert np.array_equal(second.space.components, first.space.components)


def test_the_records_of_a_study_tell_the_reconstruction_error(tiny, tmp_path):
    latent = {"name": "latent_diffusion", "steps": 10, "width": 16, "blocks": 1, "components": 8}
    tiny["arms"] = [{"paradigm": "replace", "generator": latent},
                    {"name": "whole", "paradigm": "replace"}]  # fmt: skip
    tiny |= {"seeds": [0], "generations": 2}
    list(run_study(tiny, out=tmp_path / "s", engine=Here()))
    records = el.load_records(tmp_path / "s").set_index("arm")["reconstruction_error"]
    first, second = records["replace-random"]
    assert 0.01 < first < 0.6
    assert second < 1e-8  # samples lie in the space already
    assert records["whole"].isna().all()


@pytest.mark.parametrize("members", [2, 5])
def test_an_ecosystem_deals_out_every_row_once_and_shares_the_samples(members, rng):
    from entroloop.generators.ecosystem import Ecosystem

    x = rng.standard_normal((31, 2))
    model = fit(Ecosystem(members=members, of={"name": "kde", "bandwidth": 0.0}), x)
    parts = [member.rows for member in model.members]
    assert max(map(len, parts)) - min(map(len, parts)) <= 1
    np.testing.assert_array_equal(sorted(map(tuple, np.concatenate(parts))), sorted(map(tuple, x)))
    rows = draw(model, 0, 1, 0, 3000, no_progress)
    share = [np.isin(rows[:, 0], part[:, 0]).mean() for part in parts]
    np.testing.assert_allclose(share, 1 / members, atol=0.04)


def test_an_ecosystem_of_one_is_its_member(rng):
    from entroloop.generators.ecosystem import Ecosystem
    from entroloop.generators.gaussian import Gaussian

    x = rng.standard_normal((30, 2))
    one, two = (draw(fit(g, x), 0, 1, 0, 50, no_progress)
                for g in (Ecosystem(members=1, of={"name": "gaussian"}), Gaussian()))  # fmt: skip
    np.testing.assert_allclose(one, two, atol=1e-12)


def test_an_ecosystem_of_flows_trains_rows_with_their_noise(rng):
    from entroloop.generators.ecosystem import Ecosystem

    flows = Ecosystem(members=2, of={"name": "flow_matching", "steps": 5, "width": 8, "blocks": 1})
    assert flows.COUPLES
    assert not Ecosystem().COUPLES
    rows = SampleSet.of_generation(rng.standard_normal((40, 2)).astype(np.float32), 1)
    made = [
        flows.fit(given, seed=0, device="cpu", threads=1, progress=no_progress)
        for given in (rows, replace(rows, noise_seeds=np.arange(40)))
    ]
    for one, other in zip(*(model.members for model in made), strict=True):
        assert any(not one.weights[name].equal(other.weights[name]) for name in one.weights)


def test_an_ecosystem_tells_the_means_of_what_its_members_tell(rng, tmp_path):
    from entroloop.generators.ecosystem import Ecosystem

    of = {"name": "latent_diffusion", "steps": 2, "width": 8, "blocks": 1, "components": 2}
    model = fit(Ecosystem(members=2, of=of), rng.standard_normal((60, 5)))
    model.save(tmp_path)
    lost = np.mean([member.error for member in model.members])
    assert told_by(tmp_path) == {"reconstruction_error": pytest.approx(lost)}


def test_an_ecosystem_refuses_more_members_than_rows_allow(rng):
    from entroloop.generators.ecosystem import Ecosystem

    with pytest.raises(el.InputError, match=r"lower generator\.members"):
        fit(Ecosystem(members=6, of={"name": "gaussian"}), rng.standard_normal((11, 2)))
