"""How many rows a choice takes, and what it tells of itself afterwards."""

import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from scipy.spatial.distance import cdist

import entroloop as el
from cut_pools import Cuts
from entroloop.distances.spaces import Euclidean
from entroloop.selection import stopping
from entroloop.selection.stopping import knee_of, number_of
from entroloop.selection.taking import taken_from

METRICS = {"euclidean": "euclidean", "manhattan": "cityblock"}
lattice = arrays(
    np.float64, array_shapes(min_dims=2, max_dims=2, min_side=2, max_side=14),
    elements=st.integers(0, 3).map(float),
)  # fmt: skip


@pytest.mark.parametrize(
    ("n", "allowed", "expected"),
    [("10%", 1000, 100), ("10%", 5, 1), ("0.1%", 10_001, 11), ("100%", 7, 7), ("33.3 %", 10, 4),
     (3, 9, 3)],
)  # fmt: skip
def test_a_share_of_the_candidates_is_rounded_up(n, allowed, expected):
    assert number_of(n, allowed) == expected


@pytest.mark.parametrize("n", [0.1, "0%", "101%", "ten", "-5%", "1e3%", True, None, 0, 13])
def test_other_numbers_are_refused_in_one_line(n):
    with pytest.raises(el.InputError, match=r"^[^\n]*\bn\b[^\n]*$"):
        el.select(np.arange(24.0).reshape(12, 2), n)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"min_distance": 0}, "above 0"),
        ({"min_distance": np.inf}, "above 0"),
        ({"min_distance": "far"}, "above 0"),
        ({"until": "coverage=0.9"}, "needs min_distance"),
        ({"until": "coverage=1.1", "min_distance": 1.0}, r"in \(0, 1\]"),
        ({"until": "coverage=0", "min_distance": 1.0}, r"in \(0, 1\]"),
        ({"until": "elbow"}, "'knee'"),
        ({"until": "knee", "strategy": "random"}, "got strategy random"),
        ({"until": "knee", "groups": [0] * 12}, "got groups, which fix"),
        ({"min_distance": 99.0, "initial": [0]}, "none to choose"),
    ],
)
def test_what_does_not_tell_when_to_stop_is_refused(arguments, message):
    with pytest.raises(el.InputError, match=message):
        el.select(np.arange(24.0).reshape(12, 2), **arguments)


def covered_by(x, picks, radius, metric="euclidean"):
    """Return the share of rows nearer than a radius to the first 1, 2, … picks."""
    nearest = np.minimum.accumulate(cdist(x, x[picks], METRICS[metric]), axis=1)
    return (nearest < radius).mean(axis=0)


@given(x=lattice, data=st.data())
@settings(max_examples=80, deadline=None)
def test_stopping_keeps_the_first_picks_of_greedy_and_no_others(x, data):
    radius = data.draw(st.sampled_from([0.5, 1.0, 1.5, 2.0, 3.0]))
    share = data.draw(st.sampled_from(["0.5", "0.9", "1"]))
    engine = data.draw(st.sampled_from([None, Cuts(2, 5)]))
    whole = el.select(x, len(x), first=0)
    far = el.select(x, min_distance=radius, first=0, engine=engine)
    k = int((whole.radii >= radius).sum())
    assert far.indices.tolist() == whole.indices[:k].tolist()
    assert far.stopped_by == ("n" if k == len(x) else "min_distance")
    covered = el.select(x, min_distance=radius, until=f"coverage={share}", first=0, engine=engine)
    shares = covered_by(x, whole.indices, radius)
    assert len(covered) == 1 + int((shares >= float(share)).argmax())
    assert covered.indices.tolist() == whole.indices[: len(covered)].tolist()


@pytest.mark.parametrize("metric", METRICS)
def test_coverage_is_decided_pick_by_pick_within_a_block(metric, rng):
    x = rng.standard_normal((1500, 8))
    whole = el.select(x, 300, first=0, metric=metric)
    radius = float(whole.radii[150])
    for share in (0.2, 0.75, 0.97):
        found = el.select(x, min_distance=radius, until=f"coverage={share}", first=0, metric=metric)
        expected = covered_by(x, whole.indices, radius, metric)
        assert len(found) == 1 + int((expected >= share).argmax())
        assert found.stopped_by == "coverage"


