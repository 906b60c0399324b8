"""Images in parquet files and folders as the data of a study."""

import io
import json
import tarfile

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

import entroloop as el
from entroloop.commands.run import run_study
from entroloop.data.hub import Hub
from entroloop.data.images import Folder, Parquet
from entroloop.data.preparing import cropped_and_resized
from entroloop.data.principal_components import PrincipalComponents
from entroloop.data.webdataset import WebDataset
from entroloop.report import render_report
from entroloop.report.read import StudyView
from entroloop.samples import Decoder, RealData
from entroloop.store.stages import real_key
from here import Here


def encoded(image):
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, "PNG")
    return buffer.getvalue()


@pytest.fixture
def images(rng):
    return rng.integers(0, 256, (12, 6, 8, 3), dtype=np.uint8)


@pytest.fixture
def parquet(tmp_path, images):
    cells = [{"bytes": encoded(x), "path": f"{i}.png"} for i, x in enumerate(images)]
    cells[4]["bytes"] = b"corrupt"
    labels = [7, 3] * 6
    pq.write_table(pa.table({"image": cells, "label": labels}), tmp_path / "train-0.parquet")
    pq.write_table(pa.table({"image": cells[:2], "label": [0, 0]}), tmp_path / "test-0.parquet")
    return tmp_path


@pytest.fixture
def folder(tmp_path, images):
    for i, x in enumerate(images):
        (tmp_path / "cats").mkdir(exist_ok=True)
        (tmp_path / "dogs").mkdir(exist_ok=True)
        Image.fromarray(x).save(tmp_path / ("cats" if i < 5 else "dogs") / f"{i:02}.png")
    return tmp_path


def test_parquet_gives_images_and_labels_without_the_corrupt_ones(parquet, images):
    real = Parquet(path=str(parquet), files="train*", n_train=5, n_reference=5).load()
    kept = np.delete(np.arange(12), 4)
    assert np.array_equal(real.data, images[kept])
    assert real.labels.tolist() == [1, 0, 1, 0, 0, 1, 0, 1, 0, 1, 0]


def test_strict_refuses_a_corrupt_image(parquet):
    source = Parquet(path=str(parquet), files="train*", n_train=5, n_reference=5, strict=True)
    with pytest.raises(el.InputError, match="image 4 cannot be read"):
        source.load()


def test_subfolders_are_labels(folder, images):
    real = Folder(path=str(folder), n_train=5, n_reference=5).load()
    assert np.array_equal(real.data, images)
    assert real.labels.tolist() == [0] * 5 + [1] * 7


def test_the_centre_square_is_resized_by_the_filter_that_is_named(images):
    square = Image.fromarray(images[0][:, 1:7])
    for name in ("box", "bilinear", "lanczos"):
        expected = square.resize((3, 3), Image.Resampling[name.upper()])
        assert np.array_equal(cropped_and_resized(images[0], 3, name), np.asarray(expected))
    assert cropped_and_resized(images[0][..., :1], 3, "box").shape == (3, 3, 1)


def test_mixed_sizes_are_refused_unless_resized(folder, rng):
    Image.fromarray(rng.integers(0, 256, (9, 9, 3), dtype=np.uint8)).save(folder / "cats/x.png")
    with pytest.raises(el.InputError, match=r"1 of 9 × 9 colour; add --resize 6 .*in a study"):
        Folder(path=str(folder), n_train=5, n_reference=5).load()
    resized = Folder(path=str(folder), n_train=5, n_reference=5, resize=4, mode="grey").load()
    assert resized.data.shape == (13, 4, 4, 1)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"files": "none*"}, "neither images nor parquet files named none"),
        ({"label": "class"}, "no column 'class'"),
        ({"path": "nowhere"}, "no file or folder"),
    ],
)
def test_bad_sources_are_told(parquet, changes, message):
    source = {"path": str(parquet), "files": "train*", "n_train": 5, "n_reference": 5}
    with pytest.raises(el.InputError, match=message):
        Parquet(**{**source, **changes}).load()


