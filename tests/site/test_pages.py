"""What stands in docs/ is true: its blocks run, its commands exist, its notebooks execute.

A block of `console`, `bash` or `python` is run if the line before it is `<!-- run -->`
(`<!-- run slow -->`: with -m slow), in order, a page in a folder of its own.
`<!-- skip: reason -->` says why one is not. Blocks without a mark: Python must compile, commands
and their options must exist, and with -m slow commands run on small files of the names they give.
"""

import ast
import contextlib
import io
import json
import os
import re
import shlex
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import typer.main
from PIL import Image
from rich.console import Console

import entroloop as el
from entroloop.cli import app
from entroloop.cli.answers import show_selection
from entroloop.cli.examples import EXAMPLES
from here import Here

DOCS = Path(__file__).parents[2] / "docs"
README = DOCS.parent / "README.md"
BLOCK = re.compile(
    r"^(?:<!-- (?P<mark>run slow|run|skip: .+?) -->\n)?```(?P<kind>console|bash|python)\n"
    r"(?P<text>.*?)^```",
    re.M | re.S,
)
FENCE = re.compile(r"^```(?P<kind>\w*)\n(?P<text>.*?)^```$", re.M | re.S)


@dataclass(frozen=True)
class Block:
    """A code block: its language, its text, its mark, and the line that it begins at."""

    kind: str
    text: str
    mark: str
    line: int

    @property
    def is_run(self) -> bool:
        return self.mark.startswith("run")

    def commands(self) -> list[tuple[str, list[str]]]:
        """Return the commands of a console block, each with the lines that it is to print."""
        if self.kind == "bash":
            return [(self.text, [])]
        found: list[tuple[str, list[str]]] = []
        for line in self.text.splitlines():
            if line.startswith("$ "):
                found.append((line[2:], []))
            elif found:
                found[-1][1].append(line)
        return found


def pages() -> list[Path]:
    return sorted(p for p in DOCS.rglob("*.md") if "_site" not in p.parts)


def blocks_of(page: Path) -> list[Block]:
    text = page.read_text()
    return [
        Block(m["kind"], m["text"], m["mark"] or "", text.count("\n", 0, m.start()) + 1)
        for m in BLOCK.finditer(text)
    ]


def commands_in(text: str) -> list[list[str]]:
    """Return the calls of entroloop in lines of a shell, as lists of words."""
    joined = text.replace("\\\n", " ")
    calls = []
    for line in joined.splitlines():
        line = line.removeprefix("$ ").strip()
        if not line.startswith("entroloop "):
            continue
        line = re.split(r"\s{2,}(?!-)|\s[|>&]|\s#", line)[0]
        calls.append(shlex.split(line)[1:])
    return calls


def plain_fences(page: Path) -> list[str]:
    return [found["text"] for found in FENCE.finditer(page.read_text()) if not found["kind"]]


def name(page):
    return page.relative_to(DOCS).as_posix()


RUN = [page for page in pages() if any(block.is_run for block in blocks_of(page))]


@pytest.fixture
def shell(tmp_path, monkeypatch):
    """Run lines of a shell in a fresh folder in which `entroloop` is this one."""
    tools, here = tmp_path / "tools", tmp_path / "here"
    tools.mkdir()
    here.mkdir()
    command = tools / "entroloop"
    command.write_text(f'#!/bin/sh\nexec {sys.executable} -m entroloop "$@"\n')
    command.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tools}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.chdir(here)

    def run(text):
        done = subprocess.run(["bash", "-euc", text], capture_output=True, text=True, timeout=1200)
        assert done.returncode == 0, f"{text}\n{done.stderr}"
        return done.stdout

    return run


