"""Data sets of the datasets library: in memory, as save_to_disk leaves them, and on the Hub."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from entroloop.data.inputs.tables import Table, rows_of_table
from entroloop.data.inputs.type_names import is_a
from entroloop.data.reading import reading
from entroloop.data.sets import Asked, FileSet
from entroloop.errors import InputError, one_line

PREFIX = "hub:"  # of Hub ids: nothing is fetched unless it is asked for
STRETCH = 1000  # rows that are read at once


def is_dataset(thing: Any) -> bool:
    """Whether it is a `datasets.Dataset`."""
    return is_a(thing, "datasets.Dataset")


def is_saved_dataset(thing: Any) -> bool:
    """Whether it is a folder that `save_to_disk` wrote."""
    return isinstance(thing, Path) and (
        (thing / "state.json").is_file() or (thing / "dataset_dict.json").is_file()
    )


def is_hub_id(thing: Any) -> bool:
    """Whether it is hub:ID, hub:ID:SPLIT or hub:ID:SPLIT:CONFIG."""
    return isinstance(thing, str | Path) and str(thing).startswith(PREFIX)


def read_dataset(thing: Any, asked: Asked) -> FileSet:
    """Return the rows of a data set; those that it was reduced or sorted to."""
    return rows_of_table(_table(thing, asked.name), asked)


def read_saved(path: Path, asked: Asked) -> FileSet:
    """Return the rows of a folder that `save_to_disk` wrote."""
    if (path / "dataset_dict.json").is_file():
        splits = ", ".join(sorted(p.parent.name for p in path.glob("*/state.json")))
        raise InputError(f"{path} holds several splits ({splits}); give {path}/SPLIT")
    with reading(path, "folder of save_to_disk"):
        found = library().load_from_disk(str(path))
    return rows_of_table(_table(found, str(path)), asked)


def read_hub(name: str | Path, asked: Asked) -> FileSet:
    """Return the rows of a data set of the Hub, which datasets downloads once."""
    of, _, more = str(name).removeprefix(PREFIX).partition(":")
    split, _, config = more.partition(":")
    found = loaded(of, config or None, split or "train", None, str(name))
    return rows_of_table(_table(found, str(name)), asked)


def library() -> Any:
    """Return the datasets library.

    Raises InputError that says how to install it.
    """
    try:
        import datasets
    except ImportError:
        raise InputError("this needs datasets: python -m pip install 'entroloop[hub]'") from None
    return datasets


def loaded(name: str, config: str | None, split: str, revision: str | None, where: str) -> Any:
    """Return a split of a data set of the Hub.

    Raises InputError if datasets is not installed, or the data set cannot be loaded.
    """
    try:
        return library().load_dataset(name, config, split=split, revision=revision)
    except InputError:
        raise
    except Exception as error:  # many kinds: network, names, formats
        told = one_line(error, 160)
        raise InputError(
            f"{where}, split {split}: cannot be loaded ({told}); check the names, or give local "
            "files"
        ) from None


def _table(dataset: Any, where: str) -> Table:
    plain = dataset.with_format("arrow")

    def pieces(names: list[str]) -> Iterator[Any]:
        some = plain.select_columns(names)
        for start in range(0, len(some), STRETCH):
            yield some[start : start + STRETCH]

    return Table(
        where=where, schema=dataset.features.arrow_schema, total=len(dataset), pieces=pieces
    )
