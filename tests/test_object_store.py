"""A study in an object store: the same stages, wherever they are made and from wherever read."""

import contextlib
import json
import os
import shutil
import subprocess
import sys
import threading
import time
from dataclasses import replace
from itertools import pairwise

import pandas as pd
import pytest

import entroloop as el
from entroloop.commands.prepare import prepare
from entroloop.store import object_store
from entroloop.store.folder import Store
from entroloop.store.object_store import ObjectStore, store_at
from here import Here

STUDY = {
    "name": "far", "generations": 2,
    "data": {"source": "digits", "n_train": 48, "n_reference": 48},
    "generator": {"name": "gaussian"},
    "arms": [{"paradigm": "replace", "strategy": "random"},
             {"paradigm": "replace", "strategy": "greedy", "oversample": 2}],
}  # fmt: skip


@pytest.fixture
def machine(tmp_path, monkeypatch):
    """Be another machine: one with a disk of its own."""

    def be(name):
        monkeypatch.setenv("ENTROLOOP_CACHE", str(tmp_path / f"cache-{name}"))

    be("a")
    return be


@pytest.fixture
def url(tmp_path):
    return f"local://{tmp_path}/bucket/study"


def run(out):
    return list(el.run_study(STUDY, out=out, device="cpu", engine=Here()))


def the_same(a, b):
    columns = [c for c in a.columns if not c.startswith(("seconds", "peak"))]
    pd.testing.assert_frame_equal(a[columns], b[columns], check_exact=True)


def missing(out):
    return prepare(STUDY, out, device="cpu").missing


def test_a_study_in_an_object_store_is_that_of_a_folder(tmp_path, machine, url):
    run(tmp_path / "folder")
    run(url)
    there = tmp_path / "bucket" / "study"
    names = [{str(p.relative_to(f)) for p in f.rglob("*") if p.is_file()}
             for f in (tmp_path / "folder", there)]  # fmt: skip
    local = {n for n in names[0] if not n.startswith((".", "logs"))}
    assert local == names[1]  # the lock is gone, too
    the_same(el.load_records(tmp_path / "folder"), el.load_records(there))
    the_same(el.load_records(tmp_path / "folder"), el.load_records(url))


def test_another_machine_goes_on_with_what_is_there(tmp_path, machine, url):
    stopped = el.run_study(STUDY, out=url, device="cpu", engine=Here())
    next(stopped)
    stopped.close()
    machine("b")
    before = missing(url)
    assert 0 < sum(before.values()) < sum(missing(tmp_path / "nothing").values())
    run(url)
    run(tmp_path / "folder")
    machine("c")
    assert not any(missing(url).values())
    the_same(el.load_records(tmp_path / "folder"), el.load_records(url))


def test_a_stage_that_is_damaged_there_is_made_again(tmp_path, machine, url):
    run(url)
    [samples, *_] = (tmp_path / "bucket").rglob("samples.npy")
    good = samples.read_bytes()
    samples.write_bytes(good[:-8] + b"damaged!")
    machine("b")
    run(url)
    assert samples.read_bytes() == good
    machine("c")
    assert not any(missing(url).values())


def test_a_stage_that_was_replaced_meanwhile_is_fetched_as_it_is_now(tmp_path, machine, url):
    run(url)
    machine("b")
    store = store_at(url)
    there = tmp_path / "bucket" / "study" / "stages" / "samples"
    key = next(there.iterdir()).name
    now = store._info_there("samples", key)
    before = replace(now, files={name: ["0" * 64] for name in now.files})
    store._fetch("samples", key, before)
    assert store._folder("samples", key).is_dir()
    assert (there / key / "stage.json").is_file()  # nothing was taken for damaged


