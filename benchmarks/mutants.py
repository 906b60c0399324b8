"""Mutation testing: small changes of metrics, selection, distances and store that tests must notice.

    python benchmarks/mutants.py --sample 120
    python benchmarks/mutants.py --room metrics/copying.py --sample 40 -- tests/theory/test_metrics.py
    python benchmarks/mutants.py --record lines.cov    # once: which tests run which lines
    python benchmarks/mutants.py --sample 120 --lines lines.cov

One change a mutant: a comparison, an operator, a number, a bound of a range, `and` for `or`. It is
made in a copy of the package, never in the working tree; the tests of its room that name what its file
holds, or those named after `--`, run against the copy until the first that fails. Survivors are printed
with their line: each is a missing test, or a change that changes nothing. The share that was killed has
an exact 95 % interval.

With `--lines` only the tests that run the changed line are run, those of few lines first. What changes
within functions is then changed in a process that has imported all tests, which takes a second where
a start takes ten. Some mutants count as survivors though a test may notice them: on lines that no test
runs in its own process, and, with `--most`, those that only the tests left out would notice. What is
made as a file is imported (tables, constants, defaults) is judged by all tests of its room.

Whatever test fails must pass without the mutant.

Survivors that change nothing, or nothing that is promised, stand with their reasons in
equivalent_mutants.csv; one of a sample that stands there is not judged, and is counted by itself.
"""

import argparse
import ast
import csv
import gc
import json
import os
import random
import re
import shutil
import signal
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import cached_property, partial
from importlib.util import cache_from_source, find_spec
from inspect import CO_OPTIMIZED
from pathlib import Path
from types import CodeType, FunctionType
from typing import NamedTuple, cast

# What the package imports is imported once, before the children that test mutants begin.
import pandas.io.parquet  # noqa: F401
import pyarrow.dataset  # noqa: F401
import pydantic  # noqa: F401
import pytest
import rich.progress  # noqa: F401
import scipy.spatial  # noqa: F401
import sklearn.neighbors  # noqa: F401
import torch  # noqa: F401
from coverage import Coverage, CoverageData
from scipy.stats import binomtest

TESTS = {
    "metrics": [
        "tests/theory/test_distances.py", "tests/theory/test_metrics.py",
        "tests/theory/test_entropy.py",
        "tests/theory/test_text_metrics.py", "tests/theory/test_column_metrics.py",
        "tests/theory/test_originals.py", "tests/theory/test_spectra.py", "tests/test_halves.py",
        "tests/equivalence/test_metrics.py", "tests/test_measure.py", "tests/test_report.py",
        "tests/test_refusals.py", "tests/contracts/test_hosts.py",
        "tests/equivalence/test_same_values.py",
    ],
    "distances": [
        "tests/theory/test_distances.py", "tests/equivalence/test_neighbors.py",
        "tests/equivalence/test_ranges.py", "tests/test_selection.py",
        "tests/equivalence/test_sketches.py", "tests/test_city_block.py",
        "tests/equivalence/test_same_picks.py", "tests/test_defining_values.py",
        "tests/test_duplicates.py", "tests/test_hard_pools.py", "tests/test_tree.py",
    ],
    "selection": [
        "tests/test_selection.py", "tests/contracts/test_strategies.py", "tests/test_how_many.py",
        "tests/contracts/test_hosts.py",
        "tests/test_guarded.py", "tests/test_answer.py", "tests/test_estimators.py", "tests/test_outlying.py",
        "tests/test_hard_pools.py", "tests/test_city_block.py",
        "tests/equivalence/test_same_picks.py", "tests/test_budget.py", "tests/test_tree.py",
        "tests/test_remedies.py", "tests/test_refusals.py", "tests/equivalence/test_same_values.py",
        "tests/test_loading.py", "tests/test_plugins.py",
    ],
    "store": [
        "tests/test_store.py", "tests/hostile/test_stores.py", "tests/test_stored.py",
        "tests/test_object_store.py", "tests/test_notebook.py", "tests/test_study.py",
    ],
}  # fmt: skip  # those of a room, the quick ones first
EQUIVALENT = Path(__file__).with_name("equivalent_mutants.csv")
OPTIONS = ["-q", "-n", "0", "-p", "no:cacheprovider"]
SWAPS: dict[type, type] = {
    ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt, ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq, ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Div, ast.Div: ast.Mult,
    ast.And: ast.Or, ast.Or: ast.And, ast.Is: ast.IsNot, ast.IsNot: ast.Is, ast.USub: ast.UAdd,
}  # fmt: skip


