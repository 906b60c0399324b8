"""Mutation testing: small changes of metrics, selection, distances and store that tests must notice.

    python benchmarks/mutants.py --sample 120
    python benchmarks/mutants.py --room metrics/copying.py --sample 40 -- tests/theory/test_metrics.py

One change a mutant: a comparison, an operator, a number, a bound of a range, `and` for `or`. It is
made in a copy of the package, never in the working tree; the tests of its room that name what its file
holds, or those named after `--`, run against the copy until the first that fails. Survivors are printed
with their line: each is a missing test, or a change that changes nothing. The share that was killed has
an exact 95 % interval.
"""

import argparse
import ast
import os
import random
import re
import shutil
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

# What the package imports is imported once, before the children that test mutants begin.
import pandas.io.parquet  # noqa: F401
import pyarrow.dataset  # noqa: F401
import pydantic  # noqa: F401
import pytest
import rich.progress  # noqa: F401
import scipy.spatial  # noqa: F401
import sklearn.neighbors  # noqa: F401
import torch  # noqa: F401
from scipy.stats import binomtest

TESTS = {
    "metrics": [
        "tests/theory/test_distances.py", "tests/theory/test_metrics.py",
        "tests/theory/test_entropy.py",
        "tests/theory/test_text_metrics.py", "tests/theory/test_column_metrics.py",
        "tests/theory/test_originals.py", "tests/theory/test_spectra.py", "tests/test_halves.py",
        "tests/equivalence/test_metrics.py", "tests/test_measure.py",
    ],
    "distances": [
        "tests/theory/test_distances.py", "tests/equivalence/test_neighbors.py",
        "tests/equivalence/test_ranges.py", "tests/test_selection.py",
        "tests/equivalence/test_same_picks.py",
    ],
    "selection": [
        "tests/test_selection.py", "tests/contracts/test_strategies.py", "tests/test_how_many.py",
        "tests/contracts/test_hosts.py",
        "tests/test_guarded.py", "tests/test_estimators.py", "tests/test_outlying.py",
        "tests/equivalence/test_same_picks.py",
    ],
    "store": [
        "tests/test_store.py", "tests/hostile/test_stores.py", "tests/test_stored.py",
        "tests/test_object_store.py", "tests/test_study.py",
    ],
}  # fmt: skip  # those of a room, the quick ones first
SWAPS: dict[type, type] = {
    ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt, ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq, ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Div, ast.Div: ast.Mult,
    ast.And: ast.Or, ast.Or: ast.And, ast.Is: ast.IsNot, ast.IsNot: ast.Is, ast.USub: ast.UAdd,
}  # fmt: skip


