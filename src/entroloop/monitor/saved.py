"""A monitor's history as a parquet file, told from other files by its metadata."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from entroloop.errors import InputError
from entroloop.system.files import write_atomically

KEY = b"entroloop-monitor"  # metadata: the identity of rows, features and metrics


def write_history(path: Path, rows: list[dict[str, float]], identity: str) -> None:
    """Write a history; nothing but a history is replaced."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    if path.is_symlink() or (path.exists() and _identity_of(path) is None):
        raise InputError(f"{path} is no history of a monitor; choose another name")
    found = pa.Table.from_pylist(rows).replace_schema_metadata({KEY: identity})
    try:
        write_atomically(path, lambda file: pq.write_table(found, file))
    except OSError as error:
        raise InputError(f"the history {path} cannot be written: {error.strerror}") from None


def read_history(path: Path, identity: str) -> list[dict[str, Any]]:
    """Return the rows of a history of this identity."""
    import pyarrow.parquet as pq

    found = _identity_of(path)
    if found is None:
        raise InputError(f"{path} is no history that a monitor saved")
    if found != identity:
        raise InputError(
            f"{path} is of other rows, features, metrics or another seed than this monitor"
        )
    rows: list[dict[str, Any]] = pq.read_table(path).to_pylist()
    return rows


def _identity_of(path: Path) -> str | None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        metadata = pq.read_schema(path).metadata or {}
    except (OSError, pa.ArrowException):
        return None
    found = metadata.get(KEY)
    return None if found is None else found.decode()
