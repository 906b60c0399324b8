"""What a selection is said to take: pairs, copies, bytes over the network, and the refusals."""

from importlib import import_module

import numpy as np
import pytest

import entroloop as el
from entroloop.pools.rows import rows_of
from entroloop.pools.sketches import sketch_bytes
from entroloop.selection.budget import Budget, Cost, budget_for, cost, rounds

GIB = 2**30


def test_operations_are_a_multiplication_and_an_addition_for_each_value_of_each_pair():
    rows = rows_of(np.zeros((1000, 10), dtype=np.float32))
    assert budget_for(rows, 50, "euclidean", initial=5).operations == 2 * 1000 * 10 * 55
    assert budget_for(rows, 50, "euclidean", shards=3).operations == 2 * 334 * 10 * 50


def test_each_copy_of_a_strategy_takes_the_pool_in_float64(monkeypatch):
    monkeypatch.setattr("entroloop.selection.budget.available_bytes", lambda: None)
    rows = rows_of(np.zeros((1000, 100), dtype=np.float32))
    taken = [budget_for(rows, 50, "euclidean", copies=copies).bytes for copies in range(3)]
    assert np.diff(taken).tolist() == [1000 * 100 * 8] * 2
    per_pick = np.diff([budget_for(rows, n, "euclidean", initial=3).bytes for n in (50, 51)])
    assert per_pick >= 100 * (4 + 4 + 8)  # as stored, in float32 and in float64
    per_initial = np.diff([budget_for(rows, 50, "euclidean", initial=k).bytes for k in (3, 4)])
    wide = [budget_for(rows_of(np.zeros((1000, 100))), n, "euclidean").bytes for n in (50, 51)]
    transformed = [budget_for(rows, n, "cosine").bytes for n in (50, 51)]
    assert np.diff(wide) == np.diff(transformed) == per_pick + 100 * 4  # stored in float64
    assert per_initial == per_pick  # what counts as chosen is compared like a pick


def test_a_plan_counts_the_state_of_each_row_and_a_centred_copy_where_it_fits(monkeypatch):
    def planned(m, available):
        monkeypatch.setattr("entroloop.selection.budget.available_bytes", lambda: available)
        return budget_for(rows_of(np.zeros((m, 100), dtype=np.float32)), 50, "euclidean")

    tight, wide = planned(1000, 2 * 256 * 2**20), planned(1000, None)
    assert (tight.centred_copy, wide.centred_copy) == (False, True)
    assert wide.bytes - tight.bytes == 1000 * 100 * 4 + sketch_bytes(1050, 100)
    more = planned(3000, 2 * 256 * 2**20)
    assert more.bytes - tight.bytes == 2000 * 74  # 7 numbers of 8 bytes, an index, marks


def test_a_plan_is_told_in_gib_rounds_and_seconds():
    plan = Budget(
        bytes=3 * 2**29, operations=2.5e12, centred_copy=False, available=None, shards=4,
        cost=Cost(rounds=20, network_bytes=5 * 2**28, seconds=61.7),
    )  # fmt: skip
    assert str(plan) == (
        "1.50 GiB beyond the pool, at most 2.5e+12 operations, rows read anew for each use, in "
        "each of 4 shards; greedily about 20 rounds, 1.2 GiB over the network, 62 s"
    )


@pytest.mark.parametrize("initial", [[0, 5, 7], np.ones((3, 4))], ids=["of the pool", "outside"])
def test_rows_that_count_as_chosen_are_in_the_plan_of_a_selection(initial, rng, monkeypatch):
    asked = []

    def plan(*args, **kwargs):
        asked.append(kwargs["initial"])
        return budget_for(*args, **kwargs)

    monkeypatch.setattr(import_module("entroloop.selection.select"), "budget_for", plan)
    el.select(rng.standard_normal((20, 4)), 5, initial=initial)
    assert asked == [3]


