"""Tables in files: parquet, read row group by row group, and CSV."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from entroloop.data.embeddings import ParquetRows
from entroloop.data.inputs.tables import Table, data_columns, rows_of_table
from entroloop.data.parquet import opened_parquet
from entroloop.data.reading import reading
from entroloop.data.sets import Asked, FileSet
from entroloop.errors import InputError
from entroloop.pools.rows import JoinedRows

AT_ONCE = 512  # rows of images or number lists that are read at once
TABLE_SUFFIXES = {".parquet", ".csv"}


def is_table_file(thing: Any) -> bool:
    """Whether it is the path of a parquet or CSV file."""
    return isinstance(thing, Path) and thing.suffix.lower() in TABLE_SUFFIXES


def read_table_file(path: Path, asked: Asked) -> FileSet:
    """Return the rows of one parquet or CSV file."""
    return read_tables([path], asked)


def read_tables(files: list[Path], asked: Asked) -> FileSet:
    """Return the rows of tables of one kind, one after the other."""
    suffixes = {p.suffix.lower() for p in files}
    if len(suffixes) > 1:
        raise InputError(f"{asked.name} names parquet and CSV files; give one kind")
    with reading(files[0], "table"):
        table = _csv(files) if suffixes == {".csv"} else _parquet(files)
        if asked.lazy and not asked.columns and suffixes == {".parquet"}:
            data = data_columns(table, asked)
            if data.kind == "lists":
                return _lazy(files, data.names[0], asked)
        return rows_of_table(table, asked)


def _lazy(files: list[Path], column: str, asked: Asked) -> FileSet:
    """Leave a column of number lists in its files."""
    pieces = []
    for file in files:
        with reading(file, "parquet file"):
            pieces.append(ParquetRows.of(file, column))
    return FileSet.of_rows(asked.name, JoinedRows.of(pieces))


def _parquet(files: list[Path]) -> Table:
    import pyarrow as pa

    total, schema = 0, None
    for file in files:
        with reading(file, "parquet file"), opened_parquet(file) as opened:
            total += opened.metadata.num_rows
            own = opened.schema_arrow
        if schema is not None and own.names != schema.names:
            raise InputError(f"{file} has other columns than {files[0]}; give them as two sets")
        schema = schema or own

    def pieces(names: list[str]) -> Iterator[Any]:
        assert schema is not None
        for file in files:
            with reading(file, "parquet file"), opened_parquet(file) as opened:
                if any(pa.types.is_nested(schema.field(n).type) for n in names):
                    # Few kilobytes of equal images can be gigabytes once they are read.
                    for batch in opened.iter_batches(batch_size=AT_ONCE, columns=names):
                        yield pa.Table.from_batches([batch])
                else:
                    for group in range(opened.num_row_groups):
                        yield opened.read_row_group(group, columns=names)

    return Table(
        where=str(files[0]), schema=schema, total=total, pieces=pieces, folder=files[0].parent
    )


def _csv(files: list[Path]) -> Table:
    import pyarrow as pa
    import pyarrow.csv as csv

    tables = []
    for file in files:
        with reading(file, "CSV file"):
            tables.append(csv.read_csv(file))
    if any(t.schema.names != tables[0].schema.names for t in tables):
        raise InputError(f"{files[0]} and the CSV files beside it differ in their columns")
    with reading(files[0], "CSV file"):
        whole = pa.concat_tables(tables, promote_options="permissive")

    def pieces(names: list[str]) -> Iterator[Any]:
        yield whole.select(names)

    return Table(
        where=str(files[0]), schema=whole.schema, total=len(whole), pieces=pieces,
        folder=files[0].parent,
    )  # fmt: skip
