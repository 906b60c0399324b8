"""Sets of rows that `select` and `measure` read from files and folders: images, arrays, parquet.

A set holds either uint8 images (n, height, width, channels) or vectors (n, d). Corrupt images are
skipped and listed, or rejected if the caller is strict.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import numpy as np

from entroloop.data.arrays import read_array
from entroloop.data.decoding import IMAGE_SUFFIXES, Change, read_images
from entroloop.data.embeddings import ParquetRows, vectors_of
from entroloop.data.reading import reading
from entroloop.errors import InputError, one_line
from entroloop.pools.rows import JoinedRows
from entroloop.samples import Array
from entroloop.system.progress_line import Progress, no_progress


@dataclass
class FileSet:
    """Rows read from one file or folder.

    data: an array, or (if lazy) rows that stay in their files. ids: one name per row. index: each
    row's index in the source, counting skipped rows. skipped: the reason for each skipped id.
    columns: extra columns of the source, for groups and weights. paths: the file of each row, if
    every row is a file. remarks: what one may not expect of what was read, with how many.
    """

    name: str
    data: Any
    ids: list[str]
    index: Array
    skipped: dict[str, str] = field(default_factory=dict)
    columns: dict[str, Array] = field(default_factory=dict)
    paths: list[Path] | None = None
    remarks: dict[str, int] = field(default_factory=dict)

    def keep(self, rows: Array) -> None:
        """Keep only these rows."""
        self.data, self.index = self.data[rows], self.index[rows]
        self.ids = [self.ids[i] for i in rows]
        self.paths = None if self.paths is None else [self.paths[i] for i in rows]
        self.columns = {name: values[rows] for name, values in self.columns.items()}


def read_set(
    path: Path,
    name: str,
    *,
    strict: bool = False,
    columns: list[str] | None = None,
    files: str = "*",
    change: Change | None = None,
    lazy: bool = False,
    progress: Progress = no_progress,
) -> FileSet:
    """Return the rows of a .npy, .npz or .parquet file, or of a folder of images or parquet files.

    columns: extra parquet columns to keep; for image folders, `label` is the subfolder's name.
    files: pattern that the names of a folder's files must match. change: applied to each image
    after decoding, before sizes are compared. lazy: leave embeddings in their parquet files.
    progress: of the images of a folder.

    Raises InputError for unreadable input and, with `strict`, for any corrupt image.
    """
    wanted = columns or []
    if not path.exists():
        raise InputError(f"there is no file or folder {path}; check the path of pool '{name}'")
    if not (path.is_dir() or path.is_file()):
        raise InputError(f"{path} is neither a file nor a folder; give one of them")
    if path.is_dir():
        found = sorted(
            p
            for p in path.rglob("*")
            if p.is_file() and not p.name.startswith(".") and fnmatch(p.name, files)
        )
        tables = [p for p in found if p.suffix == ".parquet"]
        images = [p for p in found if p.suffix.lower() in IMAGE_SUFFIXES]
        if images:
            left = len(found) - len(images)
            others = {"no image by its ending: not read": left} if left else {}
            others |= _unreadable_folders(path)
            return _folder(path, name, images, strict, wanted, change, others, progress)
        if tables:
            return _table(tables, name, strict, wanted, change, lazy)
        named = "" if files == "*" else f" named {files}"
        raise InputError(f"{path} holds neither images nor parquet files{named}")
    if path.suffix in (".npy", ".npz"):
        return _array(path, name)
    if path.suffix == ".parquet":
        return _table([path], name, strict, wanted, change, lazy)
    raise InputError(f"{path}: give a folder of images, or a .npy, .npz or .parquet file")


def printable(name: str) -> str:
    """Return a file's name as text that every file and terminal can hold: bytes that are not UTF-8,
    and control characters, escaped.
    """
    text = name.encode("utf-8", "backslashreplace").decode()
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)


def _array(path: Path, name: str) -> FileSet:
    data = read_array(path, None)
    if data.ndim == 3 and data.dtype == np.uint8:
        data = data[..., None]
    if data.ndim not in (2, 4) or data.dtype.kind not in "fiu":
        raise InputError(
            f"{path} must hold rows (n, d), or images (n, h, w[, c]) uint8; got {data.shape}, "
            f"{data.dtype}"
        )
    if data.dtype.kind in "iu" and data.dtype != np.uint8:
        data = data.astype(np.float64)
    return FileSet(name, data, [str(i) for i in range(len(data))], np.arange(len(data)))


def _folder(
    path: Path,
    name: str,
    files: list[Path],
    strict: bool,
    wanted: list[str],
    change: Change | None,
    others: dict[str, int],
    progress: Progress,
) -> FileSet:
    ids = [printable(p.relative_to(path).as_posix()) for p in files]
    read = read_images(_contents(ids, files, progress), strict, str(path), change)
    kept = read.kept
    columns = {}
    if "label" in wanted:
        labels = [Path(i).parts[0] if len(Path(i).parts) > 1 else "" for i in ids]
        columns["label"] = np.array(labels)[kept]
    paths = [files[i] for i in kept]
    chosen = [ids[i] for i in kept]
    remarks = others | read.remarks
    return FileSet(name, read.data, chosen, np.array(kept), read.skipped, columns, paths, remarks)


def _contents(ids: list[str], files: list[Path], progress: Progress) -> Iterator[tuple[str, bytes]]:
    for number, (name, file) in enumerate(zip(ids, files, strict=True), 1):
        yield name, file.read_bytes()
        progress(number, len(files))


def _unreadable_folders(path: Path) -> dict[str, int]:
    """Return how many folders below one may not be listed, if any."""
    below = (Path(root) / name for root, names, _ in os.walk(path) for name in names)
    count = sum(not os.access(folder, os.R_OK | os.X_OK) for folder in below)
    return {"folders that may not be read": count} if count else {}


def _table(
    files: list[Path],
    name: str,
    strict: bool,
    wanted: list[str],
    change: Change | None,
    lazy: bool,
) -> FileSet:
    """Read parquet files; with lazy, only inspect those of embeddings."""
    import pyarrow.parquet as pq

    if not lazy or wanted:
        return _parquet(files, name, strict, wanted, change)
    pieces = []
    for file in files:
        with reading(file, "parquet file"):
            column, is_image = _data_column(pq.read_schema(file), file)
            if is_image:
                return _parquet(files, name, strict, wanted, change)
            pieces.append(ParquetRows.of(file, column))
    rows = JoinedRows.of(pieces)
    m = rows.shape[0]
    return FileSet(name, rows, [str(i) for i in range(m)], np.arange(m))


def _parquet(
    files: list[Path], name: str, strict: bool, wanted: list[str], change: Change | None
) -> FileSet:
    """Read image structs {bytes, path} or a column of number lists, row group by row group."""
    images: list[tuple[str, bytes]] = []
    vectors: list[Array] = []
    columns: dict[str, list[Array]] = {column: [] for column in wanted}
    count = 0
    for cells, is_image, more in _row_groups(files, wanted):
        if is_image:
            contents = [(cell or {}).get("bytes") or b"" for cell in cells.to_pylist()]
            images += [(str(count + i), content) for i, content in enumerate(contents)]
        else:
            vectors.append(vectors_of(cells, files[0]))
        count += len(cells)
        for column in wanted:
            columns[column].append(more[column])
    kept_columns = {c: np.concatenate(parts) for c, parts in columns.items() if parts}
    if vectors:
        data = np.concatenate(vectors)
        ids = [str(i) for i in range(len(data))]
        return FileSet(name, data, ids, np.arange(len(data)), {}, kept_columns)
    read = read_images(iter(images), strict, str(files[0]), change)
    kept = np.array(read.kept)
    ids = [images[i][0] for i in read.kept]
    kept_columns = {c: values[kept] for c, values in kept_columns.items()}
    return FileSet(name, read.data, ids, kept, read.skipped, kept_columns, remarks=read.remarks)


def _row_groups(
    files: list[Path], wanted: list[str]
) -> Iterator[tuple[Any, bool, dict[str, Array]]]:
    """Yield each row group's data column, whether it holds images, and the wanted columns."""
    import pyarrow.parquet as pq

    for file in files:
        with reading(file, "parquet file"), pq.ParquetFile(file, memory_map=True) as table:
            column, is_image = _data_column(table.schema_arrow, file)
            missing = [c for c in wanted if c not in table.schema_arrow.names]
            if missing:
                raise InputError(
                    f"{file} has no column '{missing[0]}'; it has {_named(table.schema_arrow)}"
                )
            for group in range(table.num_row_groups):
                rows = table.read_row_group(group, columns=[column, *wanted])
                more = {c: rows.column(c).to_numpy(zero_copy_only=False) for c in wanted}
                yield rows.column(column), is_image, more


def _data_column(schema: Any, file: Path) -> tuple[str, bool]:
    """Return the name of the data column, and whether it holds images."""
    import pyarrow as pa

    for field_ in schema:
        kind = field_.type
        if pa.types.is_struct(kind) and kind.get_field_index("bytes") >= 0:
            return field_.name, True
    for field_ in schema:
        kind = field_.type
        is_list = pa.types.is_list(kind) or pa.types.is_fixed_size_list(kind)
        if is_list and (
            pa.types.is_floating(kind.value_type) or pa.types.is_integer(kind.value_type)
        ):
            return field_.name, False
    raise InputError(
        f"{file} has no image column (struct with bytes) and no column of number lists; it has "
        f"{_named(schema)}"
    )


def _named(schema: Any) -> str:
    """Return the first names of a table's columns, as a message can hold them."""
    names = ", ".join(one_line(name, 40) for name in schema.names[:20])
    return names + (f", … ({len(schema.names):,} in all)" if len(schema.names) > 20 else "")
