"""Mutation testing: small changes of metrics, selection, distances and store that tests must notice.

    python benchmarks/mutants.py --room metrics --sample 40 -- tests/theory tests/equivalence

One change a mutant: a comparison, an operator, a number, a bound of a range, `and` for `or`. It is
made in a copy of the package, never in the working tree; the tests named after `--` run against the
copy until the first that fails. Survivors are printed with their line: each is a missing test, or a
change that changes nothing.
"""

import argparse
import ast
import os
import random
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import entroloop

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


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument(
        "--room", action="append", required=True, help="a folder or file of the package"
    )
    parser.add_argument("--sample", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("tests", nargs="+", help="what pytest runs, after --")
    asked = parser.parse_args()
    source = Path(entroloop.__file__).parent
    files = [
        f
        for room in asked.room
        for f in sorted(
            (source / room).rglob("*.py") if (source / room).is_dir() else [source / room]
        )
    ]
    every = [
        (f, i) for f in files for i in range(len(list(places(ast.parse(f.read_text("utf-8"))))))
    ]
    sample = random.Random(asked.seed).sample(every, min(asked.sample, len(every)))
    survived = 0
    with tempfile.TemporaryDirectory(prefix="entroloop-mutants-") as name:
        copy = Path(name) / "entroloop"
        shutil.copytree(source, copy, ignore=shutil.ignore_patterns("__pycache__"))
        environment = os.environ | {"PYTHONPATH": name, "PYTHONDONTWRITEBYTECODE": "1"}
        command = [
            sys.executable,
            "-m",
            "pytest",
            "-q",
            "-x",
            "-n",
            "0",
            "-p",
            "no:cacheprovider",
            *asked.tests,
        ]
        for done, (file, number) in enumerate([(None, 0), *sample]):
            if file is not None:
                text = file.read_text("utf-8")
                new, line, what = changed(text, number)
                (copy / file.relative_to(source)).write_text(new, "utf-8")
            ended = subprocess.run(command, env=environment, capture_output=True, text=True)
            if file is None:
                if ended.returncode:
                    sys.exit(f"the tests fail without a mutant:\n{ended.stdout[-2000:]}")
                continue
            (copy / file.relative_to(source)).write_text(text, "utf-8")
            survived += ended.returncode == 0
            told = "SURVIVED" if ended.returncode == 0 else "killed"
            print(f"{done:4} {told:8} {file.relative_to(source)}:{line}  {what}", flush=True)
    print(f"{len(sample) - survived} of {len(sample)} killed; {len(every)} mutants in all")


if __name__ == "__main__":
    main()
