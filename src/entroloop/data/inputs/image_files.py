"""Folders, patterns and lists of image files."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import numpy as np

from entroloop.data.decoding import IMAGE_SUFFIXES
from entroloop.data.image_stream import read_images
from entroloop.data.inputs.table_files import TABLE_SUFFIXES, read_tables
from entroloop.data.inputs.tars import read_tars
from entroloop.data.sets import LABEL, MADE_BY, Asked, FileSet, printable
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
    found = sorted(
        p
        for p in path.rglob("*")
        if p.is_file() and not p.name.startswith(".") and fnmatch(p.name, asked.files)
    )
    images = [p for p in found if p.suffix.lower() in IMAGE_SUFFIXES]
    if images:
        left = len(found) - len(images)
        others = {"no image by its ending: not read": left} if left else {}
        return _images(images, path, asked, others | _unreadable_folders(path))
    for suffixes, reader in _OF_SUFFIXES:
        of_kind = [p for p in found if p.suffix.lower() in suffixes]
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
    try:
        lines = [line.strip() for line in path.read_text("utf-8").splitlines()]
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path} is not a readable list of paths: {error}") from None
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
    return _images(found, root, asked, {}, where)


_OF_SUFFIXES: tuple[tuple[set[str], Callable[[list[Path], Asked], FileSet]], ...] = (
    (TABLE_SUFFIXES, read_tables),
    ({".tar"}, read_tars),
)


def _images(
    files: list[Path], root: Path | None, asked: Asked, others: dict[str, int], where: str = ""
) -> FileSet:
    """Read image files; the first folder below the root is the label."""
    ids = [printable((p if root is None else _below(p, root)).as_posix()) for p in files]
    labels = np.array([Path(i).parts[0] if len(Path(i).parts) > 1 else "" for i in ids])
    if root is None:
        labels = np.array([p.parent.name for p in files])
    columns: dict[str, Array] = {LABEL: labels} if labels.astype(bool).any() else {}
    if asked.wants(LABEL):
        columns = {LABEL: labels}
    kept = asked.kept([*columns, MADE_BY], where or str(root))
    read = read_images(
        zip(ids, files, strict=True), asked.strict, where or str(root), asked.change,
        total=len(files), mixed=asked.mixed, look=asked.look,
    )  # fmt: skip
    columns = {column: columns[column] for column in kept if column in columns}
    return FileSet.of_images(asked.name, read, ids, columns=columns, paths=files, remarks=others)


def _below(path: Path, root: Path) -> Path:
    return path.relative_to(root) if path.is_relative_to(root) else path


def _unreadable_folders(path: Path) -> dict[str, int]:
    """Return how many folders below one may not be listed, if any."""
    below = (Path(root) / name for root, names, _ in os.walk(path) for name in names)
    count = sum(not os.access(folder, os.R_OK | os.X_OK) for folder in below)
    return {"folders that may not be read": count} if count else {}
