"""Folders, patterns and lists of image files."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Sequence
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import numpy as np

from entroloop.data.decoding import IMAGE_SUFFIXES
from entroloop.data.image_stream import read_images
from entroloop.data.inputs.table_files import TABLE_SUFFIXES, read_tables
from entroloop.data.inputs.tars import read_tars
from entroloop.data.names import printable
from entroloop.data.reading import reading
from entroloop.data.sets import LABEL, MADE_BY, Asked, FileSet
from entroloop.errors import InputError
from entroloop.samples import Array

WILD = "*?["


def is_folder(thing: Any) -> bool:
    """Whether it is the path of a folder."""
    return isinstance(thing, Path) and thing.is_dir()


def is_pattern(thing: Any) -> bool:
    """Whether it is a path with wildcards that names no file itself."""
    return isinstance(thing, Path) and any(c in str(thing) for c in WILD) and not thing.exists()


def is_list_of_paths(thing: Any) -> bool:
    """Whether it is a list of paths, or an array of text."""
    if isinstance(thing, np.ndarray):
        return thing.dtype.kind == "U" and thing.ndim == 1
    some = thing[:1000] if isinstance(thing, list | tuple) else ()
    return len(some) > 0 and all(isinstance(path, str | Path) for path in some)


def is_list_file(thing: Any) -> bool:
    """Whether it is a text file, of one path a line."""
    return isinstance(thing, Path) and thing.suffix == ".txt"


def read_folder(path: Path, asked: Asked) -> FileSet:
    """Read a folder of images, else of tables, else of tar shards, subfolders included."""
    found, others = _files_below(path, asked.files)
    images = [name for name in found if _suffix(name) in IMAGE_SUFFIXES]
    if images:
        if left := len(found) - len(images):
            others["no image by its ending: not read"] = left
        return _images([path / name for name in images], images, asked, others, str(path))
    for suffixes, reader in _OF_SUFFIXES:
        of_kind = [path / name for name in found if _suffix(name) in suffixes]
        if of_kind:
            return reader(of_kind, asked)
    named = "" if asked.files == "*" else f" named {asked.files}"
    raise InputError(f"{path} holds neither images nor parquet files{named}, CSV or tar files")


def read_pattern(pattern: Path, asked: Asked) -> FileSet:
    """Read the files that a path with wildcards names, in order of their names."""
    parts = pattern.parts
    wild = next(i for i, part in enumerate(parts) if any(c in part for c in WILD))
    root = Path(*parts[:wild])
    found = sorted(p for p in root.glob(str(Path(*parts[wild:]))) if p.is_file())
    if not found:
        raise InputError(f"no file matches {pattern}; check the pattern of {asked.name}")
    return _files(found, root, asked, str(pattern))


def read_list_file(path: Path, asked: Asked) -> FileSet:
    """Read the files that a text file names, a line each, relative to its folder."""
    with reading(path, "list of paths"):
        lines = [line.strip() for line in path.read_text("utf-8").splitlines()]
    return _files([path.parent / line for line in lines if line], None, asked, str(path))


def read_list(paths: Sequence[str | Path], asked: Asked) -> FileSet:
    """Read the files of a list of paths, in its order."""
    found = [Path(p).expanduser() for p in paths]
    missing = next((p for p in found if not p.is_file()), None)
    if missing is not None:
        raise InputError(
            f"{asked.name}: text is taken as paths of files, and there is no file "
            f"'{printable(str(missing))[:80]}'; give paths, or an array of numbers"
        )
    return _files(found, None, asked, asked.name)


def _files(found: list[Path], root: Path | None, asked: Asked, where: str) -> FileSet:
    """Read files of one kind: images, tables or tar shards."""
    if not found:
        raise InputError(f"{where} names no file")
    for suffixes, reader in _OF_SUFFIXES:
        if all(p.suffix.lower() in suffixes for p in found):
            return reader(found, asked)
    names = [(p if root is None else _below(p, root)).as_posix() for p in found]
    return _images(found, names, asked, {}, where, by_folder=root is None)


_OF_SUFFIXES: tuple[tuple[set[str], Callable[[list[Path], Asked], FileSet]], ...] = (
    (TABLE_SUFFIXES, read_tables),
    ({".tar"}, read_tars),
)


def _images(
    files: list[Path],
    names: list[str],
    asked: Asked,
    others: dict[str, int],
    where: str,
    *,
    by_folder: bool = False,
) -> FileSet:
    """Read image files; their label is the first folder in their names, or that they lie in."""
    if by_folder:
        labels = np.array([p.parent.name for p in files])
    else:
        labels = np.array([name.partition("/")[0] if "/" in name else "" for name in names])
    columns: dict[str, Array] = {LABEL: labels} if labels.astype(bool).any() else {}
    if asked.wants(LABEL):
        columns = {LABEL: labels}
    kept = asked.kept([*columns, MADE_BY], where)
    ids = [printable(name) for name in names]
    read = read_images(
        zip(ids, files, strict=True), asked.strict, where, asked.change,
        total=len(files), mixed=asked.mixed, look=asked.look, progress=asked.progress,
    )  # fmt: skip
    columns = {column: columns[column] for column in kept if column in columns}
    return FileSet.of_images(asked.name, read, ids, columns=columns, paths=files, remarks=others)


def _below(path: Path, root: Path) -> Path:
    return path.relative_to(root) if path.is_relative_to(root) else path


def _suffix(name: str) -> str:
    return os.path.splitext(name)[1].lower()  # noqa: PTH122  # of a million names


def _files_below(folder: Path, pattern: str) -> tuple[list[str], dict[str, int]]:
    """Return the relative paths of all files below a folder, and what else is there, counted.

    Names that begin with a dot are left out. Links to files are followed; links to folders are not.
    """
    found: list[str] = []
    others: Counter[str] = Counter()
    root, waiting = os.path.realpath(folder), [""]
    while waiting:
        here = waiting.pop()
        try:
            with os.scandir(folder / here) as entries:
                for entry in entries:
                    name = f"{here}/{entry.name}" if here else entry.name
                    if entry.is_dir(follow_symlinks=False):
                        waiting.append(name)
                    elif entry.name.startswith(".") or not (
                        pattern == "*" or fnmatch(entry.name, pattern)
                    ):
                        continue
                    elif entry.is_symlink():
                        kind = _link(entry.path, root)
                        if kind != _WITHIN:
                            others[kind] += 1
                        if kind in (_WITHIN, _ELSEWHERE):
                            found.append(name)
                    elif entry.is_file():
                        found.append(name)
                    else:
                        others["neither file nor folder: not read"] += 1
        except OSError:
            others["folders that may not be read"] += 1
    return sorted(found, key=lambda name: name.split("/")), dict(others)


_WITHIN, _ELSEWHERE = "links within the folder", "links to files outside the folder: followed"


def _link(path: str, root: str) -> str:
    """Return where a link leads, as remarks tell it."""
    target = os.path.realpath(path)
    if os.path.isfile(target):  # noqa: PTH113
        return _WITHIN if target.startswith(root + os.sep) else _ELSEWHERE
    if os.path.isdir(target):  # noqa: PTH112
        return "links to folders: not followed"
    return "links to no file: not read"
