"""What is not taken as rows, and what to pass instead, in one line each."""

from __future__ import annotations

from typing import Any

import numpy as np

from entroloop.data.inputs.type_names import is_a
from entroloop.data.sets import Asked, FileSet
from entroloop.errors import InputError


def why_refused(thing: Any) -> str | None:
    """Return what an object is and what to pass instead, or None for what may be taken."""
    if is_a(thing, "torch.Tensor") and "sparse" in str(thing.layout):
        return "a sparse tensor; pass x.to_dense()"
    if isinstance(thing, np.ma.MaskedArray):
        return "a masked array; pass x.filled(VALUE), or x.data without the masked rows"
    if isinstance(thing, np.ndarray):
        return _why_array(thing)
    for names, told in REFUSED.items():
        if is_a(thing, *names):
            return told
    if hasattr(thing, "tocsr") or is_a(thing, "sparse.SparseArray"):
        return "a sparse matrix; pass x.toarray(), or fewer columns by TruncatedSVD"
    if isinstance(thing, dict):
        return f"a dict of {len(thing)}; pass one of its values, x[NAME]"
    streams = hasattr(thing, "__next__") and not hasattr(thing, "__arrow_c_stream__")
    if streams or isinstance(thing, set | frozenset):
        return "a stream without an order to come back to; pass list(x)"
    return None


def _why_array(x: Any) -> str | None:
    if x.dtype == object:
        return "an array of objects; pass np.stack(x) of rows of one length"
    if x.dtype.kind == "c":
        return "an array of complex numbers; pass np.concatenate([x.real, x.imag], axis=1)"
    if x.dtype.kind in "SV" or (x.dtype.kind == "U" and x.ndim != 1):
        return f"an array of {x.dtype}; pass numbers, or a list of paths"
    return None


REFUSED = {
    ("polars.LazyFrame",): "a LazyFrame; pass x.collect()",
    ("pandas.Series", "polars.Series"): "one column; pass np.stack(x), or the whole table",
    ("datasets.DatasetDict", "datasets.IterableDatasetDict"): "several splits; pass x['train']",
    ("datasets.IterableDataset",): ("a stream; pass datasets.Dataset.from_list(list(x.take(N)))"),
    ("torch.IterableDataset",): "a stream; pass list(x), or a dataset with a length",
    ("torch.DataLoader",): "a loader of batches; pass its dataset, x.dataset",
    ("dask.DataFrame", "dask.Array"): "computed elsewhere; pass x.compute()",
}


def is_refused(thing: Any) -> bool:
    """Whether it is one of those that are known, and not taken."""
    return why_refused(thing) is not None


def refuse(thing: Any, asked: Asked) -> FileSet:
    """Raise InputError that says what to pass instead."""
    raise InputError(f"{asked.name} is {why_refused(thing)}")