def places(tree: ast.AST) -> Iterator[tuple[ast.AST, str]]:
    """Yield each node that can be changed, with the field that changes."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Compare) and type(node.ops[0]) in SWAPS:
            yield node, "ops"
        elif isinstance(node, ast.BinOp | ast.BoolOp | ast.UnaryOp) and type(node.op) in SWAPS:
            if not (isinstance(node, ast.BinOp) and _is_text(node)):
                yield node, "op"
        elif isinstance(node, ast.Constant) and type(node.value) in (int, float):
            yield node, "value"


def _is_text(node: ast.BinOp) -> bool:
    return any(
        isinstance(side, ast.JoinedStr)
        or (isinstance(side, ast.Constant) and isinstance(side.value, str))
        for side in (node.left, node.right)
    )


def changed(text: str, number: int) -> tuple[str, int, str]:
    """Return the text of a file with its number-th place changed, the line, and what changed."""
    tree = ast.parse(text)
    node, field = list(places(tree))[number]
    before = ast.unparse(node)
    if field == "ops":
        assert isinstance(node, ast.Compare)
        node.ops[0] = SWAPS[type(node.ops[0])]()
    elif field == "op":
        node.op = SWAPS[type(node.op)]()  # type: ignore[attr-defined]
    else:
        assert isinstance(node, ast.Constant)
        node.value = node.value + 1  # type: ignore[operator]
    return ast.unparse(tree), node.lineno, f"{before}  →  {ast.unparse(node)}"  # type: ignore[attr-defined]


def rooms_of(asked: list[str], source: Path) -> list[Path]:
    """Return the files of rooms, or files themselves."""
    return [
        file
        for room in asked
        for file in (sorted((source / room).rglob("*.py")) or [source / room])
    ]


def tests_of(file: Path, room: str) -> list[str]:
    """Return the tests of a room that name something of a file, or its strategy; else all of them."""
    tree = ast.parse(file.read_text("utf-8"))
    names = {node.name for node in tree.body if isinstance(node, ast.FunctionDef | ast.ClassDef)}
    words = re.compile(rf"\b({'|'.join(map(re.escape, sorted({file.stem, *names})))})\b")
    found = [test for test in TESTS[room] if words.search(Path(test).read_text("utf-8"))]
    return found or TESTS[room]


def ended(tests: list[str], package: Path, limit: float) -> str:
    """Run tests in a child process against a copy of the package; return what became of them."""
    child = os.fork()
    if not child:
        os.setsid()
        silent = os.open(os.devnull, os.O_WRONLY)
        os.dup2(silent, 1)
        os.dup2(silent, 2)
        sys.path.insert(0, str(package.parent))
        os.environ |= {"PYTHONPATH": str(package.parent), "PYTHONDONTWRITEBYTECODE": "1"}
        os._exit(pytest.main(["-q", "-x", "-n", "0", "-p", "no:cacheprovider", *tests]))
    end = time.monotonic() + limit
    while time.monotonic() < end:
        found, status = os.waitpid(child, os.WNOHANG)
        if found:
            return "survived" if status == 0 else "killed"
        time.sleep(0.02)
    os.killpg(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return "killed"  # it hangs, which is noticed


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--room", action="append", help="a folder or file of the package")
    parser.add_argument("--sample", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--limit", type=float, default=600.0, help="seconds for the tests of one")
    parser.add_argument("tests", nargs="*", help="what pytest runs, after --")
    asked = parser.parse_args()
    source = Path(find_spec("entroloop").submodule_search_locations[0])  # not imported here
    files = rooms_of(asked.room or list(TESTS), source)
    every = [
        (f, i) for f in files for i in range(len(list(places(ast.parse(f.read_text("utf-8"))))))
    ]
    sample = random.Random(asked.seed).sample(every, min(asked.sample, len(every)))
    survived: Counter[str] = Counter()
    made: Counter[str] = Counter()
    with tempfile.TemporaryDirectory(prefix="entroloop-mutants-") as name:
        copy = Path(name) / "entroloop"
        shutil.copytree(source, copy, ignore=shutil.ignore_patterns("__pycache__"))
        sound: set[str] = set()  # tests that pass without a mutant
        for done, (file, number) in enumerate(sample, 1):
            text, room = file.read_text("utf-8"), file.relative_to(source).parts[0]
            tests = asked.tests or tests_of(file, room)
            for test in tests:
                if test not in sound and ended([test], copy, asked.limit) != "survived":
                    sys.exit(f"{test} fails without a mutant, or takes too long")
                sound.add(test)
            new, line, what = changed(text, number)
            (copy / file.relative_to(source)).write_text(new, "utf-8")
            became = ended(tests, copy, asked.limit)
            (copy / file.relative_to(source)).write_text(text, "utf-8")
            made[room] += 1
            survived[room] += became == "survived"
            where = f"{file.relative_to(source)}:{line}"
            print(f"{done:4} {became:8} {where}  {what}", flush=True)
    for room, count in sorted(made.items()):
        print(f"{room}: {count - survived[room]} of {count} killed")
    killed = made.total() - survived.total()
    low, high = binomtest(killed, made.total()).proportion_ci(0.95, "exact")
    print(
        f"{killed} of {made.total()} killed, {killed / made.total():.0%} [{low:.0%}, {high:.0%}]; "
        f"{len(every)} mutants in all"
    )


if __name__ == "__main__":
    main()
