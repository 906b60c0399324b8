"""Killed, or out of disk space, at every moment at which anything is written: nothing is lost.

A study, a selection and a cache run in a child process in which the k-th opening, renaming,
flushing or removal of a file ends the process as SIGKILL does, with no cleaning up, or fails for
lack of space; for every k. Then the same call runs undisturbed, and must give what a run gives that
nothing ever disturbed.
"""

import builtins
import errno
import io
import os
import shutil
import traceback

import numpy as np
import pytest

import entroloop as el
from entroloop.commands import collected
from entroloop.commands.doctor import examine
from entroloop.commands.run import run_study
from entroloop.commands.select import select_files
from entroloop.commands.select_request import Request
from entroloop.features.cached import through_cache
from entroloop.store import object_store
from here import Here

STUDY = {
    "name": "tiny", "generations": 2, "seeds": [0], "generator": {"name": "gaussian"},
    "data": {"source": "digits", "n_train": 24, "n_reference": 30}, "metrics": {"unselected": 8},
    "arms": [{"paradigm": "accumulate_subsample", "strategy": "greedy", "oversample": 2}],
}  # fmt: skip
CALLS = {"full": ("replace", "rename", "fsync", "mkdir")}  # removing needs no space
CALLS["kill"] = (*CALLS["full"], "unlink", "rmdir", "remove")
KILLED, REFUSED, DEFECT, SURVIVED = 137, 3, 4, 5  # how a child ends; 0: it made no k-th call


@pytest.fixture(autouse=True)
def _table_of_records_at_every_record(monkeypatch):
    """Have the table written as often as it can be, so that faults meet every such write."""
    monkeypatch.setattr(collected, "SHARE", float("inf"))


def in_a_child(work, at, fault):
    """Run work in a child process with a fault at its at-th call; return how it ended."""
    child = os.fork()
    if child:
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    count = 0

    def counted(function, path_of=lambda *_, **__: True):
        def call(*arguments, **options):
            nonlocal count
            if path_of(*arguments, **options):
                count += 1
                if count == at:
                    if fault == "kill":
                        os._exit(KILLED)
                    raise OSError(errno.ENOSPC, "No space left on device", str(arguments[0]))
            return function(*arguments, **options)

        return call

    def writes(file, mode="r", *rest, **options):
        return any(letter in mode for letter in "wxa+")

    for name in CALLS[fault]:
        setattr(os, name, counted(getattr(os, name)))
    builtins.open = io.open = counted(io.open, writes)
    try:
        work()
        os._exit(0 if count < at else SURVIVED)
    except el.InputError as error:
        os._exit(REFUSED if "\n" not in str(error) else DEFECT)
    except OSError as error:  # the command line makes one line of it
        os._exit(REFUSED if error.errno == errno.ENOSPC else DEFECT)
    except BaseException:
        traceback.print_exc()
        os._exit(DEFECT)


def plain(records):
    return [
        str({k: v for k, v in vars(r).items() if "seconds" not in k and "peak" not in k})
        for r in sorted(records, key=lambda r: r.generation)
    ]


def through_all_faults(work, fault, stride, check):
    """Run work with a fault at each call of a stride; return how many calls there are."""
    for k in range(1, 10**6, stride):
        ended = in_a_child(lambda k=k: work(k), k, fault)
        assert ended != DEFECT, f"{fault} at call {k}"
        assert check(k), f"{fault} at call {k}"
        if ended == 0:
            return k
    return 0


@pytest.mark.parametrize("fault", ["kill", "full"])
@pytest.mark.parametrize(
    "stride", [pytest.param(41, id="some"), pytest.param(1, id="every", marks=pytest.mark.slow)]
)
def test_a_study_that_stops_at_any_write_goes_on_to_the_same_records(fault, stride, tmp_path):
    whole = plain(run_study(STUDY, out=tmp_path / "whole", engine=Here()))
    seen = []

    def work(k):
        list(run_study(STUDY, out=tmp_path / f"s{k}", engine=Here()))

    def check(k):
        folder = tmp_path / f"s{k}"
        again = plain(run_study(STUDY, out=folder, engine=Here()))
        left = [p.name for p in folder.iterdir() if p.name.startswith(".tmp")]
        seen.append(k)
        return again == whole and examine(folder).is_whole and not left

    # 100 % of the calls is more than 60: opening, stages, lists, tables.
    assert through_all_faults(work, fault, stride, check) > 60
    assert len(seen) > 60 / stride


