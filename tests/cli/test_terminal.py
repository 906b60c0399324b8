"""What a person sees: tables on a terminal, JSON in pipes, bars, time left once it is known."""

import json
import os
import re
import subprocess
import sys

import numpy as np
import pytest
import yaml
from PIL import Image

from entroloop.cli.examples import EXAMPLES
from entroloop.system import progress_line
from entroloop.system.progress_line import ProgressLine, time_left


@pytest.fixture
def terminal(entroloop_here, monkeypatch):
    """Run a command as on a terminal of 100 columns; return what it prints."""
    monkeypatch.setenv("COLUMNS", "100")

    def run(*arguments):
        monkeypatch.setattr("sys.stdout.isatty", lambda: True, raising=False)
        answer = entroloop_here(*arguments)
        assert answer.returncode == 0, answer.stderr
        return answer.stdout

    return run


@pytest.fixture
def sets(tmp_path, rng):
    for name in ("made", "train", "held"):
        np.save(tmp_path / f"{name}.npy", rng.standard_normal((40, 3)))
    return tmp_path


def test_select_shows_a_table_on_a_terminal_and_json_in_a_pipe(terminal, entroloop_here, sets):
    shown = terminal(
        "select", "--pool", "a=made.npy", "--pool", "b=held.npy", "-n", 20, "--out", "o"
    )
    assert "20 rows by greedy" in shown
    assert "share of it" in shown
    assert "entropy" in shown
    assert not shown.lstrip().startswith("{")
    asked = terminal("select", "--pool", "made.npy", "-n", 5, "--out", "o", "--json")
    assert json.loads(asked)["n"] == 5


def test_measure_shows_each_metric_with_interval_and_meaning(terminal, sets):
    arguments = ("measure", "--generated", "made.npy", "--train", "train.npy")
    shown = terminal(*arguments, "--metrics", "memorized_fraction,total_variance")
    assert "40 generated, 40 train" in shown
    assert "memorized_fraction" in shown
    assert re.search(r"total_variance +│ +[0-9.]+ \[[0-9.]+, [0-9.]+\]", shown)
    assert "trace of the" in shown
    assert json.loads(terminal(*arguments, "--json"))["generated"]["n"] == 40


def test_duplicates_and_audit_show_tables(terminal, sets, rng):
    real = rng.standard_normal((60, 3))
    np.save(sets / "real.npy", np.concatenate([real, real[:5]]))
    np.save(sets / "some.npy", np.concatenate([real[:7], rng.standard_normal((20, 3))]))
    call = ("duplicates", "--pool", "real.npy", "--threshold", 0.001, "--out", "d")
    shown = terminal(*call)
    assert "5 pairs, 5 groups within 0.001" in shown
    assert re.search(r"real +│ +65 │ +10 │ +5 ", shown)
    assert json.loads(terminal(*call, "--json"))["pairs"] == 5
    call = ("audit", "real.npy", "some.npy", "--level", 0.2, "--out", "a")
    shown = terminal(*call)
    assert "27 generated rows beside 65 real ones" in shown
    assert re.search(r"copy +│ +7 ", shown)
    assert re.search(r"stray +│ .*%.*│ +[0-9.]+ % \[", shown)
    assert json.loads(terminal(*call, "--json"))["counts"]["copy"] == 7


def test_what_was_skipped_decided_and_written_is_told(terminal, tmp_path, rng):
    for name in ("pool", "real"):
        (tmp_path / name).mkdir()
        for i, image in enumerate(rng.integers(0, 256, (40, 4, 4), dtype=np.uint8)):
            Image.fromarray(image).save(tmp_path / name / f"{i:02}.png")
    Image.open(tmp_path / "pool/00.png").save(tmp_path / "pool/copy.png")
    (tmp_path / "pool/broken.png").write_bytes(b"none")
    skipped = re.compile(r"skipped 1: cannot identify image")
    shown = terminal(
        "select", "--pool", "pool", "-n", 41, "--strategy", "guarded", "--guard", "real",
        "--html", "s.html", "--out", "s",
    )  # fmt: skip
    assert "the guard took: random" in shown  # all choices of 41 of 41 are one
    assert skipped.search(shown)
    assert "page s.html" in shown
    shown = terminal("select", "--pool", "pool", "-n", 41, "--strategy", "greedy", "--out", "g")
    assert "1 of the chosen rows are copies of others" in shown
    shown = terminal("measure", "--generated", "pool", "--train", "real", "--html", "m.html",
                     "--metrics", "total_variance")  # fmt: skip
    assert "generated: 1 images skipped" in shown
    assert "page m.html" in shown
    for call in (
        ("duplicates", "--pool", "pool", "--threshold", 1),
        ("audit", "real", "pool", "--level", 0.1),
    ):
        shown = terminal(*call, "--html", f"{call[0]}.html", "--out", call[0])
        assert "skipped 1 of pool" in shown
        assert f"page {call[0]}.html" in shown


