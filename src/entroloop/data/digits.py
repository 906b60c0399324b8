"""scikit-learn's 1,797 real handwritten digits, 8×8, as float32 vectors x/8 − 1."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from entroloop.samples import Float64, RealData


class Digits(BaseModel):
    """Settings: the sizes of the split."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    source: Literal["digits"] = "digits"
    n_train: int = Field(ge=2)
    n_reference: int = Field(ge=2)

    def load(self) -> RealData:
        """Return (1797, 64) float32 in [−1, 1] with labels 0 … 9; scikit-learn ships the data."""
        values = _digits()
        data = (values[:, :-1] / 8 - 1).astype(np.float32)
        return RealData(data, values[:, -1].astype(np.int64), (8, 8))


def _digits() -> Float64:
    """Return scikit-learn's table: 64 values a row, then the label.

    It is read from where the package has it: to import scikit-learn takes two seconds.
    """
    package = find_spec("sklearn")
    for folder in (package and package.submodule_search_locations) or []:
        file = Path(folder, "datasets/data/digits.csv.gz")
        if file.is_file():
            return np.loadtxt(file, delimiter=",")
    from sklearn.datasets import load_digits

    found = load_digits()
    return np.column_stack([found.data, found.target])
