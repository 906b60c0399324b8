import contextlib
import itertools
import json
import math
import os
import subprocess
import sys
import threading
import time
from io import BytesIO

import numpy as np
import pandas as pd
import pytest

import entroloop as el
from entroloop.samples import RealData, SampleSet
from entroloop.store import stages
from entroloop.store.folder import Store, write_atomically
from entroloop.store.records import COLUMNS, from_json, load_records, to_json
from entroloop.store.run_lists import OtherRun, RunList, other_runs, told


@pytest.fixture
def store(tmp_path):
    opened = Store(tmp_path / "s")
    opened.open("study", "real")
    yield opened
    opened.close()


def test_a_stage_is_there_whole_or_not_at_all(store):
    with pytest.raises(RuntimeError, match="boom"), store.commit("model", "k") as folder:
        (folder / "a").write_text("half")
        raise RuntimeError("boom")
    assert store.info("model", "k") is None
    assert not list(store.root.glob(".tmp-*"))
    with store.commit("model", "k", note=1) as folder:
        (folder / "a").write_text("whole")
    assert store.intact("model", "k")
    assert store.info("model", "k").about == {"note": 1}


def test_a_changed_byte_is_found(store):
    with store.commit("model", "k") as folder:
        (folder / "a").write_text("whole")
    (store.path("model", "k") / "a").write_text("whale")
    assert not store.intact("model", "k")
    store.discard("model", "k")
    assert store.info("model", "k") is None


def test_a_stage_that_another_process_made_first_is_kept(store):
    with store.commit("model", "k") as folder:
        (folder / "a").write_text("mine")
        with store.commit("model", "k") as other:
            (other / "a").write_text("first")
    assert (store.path("model", "k") / "a").read_text() == "first"
    assert store.intact("model", "k")


def test_more_samples_extend_fewer(store):
    store.add_samples("k", lambda: np.arange(6.0).reshape(3, 2))
    old, before = store.samples("k"), store.info("samples", "k").seconds
    store.add_samples("k", lambda: time.sleep(0.1) or np.full((2, 2), 9.0))
    assert store.info("samples", "k").seconds >= before + 0.1
    assert store.samples("k").tolist() == [[0, 1], [2, 3], [4, 5], [9, 9], [9, 9]]
    assert old.tolist() == [[0, 1], [2, 3], [4, 5]]  # a reader keeps what it opened
    assert store.intact("samples", "k")


def test_a_crash_while_samples_are_extended_leaves_the_stage_intact(store, monkeypatch):
    store.add_samples("k", lambda: np.zeros((3, 2)))
    calls = []
    for crash_at in range(6):
        real_replace = os.replace

        def crash(source, target, stop=crash_at, real_replace=real_replace):
            calls.append(target)
            if len(calls) > stop:
                raise KeyboardInterrupt
            real_replace(source, target)

        calls.clear()
        monkeypatch.setattr(os, "replace", crash)
        with contextlib.suppress(KeyboardInterrupt):
            store.add_samples("k", lambda: np.ones((1, 2)))
        monkeypatch.undo()
        assert store.intact("samples", "k"), crash_at
    assert store.samples("k").max() == 1


def test_a_folder_is_locked_against_a_second_run(store):
    with pytest.raises(el.InputError, match="in use by another entroloop process"):
        Store(store.root).open("study", "real")


def test_the_lock_goes_when_its_process_is_killed(tmp_path):
    code = (
        "import sys, os, signal; from entroloop.store.folder import Store; "
        f"Store({str(tmp_path / 's')!r}).open('study', 'real'); "
        "os.kill(os.getpid(), signal.SIGKILL)"
    )
    subprocess.run([sys.executable, "-c", code], check=False)
    again = Store(tmp_path / "s")
    again.open("study", "real")
    again.close()


@pytest.mark.parametrize(
    ("name", "real", "message"),
    [("other", "real", "holds the study 'study', not 'other'"), ("study", "x", "other real data")],
)
def test_a_folder_of_another_study_is_refused(store, name, real, message):
    with pytest.raises(el.InputError, match=message):
        Store(store.root).check(name, real)


def test_a_folder_with_something_else_is_refused_and_left_alone(tmp_path):
    (tmp_path / "thesis.txt").write_text("mine")
    with pytest.raises(el.InputError, match="holds something else than a study"):
        Store(tmp_path).open("study", "real")
    assert [p.name for p in tmp_path.iterdir()] == ["thesis.txt"]


