"""Study folders that were changed, cut, lost in part, or written by somebody else."""

import json
import shutil

import numpy as np
import pytest

import entroloop as el
from entroloop.commands.doctor import examine
from entroloop.commands.prepare import prepare
from entroloop.commands.run import run_study
from entroloop.features.cached import through_cache
from entroloop.selection.checkpoint import Checkpoint
from entroloop.store import object_store
from entroloop.store.folder import Store
from entroloop.store.object_store import store_at
from entroloop.store.stage_info import StageInfo
from entroloop.system.seal import sealed, unsealed
from here import Here

ESCAPES = ["../../../x", "/x", "a/../../x", "./x", "a//x", "", "..", "C:x", "a\\x", "a\nb", "a\0b",
           "stage.json"]  # fmt: skip
SUM = "0" * 64
STUDY = {
    "name": "tiny", "generations": 2, "seeds": [0], "generator": {"name": "gaussian"},
    "data": {"source": "digits", "n_train": 24, "n_reference": 30},
    "arms": [{"paradigm": "replace", "strategy": "random"},
             {"paradigm": "accumulate_subsample", "strategy": "greedy", "oversample": 2}],
}  # fmt: skip


def stage(files, **changes):
    return json.dumps({"files": files, "seconds": 1.0, "peak_mb": 1.0, "about": {}} | changes)


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A finished study and its folder."""
    folder = tmp_path_factory.mktemp("finished") / "s"
    return list(run_study(STUDY, out=folder, engine=Here())), folder


@pytest.fixture
def study(finished, tmp_path):
    """A finished study, a copy of its folder, and its records."""
    records, folder = finished
    shutil.copytree(folder, tmp_path / "s")
    return STUDY, tmp_path / "s", records


def again(tiny, folder):
    return list(run_study(tiny, out=folder, engine=Here()))


def same(a, b):
    """Whether records agree in all but times, memory and the order in which they were made."""

    def plain(record):
        kept = {k: v for k, v in vars(record).items() if "seconds" not in k and "peak" not in k}
        return sorted(map(str, kept.items()))

    return sorted(map(plain, a)) == sorted(map(plain, b))


@pytest.mark.parametrize("name", ESCAPES)
def test_a_stage_that_lists_files_elsewhere_is_refused_before_anything_is_written(name):
    with pytest.raises(el.InputError, match=r"which is no file of that folder"):
        StageInfo.from_json(stage({name: [SUM]}), "s")


@pytest.mark.parametrize(
    "text",
    ["", "{", "[]", "null", "3", "{}", stage({}), stage([]), stage({"a": []}), stage({"a": ["x"]}),
     stage({"a": SUM}), stage({"a": [3]}), stage({"a": [SUM]}, seconds="x"),
     stage({"a": [SUM]}, more=1), stage({"a": [SUM]}, about=3), "[" * 5000,
     sealed(json.loads(stage({"a": [SUM]}))).replace("1.0", "2.0", 1)],
)  # fmt: skip
def test_a_stage_json_that_is_not_what_was_written_means_no_stage(text):
    assert StageInfo.from_json(text, "s") is None


def test_a_stage_of_an_earlier_version_without_a_checksum_is_still_read():
    assert StageInfo.from_json(stage({"a/b.npy": [SUM]}), "s").files == {"a/b.npy": [SUM]}


def test_a_hostile_bucket_writes_nothing_outside_the_mirror(tmp_path, monkeypatch):
    monkeypatch.setenv("ENTROLOOP_CACHE", str(tmp_path / "cache/deep"))
    monkeypatch.setattr(object_store, "SETTLE", 0.0)
    url = f"local://{tmp_path}/bucket/s"
    list(run_study(STUDY, out=url, engine=Here()))
    bucket = tmp_path / "bucket/s"
    key = next((bucket / "stages/model").iterdir())
    info = json.loads((key / "stage.json").read_text())
    info.pop("checksum")
    info["files"] = {"../../../../../../planted": [SUM], **info["files"]}
    (key / "stage.json").write_text(json.dumps(info))
    (tmp_path / "bucket/planted").write_text("x")
    monkeypatch.setenv("ENTROLOOP_CACHE", str(tmp_path / "cache/other"))
    before = {p for p in tmp_path.rglob("*") if "cache" not in p.parts}
    with pytest.raises(el.InputError, match="no file of that folder"):
        list(run_study(STUDY, out=url, engine=Here()))
    assert {p for p in tmp_path.rglob("*") if "cache" not in p.parts} <= before
    assert not list((tmp_path / "cache").rglob("planted"))


@pytest.mark.parametrize("key", ["../../../x", "a/b", "", "x" * 99, 3, None])
@pytest.mark.parametrize("place", ["generations", "planned", "others"])
def test_a_run_list_that_names_no_stages_is_told_and_clears_nothing(study, key, place):
    _, folder, _ = study
    (folder.parent / "x").mkdir()
    listed = next((folder / "arms").glob("*/seed-0.json"))
    content = json.loads(listed.read_text())
    planted = [{"record": key}]
    content[place] = [planted] if place == "others" else planted
    listed.write_text(json.dumps(content))
    with pytest.raises(el.InputError, match="cannot be read as a list of stages"):
        examine(folder)
    assert (folder.parent / "x").exists()


def damaged(file, how, elsewhere):
    """Damage a file of a stage."""
    content = file.read_bytes()
    if how == "emptied":
        file.write_bytes(b"")
    elif how == "cut":
        file.write_bytes(content[: len(content) // 2])
    elif how == "changed":
        file.write_bytes(bytes([content[0] ^ 1]) + content[1:])
    elif how == "removed":
        file.unlink()
    elif how == "linked":
        file.rename(elsewhere)
        file.symlink_to(elsewhere)
    else:
        (file.parent / "stage.json").write_text("{")


@pytest.mark.parametrize("how", ["emptied", "cut", "changed", "removed", "linked", "stage.json"])
def test_whatever_happens_to_stages_the_same_command_mends_them(study, how, tmp_path):
    tiny, folder, records = study
    harmed = []
    for kind in ("real", "training_set", "model", "samples", "record"):
        place = max((folder / "stages" / kind).iterdir())
        file = max(p for p in place.iterdir() if p.name != "stage.json")
        damaged(file, how, tmp_path / f"elsewhere-{kind}")
        harmed.append((kind, place.name))
    assert examine(folder).damaged == harmed
    assert same(again(tiny, folder), records)
    assert examine(folder).is_whole
    kept = sorted(p.name.split("-")[0] for p in (folder / "quarantine").iterdir())
    assert kept == sorted(kind for kind, _ in harmed)


def test_files_of_others_within_a_stage_stay_and_are_told(study):
    tiny, folder, records = study
    place = next((folder / "stages/model").iterdir())
    (place / ".DS_Store").write_text("x")
    (folder / "stages/model/notes.txt").write_text("y")
    assert same(again(tiny, folder), records)
    found = examine(folder)
    assert found.is_whole
    assert sorted(found.unlisted) == sorted([
        f"stages/model/{place.name}/.DS_Store", "stages/model/notes.txt",
    ])  # fmt: skip
    assert (place / ".DS_Store").exists()


def test_doctor_tells_what_is_lost_or_unreadable_and_repair_moves_it_aside(study):
    tiny, folder, records = study
    shutil.rmtree(folder / "stages/model")
    (folder / "records.parquet").write_bytes(b"junk")
    (folder / "config.json").write_text("{]")
    found = examine(folder)
    assert {kind for kind, _ in found.lost} == {"model"}
    assert sorted(found.unreadable) == ["config.json", "records.parquet"]
    assert not found.is_whole
    moved = found.repair()
    assert sorted(p.rpartition("/")[2].rpartition("-")[0] for p in moved) == [
        "config.json", "records.parquet",
    ]  # fmt: skip
    assert same(again(tiny, folder), records)
    assert examine(folder).is_whole


@pytest.mark.parametrize("damage", ["lost", "cut"])
def test_a_folder_whose_study_json_is_gone_is_mended_by_repair(study, damage, entroloop_here):
    tiny, folder, records = study
    if damage == "lost":
        (folder / "study.json").unlink()
    else:
        (folder / "study.json").write_text('{"stu')
    with pytest.raises(el.InputError, match="doctor DIR --repair"):
        prepare(tiny, folder)
    answer = entroloop_here("doctor", folder, "--repair")
    assert answer.returncode == 0, answer.stderr
    trained = prepare(tiny, folder)
    assert trained.missing["model"] == 0
    assert same(again(tiny, folder), records)


def test_repair_needs_a_folder(entroloop_here):
    answer = entroloop_here("doctor", "--repair")
    assert answer.returncode == 2
    assert "need DIR" in answer.stderr


@pytest.mark.parametrize("place", ["head", "middle", "end", "cut", "empty"])
def test_cached_features_that_were_changed_are_computed_again(place, tmp_path, monkeypatch):
    monkeypatch.setenv("ENTROLOOP_CACHE", str(tmp_path))
    images = np.arange(48, dtype=np.uint8).reshape(4, 2, 2, 3)
    expected = np.arange(8.0, dtype=np.float32).reshape(4, 2)
    assert through_cache("x", images, lambda: expected) is expected
    file = next((tmp_path / "features").glob("*.npy"))
    content = bytearray(file.read_bytes())
    if place in ("cut", "empty"):
        content = content[: -9 if place == "cut" else 0]
    else:
        at = {"head": 0, "middle": len(content) // 2, "end": len(content) - 1}[place]
        content[at] ^= 1
    file.write_bytes(content)
    calls = []
    found = through_cache("x", images, lambda: calls.append(1) or expected)
    assert calls == [1]
    np.testing.assert_array_equal(found, expected)
    again = through_cache("x", images, lambda: pytest.fail("the cache holds it"))
    np.testing.assert_array_equal(again, expected)


def test_a_selection_checkpoint_that_was_changed_is_not_believed(tmp_path):
    Checkpoint(tmp_path / "c", {"n": 3}).finish([1, 2, 3], [0.5, 0.4, 0.3], 0)
    assert Checkpoint(tmp_path / "c", {"n": 3}).indices == [1, 2, 3]
    content = bytearray((tmp_path / "c").read_bytes())
    for at in range(0, len(content), 37):
        changed = bytearray(content)
        changed[at] ^= 4
        (tmp_path / "c").write_bytes(changed)
        with pytest.raises(el.InputError, match="no checkpoint of a selection"):
            Checkpoint(tmp_path / "c", {"n": 3})


def test_a_seal_is_broken_by_every_change_of_a_value():
    text = sealed({"step": 12, "name": "a", "sum": 0.5})
    assert unsealed(text) == {"step": 12, "name": "a", "sum": 0.5}
    for old, new in (("12", "13"), ('"a"', '"b"'), ("0.5", "0.25"), ('"step"', '"stop"')):
        assert unsealed(text.replace(old, new, 1)) is None
    assert unsealed('{"step": 12}') is None
    assert unsealed('{"step": 12}', required=False) == {"step": 12}


def test_a_hostile_local_stage_stops_the_run_in_one_line(study):
    tiny, folder, _ = study
    place = next((folder / "stages/model").iterdir())
    (place / "stage.json").write_text(stage({"../../../x": [SUM]}))
    with pytest.raises(el.InputError, match="no file of that folder"):
        prepare(tiny, folder)
    assert examine(folder).damaged == [("model", place.name)]
    examine(folder).repair()
    assert Store(folder).info("model", place.name) is None
    assert store_at(folder).identity()
