"""Tables: which column holds the data, and its rows, stretch by stretch, as Arrow gives them.

A table in memory is anything that Arrow can read: pandas, polars, pyarrow, DuckDB's results.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from entroloop.data.decoding import IMAGE_SUFFIXES, Item
from entroloop.data.embeddings import vectors_of
from entroloop.data.image_stream import read_images
from entroloop.data.inputs.type_names import is_a
from entroloop.data.names import printable
from entroloop.data.reading import reading, refuse_larger_than_memory
from entroloop.data.sets import LABEL, MADE_BY, Asked, FileSet, named
from entroloop.errors import InputError
from entroloop.samples import Array

# Number columns that are taken as no values unless they are asked for.
NOT_VALUES = {LABEL, "id", "index", "__index_level_0__"}


@dataclass(frozen=True, kw_only=True)
class Table:
    """A table, wherever it lies.

    where: as messages name it. schema: of Arrow. total: how many rows. pieces: returns the rows of
    some columns, stretch by stretch. folder: where relative paths in it start.
    """

    where: str
    schema: Any
    total: int
    pieces: Callable[[list[str]], Iterator[Any]]
    folder: Path = Path()


@dataclass(frozen=True)
class DataColumns:
    """The columns that hold the data; kind: images, paths, lists or numbers."""

    kind: str
    names: list[str]


def is_table(thing: Any) -> bool:
    """Whether it is a table in memory."""
    return is_a(thing, "pandas.DataFrame") or hasattr(thing, "__arrow_c_stream__")


def read_table(thing: Any, asked: Asked) -> FileSet:
    """Return the rows of a table in memory."""
    import pyarrow as pa

    where = asked.name
    with reading(where, "table"):
        if is_a(thing, "pandas.DataFrame"):
            table = pa.Table.from_pandas(thing, preserve_index=False)
        else:
            table = pa.table(thing)

        def pieces(names: list[str]) -> Iterator[Any]:
            yield table.select(names)

        return rows_of_table(
            Table(where=where, schema=table.schema, total=len(table), pieces=pieces), asked
        )


def rows_of_table(table: Table, asked: Asked) -> FileSet:
    """Return the rows of a table: images, the images that paths lead to, or vectors."""
    data = data_columns(table, asked)
    names = table.schema.names
    are_images = data.kind in ("images", "paths")
    kept = asked.kept([*names, MADE_BY] if are_images else names, table.where)
    kept = [c for c in kept if c in names]
    columns: dict[str, list[Array]] = {c: [] for c in kept}

    def stretches() -> Iterator[Any]:
        for piece in table.pieces(list(dict.fromkeys([*data.names, *kept]))):
            for c in kept:
                columns[c].append(piece.column(c).to_numpy(zero_copy_only=False))
            yield piece

    if are_images:
        return _images(table, data, stretches(), columns, asked)
    asked.refuse_image_options(table.where)
    read = _lists if data.kind == "lists" else _numbers
    rows = read(stretches(), data.names, table)
    remarks = {}
    if data.kind == "numbers" and asked.column is None:
        remarks = {"number columns taken as values": len(data.names)}
        if others := len(set(names) - {*data.names, *kept}):
            remarks["other columns left out"] = others
    return FileSet.of_rows(asked.name, rows, _joined(columns), remarks=remarks)


def _joined(columns: dict[str, list[Array]]) -> dict[str, Array]:
    return {c: np.concatenate(parts) for c, parts in columns.items() if parts}


def _images(
    table: Table,
    data: DataColumns,
    stretches: Iterator[Any],
    columns: dict[str, list[Array]],
    asked: Asked,
) -> FileSet:
    ids: list[str] = []
    paths: list[Path] = []

    def items() -> Iterator[Item]:
        for piece in stretches:
            for cell in piece.column(data.names[0]):
                value = cell.as_py()
                if data.kind == "paths":
                    paths.append(table.folder / (value or ""))
                    ids.append(printable(value or ""))
                    yield ids[-1], paths[-1]
                else:
                    ids.append(str(len(ids)))
                    yield ids[-1], _content(value, table.folder)

    look = None if MADE_BY in table.schema.names else asked.look
    read = read_images(
        items(), asked.strict, table.where, asked.change,
        total=table.total, mixed=asked.mixed, look=look, progress=asked.progress,
    )  # fmt: skip
    own = paths if data.kind == "paths" else None
    return FileSet.of_images(asked.name, read, ids, columns=_joined(columns), paths=own)


def _content(cell: Any, folder: Path) -> bytes | Path:
    """Return what a cell holds: an image's bytes, or the struct of the Hub: bytes, or else path."""
    content, path = cell, None
    if isinstance(cell, dict):
        content, path = cell.get("bytes"), cell.get("path")
    if content is None and path:
        return folder / str(path)
    return content if isinstance(content, bytes) else b""