def test_no_more_distances_are_held_at_once_than_a_tile_holds(rng, monkeypatch):
    x, held, tile = rng.standard_normal((3000, 3)), [], Euclidean.tile
    expected = el.select(x, 400, min_distance=0.2, until="coverage=0.9").indices

    def noted(self, rows, sizes, picks):
        held.append(len(rows) * len(picks))
        return tile(self, rows, sizes, picks)

    monkeypatch.setattr(stopping, "TILE_VALUES", 5000)
    monkeypatch.setattr(Euclidean, "tile", noted)
    found = el.select(x, 400, min_distance=0.2, until="coverage=0.9").indices
    assert np.array_equal(found, expected)
    assert max(held) <= 5000 + 400  # parts differ by a row


def test_one_row_alone_is_assigned_to_itself():
    found = el.select(np.ones((1, 3)), 1).assignment
    assert (found.pick.tolist(), found.weight.tolist()) == ([0], [1])


def test_a_stopped_selection_with_a_checkpoint_stops_at_the_same_pick(rng, tmp_path):
    x = rng.standard_normal((3000, 6))
    asked = {"min_distance": 1.6, "until": "coverage=0.9", "first": 0}
    whole = el.select(x, **asked)

    class StopError(Exception):
        pass

    def stop(made, wanted):
        if made > len(whole) // 2:
            raise StopError

    with pytest.raises(StopError):
        el.select(x, **asked, checkpoint=tmp_path / "c", progress=stop)
    for _ in range(2):  # goes on, then finds itself finished
        again = el.select(x, **asked, checkpoint=tmp_path / "c")
        assert again.indices.tolist() == whole.indices.tolist()
        assert again.stopped_by == "coverage"


def test_the_knee_of_a_reciprocal_curve_lies_at_the_square_root():
    n = 401  # minimizes (k − 1)/(n − 1) + (1/k − 1/n)/(1 − 1/n), whose derivative is 0 at k² = n
    assert knee_of(1 / np.arange(1.0, n)) == 20
    assert knee_of(np.concatenate([[np.inf], 1 / np.arange(1.0, n)])) == 21


def test_three_radii_have_a_knee_and_two_are_kept_whole():
    assert knee_of(np.array([8.0, 1.0, 0.5])) == 2
    assert knee_of(np.array([np.inf, 8.0, 1.0, 0.5])) == 3
    assert knee_of(np.array([8.0, 0.5])) == 2
    assert knee_of(np.array([np.inf, 8.0, 0.5])) == 3


def test_the_knee_is_the_one_of_the_library_kneed():
    kneed = pytest.importorskip("kneed")
    curves = [np.arange(1.0, 300) ** -power for power in (0.5, 1.0, 2.0)]
    curves += [y + 4 for y in curves]  # that end far above 0
    for y in curves:
        found = kneed.KneeLocator(
            np.arange(1, 300), y, curve="convex", direction="decreasing", S=0
        ).knee
        assert knee_of(y) == found


def test_the_knee_lies_farthest_below_the_chord_also_where_a_curve_begins_level():
    curve = 4 + np.minimum(1 / np.arange(1.0, 90), 0.5)
    chord = np.linspace(curve[0], curve[-1], len(curve))
    assert knee_of(curve) == 1 + (chord - curve).argmax() > 2
    assert knee_of(curve[:2]) == 2  # no knee
    assert knee_of(np.full(7, 3.0)) == 7


@pytest.mark.parametrize("engine", [None, Cuts(40, 100)])
def test_until_knee_keeps_the_first_picks_and_describes_these_alone(engine, rng):
    x = np.concatenate([rng.standard_normal((150, 5)), 30 * rng.standard_normal((12, 5))])
    whole = el.select(x, 120, first=0)
    found = el.select(x, 120, until="knee", first=0, engine=engine)
    k = knee_of(whole.radii)
    assert k < 120
    assert found.stopped_by == "knee"
    assert found.indices.tolist() == whole.indices[:k].tolist()
    assert found.coverage_radius == el.select(x, k, first=0).coverage_radius
    assert np.array_equal(found.curve.radius, whole.radii)


def test_two_picks_have_an_entropy_and_one_has_none(rng):
    x = rng.standard_normal((30, 3))
    found = el.select(x, 2)
    assert found.entropy == el.knn_entropy(x[found.indices])
    assert found.entropy_random is not None
    assert el.select(x, 1).entropy is None