def test_names_from_data_cannot_move_the_cursor(terminal, sets):
    evil = sets / "x\x1b[2J[bold].npy"
    np.save(evil, np.random.default_rng(0).standard_normal((9, 2)))
    shown = terminal("select", "--pool", str(evil), "-n", 3, "--out", "o")
    assert "\x1b[2J" not in shown
    assert "[bold]" in shown


def test_doctor_and_run_show_tables(terminal, tmp_path, tiny):
    shown = terminal("doctor")
    assert "environment" in shown
    assert "numpy" in shown
    (tmp_path / "my.yaml").write_text(yaml.safe_dump(tiny | {"generations": 2, "seeds": [0]}))
    shown = terminal("run", "my.yaml", "--out", "s", "--workers", 1)
    assert "is complete" in shown
    assert "{" not in shown
    assert "every stage is whole" in terminal("doctor", "s")


@pytest.mark.parametrize("command", EXAMPLES)
def test_help_ends_with_examples_whose_lines_are_whole(terminal, command):
    shown = terminal(command, "--help")
    for example in EXAMPLES[command]:
        assert f"\n  {example}\n" in shown
    assert ("threshold_decay  " in shown) == (command == "select")


def test_an_unknown_parameter_names_the_valid_ones(entroloop_here, sets):
    answer = entroloop_here(
        "select", "--pool", "made.npy", "-n", 3, "--out", "o",
        "--strategy", "threshold_decay", "--param", "strenght=1",
    )  # fmt: skip
    assert answer.returncode == 2
    assert "did you mean 'strength'? Valid: decay, order, strength, threshold" in answer.stderr


@pytest.mark.parametrize(("call", "help_of"), [
    (["select", "--pool", "made.npy"], "entroloop select"), (["figures"], "entroloop figures"),
    (["run", "--nope"], "entroloop run"), (["selct"], "entroloop"),
])  # fmt: skip
def test_a_wrong_call_names_the_help_of_its_command(entroloop_here, call, help_of):
    answer = entroloop_here(*call)
    assert answer.returncode == 2
    assert answer.stderr.endswith(f"; see {help_of} --help\n")


def test_the_time_left_is_told_only_once_it_can_be_known():
    assert time_left(1.0, 0.5) == ""
    assert time_left(100.0, 0.001) == ""
    assert time_left(100.0, 1.0) == ""
    assert time_left(30.0, 0.25) == "1:30"


def test_reading_images_shows_a_bar_on_a_terminal(entroloop_here, tmp_path, monkeypatch, rng):
    (tmp_path / "images").mkdir()
    for i in range(12):
        pixels = rng.integers(0, 256, (4, 4)).astype(np.uint8)
        Image.fromarray(pixels).save(tmp_path / f"images/{i}.png")
    clock = iter(range(10**6))
    monkeypatch.setattr(progress_line.time, "monotonic", lambda: float(next(clock)))
    original = ProgressLine.__init__

    def on_a_terminal(self):
        original(self)
        self._terminal = True

    monkeypatch.setattr(ProgressLine, "__init__", on_a_terminal)
    answer = entroloop_here("select", "--pool", "images", "-n", 3, "--out", "o")
    assert answer.returncode == 0, answer.stderr
    assert "[##########..........] reading images: 6 of 12, about 0:0" in answer.stderr
    first = next(line for line in answer.stderr.split("\r") if "reading images: 1 of" in line)
    assert "left" not in first


@pytest.mark.parametrize(
    ("words", "completed"),
    [
        ("entroloop dup", ["duplicates"]),
        ("entroloop select --mate", ["--materialize"]),
        ("entroloop select --strategy th", ["threshold_decay"]),
        ("entroloop audit --features di", ["dinov2"]),
        ("entroloop select --metric ma", ["manhattan", "mahalanobis"]),
        ("entroloop run mnist-t", ["mnist-tiny"]),
    ],
)
def test_a_shell_completes_commands_options_and_names(words, completed):
    asked = {"_ENTROLOOP_COMPLETE": "complete_bash", "COMP_WORDS": words,
             "COMP_CWORD": str(words.count(" "))}  # fmt: skip
    command = "import sys; sys.argv[0] = 'entroloop'; import entroloop.__main__ as m; m.main()"
    answer = subprocess.run(
        [sys.executable, "-c", command], env=os.environ | asked, capture_output=True, text=True
    )
    assert answer.stdout.split() == completed, answer.stderr