def _lists(stretches: Iterator[Any], names: list[str], table: Table) -> Array:
    parts = [vectors_of(piece.column(names[0]), Path(table.where)) for piece in stretches]
    return np.concatenate([part for part in parts if len(part)] or parts)


def _numbers(stretches: Iterator[Any], names: list[str], table: Table) -> Array:
    """Return number columns as rows; nulls become NaN, whole numbers beyond a byte float64."""
    import pyarrow.types as kinds

    floats = {str(f.type) for f in map(table.schema.field, names) if kinds.is_floating(f.type)}
    dtype = np.dtype(np.float32 if floats == {"float"} else np.float64)
    refuse_larger_than_memory(table.where, table.total * len(names) * dtype.itemsize)
    rows = np.empty((table.total, len(names)), dtype=dtype)
    start = 0
    for piece in stretches:
        for j, name in enumerate(names):
            rows[start : start + len(piece), j] = piece.column(name).to_numpy(zero_copy_only=False)
        start += len(piece)
    return rows


def data_columns(table: Table, asked: Asked) -> DataColumns:
    """Return the columns that hold the data: those asked for, or by their types.

    The first column of images is taken, else the first of number lists, else the first of paths of
    images, else all number columns but `NOT_VALUES` and those that are kept as columns.
    """
    schema = table.schema
    kinds = {f.name: _kind(f.type) for f in schema}
    if len(kinds) < len(schema.names):
        twice = next(name for name, k in Counter(schema.names).items() if k > 1)
        raise InputError(f"{table.where} has several columns {named([twice])}; rename all but one")
    if asked.column is not None:
        missing = [c for c in asked.column if c not in kinds]
        if missing:
            raise InputError(f"{table.where} has no column '{missing[0]}'; it has "
                             f"{named(schema.names)}")  # fmt: skip
        return _asked_columns(table.where, asked.column, kinds)
    kept = set(asked.columns or ())
    free = [name for name in kinds if name not in kept]
    for kind in ("images", "lists"):
        for name in free:
            if kinds[name] == kind:
                return DataColumns(kind, [name])
    if paths := _first_of_paths(table, [name for name in free if kinds[name] == "text"]):
        return DataColumns("paths", [paths])
    numbers = [n for n in free if kinds[n] == "numbers" and n.lower() not in NOT_VALUES]
    if numbers:
        return DataColumns("numbers", numbers)
    raise InputError(
        f"{table.where} has no image column (struct with bytes), no number lists, no paths of "
        f"images and no number columns; it has {named(schema.names)}"
    )


def _asked_columns(where: str, asked: Sequence[str], kinds: dict[str, str]) -> DataColumns:
    found = {kinds[c] for c in asked}
    [kind] = found if len(found) == 1 else {""}
    if kind == "numbers":
        return DataColumns(kind, list(asked))
    if len(asked) == 1 and kind in ("images", "lists", "text", "binary"):
        return DataColumns({"text": "paths", "binary": "images"}.get(kind, kind), list(asked))
    raise InputError(
        f"{where}: column {named(list(asked))} holds no rows; give one column of images, number "
        "lists or paths of images, or several columns of numbers"
    )


def _kind(of: Any) -> str:
    """Return what a type of Arrow can hold: images, lists, text, binary, numbers, or nothing."""
    import pyarrow.types as kinds

    if kinds.is_struct(of) and of.get_field_index("bytes") >= 0:
        return "images"
    if kinds.is_list(of) or kinds.is_large_list(of) or kinds.is_fixed_size_list(of):
        inner = of.value_type
        return "lists" if kinds.is_floating(inner) or kinds.is_integer(inner) else ""
    if kinds.is_string(of) or kinds.is_large_string(of) or kinds.is_string_view(of):
        return "text"
    if kinds.is_binary(of) or kinds.is_large_binary(of):
        return "binary"
    return "numbers" if kinds.is_floating(of) or kinds.is_integer(of) else ""


def _first_of_paths(table: Table, names: list[str]) -> str | None:
    """Return the first column whose first text ends as names of image files do, if any."""
    first = next(table.pieces(names), None) if names else None
    if first is None:
        return None
    for name in names:
        text = next((cell.as_py() for cell in first.column(name) if cell.is_valid), "")
        if Path(text).suffix.lower() in IMAGE_SUFFIXES:
            return name
    return None