def test_the_curve_ends_with_the_entropy_of_the_choice_and_its_null(rng):
    found = el.select(rng.standard_normal((200, 3)), 50)
    curve = found.curve
    assert curve.n.tolist() == [2, 4, 7, 13, 25, 50]
    assert curve.entropy[-1] == found.entropy.nats
    assert curve.entropy_random[-1] == found.entropy_random.nats
    assert curve.entropy[2] == el.knn_entropy(found.context.rows[found.indices[:7]]).nats
    assert curve.to_dict()["radius"] == found.radii[curve.n - 1].tolist()


@given(x=lattice, data=st.data())
@settings(max_examples=80, deadline=None)
def test_every_row_is_assigned_to_its_nearest_pick_the_earliest_of_equals(x, data):
    n = data.draw(st.integers(1, len(x)))
    metric = data.draw(st.sampled_from(list(METRICS)))
    strategy = data.draw(st.sampled_from(["greedy", "random"]))
    engine = data.draw(st.sampled_from([None, Cuts(2, 5)]))
    found = el.select(x, n, strategy, metric=metric, engine=engine, assign=True)
    distances = cdist(x, x[found.indices], METRICS[metric])  # whole numbers: no rounding
    assert found.assignment.pick.tolist() == distances.argmin(axis=1).tolist()
    assert np.array_equal(found.assignment.distance, distances.min(axis=1))
    assert np.array_equal(
        found.assignment.weight, np.bincount(distances.argmin(axis=1), minlength=n)
    )


@pytest.mark.parametrize("metric", ["euclidean", "cosine", "manhattan", "mahalanobis"])
def test_the_assignment_covers_the_whole_pool_whatever_was_initial_or_weighted(metric, rng):
    x = (rng.standard_normal((3000, 12)) + 3).astype(np.float32)
    asked = {
        "metric": metric, "initial": x[:4] + 1, "candidates": np.arange(2000),
        "weights": rng.uniform(0.5, 2, 3000),
    }  # fmt: skip
    here = el.select(x, 60, **asked)
    there = el.select(x, 60, **asked, engine=Cuts(700, 2500), assign=True)
    rows = here.context.rows.astype(np.float64)
    distances = cdist(rows, rows[here.indices], METRICS.get(metric, "euclidean"))
    for found in (here.assignment, there.assignment):
        assert (found.pick == distances.argmin(axis=1)).mean() > 0.999  # cdist rounds otherwise
        assert np.allclose(found.distance, distances.min(axis=1), rtol=1e-9)
        assert found.weight.sum() == 3000
    assert np.array_equal(here.assignment.pick, there.assignment.pick)


def test_a_pool_in_other_processes_must_be_assigned_while_it_is_there(rng):
    found = el.select(rng.standard_normal((50, 3)), 5, engine=Cuts(20))
    with pytest.raises(el.InputError, match="assign=True"):
        found.assignment  # noqa: B018


def sources(x):
    """Return what a pool of these rows can have come from."""
    import datasets
    import pandas as pd
    import pyarrow as pa
    import torch

    rows = x.tolist()
    return {
        "array": x,
        "list": rows,
        "tuple": tuple(rows),
        "pandas": pd.DataFrame(x),
        "arrow": pa.table({"v": rows}),
        "tensor": torch.from_numpy(x),
        "torch dataset": torch.utils.data.TensorDataset(torch.from_numpy(x)),
        "datasets": datasets.Dataset.from_dict({"v": rows}),
    }


def rows_again(taken):
    """Return rows as an array, from any of the sources."""
    kind = type(taken).__module__.split(".")[0]
    if kind == "pyarrow" or kind == "polars":
        return np.array(taken.to_pydict()["v"] if kind == "pyarrow" else taken["v"].to_list())
    if kind == "datasets":
        return np.array(taken["v"][:])
    if type(taken).__name__ == "Subset":
        return np.stack([row.numpy() for (row,) in taken])
    return np.asarray(taken)


def test_the_chosen_rows_are_taken_of_anything_that_the_pool_came_from(rng):
    x = rng.integers(0, 99, (30, 3)).astype(np.float64)
    found = el.select(x, 8)
    for name, source in sources(x).items():
        taken = found.of(source)
        assert np.array_equal(rows_again(taken), x[found.indices]), name
        expected = "Subset" if name == "torch dataset" else type(source).__name__
        assert type(taken).__name__ == expected


def test_the_chosen_rows_are_taken_of_a_polars_table(rng):
    polars = pytest.importorskip("polars")
    x = rng.integers(0, 99, (30, 3)).astype(np.float64)
    found = el.select(x, 8)
    taken = found.of(polars.DataFrame({"v": x.tolist()}))
    assert np.array_equal(rows_again(taken), x[found.indices])


