"""The chosen rows of whatever a pool came from, in pick order and of the same kind."""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
from numpy.typing import NDArray

from entroloop.errors import InputError


def taken_from(source: Any, index: NDArray[np.int64], rows: int | None) -> Any:
    """Return the rows of a source at these places.

    rows: how many the pool had, where that is known; a source of another length is refused. The
    kind of a source is told by what it can do, so that no library is loaded for it.

    Raises InputError for what has no rows that can be taken by number.
    """
    if not hasattr(source, "__len__"):
        raise _not_taken(source)
    length = source.shape[0] if getattr(source, "shape", None) else len(source)
    if (rows is not None and length != rows) or length <= index.max(initial=-1):
        wanted = f"{rows:,} rows" if rows is not None else f"at least {index.max() + 1:,} rows"
        raise InputError(f"the pool had {wanted}, this {_kind(source)} has {length:,}")
    if hasattr(source, "iloc"):  # pandas
        return source.iloc[index]
    library = type(source).__module__.split(".")[0]
    if library == "datasets":
        return source.select(index.tolist())
    if library == "pyarrow":
        return source.take(index)
    if library == "polars":
        return source[index.tolist()]
    if isinstance(source, list | tuple):
        return type(source)(source[i] for i in index.tolist())
    torch_data = sys.modules.get("torch.utils.data")
    if torch_data is not None and isinstance(source, torch_data.Dataset):
        return torch_data.Subset(source, index.tolist())
    if hasattr(source, "shape") and hasattr(source, "__getitem__"):  # arrays and tensors
        return source[index.tolist() if library == "cupy" else index]
    if isinstance(source, str | bytes | dict | set) or not hasattr(source, "__getitem__"):
        raise _not_taken(source)
    return [source[i] for i in index.tolist()]


def _kind(source: Any) -> str:
    return type(source).__name__


def _not_taken(source: Any) -> InputError:
    return InputError(
        f"rows cannot be taken from a {_kind(source)}; give an array, a list, a table, or a "
        "dataset with a length"
    )
