"""`load`: whatever rows come in, told by what it is, to one kind of set.

One table lists every kind: how it is recognised, and its reader in `inputs/`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from entroloop.data.decoding import Change
from entroloop.data.inputs.array_files import is_array_file, read_array_file
from entroloop.data.inputs.arrays import is_array, read_array_in_memory
from entroloop.data.inputs.hugging_face import (
    is_dataset,
    is_hub_id,
    is_saved_dataset,
    read_dataset,
    read_hub,
    read_saved,
)
from entroloop.data.inputs.image_files import (
    is_folder,
    is_list_file,
    is_list_of_paths,
    is_pattern,
    read_folder,
    read_list,
    read_list_file,
    read_pattern,
)
from entroloop.data.inputs.images import is_list_of_images, read_image_list
from entroloop.data.inputs.refused import is_refused, refuse
from entroloop.data.inputs.table_files import is_table_file, read_table_file
from entroloop.data.inputs.tables import is_table, read_table
from entroloop.data.inputs.tars import is_tar, read_tar
from entroloop.data.inputs.torch_datasets import is_torch_dataset, read_torch_dataset
from entroloop.data.preparing import preparation
from entroloop.data.sets import Asked, FileSet
from entroloop.errors import InputError
from entroloop.system.progress_line import Progress, no_progress


@dataclass(frozen=True)
class Kind:
    """A kind of input: what it is in words, how it is recognised, its reader."""

    what: str
    recognised: Callable[[Any], bool]
    read: Callable[[Any, Asked], FileSet]


# The first that recognises a thing reads it. Paths come as `Path`.
KINDS = (
    Kind("a set that load returned", lambda x: isinstance(x, FileSet), lambda x, _: x),
    Kind("something else to pass instead of", is_refused, refuse),
    Kind("a Hub id, hub:ID[:SPLIT[:CONFIG]]", is_hub_id, read_hub),
    Kind("a folder of save_to_disk", is_saved_dataset, read_saved),
    Kind("a folder of images, tables or tar shards", is_folder, read_folder),
    Kind("a pattern of paths", is_pattern, read_pattern),
    Kind("an array file, .npy or .npz", is_array_file, read_array_file),
    Kind("a table file, .parquet or .csv", is_table_file, read_table_file),
    Kind("a tar shard of webdataset", is_tar, read_tar),
    Kind("a text file of paths", is_list_file, read_list_file),
    Kind("a list of paths", is_list_of_paths, read_list),
    Kind("a list of images", is_list_of_images, read_image_list),
    Kind("a data set of datasets", is_dataset, read_dataset),
    Kind("a data set of torch", is_torch_dataset, read_torch_dataset),
    Kind("a table of pandas, polars, pyarrow", is_table, read_table),
    Kind("an array, tensor or DLPack object", is_array, read_array_in_memory),
)


def load(
    thing: Any,
    *,
    name: str = "data",
    resize: int | None = None,
    mode: str | None = None,
    column: str | Sequence[str] | None = None,
    columns: Sequence[str] | None = None,
    files: str = "*",
    mixed: bool = False,
    strict: bool = False,
) -> FileSet:
    """Load rows or images from whatever they come in: files, folders, tables, arrays, data sets.

    thing: a folder (subfolders are labels), a pattern, a list of paths; .npy, .npz, .parquet, .csv,
    .tar, a .txt of paths; a folder of `save_to_disk`; "hub:ID[:SPLIT[:CONFIG]]"; arrays, tensors
    (bfloat16, DLPack), lists of images; pandas, polars or Arrow tables; data sets of datasets or
    torch. docs/loading.md has all of them.

    resize: crop the centre to a square and resize it to this height and width (Lanczos). mode: rgb
    or grey. column: the column or columns that hold the data (default: images, else number lists,
    else paths of images, else all number columns). columns: further columns to keep, `label` by
    default; `made_by` is read from the metadata of image files. files: a pattern for the names in a
    folder. mixed: images may differ in size, as networks take them. strict: fail on a corrupt image
    instead of skipping and listing it. name: of the set, in messages.

    The result has `data`: (n, d) numbers or (n, h, w, 1 or 3) uint8 images, `ids`, `index` (in the
    source), `columns`, `skipped` with reasons, `remarks` with counts, and `paths` for files.

    Raises InputError for what cannot be read, what holds no rows, and images that differ in size,
    with every size counted.

    >>> load([[1.0, 2.0], [3.0, 4.0]]).data.shape
    (2, 2)
    """
    change = preparation(resize, mode)
    if isinstance(thing, FileSet) and change:
        raise InputError(f"'{thing.name}' is loaded already; give resize and mode to load itself")
    asked = Asked(
        name=name,
        strict=strict,
        columns=None if columns is None else tuple(columns),
        column=(column,) if isinstance(column, str) else tuple(column) if column else None,
        files=files,
        change=change or None,
        mixed=mixed,
    )
    return _read(thing, asked)


def read_set(
    path: Path | list[Path],
    name: str,
    *,
    strict: bool = False,
    columns: Sequence[str] | None = (),
    column: Sequence[str] | None = None,
    files: str = "*",
    change: Change | None = None,
    mixed: bool = False,
    lazy: bool = False,
    progress: Progress = no_progress,
) -> FileSet:
    """Return the rows that a path or several lead to, as the command line asks for them; see
    `Asked`.

    Raises InputError for unreadable input and, with `strict`, for any corrupt image.
    """
    asked = Asked(
        name=name, strict=strict, columns=None if columns is None else tuple(columns),
        column=tuple(column) if column else None, files=files, change=change or None, mixed=mixed,
        lazy=lazy, progress=progress,
    )  # fmt: skip
    return _read(path, asked)


def name_of(path: str) -> str:
    """Return what a source is called that was given no name: after its file, folder or id."""
    if is_hub_id(path):
        return path.split(":")[1].rpartition("/")[2]
    return folder_of(Path(path)).stem or path


def folder_of(path: Path) -> Path:
    """Return the path itself, or the folder below which a pattern's files lie."""
    if not is_pattern(path):
        return path
    return next(p for p in path.parents if not is_pattern(p))


def _read(thing: Any, asked: Asked) -> FileSet:
    if isinstance(thing, str) and not is_hub_id(thing):
        thing = Path(thing).expanduser()
    for kind in KINDS:
        if kind.recognised(thing):
            return kind.read(thing, asked)
    if isinstance(thing, Path):
        raise _unread_path(thing, asked.name)
    raise InputError(
        f"{asked.name} is of type {type(thing).__name__}, which is not taken; pass an array of "
        "rows, a table, a list of images, a data set or a path"
    )


def _unread_path(path: Path, name: str) -> InputError:
    """Return the error for a path that no reader takes."""
    if path.is_file():
        return InputError(
            f"{path}: give a folder of images, or a .npy, .npz, .parquet, .csv, .tar or .txt file"
        )
    if path.exists():
        return InputError(f"{path} is neither a file nor a folder; give one of them")
    hub = f", or hub:{path} for a data set of the Hub" if len(path.parts) == 2 else ""
    return InputError(f"there is no file or folder {path}; check the path of {name}{hub}")