def test_what_a_stage_lists_is_there_before_its_list(url, machine, monkeypatch):
    put = []
    put_file = ObjectStore._put_file
    monkeypatch.setattr(
        ObjectStore, "_put_file", lambda self, name: (put.append(name), put_file(self, name))
    )
    run(url)
    stages = [name.rpartition("/") for name in put if name.startswith("stages/")]
    for folder in {folder for folder, _, _ in stages}:
        names = [name for of, _, name in stages if of == folder]
        assert names[-1] == "stage.json"
        assert all(a != b for a, b in pairwise(names))  # samples are put again, as they grow


def test_a_lock_of_this_very_second_is_held(url, machine, monkeypatch):
    store = store_at(url)
    monkeypatch.setattr(object_store.time, "time", lambda: 1e9)
    assert store._lives({"time": 1e9})


def test_a_lock_whose_stamp_is_old_is_watched_for_more_than_two_beats(url, machine, monkeypatch):
    store, waited = store_at(url), []
    monkeypatch.setattr(object_store.time, "sleep", waited.append)
    monkeypatch.setattr(store, "_holder", lambda: {"time": 0})
    assert not store._lives({"time": 0})
    assert 2 * object_store.BEAT < sum(waited) < 3 * object_store.BEAT
    assert max(waited) < object_store.BEAT


def test_what_is_damaged_there_is_kept_by_the_machine_that_finds_it(tmp_path, machine, url):
    run(url)
    [about] = (tmp_path / "bucket/study/stages/real").glob("*/stage.json")
    rows = (about.parent / "data.npy").read_bytes()
    about.write_text("{")
    machine("b")  # which has none of it
    run(url)
    assert json.loads(about.read_text())["files"]
    [kept] = (tmp_path / "cache-b").rglob("quarantine/real-*")
    assert (kept / "stage.json").read_text() == "{"
    assert (kept / "data.npy").read_bytes() == rows


def test_what_a_stop_left_unsent_is_sent_by_the_next_run(tmp_path, machine, url):
    run(url)
    [record, *_] = (tmp_path / "bucket").rglob("record.json")
    shutil.rmtree(record.parent)
    assert not any(missing(url).values())  # the mirror has it
    assert not record.exists()  # looking writes nothing
    run(url)
    assert record.exists()


def test_a_study_that_was_removed_there_begins_anew(tmp_path, machine, url):
    run(url)
    shutil.rmtree(tmp_path / "bucket")
    assert missing(url)["model"] > 0
    run(url)
    assert (tmp_path / "bucket" / "study" / "records.parquet").exists()


def test_a_place_that_holds_something_else_is_refused(tmp_path, machine, url):
    (tmp_path / "bucket" / "study").mkdir(parents=True)
    (tmp_path / "bucket" / "study" / "thesis.txt").write_text("years of work")
    with pytest.raises(el.InputError, match="holds something else than a study"):
        run(url)


def test_arms_that_are_gone_are_no_longer_current_from_another_machine(tmp_path, machine, url):
    whole = run(url)
    machine("b")
    list(el.run_study(STUDY | {"arms": STUDY["arms"][:1]}, out=url, device="cpu", engine=Here()))
    lists = (tmp_path / "bucket" / "study" / "arms").glob("*/seed-*.json")
    arms = {p.parent.name for p in lists if json.loads(p.read_text())["generations"]}
    assert arms == {"replace-random"}
    machine("c")
    assert len(el.load_records(url, all=True)) == len(whole)


def test_samples_can_be_read_while_they_are_replaced(tmp_path, machine, url, monkeypatch):
    run(url)
    store = store_at(url)
    key = next((tmp_path / "bucket" / "study" / "stages" / "samples").iterdir()).name
    n = len(store.samples(key))

    def stop(kind, key):
        store._put_file(f"stages/samples/{key}/samples.npy")
        raise KeyboardInterrupt

    monkeypatch.setattr(store, "_put", stop)
    with pytest.raises(KeyboardInterrupt):
        store.add_samples(key, lambda: store.samples(key)[:3].copy())
    machine("b")
    assert len(store_at(url).samples(key)) == n + 3


def within_seconds(seconds, condition):
    """Return whether a condition comes to hold in time."""
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            return False
        time.sleep(0.01)
    return True


