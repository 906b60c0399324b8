"""Generated rows beside their nearest training rows: all of them in a file, the first on a page."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from entroloop.data.sets import FileSet
from entroloop.errors import InputError
from entroloop.metrics import Sets
from entroloop.report.images import Picture, tile_of
from entroloop.report.page_tables import Column, Row, Table, figure, words
from entroloop.samples import Float64, MixedImages
from entroloop.system.files import write_atomically

if TYPE_CHECKING:
    from entroloop.commands.measure import Measured

OWN = {b"entroloop": b"pairs"}  # in the schema of a file of pairs
SHOWN = 48


@dataclass(frozen=True, eq=False)
class Pairs:
    """Every generated row with its nearest training row, the most memorized first.

    generated, train: int64 (n,), places in their sets. d1, d2: float64 (n,), distances to the
    nearest and the next training row. ratio: d1 over d2, by which the pairs are sorted, then by d1.
    """

    generated: NDArray[np.int64]
    train: NDArray[np.int64]
    d1: Float64
    d2: Float64
    ratio: Float64


def pairs_of(sets: Sets) -> Pairs | None:
    """Return the pairs of generated and training rows, None without training rows."""
    if not sets.has("train"):
        return None
    found = sets.nearest("generated", "train")
    d1, d2 = found.distances[:, 0], found.distances[:, -1]
    ratio = d1 / np.maximum(d2, 1e-300)
    order = np.lexsort((d1, ratio))
    return Pairs(order, found.indices[order, 0], d1[order], d2[order], ratio[order])


def pairs_file(html: Path) -> Path:
    """Return the name of the file of pairs beside a page.

    Raises InputError where something else has that name.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    file = html.with_name(f"{html.stem}-pairs.parquet")
    if file.is_symlink() or file.exists():
        try:
            ours = (pq.read_schema(file).metadata or {}).items() >= OWN.items()
        except (OSError, pa.ArrowException):
            ours = False
        if not ours:
            raise InputError(
                f"{file} holds no pairs of entroloop; choose another name for the page"
            )
    return file


def write_pairs(pairs: Pairs, measured: Measured, file: Path) -> None:
    """Write all pairs as parquet: generated, train (names), distance, next_distance, ratio."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    table = pa.table({
        "generated": _names(measured.sets["generated"], pairs.generated),
        "train": _names(measured.sets["train"], pairs.train),
        "distance": pairs.d1,
        "next_distance": pairs.d2,
        "ratio": pairs.ratio,
    })  # fmt: skip

    def write(opened: IO[bytes]) -> None:
        pq.write_table(table.replace_schema_metadata(OWN), opened)

    try:
        write_atomically(file, write)
    except OSError as error:
        raise InputError(f"{file} cannot be written: {error.strerror}") from None


def _names(rows: FileSet, places: NDArray[np.int64]) -> list[str]:
    return [rows.ids[i] for i in places.tolist()]


def shown_pairs(pairs: Pairs, measured: Measured) -> list[dict[str, Any]] | Table:
    """Return the first pairs: with pictures where rows are images, else as a table."""
    made, train = measured.sets["generated"], measured.sets["train"]
    lines = zip(
        pairs.generated[:SHOWN].tolist(), pairs.train[:SHOWN].tolist(), pairs.d1.tolist(),
        pairs.ratio.tolist(), strict=False,
    )  # fmt: skip
    if not all(isinstance(s.data, MixedImages) or s.data.ndim == 4 for s in (made, train)):
        columns = [
            Column("generated row", words=True), Column("nearest training row", words=True),
            Column("distance d₁"), Column("d₁/d₂"),
        ]  # fmt: skip
        rows = [
            Row([words(made.ids[i]), words(train.ids[j]), figure(d), figure(ratio)])
            for i, j, d, ratio in lines
        ]
        return Table("pairs-shown", "The most memorized first, by d₁/d₂", columns, rows)
    return [
        {"names": (made.ids[i], train.ids[j]), "distance": d, "ratio": ratio,
         "pictures": [_image(made, i), _image(train, j)]}
        for i, j, d, ratio in lines
    ]  # fmt: skip


def _image(rows: FileSet, place: int) -> Picture:
    return tile_of(np.asarray(rows.data[place]), rows.ids[place])