def places(tree: ast.AST) -> Iterator[tuple[ast.expr, str]]:
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


class Mutant(NamedTuple):
    """A file with one place changed: its tree, the lines of that statement, and what changed.

    whole: the lines of the function or class that the statement begins, else of the file.
    before, after: the line of the place, and with the change (its first line, where it has more).
    """

    file: Path
    tree: ast.AST
    text: str
    line: int
    first: int
    last: int
    whole: range
    before: str
    after: str


def changed(file: Path, number: int) -> Mutant:
    """Return a file with its number-th place changed."""
    text = file.read_text("utf-8")
    tree = ast.parse(text)
    node, field = list(places(tree))[number]
    statement = statement_of(node, tree)
    own = node if hasattr(statement, "body") else statement
    first, last = statement.lineno, own.end_lineno or statement.lineno
    whole = range(1, text.count("\n") + 2)
    if own is node:
        whole = range(first, (statement.end_lineno or first) + 1)
    lines = text.encode().splitlines()  # columns are counted in bytes
    start, end = node.col_offset, node.end_col_offset
    own_line = lines[node.lineno - 1]
    left, right = own_line[:start], own_line[end:] if node.end_lineno == node.lineno else b""
    if field == "ops":
        assert isinstance(node, ast.Compare)
        node.ops[0] = SWAPS[type(node.ops[0])]()
    elif field == "op":
        node.op = SWAPS[type(node.op)]()  # type: ignore[attr-defined]
    else:
        assert isinstance(node, ast.Constant)
        node.value = node.value + 1  # type: ignore[operator]
    after = left.decode() + ast.unparse(node) + right.decode()
    before = own_line.decode().strip()
    return Mutant(
        file, tree, ast.unparse(tree), node.lineno, first, last, whole, before, after.strip()
    )


def known_equivalent() -> set[tuple[str, str, str]]:
    """Return the mutants of the table that change nothing: file, line, and the line changed."""
    with EQUIVALENT.open(encoding="utf-8", newline="") as table:
        return {(row["file"], row["line"], row["changed"]) for row in csv.DictReader(table)}


def statement_of(node: ast.expr, tree: ast.AST) -> ast.stmt:
    """Return the innermost statement that holds an expression."""
    around = [
        found
        for found in ast.walk(tree)
        if isinstance(found, ast.stmt)
        and found.lineno <= node.lineno
        and (found.end_lineno or 0) >= (node.end_lineno or 0)
    ]
    return max(around, key=lambda found: found.lineno)


def rooms_of(asked: list[str], source: Path) -> list[Path]:
    """Return the files of rooms, or files themselves."""
    return [
        file
        for room in asked
        for file in (sorted((source / room).rglob("*.py")) or [source / room])
    ]


def tests_of(file: Path, room: str) -> list[str]:
    """Return the tests of a room that name something of a file, or its strategy; else all of them.

    Of a compiled file, whose lines nobody sees run, all of them, those first.
    """
    tree = ast.parse(file.read_text("utf-8"))
    names = {node.name for node in tree.body if isinstance(node, ast.FunctionDef | ast.ClassDef)}
    words = re.compile(rf"\b({'|'.join(map(re.escape, sorted({file.stem, *names})))})\b")
    found = [test for test in TESTS[room] if words.search(Path(test).read_text("utf-8"))]
    if is_compiled(file):
        return then_all(found, room)
    return found or TESTS[room]


def then_all(tests: list[str], room: str) -> list[str]:
    """Return tests, and after them the files of a room that are not among them."""
    return list(dict.fromkeys([*tests, *TESTS[room]]))


class Recorder:
    """A plug-in of pytest: which test runs, told to coverage."""

    def __init__(self, coverage: Coverage) -> None:
        self.coverage = coverage

    def pytest_runtest_setup(self, item: pytest.Item) -> None:
        self.coverage.switch_context(f"{item.nodeid}|setup")

    def pytest_runtest_call(self, item: pytest.Item) -> None:
        self.coverage.switch_context(f"{item.nodeid}|run")