def test_what_a_crash_left_is_cleared_at_the_next_start(tmp_path):
    first = Store(tmp_path / "s")
    first.open("study", "real")
    (tmp_path / "s" / ".tmp-1-2").mkdir()
    (tmp_path / "s" / ".tmp-1-2" / "half").write_text("x")
    first.close()
    again = Store(tmp_path / "s")
    again.open("study", "real")
    assert not list((tmp_path / "s").glob(".tmp-*"))
    again.close()


def test_a_file_is_replaced_at_once(tmp_path):
    file = tmp_path / "x.json"
    write_atomically(file, json.dumps({"a": 1}))
    write_atomically(file, json.dumps({"a": 2}))
    assert json.loads(file.read_text()) == {"a": 2}
    assert [p.name for p in tmp_path.iterdir()] == ["x.json"]


def test_records_that_are_replaced_while_they_are_read_are_those_of_one_moment(tmp_path):
    path, contents = tmp_path / "records.parquet", []
    for n in (5, 50, 200):
        buffer = BytesIO()
        table = pd.DataFrame({name: np.zeros(n) for name in COLUMNS})
        table["n_train"], table["share_by_generation"] = n, [[1.0]] * n
        table.to_parquet(buffer, index=False)
        contents.append(buffer.getvalue())
    write_atomically(path, contents[0])
    stop = threading.Event()

    def write():
        for content in itertools.cycle(contents):
            write_atomically(path, content)
            if stop.is_set():
                return

    writer = threading.Thread(target=write)
    writer.start()
    try:
        seen = [load_records(tmp_path) for _ in range(100)]
    finally:
        stop.set()
        writer.join()
    assert all((table["n_train"] == len(table)).all() for table in seen)
    assert len({len(table) for table in seen}) > 1


def test_numbers_that_json_lacks_come_back_and_no_others_are_noted():
    values = {"a": math.inf, "b": -math.inf, "c": 0.5, "d": 3, "e": "text", "f": None}
    text = to_json(values)
    assert json.loads(text) == values | {"a": None, "b": None, "notes": {"a": "inf", "b": "-inf"}}
    assert from_json(text) == values
    assert "notes" not in json.loads(to_json({"c": 0.5}))


def test_a_generation_of_several_other_configurations_is_found_once():
    first, second, third = ({"record": name} for name in "abc")
    runs = RunList([first], [first], [[first, second], [first, second, third]])
    assert other_runs({("arm", 0): runs}) == [
        OtherRun("arm", 0, [2], [second]), OtherRun("arm", 0, [3], [third])
    ]  # fmt: skip


def test_runs_of_one_generation_are_told_in_the_singular():
    assert told([OtherRun("a", 1, [3], [])]) == "a (seed 1; generation 3)"
    both = [OtherRun("a", 1, [2], []), OtherRun("a", 2, [1, 2], []), OtherRun("b", 0, [1], [])]
    assert told(both) == "a (seeds 1, 2; generations 1–2), b (seed 0; generation 1)"


@pytest.mark.parametrize("classes", [(), (0.0, 1.0)])
def test_a_training_set_has_labels_where_each_of_its_rows_has_one(store, classes, monkeypatch):
    real = RealData(np.arange(8.0).reshape(4, 2), np.array([3, 4, 5, 6]))
    monkeypatch.setattr(stages, "read_real", lambda _: real)
    store.add_samples(
        "g1", lambda: -np.arange(6.0).reshape(3, 2), seed=0, generation=1, class_shares=classes
    )
    table = pd.DataFrame({"generation": [0, 1, 0], "source_index": [3, 2, 0]})
    for key, rows in (("real", table[::2]), ("both", table)):
        with store.commit("training_set", key) as folder:
            rows.to_parquet(folder / "training_set.parquet")
    alone = stages.read_training_set(store, "real", ["g1"])
    assert alone.labels.tolist() == [6, 3]
    both = stages.read_training_set(store, "both", ["g1"])
    assert both.data.tolist() == [[6, 7], [-4, -5], [0, 1]]
    assert (both.labels.tolist() if classes else both.labels) == ([6, 1, 3] if classes else None)


def test_a_training_set_without_picks_has_neither_ranks_nor_radii():
    whole = stages.TrainingSet.whole(SampleSet(np.zeros((3, 2)), *np.zeros((2, 3), int)))
    assert whole.pick_rank.tolist() == [-1, -1, -1]
    assert np.isnan(whole.radius).all()
