"""Near-duplicates: pairs, groups, representatives; the same however a pool is cut or stopped."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

import entroloop as el
from cut_pools import Cuts
from entroloop.cleaning import pair_search

FIELDS = ("first", "second", "distances", "equal")


def same(a, b):
    for name in FIELDS:
        assert np.array_equal(getattr(a, name), getattr(b, name)), name


def pool(rng, n=900):
    """Rows of which some are near another, some equal another, two but for the sign of a 0."""
    x = rng.standard_normal((n, 8)).astype(np.float32)
    x[n // 2 : n // 2 + 60] = x[:60] + 0.01 * rng.standard_normal((60, 8)).astype(np.float32)
    x[n // 2 + 60 : n // 2 + 90] = x[60:90]
    x[-3:] = x[60]
    x[5, 0], x[6] = 0.0, x[5]
    x[6, 0] = -0.0
    return x


def brute(x, threshold):
    """All pairs of distinct rows by the definition, and each copy with the first of its kind."""
    x = x.astype(np.float64) + 0
    first = [min(j for j in range(len(x)) if (x[j] == x[i]).all()) for i in range(len(x))]
    found = {(first[i], i): 0.0 for i in range(len(x)) if first[i] != i}
    own = [i for i in range(len(x)) if first[i] == i]
    for k, i in enumerate(own):
        d = np.sqrt(np.square(x[own[k + 1 :]] - x[i]).sum(axis=1))
        found |= {(i, own[k + 1 + j]): d[j] for j in np.flatnonzero(d <= threshold).tolist()}
    return found


def as_dict(found):
    pairs = zip(found.first.tolist(), found.second.tolist(), strict=True)
    return dict(zip(pairs, found.distances.tolist(), strict=True))


def test_pairs_are_those_of_the_definition_and_copies_have_one(rng):
    x = pool(rng, 300)
    found = el.duplicates(x, 0.9)
    assert as_dict(found) == brute(x, 0.9)
    assert found.equal.sum() == 34
    order = np.lexsort((found.second, found.first))
    assert order.tolist() == list(range(len(order)))


def test_cosine_compares_rows_of_length_1(rng):
    x = pool(rng, 300)
    unit = x.astype(np.float64)
    unit /= np.sqrt(np.square(unit).sum(axis=1))[:, None]
    found = el.duplicates(x * rng.uniform(0.1, 9, (300, 1)), 0.2, metric="cosine")
    mine = el.duplicates(unit, 0.2)
    assert set(as_dict(found)) >= {p for p, d in as_dict(mine).items() if d < 0.2 - 1e-9 and d > 0}
    alike = el.duplicates(np.array([[1.0, 0.0], [0.95, (1 - 0.95**2) ** 0.5], [0.0, 1.0]]), 0.5,
                          metric="cosine")  # fmt: skip
    assert alike.distances == pytest.approx([np.sqrt(2 - 2 * 0.95)])


@given(
    x=arrays(np.float64, array_shapes(min_dims=2, max_dims=2, min_side=2, max_side=14),
             elements=st.integers(0, 2).map(lambda i: i * 0.1)),
    cuts=st.lists(st.integers(0, 14), max_size=3),
    threshold=st.sampled_from([0.0, 0.1, 0.2, 0.3]),
)  # fmt: skip
@settings(max_examples=60, deadline=None)
def test_any_cut_gives_the_same_pairs_on_lattices(x, cuts, threshold):
    alone = el.duplicates(x, threshold)
    assert as_dict(alone) == brute(x, threshold)
    same(el.duplicates(x, threshold, engine=Cuts(*cuts)), alone)


@pytest.mark.parametrize("cuts", [(500,), (1, 400, 880)], ids=len)
def test_cuts_stretches_and_lost_hosts_change_nothing(rng, monkeypatch, tmp_path, cuts):
    x = pool(rng)
    np.save(tmp_path / "x.npy", x)
    alone = el.duplicates(x, 1.0)
    monkeypatch.setattr(pair_search, "SORTED_BYTES", 4 * 8 * 170)
    monkeypatch.setattr(pair_search, "ASKED_ROWS", 90)
    same(el.duplicates(np.load(tmp_path / "x.npy", mmap_mode="r"), 1.0), alone)
    engine = Cuts(*cuts, lose=lambda: rng.choice(["", "after"], p=[0.9, 0.1]))
    same(el.duplicates(x, 1.0, engine=engine), alone)


class StopError(Exception):
    pass


@pytest.mark.parametrize("damage", ["none", "cut", "changed"])
def test_a_stopped_search_goes_on_from_what_it_found(rng, monkeypatch, tmp_path, damage):
    monkeypatch.setattr(pair_search, "ASKED_ROWS", 90)
    x, path = pool(rng), tmp_path / "pairs"
    seen = []

    def stop_at(limit):
        def progress(done, total):
            seen.append(done / total)
            if done > limit * total:
                raise StopError

        return progress

    with pytest.raises(StopError):
        el.duplicates(x, 1.0, checkpoint=path, progress=stop_at(0.5))
    content = bytearray(path.read_bytes())
    if damage == "cut":
        path.write_bytes(content[:-7])
    if damage == "changed":
        content[-100] ^= 1
        path.write_bytes(content)
    seen.clear()
    same(el.duplicates(x, 1.0, checkpoint=path, progress=stop_at(9)), el.duplicates(x, 1.0))
    assert (0.5 if damage == "none" else 0.4) < seen[0] < 0.7  # it did not begin anew
    seen.clear()
    same(el.duplicates(x, 1.0, checkpoint=path, progress=stop_at(9)), el.duplicates(x, 1.0))
    assert seen == [1.0]
    same(el.duplicates(x, 0.9, checkpoint=path), el.duplicates(x, 0.9))  # that of another search


@pytest.mark.parametrize("content", [b"something else", b"", b"entroloop"])
def test_a_file_that_is_no_checkpoint_is_kept(rng, tmp_path, content):
    (tmp_path / "pairs").write_bytes(content)
    if content == b"something else":
        with pytest.raises(el.InputError, match="no checkpoint"):
            el.duplicates(pool(rng, 300), 1.0, checkpoint=tmp_path / "pairs")
        assert (tmp_path / "pairs").read_bytes() == content
    else:  # the beginning of one, cut
        el.duplicates(pool(rng, 300), 1.0, checkpoint=tmp_path / "pairs")


def test_groups_are_connected_components_at_any_smaller_threshold(rng):
    import scipy.sparse.csgraph as csgraph

    x = pool(rng)
    found = el.duplicates(x, 1.2)
    for threshold in (0.0, 0.005, 0.05, 0.9, 1.2):
        groups = found.groups(threshold)
        again = el.duplicates(x, threshold)
        assert np.array_equal(groups.group, again.groups().group)
        assert np.array_equal(groups.rows, again.groups().rows)
        distances = np.sqrt(
            np.square(x[:, None].astype(np.float64) - x[None].astype(np.float64)).sum(axis=2)
        )
        count, label = csgraph.connected_components(distances <= threshold, directed=False)
        assert len(groups.kept) == count
        assert len({label[i] for i in groups.kept}) == count  # one of each
        inside = np.isin(label, np.flatnonzero(np.bincount(label) > 1))
        assert sorted(groups.rows.tolist()) == np.flatnonzero(inside).tolist()
        assert len(np.unique(groups.group)) == len(groups)
        # Neighbours count copies, too, and the representative has the most.
        counts = (distances <= threshold).sum(axis=1) - 1
        assert np.array_equal(groups.neighbours, counts[groups.rows])
        for g in range(len(groups)):
            members = groups.rows[groups.group == g]
            best = members[np.argmax(counts[members])]
            assert groups.rows[(groups.group == g) & groups.representative] == best


def test_the_curve_counts_pairs_and_dropped_rows_at_every_step(rng):
    found = el.duplicates(pool(rng), 1.2)
    curve = found.curve()
    assert len(curve) == 21
    for step in curve:
        assert step["pairs"] == (found.distances <= step["threshold"]).sum()
        assert step["dropped"] == len(found.groups(step["threshold"]).dropped)
    assert curve[0]["dropped"] == 34
    assert el.duplicates(np.eye(4), 0.1).curve()[-1]["dropped"] == 0


@pytest.mark.parametrize("threshold", ["a", None, True, -1, float("nan")])
def test_a_threshold_that_is_no_distance_is_refused(threshold):
    with pytest.raises(el.InputError, match="must be a distance"):
        el.duplicates(np.eye(3), threshold)


def test_preferred_rows_represent_their_groups():
    x = np.array([[0.0], [0.1], [0.2], [9.0], [9.1]])
    found = el.duplicates(x, 0.15)
    assert found.groups().kept.tolist() == [1, 3]
    assert found.groups(prefer=[2, 4]).kept.tolist() == [2, 4]
    assert found.groups(prefer=np.isin(np.arange(found.n), [2, 4])).kept.tolist() == [2, 4]
    for wrong in ([found.n], [-1], [0.5], np.ones(found.n + 1, dtype=bool)):
        with pytest.raises(el.InputError, match="prefer must be a mask"):
            found.groups(prefer=wrong)
    with pytest.raises(el.InputError, match="known up to"):
        found.groups(0.2)


def test_parts_without_a_row_that_counts_refuse_nothing(rng):
    x = rng.standard_normal((5, 3))
    x = np.concatenate([x, x])
    found = as_dict(el.duplicates(x, 1e-200, engine=Cuts(5)))
    assert found == as_dict(el.duplicates(x, 1e-200)) == {(i, i + 5): 0.0 for i in range(5)}


def test_pairs_are_found_up_to_where_squares_leave_float64():
    assert len(el.duplicates(np.array([[0.0], [1e144]]), 1.0).first) == 0
    with pytest.raises(el.InputError, match="rescale"):
        el.duplicates(np.array([[0.0], [6e-146]]), 0.0)


def test_thousands_of_equal_rows_are_one_pair_each():
    x = np.zeros((30_000, 4), dtype=np.uint8)
    x[7] = 1
    found = el.duplicates(x, 10.0)
    assert len(found.first) == 29_999
    assert found.groups().kept.tolist() == [0]
    assert found.groups().neighbours.tolist() == [29_999] * 30_000


@pytest.mark.parametrize("beforehand", [True, False])
def test_too_many_pairs_end_in_one_line_whose_threshold_works(rng, monkeypatch, beforehand):
    x = rng.standard_normal((4000, 6))
    if not beforehand:
        monkeypatch.setattr(pair_search, "DRAWN", 0)
    looked = []
    with pytest.raises(el.InputError, match="more than 20,000 pairs lie within 3") as error:
        el.duplicates(x, 3.0, most_pairs=20_000, progress=lambda *told: looked.append(told))
    assert (not looked) == ("before the search" in str(error.value)) == beforehand
    smaller = float(str(error.value).split("threshold of ")[1].split(",")[0])
    assert 1_000 < len(el.duplicates(x, smaller, most_pairs=20_000).first) <= 20_000


@pytest.mark.parametrize("metric", ["euclidean", "cosine"])
def test_what_is_told_of_the_number_of_pairs_before_the_search_is_right(rng, metric):
    x = rng.standard_normal((4000, 6)) + 1e4 * (metric == "euclidean")  # far from the origin
    radius = 2.0 if metric == "euclidean" else 0.8
    pairs = len(el.duplicates(x, radius, metric=metric).first)
    with pytest.raises(el.InputError, match="before the search") as error:
        el.duplicates(x, radius, metric=metric, most_pairs=pairs // 2)
    told = float(str(error.value).split("(about ")[1].split(",")[0])
    assert told == pytest.approx(pairs, rel=0.1)
    assert len(el.duplicates(x, radius, metric=metric, most_pairs=pairs).first) == pairs


def test_a_draw_of_rows_refuses_nothing_that_the_search_can_find(rng):
    x = rng.standard_normal((6000, 4))
    for crowd in range(200, 500, 20):  # a crowd makes nearly all pairs, and its share is uncertain
        x[:crowd] = 50 + 1e-3 * rng.standard_normal((crowd, 4))
        pairs = crowd * (crowd - 1) // 2
        assert len(el.duplicates(x, 0.02, most_pairs=pairs + 100).first) >= pairs


@pytest.mark.parametrize(
    ("x", "arguments", "message"),
    [
        ([[0.0], [np.nan]], {"threshold": 1}, "NaN or infinite values in 1 rows .rows 1."),
        ([[1.0], [0.0]], {"threshold": 1, "metric": "cosine"}, "zero vectors .1 rows, row 1."),
        ([[1.0], [0.0]], {"threshold": 1, "metric": "manhattan"}, "unknown metric"),
        ([[1.0], [0.0]], {"threshold": -1}, "at least 0; got -1"),
        ([[1.0], [0.0]], {"threshold": np.nan}, "at least 0; got nan"),
        (["a", "b"], {"threshold": 1}, "there is no file 'a'"),
        (np.empty((0, 3)), {"threshold": 1}, "numeric rows|holds 0 rows"),
    ],
)
def test_what_cannot_be_searched_is_refused(x, arguments, message):
    with pytest.raises(el.InputError, match=message):
        el.duplicates(np.asarray(x), **arguments)
