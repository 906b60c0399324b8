"""SIGTERM and SIGHUP end a command as Ctrl-C does: a scheduler's requeue is the same command."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

import entroloop as el

HEAR = "from entroloop.system.signals import hear_ending; import signal; "


def started(folder, *more, log):
    (folder / "study.yaml").write_text(json.dumps(STUDY))
    command = [sys.executable, "-m", "entroloop", "run", "study.yaml", "--out", "s", *more]
    return subprocess.Popen(
        command, cwd=folder, stdout=log, stderr=log, start_new_session=True
    )  # fmt: skip


STUDY = {
    "name": "long",
    "data": {"source": "digits", "n_train": 24, "n_reference": 30},
    "generator": "gaussian",
    "generations": 25,
    "metrics": {"unselected": 0},
    "arms": [{"paradigm": "accumulate", "strategy": "greedy"}, {"paradigm": "replace"}],
}


def interrupted(folder, number, *more):
    """Send a signal to a study under way; return its exit code, what it said, and its workers."""
    import psutil

    with (folder / "said.txt").open("w+") as log:
        process = started(folder, *more, log=log)
        limit = time.monotonic() + 120
        while len(list(folder.glob("s/stages/record/*"))) < 2 and time.monotonic() < limit:
            time.sleep(0.05)
        below = psutil.Process(process.pid).children(recursive=True)
        process.send_signal(number)
        code = process.wait(timeout=120)
        return code, (folder / "said.txt").read_text(), below


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP], ids=["SIGTERM", "SIGHUP"])
def test_a_signal_ends_a_study_in_one_line_without_orphans_and_the_same_command_goes_on(
    tmp_path, number, entroloop_here
):
    psutil = pytest.importorskip("psutil")
    code, said, below = interrupted(tmp_path, number, "--workers", "2")
    assert code == 128 + number
    assert said.strip().splitlines()[-1] == (
        "entroloop: interrupted; the same command goes on from here"
    )
    assert "Traceback" not in said
    assert below
    assert not psutil.wait_procs(below, timeout=20)[1]  # none is left
    found = len(el.load_records(tmp_path / "s"))
    assert 2 <= found < 50
    # What is there is found again; the rest is made by the same command.
    plan = json.loads(entroloop_here("run", "study.yaml", "--out", "s", "--dry-run").stdout)
    assert plan["stages_reused"]["record"] >= found - 1  # both arms have one first record


@pytest.mark.slow
def test_a_study_on_ray_hears_sigterm_and_leaves_no_process(tmp_path):
    pytest.importorskip("ray")
    psutil = pytest.importorskip("psutil")
    code, said, below = interrupted(
        tmp_path, signal.SIGTERM, "--engine", "ray", "--workers", "1"
    )  # fmt: skip
    assert code == 143, said
    assert "the same command goes on" in said
    assert "Traceback" not in said
    assert not psutil.wait_procs(below, timeout=30)[1]


@pytest.mark.parametrize(
    ("before", "environment", "heard"),
    [
        ("", {}, True),
        ("signal.signal(signal.SIGHUP, signal.SIG_IGN); ", {}, False),  # nohup
        ("", {"WORLD_SIZE": "2"}, False),  # one of several that train together
    ],
)
def test_what_is_ignored_stays_ignored(before, environment, heard):
    code = HEAR + before + "hear_ending(); print(callable(signal.getsignal(signal.SIGHUP)) and "
    code += "signal.getsignal(signal.SIGHUP) not in (signal.SIG_IGN, signal.SIG_DFL))"
    answer = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=os.environ | environment
    )
    assert answer.stdout.strip() == str(heard), answer.stderr


@pytest.mark.slow
def test_the_sbatch_script_hands_the_signal_on_asks_for_the_queue_and_goes_on(tmp_path):
    psutil = pytest.importorskip("psutil")
    text = (Path(__file__).parents[2] / "docs/clusters.md").read_text()
    (tmp_path / "job.sh").write_text(text.split("```bash\n")[1].split("```")[0])
    (tmp_path / "my.yaml").write_text(json.dumps(STUDY))
    tools = {
        "scontrol": 'echo "$@" >> asked.txt',
        "entroloop": f'exec {sys.executable} -m entroloop "$@"',
    }
    for name, line in tools.items():
        (tmp_path / name).write_text(f"#!/bin/bash\n{line}\n")
        (tmp_path / name).chmod(0o755)
    told = {"SLURM_SUBMIT_DIR": str(tmp_path), "SLURM_JOB_ID": "7"}
    told["PATH"] = f"{tmp_path}:{os.environ['PATH']}"

    def submitted():
        with (tmp_path / "said.txt").open("a") as log:
            return subprocess.Popen(
                ["bash", "job.sh"], cwd=tmp_path, stdout=log, stderr=log, env=os.environ | told
            )

    job, limit = submitted(), time.monotonic() + 120
    while len(list(tmp_path.glob("runs/mine/stages/record/*"))) < 2 and time.monotonic() < limit:
        time.sleep(0.05)
    below = psutil.Process(job.pid).children(recursive=True)
    job.send_signal(signal.SIGTERM)
    assert job.wait(timeout=120) == 0
    assert (tmp_path / "asked.txt").read_text() == "requeue 7\n"
    assert not psutil.wait_procs(below, timeout=20)[1]
    assert len(el.load_records(tmp_path / "runs/mine")) < 50
    assert submitted().wait(timeout=200) == 0  # the queue starts it again
    assert len(el.load_records(tmp_path / "runs/mine")) == 50
    assert "stages re-used" in (tmp_path / "said.txt").read_text()
