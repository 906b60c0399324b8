"""Every extractor passes these; networks are small ones made here, and the two real ones."""

import json
import os
import warnings
from pathlib import Path

import numpy as np
import pytest

import entroloop as el
from entroloop.features import extractor_for
from entroloop.features import inception as inception_module
from entroloop.features.cached import examine_cache
from entroloop.features.extractor import Extractor

pytestmark = pytest.mark.filterwarnings("ignore:.*torch.jit.*:DeprecationWarning")

DATA = os.environ.get("ENTROLOOP_DATA")


@pytest.fixture(scope="session")
def models(tmp_path_factory):
    """Small networks in the formats of the real ones."""
    pytest.importorskip("transformers")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of torch.jit
        return make_models(tmp_path_factory.mktemp("models"))


def make_models(folder):
    import torch
    import transformers

    torch.manual_seed(0)

    class Small(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.convolution = torch.nn.Conv2d(3, 8, 3, padding=1)
            self.last = torch.nn.Linear(8, 5)

        def forward(
            self, x: torch.Tensor, return_features: bool = False, no_output_bias: bool = False
        ) -> torch.Tensor:
            h = torch.relu(self.convolution(x.float() / 127.5 - 1)).mean(dim=[2, 3])
            return self.last(h).softmax(dim=1) if no_output_bias else h

    torch.jit.script(Small().eval()).save(str(folder / "small.pt"))
    size = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
    dino = transformers.Dinov2Model(transformers.Dinov2Config(**size, image_size=28, patch_size=14))
    dino.save_pretrained(folder / "dino")
    transformers.BitImageProcessor(
        size={"shortest_edge": 32}, crop_size={"height": 28, "width": 28}
    ).save_pretrained(folder / "dino")
    clip = transformers.CLIPVisionConfig(
        **size, image_size=28, patch_size=14, intermediate_size=32, projection_dim=6
    )
    transformers.CLIPVisionModelWithProjection(clip).save_pretrained(folder / "clip")
    transformers.CLIPImageProcessor(
        size={"shortest_edge": 28}, crop_size={"height": 28, "width": 28}
    ).save_pretrained(folder / "clip")
    return folder


@pytest.fixture(params=["raw", "pixels", "torchscript", "inception", "dinov2", "clip"])
def extractor(request, models, tmp_path, monkeypatch):
    monkeypatch.setenv("ENTROLOOP_CACHE", str(tmp_path / "cache"))
    path = {"torchscript": "small.pt", "inception": "small.pt", "dinov2": "dino", "clip": "clip"}
    part = path.get(request.param)
    return extractor_for(f"{request.param}:{models / part}" if part else request.param)


@pytest.fixture
def images(rng):
    return rng.integers(0, 256, (70, 20, 20, 3), dtype=np.uint8)


def test_rows_come_out_in_order_finite_and_the_same_twice(extractor, images):
    found = extractor(images)
    assert found.ndim == 2
    assert len(found) == 70
    assert np.isfinite(found).all()
    os.environ["ENTROLOOP_CACHE_MB"] = "0"
    try:
        assert np.array_equal(extractor(images), found)
        assert np.array_equal(extractor(images[::-1])[::-1], found)
    finally:
        del os.environ["ENTROLOOP_CACHE_MB"]
    assert len(np.unique(found, axis=0)) == 70


def test_a_row_does_not_depend_on_the_others(extractor, images, monkeypatch):
    monkeypatch.setenv("ENTROLOOP_CACHE_MB", "0")
    assert np.array_equal(extractor(images[:3]), extractor(images)[:3])


def test_grey_images_are_taken_where_a_network_wants_colour(extractor, images):
    if extractor.name.startswith("torchscript"):
        with pytest.raises(el.InputError, match="20 × 20 × 1"):
            extractor(images[..., :1])
    else:
        assert len(extractor(images[..., :1])) == 70


def test_resize_filters_are_named(extractor):
    kind = extractor.name.partition(":")[0]
    expected = {
        "dinov2": "bicubic (Pillow), shortest side to 32, centre crop 28 × 28",
        "clip": "bicubic (Pillow), shortest side to 28, centre crop 28 × 28",
        "inception": "inside the network: bilinear, without antialiasing, to 299 × 299",
    }
    assert extractor.resize == expected.get(kind)


def test_vectors_are_refused_by_what_takes_images(extractor):
    if extractor.name != "raw":
        with pytest.raises(el.InputError, match="take features raw"):
            extractor(np.zeros((5, 3)))


@pytest.fixture
def mixed_folder(tmp_path, rng):
    """Return a folder of 40 images of five sizes."""
    from PIL import Image

    folder = tmp_path / "mixed"
    folder.mkdir()
    for i in range(40):
        size = (20 + 3 * (i % 5), 33 - 2 * (i % 5), 3)
        image = rng.integers(0, 256, size, dtype=np.uint8)
        Image.fromarray(image).save(folder / f"{i:02}.png")
    return folder


def test_images_of_different_sizes_go_to_a_network_each_as_it_is(extractor, mixed_folder):
    if not extractor.mixed:
        with pytest.raises(el.InputError, match="8 of 33 × 20 colour"):
            el.select(str(mixed_folder), 5, features=extractor.name)
        with pytest.raises(el.InputError, match="take images of one size"):
            extractor(el.load(mixed_folder, mixed=True).data)
        return
    found = el.load(mixed_folder, mixed=True).data
    features = extractor(found)
    for i in (0, 7, 39):
        alone = extractor(found[i][None])
        assert np.allclose(features[i], alone[0], rtol=1e-4, atol=1e-5)
    assert np.array_equal(extractor(found), features)  # from the cache
    chosen = el.select(str(mixed_folder), 5, features=extractor.name)
    assert chosen.indices.tolist() == el.select(features, 5).indices.tolist()
    metric = ["generalization_score"]
    sets = {"generated": mixed_folder, "train": mixed_folder}
    taken = el.measure(**sets, features=extractor.name, metrics=metric)
    by_hand = el.measure(generated=features, train=features, metrics=metric)
    assert taken[metric[0]].value == by_hand[metric[0]].value


def test_features_are_taken_of_arrays_of_the_guard_and_of_initial_rows(extractor, images):
    features, name = extractor(images), extractor.name
    taken = el.select(images[:60], 5, features=name, initial=images[60:])
    by_hand = el.select(features[:60], 5, initial=features[60:])
    assert taken.indices.tolist() == by_hand.indices.tolist()
    guarded = {"strategy": "guarded", "seed": 3}
    taken = el.select(images[:38], 5, features=name, guard=images[38:], **guarded)
    by_hand = el.select(features[:38], 5, guard=features[38:], **guarded)
    assert taken.indices.tolist() == by_hand.indices.tolist()
    if extractor.name != "raw":  # torch holds channels first
        first = np.ascontiguousarray(np.moveaxis(images, 3, 1))
        assert np.array_equal(extractor(first), features)


def test_components_are_fitted_to_the_pool_and_to_the_reference(images):
    name = "pixels:pca=4"
    taken = el.select(images[:50], 5, features=name, initial=images[50:])
    fitted = extractor_for(name).fitted_to(images[:50])
    by_hand = el.select(fitted(images[:50]), 5, initial=fitted(images[50:]))
    assert taken.indices.tolist() == by_hand.indices.tolist()
    sets = {"generated": images[:30], "reference": images[30:]}
    taken = el.measure(**sets, features=name, metrics=["frechet_distance"])
    fitted = extractor_for(name).fitted_to(images[30:])
    by_hand = el.measure(
        **{role: fitted(x) for role, x in sets.items()}, metrics=["frechet_distance"]
    )
    assert taken["frechet_distance"].value == by_hand["frechet_distance"].value


def test_the_command_line_takes_mixed_sizes_with_a_network(models, mixed_folder, entroloop_here):
    name = f"torchscript:{models / 'small.pt'}"
    answer = entroloop_here(
        "select", "--pool", "mixed", "-n", "5", "--features", name, "--out", "s"
    )
    assert answer.returncode == 0, answer.stderr
    sets = ["--generated", "mixed", "--train", "mixed", "--metrics", "memorized_fraction"]
    answer = entroloop_here("measure", *sets, "--features", name)
    assert answer.returncode == 0, answer.stderr
    found = json.loads(answer.stdout)["metrics"]["memorized_fraction"]
    assert found["value"] == 1


def test_only_inception_knows_classes(extractor, images):
    p = extractor.probabilities(images)
    if extractor.name.startswith("inception"):
        assert np.allclose(p.sum(axis=1), 1, atol=1e-5)
    else:
        assert p is None


def test_principal_components_of_pixels_are_fitted_once(images):
    extractor = extractor_for("pixels:pca=5").fitted_to(images)
    assert extractor(images).shape == (70, 5)
    assert np.array_equal(extractor(images[:9]), extractor(images)[:9])
    with pytest.raises(el.InputError, match="at most 70"):
        extractor_for("pixels:pca=100").fitted_to(images)


def test_whitened_components_differ_by_their_scale_alone(images):
    plain = extractor_for("pixels:pca=5").fitted_to(images)(images).astype(float)
    whitened = extractor_for("pixels:pca=5,whiten").fitted_to(images)(images)
    assert np.allclose(whitened, plain / plain.std(axis=0, ddof=1), rtol=1e-4)


@pytest.mark.parametrize("norm", [False, True])  # folded into weights, it gives other bits
@pytest.mark.parametrize("threads", [1, 3])
def test_features_are_the_modules_own_whatever_the_threads(norm, threads, images, tmp_path):
    import torch

    torch.manual_seed(0)
    layers = [torch.nn.Conv2d(3, 8, 3), *[torch.nn.BatchNorm2d(8)] * norm, torch.nn.ReLU()]
    for parameter in layers[norm].parameters():
        torch.nn.init.uniform_(parameter, 0.5, 2)

    class Module(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.layers = torch.nn.Sequential(*layers)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.layers(x.float() / 255).mean(dim=[2, 3])

    module = torch.jit.script(Module().eval())
    module.save(str(tmp_path / "module.pt"))
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        found = extractor_for(f"torchscript:{tmp_path / 'module.pt'}")(images)
        assert torch.get_num_threads() == threads
    finally:
        torch.set_num_threads(before)
    rows = np.concatenate([images, np.repeat(images[-1:], 96 - len(images), axis=0)])
    with torch.inference_mode():
        batches = torch.from_numpy(rows).permute(0, 3, 1, 2).contiguous().split(32)
        own = torch.cat([module(batch) for batch in batches])[: len(images)]
    assert np.array_equal(found, own.numpy())


def test_what_was_embedded_once_comes_from_the_cache(models, images, tmp_path, monkeypatch):
    monkeypatch.setenv("ENTROLOOP_CACHE", str(tmp_path))
    calls = []
    extractor = extractor_for(f"torchscript:{models / 'small.pt'}")
    first = extractor(images, lambda done, total: calls.append(done))
    again = extractor(images, lambda done, total: calls.append(done))
    assert np.array_equal(first, again)
    in_batches = [32, 64, 70]
    assert calls == in_batches
    changed = images.copy()
    changed[5, 3, 3, 0] ^= 1
    extractor(changed, lambda done, total: calls.append(done))
    assert calls == 2 * in_batches
    assert examine_cache()["sets"] == 2


@pytest.mark.parametrize("of_one_size", [True, False])
def test_features_go_on_with_the_stretch_in_which_they_stopped(
    of_one_size, images, mixed_folder, tmp_path, monkeypatch
):
    monkeypatch.setenv("ENTROLOOP_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr("entroloop.features.extractor.STRETCH", 2)
    taken, last = [], 10**6

    def network(some):
        if len(taken) == last:
            raise KeyboardInterrupt
        taken.append(len(some))
        return np.stack([np.asarray(x, dtype=np.float32).mean((0, 1)) for x in some])

    data = images if of_one_size else el.load(mixed_folder, mixed=True).data
    extractor = Extractor("means", "means 1", network=network, batch=4, lists=True)
    monkeypatch.setenv("ENTROLOOP_CACHE_MB", "0")
    whole = extractor(data)
    batches, last = len(taken), 5
    monkeypatch.setenv("ENTROLOOP_CACHE_MB", "9")
    taken.clear()
    with pytest.raises(KeyboardInterrupt):
        extractor(data)
    taken.clear()
    last, done = 10**6, []
    assert np.array_equal(extractor(data, lambda *told: done.append(told)), whole)
    assert len(taken) == batches - 4  # two stretches of two batches were cached
    assert done[0] == (20, len(data))
    assert done[-1] == (len(data), len(data))


def test_concurrent_runs_share_the_cache(models, images, tmp_path, monkeypatch):
    from concurrent.futures import ThreadPoolExecutor

    monkeypatch.setenv("ENTROLOOP_CACHE", str(tmp_path))
    monkeypatch.setenv("ENTROLOOP_CACHE_MB", "0.004")  # each entry drives the other out
    extractor = extractor_for(f"torchscript:{models / 'small.pt'}")
    sets = [images, images[::-1]] * 8
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(extractor, sets))
    for i, rows in enumerate(found):
        assert np.array_equal(rows, found[i % 2])
    assert not list(tmp_path.rglob("*.part"))


def test_a_damaged_entry_of_the_cache_is_made_again(models, images, tmp_path, monkeypatch):
    monkeypatch.setenv("ENTROLOOP_CACHE", str(tmp_path))
    extractor = extractor_for(f"torchscript:{models / 'small.pt'}")
    first = extractor(images)
    for damage in (b"", b"not an array", Path(next(tmp_path.rglob("*.npy"))).read_bytes()[:200]):
        next(tmp_path.rglob("*.npy")).write_bytes(damage)
        assert np.array_equal(extractor(images), first)


def test_the_cache_keeps_to_its_bound_and_drops_what_was_used_longest_ago(
    models, images, tmp_path, monkeypatch
):
    monkeypatch.setenv("ENTROLOOP_CACHE", str(tmp_path))
    monkeypatch.setenv("ENTROLOOP_CACHE_MB", "0.006")  # two sets of 70 × 8 float32
    extractor = extractor_for(f"torchscript:{models / 'small.pt'}")
    sets = [images, images[::-1], images[:, ::-1]]
    files = []
    for age, some in enumerate(sets):
        before = set(tmp_path.rglob("*.npy"))
        extractor(some)
        new = set(tmp_path.rglob("*.npy")) - before
        files.append(new.pop())
        os.utime(files[-1], (age, age))
    left = set(tmp_path.rglob("*.npy"))
    assert files[0] not in left
    assert len(left) == 2
    assert examine_cache(clear=True)["sets"] == 2
    assert examine_cache()["sets"] == 0


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("dino", "did you mean 'dinov2'"),
        ("raw:x", "no argument"),
        ("pixels:64", "pca=K"),
        ("pixels:pca=8,white", "pca=K,whiten"),
        ("torchscript", "torchscript:model.pt"),
        ("torchscript:nowhere.pt", "there is no file"),
        ("inception:nowhere.pt", "there is no file"),
        ("dinov2:./nowhere", "there is no folder"),
    ],
)
def test_a_wrong_name_or_missing_weights_are_told_in_one_line(name, message):
    with pytest.raises(el.InputError, match=message) as told:
        extractor_for(name)
    assert "\n" not in str(told.value)


