import json
import os
import shutil
import subprocess
import sys
import time

import numpy as np
import pandas as pd
import psutil
import pytest

import entroloop as el
from entroloop.commands import collected
from entroloop.commands.prepare import prepare
from entroloop.commands.run import run_study
from entroloop.store.records import COLUMNS, SETTINGS, frame
from here import Here


def comparable(table: pd.DataFrame) -> pd.DataFrame:
    """The records without times, and without the settings that `load_records` puts first."""
    first = {"study", *SETTINGS}
    return table.drop(
        columns=[c for c in table if c in first or c.startswith(("seconds_", "peak_"))]
    )


def run(config, out, **options):
    if "workers" not in options:
        options = {"engine": Here()} | options
    return frame(list(run_study(config, out=out, **options)))


def test_records_have_the_columns_of_the_contract_and_are_sorted(tiny, tmp_path):
    table = run(tiny, tmp_path / "s")
    stored = el.load_records(tmp_path / "s")
    assert list(stored.columns) == ["study", *SETTINGS, *COLUMNS]
    assert list(table.columns) == COLUMNS
    assert len(stored) == 2 * 2 * 3
    keys = list(zip(stored["arm"], stored["seed"], stored["generation"], strict=True))
    assert keys == sorted(keys)
    pd.testing.assert_frame_equal(table, stored[COLUMNS])
    assert np.isfinite(stored[COLUMNS[3:12]].to_numpy(float)).all()
    assert (stored["n_train"] == 24).all()


def test_workers_and_order_never_change_a_record(tiny, tmp_path):
    one = run(tiny, tmp_path / "one", workers=1)
    two = run(tiny, tmp_path / "two", workers=2)
    tiny["arms"].reverse()
    reversed_arms = run(tiny, tmp_path / "three", workers=2)
    pd.testing.assert_frame_equal(comparable(one), comparable(two), check_exact=True)
    pd.testing.assert_frame_equal(comparable(one), comparable(reversed_arms), check_exact=True)


def test_arms_share_the_model_of_generation_1(tiny, tmp_path):
    steps = prepare(tiny, tmp_path / "s").steps
    first = {s.model for s in steps if s.generation == 1 and s.seed == 0}
    assert len(first) == 1
    run(tiny, tmp_path / "s")
    assert len(list((tmp_path / "s/stages/model").iterdir())) == 2 * (1 + 2 * 2)


def test_a_finished_study_is_read_and_not_made_again(tiny, tmp_path):
    first = run(tiny, tmp_path / "s")
    before = {p: p.stat().st_mtime_ns for p in (tmp_path / "s/stages").rglob("*")}
    prepared = prepare(tiny, tmp_path / "s")
    assert prepared.todo == []
    again = run(tiny, tmp_path / "s")
    pd.testing.assert_frame_equal(first, again, check_exact=True)
    assert before == {p: p.stat().st_mtime_ns for p in (tmp_path / "s/stages").rglob("*")}


def test_a_changed_study_reuses_what_the_change_does_not_touch(tiny, tmp_path):
    run(tiny, tmp_path / "s")
    longer = prepare(tiny, tmp_path / "s", overrides={"generations": 4})
    assert longer.missing["model"] == 4  # 2 arms × 2 seeds, one more generation each
    more_seeds = prepare(tiny, tmp_path / "s", overrides={"seeds": [0, 1, 2]})
    assert more_seeds.missing["model"] == 1 + 2 * 2
    reference = prepare(tiny, tmp_path / "s", overrides={"data.n_reference": 31})
    assert reference.missing == {"training_set": 0, "model": 0, "samples": 0, "record": 10}
    other = prepare(tiny, tmp_path / "s", overrides={"generator": "kde"})
    assert other.missing["model"] == 10
    assert other.missing["training_set"] == 8  # generation 1 is real data in any case


def test_records_hold_exactly_the_current_configuration(tiny, tmp_path):
    run(tiny, tmp_path / "s")
    run(tiny, tmp_path / "s", seeds=[1], generations=2)
    table = el.load_records(tmp_path / "s")
    assert set(table["seed"]) == {1}
    assert set(table["generation"]) == {1, 2}
    kept = json.loads((tmp_path / "s/arms/replace-random/seed-0.json").read_text())
    assert kept["generations"] == []
    assert len(kept["others"][0]) == 3


