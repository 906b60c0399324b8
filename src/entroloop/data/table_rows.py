"""Tables of numbers and categories: parquet and CSV files, and real ones of installed packages."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from entroloop.data.reading import reading
from entroloop.errors import InputError, unknown_name
from entroloop.modalities.table import Schema
from entroloop.samples import RealData
from entroloop.seeding import rng_for

if TYPE_CHECKING:
    import pandas as pd

MOST = 200  # categories of a column


class Columns(BaseModel):
    """Settings of all sources of tables: which columns, and what they hold.

    columns: those to use; all, if none are named. categorical: those of them whose values are
    categories; columns of text and of booleans are anyway. limit: use so many rows, by a draw that
    is the same each time.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)
    n_train: int = Field(ge=2)
    n_reference: int = Field(ge=2)
    columns: tuple[str, ...] = ()
    categorical: tuple[str, ...] = ()
    limit: int | None = Field(default=None, ge=4)

    def real(self, table: pd.DataFrame, where: str) -> RealData:
        """Return the rows of a table, encoded by the schema of all of them.

        A missing category is one of its own. Raises InputError for columns that are not there, and
        for those that the schema cannot take.
        """
        there = [str(name) for name in table.columns]
        for name in (*self.columns, *self.categorical):
            if name not in there:
                raise unknown_name("column", name, there, where)
        table = table[list(self.columns or there)]
        if self.limit is not None and self.limit < len(table):
            drawn = rng_for(0, 0, "limit").choice(len(table), self.limit, replace=False)
            table = table.iloc[np.sort(drawn)]
        if len(table) < 4:
            raise InputError(f"{where} holds {len(table)} rows; at least 4 are needed")
        categorical = [name for name in table if self._has_categories(name, table[name])]
        values = {
            str(name): _categories(str(name), column) if name in categorical else column.to_numpy()
            for name, column in table.items()
        }
        schema = Schema.of(values, categorical)
        return RealData(schema.encoded(values), schema=schema)

    def _has_categories(self, name: Any, column: pd.Series) -> bool:
        import pandas.api.types as kinds

        of_numbers = kinds.is_numeric_dtype(column) and not kinds.is_bool_dtype(column)
        return name in self.categorical or not of_numbers


def _categories(name: str, column: pd.Series) -> Any:
    found = column.astype("string").fillna("(missing)").to_numpy(dtype=object)
    if len(set(found)) > MOST:
        raise InputError(
            f"the column '{name}' has {len(set(found))} different values, too many for categories "
            f"(at most {MOST}); leave it out (data.columns)"
        )
    return found


class Tables(Columns):
    """Settings: path of a .parquet or .csv file (also .csv.gz)."""

    source: Literal["table"] = "table"
    path: str

    def load(self) -> RealData:
        """Return the encoded rows, float32, with their schema."""
        return self.real(read_frame(Path(self.path).expanduser()), self.path)


class KnownTable(Columns):
    """Settings: which real table.

    name: `breast_cancer` (scikit-learn's, 569 rows, 30 numbers and the diagnosis) or `diamonds`
    (53,940 rows, seven numbers and three orders of quality; it comes with plotnine,
    entroloop[tables]).
    """

    source: Literal["known_table"] = "known_table"
    name: Literal["breast_cancer", "diamonds"]

    def load(self) -> RealData:
        """Return the encoded rows, float32, with their schema; nothing is fetched."""
        read = {"breast_cancer": _breast_cancer, "diamonds": _diamonds}
        return self.real(read[self.name](), self.name)


def _breast_cancer() -> pd.DataFrame:
    from sklearn.datasets import load_breast_cancer

    found = load_breast_cancer(as_frame=True)
    table: pd.DataFrame = found.data
    return table.assign(diagnosis=[str(found.target_names[label]) for label in found.target])


def _diamonds() -> pd.DataFrame:
    found = find_spec("plotnine")
    if found is None or not found.submodule_search_locations:
        raise InputError(
            "the table diamonds comes with plotnine: python -m pip install 'entroloop[tables]'"
        )
    return read_frame(Path(found.submodule_search_locations[0]) / "data" / "diamonds.csv")


def read_frame(path: Path) -> pd.DataFrame:
    """Return a .parquet or .csv file as a data frame; raises InputError for one that is none."""
    import pandas as pd

    if path.suffix == ".parquet":
        with reading(path, "parquet file"):
            return pd.read_parquet(path)
    if ".csv" not in path.suffixes:
        raise InputError(f"{path} is no .parquet or .csv file")
    with reading(path, "CSV file"):
        return pd.read_csv(path)
