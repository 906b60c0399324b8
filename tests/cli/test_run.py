import json
import os
import pty
import shutil
import signal
import subprocess
import sys
import time

import numpy as np
import pandas as pd
import pytest
import yaml

import entroloop as el
from entroloop.commands.doctor import examine
from entroloop.store.records import SETTINGS, frame
from entroloop.study.config import load_config
from here import Here

FAST = ["--set", "generator=gaussian", "--set", "generations=2", "--set", "data.n_train=32",
        "--workers", "1"]  # fmt: skip  # each worker takes its time to start


def one_line(answer):
    assert answer.returncode == 2, answer.stderr
    lines = answer.stderr.strip().splitlines()
    assert len(lines) == 1, answer.stderr
    assert answer.stdout == ""
    return lines[0]


def test_run_prints_one_json_object_and_leaves_a_study_folder_with_a_report(
    entroloop, entroloop_here, tmp_path
):
    answer = entroloop("run", *FAST[:-2])  # as many workers as it starts unasked
    assert answer.returncode == 0, answer.stderr
    summary = json.loads(answer.stdout)
    assert summary["study"] == "digits"
    assert summary["complete"] is True
    assert len(summary["arms"]) == 6
    assert (tmp_path / summary["out"] / "records.parquet").is_file()
    assert summary["out"] == "runs/digits"
    page = (tmp_path / summary["report"]).read_text()
    assert 'id="collapse">Collapse profile' in page
    assert "generation 2" in answer.stderr
    again = entroloop_here("run", *FAST)
    assert json.loads(again.stdout) == summary
    assert "0 trainings to do" in again.stderr


def test_the_report_opens_offline(entroloop_here, tmp_path):
    entroloop_here("run", *FAST)
    page = (tmp_path / "runs/digits/report.html").read_text()
    head, _, rest = page.partition("<script>")
    body = rest.split("</script>", 1)[1]  # the library itself names addresses in its texts
    for part in (head, body):
        assert "http" not in part.replace("http-equiv", "")
        assert 'src="data:' in part or "src=" not in part
    assert body.count("data:image/png;base64,") > 5  # arms share that of generation 1


def test_a_dry_run_tells_the_plan_and_writes_nothing(entroloop_here, tmp_path):
    answer = entroloop_here("run", "--dry-run", *FAST)
    plan = json.loads(answer.stdout)
    assert plan["stages_to_make"]["model"] == 7
    assert plan["config"]["generations"] == 2
    assert list(tmp_path.iterdir()) == []


def test_seeds_count_from_0(entroloop_here):
    plan = json.loads(entroloop_here("run", "--dry-run", "--seeds", 3, *FAST).stdout)
    assert plan["seeds"] == [0, 1, 2]


def test_a_study_file_runs(entroloop_here, tmp_path, tiny):
    (tmp_path / "my.yaml").write_text(yaml.safe_dump(tiny))
    answer = entroloop_here("run", "my.yaml", "--out", "here", "--workers", 1)
    assert answer.returncode == 0, answer.stderr
    assert (tmp_path / "here/records.parquet").is_file()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["run", "digit"], "did you mean 'digits'"),
        (["run", "missing.yaml"], "cannot read the study file"),
        (["run", "--otu", "x"], "--out"),
        (["run", "--workers", "two"], "--workers"),
        (["run", "--workers", "0"], "workers"),
        (["run", "--device", "tpu"], "device must be"),
        (["run", "--device", "cuda"], "device cuda"),
        (["run", "--engine", "spark"], "--engine spark"),
        (["rum"], "rum"),
        ([], ""),
        (["run", "a", "b"], "unexpected"),
        (["run", "--set", "generations=0"], "generations"),
        (["run", "--set", "seeds=[]"], "seeds"),
        (["run", "--set", "generaions=3"], "did you mean 'generations'"),
        (["run", "--set", "arms.replace-randm.oversample=2"], "did you mean 'replace-random'"),
        (["run", "--set", "arms.0.strategy=randm"], "did you mean 'random'"),
        (["run", "--set", "data.n_train=1700"], "more than the 1797 rows"),
        (["run", "--set", "arms.0.paradigm=fresh", "--set", "data.n_reference=1285"], "reserve"),
        (["run", "--set", "nonsense"], "KEY=VALUE"),
        (["presets", "cifar"], "unknown preset"),
        (["report", "nowhere"], "nowhere"),
        (["doctor", "nowhere"], "no study folder"),
    ],
)
def test_bad_input_is_one_line_with_exit_code_2_and_nothing_written(
    entroloop_here, tmp_path, arguments, message
):
    answer = entroloop_here(*arguments)
    if arguments:
        assert message in one_line(answer)
    else:
        assert answer.returncode == 2
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (np.array([[1.0, np.nan]] * 90), "NaN or infinite values in 90 rows"),
        (np.empty((0, 4)), "holds 0 rows"),
        (np.array([{"a": 1}, None], dtype=object), "pickled Python objects"),
    ],
)
def test_bad_arrays_are_one_line_and_nothing_is_written(entroloop_here, tmp_path, content, message):
    np.save(tmp_path / "x.npy", content, allow_pickle=True)
    answer = entroloop_here(
        "run", "--set", "data={source: arrays, path: x.npy, n_train: 4, n_reference: 4}"
    )
    assert message in one_line(answer)
    assert [p.name for p in tmp_path.iterdir()] == ["x.npy"]