def record(file: Path, source: Path, tests: list[str]) -> None:
    """Run tests once; write which of them ran which lines of the rooms."""
    within = [str(source / room / "*") for room in TESTS]
    coverage = Coverage(str(file), include=within, config_file=False)
    coverage.start()
    status = pytest.main([*OPTIONS, "--durations=20", *tests], plugins=[Recorder(coverage)])
    coverage.stop()
    coverage.save()
    sys.exit(status)


class Lines:
    """Which tests ran which lines, as `record` has it."""

    def __init__(self, recorded: list[Path]) -> None:
        self.data = CoverageData(no_disk=True)
        for file in recorded:
            data = CoverageData(str(file))
            data.read()
            self.data.update(data)

    def knows(self, file: Path) -> bool:
        """Whether lines of a file were recorded."""
        return str(file) in self.data.measured_files() and not is_compiled(file)

    @cached_property
    def breadth(self) -> Counter[str]:
        """How many lines of the package each test ran."""
        found: Counter[str] = Counter()
        for file in self.data.measured_files():
            for contexts in self.data.contexts_by_lineno(file).values():
                found.update({name.rpartition("|")[0] for name in contexts})
        return found

    def tests_of(self, mutant: Mutant) -> tuple[list[str], bool]:
        """Return tests that ran the lines of a mutant, and whether those ran at import, too.

        Of lines that ran at import alone: tests that ran anything of what they belong to. What a
        fixture ran serves all tests of its file, whichever made it.
        """
        by_line = self.data.contexts_by_lineno(str(mutant.file))

        def contexts(lines: range) -> set[str]:
            return {name for line in lines for name in by_line.get(line, [])}

        found = contexts(range(mutant.first, mutant.last + 1))
        imported = "" in found
        if found == {""}:
            found = contexts(mutant.whole)
        of_tests, of_files = set(), set()
        for name in found - {""}:
            test, _, when = name.rpartition("|")
            if when == "run":
                of_tests.add(test)
            else:
                of_files.add(test.partition("::")[0])
        alone = [test for test in of_tests if test.partition("::")[0] not in of_files]
        alone.sort(key=lambda test: (self.breadth[test], test))
        return alone + sorted(of_files), imported


class FirstFailure:
    """A plug-in of pytest: writes which test failed, or "" where a file could not be imported.

    limit: seconds of the processor for a test; the process is killed that takes more.
    """

    def __init__(self, place: Path, limit: float) -> None:
        self.place, self.limit = place, limit

    def pytest_runtest_setup(self) -> None:
        signal.setitimer(signal.ITIMER_PROF, self.limit)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.failed:
            self.place.write_text(report.nodeid, "utf-8")

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        if report.failed:
            self.place.write_text("", "utf-8")


class Bench:
    """A copy of the package, in which one file at a time is a mutant's."""

    def __init__(self, source: Path, folder: Path, limit: float) -> None:
        self.source, self.package = source, folder / "entroloop"
        shutil.copytree(source, self.package, ignore=shutil.ignore_patterns("__pycache__"))
        self.watch = FirstFailure(folder / "failed", limit)
        self.sound: set[str] = set()  # tests that pass without a mutant

    def judged(self, mutant: Mutant, run: Callable[[], int]) -> str | None:
        """Return which test fails, "" where none could run or one ran for too long, else None.

        run: runs tests in the child process, and returns the exit status.
        """
        copy = self.package / mutant.file.relative_to(self.source)
        text = copy.read_text("utf-8")
        _write(copy, mutant.text)
        self.watch.place.unlink(missing_ok=True)
        child = os.fork()
        if not child:
            os.setsid()
            silent = os.open(os.devnull, os.O_WRONLY)
            os.dup2(silent, 1)
            os.dup2(silent, 2)
            os.environ |= {"PYTHONPATH": str(self.package.parent), "PYTHONDONTWRITEBYTECODE": "1"}
            status = 3
            with suppress(BaseException):
                status = run()
            os._exit(status)
        _, status = os.waitpid(child, 0)
        with suppress(ProcessLookupError):
            os.killpg(child, signal.SIGKILL)  # workers that a test has left
        _write(copy, text)
        if os.WIFEXITED(status) and os.WEXITSTATUS(status) in (4, 5):
            sys.exit(f"pytest found no test for {mutant.file}")
        if not status:
            return None
        return self.watch.place.read_text("utf-8") if self.watch.place.exists() else ""

    def started_anew(self, tests: list[str]) -> int:
        """Run tests in a process that has not imported the package yet."""
        sys.path.insert(0, str(self.package.parent))
        return int(pytest.main([*OPTIONS, "-x", *tests], plugins=[self.watch]))

    def refuse_unsound(self, test: str | None, mutant: Mutant, run: Callable[[], int]) -> None:
        """End where a test that fails with a mutant fails without it."""
        if test and test not in self.sound:
            text = mutant.file.read_text("utf-8")
            if self.judged(mutant._replace(text=text, tree=ast.parse(text)), run) is not None:
                sys.exit(f"{test} fails without a mutant, or takes too long")
            self.sound.add(test)


