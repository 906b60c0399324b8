"""Fixtures shared by all tests."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

# One thread: two cores shared by test processes, and results that repeat to the last bit.
for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(name, "1")

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
