"""The chosen rows themselves: as files in their class folders, or as one table with all columns."""

from __future__ import annotations

import io
import os
import shutil
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from entroloop.commands.columns import (
    class_names,
    features_metadata,
    features_of,
    named,
    parquet_files,
)
from entroloop.commands.pools import Origin, Pools, label_of
from entroloop.data.parquet import opened_parquet
from entroloop.data.reading import reading
from entroloop.data.sets import FileSet
from entroloop.errors import InputError, one_line
from entroloop.samples import Array

GROUP_ROWS = 1000  # of a row group that is written
OWN = ("pool", "id", "image", "embedding")  # columns that the program writes


def write_files(folder: Path, final: Path, pools: Pools, rows: Array, *, link: bool) -> None:
    """Put the chosen files into a folder as links or copies, in the subfolders of their pool.

    A file is called <rank>-<pool>-<name>; sorted by name they are in pick order within a subfolder.
    final: where the folder will be, to which links are relative.
    """
    for rank, (s, row) in enumerate(pools.chosen(rows)):
        assert s.paths is not None
        file, own = s.paths[row], PurePosixPath(s.ids[row])
        place = own.parent / f"{rank:07d}-{s.name}-{own.name}"
        copy = folder / place
        copy.parent.mkdir(parents=True, exist_ok=True)
        if link:
            copy.symlink_to(os.path.relpath(file.resolve(), (final / place).parent))
        else:
            shutil.copyfile(file, copy)


def rank_of(name: str) -> int:
    """Return the rank in the name of a file that `write_files` wrote.

    >>> rank_of("cats/0000012-images-a.png")
    12
    """
    rank = name.split("/")[-1].split("-")[0]
    if not rank.isdecimal():
        raise InputError(f"{name} has no rank in its name: an earlier selection did not write it")
    return int(rank)


def check_tables(pools: Pools) -> None:
    """Refuse, before anything is chosen, pools whose columns do not go into one table."""
    none = np.empty(0, dtype=np.int64)
    _one_table([_part(s, o, none) for s, o in zip(pools.sets, pools.origins, strict=True)])


def chosen_table(pools: Pools, rows: Array) -> Any:
    """Return an Arrow table of the chosen rows in pick order, with all columns that they came with.

    First `image` (bytes as they are in the pool, path) or `embedding`, `pool` and `id`; then the
    `label` of class folders, and every other column of parquet pools under its own name, after
    `source_` where that name is taken. Names of classes and kinds of columns are kept.
    """
    parts, ranks = [], []
    for s, origin, own, rank in pools.by_set(rows):
        if len(own):
            parts.append(_part(s, origin, own))
            ranks.append(rank)
    return _one_table(parts).take(np.argsort(np.concatenate(ranks)))