@pytest.mark.parametrize("out", ["/proc/nothing", "/dev/null/x", "file.txt", "file.txt/x"])
def test_a_folder_that_cannot_be_written_is_one_line(entroloop_here, tmp_path, out):
    (tmp_path / "file.txt").write_text("mine")
    assert "choose another" in one_line(entroloop_here("run", *FAST, "--out", out))
    assert (tmp_path / "file.txt").read_text() == "mine"


def test_a_study_folder_within_its_data_is_one_line(entroloop_here, tmp_path):
    images = tmp_path / "images"
    images.mkdir()
    answer = entroloop_here(
        "run", "mnist-tiny", "--set", "data.path=images", "--out", "images/study"
    )
    assert answer.returncode == 2
    assert "lies in the folder of the data, data.path=images" in answer.stderr
    assert list(images.iterdir()) == []


def test_a_folder_of_something_else_or_another_study_is_one_line(entroloop_here, tmp_path, tiny):
    (tmp_path / "other").mkdir()
    (tmp_path / "other/notes.txt").write_text("mine")
    assert "something else than a study" in one_line(entroloop_here("run", *FAST, "--out", "other"))
    (tmp_path / "my.yaml").write_text(yaml.safe_dump(tiny | {"generations": 1}))
    entroloop_here("run", "my.yaml", "--out", "mine")
    assert "holds the study 'tiny'" in one_line(entroloop_here("run", *FAST, "--out", "mine"))


def test_ctrl_c_ends_with_130_and_the_same_command_finishes(entroloop_here, tmp_path):
    command = [sys.executable, "-m", "entroloop", "run", "--set", "generator=gaussian"]
    command += ["--set", "generations=4", "--set", "data.n_train=64"]
    log = tmp_path / "stderr.txt"
    with log.open("w") as stream:
        process = subprocess.Popen(
            command, cwd=tmp_path, stdout=stream, stderr=stream,
            # heard even where the tests themselves run in a background that ignores it
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
        )  # fmt: skip
    while "[1/" not in log.read_text():
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    assert process.wait(timeout=60) == 130
    errors = log.read_text()
    assert "the same command goes on" in errors
    assert "Traceback" not in errors
    done = entroloop_here(*command[3:])
    assert done.returncode == 0
    assert "re-used" in done.stderr


def test_a_terminal_shows_bars_and_no_time_left_that_is_not_known(tmp_path, tiny):
    (tmp_path / "my.yaml").write_text(yaml.safe_dump(tiny | {"seeds": [0]}))
    parent, child = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "entroloop", "run", "my.yaml"],
        cwd=tmp_path, stdout=subprocess.DEVNULL, stderr=child,
        env=os.environ | {"TERM": "xterm-256color", "COLUMNS": "120"},
    )  # fmt: skip
    os.close(child)
    shown = b""
    while True:
        try:
            shown += os.read(parent, 65536)
        except OSError:
            break
    os.close(parent)
    assert process.wait() == 0
    text = shown.decode(errors="replace")
    assert "/5 trainings" in text  # with the time left where there is time for it
    assert "--:--" not in text  # tests/cli/test_terminal.py has when it is told
    assert "generations" in text


def test_help_is_fast_and_lists_the_commands(entroloop):
    entroloop("--help")  # compiles what is not compiled yet
    seconds = []
    for _ in range(3):
        start = time.perf_counter()
        answer = entroloop("--help")
        seconds.append(time.perf_counter() - start)
    for command in ("run", "report", "presets", "doctor"):
        assert command in answer.stdout
    print(f"--help took {sorted(seconds)[1]:.2f} s (median of 3)")


