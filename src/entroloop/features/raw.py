"""Raw features: the values of a row as they are."""

from __future__ import annotations

from entroloop.samples import Array, as_vectors


def raw(data: Array) -> Array:
    """Return the rows as vectors (n, d), dtype unchanged; images are flattened."""
    return as_vectors(data)
