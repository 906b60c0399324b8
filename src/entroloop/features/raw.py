"""Raw features: the values of a row, unchanged."""

from __future__ import annotations

from entroloop.errors import InputError
from entroloop.features.extractor import Extractor
from entroloop.samples import as_vectors


def raw(argument: str | None, device: str) -> Extractor:  # noqa: ARG001  # no network
    """Return the extractor of rows as vectors (n, d), dtype unchanged; images are flattened."""
    if argument is not None:
        raise InputError(f"features raw take no argument; got '{argument}'")
    return Extractor("raw", "raw", whole=as_vectors)