def test_presets_lists_and_prints(entroloop):
    assert "digits" in entroloop("presets").stdout
    assert yaml.safe_load(entroloop("presets", "digits").stdout)["generations"] == 6


def test_the_first_study_of_the_readme_is_the_study_digits_of_fewer_rows():
    one, other = load_config("digits", {}), load_config("digits-small", {})
    assert other.data == one.data | {"n_train": 128}
    for a, b in zip(one.arms, other.arms, strict=True):
        assert (a.paradigm, a.strategy, a.oversample) == (b.paradigm, b.strategy, b.oversample)
    assert (other.generations, other.guard) == (one.generations, one.guard)


def test_doctor_finds_damage_and_clears_what_is_not_listed(entroloop_here, tmp_path, tiny):
    (tmp_path / "my.yaml").write_text(yaml.safe_dump(tiny))
    entroloop_here("run", "my.yaml", "--out", "s")
    assert json.loads(entroloop_here("doctor", "s").stdout)["folder"]["damaged"] == []
    entroloop_here("run", "my.yaml", "--out", "s", "--set", "seeds=[0]")
    assert json.loads(entroloop_here("doctor", "s").stdout)["folder"]["not_listed"] > 0
    next((tmp_path / "s/stages/samples").rglob("samples.npy")).write_bytes(b"x")
    found = entroloop_here("doctor", "s")
    assert found.returncode == 1
    assert len(json.loads(found.stdout)["folder"]["damaged"]) == 1
    entroloop_here("doctor", "s", "--clear", "--yes")
    after = json.loads(entroloop_here("doctor", "s").stdout)["folder"]
    assert (after["damaged"], after["not_listed"]) == ([], 0)
    assert entroloop_here("run", "my.yaml", "--out", "s").returncode == 0


def test_runs_of_before_stay_and_are_told(entroloop_here, tmp_path, tiny):
    (tmp_path / "my.yaml").write_text(yaml.safe_dump(tiny | {"seeds": [0, 1, 2]}))
    entroloop_here("run", "my.yaml", "--out", "s")
    whole = el.load_records(tmp_path / "s")
    answer = entroloop_here("run", "my.yaml", "--out", "s", "--set", "seeds=[0]")
    assert "of other configurations: accumulate_subsample-greedy (seeds 1, 2;" in answer.stderr
    assert "load_records('s', all=True)" in answer.stderr
    assert set(el.load_records(tmp_path / "s")["seed"]) == {0}
    every = el.load_records(tmp_path / "s", all=True)
    assert every["current"].tolist() == (every["seed"] == 0).tolist()
    columns = [c for c in whole if c not in SETTINGS]  # which are told of the current arms alone
    pd.testing.assert_frame_equal(every[columns], whole[columns])
    assert every["strategy"].notna().tolist() == every["current"].tolist()
    again = entroloop_here("run", "my.yaml", "--out", "s")
    assert "0 trainings to do" in again.stderr
    assert "other configurations" not in again.stderr
    pd.testing.assert_frame_equal(el.load_records(tmp_path / "s"), whole)


def test_generations_of_another_generator_and_of_a_longer_study_stay(tiny, tmp_path):
    longer = frame(list(el.run_study(tiny, out=tmp_path / "s", engine=Here())))
    list(el.run_study(tiny, out=tmp_path / "s", engine=Here(), generations=2, generator="kde"))
    list(el.run_study(tiny, out=tmp_path / "s", engine=Here(), generations=1))
    every = el.load_records(tmp_path / "s", all=True)
    now = el.load_records(tmp_path / "s")
    assert len(now) == 4
    assert len(every) == len(longer) + 8
    gaussian = every[every["generation"] == 3]
    assert not gaussian["current"].any()
    expected = longer[longer["generation"] == 3]
    assert gaussian["entropy_train"].tolist() == expected["entropy_train"].tolist()


def test_a_run_that_is_killed_under_one_configuration_is_listed_under_the_next(tiny, tmp_path):
    records = el.run_study(tiny, out=tmp_path / "s", engine=Here())
    for _ in range(3):
        next(records)
    records.close()  # generations that were complete and not yet listed may be among them
    made = len(list((tmp_path / "s/stages/record").iterdir()))
    list(el.run_study(tiny, out=tmp_path / "s", engine=Here(), seeds=[7], generations=1))
    every = el.load_records(tmp_path / "s", all=True)
    others = every[~every["current"]]
    assert len(others[["seed", "generation", "entropy_samples"]].drop_duplicates()) == made