def _write(file: Path, text: str) -> None:
    """Write a file of the copy; what Python keeps of it may be as long, and of the same second."""
    file.write_text(text, "utf-8")
    Path(cache_from_source(str(file))).unlink(missing_ok=True)


def is_compiled(file: Path) -> bool:
    """Whether numba compiles functions of a file: nothing sees which lines run."""
    return "= compiled(" in file.read_text("utf-8")


def codes(code: CodeType) -> Iterator[CodeType]:
    """Yield a code object and those within it, in an order that a mutant does not change."""
    yield code
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from codes(constant)


def pairs_of_codes(mutant: Mutant) -> list[tuple[CodeType, CodeType]]:
    """Return each code object of a file as it is and as the mutant has it."""
    text, name = mutant.file.read_text("utf-8"), str(mutant.file)
    whole, other = (
        compile(of, name, "exec", dont_inherit=True) for of in (text, cast(ast.Module, mutant.tree))
    )
    return list(zip(codes(whole), codes(other), strict=True))


def in_functions(mutant: Mutant) -> bool:
    """Whether a mutant changes nothing but bodies of functions, none of them compiled by numba."""
    if is_compiled(mutant.file):
        return False

    def own(code: CodeType) -> tuple[bytes, str]:
        return code.co_code, repr([c for c in code.co_consts if not isinstance(c, CodeType)])

    different = [before for before, after in pairs_of_codes(mutant) if own(before) != own(after)]
    return all("<locals>" in c.co_qualname or _is_function(c) for c in different)


def _is_function(code: CodeType) -> bool:
    comprehensions = ("<listcomp>", "<setcomp>", "<dictcomp>", "<genexpr>")
    return bool(code.co_flags & CO_OPTIMIZED) and code.co_name not in comprehensions


def put_in(mutant: Mutant, functions: list[FunctionType]) -> None:
    """Change functions of this process as a mutant has them."""
    new = {before: after for before, after in pairs_of_codes(mutant) if before != after}
    for function in functions:
        if function.__code__ in new:
            function.__code__ = new[function.__code__]


class Work(NamedTuple):
    """A mutant of the sample, and the tests that judge it."""

    number: int
    mutant: Mutant
    tests: list[str]


class Session:
    """A plug-in of pytest: instead of running the tests, judges mutants by them."""

    def __init__(self, bench: Bench, work: list[Work], tell: Callable[[Work, str | None], None]):
        self.bench, self.work, self.tell = bench, work, tell

    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        items = {item.nodeid: item for item in session.items}
        of_file: dict[str, list[str]] = {}
        for name in items:
            of_file.setdefault(name.partition("::")[0], []).append(name)
        session.config.pluginmanager.register(self.bench.watch)
        functions: dict[str, list[FunctionType]] = {}
        gc.unfreeze()  # else nobody sees what was loaded before
        for found in gc.get_objects():
            if type(found) is FunctionType:  # `isinstance` asks proxies, which may warn
                functions.setdefault(found.__code__.co_filename, []).append(found)
        gc.freeze()  # so that children copy less memory

        def run(names: list[str], change: Callable[[], None] = lambda: None) -> int:
            change()
            for i, name in enumerate(names):
                after = items[names[i + 1]] if i + 1 < len(names) else None
                hook = session.config.hook.pytest_runtest_protocol
                hook(item=items[name], nextitem=after)
                if self.bench.watch.place.exists():
                    return 1
            return 0

        for work in self.work:
            names = [name for test in work.tests for name in of_file.get(test, [test])]
            change = partial(put_in, work.mutant, functions[str(work.mutant.file)])
            by = self.bench.judged(work.mutant, partial(run, names, change))
            self.bench.refuse_unsound(by, work.mutant, partial(run, [by or ""]))
            self.tell(work, by)
        return True


