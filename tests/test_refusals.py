"""What functions refuse, in one line that says what and how to mend it; one row a refusal."""

import json

import numpy as np
import pytest
import torch
from PIL import Image

import entroloop as el
from entroloop.data.arrays import Arrays
from entroloop.data.decoding import decode
from entroloop.features.cached import examine_cache
from entroloop.features.extractor import Extractor
from entroloop.metrics.entropy import intrinsic_dimension
from entroloop.metrics.sets import Sets
from entroloop.selection.taking import taken_from
from entroloop.store.folder import FORMAT, Store

X = np.random.default_rng(0).standard_normal((12, 3))
CORNERS = np.array([[0, 0], [0, 1], [1, 0], [1, 1.0]])  # two neighbours of each are as near
ENTROPY = ["entropy_samples"]


class Elsewhere:
    """Rows that lie elsewhere, of words."""

    shape, dtype = (12, 3), np.dtype("U3")

    def between(self, start, stop):
        raise AssertionError("nothing of them is read")

    def open(self):
        raise AssertionError("nothing of them is read")


REFUSED = {
    "an unknown estimator": (
        lambda: intrinsic_dimension(X, estimator="pca"),
        "estimator must be one of two_nn, maximum_likelihood; got pca",
    ),
    "two rows have no dimension": (
        lambda: intrinsic_dimension(X[:2]), "needs at least 3 distinct rows"
    ),
    "two rows have no likely dimension": (
        lambda: intrinsic_dimension(X[:2], estimator="maximum_likelihood"),
        "needs at least 3 distinct rows",
    ),
    "a lattice has no dimension": (
        lambda: el.measure(generated=CORNERS, metrics=["entropy_samples_intrinsic"]),
        "a lattice",
    ),
    "one row has no entropy": (
        lambda: el.measure(generated=X[:1], metrics=ENTROPY), "holds 1 rows; at least 2"
    ),
    "negative probabilities": (
        lambda: el.measure(generated=X, probabilities=-np.ones((12, 2)), metrics=ENTROPY),
        r"finite numbers ≥ 0 of shape \(n, classes\)",
    ),
    "probabilities that sum to 2": (
        lambda: el.measure(generated=X, probabilities=np.ones((12, 2)), metrics=ENTROPY),
        "must sum to 1 in each line",
    ),
    "probabilities that sum to 0.99": (
        lambda: el.measure(generated=X, probabilities=np.full((12, 2), 0.495), metrics=ENTROPY),
        "must sum to 1 in each line",
    ),
    "rows are no table": (lambda: Sets(generated=X).schema, "no table of columns"),
    "rows elsewhere have no features": (
        lambda: el.select(Elsewhere(), 2, features="pixels"), "take features raw; got pixels"
    ),
    "rows elsewhere may be no words": (
        lambda: el.duplicates(Elsewhere(), 0.1), "must be numeric rows"
    ),
    "realism without real rows": (
        lambda: el.select(X, 2, weights="realism"), "needs guard=: real rows to compare with"
    ),
    "realism twice": (
        lambda: el.select(X, 2, "guarded", weights="realism", guard=X), "see its `inner`"
    ),
    "a column that is not there": (
        lambda: el.select(X, 2, groups="colour"), "the pool has no column 'colour'"
    ),
    "a dict has no rows": (lambda: taken_from(dict.fromkeys(range(12)), np.arange(2), 12),
                           "rows cannot be taken from a dict"),
    "an iterator has no rows": (lambda: taken_from(iter(X), np.arange(2), 12),
                                "rows cannot be taken from a "),
    "a pool of another length": (lambda: taken_from(X[:5], np.arange(2), 12),
                                 "the pool had 12 rows, this ndarray has 5"),
}  # fmt: skip


@pytest.mark.parametrize("what", REFUSED)
def test_a_refusal_is_one_line_that_says_what_is_wrong(what):
    call, told = REFUSED[what]
    with pytest.raises(el.InputError, match=told) as error:
        call()
    assert "\n" not in str(error.value)


NETWORKS = {
    "one number an image": (lambda x: np.zeros(len(x)), r"must return \(n, d\) for n images"),
    "a row too few": (lambda x: np.zeros((len(x) - 1, 2)), r"it returned \(11, 2\) for 12"),
    "no number": (lambda x: np.full((len(x), 2), np.nan), "12 rows came out NaN or infinite"),
}


@pytest.mark.parametrize("what", NETWORKS)
def test_what_a_network_must_return_is_told(what, monkeypatch):
    network, told = NETWORKS[what]
    monkeypatch.setenv("ENTROLOOP_CACHE_MB", "0")
    with pytest.raises(el.InputError, match=told):
        Extractor("mine", "mine", network=network, batch=12)(np.zeros((12, 2, 2, 1), np.uint8))