def test_a_file_that_is_no_module_is_refused(tmp_path, images):
    (tmp_path / "x.pt").write_bytes(b"nothing")
    with pytest.raises(el.InputError, match="no TorchScript module"):
        extractor_for(f"torchscript:{tmp_path / 'x.pt'}")(images)


def test_a_network_that_returns_nan_is_refused(tmp_path, images, monkeypatch):
    import torch

    monkeypatch.setenv("ENTROLOOP_CACHE", str(tmp_path))

    class Bad(torch.nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return torch.log(x.float().mean(dim=[1, 2]) - 128)

    torch.jit.script(Bad()).save(str(tmp_path / "bad.pt"))
    with pytest.raises(el.InputError, match="NaN or infinite"):
        extractor_for(f"torchscript:{tmp_path / 'bad.pt'}")(images)
    assert not list(tmp_path.rglob("*.npy"))


def test_a_network_that_returns_no_vectors_is_refused(tmp_path, images):
    import torch

    class Pair(torch.nn.Module):
        def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
            return x, x

    torch.jit.script(Pair()).save(str(tmp_path / "pair.pt"))
    with pytest.raises(el.InputError, match="must return vectors"):
        extractor_for(f"torchscript:{tmp_path / 'pair.pt'}")(images)


def test_rows_of_a_mapped_file_go_to_a_network_without_a_warning(tmp_path, images):
    import torch

    class Mean(torch.nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x.float().mean((2, 3))

    torch.jit.script(Mean()).save(str(tmp_path / "mean.pt"))
    np.save(tmp_path / "grey.npy", np.tile(images[..., :1], (4, 1, 1, 1)))  # more than a batch
    mapped = np.load(tmp_path / "grey.npy", mmap_mode="r")
    found = extractor_for(f"torchscript:{tmp_path / 'mean.pt'}")(mapped)
    np.testing.assert_allclose(found[:, 0], mapped.mean((1, 2, 3)), rtol=1e-6)


def test_what_a_killed_run_left_in_the_cache_is_cleared(tmp_path, monkeypatch):
    monkeypatch.setenv("ENTROLOOP_CACHE", str(tmp_path))
    (tmp_path / "features").mkdir()
    for name, age in {"old.part": 1, "new.part": 2**40}.items():
        (tmp_path / "features" / name).write_bytes(b"")
        os.utime(tmp_path / "features" / name, (age, age))
    examine_cache()
    assert [p.name for p in (tmp_path / "features").iterdir()] == ["new.part"]
    examine_cache(clear=True)
    assert not list((tmp_path / "features").iterdir())


def test_inception_offline_says_which_file_to_put_where(tmp_path, monkeypatch):
    monkeypatch.setenv("ENTROLOOP_CACHE", str(tmp_path))
    monkeypatch.setattr(inception_module, "URL", (tmp_path / "nowhere").as_uri())
    (tmp_path / "file").write_bytes(b"")
    monkeypatch.setenv("ENTROLOOP_CACHE", str(tmp_path / "file"))
    with pytest.raises(el.InputError, match="put that file at"):
        extractor_for("inception")
    monkeypatch.setenv("ENTROLOOP_CACHE", str(tmp_path))
    with pytest.raises(el.InputError, match=r"put that file at .*inception-2015-12-05\.pt"):
        extractor_for("inception")
    assert not list((tmp_path / "weights").iterdir())


def test_inception_is_fetched_once_and_checked(tmp_path, models, monkeypatch):
    monkeypatch.setenv("ENTROLOOP_CACHE", str(tmp_path))
    monkeypatch.setattr(inception_module, "URL", (models / "small.pt").as_uri())
    with pytest.raises(el.InputError, match="is not the expected file"):
        extractor_for("inception")
    digest = inception_module.sha256(models / "small.pt")
    monkeypatch.setattr(inception_module, "SHA256", digest)
    assert extractor_for("inception").name == "inception"
    monkeypatch.setattr(inception_module, "URL", "file:///nowhere")
    assert extractor_for("inception").comparable.startswith("with StyleGAN")


def test_a_study_takes_a_network_as_its_features(models, tmp_path, rng, monkeypatch):
    monkeypatch.setenv("ENTROLOOP_CACHE", str(tmp_path / "cache"))
    np.save(tmp_path / "x.npy", rng.integers(0, 256, (120, 8, 8, 3), dtype=np.uint8))
    name = f"torchscript:{models / 'small.pt'}"
    records = list(
        el.run_study(
            {
                "name": "small", "generations": 2,
                "data": {"source": "arrays", "path": str(tmp_path / "x.npy"), "n_train": 40,
                         "n_reference": 40},
                "generator": {"name": "gaussian"},
                "metrics": {"features": name, "extra": ["precision", "drift_coverage"]},
                "arms": [{"paradigm": "replace", "strategy": "greedy", "oversample": 2,
                          "features": name}],
            },
            out=tmp_path / "s",
        )
    )  # fmt: skip
    assert len(records) == 2
    assert 0 <= records[1].extra["precision"] <= 1
    assert records[1].total_variance < 100  # of 8 features, not of pixels


@pytest.mark.skipif(not DATA, reason="ENTROLOOP_DATA is not set: no real networks")
@pytest.mark.parametrize(
    ("file", "data"),
    [("resnet20_cifar10_features.pt", "cifar10/test"), ("lenet_mnist_features.pt", "mnist/test")],
)
def test_real_networks_tell_classes_apart(file, data, tmp_path, monkeypatch):
    import pyarrow as pa
    import pyarrow.parquet as pq
    from sklearn.neighbors import KNeighborsClassifier

    from entroloop.data.loading import read_set

    monkeypatch.setenv("ENTROLOOP_CACHE", str(tmp_path))
    some = next(pq.ParquetFile(_real(data)).iter_batches(2000))
    pq.write_table(pa.Table.from_batches([some]), tmp_path / "some.parquet")
    found = read_set(tmp_path / "some.parquet", "real", columns=["label"])
    rows = extractor_for(f"torchscript:{Path(DATA).parent / 'weights' / file}")(found.data)
    labels = found.columns["label"]
    right = (
        KNeighborsClassifier(5).fit(rows[:1500], labels[:1500]).score(rows[1500:], labels[1500:])
    )
    assert rows.shape == (2000, 64)
    assert right > 0.85


def _real(name):
    folder, split = name.split("/")
    return sorted((Path(DATA) / folder).glob(f"*{split}*.parquet"))[0]


def test_the_command_line_shows_and_clears_the_cache(
    entroloop_here, models, tmp_path, images, monkeypatch
):
    np.save(tmp_path / "g.npy", images)
    monkeypatch.setenv("ENTROLOOP_CACHE", str(tmp_path / "cache"))
    arguments = ["--features", f"torchscript:{models / 'small.pt'}", "--metrics", "total_variance"]
    answer = entroloop_here("measure", "--generated", "g.npy", *arguments)
    assert answer.returncode == 0, answer.stderr
    assert json.loads(answer.stdout)["generated"] == {"n": 70, "d": 8}
    shown = json.loads(entroloop_here("doctor").stdout)["features_cache"]
    assert shown["sets"] == 1
    entroloop_here("doctor", "--clear-cache")
    assert not list((tmp_path / "cache").rglob("*.npy"))
