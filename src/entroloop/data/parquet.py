"""Parquet files, opened where what they say of themselves can be true."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from entroloop.data.reading import refuse_larger_than_memory
from entroloop.errors import InputError

if TYPE_CHECKING:
    from pyarrow.parquet import ParquetFile


@contextmanager
def opened_parquet(path: Path) -> Iterator[ParquetFile]:
    """Open a parquet file as a memory map; `reading` around it words what Arrow raises.

    Raises InputError where its row groups hold other numbers of rows than the file does, or one
    holds more than memory does: Arrow takes memory for what a group claims, whatever it holds.
    """
    from pyarrow.parquet import ParquetFile

    with ParquetFile(path, memory_map=True) as file:
        known = file.metadata
        counts = [known.row_group(group).num_rows for group in range(known.num_row_groups)]
        if min(counts, default=0) < 0 or sum(counts) != known.num_rows:
            raise InputError(
                f"{path} is not a readable parquet file: {known.num_rows} rows, {sum(counts)} in "
                "its row groups"
            )
        refuse_larger_than_memory(path, 8 * max(counts, default=0))  # bytes of one column
        yield file