def test_datasets_selects_by_a_selection(rng):
    x = rng.standard_normal((30, 3))
    found = el.select(x, 8)
    assert np.allclose(rows_again(sources(x)["datasets"].select(found)), x[found.indices])


@pytest.mark.parametrize("source", [range(3), {1: 2}, "text" * 20, 7, iter([1])])
def test_a_source_without_the_pools_rows_is_refused(source, rng):
    found = el.select(rng.standard_normal((30, 3)), 8)
    with pytest.raises(el.InputError, match=r"the pool had 30 rows|rows cannot be taken"):
        found.of(source)


def test_sparse_rows_are_taken_too(rng):
    from scipy.sparse import csr_array

    x = np.eye(30)
    found = el.select(rng.standard_normal((30, 3)), 8)
    assert np.array_equal(found.of(csr_array(x)).toarray(), x[found.indices])


def test_a_selection_is_a_sequence_of_indices_and_a_table(rng, tmp_path):
    x = rng.standard_normal((40, 3))
    found = el.select(x, 6, groups=["<b>", "b"] * 20, quota="equal")
    assert list(found) == found.indices.tolist()
    assert len(found) == 6
    assert found[-1] == found.indices[-1]
    assert np.array_equal(x[found], x[found.indices])
    assert list(found.to_pandas()) == ["index", "rank", "radius", "group"]
    assert found.assignment.weight.sum() == 40
    assert found.to_pandas()["weight"].sum() == 40
    assert "<td>40 rows</td>" in found._repr_html_()
    found.save(tmp_path / "s.parquet")
    loaded = el.Selection.load(tmp_path / "s.parquet")
    assert np.array_equal(loaded.of(x), x[found.indices])
    with pytest.raises(el.InputError, match="the pool had at least"):
        loaded.of(x[:2])
    assert list(loaded.to_pandas()) == ["index", "rank", "radius"]
    elsewhere = el.select(x, 6, engine=Cuts(15), assign=True)
    assert elsewhere.to_pandas()["weight"].sum() == 40


def test_plot_draws_radius_and_entropy_over_the_number_of_picks(rng, monkeypatch):
    found = el.select(rng.standard_normal((40, 3)), 20)
    with monkeypatch.context() as without:
        without.setitem(sys.modules, "matplotlib.pyplot", None)
        with pytest.raises(el.InputError, match="pip install matplotlib"):
            found.plot()
    matplotlib = pytest.importorskip("matplotlib")
    matplotlib.use("Agg")
    radius, entropy = found.plot()
    assert np.array_equal(radius.lines[0].get_ydata(), found.radii)
    assert entropy.lines[0].get_ydata()[-1] == found.entropy.nats


def test_the_snippet_of_the_page_on_selecting_runs(tmp_path, monkeypatch):
    pytest.importorskip("matplotlib").use("Agg")
    monkeypatch.chdir(tmp_path)
    page = (Path(__file__).parents[1] / "docs/selecting.md").read_text()
    names = {}
    exec(page.split("```python\n")[1].split("```")[0], names)
    assert len(names["chosen"]) == 180
    assert names["weights"].sum() == 1797
    assert (tmp_path / "selection.parquet").exists()


def test_rows_are_taken_by_number_where_the_length_of_the_pool_is_not_known():
    source = np.arange(10)
    assert taken_from(source, np.array([9, 0]), None).tolist() == [9, 0]
    with pytest.raises(el.InputError, match=r"at least 11 rows, this ndarray has 10"):
        taken_from(source, np.array([0, 10]), None)
    assert taken_from(source, np.array([], dtype=np.int64), 10).tolist() == []


def test_the_curve_halves_the_number_of_picks_down_to_2_or_3(rng):
    x = rng.standard_normal((40, 2))
    for n, expected in ((2, [2]), (3, [3]), (4, [2, 4]), (6, [3, 6]), (9, [3, 5, 9])):
        assert el.select(x, n).curve.n.tolist() == expected


def test_rows_of_a_gpu_are_taken_by_a_list_and_others_by_an_array():
    class Rows:
        shape = (4, 1)

        def __len__(self):
            return 4

        def __getitem__(self, index):
            return type(index)

    class Held(Rows):  # CuPy takes no index from NumPy
        __module__ = "cupy"

    index = np.array([3, 1])
    assert taken_from(Rows(), index, 4) is np.ndarray
    assert taken_from(Held(), index, 4) is list