def test_a_larger_oversample_extends_the_samples_of_before(tiny, tmp_path):
    small = run(tiny, tmp_path / "s", **{"arms.1.oversample": 1})
    large = run(tiny, tmp_path / "s", **{"arms.1.oversample": 3})
    fresh = run(tiny, tmp_path / "t", **{"arms.1.oversample": 3})
    pd.testing.assert_frame_equal(comparable(large), comparable(fresh), check_exact=True)
    first = small["generation"] == 1
    pd.testing.assert_frame_equal(comparable(small[first]), comparable(large[first]))


def test_a_damaged_stage_is_made_again(tiny, tmp_path):
    first = run(tiny, tmp_path / "s")
    step = prepare(tiny, tmp_path / "s").steps[-1]
    (tmp_path / "s/stages/model" / step.model / "model.json").write_text("{}")
    prepared = prepare(tiny, tmp_path / "s")
    assert prepared.damaged == 1
    assert len(prepared.todo) == 1
    again = run(tiny, tmp_path / "s")
    pd.testing.assert_frame_equal(comparable(first), comparable(again), check_exact=True)


def test_a_gap_in_the_middle_of_a_run_is_made_before_what_reads_it(tiny, tmp_path):
    first = run(tiny, tmp_path / "s", generations=4)
    steps = prepare(tiny, tmp_path / "s", overrides={"generations": 4}).steps
    store = tmp_path / "s/stages"
    for step in steps:
        if step.arm.strategy == "greedy" and step.generation in (2, 4):
            (store / "samples" / step.samples / "samples.npy").unlink()
            (store / "record" / step.record / "record.json").unlink()
    again = run(tiny, tmp_path / "s", generations=4, workers=2)
    pd.testing.assert_frame_equal(comparable(first), comparable(again), check_exact=True)


def test_a_run_killed_while_it_makes_its_folder_is_no_obstacle(tiny, tmp_path):
    (tmp_path / "s").mkdir()
    (tmp_path / "s/.study.json.123").write_text("{")
    run(tiny, tmp_path / "s", generations=1)
    assert not (tmp_path / "s/.study.json.123").exists()


def test_records_of_another_configuration_are_gone_at_once(tiny, tmp_path):
    run(tiny, tmp_path / "s", generations=1)
    records = run_study(tiny, out=tmp_path / "s", generator={"name": "kde"}, generations=1)
    first = next(records)  # the new configuration's first record, and none of the old
    table = el.load_records(tmp_path / "s")
    records.close()
    same_seed = table[table["seed"] == first.seed]
    assert set(same_seed["entropy_samples"]) == {first.entropy_samples}
    assert set(table["seed"]) == {first.seed}


def test_the_table_may_be_behind_while_a_study_runs_and_is_complete_when_it_stops(
    tiny, tmp_path, monkeypatch
):
    monkeypatch.setattr(collected, "SHARE", 1e-9)  # of the time: no second write before the end
    made = run_study(tiny, out=tmp_path / "s", engine=Here())
    stopped = frame([next(made), next(made)])
    assert el.load_study(tmp_path / "s").records.empty
    assert sum(len(run) for run in el.load_study(tmp_path / "s").runs) == 2
    made.close()
    stored = comparable(el.load_records(tmp_path / "s"))
    pd.testing.assert_frame_equal(stored, comparable(stopped))


def test_a_standard_metric_may_be_named_as_extra(tiny, tmp_path):
    table = run(tiny, tmp_path / "s", **{"metrics.extra": ["frechet_distance"], "generations": 1})
    assert list(table.columns) == COLUMNS


def test_extra_metrics_are_columns_of_their_own(tiny, tmp_path):
    table = run(tiny, tmp_path / "s", **{"metrics.extra": ["auth_pct"], "generations": 1})
    assert table["auth_pct"].between(0, 100).all()


def test_real_arrays_run_as_digits_do(tiny, tmp_path, rng):
    np.save(tmp_path / "x.npy", rng.standard_normal((80, 5)))
    data = {"source": "arrays", "path": str(tmp_path / "x.npy"), "n_train": 24, "n_reference": 30}
    table = run({**tiny, "data": data}, tmp_path / "s")
    assert len(table) == 12


