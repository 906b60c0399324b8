"""Fixtures shared by all tests."""

from __future__ import annotations

import gc
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

# One thread: two cores shared by test processes, and results that repeat to the last bit.
for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(name, "1")

# Of lines, and of branches, in percent: the least that default tests run in their own processes
# (commands and workers that they start are not seen). ENTROLOOP_COVERAGE asks for it, as .ci/run
# does: "floor", or a file for all that was found. SlipCover's plugin reads the settings.
FLOOR = 90
NEVER_RUN = ("if TYPE_CHECKING:", "if __name__ == .__main__.:", r"class .*\(Protocol")
COMPILED = "*/pools/tree_kernels.py,*/pools/tree_division.py,*/distances/*kernels.py"
if "ENTROLOOP_COVERAGE" in os.environ:
    os.environ |= {
        "SLIPCOVER_ENABLED": "1",
        "SLIPCOVER_BRANCH": "1",
        "SLIPCOVER_SOURCE": "src/entroloop",
        "SLIPCOVER_OMIT": COMPILED,  # what runs of them is not Python
        "SLIPCOVER_EXCLUDE_LINES": "\n".join(NEVER_RUN),
    }

TINY = {
    "name": "tiny",
    "data": {"source": "digits", "n_train": 24, "n_reference": 30},
    "generator": {"name": "gaussian"},
    "generations": 3,
    "seeds": [0, 1],
    "arms": [
        {"paradigm": "replace", "strategy": "random"},
        {"paradigm": "accumulate_subsample", "strategy": "greedy", "oversample": 2},
    ],
}


@pytest.fixture
def tiny():
    """Return a study that runs in seconds, without torch."""
    import copy

    return copy.deepcopy(TINY)


@pytest.fixture
def rng():
    """Return a seeded generator."""
    return np.random.default_rng(0)


@pytest.fixture
def in_three_threads(monkeypatch):
    """Let products of matrices seem to run in three threads, once it is called."""
    from entroloop.system import threads

    def begin() -> None:
        limit = threads._libraries(False).limit
        fake = SimpleNamespace(lib_controllers=[SimpleNamespace(num_threads=3)], limit=limit)
        monkeypatch.setattr(threads, "_libraries", lambda compiled: fake)

    return begin


@pytest.fixture
def entroloop(tmp_path):
    """Run the command line in a fresh folder; return the finished process."""

    def run(*arguments: object, **options: object) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "entroloop", *map(str, arguments)]
        return subprocess.run(
            command, capture_output=True, text=True, cwd=tmp_path, timeout=280, **options
        )

    return run


@pytest.fixture
def entroloop_here(tmp_path, monkeypatch, capsys):
    """Run the command line as `entroloop` does, but in this process, which starts faster, steps of
    a study on this machine included.
    """

    def run(*arguments: object) -> subprocess.CompletedProcess[str]:
        from entroloop.cli import main
        from entroloop.commands import run as command
        from here import Here

        monkeypatch.setattr(command, "LocalEngine", lambda workers: Here())
        monkeypatch.chdir(tmp_path)
        monkeypatch.setattr(sys, "argv", ["entroloop", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            main()
        printed = capsys.readouterr()
        return subprocess.CompletedProcess(arguments, ended.value.code, printed.out, printed.err)

    return run


@pytest.fixture(scope="session")
def real_data() -> Path:
    """Return the folder of real image sets, or skip."""
    folder = os.environ.get("ENTROLOOP_DATA")
    if not folder:
        pytest.skip("ENTROLOOP_DATA is not set: no real image data")
    return Path(folder)


def pytest_collection_finish() -> None:
    """Spare the collector of garbage what all tests have loaded, which took a sixth of the time."""
    gc.collect()
    gc.freeze()


@pytest.hookimpl(trylast=True)  # after SlipCover has merged what the workers wrote
def pytest_sessionfinish(session: pytest.Session) -> None:
    """Tell the coverage where it was asked for, and fail below the floor."""
    target = os.environ.get("ENTROLOOP_COVERAGE")
    if target is None or "PYTEST_XDIST_WORKER" in os.environ:
        return
    folder = os.environ.get("SLIPCOVER_COVERAGE_DIR")
    if folder is None:
        raise pytest.UsageError("ENTROLOOP_COVERAGE needs tests in processes of their own: -n 2")
    found = json.loads((Path(folder) / "merged.json").read_text())
    shutil.rmtree(folder)
    out = session.config.get_terminal_writer()
    for kind in ("lines", "branches"):
        done, left = found["summary"][f"covered_{kind}"], found["summary"][f"missing_{kind}"]
        share = 100 * done / (done + left)
        out.write(f"\n{share:.1f} % of {done + left:,} {kind} run; at least {FLOOR} must")
        if share < FLOOR and session.exitstatus == pytest.ExitCode.OK:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED
    if target != "floor":
        Path(target).write_text(json.dumps(found))