def judged_here(bench: Bench, works: list[Work]) -> Iterator[tuple[Work, str | None]]:
    """Yield what became of mutants, judged in one process that imports the package once."""
    if not works:
        return
    reading, writing = os.pipe()
    if not os.fork():
        out = os.fdopen(writing, "w")
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)

        def tell(work: Work, by: str | None) -> None:
            print(json.dumps([work.number, by]), file=out, flush=True)

        files = dict.fromkeys(test.partition("::")[0] for work in works for test in work.tests)
        os._exit(pytest.main([*OPTIONS, *files], plugins=[Session(bench, works, tell)]))
    os.close(writing)
    of_number = {work.number: work for work in works}
    with os.fdopen(reading) as lines:
        for line in lines:
            number, by = json.loads(line)
            yield of_number.pop(number), by
    os.wait()
    if of_number:
        sys.exit(f"{len(of_number)} mutants were not judged")


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--room", action="append", help="a folder or file of the package")
    parser.add_argument("--sample", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", help="of the sample: numbers as printed, with commas between")
    parser.add_argument("--limit", type=float, default=90.0, help="processor seconds for one test")
    parser.add_argument("--record", type=Path, help="run the tests once, and write this record")
    parser.add_argument("--lines", type=Path, action="append", help="such a record, or several")
    parser.add_argument("--most", type=int, help="so many of the tests that run a line, no more")
    parser.add_argument("tests", nargs="*", help="what pytest runs, after --")
    asked = parser.parse_args()
    source = Path(find_spec("entroloop").submodule_search_locations[0])  # not imported here
    if asked.record:
        every_test = dict.fromkeys(test for tests in TESTS.values() for test in tests)
        record(asked.record, source, asked.tests or list(every_test))
    files = rooms_of(asked.room or list(TESTS), source)
    every = [
        (f, i) for f in files for i in range(len(list(places(ast.parse(f.read_text("utf-8"))))))
    ]
    lines = Lines(asked.lines) if asked.lines else None
    only = {int(number) for number in (asked.only or "").split(",") if number}
    sample = random.Random(asked.seed).sample(every, min(asked.sample, len(every)))
    survived: Counter[str] = Counter()
    made: Counter[str] = Counter()
    equivalent, known = 0, known_equivalent()

    def tell(work: Work, by: str | None) -> None:
        where = work.mutant.file.relative_to(source)
        made[where.parts[0]] += 1
        survived[where.parts[0]] += by is None
        became = "survived" if by is None else "killed"
        mutant, by = work.mutant, f", {by}" if by else ""
        told = f"{mutant.before}  →  {mutant.after}  ({len(work.tests)} tests or files{by})"
        print(f"{work.number:4} {became:8} {where}:{mutant.line}  {told}", flush=True)

    with tempfile.TemporaryDirectory(prefix="entroloop-mutants-") as name:
        bench = Bench(source, Path(name), asked.limit)
        here: list[Work] = []
        anew: list[Work] = []
        for number, (file, place) in enumerate(sample, 1):
            if only and number not in only:
                continue
            room = file.relative_to(source).parts[0]
            mutant = changed(file, place)
            if (str(file.relative_to(source)), mutant.before, mutant.after) in known:
                equivalent += 1
                continue
            tests, imported = asked.tests or tests_of(file, room), True
            if lines is not None and not asked.tests and lines.knows(file):
                tests, imported = lines.tests_of(mutant)
                tests = tests[: asked.most]
                if imported and tests:  # what a file holds is seen by tests that run none of it
                    tests = then_all(tests, room)
            work = Work(number, mutant, tests)
            if not tests:
                tell(work, None)
            elif not imported and in_functions(mutant):
                here.append(work)
            else:
                anew.append(work)
        for work, by in judged_here(bench, here):
            tell(work, by)
        for work in anew:
            by = bench.judged(work.mutant, partial(bench.started_anew, work.tests))
            bench.refuse_unsound(by, work.mutant, partial(bench.started_anew, [by or ""]))
            tell(work, by)
    for room, count in sorted(made.items()):
        print(f"{room}: {count - survived[room]} of {count} killed")
    killed = made.total() - survived.total()
    low, high = binomtest(killed, made.total()).proportion_ci(0.95, "exact")
    print(
        f"{killed} of {made.total()} killed, {killed / made.total():.0%} [{low:.0%}, {high:.0%}]; "
        f"{equivalent} of the sample change nothing; {len(every)} mutants in all"
    )


if __name__ == "__main__":
    main()
