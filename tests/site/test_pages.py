"""What stands in docs/ is true: its blocks run, its commands exist, its notebooks execute.

A block of `console`, `bash` or `python` is run if the line before it is `<!-- run -->`
(`<!-- run slow -->`: with -m slow), in order, a page in a folder of its own.
`<!-- skip: reason -->` says why one is not. Blocks without a mark are read only: Python must
compile, commands and their options must exist.
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

import pytest
import typer.main
from rich.console import Console

from entroloop.cli import app
from entroloop.cli.answers import show_selection
from entroloop.cli.examples import EXAMPLES

DOCS = Path(__file__).parents[2] / "docs"
BLOCK = re.compile(
    r"^(?:<!-- (?P<mark>run slow|run|skip: .+?) -->\n)?```(?P<kind>console|bash|python)\n"
    r"(?P<text>.*?)^```",
    re.M | re.S,
)
FENCE = re.compile(r"^```\n(.*?)^```", re.M | re.S)


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
    return FENCE.findall(page.read_text())


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
    readme = (DOCS.parent / "README.md").read_text()
    assert "\n".join(lines[:8]) in readme


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
    page = DOCS.parent / "README.md"
    text = page.read_text()
    lines = [line for line in text.splitlines() if line]
    assert len(lines) <= 62
    assert max(len(line) for line in lines if not line.startswith(("|", "!"))) <= 125
    calls = [call for fence in plain_fences(page) for call in commands_in(fence)]
    assert [call[0] for call in calls] == ["select", "measure"]
    for call in calls:
        check(call)
    for target in re.findall(r"\]\(([^)#]+)\)", text):
        assert target.startswith("https://") or (page.parent / target).exists(), target


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
