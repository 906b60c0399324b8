import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from scipy.spatial.distance import cdist

import entroloop as el
from entroloop.pools.rows import ArrayRows
from entroloop.pools.shard import Settings, Shard
from entroloop.selection.quotas import equal as equal_quotas
from entroloop.selection.quotas import proportional

lattice = arrays(
    np.float64, array_shapes(min_dims=2, max_dims=2, min_side=2, max_side=14),
    elements=st.integers(0, 3).map(lambda i: i * 0.1),
)  # fmt: skip


def squared(a, b):
    return ((a.astype(np.float64) - b.astype(np.float64)) ** 2).sum()


def greedy_by_definition(x, n, first):
    picks = [first]
    while len(picks) < n:
        best, best_distance = None, -1.0
        for i in range(len(x)):
            if i not in picks:
                distance = min(squared(x[i], x[j]) for j in picks)
                if distance > best_distance:
                    best, best_distance = i, distance
        picks.append(best)
    return picks


def threshold_decay_by_definition(x, n, order, threshold, decay):
    accepted, tau = [], threshold
    while len(accepted) < n:
        for i in order:
            if len(accepted) == n:
                break
            if i not in accepted and all(squared(x[i], x[j]) > tau * tau for j in accepted):
                accepted.append(i)
        left = [i for i in order if i not in accepted]
        if left and all(min(squared(x[i], x[j]) for j in accepted) == 0 for i in left):
            accepted += left[: n - len(accepted)]
        tau *= decay
    return accepted


@given(x=lattice, data=st.data())
@settings(max_examples=100, deadline=None)
def test_greedy_is_the_definition_index_by_index(x, data):
    n = data.draw(st.integers(1, len(x)))
    first = data.draw(st.integers(0, len(x) - 1))
    selection = el.select(x, n, "greedy", first=first)
    assert selection.indices.tolist() == greedy_by_definition(x, n, first)


@given(x=lattice, data=st.data())
@settings(max_examples=100, deadline=None)
def test_threshold_decay_is_the_definition_index_by_index(x, data):
    n = data.draw(st.integers(1, len(x)))
    order = data.draw(st.permutations(range(len(x))))
    threshold = data.draw(st.sampled_from([0.0, 0.1, 0.35, 1.0]))
    decay = data.draw(st.sampled_from([0.0, 0.5, 0.95]))
    selection = el.select(x, n, "threshold_decay", order=order, threshold=threshold, decay=decay)
    expected = threshold_decay_by_definition(x, n, order, threshold, decay)
    assert selection.indices.tolist() == expected


def test_greedy_radii_never_increase_and_start_at_infinity(rng):
    radii = el.select(rng.standard_normal((60, 5)), 40).radii
    assert radii[0] == np.inf
    assert (np.diff(radii[1:]) <= 0).all()


def greedy_fast(x, n, first, metric="euclidean", weights=None):
    """The definition for larger pools: one pass a pick."""
    power = 2 if metric == "euclidean" else 1
    w = np.ones(len(x)) if weights is None else weights**power

    def column(j):
        difference = x.astype(np.float64) - x[j].astype(np.float64)
        return ((difference**2) if power == 2 else np.abs(difference)).sum(axis=1) * w

    picks, values = [first], column(first)
    values[first] = -1
    while len(picks) < n:
        picks.append(int(values.argmax()))
        values = np.minimum(values, column(picks[-1]))
        values[picks] = -1
    return picks


