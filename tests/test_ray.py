"""Ray: the picks, measures and records of one machine, whatever dies on the way."""

import json
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

import entroloop as el
from entroloop.engines.job import Assignment
from entroloop.engines.ray import make_step
from entroloop.engines.ray_cluster import import_ray, start
from entroloop.pools.hosts import LOST
from entroloop.pools.rows import rows_of
from entroloop.pools.shard import Shard
from entroloop.study.config import load_config
from here import Here

try:
    ray = import_ray(local=True)
except el.InputError as missing:
    pytest.skip(str(missing), allow_module_level=True)
pytestmark = pytest.mark.filterwarnings("ignore")  # Ray's own

STUDY = {
    "name": "spread", "generations": 3, "seeds": [0, 1],
    "data": {"source": "digits", "n_train": 64, "n_reference": 64},
    "generator": {"name": "mlp_diffusion", "steps": 30},
    "arms": [
        {"paradigm": "replace", "strategy": "random"},
        {"paradigm": "replace", "strategy": "greedy", "oversample": 2},
        {"paradigm": "accumulate_subsample", "strategy": "threshold_decay", "oversample": 2},
    ],
}  # fmt: skip


@pytest.fixture(scope="module")
def cluster():
    """A local cluster that declares more processors than there may be: enough for five workers."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "cpu_count", lambda: 6)
        start(ray, None, None, 1)
    yield ray
    ray.shutdown()


@pytest.fixture(scope="module")
def pool():
    rng = np.random.default_rng(0)
    x = rng.standard_normal((6000, 12)).astype(np.float32)
    x[rng.integers(0, 6000, 500)] = x[:500]
    return x


@pytest.mark.parametrize(
    "metric", ["euclidean", pytest.param("mahalanobis", marks=pytest.mark.slow)]
)
def test_a_guarded_selection_decides_the_same_over_several_processes(cluster, rng, metric):
    pool = np.concatenate([0.5 * rng.standard_normal((500, 6)), rng.standard_normal((100, 6))])
    guard = rng.standard_normal((128, 6))
    more = {"guard": guard, "metric": metric, "initial": rng.standard_normal((3, 6))}
    alone = el.select(pool, 150, "guarded", **more)
    spread = el.select(pool, 150, "guarded", engine=el.RayEngine(workers=2), **more)
    assert spread.indices.tolist() == alone.indices.tolist()
    assert spread.decision == alone.decision
    assert spread.coverage_radius == pytest.approx(alone.coverage_radius, rel=1e-9)


@pytest.mark.parametrize(
    "workers", [3, *(pytest.param(k, marks=pytest.mark.slow) for k in (1, 2, 5))]
)
def test_any_number_of_shards_gives_the_picks_of_one_machine(cluster, pool, workers):
    engine = el.RayEngine(workers)
    for strategy in ("greedy", "threshold_decay"):
        alone = el.select(pool, 1500, strategy)
        spread = el.select(pool, 1500, strategy, engine=engine)
        assert spread.indices.tolist() == alone.indices.tolist()
        assert np.array_equal(spread.radii, alone.radii)
        assert spread.coverage_radius == pytest.approx(alone.coverage_radius, rel=1e-12)
    limit = time.monotonic() + 20  # hosts are let go of, a moment later
    while ray.available_resources().get("CPU") != 6 and time.monotonic() < limit:
        time.sleep(0.05)
    assert ray.available_resources()["CPU"] == 6


def test_actors_stop_at_the_same_pick_and_assign_the_same_rows(cluster, pool):
    far = float(el.select(pool, 60, first=0).radii[-1])
    asked = {"min_distance": far, "until": "coverage=0.9", "first": 0}
    here = el.select(pool, **asked)
    there = el.select(pool, **asked, engine=el.RayEngine(3), assign=True)
    assert here.indices.tolist() == there.indices.tolist()
    assert here.stopped_by == there.stopped_by == "coverage"
    assert np.array_equal(here.assignment.pick, there.assignment.pick)
    assert np.array_equal(here.assignment.distance, there.assignment.distance)


def test_near_duplicates_over_shards_are_those_of_one_machine(cluster, pool, monkeypatch):
    monkeypatch.setattr("entroloop.cleaning.pair_search.ASKED_ROWS", 700)
    alone = el.duplicates(pool, 1.6)
    killed = []

    class Unlucky(el.RayEngine):
        def distribute(self, rows):
            hosts = super().distribute(rows)
            ask = hosts.ask

            def asked(requests):
                if len(killed) < 2 and any(
                    method.__name__ == "pairs" for calls in requests.values() for method, _ in calls
                ):
                    killed.append(ray.kill(hosts._actors[len(killed) % 2]))
                return ask(requests)

            hosts.ask = asked
            return hosts

    for engine in (el.RayEngine(2), Unlucky(2)):
        spread = el.duplicates(pool, 1.6, engine=engine)
        for name in ("first", "second", "distances", "equal"):
            assert np.array_equal(getattr(spread, name), getattr(alone, name))
    assert len(killed) == 2
    assert len(alone.first) > 1000


def test_measures_over_shards_are_those_of_one_machine(cluster, pool):
    engine = el.RayEngine(2)
    assert el.knn_entropy(pool, engine=engine) == el.knn_entropy(pool)
    score = el.generalization_score(generated=pool[:100] + 1, train=pool, engine=engine)
    assert score == el.generalization_score(generated=pool[:100] + 1, train=pool)


class Killing(el.RayEngine):
    """An engine that kills one of its actors at random rounds, before it answers or while; not more
    often than `most`.
    """

    def __init__(self, workers, seed, share, most):
        super().__init__(workers)
        self.rng, self.share, self.most, self.killed = np.random.default_rng(seed), share, most, 0

    def distribute(self, rows):
        hosts = super().distribute(rows)
        ask = hosts.ask

        def asking(requests):
            if self.killed < self.most and len(requests) > 1 and self.rng.random() < self.share:
                victim = int(self.rng.integers(len(hosts._actors)))
                self.killed += 1
                ray.kill(hosts._actors[victim])
                if self.rng.random() < 0.5:  # and the news takes a while
                    time.sleep(0.05)
            return ask(requests)

        hosts.ask = asking
        return hosts


@pytest.mark.parametrize("kills", [2, pytest.param(20, marks=pytest.mark.slow)])
def test_actors_killed_at_random_rounds_change_nothing(cluster, pool, monkeypatch, kills):
    from importlib import import_module

    monkeypatch.setattr(
        import_module("entroloop.selection.strategies.greedy"), "SHARDED_BLOCK_ROWS", 150
    )
    killed, seed, pool = 0, 0, pool[:3000]
    alone = {s: el.select(pool, 600, s) for s in ("greedy", "threshold_decay")}
    while killed < kills:
        for strategy, expected in alone.items():
            engine = Killing(2, seed, 0.08, most=kills // 2)
            found = el.select(pool, 600, strategy, engine=engine)
            assert found.indices.tolist() == expected.indices.tolist()
            assert np.array_equal(found.radii, expected.radii)
            killed, seed = killed + engine.killed, seed + 1


def test_an_actor_that_fails_tells_why(cluster, pool):
    hosts = el.RayEngine(2).distribute(rows_of(pool))
    with pytest.raises(RuntimeError, match="no_such_question"):
        hosts.ask({0: [(Shard.apply, (getattr, "no_such_question"))]})
    ray.kill(hosts._actors[1])  # which Ray does in its own time: it may answer once more
    for _ in range(100):
        found = hosts.ask({1: [(Shard.load, ()), (Shard.invalid, ())]})[1]
        if found is LOST:
            break
        time.sleep(0.05)
    assert found is LOST
    hosts.close()


@pytest.mark.parametrize(
    "generator",
    [{"name": "gaussian"}, pytest.param(STUDY["generator"], marks=pytest.mark.slow)],
    ids=["gaussian", "mlp_diffusion"],
)
def test_a_study_on_ray_has_the_records_of_one_made_in_this_process(cluster, tmp_path, generator):
    import pandas as pd

    study = STUDY | {"generations": 2, "seeds": [0], "generator": generator}
    list(el.run_study(study, out=tmp_path / "here", device="cpu", engine=Here()))
    made = list(el.run_study(study, out=tmp_path / "ray", device="cpu", engine=el.RayEngine(2)))
    assert len(made) == 6
    mine, theirs = el.load_records(tmp_path / "here"), el.load_records(tmp_path / "ray")
    same = [c for c in mine.columns if not c.startswith(("seconds", "peak"))]
    pd.testing.assert_frame_equal(mine[same], theirs[same], check_exact=True)
    folders = (tmp_path / "here" / "stages", tmp_path / "ray" / "stages")
    stages = [sorted(str(p.relative_to(f)) for p in f.glob("*/*")) for f in folders]
    assert stages[0] == stages[1]  # each made once, and no more than once


@pytest.mark.slow
def test_two_processes_train_together_inside_a_task(cluster, tmp_path):
    rng = np.random.default_rng(0)
    np.save(tmp_path / "x.npy", rng.integers(0, 256, (60, 8, 8, 1), dtype=np.uint8))
    study = STUDY | {
        "generations": 2, "seeds": [0], "arms": STUDY["arms"][:1],
        "data": {"source": "arrays", "path": str(tmp_path / "x.npy"), "n_train": 20,
                 "n_reference": 20},
        "generator": {"name": "unet_diffusion", "size": "tiny", "steps": 4, "batch_size": 8,
                      "warmup": 2, "lr": 1e-3, "sampler": "dpm_solver++", "sampler_steps": 3},
    }  # fmt: skip
    alone = list(el.run_study(study, out=tmp_path / "one", device="cpu"))
    engine = el.RayEngine(1, cpus=2, ranks=2)
    two = list(el.run_study(study, out=tmp_path / "two", device="cpu", engine=engine))
    assert len(two) == len(alone) == 2
    for theirs, mine in zip(two, alone, strict=True):
        assert theirs.total_variance == pytest.approx(mine.total_variance, rel=1e-3)


@pytest.mark.slow
def test_a_killed_worker_of_a_study_is_replaced(cluster, tmp_path):
    records, killed = [], []
    for record in el.run_study(STUDY, out=tmp_path / "s", device="cpu", engine=el.RayEngine(2)):
        records.append(record)
        if len(records) in (3, 8):
            workers = [p for p in children(os.getpid()) if "make_step" in p[1]]
            if workers:
                os.kill(workers[0][0], signal.SIGKILL)
                killed.append(workers[0][0])
    assert len(records) == 18
    assert killed


def children(pid):
    """Return (pid, command line) of all processes below one."""
    import psutil

    found = []
    for process in psutil.Process(pid).children(recursive=True):
        try:
            found.append((process.pid, " ".join(process.cmdline())))
        except psutil.Error:
            continue
    return found


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"workers": 0}, "workers must be a whole number of at least 1; got 0"),
        ({"ranks": 0}, "ranks must be a whole number of at least 1; got 0"),
        ({"cpus": 0}, "cpus must be above 0"),
        ({"workers": 7}, "7 workers ask for 7 CPU in all, the cluster has 6; lower --workers"),
        ({"workers": 2, "gpus": 0.5}, "2 workers ask for 1 GPU in all, the cluster has 0"),
        ({"workers": 2, "memory": 10**15}, "memory in all, the cluster has"),
    ],
)
def test_what_the_cluster_lacks_is_told(cluster, options, message):
    with pytest.raises(el.InputError, match=message):
        el.RayEngine(**options)


def test_a_file_that_workers_cannot_read_is_told(cluster, tmp_path):
    np.save(tmp_path / "x.npy", np.eye(9))
    rows = rows_of(np.load(tmp_path / "x.npy", mmap_mode="r"))
    (tmp_path / "x.npy").unlink()
    with pytest.raises(el.InputError, match="put it on a path that all machines share"):
        el.select(rows, 3, engine=el.RayEngine(2))


@pytest.mark.slow
def test_a_full_cluster_is_told_and_not_waited_for(cluster, pool, tmp_path, monkeypatch):
    monkeypatch.setattr("entroloop.engines.ray_cluster.PATIENCE", 3.0)
    taken = ray.remote(num_cpus=5)(Shard).remote(rows_of(pool[:2]))
    ray.get(taken.answer.remote([]))
    try:
        with pytest.raises(el.InputError, match="found no place within 3 s; free are 0 CPU"):
            el.select(pool, 10, engine=el.RayEngine(3))
        with pytest.raises(el.InputError, match="1 of 1 workers found no place"):
            list(
                el.run_study(
                    STUDY, out=tmp_path / "s", device="cpu", engine=el.RayEngine(2, cpus=3)
                )
            )
    finally:
        ray.kill(taken)


def test_a_folder_that_workers_cannot_see_is_told(cluster, tmp_path):
    engine = el.RayEngine(1)
    step = ray.remote(num_cpus=1)(make_step)  # as on a machine that does not have the folder
    told = Assignment(
        config=load_config(STUDY, {}).model_dump(mode="json"),
        store=str(tmp_path / "nowhere"), real_key="k", device="cpu",
    )  # fmt: skip
    with pytest.raises(el.InputError, match=r"does not see the study in .*nowhere"):
        ray.get(step.remote(told.to_json(), 1, 0))
    engine.close()
    assert ray.is_initialized()  # it was not the engine that started it


def entroloop(tmp_path, *arguments, **more):
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    return subprocess.run(
        [sys.executable, "-m", "entroloop", *arguments], cwd=tmp_path, capture_output=True,
        text=True, timeout=200, env=environment, **more,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--engine", "ray", "--address", "127.0.0.1:1"], "127.0.0.1:1 does not answer"),
        (["--engine", "ray", "--address", "nowhere"], "--address must be HOST:PORT or auto"),
        (["--engine", "ray", "--workers", "5000"], "5000 workers ask for 5000 CPU"),
        (["--address", "127.0.0.1:6379"], "add --engine ray"),
        (["--engine", "spark"], "--engine spark is unknown; valid: local, ray"),
    ],
)
def test_bad_clusters_end_in_one_line(tmp_path, arguments, message):
    np.save(tmp_path / "x.npy", np.eye(9, dtype=np.float32))
    answer = entroloop(tmp_path, "select", "--pool", "x.npy", "-n", "3", "--out", "o", *arguments)
    assert answer.returncode == 2
    assert message in answer.stderr
    assert len(answer.stderr.strip().splitlines()) == 1
    assert not (tmp_path / "o").exists()


def test_a_missing_ray_is_told_with_its_command(tmp_path):
    code = "import sys; sys.modules['ray'] = None; import entroloop as el; el.RayEngine()"
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert "python -m pip install 'entroloop[ray]'" in answer.stderr


@pytest.mark.slow
def test_a_killed_select_on_ray_goes_on_with_the_same_command(tmp_path):
    rng = np.random.default_rng(1)
    np.save(tmp_path / "x.npy", rng.standard_normal((40_000, 24)).astype(np.float32))
    common = ["select", "--pool", "x.npy", "-n", "9000"]
    alone = entroloop(tmp_path, *common, "--out", "alone")
    assert alone.returncode == 0, alone.stderr
    command = [*common, "--engine", "ray", "--workers", "2", "--out", "spread"]
    first = subprocess.Popen(
        [sys.executable, "-m", "entroloop", *command], cwd=tmp_path, stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL, start_new_session=True,
    )  # fmt: skip
    checkpoint = tmp_path / "spread" / ".checkpoint.npz"
    limit = time.monotonic() + 100
    while not checkpoint.exists() and first.poll() is None and time.monotonic() < limit:
        time.sleep(0.01)
    assert checkpoint.exists()
    os.killpg(first.pid, signal.SIGKILL)
    first.wait()
    before = len(np.load(checkpoint)["indices"])
    assert 0 < before < 9000
    again = entroloop(tmp_path, *command)
    assert again.returncode == 0, again.stderr
    summary = json.loads(again.stdout)
    assert summary["engine"]["name"] == "ray"
    assert summary["engine"]["workers"] == 2
    mine, theirs = (read(tmp_path / d / "selection.parquet") for d in ("alone", "spread"))
    assert mine.equals(theirs)
    assert not checkpoint.exists()
    local = json.loads(alone.stdout)
    assert summary["entropy"] == local["entropy"]
    assert summary["coverage_radius"] == pytest.approx(local["coverage_radius"], rel=1e-12)


def read(path):
    import pandas as pd

    return pd.read_parquet(path)


@pytest.mark.slow
def test_ctrl_c_stops_a_study_on_ray_and_the_same_command_goes_on(tmp_path):
    (tmp_path / "study.yaml").write_text(json.dumps(STUDY | {"seeds": [0, 1, 2]}))
    command = ["run", "study.yaml", "--engine", "ray", "--workers", "2", "--out", "s"]
    first = subprocess.Popen(
        [sys.executable, "-m", "entroloop", *command], cwd=tmp_path, stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE, text=True, start_new_session=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )  # fmt: skip
    limit = time.monotonic() + 100
    while len(list(tmp_path.glob("s/stages/record/*"))) < 2 and time.monotonic() < limit:
        time.sleep(0.05)
    below = [pid for pid, _ in children(first.pid)]
    os.killpg(first.pid, signal.SIGINT)  # as a terminal does: to all in the foreground
    _, told = first.communicate(timeout=60)
    assert first.returncode == 130, told
    assert "interrupted; the same command goes on" in told
    assert "Traceback" not in told
    limit = time.monotonic() + 20
    import psutil

    while any(psutil.pid_exists(pid) for pid in below) and time.monotonic() < limit:
        time.sleep(0.1)
    assert not any(psutil.pid_exists(pid) for pid in below)
    again = entroloop(tmp_path, *command)
    assert again.returncode == 0, again.stderr
    assert "stages re-used" in again.stderr
    assert len(el.load_records(tmp_path / "s")) == 27


def test_the_local_cluster_listens_on_loopback_only(cluster, monkeypatch):
    import psutil

    asked = []
    monkeypatch.setattr(
        "entroloop.engines.ray.import_ray", lambda *, local: asked.append(local) or ray
    )
    el.RayEngine(1)
    assert asked == [True]  # as it was imported here: Ray reads its switch then
    processes = [psutil.Process(pid) for pid, _ in children(os.getpid())]
    addresses = {
        connection.laddr.ip.removeprefix("::ffff:")
        for process in processes
        for connection in process.net_connections("inet")
        if connection.status == psutil.CONN_LISTEN
    }
    assert addresses == {"127.0.0.1"}
