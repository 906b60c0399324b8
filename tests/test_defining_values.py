"""Defining values are NumPy's own sums along a row to the last bit, with compiled loops or not."""

from importlib import import_module, util

import numpy as np
import pytest

from entroloop.distances import spaces
from entroloop.distances.multipliers import NumpyMultiplier
from entroloop.distances.spaces import Euclidean, Manhattan, exact_pairs

WIDTHS = [1, 2, 6, 7, 8, 9, 127, 128, 129, 136, 255, 256, 257, 384, 1_000, 3_073, 9_001]
numba_needed = pytest.mark.skipif(
    util.find_spec("numba") is None, reason="entroloop[fast] is not installed"
)


@pytest.fixture(params=[False, pytest.param(True, marks=numba_needed)], ids=["numpy", "compiled"])
def loops(request, monkeypatch):
    """NumPy's sums, or those of compiled loops."""
    found = import_module(spaces.DEFINING_KERNELS) if request.param else None
    monkeypatch.setattr(spaces.compiled, "loaded", lambda module: found)


@pytest.mark.parametrize("d", WIDTHS)
@pytest.mark.parametrize("dtype", ["float32", "float64", "uint8"])
def test_a_value_is_numpys_own_sum_along_a_row_to_the_last_bit(d, dtype, rng, loops):
    a, b = rng.normal(size=(2, 2_000_000 // max(d, 2_000), d)) * 10.0 ** rng.integers(-6, 6, d)
    a, b = (np.abs(x).clip(0, 255).astype(dtype) if dtype == "uint8" else x.astype(dtype)
            for x in (a, b))  # fmt: skip
    wide = a.astype(np.float64), b.astype(np.float64)
    i, j = rng.integers(0, len(a), (2, 700))
    for space, of in (
        (Euclidean(np.zeros(d), 1.0, NumpyMultiplier()), np.square),
        (Manhattan(np.zeros(d), 1.0), np.abs),
    ):
        np.testing.assert_array_equal(space.exact(a, b), of(wide[0] - wide[1]).sum(axis=1))
        np.testing.assert_array_equal(space.exact(a, b[3]), of(wide[0] - wide[1][3]).sum(axis=1))
        expected = of(wide[0][i] - wide[1][j]).sum(axis=1)
        np.testing.assert_array_equal(exact_pairs(space, a, i, b, j), expected)


def test_a_value_does_not_depend_on_how_rows_lie_in_memory(rng, loops):
    a, b = rng.normal(size=(2, 500, 300))
    space = Euclidean(np.zeros(300), 1.0, NumpyMultiplier())
    expected = space.exact(a, b)
    fixed = a.copy()
    fixed.flags.writeable = False
    turned = np.asfortranarray(a)
    every_other = np.repeat(a, 2, axis=1)[:, ::2]
    for rows in (fixed, turned, every_other, a.astype(">f8")):
        np.testing.assert_array_equal(space.exact(rows, b), expected)
        np.testing.assert_array_equal(space.exact(b, rows), expected)
    backwards = np.arange(500)[::-1]
    np.testing.assert_array_equal(
        exact_pairs(space, a, backwards, b, backwards), expected[backwards]
    )