def test_a_lock_outlives_a_moment_without_the_store(tmp_path, machine, url, monkeypatch):
    monkeypatch.setattr(object_store, "BEAT", 0.05)
    store = store_at(url)
    store.open("far", "k")
    pipe, calls = store._files.pipe_file, []

    def failing(path, content):
        calls.append(path)
        if len(calls) < 3:
            raise ConnectionError
        pipe(path, content)

    monkeypatch.setattr(store._files, "pipe_file", failing)
    assert within_seconds(10, lambda: len(calls) > 3)
    lock = tmp_path / "bucket" / "study" / "lock.json"

    def another_signs():  # again, should the holder sign in the same moment
        lock.write_text(json.dumps({"token": "x", "host": "h", "pid": 1, "time": time.time()}))
        time.sleep(0.1)
        return store._taken

    assert within_seconds(10, another_signs)
    with pytest.raises(el.InputError, match="taken over by another process"):
        store.write("config.json", "{}")
    store.close()
    assert lock.exists()  # it is the other's


def test_samples_that_grew_elsewhere_are_fetched_anew(tmp_path, machine, url):
    run(url)
    store = store_at(url)
    key = next((tmp_path / "bucket" / "study" / "stages" / "samples").iterdir()).name
    n = len(store.samples(key))
    machine("b")
    other = store_at(url)
    other.add_samples(key, lambda: other.samples(key)[:3].copy())
    machine("a")
    assert len(store_at(url).samples(key)) == n + 3


def test_a_study_in_use_is_refused_and_an_abandoned_lock_is_taken(machine, url, monkeypatch):
    first = store_at(url)
    first.open("far", "k")
    machine("b")
    second = store_at(url)
    with pytest.raises(el.InputError, match=rf"in use by process {os.getpid()} on"):
        second.open("far", "k")
    monkeypatch.setattr(object_store, "ABANDONED", -1.0)
    monkeypatch.setattr(object_store, "BEAT", 0.02)
    first._beat.set()  # it gives no sign of life any more
    first._keeper.join()
    second.open("far", "k")
    second.close()
    first.close()


def test_a_lock_that_was_signed_a_moment_ago_is_not_watched_for_another_sign(
    tmp_path, machine, url, monkeypatch
):
    lock = tmp_path / "bucket/study/lock.json"
    lock.parent.mkdir(parents=True)
    monkeypatch.setattr(object_store, "BEAT", 0.01)

    def signed(seconds_ago):
        at = time.time() - seconds_ago
        lock.write_text(json.dumps({"token": "x", "host": "h", "pid": 1, "time": at}))

    signed(object_store.ABANDONED - 60)
    with pytest.raises(el.InputError, match="in use by process 1 on h"):
        store_at(url).open("far", "k")
    signed(object_store.ABANDONED + 1)
    store = store_at(url)
    store.open("far", "k")
    store.close()


@pytest.mark.parametrize("ahead", [-3600.0, 3600.0])
def test_a_holder_whose_clock_differs_keeps_its_lock_while_it_lives(
    ahead, tmp_path, machine, url, monkeypatch
):
    monkeypatch.setattr(object_store, "BEAT", 0.2)
    lock = tmp_path / "bucket/study/lock.json"
    lock.parent.mkdir(parents=True)
    ended = threading.Event()

    def sign():
        new = lock.with_name("new")
        new.write_text(json.dumps({"token": "x", "host": "h", "pid": 1,
                                   "time": time.time() + ahead}))  # fmt: skip
        new.replace(lock)

    def live():
        while not ended.wait(0.02):
            sign()

    sign()
    holder = threading.Thread(target=live)
    holder.start()
    with pytest.raises(el.InputError, match="in use by process 1 on h"):
        store_at(url).open("far", "k")
    ended.set()
    holder.join()
    store = store_at(url)  # it has died: its stamp stands still
    store.open("far", "k")
    store.close()