def test_images_stay_uint8_through_the_loop(tiny, tmp_path, rng):
    np.save(tmp_path / "x.npy", rng.integers(0, 256, (80, 4, 4, 3)).astype(np.uint8))
    data = {"source": "arrays", "path": str(tmp_path / "x.npy"), "n_train": 24, "n_reference": 30}
    run({**tiny, "data": data}, tmp_path / "s")
    samples = next((tmp_path / "s/stages/samples").rglob("samples.npy"))
    assert np.load(samples, mmap_mode="r").dtype == np.uint8


def test_data_smaller_than_the_split_is_refused_before_anything_is_written(tiny, tmp_path):
    with pytest.raises(el.InputError, match=r"2030 is more than the 1797 rows"):
        run_study(tiny, out=tmp_path / "s", **{"data.n_train": 2000})
    assert not (tmp_path / "s").exists()


def test_a_reserve_too_small_for_fresh_is_refused_before_the_start(tiny, tmp_path):
    tiny["arms"][0] |= {"paradigm": "fresh", "paradigm_args": {"fraction": 1.0}}
    tiny["data"]["n_reference"] = 1740
    with pytest.raises(el.InputError, match=r"needs 48 fresh real rows, the reserve holds 33"):
        run_study(tiny, out=tmp_path / "s")
    assert not (tmp_path / "s").exists()


def test_the_folder_of_a_study_on_other_real_data_is_refused(tiny, tmp_path, rng):
    run(tiny, tmp_path / "s", generations=1)
    np.save(tmp_path / "x.npy", rng.standard_normal((80, 5)))
    data = {"source": "arrays", "path": str(tmp_path / "x.npy"), "n_train": 24, "n_reference": 30}
    with pytest.raises(el.InputError, match="other real data"):
        run_study({**tiny, "data": data}, out=tmp_path / "s")


SCRIPT = """
import entroloop as el
import json, sys
config = json.loads(sys.argv[1])
for record in el.run_study(config, out=sys.argv[2], workers=2):
    print(record.generation, flush=True)
"""


def test_a_plain_script_without_a_main_guard_works(tiny, tmp_path):
    script = tmp_path / "random.py"  # a name that would shadow a library if workers saw it
    script.write_text(SCRIPT)
    command = [sys.executable, "-P", str(script), json.dumps(tiny), str(tmp_path / "s")]
    answer = subprocess.run(command, capture_output=True, text=True, check=True)
    assert answer.stdout.count("\n") == 12