def hard_pool(kind, rng, n=700, d=20):
    """Pools in which rounding decides unless it is kept from it."""
    x = rng.standard_normal((n, d))
    if kind == "lattice":
        return rng.integers(0, 3, (n, 4)) * 0.1
    if kind == "offset":
        return (x * 1e-3 + 1000).astype(np.float32)
    if kind == "near-duplicates":
        return (np.repeat(x[: n // 2], 2, axis=0) + 1e-5 * x).astype(np.float32)
    if kind == "far clusters":
        return np.concatenate([x[: n // 2] * 1e-4, x[n // 2 :] * 1e-4 + 1e3])
    if kind == "uint8":
        return rng.integers(0, 256, (n, d)).astype(np.uint8)
    if kind == "few grey levels":
        return rng.integers(0, 2, (n, 9)).astype(np.uint8)
    if kind == "tiny values":
        return x * 1e-25
    if kind == "float16":
        return x.astype(np.float16)
    return x


KINDS = ["plain", "lattice", "offset", "near-duplicates", "far clusters", "uint8",
         "few grey levels", "tiny values", "float16"]  # fmt: skip


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("sizes", ["usual", "small", "all defined"])
def test_blocked_greedy_is_the_definition_where_rounding_could_decide(
    kind, sizes, rng, monkeypatch
):
    if sizes == "small":  # many blocks, many products, the fallback for large blocks
        small_blocks(monkeypatch)
    if sizes == "all defined":  # whole blocks, at the first value that is in doubt
        monkeypatch.setattr("entroloop.selection.block.A_CALL", math.inf)
    x = hard_pool(kind, rng)
    for n in (len(x) // 2, len(x)):
        assert el.select(x, n, first=5).indices.tolist() == greedy_fast(x, n, 5)


@pytest.mark.parametrize("metric", ["euclidean", "manhattan"])
def test_weights_multiply_the_distance(metric, rng):
    x, weights = rng.standard_normal((300, 5)), rng.choice([0.5, 1.0, 2.0], 300)
    picked = el.select(x, 200, metric=metric, weights=weights, first=0).indices
    assert picked.tolist() == greedy_fast(x, 200, 0, metric, weights)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("a_call", [1, math.inf])
def test_blocked_threshold_decay_is_the_definition_where_rounding_could_decide(
    kind, a_call, rng, monkeypatch
):
    small_blocks(monkeypatch)
    monkeypatch.setattr("entroloop.selection.block.A_CALL", a_call)
    x = hard_pool(kind, rng, n=150)
    order = rng.permutation(len(x))
    threshold = float(np.sqrt(squared(x[order[0]], x[order[1]])))
    picked = el.select(x, 120, "threshold_decay", order=order, threshold=threshold, decay=0.8)
    expected = threshold_decay_by_definition(x, 120, order, threshold, 0.8)
    assert picked.indices.tolist() == expected


def small_blocks(monkeypatch):
    from importlib import import_module

    for module, name, value in (
        ("entroloop.selection.strategies.greedy", "BLOCK_ROWS", 16),
        ("entroloop.pools.shard", "LARGEST", 32),
        ("entroloop.selection.block", "LARGEST", 32),
        ("entroloop.selection.strategies.threshold_decay", "BLOCK", 16),
        ("entroloop.pools.nearest_picks", "CORE_BYTES", 4096),
        ("entroloop.distances.multipliers", "WORTH_KERNELS", 0),
    ):
        monkeypatch.setattr(import_module(module), name, value)
    numpy = "entroloop.distances.multipliers.NumpyMultiplier"
    monkeypatch.setattr(f"{numpy}.tile_bytes", 4096)
    monkeypatch.setattr(f"{numpy}.picks_at_once", 7)


def test_any_two_rows_of_a_pool_of_two_are_the_root_of_two_apart_by_mahalanobis(rng):
    # Whitened by the covariance with divisor n − 1, the squared distance to the mean is 1/2 each.
    chosen = el.select(rng.standard_normal((2, 5)) * [1, 2, 3, 4, 5], 2, metric="mahalanobis")
    assert chosen.radii[1] == pytest.approx(np.sqrt(2))


@pytest.mark.parametrize("m", [200, 4_400])  # the second is read in two blocks
@pytest.mark.parametrize("metric", ["cosine", "mahalanobis"])
def test_cosine_and_mahalanobis_are_euclidean_on_transformed_rows(metric, m, rng):
    x = rng.standard_normal((m, 6)) @ np.diag([1, 2, 3, 4, 5, 6.0])
    x[4_000:, 0] *= 30
    if metric == "cosine":
        rows = x / np.linalg.norm(x, axis=1, keepdims=True)
    else:
        rows = x @ np.linalg.inv(np.linalg.cholesky(np.cov(x.T))).T  # another root, same distances
    picked = el.select(x, 80, metric=metric, first=3).indices
    assert picked.tolist() == greedy_fast(rows, 80, 3)


def test_one_value_a_row_may_be_given_flat(rng):
    x = rng.standard_normal(50)
    assert el.select(x, 9).indices.tolist() == el.select(x[:, None], 9).indices.tolist()


def test_a_permutation_of_the_pool_permutes_the_answer(rng):
    x, order = rng.standard_normal((120, 5)), rng.permutation(120)
    place = np.argsort(order)
    picked = el.select(x, 50, first=7).indices
    assert np.array_equal(el.select(x[order], 50, first=place[7]).indices, place[picked])


def test_a_memory_map_gives_the_same_choice_as_the_array(rng, tmp_path, monkeypatch):
    from entroloop.pools.rows import rows_of
    from entroloop.selection import budget

    x = rng.standard_normal((400, 8)).astype(np.float32)
    np.save(tmp_path / "x.npy", x)
    mapped = np.load(tmp_path / "x.npy", mmap_mode="r")
    expected = el.select(x, 100).indices
    assert np.array_equal(el.select(mapped, 100).indices, expected)
    monkeypatch.setattr(budget, "available_bytes", lambda: 2**28 + 100_000)  # too little for a copy
    assert not budget.budget_for(rows_of(mapped), 100, "euclidean").centred_copy
    assert np.array_equal(el.select(mapped, 100).indices, expected)


def test_a_selection_that_cannot_fit_is_refused_before_it_starts(rng, monkeypatch):
    from entroloop.selection import budget

    monkeypatch.setattr(budget, "available_bytes", lambda: 1000)
    with pytest.raises(el.InputError, match=r"this selection takes .* are free"):
        el.select(rng.standard_normal((10, 2)), 3)


def test_a_baseline_is_refused_where_its_copies_do_not_fit(rng, monkeypatch):
    from entroloop.selection import budget

    x = rng.standard_normal((2000, 200))
    monkeypatch.setattr(budget, "available_bytes", lambda: 2**28 + 8_000_000)
    assert len(el.select(x, 5, "random").indices) == 5
    with pytest.raises(el.InputError, match="GiB are free"):
        el.select(x, 5, "kmeans")


@pytest.mark.parametrize("sketched", [False, True])
def test_all_multipliers_lead_to_the_same_choice(sketched, rng, monkeypatch):
    import entroloop.distances.table as table
    from entroloop.distances.multipliers import (
        CompiledMultiplier,
        CudaMultiplier,
        NumpyMultiplier,
    )
    from entroloop.pools import sketches

    x = (rng.standard_normal((900, 30)) * np.geomspace(1, 0.01, 30)).astype(np.float32)
    if sketched:
        monkeypatch.setattr(sketches, "SMALLEST_POOL", 100)
        monkeypatch.setattr(sketches, "WORK", 2)
    answers = []
    for multiplier in (NumpyMultiplier(), CompiledMultiplier(), CudaMultiplier("torch cpu")):
        multiplier.again = 2000 if sketched else multiplier.again
        monkeypatch.setattr(table, "multiplier_for", lambda *_, m=multiplier: m)
        answers.append(el.select(x, 600, first=0).indices)
    assert np.array_equal(answers[0], answers[1])
    assert np.array_equal(answers[0], answers[2])


@pytest.mark.parametrize("name", ["NumpyMultiplier", "CudaMultiplier"])
def test_a_multiplier_computes_what_its_interface_says(name, rng):
    import entroloop.distances.multipliers as multipliers

    made = getattr(multipliers, name)
    multiplier = made("torch cpu") if name == "CudaMultiplier" else made()
    x, y = (rng.integers(-4, 5, (k, 7)).astype(np.float32) for k in (40, 9))  # exact in float32
    rows, skip, halves = rng.permutation(40)[:25], rng.integers(0, 8, 25), np.square(y).sum(1) / 2
    products, floor = x[rows] @ y.T, rng.integers(-20, 9, 25).astype(float)
    gains = products - halves
    held, picks = multiplier.load(x), multiplier.room((9, 7), np.float32)
    multiplier.write(picks, slice(0, 4), y[:4])
    multiplier.write(picks, slice(4, 9), y[4:])
    near, (most, where, next_most) = multiplier.nearest_two(
        multiplier.gather(held, rows), picks, halves, skip, floor
    )
    assert np.array_equal(near, np.flatnonzero(gains.max(axis=1) >= floor))
    assert 5 < len(near) < 25
    i, j = multiplier.reaching(multiplier.gather(held, rows), picks, halves, floor)
    assert np.array_equal(np.stack([i, j]), np.nonzero(gains >= floor[:, None]))
    gains = np.where(np.arange(9) < skip[:, None], -np.inf, gains)[near]
    assert np.array_equal(np.sort(gains, axis=1)[:, :-3:-1], np.stack([most, next_most], axis=1))
    assert np.array_equal(gains[np.arange(len(near)), where], most)
    limit = rng.integers(-9, 9, 25).astype(float)
    i, j = multiplier.within(multiplier.gather(held, rows), y, limit)
    assert np.array_equal(np.stack([i, j]), np.nonzero(products <= limit[:, None]))
    assert np.array_equal(multiplier.products(held, rows[i], y, j), products[i, j])
    i, j = rng.integers(0, 25, 40_000), rng.integers(0, 9, 40_000)  # more than go at once
    assert np.array_equal(multiplier.products(held, rows[i], y, j), products[i, j])
    wide = x.astype(np.float64)
    assert np.array_equal(multiplier.among(wide), wide @ wide.T)
    assert multiplier.among(wide).dtype == np.float64


@pytest.mark.parametrize("n", range(1, 14))
def test_products_that_threads_share_are_those_of_all_rows(n, rng, monkeypatch, in_three_threads):
    from entroloop.distances import multipliers
    from entroloop.system import threads

    in_three_threads()
    monkeypatch.setattr(multipliers, "FEWEST_IN_A_BAND", 1)
    monkeypatch.setattr(np, "empty", lambda shape, dtype: np.full(shape, 99, dtype))
    x = rng.integers(-4, 5, (n, 7)).astype(np.float64)
    with threads.products_in_one_thread():
        assert threads.threads_here() == 3
        found = multipliers.NumpyMultiplier().among(x)
    assert np.array_equal(found, x @ x.T)


@pytest.mark.gpu
def test_a_gpu_gives_the_same_choice(rng):
    import torch

    if not torch.cuda.is_available():
        pytest.skip("torch sees no CUDA GPU")
    x = rng.standard_normal((5000, 64)).astype(np.float32)
    expected = el.select(x, 2500, first=0, device="cpu").indices
    assert np.array_equal(el.select(x, 2500, first=0, device="cuda").indices, expected)


def test_progress_is_told_and_can_cancel(rng):
    told = []
    x = rng.standard_normal((2000, 12))  # no tree, which makes 2,048 picks before it tells of them
    el.select(x, 1500, progress=lambda a, b: told.append((a, b)))
    assert told[-1] == (1500, 1500)
    assert len(told) > 3

    class StopError(Exception):
        pass

    def stop(made, wanted):
        if made > 100:
            raise StopError

    with pytest.raises(StopError):
        el.select(x, 1500, progress=stop)


def test_strength_raises_the_entropy_of_the_choice_on_the_mean_over_20_orders():
    from sklearn.datasets import load_digits

    x = load_digits().data[:800] / 8 - 1
    orders = [np.random.default_rng(s).permutation(len(x)) for s in range(20)]
    strengths = (0.0, 0.5, 0.8, 0.95, 1.0)
    entropy = np.array(
        [
            [el.select(x, 200, "threshold_decay", order=o, strength=s).entropy.nats for o in orders]
            for s in strengths
        ]
    )
    steps = np.diff(entropy, axis=0)
    errors = steps.std(axis=1, ddof=1) / np.sqrt(len(orders))
    assert (steps.mean(axis=1) > -2 * errors).all(), (steps.mean(axis=1), errors)
    assert entropy[-1].mean() > entropy[0].mean() + 10


def test_a_result_tells_entropy_coverage_and_shares(rng, tmp_path):
    x = rng.standard_normal((200, 3))
    groups = np.repeat(["real", "made"], 100)
    selection = el.select(x, 40, groups=groups, quota="equal")
    assert selection.shares == {"made": 0.5, "real": 0.5}
    assert selection.entropy.nats > selection.entropy_random.nats
    plain = el.select(x, 40)
    left = np.setdiff1d(np.arange(200), plain.indices)
    distances = np.linalg.norm(x[left][:, None] - x[plain.indices], axis=2).min(axis=1)
    assert plain.coverage_radius == pytest.approx(distances.max())
    assert plain.coverage_radius <= plain.radii[-1]
    plain.save(tmp_path / "s.parquet")
    again = el.Selection.load(tmp_path / "s.parquet")
    assert again.bytes_moved == plain.bytes_moved == 0  # in one process
    assert np.array_equal(again.indices, plain.indices)
    assert np.array_equal(again.radii, plain.radii)
    with pytest.raises(el.InputError, match="does not hold its pool"):
        again.coverage_radius  # noqa: B018
    (tmp_path / "bad.parquet").write_text("no")
    with pytest.raises(el.InputError, match="no saved selection"):
        el.Selection.load(tmp_path / "bad.parquet")


@given(st.lists(st.integers(0, 9), min_size=1, max_size=6), st.data())
def test_proportional_quotas_are_exact_and_near_the_ideal(sizes, data):
    sizes = np.array(sizes)
    n = data.draw(st.integers(0, int(sizes.sum())))
    quotas = proportional(sizes, n)
    assert quotas.sum() == n
    assert (quotas <= sizes).all()
    assert (np.abs(quotas - sizes * n / max(sizes.sum(), 1)) < 1).all()


def test_a_prefix_of_greedy_is_the_answer_for_a_smaller_n(rng):
    x = rng.standard_normal((50, 3))
    assert np.array_equal(el.select(x, 30).indices[:11], el.select(x, 11).indices)


def test_a_warm_start_continues_the_selection(rng):
    x = rng.standard_normal((50, 3))
    whole = el.select(x, 20, first=7)
    rest = el.select(x, 12, initial=whole.indices[:8])
    assert np.array_equal(rest.indices, whole.indices[8:])
    assert np.array_equal(rest.radii, whole.radii[8:])
    outside = el.select(x, 3, initial=x[whole.indices[:8]], candidates=whole.indices[8:])
    assert np.array_equal(outside.indices, whole.indices[8:11])


def test_the_entropy_of_greedy_exceeds_every_random_draw_on_clusters(rng):
    centres = rng.standard_normal((5, 6)) * 5
    x = centres[rng.integers(5, size=300)] + rng.standard_normal((300, 6)) * 0.3
    greedy = el.knn_entropy(x[el.select(x, 60).indices]).nats
    draws = [el.knn_entropy(x[el.select(x, 60, "random", seed=s).indices]).nats for s in range(20)]
    assert greedy > max(draws)


@pytest.mark.parametrize(("strength", "as_order"), [(0.0, True), (1.0, False)])
def test_strength_0_is_the_order_and_1_is_greedy(strength, as_order, rng):
    x = rng.integers(0, 4, (40, 2)).astype(float)
    order = rng.permutation(40)
    picked = el.select(x, 15, "threshold_decay", order=order, strength=strength).indices
    if as_order:
        assert np.array_equal(picked, order[:15])
    else:
        assert np.array_equal(picked, el.select(x, 15, first=order[0]).indices)


def test_random_takes_equal_quotas_of_groups():
    groups = np.repeat([0, 1, 2], [10, 50, 100])
    x = np.arange(160.0)[:, None]
    picked = el.select(x, 30, "random", groups=groups, quota="equal").indices
    assert np.bincount(groups[picked]).tolist() == [10, 10, 10]


@given(st.lists(st.integers(0, 9), min_size=1, max_size=6), st.data())
def test_equal_quotas_are_exact_and_differ_by_one_at_most(sizes, data):
    sizes = np.array(sizes)
    n = data.draw(st.integers(0, int(sizes.sum())))
    quotas = equal_quotas(sizes, n)
    assert quotas.sum() == n
    assert quotas.max() - quotas.min() <= 1


def test_a_group_too_small_for_its_quota_is_refused_by_name(rng):
    groups = np.repeat(["cats", "dogs"], [97, 3])
    with pytest.raises(el.InputError, match=r"group 'dogs' has 3 rows .* its quota is 5"):
        el.select(rng.standard_normal((100, 2)), 10, groups=groups, quota="equal")


@pytest.mark.parametrize("scale", [1e-45, 1e45])
def test_values_that_float32_cannot_hold_are_selected_by_the_definition(scale, rng):
    x = rng.standard_normal((300, 4)) * scale
    initial = rng.standard_normal((20, 4)) * scale
    assert el.select(x, 100, first=3).indices.tolist() == greedy_fast(x, 100, 3)
    joined = np.concatenate([initial, x])
    expected = el.select(joined, 60, initial=np.arange(20)).indices - 20
    assert np.array_equal(el.select(x, 60, initial=initial).indices, expected)
    picked = el.select(x, 100, "threshold_decay", threshold=2 * scale, decay=0.9)
    assert len(set(picked.indices.tolist())) == 100
    assert np.isfinite(el.knn_entropy(x).nats)


def test_values_whose_squares_leave_float64_are_refused(rng):
    with pytest.raises(el.InputError, match="rescale"):
        el.select(rng.standard_normal((30, 2)) * 1e160, 5)


@pytest.mark.parametrize("count", [1, 20, 300])
@pytest.mark.parametrize("picks", [0, 1, 40])
def test_a_visit_returns_every_row_above_its_level_up_to_its_frontier(count, picks, rng):
    x = rng.standard_normal((2_000, 6))
    shard = Shard(ArrayRows(x))
    shard.load()
    shard.start_selection(
        Settings(
            metric="euclidean", extent=shard.extent(), selectable=np.ones(len(x), dtype=bool),
            weights=None, capacity=picks, dtype=x.dtype, centred_copy=True, device="cpu",
            operations=1e6,
        )
    )  # fmt: skip
    order = rng.permutation(len(x))
    shard.set_order(order, np.arange(len(order)))
    some = order[:picks]
    shard.add(x[some], some)
    values = np.full(len(x), np.inf)
    values[some] = -1
    left = np.setdiff1d(np.arange(len(x)), some)
    if picks:
        values[left] = cdist(x[left], x[some], "sqeuclidean").min(axis=1)
    level = float(np.median(values)) if picks else 0.0
    position = seen = 0
    while position < len(x):
        found = shard.visit(position, level, count, strict=True)
        stop = min(found.frontier + 1, len(x))
        assert found.index.tolist() == [i for i in order[position:stop] if values[i] > level]
        assert len(found.index) <= count
        assert len(found.index) > count // 2 or stop == len(x)
        position, seen = stop, seen + len(found.index)
    assert seen == np.count_nonzero(values > level)


@pytest.mark.parametrize("small", [False, True])
@pytest.mark.parametrize("groups", [None, [0, 0, 0, 0]])
def test_a_share_of_the_largest_value_is_decided_by_the_definition(groups, small, monkeypatch):
    if small:
        small_blocks(monkeypatch)
    # Half of 2 is reached at 1 and not by the number below it, which no product tells from 1.
    x = np.array([[0.0], [np.nextafter(1, 0)], [1.0], [2.0]])
    quota = {} if groups is None else {"groups": groups, "quota": "equal"}
    picked = el.select(x, 2, "threshold_decay", strength=0.5, order=[0, 1, 2, 3], **quota)
    assert picked.indices.tolist() == [0, 2]


def test_a_threshold_that_cannot_get_smaller_ends_the_passes():
    x = np.array([[0.0], [5e-324], [1.0]])
    picked = el.select(x, 3, "threshold_decay", metric="manhattan", order=[0, 1, 2])
    assert sorted(picked.indices.tolist()) == [0, 1, 2]
    x = np.zeros((300, 40))
    x[7, 0] = 5e-324  # as large as a threshold that rounds to itself
    picked = el.select(x, 2, "threshold_decay", metric="manhattan", order=np.arange(300))
    assert picked.indices.tolist() == [0, 7]


def test_coverage_speaks_of_candidates_in_the_metric_of_the_choice(rng):
    x = np.concatenate([rng.random((50, 1)), [[1000.0]]])
    assert el.select(x, 10, candidates=np.arange(50)).coverage_radius < 1
    y = rng.standard_normal((60, 5))
    chosen = el.select(y, 10, metric="manhattan")
    left = np.setdiff1d(np.arange(60), chosen.indices)
    distances = np.abs(y[left][:, None] - y[chosen.indices]).sum(axis=2).min(axis=1)
    assert chosen.coverage_radius == pytest.approx(distances.max())


def test_the_fallback_to_float64_is_told(rng, monkeypatch):
    small_blocks(monkeypatch)
    assert el.select(hard_pool("lattice", rng), 300).precision == "float64"
    assert el.select(rng.standard_normal((300, 5)).astype(np.float32), 30).precision == "float32"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"strategy": "gredy"}, "did you mean 'greedy'"),
        ({"first": 99}, "first must be a row that can be picked"),
        ({"strategy": "threshold_decay", "decay": 1.0}, "decay must lie in"),
        ({"strategy": "threshold_decay", "strength": 2}, "strength must lie in"),
        ({"strategy": "threshold_decay", "strength": "half"}, "strength must be a number"),
        ({"first": 1.5}, "first must be a whole number"),
        ({"weights": list("abcd")}, "weights must be 4 finite numbers"),
        ({"strategy": "threshold_decay", "strength": 0.5, "decay": 0.5}, "not both"),
        ({"strategy": "threshold_decay", "order": [0, 0, 1, 2]}, "permutation"),
        ({"strategy": "threshold_decay", "threshold": float("nan")}, "threshold must be"),
        ({"initial": np.zeros((2, 5))}, "initial has 5 values a row"),
        ({"weights": [1, 1, 0, 1]}, "weights must be 4 finite numbers above 0"),
        ({"metric": "cosin"}, "did you mean 'cosine'"),
        ({"groups": [1, 2]}, "groups must name one group a row"),
        ({"initial": [9]}, "initial must lie in 0 … 3; got 9"),
        ({"candidates": [-1]}, "candidates must lie in 0 … 3; got -1"),
        ({"candidates": [[0, 1]]}, "candidates must be a mask of 4 rows, or whole numbers"),
        ({"candidates": [0.0, 1.0]}, "candidates must be a mask of 4 rows, or whole numbers"),
        ({"device": "tpu"}, "device must be auto, cpu or cuda"),
        ({"temperature": 1}, "unknown parameter of greedy 'temperature'; Valid: first"),
    ],
)
def test_arguments_that_make_no_sense_are_refused(arguments, message, rng):
    with pytest.raises(el.InputError, match=message):
        el.select(rng.standard_normal((4, 2)), 2, **arguments)


def test_rows_from_outside_a_pool_of_images_may_be_flat_but_no_images_of_another_shape(rng):
    images, outside = rng.integers(0, 256, (2, 30, 4, 4, 1), dtype=np.uint8)
    expected = el.select(images, 6, initial=outside[:3]).indices.tolist()
    assert el.select(images, 6, initial=outside[:3].reshape(3, 16)).indices.tolist() == expected
    with pytest.raises(el.InputError, match=r"shape \(8, 2, 1\), the pool of \(4, 4, 1\)"):
        el.select(images, 6, initial=outside[:3].reshape(3, 8, 2, 1))


@pytest.mark.parametrize(
    "changed", [{"resize": 4}, {"mode": "grey"}, {"resize": 4, "mode": "grey"}]
)
def test_images_of_an_array_are_resized_and_brought_to_a_mode_before_they_are_compared(
    changed, rng
):
    x = rng.integers(0, 256, (40, 8, 8, 3), dtype=np.uint8)
    expected = el.select(el.load(x, **changed).data, 12, first=0).indices.tolist()
    assert el.select(x, 12, first=0, **changed).indices.tolist() == expected
    assert el.select(x, 12, first=0).indices.tolist() != expected
