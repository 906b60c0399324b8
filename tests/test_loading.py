"""What `load` takes, with the real libraries, and what it says of what it does not take."""

import io
import tarfile
from contextlib import closing

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

import entroloop as el
from entroloop.data import decoding_in_order
from entroloop.data.decoding_processes import DecodingProcesses
from entroloop.study.build import SOURCES
from here import Here

datasets = pytest.importorskip("datasets")


@pytest.fixture
def x(rng):
    return rng.standard_normal((12, 3)).astype(np.float32)


@pytest.fixture
def images(rng):
    return rng.integers(0, 256, (6, 5, 4, 3), dtype=np.uint8)


@pytest.fixture
def folder(tmp_path, images):
    for i, image in enumerate(images):
        place = tmp_path / "images" / ("cats" if i < 2 else "dogs") / f"{i}.png"
        place.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(place)
    return tmp_path / "images"


def png(image):
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, "PNG")
    return buffer.getvalue()


def cells(images):
    return [{"bytes": png(image), "path": None} for image in images]


class Speaker:
    """Speaks DLPack and nothing else, as arrays of other libraries do."""

    def __init__(self, tensor):
        self.tensor = tensor

    def __dlpack__(self, **options):
        return self.tensor.__dlpack__(**options)

    def __dlpack_device__(self):
        return self.tensor.__dlpack_device__()


def polars_table(x):
    polars = pytest.importorskip("polars")
    return polars.DataFrame({"emb": x})


def torch_tensor(x):
    import torch

    return torch.tensor(x, requires_grad=True)


def torch_dataset(x):
    from torch.utils.data import TensorDataset

    return TensorDataset(torch_tensor(x))


def samples_of(samples):
    """Return a data set of torch that gives these samples."""
    from torch.utils.data import Dataset

    class Own(Dataset):
        def __len__(self):
            return len(samples)

        def __getitem__(self, i):
            return samples[i]

    return Own()


ROWS = {
    "numpy": lambda x: x,
    "list": lambda x: x.tolist(),
    "torch": torch_tensor,
    "DLPack": lambda x: Speaker(torch_tensor(x).detach()),
    "torch dataset": torch_dataset,
    "torch dataset of arrays": lambda x: samples_of(list(x)),
    "pandas lists": lambda x: pd.DataFrame({"emb": list(x)}),
    "pandas numbers": lambda x: pd.DataFrame(x, columns=list("abc")).assign(label=1, name="n"),
    "polars": polars_table,
    "arrow": lambda x: pa.table({"emb": list(x)}),
    "arrow numbers": lambda x: pa.table({c: x[:, i] for i, c in enumerate("abc")}),
    "arrow stream": lambda x: pa.table({"emb": list(x)}).to_reader(),
    "datasets": lambda x: datasets.Dataset.from_dict({"emb": list(x)}).with_format("torch"),
    "datasets numbers": lambda x: datasets.Dataset.from_pandas(
        pd.DataFrame(x, columns=list("abc"))
    ),
}


@pytest.mark.parametrize("kind", ROWS)
def test_rows_are_the_same_in_whatever_they_come(kind, x):
    given = ROWS[kind](x)
    found = el.load(given)
    assert np.array_equal(np.asarray(found.data, dtype=np.float32), x)
    assert found.ids == [str(i) for i in range(12)]
    again = ROWS[kind](x) if kind == "arrow stream" else given
    assert el.select(again, 5).indices.tolist() == el.select(x, 5).indices.tolist()


@pytest.mark.parametrize("suffix", ["npy", "npz", "parquet", "lists.parquet", "csv"])
def test_rows_are_the_same_in_whatever_file_they_lie(suffix, x, tmp_path):
    path = tmp_path / f"rows.{suffix}"
    frame = pd.DataFrame(x.astype(float), columns=list("abc")).assign(label=np.arange(12) % 3)
    if suffix == "npy":
        np.save(path, x)
    elif suffix == "npz":
        np.savez(path, y=x[:3], z=x)
    elif suffix == "lists.parquet":
        pq.write_table(pa.table({"emb": list(x), "label": frame["label"]}), path)
    elif suffix == "csv":
        frame.to_csv(path, index=False)
    else:
        frame.to_parquet(path, row_group_size=5)
    found = el.load(str(path), column="z" if suffix == "npz" else None)
    assert np.array_equal(np.asarray(found.data, dtype=np.float32), x)
    if "p" not in suffix or suffix.endswith("parquet"):
        assert found.columns["label"].tolist() == (np.arange(12) % 3).tolist()
    if suffix in ("csv", "parquet"):
        assert found.remarks == {"number columns taken as values": 3}
        some = el.load(path, column=["c", "a"])
        assert np.array_equal(np.asarray(some.data, dtype=np.float32), x[:, [2, 0]])