@pytest.mark.parametrize("machine", ["the same", "another"])
@pytest.mark.parametrize(
    "stride", [pytest.param(97, id="some"), pytest.param(1, id="every", marks=pytest.mark.slow)]
)
def test_a_study_in_an_object_store_that_is_killed_at_any_upload_goes_on(
    machine, stride, tmp_path, monkeypatch
):
    monkeypatch.setattr(object_store, "SETTLE", 0.0)
    monkeypatch.setattr(object_store, "BEAT", 0.002)
    monkeypatch.setattr(object_store, "ABANDONED", 0.0)
    whole = plain(run_study(STUDY, out=tmp_path / "whole", engine=Here()))

    def work(k):
        monkeypatch.setenv("ENTROLOOP_CACHE", str(tmp_path / f"cache{k}"))
        return plain(run_study(STUDY, out=f"local://{tmp_path}/bucket/s{k}", engine=Here()))

    def check(k):
        if machine == "another":
            shutil.rmtree(tmp_path / f"cache{k}", ignore_errors=True)
        return work(k) == whole

    assert through_all_faults(work, "kill", stride, check) > 100


@pytest.mark.parametrize("fault", ["kill", "full"])
def test_a_selection_that_stops_at_any_write_is_made_by_the_same_command(fault, tmp_path):
    rng = np.random.default_rng(0)
    np.save(tmp_path / "pool.npy", rng.standard_normal((300, 5)))
    expected = el.select(np.load(tmp_path / "pool.npy"), 40).indices.tolist()

    def request(k):
        return Request(pools=[str(tmp_path / "pool.npy")], n=40, out=tmp_path / f"o{k}")

    def check(k):
        select_files(request(k))
        import pandas as pd

        table = pd.read_parquet(tmp_path / f"o{k}/selection.parquet")
        names = {p.name for p in (tmp_path / f"o{k}").iterdir()}
        assert names == {"selection.parquet", "summary.json", ".entroloop-manifest.json"}
        return table["index"].tolist() == expected

    assert through_all_faults(lambda k: select_files(request(k)), fault, 1, check) > 8


@pytest.mark.parametrize("fault", ["kill", "full"])
def test_a_cache_that_stops_at_any_write_costs_time_alone(fault, tmp_path, monkeypatch):
    monkeypatch.setenv("ENTROLOOP_CACHE", str(tmp_path / "cache"))
    features = np.arange(6.0, dtype=np.float32).reshape(3, 2)

    def images(k):
        return np.full((3, 2, 2, 1), k, dtype=np.uint8)

    def use(k):
        np.testing.assert_array_equal(through_cache("x", images(k), lambda: features), features)

    def check(k):
        use(k)
        use(k)
        return True

    assert through_all_faults(use, fault, 1, check) > 1


def test_a_loss_that_is_no_number_ends_its_run_and_the_others_go_on(tmp_path):
    broken = {"name": "mlp_diffusion", "lr": 1e30, "steps": 20, "width": 32}
    study = STUDY | {"generations": 3, "seeds": [0, 1], "arms": [
        {"name": "good", "strategy": "random"},
        {"name": "broken", "strategy": "random", "generator": broken},
    ]}  # fmt: skip
    made = []
    with pytest.raises(el.InputError) as told:
        made += run_study(study, out=tmp_path / "s", workers=1)
    assert str(told.value).startswith("arm 'broken', seed ")
    for words in ("generation 1: the training loss became nan at step", "lower generator.lr",
                  "(and 1 like it)", "4 generations after it were left out",
                  "everything else is made"):  # fmt: skip
        assert words in str(told.value)
    records = el.load_records(tmp_path / "s")
    assert set(zip(records["arm"], records["seed"], records["generation"], strict=True)) == {
        ("good", seed, generation) for seed in (0, 1) for generation in (1, 2, 3)
    }
