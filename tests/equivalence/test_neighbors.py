"""Nearest neighbours against brute force and scikit-learn."""

import numpy as np
import pytest

from entroloop.neighbors import distinct_rows, nearest


def brute(queries, rows, k, exclude):
    d = np.stack([((rows.astype(np.float64) - q.astype(np.float64)) ** 2).sum(1) for q in queries])
    if exclude:
        np.fill_diagonal(d, np.inf)
    order = np.argsort(d, axis=1, kind="stable")[:, :k]
    return np.sqrt(np.take_along_axis(d, order, axis=1)), order


def pair(kind, rng):
    q, r = rng.standard_normal((60, 12)), rng.standard_normal((150, 12))
    if kind == "lattice":
        q, r = rng.integers(0, 3, (60, 3)) * 0.1, rng.integers(0, 3, (150, 3)) * 0.1
    elif kind == "offset":
        q, r = (q * 1e-4 + 1e3).astype(np.float32), (r * 1e-4 + 1e3).astype(np.float32)
    elif kind == "far clusters":
        q[::2] += 1e6
        r[::2] += 1e6
    elif kind == "uint8":
        q, r = rng.integers(0, 9, (60, 5), np.uint8), rng.integers(0, 9, (150, 5), np.uint8)
    elif kind == "tiny":
        q, r = q * 1e-25, r * 1e-25
    return q, r


@pytest.mark.parametrize("kind", ["plain", "lattice", "offset", "far clusters", "uint8", "tiny"])
@pytest.mark.parametrize("k", [1, 5])
@pytest.mark.parametrize("same", [True, False])
def test_neighbours_are_the_true_ones_ties_by_lowest_index(kind, k, same, rng):
    q, r = pair(kind, rng)
    if same:
        q = r
    found, (distances, order) = nearest(q, r, k, exclude_same_index=same), brute(q, r, k, same)
    assert np.array_equal(found.indices, order)
    assert np.array_equal(found.distances, distances)


def test_a_distance_of_1e_4_at_d_384_and_an_offset_is_never_0(rng):
    x = (rng.standard_normal((300, 384)) + 100).astype(np.float32)
    step = (1e-4 / np.sqrt(384) * rng.choice([-1, 1], x.shape)).astype(np.float32)
    y = x + step
    moved = np.flatnonzero((y != x).any(axis=1))
    exact = np.linalg.norm(y[moved].astype(np.float64) - x[moved], axis=1)
    found = nearest(y[moved], x).distances[:, 0]
    assert np.allclose(found, exact, rtol=1e-6, atol=0)
    assert (found > 0).all()


def test_scikit_learn_finds_the_same_neighbours(rng):
    from sklearn.neighbors import NearestNeighbors

    x = rng.standard_normal((500, 20))
    distances, _ = NearestNeighbors(n_neighbors=4, algorithm="brute").fit(x).kneighbors(x)
    assert np.allclose(nearest(x, x, 3, exclude_same_index=True).distances, distances[:, 1:])


def test_distinct_rows_keep_the_first_copy_in_order():
    x = np.array([[2.0], [1.0], [2.0], [0.0], [-0.0]])
    first, inverse = distinct_rows(x)
    assert first.tolist() == [0, 1, 3]
    assert inverse.tolist() == [0, 1, 0, 2, 2]
