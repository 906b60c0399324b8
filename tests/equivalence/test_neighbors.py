"""Nearest neighbours and rows within radii, against brute force and scikit-learn."""

import tracemalloc

import numpy as np
import pytest

import entroloop as el
from entroloop.distances import neighbors, within
from entroloop.distances.neighbors import distinct_rows, nearest
from entroloop.distances.within import count_within, pairs_within
from entroloop.system import compiled

KINDS = ["plain", "lattice", "offset", "far clusters", "uint8", "tiny"]


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


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("k", [1, 5])
@pytest.mark.parametrize("same", [True, False])
def test_neighbours_are_the_true_ones_ties_by_lowest_index(kind, k, same, rng):
    q, r = pair(kind, rng)
    if same:
        q = r
    found, (distances, order) = nearest(q, r, k, exclude_same_index=same), brute(q, r, k, same)
    assert np.array_equal(found.indices, order)
    assert np.array_equal(found.distances, distances)


@pytest.mark.parametrize("kind", ["plain", "far clusters"])
def test_neighbours_are_found_a_few_queries_at_a_time(kind, rng, monkeypatch):
    q, r = pair(kind, rng)
    monkeypatch.setattr(neighbors, "TILE_BYTES", 4 * len(r) * 16)  # in float64 eight at a time
    found, (distances, order) = nearest(q, r, 3), brute(q, r, 3, exclude=False)
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


@pytest.mark.parametrize("chunk", [4 * 3 * 11, 1])  # of 11 rows, or of one more than neighbours
@pytest.mark.parametrize("k", [1, 7])
@pytest.mark.parametrize("same", [True, False])
def test_rows_searched_in_chunks_give_the_same_neighbours(
    chunk, k, same, rng, monkeypatch, tmp_path
):
    q, r = pair("lattice", rng)
    q = r if same else q
    whole = nearest(q, r, k, exclude_same_index=same)
    np.save(tmp_path / "r.npy", r)
    monkeypatch.setattr(neighbors, "CHUNK_BYTES", chunk)
    chunked = nearest(q, np.load(tmp_path / "r.npy", mmap_mode="r"), k, exclude_same_index=same)
    assert np.array_equal(chunked.indices, whole.indices)
    assert np.array_equal(chunked.distances, whole.distances)


def test_few_rows_are_gathered_at_a_time(rng, monkeypatch):
    x = rng.standard_normal((600, 600))
    monkeypatch.setattr(compiled, "loaded", lambda _: None)
    monkeypatch.setattr(compiled, "pays", lambda *_, **__: False)
    tracemalloc.start()
    nearest(x, x, 20, exclude_same_index=True)
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert most < 8 * x.nbytes


@pytest.mark.parametrize("kind", ["plain", "lattice", "offset", "far clusters"])
@pytest.mark.parametrize("same", [True, False])
def test_the_path_of_a_gpu_gives_the_same_neighbours(kind, same, rng, monkeypatch):
    q, r = pair(kind, rng)
    q = r if same else q
    expected = nearest(q, r, 4, exclude_same_index=same)
    monkeypatch.setattr(neighbors, "device_for", lambda device: "torch cpu")
    found = nearest(q, r, 4, exclude_same_index=same, device="cuda")
    assert np.array_equal(found.indices, expected.indices)
    assert np.array_equal(found.distances, expected.distances)


def test_the_path_of_a_gpu_leaves_out_a_rows_own_index_chunk_by_chunk(rng, monkeypatch):
    x = rng.standard_normal((60, 3))
    expected = nearest(x, x, 4, exclude_same_index=True)
    monkeypatch.setattr(neighbors, "device_for", lambda device: "torch cpu")
    monkeypatch.setattr(neighbors, "CHUNK_BYTES", 4 * 3 * 20)
    found = nearest(x, x, 4, exclude_same_index=True, device="cuda")
    assert np.array_equal(found.indices, expected.indices)


@pytest.mark.gpu
def test_a_gpu_finds_the_same_neighbours(rng):
    q, r = pair("plain", rng)
    assert np.array_equal(nearest(q, r, 4, device="cuda").indices, nearest(q, r, 4).indices)


def test_faiss_finds_the_same_neighbours(rng):
    faiss = pytest.importorskip("faiss")
    x, y = (rng.standard_normal((n, 32)).astype(np.float32) for n in (200, 400))
    index = faiss.IndexFlatL2(32)
    index.add(y)
    squares, where = index.search(x, 5)
    found = nearest(x, y, 5)
    assert np.array_equal(found.indices, where)
    assert np.allclose(found.distances, np.sqrt(squares), rtol=1e-4)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("crowded", [-1, neighbors.SHORTLIST], ids=["float64", "float32 first"])
def test_rows_within_a_radius_are_those_by_the_definition(kind, crowded, rng, monkeypatch):
    monkeypatch.setattr(within, "SHORTLIST", crowded)
    q, r = pair(kind, rng)
    q[:10] = r[:10]
    distances = brute(q, r, len(r), exclude=False)
    every = np.take_along_axis(distances[0], np.argsort(distances[1], axis=1), axis=1)
    # Radii of 0, radii that are distances themselves, and one that no distance reaches.
    radii = np.where(
        rng.random(len(r)) < 0.3, 0.0, every[rng.integers(0, 60, len(r)), range(len(r))]
    )
    radii[0] = np.inf
    expected = every <= radii
    assert np.array_equal(count_within(q, r, radii), expected.sum(axis=1))
    found = pairs_within(q, r, radii, int(expected.sum()))
    assert np.array_equal(np.stack([found.queries, found.rows]), np.nonzero(expected))
    assert np.array_equal(found.distances, every[expected])
    assert pairs_within(q, r, radii, int(expected.sum()) - 1) is None


def test_parts_of_the_queries_are_counted_and_listed_in_order(rng, monkeypatch):
    q, r = pair("plain", rng)
    radii = np.full(len(r), 4.0)
    counts, pairs = count_within(q, r, radii), pairs_within(q, r, radii, q.size * len(r))
    monkeypatch.setattr(within, "TILE_BYTES", 4 * len(r) * 7)  # seven queries at once
    assert np.array_equal(count_within(q, r, radii), counts)
    again = pairs_within(q, r, radii, q.size * len(r))
    for name in ("queries", "rows", "distances"):
        assert np.array_equal(getattr(again, name), getattr(pairs, name))


@pytest.mark.parametrize("k", [0, 6])
def test_more_neighbours_than_rows_are_refused(k, rng):
    with pytest.raises(el.InputError, match="1 … 5"):
        nearest(rng.random((3, 2)), rng.random((5, 2)), k)
