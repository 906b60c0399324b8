"""Trackers: read back by their own libraries, they hold every record once; none ends a study."""

from __future__ import annotations

import warnings

import pytest

import entroloop as el
from entroloop.commands.prepare import prepare
from entroloop.errors import Notice
from entroloop.store.records import read_record
from entroloop.trackers.log import tracked_values
from here import Here


@pytest.fixture(scope="module")
def tiny():
    return {
        "name": "tiny",
        "data": {"source": "digits", "n_train": 24, "n_reference": 30},
        "generator": {"name": "gaussian"},
        "generations": 2,
        "seeds": [3],
        "metrics": {"unselected": 0},
        "arms": [
            {"paradigm": "replace", "strategy": "random"},
            {"paradigm": "accumulate", "strategy": "random"},
        ],
    }


def read_tensorboard(folder):
    """Return {arm: {column: [(generation, value), …]}}."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    found = {}
    for run in (folder / "tensorboard").glob("*/seed-3-*"):
        events = EventAccumulator(str(run))
        events.Reload()
        found[run.parent.name] = {
            name: [(e.step, e.value) for e in events.Scalars(name)]
            for name in events.Tags()["scalars"]
        }
    return found


def wandb_records(file, block=32768):
    """Yield the records of a W&B file: a header of 7 bytes, then LevelDB's log format: blocks of
    fragments (checksum 4, length 2, type 1: full, first, middle, last).
    """
    from wandb.proto.wandb_internal_pb2 import Record

    content, at, parts = file.read_bytes(), 7, b""
    while at + 7 <= len(content):
        if block - at % block < 7:  # the rest of a block is padding
            at += block - at % block
            continue
        length, kind = int.from_bytes(content[at + 4 : at + 6], "little"), content[at + 6]
        parts += content[at + 7 : at + 7 + length]
        at += 7 + length
        if kind in (1, 4):
            record = Record()
            record.ParseFromString(parts)
            yield record
            parts = b""


def read_wandb(folder):
    import json

    found: dict = {}
    for file in sorted((folder / "wandb").rglob("*.wandb")):
        arm = ""
        for record in wandb_records(file):
            kind = record.WhichOneof("record_type")
            arm = record.run.run_group if kind == "run" else arm
            if kind == "history":
                row = {
                    item.key or ".".join(item.nested_key): json.loads(item.value_json)
                    for item in record.history.item
                }
                for name in row:
                    if not name.startswith("_"):
                        curve = found.setdefault(arm, {}).setdefault(name, [])
                        curve.append((row["_step"], row[name]))
    return found


def read_mlflow(folder):
    from mlflow.tracking import MlflowClient

    client = MlflowClient(tracking_uri=f"sqlite:///{folder / 'mlflow' / 'mlflow.db'}")
    experiment = client.get_experiment_by_name("tiny").experiment_id
    found = {}
    for run in client.search_runs([experiment]):
        assert run.info.status == "FINISHED"
        found[run.data.params["name"]] = {
            name: [(m.step, m.value) for m in client.get_metric_history(run.info.run_id, name)]
            for name in run.data.metrics
        }
    return found


READERS = {"tensorboard": read_tensorboard, "wandb": read_wandb, "mlflow": read_mlflow}


@pytest.fixture(scope="module")
def tracked(tiny, tmp_path_factory):
    """Return the folder of a study that began without trackers and went on with them, twice, and
    its records as curves: {arm: {column: [(generation, value), …]}}.
    """
    from importlib.util import find_spec

    folder = tmp_path_factory.mktemp("tracked") / "s"
    names = [name for name in READERS if find_spec(name)]
    with pytest.MonkeyPatch.context() as patch, warnings.catch_warnings():
        patch.setenv("WANDB_MODE", "online")  # nothing leaves the machine whatever is set
        patch.setenv("WANDB_API_KEY", "0" * 40)
        patch.setenv("WANDB_BASE_URL", "http://127.0.0.1:9")
        patch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
        warnings.simplefilter("ignore")  # the libraries' own
        warnings.simplefilter("error", Notice)
        for generations, trackers in ((1, []), (2, names), (3, names)):
            options = {"generations": generations, "trackers": trackers}
            list(el.run_study(tiny, folder, engine=Here(), device="cpu", **options))
    study = prepare(tiny, folder, device="cpu", overrides={"generations": 3})
    expected: dict = {}
    for step in study.steps:
        values = tracked_values(read_record(study.store, *step.identity, step.keys()))
        for column, value in values.items():
            curve = expected.setdefault(step.arm.name, {}).setdefault(column, [])
            curve.append((step.generation, value))
    return folder, expected


@pytest.mark.filterwarnings("ignore")  # the libraries' own
@pytest.mark.parametrize("name", READERS)
def test_a_tracker_holds_every_record_once_also_after_a_study_went_on(name, tracked):
    pytest.importorskip(name)
    folder, expected = tracked
    found = READERS[name](folder / "trackers")
    assert found.keys() == expected.keys() == {"replace-random", "accumulate-random"}
    for arm, curves in expected.items():
        assert found[arm].keys() == curves.keys(), arm
        for column, curve in curves.items():
            assert [g for g, _ in found[arm][column]] == [g for g, _ in curve], (arm, column)
            for (_, value), (_, wanted) in zip(found[arm][column], curve, strict=True):
                assert value == pytest.approx(wanted, rel=1e-6), (arm, column)


def test_a_tracker_that_fails_is_told_once_and_the_others_go_on(tiny, tmp_path, monkeypatch):
    from entroloop import trackers

    class Failing:
        def __init__(self, folder):
            self.calls = 0

        def log(self, run, generation, values):
            self.calls += 1
            assert self.calls == 1, "called again after it failed"
            raise ConnectionError("no\nanswer")

        def close(self):
            raise AssertionError("closed after it failed")

    class Kept(Failing):
        got: list = []  # noqa: RUF012

        def log(self, run, generation, values):
            self.got.append((run.arm, run.seed, generation, values["frechet_distance"]))

        def close(self):
            raise OSError("disk full")

    monkeypatch.setattr(trackers, "find_spec", lambda name: True)
    monkeypatch.setattr("entroloop.trackers.tensorboard.TensorBoard", Failing)
    monkeypatch.setattr("entroloop.trackers.mlflow.MLflow", Kept)
    with pytest.warns(Notice) as told:
        records = list(
            el.run_study(
                tiny, tmp_path / "s", workers=1, device="cpu", trackers=["tensorboard", "mlflow"]
            )
        )
    assert [str(w.message).split(":")[0] for w in told] == [
        "the tracker tensorboard failed and gets no more records",
        "the tracker mlflow failed and gets no more records",
    ]
    assert "no answer" in str(told[0].message)
    assert Kept.got == [(r.arm, r.seed, r.generation, r.frechet_distance) for r in records]
    assert len(records) == 4


def test_trackers_change_no_key(tiny, tmp_path):
    pytest.importorskip("tensorboard")
    plain, tracked = (
        prepare(tiny, tmp_path / "s", device="cpu", overrides={"trackers": names}).steps
        for names in ([], ["tensorboard"])
    )
    assert plain == tracked


def test_trackers_that_cannot_be_used_are_refused_before_anything_is_written(
    tiny, tmp_path, monkeypatch
):
    from entroloop import trackers

    for names, message in [
        (["tensorbord"], "unknown tracker 'tensorbord'; did you mean 'tensorboard'"),
        ("wandb", "trackers in the configuration"),
    ]:
        with pytest.raises(el.InputError, match=message):
            list(el.run_study(tiny, tmp_path / "s", trackers=names))
    monkeypatch.setattr(trackers, "find_spec", lambda name: None)
    with pytest.raises(el.InputError, match=r"pip install 'entroloop\[wandb\]'"):
        list(el.run_study(tiny, tmp_path / "s", trackers=["wandb"]))
    monkeypatch.setattr(trackers, "find_spec", lambda name: True)
    with pytest.raises(el.InputError, match="need a folder"):
        list(el.run_study(tiny, "memory://bucket/s", trackers=["wandb"]))
    assert not (tmp_path / "s").exists()


def test_a_tracker_without_a_place_for_its_files_ends_no_study(tiny, tmp_path, entroloop_here):
    pytest.importorskip("tensorboard")
    options = {"workers": 1, "device": "cpu", "generations": 1}
    records = list(el.run_study(tiny, tmp_path / "s", **options))
    values = tracked_values(records[0])  # finite numbers alone
    assert values["frechet_distance"] == records[0].frechet_distance
    assert not {"arm", "seed", "generation", "taken", "share_by_generation"} & values.keys()
    assert "generalization_score_unselected" not in values  # NaN: not measured here

    (tmp_path / "s" / "trackers").write_text("a file where a folder should be")
    with pytest.warns(Notice, match="the tracker tensorboard failed") as told:
        again = list(el.run_study(tiny, tmp_path / "s", **options, trackers=["tensorboard"]))
    assert [r.frechet_distance for r in again] == [r.frechet_distance for r in records]
    assert (tmp_path / "s" / "trackers").read_text() == "a file where a folder should be"

    entroloop_here("presets")  # the command line shows such a warning as one line
    shown = warnings.formatwarning(told[0].message, Notice, "file.py", 7)
    assert shown == f"entroloop: {told[0].message}\n"
