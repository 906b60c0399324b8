"""What each command writes, watched: nothing beside its list is created, changed or removed."""

import hashlib
import json
import os
import sys
import tempfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from entroloop.cli import COMMANDS
from entroloop.commands.writes import WRITES, may_write

# In each process: a line for each name that Python creates, changes, renames or removes.
HOOK = """
import os, sys
log = os.open(os.environ["WATCH_LOG"], os.O_WRONLY | os.O_APPEND | os.O_CREAT)
CHANGES = ("os.mkdir", "os.rename", "os.remove", "os.rmdir", "os.link", "os.symlink", "os.truncate")
def hook(event, arguments):
    names = ()
    if event == "open" and isinstance(arguments[0], (str, bytes, os.PathLike)):
        flags = arguments[2] or 0
        names = arguments[:1] if flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT) else ()
    elif event in CHANGES:
        names = arguments[: 2 if event in ("os.rename", "os.link") else 1]
        if event == "os.symlink":
            names = arguments[1:2]
    for name in names:
        if isinstance(name, (str, bytes, os.PathLike)):
            path = os.path.join(os.getcwd(), os.fsdecode(name))
            os.write(log, os.path.normpath(path).encode() + b"\\n")
sys.addaudithook(lambda *a: hook(*a) if os.environ.get("WATCH_LOG") else None)
"""
STUDY = {
    "name": "tiny", "generations": 1, "generator": "gaussian", "metrics": {"unselected": 8},
    "data": {"source": "digits", "n_train": 24, "n_reference": 30},
    "arms": [{"strategy": "greedy", "oversample": 2}],
}  # fmt: skip


def state(root):
    """Return kind, content and mode of every name below a folder."""
    found = {}
    for path in root.rglob("*"):
        content = path.readlink() if path.is_symlink() else ""
        if path.is_file() and not path.is_symlink():
            content = hashlib.sha256(path.read_bytes()).hexdigest()
        found[path] = (content, path.lstat().st_mode, path.lstat().st_ino)
    return found


@pytest.fixture
def place(tmp_path, monkeypatch):
    """The folder in which commands run; home, cache and temporary files lie in it, too."""
    for name in ("home", "cache", "temporary", "hook", "a", "b"):
        (tmp_path / name).mkdir()
    rng = np.random.default_rng(0)
    for name in ("a", "b"):
        for i in range(12):
            pixels = rng.integers(0, 256, (4, 4, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(tmp_path / name / f"{i}.png")
    (tmp_path / "s.yaml").write_text(json.dumps(STUDY))
    (tmp_path / "notes.txt").write_text("mine")
    (tmp_path / "hook/sitecustomize.py").write_text(HOOK)  # for workers
    for name, value in {
        "HOME": "home", "ENTROLOOP_CACHE": "cache", "TMPDIR": "temporary", "WATCH_LOG": "log",
    }.items():  # fmt: skip
        monkeypatch.setenv(name, str(tmp_path / value))
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))
    monkeypatch.setattr(sys, "dont_write_bytecode", True)  # Python's own files are not ours
    monkeypatch.setenv("PYTHONDONTWRITEBYTECODE", "1")
    path = [str(tmp_path / "hook"), os.environ.get("PYTHONPATH", "")]
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(path))
    exec(HOOK, {})  # for this process; without WATCH_LOG it notes nothing
    return tmp_path


RUNS = [  # a study first: others read it
    ("run", ["s.yaml", "--out", "out/run", "--workers", "2"]),
    ("run", ["s.yaml", "--out", "out/run", "--workers", "1", "--set", "generations=2"]),
    ("watch", ["out/run"]), ("report", ["out/run", "--html", "page.html"]),
    ("select", ["--pool", "a", "-n", "5", "--features", "pixels", "--assign", "--materialize",
                "copy"]),
    ("select", ["--pool", "a", "-n", "4", "--materialize", "hub"]),
    ("select", ["--pool", "a", "-n", "4", "--materialize", "parquet", "--html", "page.html"]),
    ("measure", ["--generated", "a", "--train", "b", "--html", "page.html"]),
    ("duplicates", ["--pool", "a", "--threshold", "900", "--html", "page.html"]),
    ("audit", ["a", "b", "--level", "0.4", "--html", "page.html"]),
    ("figures", ["out/run", "--format", "svg"]),
    ("presets", ["digits"]), ("doctor", ["out/run"]), ("doctor", ["out/run", "--repair"]),
    ("doctor", ["out/run", "--clear", "--yes"]), ("doctor", ["--clear-cache"]),
]  # fmt: skip
WITH_OUT = {"select", "duplicates", "audit", "figures"}


def test_a_command_writes_what_is_on_its_list_and_nothing_else(place, entroloop_here):
    log = place / "log"
    written = {}
    for command, arguments in RUNS:
        places = {
            "OUT": place / "out" / command, "DIR": place / "out/run", "CACHE": place / "cache",
            "TEMPORARY": place / "temporary", "HOME": place / "home", "HTML": place, "/": Path("/"),
        }  # fmt: skip
        more = ["--out", f"out/{command}"] if command in WITH_OUT else []
        before = state(place)
        log.write_text("")
        answer = entroloop_here(command, *arguments, *more)
        assert answer.returncode == 0, (command, answer.stderr)
        after = state(place)
        changed = {path for path in before.keys() | after.keys()
                   if before.get(path) != after.get(path)} - {log}  # fmt: skip
        seen = changed | {Path(line) for line in log.read_text().splitlines()}
        for path in sorted(seen - {log}):
            assert is_listed(command, path, places), f"{command} {arguments} wrote {path}"
        written.setdefault(command, set()).update(p for p in changed if p.is_file())
        assert not list((place / "temporary").iterdir())
    for command in ("run", "select", "measure", "duplicates", "audit", "report", "figures"):
        assert written[command], f"nothing was seen of what {command} writes"


def is_listed(command, path, places):
    if path.name == "__pycache__" or path.suffix == ".pyc" or str(path) == os.devnull:
        return True  # Python's own
    for name, root in places.items():
        if name in WRITES[command] and (path == root or path in root.parents):
            return True  # the folder itself
        if path.is_relative_to(root) and may_write(
            command, name, path.relative_to(root).as_posix(), "page.html"
        ):
            return True
    return False


def test_the_list_has_every_command_and_is_printed(entroloop_here):
    assert set(WRITES) == {command.__name__ for command in COMMANDS}
    printed = json.loads(entroloop_here("doctor", "--writes").stdout)
    assert printed == json.loads(json.dumps(WRITES))
