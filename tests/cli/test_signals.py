"""SIGTERM and SIGHUP end a command as Ctrl-C does: a scheduler's requeue is the same command."""

import json
import os
import shutil
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


@pytest.fixture
def job(tmp_path):
    """The folder of a job: the script of the documentation, a study, and this `entroloop`."""
    text = (Path(__file__).parents[2] / "docs/clusters.md").read_text()
    (tmp_path / "job.sh").write_text(text.split("```bash\n")[1].split("```")[0])
    (tmp_path / "my.yaml").write_text(json.dumps(STUDY))
    tool(tmp_path, "entroloop", f'exec {sys.executable} -m entroloop "$@"')
    return tmp_path


def tool(folder, name, line):
    (folder / name).write_text(f"#!/bin/bash\n{line}\n")
    (folder / name).chmod(0o755)


def awaited(what, seconds=120):
    limit = time.monotonic() + seconds
    while not what() and time.monotonic() < limit:
        time.sleep(0.05)
    assert what()


def begun(folder):
    return len(list(folder.glob("runs/mine/stages/record/*"))) >= 2


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize(
    ("number", "code", "asked"),
    [(signal.SIGUSR1, 0, "requeue 7\n"), (signal.SIGTERM, 143, "")],
    ids=["the time limit", "scancel"],
)
def test_the_sbatch_script_ends_the_study_and_asks_for_the_queue_before_the_time_limit_alone(
    job, number, code, asked
):
    psutil = pytest.importorskip("psutil")
    tool(job, "scontrol", 'echo "$@" >> asked.txt')
    (job / "asked.txt").touch()
    told = {"SLURM_SUBMIT_DIR": str(job), "SLURM_JOB_ID": "7"}
    told["PATH"] = f"{job}:{os.environ['PATH']}"

    def submitted():
        with (job / "said.txt").open("a") as log:
            return subprocess.Popen(
                ["bash", "job.sh"], cwd=job, stdout=log, stderr=log, env=os.environ | told
            )

    process = submitted()
    awaited(lambda: begun(job))
    below = psutil.Process(process.pid).children(recursive=True)
    process.send_signal(number)
    assert process.wait(timeout=120) == code
    assert (job / "asked.txt").read_text() == asked
    assert not psutil.wait_procs(below, timeout=20)[1]
    assert len(el.load_records(job / "runs/mine")) < 50
    assert submitted().wait(timeout=200) == 0  # the queue starts it again
    assert len(el.load_records(job / "runs/mine")) == 50
    assert "stages re-used" in (job / "said.txt").read_text()


def slurm(*command):
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


def state(number):
    told = slurm("scontrol", "show", "job", number)
    return dict(word.split("=", 1) for word in told.split() if "=" in word)


@pytest.fixture
def submitted(job, monkeypatch):
    """The number of a job in the queue of a real Slurm whose nodes see this folder."""
    if shutil.which("sbatch") is None or subprocess.run(["sinfo"], capture_output=True).returncode:
        pytest.skip("no Slurm here: sbatch is missing, or no controller answers")
    monkeypatch.setenv("PATH", f"{job}:{os.environ['PATH']}")
    options = [
        "--parsable",
        "--cpus-per-task=1",
        "--time=10",
        f"--chdir={job}",
        f"--output={job}/said.txt",
    ]
    monkeypatch.chdir(job)
    number = slurm("sbatch", *options, "job.sh")
    awaited(lambda: begun(job), 300)
    yield number
    subprocess.run(["scancel", number], capture_output=True)


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_slurm_requeues_a_job_before_its_time_limit_and_it_goes_on_to_the_same_records(
    job, submitted, entroloop_here
):
    slurm("scancel", "--batch", "--signal=USR1", submitted)  # as --signal=B:USR1@120 does
    awaited(lambda: state(submitted)["JobState"] == "PENDING")
    assert state(submitted)["Restarts"] == "1"
    assert len(el.load_records(job / "runs/mine")) < 50
    slurm("scontrol", "update", f"JobId={submitted}", "StartTime=now")  # Slurm waits two minutes
    awaited(lambda: state(submitted)["JobState"] == "COMPLETED", 300)
    assert "stages re-used" in (job / "said.txt").read_text()
    entroloop_here("run", "my.yaml", "--out", "whole", "--workers", "1")
    assert results(job / "runs/mine").equals(results(job / "whole"))


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_scancel_ends_a_job_for_good(job, submitted):
    slurm("scancel", submitted)
    awaited(lambda: state(submitted)["JobState"] not in ("RUNNING", "COMPLETING"))
    assert state(submitted)["JobState"] == "CANCELLED"
    assert "the same command goes on from here" in (job / "said.txt").read_text()


def results(folder):
    """The records of a study without what depends on the machine, in one order."""
    records = el.load_records(folder)
    kept = [name for name in records if not name.startswith(("seconds_", "peak_mb_"))]
    return records[kept].sort_values(["arm", "seed", "generation"]).reset_index(drop=True)