IMAGES = {
    "decimals": (np.zeros((4, 4)), "an image must be uint8"),
    "two channels": (np.zeros((4, 4, 2), np.uint8), r"got uint8 of shape \(4, 4, 2\)"),
    "32 bits": (Image.new("I", (4, 4)), "mode I has no value range that maps to 0..255"),
    "of decimals": (Image.new("F", (4, 4)), "mode F has no value range"),
}


@pytest.mark.parametrize("what", IMAGES)
def test_what_is_no_image_of_bytes_is_told(what):
    content, told = IMAGES[what]
    with pytest.raises(ValueError, match=told):
        decode(content)


FOLDERS = {
    "a file": (None, {}, "is a file, not a folder"),
    "another format": ("study.json", {"format": FORMAT + 1}, f"in format {FORMAT + 1}, not"),
    "other data": ("study.json", {"real": "other"}, "on other real data"),
    "another study": ("study.json", {"study": "other"}, "holds the study 'other', not 'mine'"),
    "something else": ("notes.txt", {}, "holds something else than a study"),
}


@pytest.mark.parametrize("what", FOLDERS)
def test_a_folder_that_is_not_this_studys_is_left_as_it_is(what, tmp_path):
    name, changes, told = FOLDERS[what]
    root = tmp_path / "out"
    text = json.dumps({"study": "mine", "real": "mine", "format": FORMAT} | changes)
    if name is None:
        root.write_text(text)
    else:
        root.mkdir()
        (root / name).write_text(text)
    with pytest.raises(el.InputError, match=told):
        Store(root).open("mine", "mine")
    assert (root if name is None else root / name).read_text() == text
    assert not root.is_dir() or [p.name for p in root.iterdir()] == [name]


def test_a_stage_is_never_looked_for_elsewhere(tmp_path):
    with pytest.raises(el.InputError, match="names no stage"):
        Store(tmp_path).path("..", "..")


CALLS = {
    "no rank": (("run", "digits", "--ranks", 0), "--ranks must be at least 1; got 0"),
    "ranks without Ray": (("run", "digits", "--ranks", 2), "add --engine ray"),
    "figures of a bucket": (("figures", "s3://bucket/study"), "give --out: figures of a study"),
}


@pytest.mark.parametrize("what", CALLS)
def test_options_that_do_not_fit_end_with_2_before_anything_is_made(what, entroloop_here, tmp_path):
    call, told = CALLS[what]
    answer = entroloop_here(*call)
    assert answer.returncode == 2
    assert told in answer.stderr
    assert not list(tmp_path.iterdir())


ARRAYS = {
    "images of numbers with a point": (X.reshape(3, 2, 2, 3), {}, "images are uint8 in 0..255"),
    "a shape that does not hold a row": (X, {"image_shape": (2, 2)}, "does not hold the 3 values"),
    "labels with a point": (X, {"labels": "labels.npy"}, "must be 12 whole numbers"),
}


@pytest.mark.parametrize("what", ARRAYS)
def test_a_study_of_arrays_says_what_does_not_fit(what, tmp_path, monkeypatch):
    rows, options, told = ARRAYS[what]
    monkeypatch.chdir(tmp_path)
    np.save("x.npy", rows)
    np.save("labels.npy", np.full(12, 0.5))
    with pytest.raises(el.InputError, match=told):
        Arrays(n_train=2, n_reference=2, path="x.npy", **options).load()


def test_whole_numbers_of_a_study_become_float32(tmp_path):
    np.save(tmp_path / "x.npy", np.arange(12).reshape(6, 2))
    found = Arrays(n_train=2, n_reference=2, path=str(tmp_path / "x.npy")).load()
    assert found.data.dtype == np.float32
    assert found.data.tolist() == [[2 * i, 2 * i + 1] for i in range(6)]


@pytest.mark.parametrize("bound", ["-1", "inf", "much"])
def test_a_cache_takes_a_number_of_megabytes(bound, monkeypatch):
    monkeypatch.setenv("ENTROLOOP_CACHE_MB", bound)
    with pytest.raises(el.InputError, match=f"a number of megabytes ≥ 0; it is '{bound}'"):
        examine_cache()


class Own:
    """A data set with a length, of no library."""

    def __len__(self):
        return 12

    def __getitem__(self, i):
        return f"row {i}"


KINDS = {
    "list": (list(range(12)), [7, 3]),
    "tuple": (tuple(range(12)), (7, 3)),
    "own": (Own(), ["row 7", "row 3"]),
}


@pytest.mark.parametrize("kind", KINDS)
def test_chosen_rows_are_of_the_kind_of_their_source(kind):
    source, wanted = KINDS[kind]
    assert taken_from(source, np.array([7, 3]), 12) == wanted


def test_chosen_rows_of_tensors_are_tensors_and_of_data_sets_subsets():
    x = torch.arange(12.0)
    assert taken_from(x, np.array([7, 3]), 12).tolist() == [7, 3]
    subset = taken_from(torch.utils.data.TensorDataset(x), np.array([7, 3]), 12)
    assert [row.item() for (row,) in subset] == [7, 3]