def test_a_lock_is_renewed_and_let_go_of(tmp_path, machine, url, monkeypatch):
    monkeypatch.setattr(object_store, "BEAT", 0.05)
    store = store_at(url)
    store.open("far", "k")
    lock = tmp_path / "bucket" / "study" / "lock.json"

    def signed():  # a folder that stands for a bucket is not written at once: 0 in between
        with contextlib.suppress(ValueError):
            return json.loads(lock.read_text())["time"]
        return 0

    assert within_seconds(10, signed)
    first = time.time()
    assert within_seconds(10, lambda: signed() > first)
    store.close()
    assert not lock.exists()


def test_a_store_that_holds_another_study_is_refused(machine, url):
    run(url)
    machine("b")
    with pytest.raises(el.InputError, match=f"{url}|holds the study 'far', not 'near'"):
        store_at(url).open("near", "k")


def test_places_are_folders_or_urls(tmp_path, machine):
    assert type(store_at(tmp_path)) is Store
    assert store_at(f"file://{tmp_path}/x").root == tmp_path / "x"
    assert isinstance(store_at("memory://x"), ObjectStore)
    with pytest.raises(el.InputError, match="nothing://x cannot be opened"):
        store_at("nothing://x")


def test_a_store_that_does_not_answer_is_told(machine, monkeypatch):
    store = store_at("memory://x")

    def fail(*_, **__):
        raise ConnectionError("no route")

    monkeypatch.setattr(store._files, "exists", fail)
    with pytest.raises(el.InputError, match="memory://x cannot be reached: no route"):
        store.check("far", "k")


@pytest.fixture
def s3(monkeypatch):
    pytest.importorskip("s3fs", reason="s3fs is not installed: pip install 'entroloop[s3]'")
    server = pytest.importorskip(
        "moto.server", reason="moto, an S3 server for tests, is not installed: pip install moto"
    )
    running = server.ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    running.start()
    host, port = running.get_host_and_port()
    for name, value in {
        "AWS_ACCESS_KEY_ID": "k", "AWS_SECRET_ACCESS_KEY": "s", "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_ENDPOINT_URL": f"http://{host}:{port}",
    }.items():  # fmt: skip
        monkeypatch.setenv(name, value)
    yield "s3://bucket"
    running.stop()


@pytest.mark.filterwarnings("ignore")  # of the server's own packages
@pytest.mark.parametrize(
    "engine", [[], ["--engine", "ray", "--workers", "2"]], ids=["local", "ray"]
)
def test_a_study_in_s3_from_the_shell(s3, tmp_path, machine, engine):
    if engine:
        pytest.importorskip("ray")
    import fsspec

    files = fsspec.filesystem("s3", skip_instance_cache=True)
    files.mkdirs("bucket", exist_ok=True)
    if files.exists("bucket/a"):  # of the test before: the server keeps what it holds
        files.rm("bucket/a", recursive=True)
    (tmp_path / "study.yaml").write_text(json.dumps(STUDY))

    def command(*more):
        return subprocess.run(
            [sys.executable, "-m", "entroloop", "run", "study.yaml", "--out", f"{s3}/a/study",
             "--device", "cpu", *more], cwd=tmp_path, capture_output=True, text=True, timeout=250,
        )  # fmt: skip

    answer = command(*engine)
    assert answer.returncode == 0, answer.stderr
    summary = json.loads(answer.stdout)
    assert summary["out"] == f"{s3}/a/study"
    assert summary["report"] == f"{s3}/a/study/report.html"
    files.invalidate_cache()
    names = {p.removeprefix("bucket/a/study/").split("/")[0] for p in files.find("bucket/a/study")}
    assert names >= {"stages", "arms", "study.json", "records.parquet", "report.html"}
    assert "lock.json" not in names
    machine("b")
    again = command()
    assert "0 trainings to do" in again.stderr, again.stderr
    run(tmp_path / "folder")
    the_same(el.load_records(tmp_path / "folder"), el.load_records(f"{s3}/a/study"))