def run_page(page, shell, *, slow):
    """Run a page's blocks in order: Python in one namespace, as a reader would."""
    space = {}
    for block in blocks_of(page):
        if not block.is_run or (block.mark == "run slow" and not slow):
            continue
        if block.kind == "python":
            with contextlib.redirect_stdout(None):
                exec(compile(block.text, f"{name(page)}:{block.line}", "exec"), space)
            continue
        for command, expected in block.commands():
            printed = shell(command)
            if expected:
                wanted = ".*".join(map(re.escape, "\n".join(expected).split("…")))
                assert re.fullmatch(wanted, printed.strip(), re.S), f"{command}\n{printed}"


SLOW = ("tutorials/first-study.md", "tutorials/which-images.md")  # ten seconds and more


@pytest.mark.parametrize(
    "page",
    [pytest.param(p, marks=[pytest.mark.slow] * (name(p) in SLOW), id=name(p)) for p in RUN],
)
def test_the_blocks_of_a_page_run(page, shell):
    run_page(page, shell, slow=False)


@pytest.mark.slow
@pytest.mark.timeout(1500)
@pytest.mark.parametrize(
    "page", [p for p in RUN if any(b.mark == "run slow" for b in blocks_of(p))], ids=name
)
def test_the_blocks_of_a_page_run_with_the_slow_ones(page, shell):
    run_page(page, shell, slow=True)


@pytest.mark.slow
def test_the_sample_output_in_the_readme_is_that_of_the_tutorial(shell, tmp_path):
    run_page(DOCS / "tutorials/which-images.md", shell, slow=False)
    console = Console(width=100, record=True, file=io.StringIO())
    show_selection(json.loads((tmp_path / "here/chosen.json").read_text()), console)
    lines = [line.rstrip() for line in console.export_text().splitlines()]
    assert "\n".join(lines[:8]) in README.read_text()


def options_of(command):
    found = typer.main.get_command(app).commands[command].params
    return {
        option for parameter in found for option in (*parameter.opts, *parameter.secondary_opts)
    }


def check(call):
    """Check that a call of entroloop names a command, and options that it has."""
    if call[0] in ("--help", "-h", "--version", "-V"):
        return
    known = options_of(call[0]) | {"--help", "-h"}
    for word in call[1:]:
        if re.match(r"--?[a-z]", word):
            assert word.partition("=")[0] in known, f"entroloop {call[0]} has no {word}"


@pytest.mark.parametrize("page", pages(), ids=name)
def test_commands_on_a_page_exist_and_its_python_is_python(page):
    for block in blocks_of(page):
        if block.kind == "python":
            ast.parse(block.text)
        else:
            for call in commands_in(block.text):
                check(call)
    for text in plain_fences(page):
        for call in commands_in(text):
            check(call)


def test_the_readme_is_short_and_its_commands_and_links_exist():
    text = README.read_text()
    lines = [line for line in text.splitlines() if line]
    assert len(lines) <= 48
    assert max(len(line) for line in lines if not line.startswith(("|", "!"))) <= 125
    calls = [call for fence in plain_fences(README) for call in commands_in(fence)]
    assert [call[0] for call in calls] == ["measure", "select"]
    for call in calls:
        check(call)
    for target in re.findall(r"\]\(([^)#]+)\)", text):
        assert target.startswith("https://") or (DOCS.parent / target).exists(), target


ELSEWHERE = {  # words of calls that other tests make
    "ray": "tests/test_ray.py", "--live": "tests/test_live.py", "--browser": "tests/test_live.py",
    "--plugin": "tests/test_plugins.py", "copies": "tests/test_plugins.py",
    "data.path=mnist/": "no MNIST here; the presets are built in tests/test_config.py",
}  # fmt: skip
TINY = {
    "generations": 2, "generator": {"name": "gaussian"}, "metrics": {"unselected": 0},
    "data": {"source": "digits", "n_train": 30, "n_reference": 40},
    "arms": [{"paradigm": "replace"}, {"paradigm": "accumulate"}],
}  # fmt: skip