def start(tiny, out):
    command = [sys.executable, "-c", SCRIPT, json.dumps(tiny), str(out)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def end(parent):
    parent.kill()
    parent.wait()
    parent.stdout.close()


def wait_for_end(processes, seconds=20):
    gone, alive = psutil.wait_procs(processes, timeout=seconds)
    assert not alive, alive
    return gone


def test_workers_end_when_their_parent_is_killed(tiny, tmp_path):
    tiny["generations"] = 200
    parent = start(tiny, tmp_path / "s")
    parent.stdout.readline()
    workers = psutil.Process(parent.pid).children(recursive=True)
    assert len(workers) == 2
    end(parent)
    wait_for_end(workers)


def test_a_killed_worker_is_replaced_and_changes_no_record(tiny, tmp_path):
    tiny["generations"] = 8
    expected = run(tiny, tmp_path / "expected")
    out = tmp_path / "s"
    parent = start(tiny, out)
    parent.stdout.readline()
    for worker in psutil.Process(parent.pid).children():
        worker.kill()
    parent.communicate(timeout=120)
    assert parent.returncode == 0
    got = el.load_records(out)
    pd.testing.assert_frame_equal(comparable(expected), comparable(got), check_exact=True)


def kill_and_resume(config, tmp_path, expected, moments):
    """Kill the parent at each moment (seconds after its first record), then finish the study."""
    for number, moment in enumerate(moments):
        out = tmp_path / f"killed-{number}"
        parent = start(config, out)
        parent.stdout.readline()
        workers = psutil.Process(parent.pid).children(recursive=True)
        time.sleep(moment)
        end(parent)
        wait_for_end(workers)
        got = run(config, out)
        pd.testing.assert_frame_equal(comparable(expected), comparable(got), check_exact=True)
        stored = el.load_records(out)
        pd.testing.assert_frame_equal(comparable(expected), comparable(stored), check_exact=True)
        assert not list(out.glob(".tmp-*"))
        shutil.rmtree(out)


def test_a_killed_run_resumes_to_equal_records(tiny, tmp_path, rng):
    tiny["generations"] = 8
    expected = run(tiny, tmp_path / "expected")
    kill_and_resume(tiny, tmp_path, expected, rng.uniform(0, 0.5, 1))


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_a_killed_diffusion_study_resumes_to_equal_records_at_10_random_moments(tmp_path):
    seed = int.from_bytes(os.urandom(4), "little")
    print(f"moments drawn by seed {seed}")
    from entroloop.study.config import load_config

    config = load_config("digits", {"generator.steps": 60, "generations": 4, "seeds": [0, 1]})
    raw = config.model_dump(mode="json")
    began = time.monotonic()
    expected = run(raw, tmp_path / "expected")
    whole = time.monotonic() - began
    moments = np.random.default_rng(seed).uniform(0, 0.8 * whole, 10)
    kill_and_resume(raw, tmp_path, expected, moments)


def test_a_study_that_the_disk_has_no_room_for_is_refused_before_the_start(
    tiny, tmp_path, monkeypatch
):
    from collections import namedtuple

    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr("shutil.disk_usage", lambda place: usage(10**6, 10**6, 1000))
    with pytest.raises(el.InputError, match=r"MB are free there"):
        run(tiny, tmp_path / "s")
    assert not (tmp_path / "s").exists()


def test_the_disk_that_a_study_takes_is_estimated_within_a_factor_of_2(tiny, tmp_path):
    from entroloop.commands.prepare import prepare

    study = prepare(tiny, tmp_path / "s")
    estimate = study.bytes_to_write()
    run(tiny, tmp_path / "s")
    written = sum(p.stat().st_size for p in (tmp_path / "s" / "stages").rglob("*") if p.is_file())
    assert written / 2 < estimate < 2 * written


def test_a_study_hands_a_strategy_what_its_row_says_it_needs(tiny, tmp_path):
    from entroloop.distances.neighbors import nearest
    from entroloop.samples import concatenate
    from entroloop.seeding import seed_for
    from entroloop.study.history import History

    arms = [
        {"paradigm": "accumulate_subsample", "strategy": strategy, "oversample": 2}
        for strategy in ("ds3", "latent_space_filter", "top_quality")
    ]
    config = tiny | {"arms": arms, "seeds": [0]}
    assert len(run(config, tmp_path / "s", workers=1)) == 9
    study = prepare(config, tmp_path / "s")
    for step in study.steps[3:6]:  # generation 2
        history = History(step, study.built, study.store)
        candidates = concatenate([history.generation(0), history.generation(1)])
        real, made = history.real_train().data, history.generation(1).data
        own = nearest(real, real, 1, exclude_same_index=True).distances[:, 0]
        needed = {
            "ds3": {"reference": real},
            "latent_space_filter": {"real": candidates.provenance == 0},
            # No real row scores by itself.
            "top_quality": {"scores": -np.append(own, nearest(made, real).distances[:, 0])},
        }[step.arm.strategy]
        seed = seed_for(0, 2, "select")
        expected = el.select(candidates.data, 24, step.arm.strategy, seed=seed, **needed).indices
        found = history.training_set()
        assert np.array_equal(found.data, candidates.data[expected]), step.arm.strategy


def test_a_strategy_that_tells_real_rows_is_refused_where_there_are_none(tiny):
    arm = {"paradigm": "replace", "strategy": "latent_space_filter"}
    with pytest.raises(el.InputError, match="the paradigm replace has no real ones"):
        prepare(tiny | {"arms": [arm]})


@pytest.mark.parametrize(
    ("strategy", "argument"),
    [("ds3", "reference"), ("top_quality", "scores"), ("threshold_decay", "order"),
     ("greedy", "state")],
)  # fmt: skip
def test_an_argument_that_belongs_to_the_study_is_refused(tiny, strategy, argument):
    arm = {"paradigm": "accumulate_subsample", "strategy": strategy,
           "strategy_args": {argument: [1]}}  # fmt: skip
    with pytest.raises(el.InputError, match=f"unknown key '{argument}'"):
        prepare(tiny | {"arms": [arm]})
