"""What parquet files of the Hub tell of their columns: images, and the names of classes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

HUGGING_FACE = b"huggingface"  # where a schema keeps it


def features_metadata(features: dict[str, Any]) -> dict[bytes, bytes]:
    """Return the metadata by which the datasets library knows the kinds of columns."""
    return {HUGGING_FACE: json.dumps({"info": {"features": features}}).encode()}


def features_of(schema: Any) -> dict[str, Any]:
    """Return the kinds of columns that a schema tells, by column."""
    try:
        found = json.loads((schema.metadata or {}).get(HUGGING_FACE, b"{}"))
        features = found["info"]["features"]
        return {name: kind for name, kind in features.items() if isinstance(kind, dict)}
    except (ValueError, KeyError, TypeError, AttributeError):
        return {}


def class_names(kind: Any) -> list[str] | None:
    """Return the names of the classes of a column of this kind, None for other columns."""
    names = kind.get("names") if isinstance(kind, dict) else None
    if not isinstance(names, list) or kind.get("_type") != "ClassLabel":
        return None
    return [str(name) for name in names]


def named(numbers: list[Any], names: list[str]) -> list[str | None]:
    """Return the name of each class number, None for those that are no class.

    >>> named([1, -1, None], ["cat", "dog"])
    ['dog', None, None]
    """
    known = range(len(names))
    return [names[i] if i is not None and i in known else None for i in numbers]


def parquet_files(path: Path) -> list[Path]:
    """Return the parquet files of a pool in the order of its rows."""
    if path.is_file():
        return [path] if path.suffix == ".parquet" else []
    return sorted(p for p in path.rglob("*.parquet") if not p.name.startswith("."))
