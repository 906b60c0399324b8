import io
import pickle
import zipfile

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import entroloop as el
from entroloop.data import split_order
from entroloop.data.arrays import Arrays
from entroloop.data.digits import Digits


def test_digits_are_the_1797_real_ones_scaled_to_minus_1_to_1():
    real = Digits(n_train=2, n_reference=2).load()
    assert real.data.shape == (1797, 64)
    assert real.data.dtype == np.float32
    assert (real.data.min(), real.data.max()) == (-1, 1)
    assert np.bincount(real.labels).min() > 170


@given(st.integers(1, 300), st.integers(1, 8), st.integers(0, 5))
def test_every_stretch_of_the_split_is_stratified(n, classes, seed):
    labels = np.random.default_rng(n).integers(0, classes, n)
    order = split_order(n, labels, seed)
    assert sorted(order.tolist()) == list(range(n))
    for stop in (n // 3, n // 2):
        counts = np.bincount(labels[order[:stop]], minlength=classes)
        expected = np.bincount(labels, minlength=classes) * stop / n
        assert np.abs(counts - expected).max() <= classes


def test_a_larger_training_set_extends_a_smaller_one():
    order = split_order(100, None, 0)
    assert not np.array_equal(order, split_order(100, None, 1))
    assert np.array_equal(order, split_order(100, None, 0))


@pytest.mark.parametrize("suffix", ["npy", "npz"])
def test_arrays_are_read_from_npy_and_npz(tmp_path, suffix, rng):
    x = rng.standard_normal((20, 3)).astype(np.float32)
    path = tmp_path / f"x.{suffix}"
    np.save(path, x) if suffix == "npy" else np.savez(path, x=x, y=np.arange(20))
    labels = "y" if suffix == "npz" else None
    real = Arrays(path=str(path), n_train=5, n_reference=5, labels=labels).load()
    assert np.array_equal(real.data, x)
    assert real.labels is None if labels is None else np.array_equal(real.labels, np.arange(20))


def test_grey_images_without_a_channel_axis_get_one(tmp_path):
    np.save(tmp_path / "x.npy", np.zeros((6, 4, 4), np.uint8))
    real = Arrays(path=str(tmp_path / "x.npy"), n_train=2, n_reference=2).load()
    assert real.data.shape == (6, 4, 4, 1)


class Bomb:
    def __reduce__(self):
        return (print, ("unpickled!",))


def broken_files():
    yield "pickle.npy", pickle.dumps(Bomb()), "pickled Python objects"
    buffer = io.BytesIO()
    np.save(buffer, np.array([Bomb(), Bomb()], dtype=object), allow_pickle=True)
    yield "object.npy", buffer.getvalue(), "pickled Python objects"
    buffer = io.BytesIO()
    np.save(buffer, np.zeros((100, 4)))
    yield "short.npy", buffer.getvalue()[:-300], "not a readable"
    yield "text.npy", b"hello", "not a readable|pickled"
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as z:
        z.writestr("x.npy", pickle.dumps([1]))
    yield "inner.npz", buffer.getvalue(), "pickled|must be numeric|is no array"
    yield "cut.npz", buffer.getvalue()[:40], "not a readable"


# Ids of the names alone: a zip file's bytes hold the time, which differs between two processes.
BROKEN = [pytest.param(*file, id=file[0]) for file in broken_files()]


@pytest.mark.parametrize(("name", "content", "message"), BROKEN)
def test_broken_and_pickled_files_are_refused_and_never_unpickled(
    tmp_path, capsys, name, content, message
):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(el.InputError, match=message):
        Arrays(path=str(tmp_path / name), n_train=2, n_reference=2).load()
    assert "unpickled!" not in capsys.readouterr().out


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (np.array([[1.0, np.nan], [0, 0], [np.inf, 0]]), r"in 2 rows \(rows 0, 2\)"),
        (np.empty((0, 3)), "holds 0 rows"),
        (np.empty((5, 0)), "must be numeric rows"),
        (np.zeros(5), "must be numeric rows"),
        (np.array([["a"]]), "must be numeric rows"),
        (np.zeros((3, 4, 4, 3)), "images are uint8"),
    ],
)
def test_arrays_that_hold_no_rows_are_refused(tmp_path, array, message):
    np.save(tmp_path / "x.npy", array)
    with pytest.raises(el.InputError, match=message):
        Arrays(path=str(tmp_path / "x.npy"), n_train=2, n_reference=2).load()


def test_an_npz_of_several_arrays_needs_a_key(tmp_path):
    np.savez(tmp_path / "x.npz", a=np.zeros((3, 2)), b=np.zeros((3, 2)))
    with pytest.raises(el.InputError, match="the arrays a, b; name one"):
        Arrays(path=str(tmp_path / "x.npz"), n_train=2, n_reference=2).load()
