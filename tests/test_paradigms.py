from itertools import pairwise

import numpy as np
import pytest

from entroloop.commands.prepare import prepare
from entroloop.commands.run import run_study
from entroloop.store.folder import Store
from entroloop.store.records import frame, load_records
from entroloop.store.stages import read_table
from entroloop.study.history import History
from entroloop.study.paradigms import PARADIGMS, Composition
from here import Here

N = 24


@pytest.fixture
def compositions(tiny, tmp_path):
    """Return a function that runs a paradigm and gives its training sets as tables."""

    def run(paradigm, strategy="random", generations=4, oversample=1, **paradigm_args):
        arm = {"paradigm": paradigm, "strategy": strategy, "oversample": oversample}
        arms = [arm | {"paradigm_args": paradigm_args}]
        config = tiny | {"arms": arms, "seeds": [0], "generations": generations}
        out = tmp_path / f"{paradigm}-{strategy}"
        records = list(run_study(config, out=out, engine=Here()))
        steps = prepare(config, out).steps
        return [read_table(Store(out), step.training_set) for step in steps], records

    return run


def test_replace_trains_on_the_newest_samples_only(compositions):
    tables, records = compositions("replace", oversample=2)
    for generation, table in enumerate(tables):
        assert len(table) == N
        assert set(table["generation"]) == {generation}
    assert [r.real_share for r in records] == [1, 0, 0, 0]
    assert tables[2]["source_index"].max() >= N  # picks reach into all 2N samples


def test_accumulate_keeps_the_training_set_and_grows_by_n(compositions):
    tables, records = compositions("accumulate")
    for before, after in pairwise(tables):
        assert len(after) == len(before) + N
        kept = after.iloc[: len(before)]
        assert kept["id"].tolist() == before["id"].tolist()
    assert [r.n_train for r in records] == [N, 2 * N, 3 * N, 4 * N]
    assert records[3].share_by_generation == [0.25] * 4


def test_accumulate_subsample_random_takes_an_equal_quota_from_each_generation(compositions):
    tables, records = compositions("accumulate_subsample", generations=4)
    for generation, table in enumerate(tables[1:], start=2):
        counts = table["generation"].value_counts()
        assert set(counts.index) == set(range(generation))
        assert counts.max() - counts.min() <= 1
        assert len(table) == N
    assert records[2].real_share == pytest.approx(1 / 3)


def test_accumulate_subsample_greedy_selects_from_all_generations_jointly(compositions):
    tables, _ = compositions("accumulate_subsample", strategy="greedy", oversample=2)
    last = tables[-1]
    assert len(last) == N
    assert (last["pick_rank"] == np.arange(N)).all()
    radii = last["radius"].to_numpy()
    assert radii[0] == np.inf
    assert (np.diff(radii[1:]) <= 0).all()


def test_fresh_brings_new_real_rows_that_are_used_once(compositions):
    tables, records = compositions("fresh", fraction=0.25)
    seen = set(tables[0]["id"])
    for table in tables[1:]:
        real = table[table["generation"] == 0]
        assert len(real) == 6
        assert not seen & set(real["id"])
        seen |= set(real["id"])
        assert len(table) == N
    assert records[1].real_share == 0.25


def test_synthetic_augmentation_keeps_the_real_data_beside_the_newest_samples(compositions):
    tables, records = compositions("synthetic_augmentation")
    for generation, table in enumerate(tables[1:], start=1):
        assert set(table["generation"]) == {0, generation}
        assert table[table["generation"] == 0]["id"].tolist() == tables[0]["id"].tolist()
    assert [r.real_share for r in records] == [1, 0.5, 0.5, 0.5]


def test_every_paradigm_composes_n_rows_at_least():
    for paradigm in PARADIGMS.values():
        composition = paradigm(3, 100)
        assert isinstance(composition, Composition)
        fresh = composition.fresh[1] - composition.fresh[0]
        assert composition.n_select + fresh >= 100
        assert max(composition.candidates) < 3


def test_unselected_rows_are_like_the_training_set_and_no_model_was_trained_on_them(tiny, tmp_path):
    tiny["metrics"] = {"unselected": 12, "extra": ["c_t", "kernel_distance"]}
    records = frame(list(run_study(tiny, out=tmp_path / "s", engine=Here())))
    study = prepare(tiny, tmp_path / "s")
    for step in study.steps:
        history = History(step, study.built, Store(tmp_path / "s"))
        trained = read_table(Store(tmp_path / "s"), step.training_set)
        unselected = history.unselected(trained["generation"].to_numpy())
        shares = np.bincount(trained["generation"]) / len(trained)
        np.testing.assert_array_equal(np.bincount(unselected.provenance), np.round(12 * shares))
        everything = [
            read_table(Store(tmp_path / "s"), other.training_set)["id"]
            for other in study.steps if other.run == step.run
        ]  # fmt: skip
        assert not set(unselected.ids) & set(np.concatenate(everything))
    assert records["generalization_score_unselected"].notna().all()
    assert {"c_t_unselected", "kernel_distance_floor"} <= set(records.columns)
    without = tiny | {"metrics": {"unselected": 0, "extra": ["c_t"]}}
    fewer = frame(list(run_study(without, out=tmp_path / "t", engine=Here())))
    assert fewer["generalization_score_unselected"].isna().all()
    same = ["entropy_train", "frechet_distance", "generalization_score", "memorized_fraction"]
    assert fewer[same].equals(records[same])  # the null costs samples, and changes nothing


def test_a_training_set_has_no_reference_row_and_no_reserve_row(tiny, tmp_path):
    tiny["seeds"] = [3]
    records = frame(list(run_study(tiny, out=tmp_path / "s", engine=Here())))
    assert len(load_records(tmp_path / "s")) == len(records)
    from entroloop.data import split_order
    from entroloop.data.digits import Digits

    real = Digits(n_train=24, n_reference=30).load()
    order = split_order(len(real.data), real.labels, 3)
    allowed = {f"real-{i}" for i in order[:24]}
    for step in prepare(tiny, tmp_path / "s").steps:
        table = read_table(Store(tmp_path / "s"), step.training_set)
        assert set(table.loc[table["generation"] == 0, "id"]) <= allowed
