"""Two processes that are started together, as torchrun does, make the study that one makes."""

import json
import os
import socket
import subprocess
import sys

import numpy as np
import pytest

import entroloop as el
from entroloop.engines import ranks
from here import Here

GENERATOR = {"name": "unet_diffusion", "size": "tiny", "steps": 4, "batch_size": 8, "warmup": 2,
             "lr": 1e-3, "sampler": "dpm_solver++", "sampler_steps": 3, "ema": 0.9,
             "checkpoint_every": 2}  # fmt: skip


@pytest.fixture
def study(rng, tmp_path):
    np.save(tmp_path / "x.npy", rng.integers(0, 256, (60, 8, 8, 1), dtype=np.uint8))
    content = {
        "name": "together", "generations": 2,
        "data": {"source": "arrays", "path": str(tmp_path / "x.npy"), "n_train": 20,
                 "n_reference": 20},
        "generator": GENERATOR,
        "arms": [{"paradigm": "replace", "strategy": "random"}],
    }  # fmt: skip
    (tmp_path / "study.yaml").write_text(json.dumps(content))
    return content


# What torchrun does for two processes, both of which have what is loaded here.
FORKED = """
import os, sys
from diffusers import DDPMPipeline, DPMSolverMultistepScheduler, UNet2DModel
from torch.nn.parallel import DistributedDataParallel
from entroloop.cli import main

children = []
for rank in "01":
    children.append(os.fork())
    if children[-1] == 0:
        os.environ["RANK"] = os.environ["LOCAL_RANK"] = rank
        main()
sys.exit(max(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children))
"""


def by_torchrun():
    options = {"nproc-per-node": 2, "rdzv-backend": "c10d", "rdzv-endpoint": "localhost:0"}
    told = [f"--{name}={value}" for name, value in options.items()]
    return ["-m", "torch.distributed.run", *told, "-m", "entroloop"], {}


def forked():
    with socket.create_server(("localhost", 0)) as free:
        port = str(free.getsockname()[1])
    return ["-c", FORKED], {"WORLD_SIZE": "2", "MASTER_ADDR": "localhost", "MASTER_PORT": port}


def together(tmp_path, *arguments, launch=by_torchrun):
    launcher, told = launch()
    command = [sys.executable, *launcher, "run", "study.yaml", "--out", "two", *arguments]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "GLOO_SOCKET_IFNAME": "lo"} | told
    return subprocess.run(
        command, capture_output=True, text=True, cwd=tmp_path, timeout=280, env=environment
    )


@pytest.mark.parametrize("launch", [forked, pytest.param(by_torchrun, marks=pytest.mark.slow)])
def test_two_processes_make_the_same_study_with_one_writer(study, tmp_path, launch):
    alone = list(el.run_study(study, out=tmp_path / "one", device="cpu", engine=Here()))
    answer = together(tmp_path, "--device", "cpu", launch=launch)
    assert answer.returncode == 0, answer.stderr
    assert json.loads(answer.stdout.strip())["complete"]  # one object: one process speaks
    records = el.load_records(tmp_path / "two")
    assert len(records) == len(alone)
    for theirs, mine in zip(records.itertuples(), alone, strict=True):
        assert theirs.total_variance == pytest.approx(mine.total_variance, rel=1e-3)
        assert theirs.generalization_score == pytest.approx(mine.generalization_score, rel=1e-2)
    keys = [sorted(p.name for p in (tmp_path / s / "stages" / "model").iterdir())
            for s in ("one", "two")]  # fmt: skip
    assert keys[0] == keys[1]
    assert not list((tmp_path / "two" / "scratch").glob("*"))


def test_the_others_are_told_that_a_study_is_complete(tiny, tmp_path, monkeypatch):
    first = list(el.run_study(tiny, out=tmp_path, device="cpu", engine=Here()))
    told = []
    monkeypatch.setattr(ranks, "_join", lambda device: told.append(device))
    monkeypatch.setattr(ranks, "_announce", told.append)
    monkeypatch.setenv("WORLD_SIZE", "2")
    assert list(el.run_study(tiny, out=tmp_path, device="cpu")) == first
    assert told == ["cpu", None]


@pytest.mark.slow
def test_the_same_command_ends_at_once_where_nothing_is_left_to_do(study, tmp_path):
    answers = [together(tmp_path, "--device", "cpu") for _ in range(2)]
    assert [answer.returncode for answer in answers] == [0, 0]
    assert answers[0].stdout == answers[1].stdout


@pytest.mark.slow
def test_a_batch_that_does_not_divide_is_told(study, tmp_path):
    plan = together(tmp_path, "--device", "cpu", "--dry-run")
    assert json.loads(plan.stdout)["stages_to_make"]  # told by one of them
    answer = together(tmp_path, "--device", "cpu", "--set", "generator.batch_size=7")
    assert answer.returncode != 0
    assert "does not divide among 2 processes" in answer.stderr