def test_clearing_lists_what_it_removes_and_waits_for_consent(entroloop_here, tmp_path, tiny):
    (tmp_path / "my.yaml").write_text(yaml.safe_dump(tiny))
    entroloop_here("run", "my.yaml", "--out", "s")
    entroloop_here("run", "my.yaml", "--out", "s", "--set", "seeds=[0]")
    stages = sorted(p.name for p in (tmp_path / "s/stages").glob("*/*"))
    refused = entroloop_here("doctor", "s", "--clear")
    assert refused.returncode == 2
    assert "arm replace-random, seed 1: 3 generations" in refused.stderr
    assert "add --yes" in refused.stderr
    assert sorted(p.name for p in (tmp_path / "s/stages").glob("*/*")) == stages
    others = json.loads(entroloop_here("doctor", "s").stdout)["folder"]["other_runs"]
    assert [(o["arm"], o["seed"]) for o in others] == [
        ("accumulate_subsample-greedy", 1), ("replace-random", 1)
    ]  # fmt: skip
    assert entroloop_here("doctor", "s", "--clear", "--yes").returncode == 0
    assert not (tmp_path / "s/arms/replace-random/seed-1.json").exists()
    assert (
        "0 trainings to do"
        in entroloop_here("run", "my.yaml", "--out", "s", "--set", "seeds=[0]").stderr
    )


def test_what_a_run_made_while_the_question_was_open_is_not_cleared(tmp_path, tiny):
    tiny |= {"generations": 1, "seeds": [0]}
    list(el.run_study(tiny | {"seeds": [1]}, tmp_path / "s", engine=Here()))
    list(el.run_study(tiny, tmp_path / "s", engine=Here()))
    found = examine(tmp_path / "s")
    assert found.removal()  # seed 1 is of no use then
    list(el.run_study(tiny | {"seeds": [1]}, tmp_path / "s", engine=Here()))  # and it is again
    with pytest.raises(el.InputError, match="has changed since it was looked at"):
        found.remove()
    assert examine(tmp_path / "s").is_whole
    assert len(examine(tmp_path / "s").stages) == len(found.stages)


@pytest.mark.parametrize("loss", ["arms", "arms/replace-random", "config.json", "unreadable"])
def test_clearing_is_refused_where_the_lists_are_lost(entroloop_here, tmp_path, tiny, loss):
    (tmp_path / "my.yaml").write_text(yaml.safe_dump(tiny))
    entroloop_here("run", "my.yaml", "--out", "s")
    if loss == "unreadable":
        (tmp_path / "s/arms/replace-random/seed-0.json").write_text("{")
    elif loss == "config.json":
        (tmp_path / "s/config.json").unlink()
    else:
        shutil.rmtree(tmp_path / "s" / loss)
    stages = sorted(p.name for p in (tmp_path / "s/stages").glob("*/*"))
    answer = entroloop_here("doctor", "s", "--clear", "--yes")
    assert answer.returncode == 2
    assert answer.stdout == ""
    assert sorted(p.name for p in (tmp_path / "s/stages").glob("*/*")) == stages
    if loss != "unreadable":
        assert "0 trainings to do" in entroloop_here("run", "my.yaml", "--out", "s").stderr
        assert entroloop_here("doctor", "s", "--clear", "--yes").returncode == 0


def test_hidden_files_of_a_user_are_left_alone(entroloop_here, tmp_path, tiny):
    (tmp_path / "my.yaml").write_text(yaml.safe_dump(tiny))
    entroloop_here("run", "my.yaml", "--out", "s")
    (tmp_path / "s/.notes.2026").mkdir()
    (tmp_path / "s/.notes.2026/a").write_text("mine")
    for name in (".env.1", ".tmp-mine", ".config.json.bak.1"):
        (tmp_path / "s" / name).write_text("mine")
    (tmp_path / "s/.config.json.4242").write_text("half")  # what a killed run leaves
    assert entroloop_here("run", "my.yaml", "--out", "s").returncode == 0
    for name in (".notes.2026/a", ".env.1", ".tmp-mine", ".config.json.bak.1"):
        assert (tmp_path / "s" / name).read_text() == "mine"
    assert not (tmp_path / "s/.config.json.4242").exists()