def test_each_row_has_its_bounds_and_their_places(monkeypatch):
    monkeypatch.setattr("entroloop.selection.budget.available_bytes", lambda: None)
    taken = [
        budget_for(rows_of(np.zeros((m, 20), dtype=np.float32)), 9, "euclidean", initial=3).bytes
        for m in (10_000, 11_000)
    ]
    # Beside the centred copy: least, second, where, error, seen, size, and what is said of it.
    assert np.diff(taken) >= 1000 * (20 * 4 + 6 * 8)


def test_a_centred_copy_is_counted_where_it_fits_and_left_out_where_not(monkeypatch):
    rows = rows_of(np.zeros((100_000, 100), dtype=np.float32))
    free = GIB
    monkeypatch.setattr("entroloop.selection.budget.available_bytes", lambda: free)
    with_copy = budget_for(rows, 50, "euclidean")
    assert with_copy.centred_copy
    free = 2 * with_copy.bytes - 1  # half of it is too little by half a byte
    without = budget_for(rows, 50, "euclidean")
    assert not without.centred_copy
    assert with_copy.bytes - without.bytes >= 100_000 * 100 * 4
    free = 2 * with_copy.bytes
    assert budget_for(rows, 50, "euclidean") == Budget(**{**vars(with_copy), "available": free})


def test_shards_send_their_rows_and_receive_all_picks():
    # Up: a block of 1,024 rows a round, each with an index, a value and a weight. Down, to each
    # shard: every pick and its index.
    for m, n, d, itemsize, shards in ((10_000, 400, 32, 4, 3), (10**6, 10**4, 8, 1, 16)):
        found = cost(m, n, d, itemsize, shards)
        up = rounds(n) * 1024 * (d * itemsize + 3 * 8)
        assert found.network_bytes == pytest.approx(up + shards * n * (d * itemsize + 8), abs=1)
        assert found.rounds == round(rounds(n))
    assert rounds(400) - rounds(100) == pytest.approx(rounds(900) - rounds(400))  # as √n grows
    start = cost(0, 1, 1, 1, 2).seconds
    assert 1 < start < 2
    assert 30 < cost(10**6, 10**4, 384, 4, 2).seconds < 40  # 3.8e12 multiplications, two shards
    once, twice = (cost(m, 10**4, 384, 4, 2).seconds - start for m in (10**6, 2 * 10**6))
    assert twice == pytest.approx(2 * once)
    assert cost(2 * 10**6, 10**4, 384, 4, 4).seconds - start == pytest.approx(once)


def test_what_goes_over_the_network_is_told_from_two_shards_on():
    rows = rows_of(np.zeros((1000, 10), dtype=np.float32))
    assert budget_for(rows, 50, "euclidean").cost is None
    assert budget_for(rows, 50, "euclidean", shards=2).cost == cost(1000, 50, 10, 4, 2)


def test_a_budget_is_told_in_gib_and_refused_above_what_is_free():
    budget = Budget(bytes=3 * GIB // 2, operations=2e9, centred_copy=True, available=GIB)
    assert str(budget) == "1.50 GiB beyond the pool, at most 2.0e+09 operations"
    with pytest.raises(el.InputError, match=r"takes 1\.5 GiB and 1\.0 GiB are free;"):
        budget.check()
    for available in (None, budget.bytes):
        Budget(**{**vars(budget), "available": available}).check()


def test_shards_on_one_machine_must_fit_together_and_unknown_memory_refuses_nothing():
    budget = Budget(bytes=GIB, operations=1.0, centred_copy=True, available=None, shards=3)
    budget.check_machines([("a", 2 * GIB), ("a", 2 * GIB), ("b", GIB)])
    budget.check_machines([("a", None), ("a", None), ("b", GIB)])
    with pytest.raises(el.InputError, match=r"takes 2\.0 GiB and 1\.5 GiB are free on a, for 2"):
        budget.check_machines([("a", 2 * GIB), ("b", 4 * GIB), ("a", 3 * GIB // 2)])