def test_what_lies_in_main_memory_is_not_copied(x):
    tensor = torch_tensor(x).detach()
    for given in (tensor, Speaker(tensor)):
        assert np.shares_memory(el.load(given).data, tensor.numpy())


def test_what_lies_elsewhere_is_copied_by_its_own_library(x):
    asked = []

    class Elsewhere(Speaker):
        def __dlpack_device__(self):
            return (14, 0)  # a device that torch does not know

        def __dlpack__(self, **options):
            asked.append(options.get("dl_device"))
            return self.tensor.clone().__dlpack__()

    found = el.load(Elsewhere(torch_tensor(x).detach())).data
    assert np.array_equal(found, x)
    assert asked == [(1, 0)]


def test_what_converts_nothing_unasked_is_asked_by_dlpack(x):
    class Unwilling(Speaker):
        def __array__(self, dtype=None, copy=None):
            raise TypeError("Implicit conversion to a NumPy array is not allowed")

    assert np.array_equal(el.load(Unwilling(torch_tensor(x).detach())).data, x)


def test_bfloat16_becomes_float32_without_loss(x):
    import torch

    narrow = torch.tensor(x).to(torch.bfloat16)
    for given in (narrow, Speaker(narrow)):
        found = el.load(given).data
        assert found.dtype == np.float32
        assert np.array_equal(found, narrow.float().numpy())


def as_saved(folder, images):
    found = datasets.Dataset.from_dict({"image": cells(images), "label": [0, 0, 1, 1, 1, 1]})
    found.save_to_disk(folder.parent / "saved")
    return folder.parent / "saved"


def as_tar(folder, images):
    with tarfile.open(folder.parent / "x.tar", "w") as tar:
        for i, image in enumerate(images):
            for ending, content in (("png", png(image)), ("cls", b"0" if i < 2 else b"1")):
                member = tarfile.TarInfo(f"{i}.{ending}")
                member.size = len(content)
                tar.addfile(member, io.BytesIO(content))
    return folder.parent / "x.tar"


def as_csv(folder, images):
    paths = sorted(str(p.relative_to(folder.parent)) for p in folder.rglob("*.png"))
    frame = pd.DataFrame({"title": "a title", "file": paths, "label": [0, 0, 1, 1, 1, 1]})
    frame.to_csv(folder.parent / "x.csv", index=False)
    return folder.parent / "x.csv"


def as_list_file(folder, images):
    paths = sorted(str(p.relative_to(folder.parent)) for p in folder.rglob("*.png"))
    (folder.parent / "x.txt").write_text("\n".join(paths) + "\n")
    return folder.parent / "x.txt"


def as_parquet(folder, images):
    table = pa.table({"image": cells(images), "label": [0, 0, 1, 1, 1, 1]})
    pq.write_table(table, folder.parent / "x.parquet", row_group_size=2)
    return folder.parent / "x.parquet"


def tensors(images):
    """Return images as torch's data sets give them: (c, h, w)."""
    return [torch_tensor(x.astype(float)).detach().byte().permute(2, 0, 1) for x in images]