@pytest.mark.slow
def test_a_preset_of_images_runs_from_the_command_line(entroloop, tmp_path, rng):
    cells = [{"bytes": encoded(x), "path": ""} for x in rng.integers(0, 256, (140, 20, 20),
                                                                     dtype=np.uint8)]  # fmt: skip
    cells[7]["bytes"] = b"corrupt"
    (tmp_path / "mnist").mkdir()
    pq.write_table(
        pa.table({"image": cells, "label": [i % 10 for i in range(140)]}),
        tmp_path / "mnist" / "train.parquet",
    )
    changes = ["data.path=mnist", "generator.steps=2", "generator.sampler_steps=2", "generations=2"]
    arguments = [part for change in changes for part in ("--set", change)]
    answer = entroloop("run", "mnist-tiny", *arguments)
    assert answer.returncode == 0, answer.stderr
    assert json.loads(answer.stdout)["complete"]
    assert "1 images skipped, first 7: cannot identify image" in answer.stderr
    table = el.load_records(tmp_path / "runs" / "mnist-tiny")
    assert len(table) == 8
    page = (tmp_path / "runs" / "mnist-tiny" / "report.html").read_text()
    assert "data:image/png" in page
    again = entroloop("run", "mnist-tiny", *arguments)
    assert "0 trainings to do" in again.stderr


@pytest.fixture
def shards(tmp_path, images):
    for shard in range(2):
        with tarfile.open(tmp_path / f"train-{shard}.tar", "w") as tar:
            for i in range(6 * shard, 6 * shard + 6):
                content = b"corrupt" if i == 3 else encoded(images[i])
                for name, data in ((f"{i:03}.png", content), (f"{i:03}.cls", str(i % 3).encode())):
                    entry = tarfile.TarInfo(name)
                    entry.size = len(data)
                    tar.addfile(entry, io.BytesIO(data))
    return tmp_path


def test_tar_shards_give_images_and_labels_in_order(shards, images):
    real = WebDataset(path=str(shards), n_train=4, n_reference=4).load()
    kept = np.delete(np.arange(12), 3)
    assert np.array_equal(real.data, images[kept])
    assert real.labels.tolist() == (kept % 3).tolist()
    assert list(real.skipped) == ["train-0.tar/003"]
    one = WebDataset(path=str(shards / "train-1.tar"), n_train=2, n_reference=2, label=None).load()
    assert len(one.data) == 6
    assert one.labels is None


def test_broken_shards_and_missing_labels_are_told(shards):
    with pytest.raises(el.InputError, match=r"no \.txt file beside it"):
        WebDataset(path=str(shards), n_train=2, n_reference=2, label="txt").load()
    with pytest.raises(el.InputError, match="no shard named"):
        WebDataset(path=str(shards), files="x*", n_train=2, n_reference=2).load()
    (shards / "train-0.tar").write_bytes(b"nothing")
    with pytest.raises(el.InputError, match="not a readable tar shard"):
        WebDataset(path=str(shards), n_train=2, n_reference=2).load()


def test_a_data_set_of_the_hub_gives_images_and_labels(images, monkeypatch):
    datasets = pytest.importorskip("datasets")
    table = datasets.Dataset.from_dict(
        {"img": [{"bytes": encoded(x), "path": None} for x in images], "label": [5, 9] * 6},
        features=datasets.Features({"img": datasets.Image(), "label": datasets.Value("int64")}),
    )
    monkeypatch.setattr(datasets, "load_dataset", lambda *names, **options: table)
    real = Hub(id="some/set", n_train=4, n_reference=4).load()
    assert np.array_equal(real.data, images)
    assert real.labels.tolist() == [0, 1] * 6
    with pytest.raises(el.InputError, match=r"set data\.label"):
        Hub(id="some/set", n_train=4, n_reference=4, label="class").load()


def test_a_data_set_that_cannot_be_had_is_told(monkeypatch):
    datasets = pytest.importorskip("datasets")

    def fail(*names, **options):
        raise ConnectionError("no network")

    monkeypatch.setattr(datasets, "load_dataset", fail)
    with pytest.raises(el.InputError, match="cannot be loaded"):
        Hub(id="some/set", n_train=4, n_reference=4).load()


def test_real_mnist_is_read_with_its_labels(real_data):
    source = Parquet(
        path=str(real_data / "mnist"), files="test*", n_train=100, n_reference=100, resize=16
    )
    real = source.load()
    assert real.data.shape == (10_000, 16, 16, 1)
    assert np.bincount(real.labels).min() > 800


