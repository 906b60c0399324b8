"""Tables as rows: numbers scaled, categories as one-hot groups, by a schema that leads both ways.

Between encoded rows the Manhattan distance is that of Gower (1971) times the number of columns:
|x − y| over a range for numbers, 0 or 1 for categories; the range is that of the middle 90 %, which
strays do not change. The squared Euclidean distance has ½ for two different categories.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from entroloop.errors import InputError

Values = NDArray[Any]
HALF = np.float32(0.5)  # of a category: two of them differ by 1 in all
RANGE = (0.05, 0.95)  # quantiles between which a column of numbers has length 1


@dataclass(frozen=True)
class Column:
    """A column: of categories, or of numbers, which are stored as (x − low)/width."""

    name: str
    categories: tuple[str, ...] = ()
    low: float = 0.0
    width: float = 1.0


@dataclass(frozen=True)
class Schema:
    """The columns of a table in their order."""

    columns: tuple[Column, ...]

    @classmethod
    def of(cls, values: Mapping[str, Values], categorical: Sequence[str]) -> Schema:
        """Return the schema of columns of equal length; all not `categorical` are numbers.

        Raises InputError for numbers that are missing or infinite, and columns of one value.
        """
        columns = []
        for name, column in values.items():
            if name in categorical:
                found = Column(name, tuple(sorted({str(value) for value in column})))
            else:
                numbers = _numbers(name, column)
                low, high = np.quantile(numbers, RANGE)
                wide = high - low or float(np.ptp(numbers))
                found = Column(name, (), float(low), float(wide))
            if len(found.categories) == 1 or found.width == 0:
                raise InputError(f"the column '{name}' has one value in all rows; leave it out")
            columns.append(found)
        return cls(tuple(columns))

    @cached_property
    def places(self) -> tuple[tuple[int, int], ...]:
        """Where each column lies in a row: start and stop."""
        stops = np.cumsum([len(column.categories) or 1 for column in self.columns]).tolist()
        return tuple(zip([0, *stops[:-1]], stops, strict=True))

    @property
    def groups(self) -> tuple[tuple[int, int], ...]:
        """The places of the columns of categories."""
        both = zip(self.columns, self.places, strict=True)
        return tuple(place for column, place in both if column.categories)

    def encoded(self, values: Mapping[str, Values]) -> NDArray[np.float32]:
        """Return columns as rows (n, values), float32."""
        parts = []
        for column in self.columns:
            given = values[column.name]
            if column.categories:
                text = np.array([str(value) for value in given])
                parts.append(HALF * (text[:, None] == np.array(column.categories)))
            else:
                numbers = _numbers(column.name, given)
                parts.append(((numbers - column.low) / column.width)[:, None])
        return np.concatenate(parts, axis=1).astype(np.float32)

    def decoded(self, rows: Values) -> dict[str, Values]:
        """Return rows as columns: float64 numbers, and categories as text."""
        found: dict[str, Values] = {}
        for column, (start, stop) in zip(self.columns, self.places, strict=True):
            own = rows[:, start:stop]
            if column.categories:
                found[column.name] = np.array(column.categories)[own.argmax(axis=1)]
            else:
                found[column.name] = own[:, 0].astype(np.float64) * column.width + column.low
        return found

    def valid(self, rows: Values) -> Values:
        """Return rows in which each column of categories has one: the largest of its group."""
        found = rows.copy()
        for start, stop in self.groups:
            chosen = rows[:, start:stop].argmax(axis=1)
            found[:, start:stop] = HALF * (np.arange(stop - start) == chosen[:, None])
        return found

    def as_json(self) -> list[dict[str, Any]]:
        """Return what `from_json` reads."""
        return [asdict(column) | {"categories": list(column.categories)} for column in self.columns]

    @classmethod
    def from_json(cls, content: Sequence[Mapping[str, Any]]) -> Schema:
        """Return the schema of which `as_json` told."""
        return cls(
            tuple(
                Column(
                    str(one["name"]), tuple(map(str, one["categories"])), float(one["low"]),
                    float(one["width"]),
                )
                for one in content
            )
        )  # fmt: skip


def _numbers(name: str, values: Values) -> NDArray[np.float64]:
    try:
        numbers = np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError):
        raise InputError(
            f"the column '{name}' does not hold numbers alone; name it in data.categorical, or "
            "leave it out (data.columns)"
        ) from None
    bad = np.flatnonzero(~np.isfinite(numbers))
    if len(bad):
        raise InputError(
            f"the column '{name}' has no finite number in {len(bad)} rows (row {bad[0]} first); "
            "complete it, or leave it out (data.columns)"
        )
    return numbers