@pytest.fixture
def small_files(tmp_path, rng):
    """Write, small, the folders, arrays, tables and studies that commands of the pages name."""
    (tmp_path / "benchmarks").symlink_to(DOCS.parent / "benchmarks")
    for folder in ("real", "made", "images", "samples", "heldout", "kept", "day1", "day2"):
        n = 420 if folder == "real" else 60  # as many as an audit needs
        pictures = rng.integers(0, 256, (n, 4, 4), dtype=np.uint8)
        for i, picture in enumerate(pictures):
            path = tmp_path / folder / ("ab"[i % 2] if folder == "images" else "") / f"{i}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(picture).save(path)
    for table in ("train", "heldout", "cifar", "b"):
        encoded = [(tmp_path / f"samples/{i}.png").read_bytes() for i in range(50)]
        images = [{"bytes": content, "path": None} for content in encoded]
        pd.DataFrame({"image": images}).to_parquet(tmp_path / f"{table}.parquet")
    for array in ("emb", "made", "real", "a"):
        np.save(tmp_path / f"{array}.npy", rng.standard_normal((200, 6)).astype(np.float32))
    (tmp_path / "my.yaml").write_text(json.dumps({"name": "mine"} | TINY))
    for name in ("digits", "mine"):
        list(el.run_study({"name": name} | TINY, tmp_path / "runs" / name, engine=Here()))


def made_small(call):
    """Return a call with fewer rows asked for; studies of minutes are planned, not run."""
    call = [re.sub(r"^\d{3,}$", "20", word) if call[i - 1] == "-n" else word
            for i, word in enumerate(call)]  # fmt: skip
    if call[:2] == ["run", "theory"]:
        return [*call, "--seeds", "1000"]
    return [*call, "--dry-run"] if call[0] == "run" and "--dry-run" not in call else call


WITH_CALLS = [
    page for page in [*pages(), README] if any(commands_in(f) for f in plain_fences(page))
]


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("page", WITH_CALLS, ids=lambda page: page.name)
def test_the_calls_of_a_page_run_on_small_files(page, small_files, entroloop_here):
    for fence in plain_fences(page):
        for call in commands_in(fence):
            if any(word in call for word in ELSEWHERE):
                continue
            if any("path: data/" in word for word in call):  # real images
                if not (folder := os.environ.get("ENTROLOOP_DATA")):
                    continue
                call = [word.replace("path: data/", f"path: {folder}/") for word in call]
            answer = entroloop_here(*made_small(call))
            assert answer.returncode == 0, f"{call}: {answer.stderr}"


def test_a_command_that_does_not_exist_is_found():
    (call,) = commands_in("$ entroloop select --pool a --speed 3 | head\n")
    with pytest.raises(AssertionError, match="has no --speed"):
        check(call)


@pytest.mark.parametrize("command", EXAMPLES)
def test_examples_of_the_help_name_options_that_exist(command):
    for example in EXAMPLES[command]:
        for call in commands_in(example):
            assert call[0] == command
            check(call)


NOTEBOOKS = sorted((DOCS / "notebooks").glob("*.ipynb"))


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda p: p.stem)
def test_notebooks_are_kept_without_outputs(path):
    for cell in json.loads(path.read_text())["cells"]:
        assert cell.get("outputs", []) == []
        assert cell.get("execution_count") is None


@pytest.mark.slow
@pytest.mark.filterwarnings("default")  # of the kernel's own libraries
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda p: p.stem)
def test_notebooks_execute(path, tmp_path):
    nbclient = pytest.importorskip("nbclient", reason="nbclient is not installed")
    nbformat = pytest.importorskip("nbformat", reason="nbformat is not installed")
    book = nbformat.read(path, as_version=4)
    done = nbclient.NotebookClient(
        book, timeout=240, kernel_name="python3", resources={"metadata": {"path": str(tmp_path)}}
    ).execute()
    outputs = [out for cell in done.cells for out in cell.get("outputs", [])]
    assert outputs
    assert not [out for out in outputs if out.output_type == "error"]