IMAGES = {
    "folder": lambda folder, images: folder,
    "pattern": lambda folder, images: folder / "*" / "*.png",
    "list of paths": lambda folder, images: sorted(map(str, folder.rglob("*.png"))),
    "list file": as_list_file,
    "csv of paths": as_csv,
    "parquet": as_parquet,
    "save_to_disk": as_saved,
    "tar": as_tar,
    "datasets": lambda folder, images: datasets.load_from_disk(as_saved(folder, images)),
    "imagefolder": lambda folder, images: datasets.Dataset.from_dict(
        {"image": sorted(map(str, folder.rglob("*.png")))}
    ).cast_column("image", datasets.Image()),
    "pandas paths": lambda folder, images: pd.DataFrame(
        {"file": sorted(map(str, folder.rglob("*.png")))}
    ),
    "Pillow": lambda folder, images: [Image.fromarray(image) for image in images],
    "arrays": lambda folder, images: list(images),
    "one array": lambda folder, images: images,
    "torch dataset": lambda folder, images: samples_of(
        [(image, i // 2) for i, image in enumerate(tensors(images))]
    ),
    "torch dataset of Pillow": lambda folder, images: samples_of(
        [Image.fromarray(image) for image in images]
    ),
}


@pytest.mark.parametrize("kind", IMAGES)
def test_images_are_the_same_in_whatever_they_come(kind, folder, images):
    given = IMAGES[kind](folder, images)
    found = el.load(given)
    assert np.array_equal(found.data, images)
    assert found.data.dtype == np.uint8
    small = el.load(given, resize=2, mode="grey").data
    assert small.shape == (6, 2, 2, 1)
    if "label" in found.columns and kind != "torch dataset":
        first, *_, last = found.columns["label"].tolist()
        assert found.columns["label"].tolist() == [first] * 2 + [last] * 4
    labelled = {"folder", "pattern", "list of paths", "list file", "csv of paths", "parquet",
                "save_to_disk", "tar", "datasets", "torch dataset"}  # fmt: skip
    assert ("label" in found.columns) == (kind in labelled)


PATHS = ["folder", "pattern", "list of paths", "list file", "csv of paths", "parquet",
         "save_to_disk", "tar"]  # fmt: skip


@pytest.mark.parametrize("kind", PATHS)
def test_a_study_takes_whatever_a_path_leads_to(kind, folder, images):
    given = IMAGES[kind](folder, images)
    path = given if isinstance(given, list) else str(given)
    sizes = {"n_train": 2, "n_reference": 2}
    source = SOURCES["load"].model_validate({"source": "load", "path": path, **sizes})
    real = source.load()
    assert np.array_equal(real.data, images)
    assert real.labels.tolist() == [0, 0, 1, 1, 1, 1]
    changed = source.model_copy(update={"resize": 2, "mode": "grey", "limit": 5, "label": None})
    small = changed.load()
    assert small.data.shape == (5, 2, 2, 1)
    assert small.labels is None


def test_a_study_of_a_table_of_numbers_runs(tmp_path, rng, tiny):
    frame = pd.DataFrame(rng.standard_normal((120, 3)), columns=list("abc"))
    frame.assign(kind=["x", "y"] * 60, id=range(120)).to_csv(tmp_path / "rows.csv", index=False)
    data = {"source": "load", "path": str(tmp_path / "rows.csv"), "label": "kind"}
    study = tiny | {"data": data | {"column": ["a", "c"], "n_train": 32, "n_reference": 32}}
    records = list(el.run_study(study, out=tmp_path / "study", engine=Here()))
    assert all(np.isfinite(record.entropy_samples) for record in records)
    real = el.load_study(tmp_path / "study").real
    assert np.array_equal(real.data, frame[["a", "c"]].to_numpy())
    assert real.labels.tolist() == [0, 1] * 60
    with pytest.raises(el.InputError, match="no column 'sort'; it has a, b, c, kind, id"):
        list(el.run_study(study | {"data": study["data"] | {"label": "sort"}}, out=tmp_path / "b"))


def test_a_data_set_that_was_filtered_and_sorted_gives_its_own_rows(x):
    whole = datasets.Dataset.from_dict({"emb": list(x), "at": list(range(12))})
    some = whole.select([7, 3, 5])
    assert np.array_equal(el.load(some, column="emb").data, x[[7, 3, 5]])


def test_a_split_of_the_hub_is_loaded_only_where_that_is_asked_for(monkeypatch, images):
    table = datasets.Dataset.from_dict({"image": cells(images), "label": list(range(6))})
    asked = []

    def load_dataset(*arguments, **options):
        asked.append((arguments, options))
        return table

    monkeypatch.setattr(datasets, "load_dataset", load_dataset)
    with pytest.raises(el.InputError, match="or hub:own/set"):
        el.load("own/set")
    assert not asked
    found = el.load("hub:own/set:test:small")
    assert asked == [(("own/set", "small"), {"split": "test", "revision": None})]
    assert np.array_equal(found.data, images)


def sparse(x):
    from scipy.sparse import csr_array

    return csr_array(x)


def lazy(x):
    return pytest.importorskip("polars").DataFrame(x).lazy()


def loader(x):
    from torch.utils.data import DataLoader

    return DataLoader(torch_dataset(x))


REFUSED = {
    "sparse": (sparse, r"a sparse matrix; pass x\.toarray\(\)"),
    "sparse tensor": (lambda x: torch_tensor(x).detach().to_sparse(), r"pass x\.to_dense\(\)"),
    "LazyFrame": (lazy, r"pass x\.collect\(\)"),
    "masked": (np.ma.masked_array, r"a masked array; pass x\.filled"),
    "objects": (lambda x: np.array([*x, None], dtype=object), r"pass np\.stack\(x\)"),
    "complex": (lambda x: x + 1j, "complex numbers; pass"),
    "words": (lambda x: ["a", "b"], "no file 'a'; give paths, or an array of numbers"),
    "text": (lambda x: np.array([["a", "b"]]), "pass numbers, or a list of paths"),
    "ragged": (lambda x: [[1.0], [1.0, 2.0]], "cannot be read as an array of numbers"),
    "dict": (lambda x: {"x": x}, r"pass one of its values, x\[NAME\]"),
    "generator": (lambda x: (row for row in x), r"pass list\(x\)"),
    "column": (lambda x: pd.Series(list(x)), r"one column; pass np\.stack"),
    "splits": (lambda x: datasets.DatasetDict(), r"several splits; pass x\['train'\]"),
    "no samples": (lambda x: samples_of([]), "holds no samples"),
    "samples that fail": (lambda x: samples_of({0: x[0], 2: x[2]}), "sample 1 failed: KeyError: 1"),
    "samples of two shapes": (
        lambda x: samples_of([x[0], x[1, :2]]), r"sample 1 has shape \(2,\), sample 0 \(3,\)"
    ),
    "dicts": (lambda x: samples_of([{"a": x[0]}]), "gives dicts of a; name the entry"),
    "loader": (loader, r"pass its dataset, x\.dataset"),
    "number": (lambda x: 3, "of type int, which is not taken"),
    "nothing": (lambda x: None, "of type NoneType"),
    "a typo": (lambda x: "nowhere/at/all", "there is no file or folder"),
    "no rows": (lambda x: pa.table({"name": ["a"]}), "no number columns; it has name"),
}  # fmt: skip


@pytest.mark.parametrize("kind", REFUSED)
def test_what_is_not_taken_is_one_line_that_says_what_to_pass(kind, x):
    make, told = REFUSED[kind]
    for call in (el.load, lambda x: el.select(x, 2), lambda x: el.measure(generated=x)):
        with pytest.raises(el.InputError, match=told) as error:
            call(make(x))
        assert "\n" not in str(error.value)


def test_an_entry_of_samples_that_are_dicts_is_named(x):
    given = samples_of([{"emb": row, "label": i % 2} for i, row in enumerate(x)])
    found = el.load(given, column="emb")
    assert np.array_equal(found.data, x)
    assert found.columns["label"].tolist() == [0, 1] * 6


def test_uint8_tensors_that_are_no_images_are_vectors(images):
    planes = [image[..., :2] for image in images]  # of two channels
    found = el.load(samples_of([torch_tensor(x.astype(float)).detach().byte() for x in planes]))
    assert np.array_equal(found.data, np.reshape(planes, (6, -1)))


def test_every_kind_of_the_table_is_documented():
    from pathlib import Path

    from entroloop.data.loading import KINDS

    text = (Path(__file__).parents[1] / "docs/loading.md").read_text()
    assert all(kind.what in text for kind in KINDS)


def test_images_that_differ_are_counted_and_the_command_that_is_told_works(folder, images):
    Image.fromarray(images[0, :4]).save(folder / "cats/x.png")
    Image.fromarray(images[0, ..., 0]).save(folder / "cats/y.png")
    with pytest.raises(el.InputError) as told:
        el.select(str(folder), 3)
    message = str(told.value)
    assert "6 of 4 × 5 colour, 1 of 4 × 4 colour, 1 of 4 × 5 grey" in message
    assert 'add --resize 4 --mode rgb (in Python resize=4, mode="rgb"' in message
    assert len(el.select(str(folder), 3, resize=4, mode="rgb").indices) == 3
    (folder / "cats/x.png").unlink()
    with pytest.raises(el.InputError, match=r"add --mode rgb \("):
        el.load(folder)
    assert el.load(folder, mode="rgb").data.shape == (7, 5, 4, 3)


def test_the_command_lines_take_resize_and_mode(folder, images, entroloop_here, tmp_path):
    Image.fromarray(images[0, :4, ..., 0]).save(folder / "cats/x.png")
    refused = entroloop_here("select", "--pool", "images", "-n", "3", "--out", "s")
    assert refused.returncode == 2
    how = refused.stderr.partition("; add ")[2].partition(" (")[0].split()
    answer = entroloop_here("select", "--pool", "images", "-n", "3", "--out", "s", *how)
    assert answer.returncode == 0, answer.stderr
    sets = ["--generated", "images", "--reference", "images"]
    answer = entroloop_here("measure", *sets, *how, "--metrics", "frechet_distance")
    assert answer.returncode == 0, answer.stderr
    wrong = entroloop_here("measure", *sets, "--mode", "gray")
    assert "did you mean 'grey'" in wrong.stderr


def test_column_names_the_rows_on_the_command_line(entroloop_here, tmp_path, x):
    pq.write_table(pa.table({"other": list(x[:, :1]), "emb": list(x)}), tmp_path / "x.parquet")
    answer = entroloop_here(
        "select", "--pool", "x.parquet", "-n", "4", "--out", "s", "--column", "emb"
    )
    assert answer.returncode == 0, answer.stderr
    chosen = pd.read_parquet(tmp_path / "s/selection.parquet")
    assert chosen["index"].tolist() == el.select(x, 4).indices.tolist()
    assert answer.stderr.count("Traceback") == 0


def test_groups_and_weights_may_name_columns(x):
    frame = pd.DataFrame({"emb": list(x), "kind": list("aab") * 4, "worth": np.arange(1.0, 13)})
    found = el.select(frame, 6, groups="kind", quota="equal", weights="worth")
    by_hand = el.select(x, 6, groups=frame["kind"], quota="equal", weights=frame["worth"])
    assert found.indices.tolist() == by_hand.indices.tolist()
    with pytest.raises(el.InputError, match="has no column 'kid'"):
        el.select(frame, 6, groups="kid")


def test_more_images_than_memory_holds_are_refused_before_they_are_read(folder, monkeypatch):
    monkeypatch.setattr("entroloop.data.reading.available_bytes", lambda: 100)
    with pytest.raises(el.InputError, match="once it is read"):
        el.load(folder)


def test_initial_may_be_indices_of_any_kind_or_whatever_can_be_loaded(x):
    by_hand = el.select(x, 4, initial=[2, 5]).indices.tolist()
    for index in (
        (2, 5),
        np.array([2, 5]),
        pd.Series([2, 5]),
        torch_tensor([2.0, 5.0]).int(),
    ):
        assert el.select(x, 4, initial=index).indices.tolist() == by_hand
    assert len(el.select(x, 4, initial=range(3)).indices) == 4
    given = el.select(x[:8], 4, initial=pd.DataFrame({"emb": list(x[8:])}))
    assert given.indices.tolist() == el.select(x[:8], 4, initial=x[8:]).indices.tolist()


def test_a_corrupt_image_is_refused_where_indices_would_shift(folder):
    (folder / "cats/0.png").write_bytes(b"nothing")
    with pytest.raises(el.InputError, match=r"image cats/0\.png cannot be read"):
        el.select(str(folder), 2)
    found = el.load(folder)
    assert found.index.tolist() == [1, 2, 3, 4, 5]
    assert list(found.skipped) == ["cats/0.png"]
    picks = el.select(found, 2).indices
    assert picks.tolist() == el.select(found.data, 2).indices.tolist()


@pytest.mark.parametrize("many", [10, 10_000])
def test_many_images_come_in_their_order_by_threads_and_by_processes(
    tmp_path, rng, monkeypatch, many
):
    started = []

    class Counted(DecodingProcesses):
        def __init__(self, *arguments):
            super().__init__(*arguments)
            started.append(self)

        def decoded(self, items):
            found = super().decoded(items)
            assert found is not None
            return found

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(decoding_in_order, "MANY", many)
    monkeypatch.setattr(decoding_in_order, "cores", lambda: 2)
    monkeypatch.setattr(decoding_in_order, "DecodingProcesses", Counted)
    rows = rng.integers(0, 256, (300, 3, 3), dtype=np.uint8)
    for i, row in enumerate(rows):
        Image.fromarray(row).save(tmp_path / f"{i:04}.png")
    (tmp_path / "0150.png").write_bytes(b"")
    found = el.load(tmp_path)
    assert np.array_equal(found.data[..., 0], np.delete(rows, 150, axis=0))
    assert found.index.tolist() == [i for i in range(300) if i != 150]
    assert found.skipped["0150.png"].startswith("cannot identify image")
    assert len(started) == (many == 10)
    small = el.load(tmp_path, resize=2, mode="rgb", columns=["made_by"])
    assert small.data.shape == (299, 2, 2, 3)
    assert set(small.columns["made_by"]) == {"unknown"}
    with pytest.raises(el.InputError, match=r"image 0150\.png cannot be read: cannot identify"):
        el.load(tmp_path, strict=True)
    files = [p.read_bytes() for p in sorted(tmp_path.glob("*.png"))]
    pq.write_table(pa.table({"image": [{"bytes": b, "path": None} for b in files]}), "x.parquet")
    crews = len(started)
    held = el.load("x.parquet")
    assert np.array_equal(held.data, found.data)
    assert list(held.skipped.values()) == list(found.skipped.values())
    assert len(started) - crews == (many == 10)
    assert all(process.poll() is not None for crew in started for process in crew._all)


def test_a_process_that_dies_while_it_decodes_loses_nothing(tmp_path, rng):
    rows = rng.integers(0, 256, (8, 3, 3), dtype=np.uint8)
    for i, row in enumerate(rows):
        Image.fromarray(row).save(tmp_path / f"{i}.png")
    items = [(p.name, p) for p in sorted(tmp_path.iterdir())]
    with closing(DecodingProcesses(1, None, False)) as crew:
        assert np.array_equal([d.image[..., 0] for d in crew.decoded(items)], rows)
        crew._all[0].kill()
        crew._all[0].wait()
        assert crew.decoded(items) is None  # the caller decodes itself


@pytest.mark.parametrize(
    "kind", ["folder", "pattern", "list file", "csv of paths", "parquet", "save_to_disk", "tar"]
)
def test_the_command_line_takes_what_a_path_leads_to(kind, folder, images, entroloop_here):
    path = IMAGES[kind](folder, images).relative_to(folder.parent)
    how = "parquet" if kind in ("parquet", "save_to_disk", "tar") else "copy"
    answer = entroloop_here("select", "--pool", path, "-n", 3, "--out", "s", "--group-by", "label",
                            "--materialize", how)  # fmt: skip
    assert answer.returncode == 0, answer.stderr
    chosen = pd.read_parquet(folder.parent / "s/selection.parquet")
    labels = [0, 0, 1, 1, 1, 1]
    assert chosen["index"].tolist() == el.select(images, 3, groups=labels).indices.tolist()
    names = {"folder": "images", "pattern": "images", "save_to_disk": "saved"}
    assert set(chosen["pool"]) == {names.get(kind, "x")}


def test_a_pattern_below_which_the_output_would_lie_is_refused(folder, images, entroloop_here):
    answer = entroloop_here("select", "--pool", "images/*/*.png", "-n", 2, "--out", "images/s")
    assert answer.returncode == 2
    assert "lies in pool 'images'" in answer.stderr
    none = entroloop_here("select", "--pool", "images/*.gif", "-n", 2, "--out", "s")
    assert "no file matches images/*.gif" in none.stderr