def write_table(path: Path, table: Any) -> None:
    """Write what `chosen_table` returns as parquet, images as the Hub has them."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    image = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    fields = [f.with_type(image) if f.name == "image" else f for f in table.schema]
    schema = pa.schema(fields, table.schema.metadata)
    with pq.ParquetWriter(path, schema) as writer:
        for start in range(0, len(table), GROUP_ROWS):  # each below the 2 GiB of the narrow type
            writer.write_table(table.slice(start, GROUP_ROWS).cast(schema))


def _part(s: FileSet, origin: Origin, own: Array) -> Any:
    """Return the chosen rows of one set as a table."""
    import pyarrow as pa

    ids = [s.ids[row] for row in own]
    given: dict[str, Any] = {}
    kinds: dict[str, Any] = {}
    if s.paths is not None:
        contents = [s.paths[row].read_bytes() for row in own]
        data = _images(contents, ids)
        if any(label_of(i) for i in s.ids):
            given["label"] = pa.array([label_of(i) for i in ids], pa.string())
    elif files := _whole_rows(origin):
        data, given, kinds = _parquet_rows(files, origin.place[own])
    else:
        cells = [np.asarray(s.data[row]) for row in own]
        if len(s.data.shape) == 2:
            data = pa.array(cells, pa.list_(pa.from_numpy_dtype(s.data.dtype)))
        else:
            data = _images([_png(cell) for cell in cells], ids)
    columns = {
        "image" if pa.types.is_struct(data.type) else "embedding": data,
        "pool": pa.array([s.name] * len(ids), pa.string()),
        "id": pa.array(ids, pa.string()),
    }
    told = {"image": {"_type": "Image"}} if "image" in columns else {}
    for name, column in given.items():
        if origin.ours and name in OWN:
            continue
        new = _free(name, columns)
        columns[new] = column
        if name in kinds:
            told[new] = kinds[name]
    return pa.table(columns).replace_schema_metadata(features_metadata(told))


def _free(name: str, taken: dict[str, Any]) -> str:
    """Return a name for a column of a pool: its own, unless that is taken or ours."""
    while name in OWN or name in taken:
        name = f"source_{name}"
    return name


def _whole_rows(origin: Origin) -> list[Path]:
    """Return the parquet files of a pool whose rows are images or number lists of one column."""
    import pyarrow.parquet as pq

    files = [] if origin.column else parquet_files(origin.path)
    return files if files and _data_column(pq.read_schema(files[0])) else []


def _data_column(schema: Any) -> tuple[str, bool] | None:
    """Return the column of images, or else of number lists, and whether it is of images."""
    import pyarrow.types as kinds

    for field in schema:
        if kinds.is_struct(field.type) and field.type.get_field_index("bytes") >= 0:
            return field.name, True
    for field in schema:
        of = field.type
        if kinds.is_list(of) or kinds.is_large_list(of) or kinds.is_fixed_size_list(of):
            inner = of.value_type
            if kinds.is_floating(inner) or kinds.is_integer(inner):
                return field.name, False
    return None


def _images(contents: list[bytes], names: list[str]) -> Any:
    import pyarrow as pa

    columns = [pa.array(contents, pa.large_binary()), pa.array(names, pa.string())]
    return pa.StructArray.from_arrays(columns, ["bytes", "path"])


def _png(pixels: Array) -> bytes:
    from PIL import Image

    buffer = io.BytesIO()
    Image.fromarray(pixels[..., 0] if pixels.shape[2] == 1 else pixels).save(buffer, "PNG")
    return buffer.getvalue()


def _parquet_rows(files: list[Path], places: Array) -> tuple[Any, dict[str, Any], dict[str, Any]]:
    """Return rows of parquet files by place, all files one after the other: the data column, the
    other columns, and what their kinds are.
    """
    import pyarrow as pa

    order = np.argsort(places, kind="stable")
    wanted, first, parts = places[order], 0, []
    for file in files:
        with reading(file, "parquet file"), opened_parquet(file) as table:
            found = _data_column(table.schema_arrow)
            if found is None:
                raise InputError(f"{file} lacks the data column of {files[0]}")
            name, is_image = found
            parts.append(_with_data(table.schema_arrow.empty_table(), name, is_image))
            for group in range(table.num_row_groups):
                end = first + table.metadata.row_group(group).num_rows
                here = wanted[np.searchsorted(wanted, first) : np.searchsorted(wanted, end)]
                if len(here):
                    rows = table.read_row_group(group).take(here - first)
                    parts.append(_with_data(rows, name, is_image))
                first = end
    whole = pa.concat_tables(parts, promote_options="permissive").take(np.argsort(order))
    others = {c: whole.column(c) for c in whole.column_names[1:]}
    kinds = {c: kind for c, kind in features_of(whole.schema).items() if c in others}
    return whole.column(0), others, kinds


def _with_data(table: Any, name: str, is_image: bool) -> Any:
    """Return a table with its data column first, images as structs (bytes, path) of any size."""
    import pyarrow as pa
    import pyarrow.compute as pc

    data = table.column(name).combine_chunks()
    if is_image:
        has_path = data.type.get_field_index("path") >= 0
        paths = pc.struct_field(data, "path") if has_path else pa.nulls(len(data))
        contents = pc.struct_field(data, "bytes").cast(pa.large_binary())
        data = pa.StructArray.from_arrays([contents, paths.cast(pa.string())], ["bytes", "path"])
    return table.drop_columns(name).add_column(0, name, data)


def _one_table(parts: list[Any]) -> Any:
    """Return the rows of several tables in one, classes by name where their numbers differ."""
    import pyarrow as pa

    kinds: dict[str, Any] = {}
    for part in parts:
        for name, kind in features_of(part.schema).items():
            if kinds.setdefault(name, kind) != kind:
                kinds[name] = None  # they do not agree
    told = [set(features_of(part.schema)) for part in parts]
    for name in list(kinds):
        holders = [name in part.column_names for part in parts]
        if kinds[name] is None or any(
            has and name not in own for has, own in zip(holders, told, strict=True)
        ):
            del kinds[name]
    parts = [_classes_by_name(part, keep=kinds) for part in parts]
    try:
        whole = pa.concat_tables(parts, promote_options="permissive")
    except pa.ArrowException as error:
        raise InputError(
            f"the columns of the pools do not go into one table ({one_line(error, 160)}); rename "
            "one, or choose without --materialize"
        ) from None
    return whole.replace_schema_metadata(features_metadata(kinds))


def _classes_by_name(table: Any, keep: dict[str, Any]) -> Any:
    """Return a table whose class numbers are names, but for columns whose kind is kept."""
    import pyarrow as pa

    for name, kind in features_of(table.schema).items():
        names = class_names(kind)
        if names is not None and name not in keep:
            texts = pa.array(named(table.column(name).to_pylist(), names), pa.string())
            table = table.set_column(table.column_names.index(name), name, texts)
    return table