def smooth_images(rng, n, size=6):
    """Images of three directions and a little noise, uint8 (n, size, size, 1)."""
    bases = rng.standard_normal((3, size * size))
    flat = (
        128 + 40 * rng.standard_normal((n, 3)) @ bases / 3 + rng.standard_normal((n, size * size))
    )
    return np.clip(np.rint(flat), 0, 255).astype(np.uint8).reshape(n, size, size, 1)


@pytest.fixture
def smooth(tmp_path, rng):
    images = smooth_images(rng, 240)
    cells = [{"bytes": encoded(x[..., 0]), "path": None} for x in images]
    (tmp_path / "images").mkdir()
    pq.write_table(pa.table({"image": cells}), tmp_path / "images/train-0.parquet")
    return tmp_path / "images", images


def test_principal_components_are_those_of_the_first_images_and_decode_the_others(smooth):
    path, images = smooth
    source = PrincipalComponents(path=str(path), label=None, components=3, learned_from=100,
                                 n_train=40, n_reference=40)  # fmt: skip
    real = source.load()
    assert real.data.shape == (140, 3)
    assert real.data.dtype == np.float32
    decoded = real.decoder(real.data)
    assert decoded.shape == (140, 6, 6, 1)
    flat = images.reshape(len(images), -1).astype(float)
    centre = flat[:100].mean(axis=0)
    axes = np.linalg.svd(flat[:100] - centre)[2][:3]
    expected = (flat[100:] - centre) @ axes.T @ axes + centre
    assert np.abs(decoded.reshape(140, -1) - expected).max() <= 0.51  # rounded to whole numbers
    for changes, message in (({"components": 37}, "more than 100 images"),
                             ({"learned_from": 240}, "leaves none of the 240 images")):  # fmt: skip
        with pytest.raises(el.InputError, match=message):
            source.model_copy(update=changes).load()


def test_a_study_on_principal_components_measures_and_shows_decoded_images(smooth, tmp_path):
    path, _ = smooth
    study = {
        "name": "latent", "generations": 3, "guard": 20,
        "data": {"source": "principal_components", "path": str(path), "label": None, "n_train": 32,
                 "n_reference": 32, "components": 3, "learned_from": 100},
        "generator": {"name": "gaussian"},
        "arms": [{"strategy": "random", "features": "pixels:pca=2"}, {"strategy": "greedy"}],
    }  # fmt: skip
    raw, pixels = tmp_path / "raw", tmp_path / "pixels"
    for folder, changes in ((raw, {}), (pixels, {"metrics": {"features": "pixels"}})):
        assert list(run_study(study | changes, out=folder, engine=Here()))
    a, b = (StudyView.open(p) for p in (raw, pixels))
    # Pixels of decoded images are an isometry of the coordinates, up to rounding, times a scale.
    scale = np.linalg.norm(a.real.decoder.components[0])
    ratio = b.records["generalization_score"] / a.records["generalization_score"]
    np.testing.assert_allclose(ratio, scale, rtol=0.1)
    shown = b.as_images(b.samples(b.arms[0]["name"], 0, 3))
    assert shown.shape == (32, 6, 6)
    np.testing.assert_array_equal(shown, a.real.decoder(a.samples(a.arms[0]["name"], 0, 3))[..., 0])
    assert "data:image/png" in render_report([raw], tmp_path / "page.html").read_text()


def test_what_decodes_is_part_of_the_key_of_the_data():
    rows = np.zeros((4, 2))
    keys = {
        real_key(RealData(rows, decoder=decoder))
        for decoder in (None, Decoder(np.eye(2), np.zeros(2), (2, 1, 1)),
                        Decoder(np.eye(2), np.ones(2), (2, 1, 1)))
    }  # fmt: skip
    assert len(keys) == 3


def test_real_faces_keep_most_of_their_variance_in_64_components(real_data):
    folder = real_data / "faces32"
    source = PrincipalComponents(path=str(folder), files="train*", label=None, limit=1500,
                                 learned_from=1000, n_train=2, n_reference=2)  # fmt: skip
    real = source.load()
    images = Parquet(path=str(folder), files="train*", label=None, limit=1500, n_train=2,
                     n_reference=2).load().data[1000:].astype(float)  # fmt: skip
    left = (
        np.square(real.decoder(real.data) - images).sum() / np.square(images - images.mean(0)).sum()
    )
    assert left < 0.15
